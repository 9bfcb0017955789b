//! At the end, with every client connected and nothing on its way: did everyone get everything?

use super::{Broken, Model, ensure};
use crate::topics::{FILTERS, FIRST_SHARED};

/// What the engines say they dropped; it must explain what is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) expired: u64,
    pub(crate) too_large: u64,
    pub(crate) member_lost: u64,
    pub(crate) output_full: u64,
    /// Not to be read back.
    pub(crate) damaged: u64,
    pub(crate) all: u64,
}

/// Messages that nobody got, by what may explain it.
#[derive(Clone, Debug, Default)]
struct Missing {
    expired: u64,
    too_large: u64,
    /// More than one of expired, too large and lost with a member.
    several: u64,
    member_lost: u64,
    /// QoS 0.
    at_most_once: u64,
    unexplained: u64,
    example: Option<String>,
}

impl Model {
    pub(crate) fn check_complete(&self, dropped: &Dropped) -> Result<(), Broken> {
        ensure(dropped.damaged == 0, "a record that was needed is gone", || format!("{dropped:?}"))?;
        let mut missing = Missing::default();
        for session in self.current.values() {
            self.miss_in_session(*session, &mut missing);
        }
        for filter in FIRST_SHARED..FILTERS.len() {
            self.miss_in_group(filter, &mut missing);
        }
        let what = |example: &Option<String>| example.clone().unwrap_or_default();
        if self.rules.generous {
            let retained =
                self.current.values().find_map(|session| self.missing_snapshots(*session, dropped));
            ensure(retained.is_none(), "a SUBSCRIBE did not bring a retained message", || what(&retained))?;
            ensure(missing.unexplained == 0, "acknowledged message is lost", || {
                format!("{} of them: {}", missing.unexplained, what(&missing.example))
            })?;
            ensure(
                missing.expired <= dropped.expired + dropped.output_full,
                "expired messages that were not counted",
                || format!("{missing:?}, {dropped:?}"),
            )?;
            ensure(
                missing.too_large <= dropped.too_large + dropped.output_full,
                "messages too large that were not counted",
                || format!("{missing:?}, {dropped:?}"),
            )?;
            ensure(missing.at_most_once <= dropped.output_full, "message with QoS 0 is lost", || {
                format!("{} of them: {}", missing.at_most_once, what(&missing.example))
            })?;
            ensure(missing.member_lost <= dropped.member_lost, "lost with a member and not counted", || {
                format!("{missing:?}, {dropped:?}")
            })?;
            let explained = missing.expired + missing.too_large + missing.member_lost + missing.several;
            let counted = dropped.expired + dropped.too_large + dropped.member_lost + dropped.output_full;
            return ensure(explained <= counted, "messages dropped and not counted", || {
                format!("{missing:?}, {dropped:?}")
            });
        }
        let all = missing.at_most_once
            + missing.expired
            + missing.too_large
            + missing.several
            + missing.member_lost
            + missing.unexplained;
        ensure(all <= dropped.all, "messages are missing that no counter explains", || {
            format!("{missing:?}, {dropped:?}")
        })
    }

    fn miss_in_session(&self, session: usize, missing: &mut Missing) {
        let state = &self.sessions[session];
        for (at, message) in self.messages.iter().enumerate() {
            let counts = message.size > 0 && (message.owed || message.certain && !self.is_doubtful(at));
            let Some(taken) = message.taken.filter(|_| counts) else { continue };
            let received = state.got.get(&at).is_some_and(|got| got.live + got.either > 0);
            if received || taken < self.first_sub(session) {
                continue;
            }
            let Some(qos) = self.required(session, at, taken.step) else { continue };
            let connected = state.link.and_then(|link| self.links[link].connack);
            if qos == 0 && (message.owed || connected.is_none_or(|since| since > taken.step)) {
                continue;
            }
            self.explain(at, qos, &[session], missing, || {
                format!("message {at} ({message:?}) for session {session} ({:?})", state.subs)
            });
        }
    }

