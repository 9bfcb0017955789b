//! Carrying out what engines want: as the runtime does, in the same order, with the same promises.

use smallvec::SmallVec;

use dunlin_engine::{ConnectionId, Effect, Event, Peer, Pledge};

use super::{Action, World, shard_id};
use crate::model::{Broken, ensure};

/// Timer events without progress after which an engine's deadline is considered stuck.
const TIMERS_MAX: usize = 100_000;
/// Mail may exceed the weight at which publishers wait by the largest packet and what is done in one event.
const MAIL_WEIGHT_MAX: usize = 12 * 1024 * 1024;
/// What the output of a connection may hold beyond its bound and the window of unacknowledged messages.
const OUTPUT_SLACK: usize = 1024 * 1024;

impl World {
    /// Timers that are due come before any other event.
    pub(super) fn run_timers(&mut self, shard: usize) -> Result<(), Broken> {
        for _ in 0..TIMERS_MAX {
            let state = &mut self.shards[shard];
            if state.engine.next_deadline().is_none_or(|deadline| deadline > self.now) {
                return Ok(());
            }
            self.trace.note(&[1, shard], || format!("shard {shard}: timer"));
            state.engine.handle(self.now, Event::Timer, &mut state.effects);
            self.settle(shard)?;
        }
        ensure(false, "an engine's deadline stays in the past", || format!("shard {shard}"))
    }

    pub(super) fn plan_timer(&mut self, shard: usize) {
        let state = &mut self.shards[shard];
        if let Some(deadline) = state.engine.next_deadline()
            && state.timer.is_none_or(|planned| planned > deadline)
        {
            state.timer = Some(deadline);
            self.plan_at(deadline.max(self.now), Action::Timer(shard));
        }
    }

    /// An event without bytes or mail.
    pub(super) fn tell(&mut self, shard: usize, event: Event<'_>) -> Result<(), Broken> {
        self.run_timers(shard)?;
        let state = &mut self.shards[shard];
        state.engine.handle(self.now, event, &mut state.effects);
        self.settle(shard)?;
        self.plan_timer(shard);
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        shard: usize,
        link: usize,
        pledge: Option<Box<Pledge>>,
    ) -> Result<(), Broken> {
        self.run_timers(shard)?;
        let connection = self.shards[shard].occupy(link);
        self.links[link].place = Some((shard, connection));
        self.links[link].paused = false;
        self.trace.note(&[2, shard, link], || format!("shard {shard}: link {link} is {connection:?}"));
        let peer = Peer { listener: 0, address: None, authenticate: self.scenario.guarded };
        self.tell(shard, Event::Opened { connection, peer, pledge })
    }

    /// Offers a link's bytes to the engine that has it.
    pub(super) fn offer(&mut self, link: usize) -> Result<(), Broken> {
        let Some((shard, connection)) = self.links[link].place else { return Ok(()) };
        self.run_timers(shard)?;
        if self.links[link].place != Some((shard, connection)) {
            return Ok(());
        }
        let Self { shards, links, .. } = self;
        let (state, wire) = (&mut shards[shard], &mut links[link]);
        let kernel = std::mem::take(&mut wire.kernel);
        wire.offered.extend(kernel);
        if wire.offered.is_empty() {
            wire.paused = false;
            return Ok(());
        }
        let offered = wire.offered.len();
        state.effects.consumed = 0;
        state.effects.paused = false;
        state.engine.handle(
            self.now,
            Event::Received { connection, bytes: &wire.offered },
            &mut state.effects,
        );
        let consumed = state.effects.consumed;
        let paused = state.effects.paused;
        self.trace.note(&[3, shard, link, consumed, usize::from(paused)], || {
            format!("shard {shard}: link {link} offers {offered} bytes, {consumed} used, paused: {paused}")
        });
        ensure(consumed <= offered, "an engine used more bytes than there were", || format!("link {link}"))?;
        wire.offered.drain(..consumed);
        wire.consumed += consumed as u64;
        wire.paused = paused;
        self.take_packets(link);
        self.settle(shard)?;
        self.plan_timer(shard);
        Ok(())
    }

