//! Connections and Sessions: which Session a CONNECT finds, why a connection may end, and when Wills are published.
//!
//! Spec:  MQTT 5.0 sections 3.1.2.4 to 3.1.2.5, 3.1.3.2.2, 3.1.4, 3.14, 4.1.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_engine::Time;

use super::{Broken, Model, Moment, Session, ensure, subscription};

/// One network connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) actor: usize,
    hostile: bool,
    opened: Moment,
    pub(super) session: Option<usize>,
    expected_present: bool,
    pub(super) connack: Option<u64>,
    pub(super) ended: Option<Moment>,
    /// DISCONNECT was taken.
    farewell: bool,
    /// The Server put out its first packet.
    answered: bool,
    /// That was a CONNACK that refuses a CONNECT which was taken.
    refused: bool,
    /// It ended with the process.
    pub(super) crashed: bool,
    /// CONNACK came while the log had no room: a crash may forget the connection.
    pub(super) is_unsure: bool,
    /// When CONNECT was taken.
    begun: u64,
    /// Another connection took the Session.
    replaced: bool,
    pub(super) will: Option<Will>,
    /// The message of the Will that its CONNECT had, whatever became of it.
    pub(super) testament: Option<usize>,
    keep_alive: u16,
    last_taken: Time,
    pub(super) receive_maximum: u16,
    pub(super) resumed: bool,
    /// PUBLISH packets received that count against Receive Maximum: packet identifier, when sent, when done.
    pub(super) flight: Vec<(u16, u64, Option<u64>)>,
    /// Place of the last exchange that was sent again.
    pub(super) last_resent: u64,
    pub(super) pending: BTreeMap<u16, subscription::Pending>,
}

/// A Will.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Will {
    pub(crate) message: usize,
    /// Will Delay Interval, in seconds.
    pub(crate) delay: u32,
    due: Option<Time>,
}

/// What a CONNECT asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) v5: bool,
    /// Without a Client Identifier: nobody else's Session.
    pub(crate) anonymous: bool,
    pub(crate) clean: bool,
    /// Session Expiry Interval, in seconds (5.0).
    pub(crate) expiry: u32,
    pub(crate) will: Option<Will>,
    pub(crate) keep_alive: u16,
    /// Receive Maximum; 65,535 where none was sent.
    pub(crate) receive_maximum: u16,
    /// Maximum Packet Size.
    pub(crate) packet_max: u32,
}

/// Who a client without a Client Identifier is, on one connection: different from everybody else.
pub(crate) const fn nobody(link: usize) -> usize {
    usize::MAX / 2 + link
}

impl Link {
    /// Its client knows of it, and so would the next process.
    pub(super) const fn is_told(&self) -> bool {
        self.connack.is_some() && !self.is_unsure
    }
}

impl Will {
    pub(crate) const fn new(message: usize, delay: u32) -> Self {
        Self { message, delay, due: None }
    }

    /// The connection ended; the Session goes on for `longest` seconds at most.
    pub(super) fn await_from(&mut self, ended: Time, longest: u32) {
        self.due = Some(ended.after(Duration::from_secs(self.delay.min(longest).into())));
    }
}

impl Model {
    /// A connection was opened; its number is the place in the order of opening.
    pub(crate) fn opened(&mut self, actor: usize, hostile: bool) {
        self.links.push(Link {
            actor,
            hostile,
            opened: self.now,
            session: None,
            expected_present: false,
            connack: None,
            ended: None,
            farewell: false,
            answered: false,
            refused: false,
            crashed: false,
            is_unsure: false,
            begun: 0,
            replaced: false,
            will: None,
            testament: None,
            keep_alive: 0,
            last_taken: self.now.time,
            receive_maximum: u16::MAX,
            resumed: false,
            flight: Vec::new(),
            last_resent: 0,
            pending: BTreeMap::new(),
        });
    }

    /// The Server took some packet.
    pub(crate) fn packet_taken(&mut self, link: usize) {
        self.links[link].last_taken = self.now.time;
    }

