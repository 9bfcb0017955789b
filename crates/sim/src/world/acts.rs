//! What well-behaved clients decide to do.

use std::time::Duration;

use dunlin_codec::{Packet, ProtocolVersion};

use super::link::{Ending, Tag};
use super::{Action, Phase, World};
use crate::model::Broken;
use crate::topics::FIRST_SHARED;

impl World {
    /// A client's turn.
    pub(super) fn act(&mut self, actor: usize) -> Result<(), Broken> {
        if self.phase == Phase::End {
            return Ok(());
        }
        let pace = if self.phase == Phase::Run { self.actors[actor].pace } else { 200_000 };
        let delay = self.rng.between(pace / 4, pace);
        self.plan(delay, Action::Act(actor));
        if self.actors[actor].hostile {
            return if self.phase == Phase::Run { self.act_hostile(actor) } else { Ok(()) };
        }
        if self.actors[actor].idle_until > self.now && self.phase == Phase::Run {
            return Ok(());
        }
        let Some(link) = self.actors[actor].link else {
            let wanted = match self.phase {
                Phase::Run => self.rng.percent(40),
                _ => self.model.has_session(actor) && !self.actors[actor].anonymous,
            };
            return if wanted { self.connect(actor) } else { Ok(()) };
        };
        let connected = self.links[link].speech.connected;
        match self.phase {
            Phase::Run if connected => self.act_connected(actor, link),
            Phase::Run if self.rng.percent(2) => {
                self.abandon(actor, link);
                Ok(())
            }
            _ => {
                if connected {
                    self.keep_alive(actor, link);
                }
                Ok(())
            }
        }
    }

    fn act_connected(&mut self, actor: usize, link: usize) -> Result<(), Broken> {
        self.keep_alive(actor, link);
        if self.rng.below(1000) < self.scenario.unrest {
            return self.act_drastically(actor, link);
        }
        match self.rng.below(100) {
            0..12 => {
                let filters = self.some_filters(actor);
                self.subscribe(actor, link, &filters);
            }
            12..16 => {
                let filters = self.some_filters(actor);
                self.unsubscribe(actor, link, &filters);
            }
            16..18 => self.ping(actor, link),
            18..21 => self.links[link].speech.ack_held = self.in_a_while(),
            _ => {
                for _ in 0..self.rng.pick(&[1, 1, 1, 2, 6]) {
                    self.publish(actor, link);
                }
            }
        }
        self.actors[actor].last_sent = self.now;
        Ok(())
    }

    fn act_drastically(&mut self, actor: usize, link: usize) -> Result<(), Broken> {
        match self.rng.below(8) {
            0 | 1 => self.leave(actor, link),
            2 | 3 => self.abandon(actor, link),
            4 => {
                if self.actors[actor].anonymous {
                    // Nothing would take the old connection over.
                    self.abandon(actor, link);
                }
                return self.connect(actor);
            }
            // The client reads nothing for a while.
            5 => self.links[link].stalled = self.in_a_while(),
            // What it sends arrives in part, the rest later.
            6 => self.links[link].held = self.in_a_while(),
            _ => self.fall_silent(actor, link),
        }
        Ok(())
    }

    fn in_a_while(&mut self) -> dunlin_engine::Time {
        let millis = self.rng.pick(&[100, 700, 3_000]);
        self.now.after(Duration::from_millis(millis))
    }

    /// The client is gone without DISCONNECT.
    pub(super) fn abandon(&mut self, actor: usize, link: usize) {
        let ending = self.rng.pick(&[Ending::Fin, Ending::Reset]);
        self.cut(link, ending);
        self.actors[actor].link = None;
    }

    fn fall_silent(&mut self, actor: usize, link: usize) {
        let keep_alive = u64::from(self.links[link].speech.keep_alive);
        if (1..10).contains(&keep_alive) {
            let until = self.now.after(Duration::from_millis(keep_alive * 1500 + 4000));
            self.actors[actor].idle_until = until;
            self.links[link].speech.ack_held = until;
            self.plan_at(until, Action::Silence(link));
        }
    }

    /// A client has said nothing for long enough. The Server may have found out some time ago that it took bytes since the Keep
    /// Alive began, and does not read what it said before: then it has as much time again.
    pub(super) fn check_silence(&self, link: usize) -> Result<(), Broken> {
        let state = &self.links[link];
        let limit = Duration::from_millis(u64::from(state.speech.keep_alive) * 3000 + 1000);
        if state.paused && self.now.since(state.written_at) < limit {
            return Ok(());
        }
        self.model.silence_checked(link)
    }

    fn keep_alive(&mut self, actor: usize, link: usize) {
        let keep_alive = u64::from(self.links[link].speech.keep_alive);
        let silent = self.now.since(self.actors[actor].last_sent);
        if keep_alive > 0 && silent > Duration::from_millis(keep_alive * 400) {
            self.ping(actor, link);
        }
    }

    fn ping(&mut self, actor: usize, link: usize) {
        self.actors[actor].last_sent = self.now;
        self.links[link].speech.pings += 1;
        let mut bytes = Vec::new();
        Packet::PingReq.encode(ProtocolVersion::V5, &mut bytes);
        self.send(link, &bytes, Tag::Other);
    }

    /// One to three filters that the client uses. A group's member hears shared topics only through its group, so that it is
    /// known why a message came.
    fn some_filters(&mut self, actor: usize) -> Vec<usize> {
        let worker = self.actors[actor].worker;
        let mut pool: Vec<usize> = (0..FIRST_SHARED)
            .filter(|filter| worker.is_none() || !self.model.table.meets_shared(*filter))
            .collect();
        if let Some(worker) = worker
            && self.rng.percent(60)
        {
            pool = vec![worker];
        }
        let mut chosen = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            let filter = self.rng.pick(&pool);
            if !chosen.contains(&filter) {
                chosen.push(filter);
            }
        }
        chosen
    }
}