    /// After an event: effects first, then the marks that say when output was made.
    pub(super) fn settle(&mut self, shard: usize) -> Result<(), Broken> {
        let list = std::mem::take(&mut self.shards[shard].effects.list);
        self.mark_output(shard)?;
        for effect in list {
            match effect {
                Effect::Close { connection } => self.server_closes(shard, connection)?,
                Effect::HandOver { connection, to, pledge } => {
                    self.hand_over(shard, connection, to.index(), pledge)?;
                }
                Effect::Authenticate { connection, .. } => {
                    let link = self.link_of(shard, connection)?;
                    self.ask(shard, link, connection);
                }
                Effect::ReadMore { connection } => {
                    let link = self.link_of(shard, connection)?;
                    self.trace.note(&[4, shard, link], || format!("shard {shard}: link {link} reads again"));
                    self.links[link].paused = false;
                    let delay = self.rng.below(self.scenario.tick + 1);
                    self.plan(delay, Action::Offer(link));
                }
                Effect::Read { token, partition, records } => {
                    self.shards[shard].reads.push_back((token, partition, records, 0));
                    self.plan_sync(Action::ReadBack(shard));
                }
                Effect::Notice(notice) => {
                    self.trace.note(&[5, shard], || format!("shard {shard}: {notice:?}"));
                }
            }
        }
        self.plan_flush(shard);
        self.plan_write(shard);
        Ok(())
    }

    pub(super) fn plan_flush(&mut self, shard: usize) {
        let state = &self.shards[shard];
        let wanted = !state.dirty.is_empty() || state.effects.mail.receivers().next().is_some();
        if wanted && !state.flush_planned {
            self.shards[shard].flush_planned = true;
            let delay = self.rng.below(self.scenario.tick + 1);
            self.plan(delay, Action::Flush(shard));
        }
    }

    fn link_of(&self, shard: usize, connection: ConnectionId) -> Result<usize, Broken> {
        let link = self.shards[shard].link(connection);
        ensure(link.is_some(), "an effect names a connection that is not open", || {
            format!("shard {shard}, {connection:?}")
        })?;
        Ok(link.unwrap_or_default())
    }

    fn mark_output(&mut self, shard: usize) -> Result<(), Broken> {
        let mut dirty = Vec::new();
        self.shards[shard].effects.outbox.take_dirty(&mut dirty);
        for connection in dirty {
            let Some(link) = self.shards[shard].link(connection) else { continue };
            let state = &mut self.links[link];
            let len = self.shards[shard].effects.outbox.len(connection);
            let emitted = state.written + len as u64;
            if emitted > state.emitted {
                if state.emitted == 0 {
                    self.model.answered(link);
                }
                state.emitted = emitted;
                state.marks.push_back((emitted, self.model.now));
            }
            let limits = &self.scenario.settings.limits;
            let bound = limits.output_bytes_maximum as usize
                + limits.maximum_packet_size.get() as usize
                + OUTPUT_SLACK;
            ensure(len <= bound, "output of a connection is beyond its bound", || {
                format!("link {link}: {len}")
            })?;
            self.summary.output_peak = self.summary.output_peak.max(len);
            if !self.shards[shard].dirty.contains(&link) {
                self.shards[shard].dirty.push(link);
            }
        }
        Ok(())
    }

    fn server_closes(&mut self, shard: usize, connection: ConnectionId) -> Result<(), Broken> {
        let link = self.link_of(shard, connection)?;
        self.trace.note(&[6, shard, link], || format!("shard {shard}: closes link {link}"));
        let limit = self.scenario.settings.limits.connect_timeout_ms;
        let limit = std::time::Duration::from_millis(limit.into());
        self.note_refusal(shard, link, connection);
        if let Some((step, message)) = self.links[link].last_taken
            && step == self.step
            && self.model.was_full_since(step)
        {
            self.model.turned_away(message);
        }
        self.model.closed_by_server(link, self.links[link].paused, limit)?;
        while !self.shards[shard].effects.outbox.is_empty(connection) {
            let (bytes, _) = self.take_output(shard, connection, usize::MAX);
            self.links[link].written += bytes.len() as u64;
            self.links[link].linger.extend(bytes);
        }
        self.shards[shard].effects.outbox.clear(connection);
        self.shards[shard].release(connection);
        self.shards[shard].dirty.retain(|dirty| *dirty != link);
        let state = &mut self.links[link];
        state.place = None;
        state.closed = true;
        state.paused = false;
        self.plan(2_000_000, Action::Linger(link));
        self.plan_read(link);
        self.lingering_writes(link);
        Ok(())
    }