    /// The Server took a CONNECT of a well-behaved client.
    pub(crate) fn connect_taken(&mut self, link: usize, connect: &Connect) {
        let actor = if connect.anonymous { nobody(link) } else { self.links[link].actor };
        let old = self.current.get(&actor).copied();
        if let Some(old_link) = old.and_then(|session| self.sessions[session].link) {
            self.links[old_link].replaced = true;
            self.end_link(old_link);
        }
        if let Some(session) = old.filter(|_| connect.clean) {
            // [MQTT-3.1.2-4] The Will of a Session that ends goes out (section 3.1.2.5).
            self.publish_waiting_will(session);
            self.end_session(session);
        }
        let found = self.current.get(&actor).copied();
        let session = found.unwrap_or_else(|| self.new_session(actor));
        // [MQTT-3.1.3-9] A Will whose delay is not over is not published when its Session goes on.
        let links = &self.links;
        let is_own = |will: &usize| {
            links
                .iter()
                .any(|link| link.session == Some(session) && link.will.is_some_and(|w| w.message == *will))
        };
        let (own, others) = self.wills.iter().copied().partition(is_own);
        self.wills = others;
        Vec::into_iter(own).for_each(|will| self.will_resolved(will));
        let expiry = match (connect.v5, connect.clean) {
            (true, _) => connect.expiry.min(self.rules.expiry_max),
            (false, true) => 0,
            (false, false) => self.rules.expiry_v3,
        };
        let state = &mut self.sessions[session];
        state.link = Some(link);
        state.expiry = expiry;
        state.expires = None;
        state.backlog = 0;
        state.smallest_packet_max = state.smallest_packet_max.min(connect.packet_max);
        let link = &mut self.links[link];
        link.session = Some(session);
        link.expected_present = found.is_some();
        link.resumed = found.is_some();
        link.will = connect.will;
        link.keep_alive = connect.keep_alive;
        link.receive_maximum = connect.receive_maximum;
        link.testament = connect.will.map(|will| will.message);
        link.begun = self.now.step;
        self.note_state(session);
    }

    /// The Server put something out for a connection.
    pub(crate) fn answered(&mut self, link: usize) {
        self.links[link].answered = true;
    }

    /// What it put out is a CONNACK with a Reason Code other than 0. A Session that the CONNECT found, or began, goes on as if its
    /// client had left before CONNACK.
    pub(crate) fn connect_refused(&mut self, link: usize) {
        self.links[link].refused = true;
    }

    fn new_session(&mut self, actor: usize) -> usize {
        self.sessions.push(Session {
            actor,
            link: None,
            expiry: 0,
            expires: None,
            ended: None,
            subs: Vec::new(),
            got: BTreeMap::new(),
            order: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            live_retained: Vec::new(),
            smallest_packet_max: u32::MAX,
            backlog: 0,
            survival: super::crash::Survival::default(),
        });
        let session = self.sessions.len() - 1;
        self.current.insert(actor, session);
        session
    }

    /// May the Server have refused the CONNECT, for want of room or because the log was too slow? The latter was looked at when it
    /// closed the connection.
    pub(crate) fn may_be_turned_away(&self, link: usize) -> bool {
        let link = &self.links[link];
        link.refused || link.session.is_none() && self.was_full_since(link.opened.step)
    }

