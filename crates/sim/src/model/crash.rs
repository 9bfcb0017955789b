//! What may be lost when the process ends, and what may not: whatever a client was told, or was stored, is there afterwards.
//!
//! In:    when everything was stored; when the process ended, and when another begins.
//! Out:   what nobody knows any more, until a client is told again.
//! Never: a guess. What was neither acknowledged nor stored may be there or not, and the model allows both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dunlin_engine::Time;

use super::exchange::Exchange;
use super::link::Link;
use super::{Message, Model, Session, shared};

/// What crashes make uncertain.
#[derive(Clone, Debug, Default)]
pub(super) struct Crashes {
    /// When the process ended.
    pub(super) steps: Vec<u64>,
    /// What happened before this step is stored.
    stored: u64,
    /// Messages that their publisher knows to be safe.
    acked: BTreeSet<usize>,
    /// Messages that may be there or not.
    doubtful: BTreeSet<usize>,
    /// Of those, the ones that their publisher sent again.
    again: BTreeSet<usize>,
    /// When a Will was published or given up.
    wills: BTreeMap<usize, u64>,
    /// A client was let in that is not written down.
    some_unsure: bool,
}

/// What of a Session a crash may bring back.
#[derive(Clone, Debug, Default)]
pub(super) struct Survival {
    /// Nobody knows whether it is still there.
    pub(super) doubt: bool,
    /// A client was told of it: those before it are gone.
    pub(super) told: bool,
    /// It began as one that outlives its connection, so that the log has it.
    is_kept: bool,
    /// When it has ended for certain, where that is not when it may have: `None` for never.
    lapses: Option<Option<Time>>,
    states: Vec<State>,
    /// Exchanges that ended, and when: their end may be forgotten.
    undone: Vec<(u64, u16, Exchange)>,
}

/// How a Session was, from a step on.
#[derive(Clone, Copy, Debug)]
struct State {
    step: u64,
    /// The link that it had.
    link: Option<usize>,
    expiry: u32,
    expires: Option<Time>,
    /// One of several that it may have been in at the last crash.
    perhaps: bool,
}

const NEVER: Time = Time::from_micros(u64::MAX);

fn after(time: Time, seconds: u32) -> Option<Time> {
    (seconds != u32::MAX).then(|| time.after(Duration::from_secs(seconds.into())))
}

impl Crashes {
    /// Whether it is there is not known any more.
    pub(super) fn doubt_message(&mut self, message: usize) {
        if !self.acked.contains(&message) {
            self.doubtful.insert(message);
        }
    }
}

impl Model {
    /// All that happened before this step is stored.
    pub(crate) fn all_stored(&mut self) {
        self.crashes.stored = self.now.step;
        if std::mem::take(&mut self.crashes.some_unsure) {
            self.links.iter_mut().for_each(|link| link.is_unsure = false);
        }
    }

    /// A client was let in while there was no room to write it down.
    pub(super) fn note_unsure(&mut self, link: usize) {
        self.links[link].is_unsure = true;
        self.crashes.some_unsure = true;
    }

    /// Had the process ended since a step?
    pub(super) fn crashes_since(&self, step: u64) -> u32 {
        let at = self.crashes.steps.partition_point(|crash| *crash < step);
        u32::try_from(self.crashes.steps.len() - at).unwrap_or(u32::MAX)
    }

    fn is_stored(&self, step: u64) -> bool {
        step < self.crashes.stored
    }

    /// May the message have been lost in a crash?
    pub(super) fn is_doubtful(&self, message: usize) -> bool {
        self.crashes.doubtful.contains(&message)
    }

    /// Was it sent again after a crash that may have lost it?
    pub(super) fn came_again(&self, message: usize) -> bool {
        self.crashes.again.contains(&message)
    }

    /// A doubtful message is taken once more.
    pub(super) fn note_again(&mut self, message: usize) {
        if self.is_doubtful(message) {
            self.crashes.again.insert(message);
            self.messages[message].last_taken = Some(self.now);
        }
    }

    /// Its publisher was told that it is safe.
    pub(super) fn note_acked(&mut self, message: usize) {
        self.crashes.acked.insert(message);
        self.crashes.doubtful.remove(&message);
    }