    fn hand_over(
        &mut self,
        shard: usize,
        connection: ConnectionId,
        to: usize,
        pledge: Option<Box<Pledge>>,
    ) -> Result<(), Broken> {
        let link = self.link_of(shard, connection)?;
        self.trace.note(&[7, shard, link, to], || format!("shard {shard}: hands link {link} over to {to}"));
        let is_empty = self.shards[shard].effects.outbox.is_empty(connection);
        ensure(is_empty, "handed over with output", || format!("link {link}"))?;
        ensure(to < self.shards.len() && to != shard, "handed over to nowhere", || {
            format!("link {link} to {to}")
        })?;
        self.shards[shard].effects.outbox.clear(connection);
        self.shards[shard].release(connection);
        self.shards[shard].dirty.retain(|dirty| *dirty != link);
        self.links[link].place = None;
        self.summary.hand_overs += 1;
        self.open(to, link, pledge)?;
        self.offer(link)
    }

    /// Takes at most `limit` bytes of a connection's output, and says whether the engine is owed [`Event::Drained`].
    pub(super) fn take_output(
        &mut self,
        shard: usize,
        connection: ConnectionId,
        limit: usize,
    ) -> (Vec<u8>, bool) {
        let outbox = &mut self.shards[shard].effects.outbox;
        let mut taken = Vec::new();
        let mut slices = SmallVec::new();
        outbox.slices(connection, &mut slices);
        for slice in slices {
            let count = slice.len().min(limit - taken.len());
            taken.extend_from_slice(&slice[..count]);
        }
        let drained = outbox.advance(connection, taken.len(), self.scenario.low_water);
        (taken, drained)
    }

    /// The end of a tick: write, then mail.
    pub(super) fn flush(&mut self, shard: usize) -> Result<(), Broken> {
        self.shards[shard].flush_planned = false;
        for link in std::mem::take(&mut self.shards[shard].dirty) {
            self.server_writes(link)?;
        }
        let receivers: Vec<_> = self.shards[shard].effects.mail.receivers().collect();
        for to in receivers {
            let lane = shard * self.shards.len() + to.index();
            if self.lanes[lane].bags.len() >= self.scenario.mail_credit {
                continue;
            }
            let bag = self.shards[shard].effects.mail.take(to);
            let weight = bag.weight();
            self.trace.note(&[8, shard, to.index(), weight], || {
                format!("shard {shard}: mail of {weight} bytes for {}", to.index())
            });
            ensure(weight <= MAIL_WEIGHT_MAX, "mail is beyond its bound", || {
                format!("{shard} to {to:?}: {weight}")
            })?;
            self.summary.mail_peak = self.summary.mail_peak.max(weight);
            self.lanes[lane].bags.push_back(bag);
            self.plan_mail(shard, to.index());
            self.tell(shard, Event::MailTaken { to })?;
        }
        Ok(())
    }

    fn plan_mail(&mut self, from: usize, to: usize) {
        let lane = &mut self.lanes[from * self.shards.len() + to];
        if lane.planned || lane.bags.is_empty() {
            return;
        }
        lane.planned = true;
        let slow = if self.rng.percent(3) { 10 } else { 1 };
        let delay = self.rng.below(self.scenario.mail_delay + 1) * slow;
        self.plan(delay, Action::Mail(from, to));
    }

    pub(super) fn deliver_mail(&mut self, from: usize, to: usize) -> Result<(), Broken> {
        self.run_timers(to)?;
        let lane = from * self.shards.len() + to;
        self.lanes[lane].planned = false;
        let Some(mut bag) = self.lanes[lane].bags.pop_front() else { return Ok(()) };
        self.trace.note(&[9, from, to], || format!("shard {to}: mail from {from}"));
        let state = &mut self.shards[to];
        state.engine.handle(
            self.now,
            Event::Mail { from: shard_id(from), bag: &mut bag },
            &mut state.effects,
        );
        ensure(bag.is_empty(), "mail was left in its bag", || format!("{from} to {to}"))?;
        self.shards[from].effects.mail.recycle(bag);
        self.settle(to)?;
        self.plan_timer(to);
        self.plan_mail(from, to);
        self.plan_flush(from);
        Ok(())
    }
}
