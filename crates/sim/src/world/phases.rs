//! The course of a run: clients live, then everything drains, then a newcomer looks, then all is over.

use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, ReasonCode};
use dunlin_engine::{Counters, Drop, Event, Time};

use super::link::Ending;
use super::{Action, Phase, World};
use crate::model::{Broken, Dropped, Wish, ensure};

/// Simulated time within which everything must have drained: retained snapshots come a few pages at a time, and a letter may
/// take half a second here.
const DRAIN_MAX: Duration = Duration::from_secs(1200);
/// Withheld acknowledgements, timers of seconds and the like end within this time.
const SETTLE: Duration = Duration::from_secs(7);
/// Sessions last at most a hundred seconds.
const ALL_EXPIRED: Duration = Duration::from_secs(130);

impl World {
    pub(super) fn live(&mut self) -> Result<(), Broken> {
        self.advance(Time::ZERO.after(self.scenario.duration)).map(|_| ())
    }

    /// Everyone comes back, reads and acknowledges. Then nothing may be missing.
    pub(super) fn drain(&mut self) -> Result<(), Broken> {
        self.phase = Phase::Drain;
        self.trace.note(&[30], || "everything drains".to_owned());
        self.scenario.window = self.scenario.window.max(60_000);
        self.scenario.latency = self.scenario.latency.min(300);
        self.scenario.tick = self.scenario.tick.min(300);
        self.heal_disk();
        for link in 0..self.links.len() {
            let state = &mut self.links[link];
            state.stalled = self.now;
            state.held = self.now;
            state.speech.ack_held = self.now;
            let actor = state.actor;
            if self.actors[actor].hostile && !self.links[link].over {
                self.cut(link, Ending::Reset);
                self.actors[actor].link = None;
            }
        }
        self.until_drained()?;
        self.advance(self.now.after(SETTLE))?;
        self.until_drained()?;
        self.begin_step();
        let counters = self.counters();
        let sessions = usize::try_from(counters.sessions).unwrap_or(usize::MAX);
        ensure(sessions == self.model.session_count(), "the number of Sessions is wrong", || {
            format!("the engines count {sessions}, there are {}", self.model.session_count())
        })?;
        self.model.check_complete(&dropped(&counters))
    }

    fn until_drained(&mut self) -> Result<(), Broken> {
        let limit = self.now.after(DRAIN_MAX);
        while !self.is_drained() {
            ensure(self.now < limit, "not everything drains", || self.what_is_left())?;
            self.advance(self.now.after(Duration::from_millis(500)))?;
        }
        Ok(())
    }

    fn is_drained(&self) -> bool {
        let people =
            self.actors.iter().enumerate().filter(|(_, person)| !person.hostile).all(|(actor, person)| {
                let connected = person.link.map(|link| self.links[link].speech.connected);
                let resumed = connected.unwrap_or(!self.model.has_session(actor));
                resumed && (connected.is_none() || (person.out.is_empty() && person.waiting.is_empty()))
            });
        let mail = self.lanes.iter().all(|lane| lane.bags.is_empty())
            && self.shards.iter().all(|shard| shard.effects.mail.receivers().next().is_none());
        // A group may have more for a member whose last message was just acknowledged, and which waits for the log.
        let waits = self.disk.is_some() && !(self.is_stored() && self.is_routed());
        people
            && mail
            && !waits
            && self.links.iter().all(super::link::Link::is_still)
            && self.model.open_exchanges().is_empty()
            && self.model.wills_waiting() == 0
    }

    fn what_is_left(&self) -> String {
        let mut left = Vec::new();
        for (actor, person) in self.actors.iter().enumerate().filter(|(_, person)| !person.hostile) {
            if !person.out.is_empty() || !person.waiting.is_empty() || person.link.is_none() {
                left.push(format!(
                    "client {actor}: link {:?}, unacknowledged {:?}, unanswered {:?}, has session: {}",
                    person.link,
                    person.out,
                    person.waiting,
                    self.model.has_session(actor)
                ));
            }
        }
        for (link, state) in self.links.iter().enumerate().filter(|(_, state)| !state.is_still()) {
            left.push(format!(
                "link {link}: wire {}, unread {}, not used {}, paused {}, output {}, in flight {}, connected {}",
                state.wire.len(),
                state.kernel.len(),
                state.offered.len(),
                state.paused,
                state.emitted - state.written,
                state.flight.len(),
                state.speech.connected,
            ));
        }
        left.push(format!(
            "exchanges {:?}, wills {}",
            self.model.open_exchanges(),
            self.model.wills_waiting()
        ));
        left.join("\n    ")
    }