    /// The client received CONNACK with success. 3.1 has no Session Present: `None`. Which Session it has.
    pub(crate) fn connack(&mut self, link: usize, present: Option<bool>) -> Result<Option<usize>, Broken> {
        let state = &mut self.links[link];
        ensure(state.session.is_some(), "CONNACK before CONNECT was read", || format!("connection {link}"))?;
        ensure(state.connack.is_none(), "second CONNACK", || format!("connection {link}"))?;
        state.connack = Some(self.now.step);
        let (expected, begun) = (state.expected_present, state.begun);
        if self.was_full_since(begun) {
            self.note_unsure(link);
        }
        let session = self.found_out(link, present);
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT311-3.2.2-1] [MQTT311-3.2.2-2]
        ensure(
            session.is_none() || present.is_none_or(|present| present == expected),
            "Session Present is wrong",
            || format!("connection {link}: expected {expected}, session {:?}", self.links[link].session),
        )?;
        let session = self.links[link].session;
        if let Some(session) = session {
            self.sessions[session].survival.told = true;
        }
        Ok(session)
    }

    /// A client is told whether its Session is there: which one it has, where that was sure before.
    fn found_out(&mut self, link: usize, present: Option<bool>) -> Option<usize> {
        let session = self.links[link].session?;
        if !std::mem::take(&mut self.sessions[session].survival.doubt) {
            return Some(session);
        }
        if present == Some(false) {
            let Session { actor, expiry, smallest_packet_max, .. } = self.sessions[session];
            self.end_session(session);
            let new = self.new_session(actor);
            let state = &mut self.sessions[new];
            (state.link, state.expiry, state.smallest_packet_max) = (Some(link), expiry, smallest_packet_max);
            self.links[link].session = Some(new);
            self.links[link].resumed = false;
            self.note_state(new);
        } else {
            // It may be one that began after it, of which no client was told.
            self.doubt_unacknowledged(self.sessions[session].actor);
            let state = &mut self.sessions[session];
            state.subs.iter_mut().for_each(subscription::Sub::forget);
            state.exchanges.values_mut().for_each(super::exchange::Exchange::doubt);
        }
        None
    }

    /// The Server took a DISCONNECT.
    pub(crate) fn disconnect_taken(&mut self, link: usize, with_will: bool, expiry: Option<u32>) {
        let state = &mut self.links[link];
        state.farewell = true;
        if !with_will {
            // [MQTT-3.14.4-3]
            let will = state.will.take();
            if let Some(will) = will {
                self.will_resolved(will.message);
            }
        }
        if let Some((session, expiry)) = self.links[link].session.zip(expiry) {
            self.sessions[session].expiry = expiry.min(self.rules.expiry_max);
        }
    }

    /// The Server learned that the client closed the connection.
    pub(crate) fn closed_by_client(&mut self, link: usize) {
        self.end_link(link);
    }

    /// The Server closed the connection. `paused`: it was not reading, so silence proves nothing.
    pub(crate) fn closed_by_server(
        &mut self,
        link: usize,
        paused: bool,
        connect_timeout: Duration,
    ) -> Result<(), Broken> {
        let state = &self.links[link];
        let silence = self.now.time.since(state.last_taken);
        let limit = Duration::from_millis(u64::from(state.keep_alive) * 1500);
        let silent = state.keep_alive > 0 && silence >= limit && !paused;
        // The log may not have taken its Session in time: a client that waits for it is told so.
        let waited = state.session.is_none() || self.rules.journal && state.refused;
        let never_connected = waited && self.now.time.since(state.opened.time) >= connect_timeout;
        let allowed = state.hostile
            || state.farewell
            || state.replaced
            || silent
            || never_connected
            || self.stopped.is_some()
            || self.rules.full_disconnects
            || self.was_full_since(self.now.step);
        ensure(allowed, "the Server closed a connection without a reason", || {
            format!("connection {link}, silent for {silence:?}")
        })?;
        self.end_link(link);
        Ok(())
    }

    /// [MQTT-3.1.2-22] A client that sends nothing for one and a half Keep Alive is disconnected.
    pub(crate) fn silence_checked(&self, link: usize) -> Result<(), Broken> {
        let state = &self.links[link];
        let silence = self.now.time.since(state.last_taken);
        let limit = Duration::from_millis(u64::from(state.keep_alive) * 1500 + 1000);
        let dead = state.ended.is_some() || state.keep_alive == 0 || silence < limit;
        ensure(dead, "Keep Alive passed and the connection is still open", || format!("connection {link}"))
    }

    /// The Server stops: from now on it closes connections as it likes.
    pub(crate) fn shut_down(&mut self) {
        self.stopped = Some(self.now.step);
    }

    /// Had the connection ended when the Server stopped?
    pub(crate) fn ended_before_stop(&self, link: usize) -> bool {
        self.links[link].ended.zip(self.stopped).is_some_and(|(ended, stopped)| ended.step < stopped)
    }

    /// Did another connection take this one's Session?
    pub(crate) fn was_replaced(&self, link: usize) -> bool {
        self.links[link].replaced && !self.links[link].farewell
    }

    fn end_link(&mut self, link: usize) {
        let now = self.now;
        let state = &mut self.links[link];
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(now);
        let Some(session) = state.session else { return };
        if self.sessions[session].link != Some(link) {
            return;
        }
        // Whoever was not let in has no Will yet.
        let is_opening = self.rules.journal && (!state.answered || state.refused);
        let will = if is_opening { None } else { state.will };
        if let Some(will) = state.will.filter(|_| is_opening) {
            self.will_resolved(will.message);
        }
        let expiry = self.sessions[session].expiry;
        self.deals_returned(session, link);
        self.doubt_pending(session, link);
        let state = &mut self.sessions[session];
        state.link = None;
        state.expires = (expiry != u32::MAX).then(|| now.time.after(Duration::from_secs(expiry.into())));
        if let Some(will) = will {
            let mut waiting = will;
            waiting.await_from(now.time, expiry);
            self.links[link].will = Some(waiting);
            self.wills.push(will.message);
            if will.delay.min(expiry) == 0 {
                self.publish_will(will.message);
            }
        }
        self.note_state(session);
        if expiry == 0 {
            self.end_session(session);
        }
    }

    pub(super) fn will_is_due(&self, message: usize) -> bool {
        let of = |link: &&Link| link.will.is_some_and(|will| will.message == message);
        let due = self.links.iter().rfind(of).and_then(|link| link.will?.due);
        due.is_some_and(|due| due <= self.now.time)
    }

    fn publish_waiting_will(&mut self, session: usize) {
        let waiting = self
            .links
            .iter()
            .filter(|link| link.session == Some(session))
            .filter_map(|link| Some(link.will?.message))
            .find(|will| self.wills.contains(will));
        if let Some(will) = waiting {
            self.publish_will(will);
        }
    }

    /// Wills that are still to be published.
    pub(crate) fn wills_waiting(&self) -> usize {
        self.wills.len()
    }
}
