//! What clients may rely on, as a model of its own: it hears what clients sent, what the Server took and what clients received,
//! and never asks an engine.
//!
//! In:    facts, each at a [`Moment`].
//! Out:   the first rule that was broken.
//! Never: engine state. Where the order of two facts cannot be known from outside, the model allows both.

mod crash;
mod delivery;
mod exchange;
mod finish;
mod full;
mod link;
mod message;
mod retained;
mod rights;
mod shared;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use dunlin_engine::Time;

pub(crate) use self::delivery::Delivery;
pub(crate) use self::finish::Dropped;
pub(crate) use self::link::{Connect, Will, nobody};
pub(crate) use self::message::Message;
pub(crate) use self::rights::Rights;
pub(crate) use self::subscription::Wish;
use crate::topics::{TOPICS, Table};

/// When something happened: the step of the run, and the simulated time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) step: u64,
    pub(crate) time: Time,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

/// `Err` where `holds` is false.
pub(crate) fn ensure(holds: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { rule, detail: detail() }) }
}

/// What the model knows of the Server's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// What clients are told outlives the process.
    pub(crate) journal: bool,
    /// No bound is ever reached: nothing may be dropped for one.
    pub(crate) generous: bool,
    /// A full queue may end a connection.
    pub(crate) full_disconnects: bool,
    /// Messages in flight to one client at most.
    pub(crate) inflight: u16,
    /// Messages that wait for one client at most.
    pub(crate) queue: usize,
    /// Bytes of them.
    pub(crate) queue_bytes: u64,
    /// For another one the oldest of them is dropped.
    pub(crate) drops_oldest: bool,
    /// Session Expiry Interval of 3.x clients without Clean Session.
    pub(crate) expiry_v3: u32,
    /// Longest Session Expiry Interval granted.
    pub(crate) expiry_max: u32,
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) now: Moment,
    pub(crate) rules: Rules,
    pub(crate) table: Table,
    /// Steps that began with everything routed: no mail on the way, no timer due. Ascending.
    quiet: Vec<u64>,
    pub(crate) messages: Vec<Message>,
    links: Vec<link::Link>,
    sessions: Vec<Session>,
    /// The Session of each actor that has not ended.
    current: BTreeMap<usize, usize>,
    /// Wills that wait for their time.
    wills: Vec<usize>,
    /// Retained publications of each topic.
    retained: [Vec<usize>; TOPICS.len()],
    exchanges_begun: u64,
    /// The step at which the Server was told to stop.
    stopped: Option<u64>,
    /// Deliveries by shared group (its filter) and message.
    deals: BTreeMap<(usize, usize), Vec<shared::Deal>>,
    /// What each client may do, and since which step; everything, where it is not named.
    rights: BTreeMap<usize, Vec<(u64, Rights)>>,
    crashes: crash::Crashes,
    room: full::Room,
}

/// One Session from its first CONNECT to its end.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    actor: usize,
    link: Option<usize>,
    expiry: u32,
    /// When it ends unless someone connects.
    expires: Option<Time>,
    ended: Option<Moment>,
    subs: Vec<subscription::Sub>,
    got: BTreeMap<usize, delivery::Got>,
    /// The last first occurrence by publisher, topic, QoS published and QoS delivered.
    order: BTreeMap<(usize, usize, u8, u8), usize>,
    exchanges: BTreeMap<u16, exchange::Exchange>,
    /// Live retained publications that were delivered: topic, QoS, message.
    live_retained: Vec<(usize, u8, usize)>,
    /// The smallest Maximum Packet Size that it ever had.
    smallest_packet_max: u32,
    /// Messages taken before the present connection that came in it.
    backlog: usize,
    survival: crash::Survival,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            now: Moment::default(),
            rules,
            table: Table::new(),
            quiet: Vec::new(),
            messages: Vec::new(),
            links: Vec::new(),
            sessions: Vec::new(),
            current: BTreeMap::new(),
            wills: Vec::new(),
            retained: Default::default(),
            exchanges_begun: 0,
            stopped: None,
            deals: BTreeMap::new(),
            rights: BTreeMap::new(),
            crashes: crash::Crashes::default(),
            room: full::Room::default(),
        }
    }

    /// A step begins; `quiet` where all that came before it is routed.
    pub(crate) fn begin_step(&mut self, now: Moment, quiet: bool) {
        self.now = now;
        if quiet {
            self.quiet.push(now.step);
        }
        let due: Vec<usize> = self.wills.iter().copied().filter(|will| self.will_is_due(*will)).collect();
        for will in due {
            self.publish_will(will);
        }
        let lapsed: Vec<usize> = self
            .current
            .values()
            .copied()
            .filter(|session| self.sessions[*session].expires.is_some_and(|at| at <= now.time))
            .collect();
        for session in lapsed {
            if !self.may_live_on(session) {
                self.end_session(session);
            }
        }
    }

    /// Was everything routed at some step after `before` and up to `until`?
    fn quiet_between(&self, before: u64, until: u64) -> bool {
        let at = self.quiet.partition_point(|step| *step <= before);
        self.quiet.get(at).is_some_and(|step| *step <= until)
    }

    fn end_session(&mut self, session: usize) {
        let state = &mut self.sessions[session];
        if state.ended.is_none() {
            state.ended = Some(self.now);
            state.expires = None;
            let actor = state.actor;
            if self.current.get(&actor) == Some(&session) {
                self.current.remove(&actor);
            }
        }
    }

    /// Sessions that have not ended.
    pub(crate) fn session_count(&self) -> usize {
        self.current.len()
    }

    /// Has the actor a Session that it could resume?
    pub(crate) fn has_session(&self, actor: usize) -> bool {
        self.current.contains_key(&actor)
    }
}