    fn counters(&mut self) -> Counters {
        let mut sum = self.counted.clone();
        for shard in &mut self.shards {
            let counters = shard.engine.counters();
            sum.sessions += counters.sessions;
            sum.connections += counters.connections;
            for (sum, count) in sum.dropped.iter_mut().zip(counters.dropped) {
                *sum += count;
            }
        }
        self.summary.dropped = sum.dropped.iter().sum();
        sum
    }

    /// A newcomer subscribes to everything: it gets the last retained message of each topic.
    pub(super) fn probe(&mut self) -> Result<(), Broken> {
        self.phase = Phase::Probe;
        self.keep_power();
        let probe = self.actors.len();
        let mut person = self.probe_person();
        person.client_id = "probe".to_owned();
        self.actors.push(person);
        self.give_rights(probe, true);
        self.seen.clear();
        self.connect(probe)?;
        self.advance(self.now.after(Duration::from_secs(2)))?;
        let link = self.actors[probe].link.unwrap_or_default();
        let connected = self.links[link].speech.connected;
        ensure(connected, "a newcomer is not let in", || format!("link {link}"))?;
        self.subscribe_all(probe, link);
        self.advance(self.now.after(SETTLE))?;
        // Each shard is asked in turn, page by page, and a letter may take seconds.
        let limit = self.now.after(DRAIN_MAX);
        while self.now < limit && !(self.is_routed() && self.links[link].is_still()) {
            self.advance(self.now.after(Duration::from_millis(500)))?;
        }
        ensure(self.actors[probe].waiting.is_empty(), "a newcomer's SUBSCRIBE is not answered", || {
            format!("link {link}")
        })?;
        self.begin_step();
        let seen = std::mem::take(&mut self.seen);
        self.model.check_retained(&seen)
    }

    pub(super) fn probe_saw(&mut self, actor: usize, topic: usize, message: Option<usize>) {
        if actor + 1 == self.actors.len()
            && let Some(message) = message
        {
            self.seen.entry(topic).or_default().push(message);
        }
    }

    /// Everyone leaves, or the Server stops; in the end nothing is left.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.phase = Phase::End;
        if self.scenario.shutdown {
            return self.shut_down();
        }
        for actor in 0..self.actors.len() {
            if let Some(link) = self.actors[actor].link {
                self.leave(actor, link);
            }
        }
        self.advance(self.now.after(ALL_EXPIRED))?;
        self.begin_step();
        let counters = self.counters();
        ensure(counters.sessions == 0 && counters.connections == 0, "something is left", || {
            format!("{} sessions, {} connections", counters.sessions, counters.connections)
        })?;
        for (index, shard) in self.shards.iter().enumerate() {
            let deadline = shard.engine.next_deadline();
            ensure(deadline.is_none(), "a timer is left", || format!("shard {index}: {deadline:?}"))?;
        }
        Ok(())
    }

    fn shut_down(&mut self) -> Result<(), Broken> {
        self.trace.note(&[31], || "the Server stops".to_owned());
        self.begin_step();
        self.model.shut_down();
        for shard in 0..self.shards.len() {
            self.tell(shard, Event::Shutdown)?;
        }
        self.advance(self.now.after(Duration::from_secs(3)))?;
        for (index, link) in self.links.iter().enumerate() {
            ensure(link.closed, "a connection outlives the Server", || format!("link {index}"))?;
            let actor = &self.actors[link.actor];
            let counts =
                link.version == ProtocolVersion::V5 && link.over && link.ending.is_none() && !actor.hostile;
            let reason = link.speech.disconnected;
            ensure(
                !counts || reason.is_some() || self.model.ended_before_stop(index),
                "stopped without 0x8B",
                || format!("link {index}: {reason:?}, not {:?}", ReasonCode::ServerShuttingDown),
            )?;
        }
        Ok(())
    }

    fn probe_person(&mut self) -> super::actor::Actor {
        let mut person = self.person(self.actors.len(), false);
        person.version = ProtocolVersion::V5;
        person.anonymous = false;
        person.worker = None;
        person.receive_maximum = NonZeroU16::new(1_000);
        person.packet_max = None;
        person.keep_alive = 0;
        person
    }

    /// Both spaces of Topic Names, QoS 2, retained messages wanted.
    fn subscribe_all(&mut self, probe: usize, link: usize) {
        let wishes = [0, 12].map(|filter| Wish { filter, qos: 2, ..Wish::default() });
        self.send_subscribe(probe, link, wishes.to_vec());
        self.plan(0, Action::Act(probe));
    }
}

fn dropped(counters: &Counters) -> Dropped {
    let of = |reason: Drop| counters.dropped[reason as usize];
    Dropped {
        expired: of(Drop::Expired),
        too_large: of(Drop::TooLarge),
        member_lost: of(Drop::MemberLost) + of(Drop::SessionEnded),
        output_full: of(Drop::OutputFull),
        damaged: of(Drop::Damaged),
        all: counters.dropped.iter().sum(),
    }
}