    /// A Will was published or given up.
    pub(super) fn will_resolved(&mut self, message: usize) {
        self.crashes.wills.insert(message, self.now.step);
    }

    /// The Session changed.
    pub(super) fn note_state(&mut self, session: usize) {
        if !self.rules.journal {
            return;
        }
        let state = &mut self.sessions[session];
        let now = State {
            step: self.now.step,
            link: state.link,
            expiry: state.expiry,
            expires: state.expires,
            perhaps: false,
        };
        state.survival.lapses = None;
        state.survival.is_kept |= state.survival.states.is_empty() && now.expiry > 0;
        state.survival.states.push(now);
    }

    /// An exchange ended: a crash may undo that.
    pub(super) fn note_undoable(&mut self, session: usize, packet: u16, exchange: Exchange) {
        if self.rules.journal && exchange.filter.is_none() && exchange.may_come_back() {
            self.sessions[session].survival.undone.push((self.now.step, packet, exchange));
        }
    }

    /// An exchange whose end a crash made forgotten.
    pub(super) fn revived(
        &mut self,
        session: usize,
        packet: u16,
        message: Option<usize>,
    ) -> Option<Exchange> {
        if self.crashes.steps.is_empty() {
            return None;
        }
        let undone = &mut self.sessions[session].survival.undone;
        let at = undone.iter().rposition(|(_, of, exchange)| *of == packet && exchange.message == message)?;
        let (ended, _, exchange) = undone.remove(at);
        (self.crashes_since(ended) > 0).then_some(exchange)
    }

    /// The end of a Session that a crash left in doubt. True where it lives on for now.
    pub(super) fn may_live_on(&mut self, session: usize) -> bool {
        let now = self.now.time;
        let survival = &mut self.sessions[session].survival;
        match survival.lapses {
            Some(lapses) if lapses.is_none_or(|at| at > now) => {
                survival.doubt = true;
                true
            }
            _ => false,
        }
    }

    /// The process ended, and begins anew at `restart`.
    pub(crate) fn crash(&mut self, restart: Time) {
        self.crashes.steps.push(self.now.step);
        self.doubt_messages();
        for session in 0..self.sessions.len() {
            self.doubt_wills(session, restart);
        }
        self.doubt_unanswered();
        self.resurrect(restart);
        let current: Vec<usize> = self.current.values().copied().collect();
        for session in current {
            self.crash_session(session, restart);
        }
        let stored = self.crashes.stored;
        self.deals.values_mut().flatten().for_each(|deal| shared::crash(deal, stored));
        for link in &mut self.links {
            link.crashed |= link.ended.is_none();
            link.ended.get_or_insert(self.now);
        }
    }

    /// A SUBSCRIBE may have been refused for want of room, and its client was not told.
    fn doubt_unanswered(&mut self) {
        for link in 0..self.links.len() {
            if let Some(session) = self.links[link].session.filter(|_| self.links[link].ended.is_none()) {
                self.doubt_pending(session, link);
            }
        }
    }

    fn doubt_messages(&mut self) {
        let stored = self.crashes.stored;
        for (at, message) in self.messages.iter().enumerate() {
            let is_new = message.last_taken.is_some_and(|taken| taken.step >= stored);
            if is_new && !self.crashes.acked.contains(&at) {
                self.crashes.doubtful.insert(at);
            }
        }
    }

    /// Is what a state says sure to be stored?
    fn is_sure(&self, state: &State) -> bool {
        let told = |link: usize| self.links[link].is_told();
        !state.perhaps && (self.is_stored(state.step) || state.link.is_some_and(told))
    }

    /// Is it sure that there was such a Session?
    fn is_known(&self, session: &Session) -> bool {
        let Survival { states, doubt, .. } = &session.survival;
        states.iter().any(|state| self.is_sure(state) || state.perhaps && !doubt)
    }