    fn first_sub(&self, session: usize) -> super::Moment {
        self.sessions[session].subs.first().map_or(self.now, |sub| sub.taken)
    }

    /// A message for a group that had a member all the time was acknowledged by one.
    fn miss_in_group(&self, filter: usize, missing: &mut Missing) {
        let members: Vec<usize> = (0..self.sessions.len())
            .filter(|session| self.sessions[*session].subs.iter().any(|sub| sub.wish.filter == filter))
            .collect();
        let reliable = members.iter().all(|session| {
            let mut subs = self.sessions[*session].subs.iter().filter(|sub| sub.wish.filter == filter);
            subs.all(|sub| sub.wish.qos > 0)
        });
        if !reliable {
            return;
        }
        for (at, message) in self.messages.iter().enumerate() {
            let Some(taken) = message.taken else { continue };
            if !message.certain
                || self.is_doubtful(at)
                || message.size == 0
                || message.qos == 0
                || !self.table.matches(filter, message.topic)
            {
                continue;
            }
            let hears = |session: &usize| self.hears_since(*session, message.topic, taken.step);
            let stayed = members.iter().any(|session| {
                self.group_hears_since(*session, message.topic, taken.step)
                    && self.is_member_since(*session, filter, taken.step)
            });
            let deals = self.deals.get(&(filter, at)).map_or(&[][..], Vec::as_slice);
            if !stayed || deals.iter().any(|deal| deal.state.is_completed()) {
                continue;
            }
            let is_gone = |session: &usize| self.sessions[*session].ended.is_some() || !hears(session);
            let lost = message.qos == 2 && members.iter().any(is_gone);
            if lost {
                // Another member may have been given it before, or after, and too late.
                let (expired, too_large) = self.causes(at, &members);
                *(if expired || too_large { &mut missing.several } else { &mut missing.member_lost }) += 1;
                continue;
            }
            self.explain(at, 1, &members, missing, || {
                format!("message {at} ({message:?}) for {}, {deals:?}", FILTERS[filter])
            });
        }
    }

    /// Subscribed, acknowledged, before that step, and ever since.
    fn is_member_since(&self, session: usize, filter: usize, step: u64) -> bool {
        let state = &self.sessions[session];
        let mut subs = state.subs.iter().filter(|sub| sub.wish.filter == filter);
        let joined = subs.clone().position(|sub| {
            sub.unsub_taken.is_none() && sub.confirmed.is_some_and(|confirmed| confirmed <= step)
        });
        state.ended.is_none()
            && joined.is_some()
            && subs.all(|sub| sub.unsub_taken.is_none_or(|at| at < step))
    }

    fn explain(
        &self,
        at: usize,
        qos: u8,
        sessions: &[usize],
        missing: &mut Missing,
        what: impl FnOnce() -> String,
    ) {
        match self.causes(at, sessions) {
            (true, true) => missing.several += 1,
            (true, false) => missing.expired += 1,
            (false, true) => missing.too_large += 1,
            (false, false) => {
                *(if qos == 0 { &mut missing.at_most_once } else { &mut missing.unexplained }) += 1;
                missing.example.get_or_insert_with(what);
            }
        }
    }

    /// May it have expired, and be too large for one of the Sessions?
    fn causes(&self, at: usize, sessions: &[usize]) -> (bool, bool) {
        let message = &self.messages[at];
        let size = message.size + message.properties.len() + 120;
        let too_large = |session: &usize| {
            size > self.sessions[*session].smallest_packet_max.try_into().unwrap_or(usize::MAX)
        };
        // One that was sent again may have survived the crash, with the interval that began before it.
        let expires = if self.came_again(at) { message.expires_first() } else { message.expires_at() };
        (expires.is_some_and(|expires| expires <= self.now.time), sessions.iter().any(too_large))
    }
}