    /// Sessions whose end may not be stored come back, with nothing that one could rely on.
    fn resurrect(&mut self, restart: Time) {
        let mut back: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, session) in self.sessions.iter().enumerate() {
            let is_durable = session.survival.is_kept;
            let is_known = session.survival.told || self.is_known(session);
            match session.ended {
                Some(ended) if is_durable && !self.is_stored(ended.step) => {
                    if self.ends(session, restart).iter().all(|end| *end <= restart) {
                        // It would end at once.
                    } else if is_known {
                        back.insert(session.actor, at);
                    } else {
                        back.entry(session.actor).or_insert(at);
                    }
                }
                // Whoever was told of another Session, will not find the old one.
                None if is_known => {
                    back.remove(&session.actor);
                }
                _ => {}
            }
        }
        for (actor, session) in back {
            if let Some(replaced) = self.current.get(&actor).copied() {
                self.end_session(replaced);
            }
            self.absorb_others(actor, session);
            self.current.insert(actor, session);
            let state = &mut self.sessions[session];
            state.ended = None;
            state.expiry = u32::MAX;
            state.survival.doubt = true;
            state.survival.states.iter_mut().for_each(|state| state.perhaps = true);
            state.subs.iter_mut().for_each(super::subscription::Sub::forget);
            state.exchanges.values_mut().for_each(Exchange::doubt);
            self.doubt_unacknowledged(actor);
        }
    }

    /// Whichever of a client's Sessions is there, from now on it is this one: the next crash brings back no other beside it.
    fn absorb_others(&mut self, actor: usize, session: usize) {
        let stored = self.crashes.stored;
        for (at, other) in self.sessions.iter_mut().enumerate() {
            let may_be_there = other.ended.is_some_and(|ended| ended.step >= stored);
            if at != session && other.actor == actor && may_be_there {
                other.survival.states.clear();
                other.survival.is_kept = false;
            }
        }
    }

    /// It may be another Session that the client takes for its own, and sends everything to once more.
    pub(super) fn doubt_unacknowledged(&mut self, actor: usize) {
        for (at, message) in self.messages.iter_mut().enumerate() {
            if message.actor == actor && message.taken.is_some() && !self.crashes.acked.contains(&at) {
                message.certain = false;
                self.crashes.doubtful.insert(at);
            }
        }
    }

    /// The states that the Session may be in after the crash begin here.
    fn first_possible(&self, session: &Session) -> usize {
        session.survival.states.iter().rposition(|state| self.is_sure(state)).unwrap_or(0)
    }

    /// When it ends, in each of them.
    fn ends(&self, session: &Session, restart: Time) -> Vec<Time> {
        let end = |state: &State| match state.link {
            Some(_) => after(restart, state.expiry),
            None => state.expires,
        };
        let states = &session.survival.states[self.first_possible(session)..];
        states.iter().map(|state| end(state).unwrap_or(NEVER)).collect()
    }

    fn crash_session(&mut self, session: usize, restart: Time) {
        let state = &self.sessions[session];
        if !state.survival.is_kept {
            return self.end_session(session);
        }
        let is_known = self.is_known(state);
        let mut states: Vec<State> = state.survival.states[self.first_possible(state)..].to_vec();
        let ends = self.ends(state, restart);
        let (first, last) = (ends.iter().min().copied(), ends.iter().max().copied());
        let resurrected = state.expiry == u32::MAX;
        let (first, last) = if resurrected { (Some(restart), Some(NEVER)) } else { (first, last) };
        // Nobody writes that the connection ended with the process: at the next crash it is as if it were there yet.
        let connected: Vec<State> = states.iter().copied().filter(|state| state.link.is_some()).collect();
        let closed = |state: State| State { link: None, expires: after(restart, state.expiry), ..state };
        states.extend(connected.into_iter().map(closed));
        let several = states.len() > 1;
        states.iter_mut().for_each(|state| state.perhaps |= several);
        self.doubt_subs(session);
        self.doubt_exchanges(session);
        let of = |time: Option<Time>| time.filter(|time| *time < NEVER);
        let state = &mut self.sessions[session];
        state.link = None;
        state.expires = of(first);
        state.survival.lapses = (first != last).then(|| of(last));
        state.survival.doubt |= !is_known;
        state.survival.states = states;
    }

    fn doubt_subs(&mut self, session: usize) {
        let stored = self.crashes.stored;
        self.sessions[session].subs.iter_mut().for_each(|sub| sub.crash(stored));
    }

    fn doubt_exchanges(&mut self, session: usize) {
        let stored = self.crashes.stored;
        let (doubtful, messages) = (&self.crashes.doubtful, &self.messages);
        let state = &mut self.sessions[session];
        state.exchanges.retain(|_, exchange| exchange.filter.is_none() || exchange.is_exactly_once());
        for exchange in state.exchanges.values_mut() {
            let is_doubtful = exchange.message.is_none_or(|message| {
                // Nobody follows what becomes of what the hostile publish.
                doubtful.contains(&message) || !messages[message].certain
            });
            exchange.crash(stored, is_doubtful);
        }
        // What the crash before may have made forgotten, may be so for good, whatever is stored since.
        let before = self.crashes.steps.iter().rev().nth(1);
        let is_old = |ended: u64| before.is_some_and(|crash| ended <= *crash);
        state.survival.undone.retain(|(ended, ..)| *ended >= stored || is_old(*ended));
    }

    /// Wills that may go out, or go out again.
    fn doubt_wills(&mut self, session: usize, restart: Time) {
        let is_durable = self.sessions[session].survival.is_kept;
        let own = |(at, link): (usize, &Link)| {
            (link.session == Some(session)).then_some((at, link.testament?, link.is_told()))
        };
        let last_told = self.links.iter().rposition(|link| link.session == Some(session) && link.is_told());
        let wills: Vec<_> = self.links.iter().enumerate().filter_map(own).collect();
        for (link, message, is_told) in wills {
            let resolved = self.crashes.wills.get(&message).copied();
            let is_old = last_told.is_some_and(|told| link < told);
            match resolved {
                Some(step) if self.is_stored(step) || !is_durable => {}
                // Given up, as whoever came later knows.
                Some(_) if is_old && self.messages[message].taken.is_none() => {}
                Some(_) => {
                    let owed = is_told && self.is_owed(link, message);
                    self.doubt_will(message);
                    self.messages[message].owed |= owed;
                }
                None if !is_durable => {
                    self.wills.retain(|will| *will != message);
                    self.will_resolved(message);
                }
                None if is_told && self.links[link].ended.is_none() => {
                    self.await_will(session, link, restart);
                }
                // Only a checkpoint says that it ended with the process before: else the next one waits once more.
                None if is_told && self.links[link].crashed => self.doubt_will(message),
                None if self.links[link].ended.is_some_and(|ended| self.is_stored(ended.step)) => {}
                None => self.doubt_will(message),
            }
        }
    }

    /// Its connection ends with the process, as far as the next one can know.
    fn await_will(&mut self, session: usize, link: usize, restart: Time) {
        let delay_most = self.sessions[session].expiry;
        if let Some(will) = &mut self.links[link].will {
            will.await_from(restart, delay_most);
            let message = will.message;
            self.wills.retain(|will| *will != message);
            self.wills.push(message);
        }
    }

    /// A Will that went out and may not be stored: does it go out again, whatever comes in between? One with a delay waits anew where
    /// the end of its connection is not stored, and is given up if its client comes.
    fn is_owed(&self, link: usize, message: usize) -> bool {
        // A crash before may have put it in doubt, where nobody knows whether it went out: its client may have come in between.
        let Message { last_taken, qos, expiry, .. } = &self.messages[message];
        let Link { actor, will, ended, crashed, .. } = &self.links[link];
        // That it ended with a process before this one, nobody writes, until its client is told of another connection.
        let is_told = |later: &Link| later.actor == *actor && later.is_told();
        let is_known = !crashed || self.links[link + 1..].iter().any(is_told);
        let is_end_stored = is_known && ended.is_some_and(|ended| self.is_stored(ended.step));
        let goes_at_once = will.is_some_and(|will| will.delay == 0) || is_end_stored;
        goes_at_once
            && *qos > 0
            && expiry.is_none()
            && last_taken.is_some_and(|taken| !self.was_full_since(taken.step))
            && !self.is_unsaid(message)
    }

    /// It may be published, or have been, once or twice, now or later.
    fn doubt_will(&mut self, message: usize) {
        self.wills.retain(|will| *will != message);
        self.will_resolved(message);
        self.crashes.doubtful.insert(message);
        let state = &mut self.messages[message];
        state.certain = false;
        state.taken.get_or_insert(self.now);
        state.last_taken = None;
        state.copies = state.copies.max(1);
        let (topic, retain) = (state.topic, state.retain);
        if retain && !self.retained[topic].contains(&message) {
            self.retained[topic].push(message);
        }
    }
}
