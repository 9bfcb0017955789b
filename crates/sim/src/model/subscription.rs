//! Subscriptions: from when to when each may, and must, bring messages.

use super::{Broken, Model, Moment, ensure};

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) filter: usize,
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Retain Handling, 0 to 2.
    pub(crate) handling: u8,
    /// Subscription Identifier; 0: none.
    pub(crate) identifier: u32,
}

/// A Subscription, from one SUBSCRIBE to the next for its filter, or to its UNSUBSCRIBE.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    pub(super) wish: Wish,
    pub(super) taken: Moment,
    pub(super) confirmed: Option<u64>,
    replaced_taken: Option<u64>,
    replaced_confirmed: Option<u64>,
    pub(super) unsub_taken: Option<u64>,
    unsub_confirmed: Option<u64>,
    /// The filter had a Subscription when this SUBSCRIBE was taken.
    pub(super) existed: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE that the Server took and has not answered.
#[derive(Debug)]
pub(super) enum Pending {
    Subscribe(Vec<usize>),
    /// For each filter, the Subscription that ends.
    Unsubscribe(Vec<Option<usize>>),
}

impl Sub {
    /// In force, as far as the Server can know.
    pub(super) const fn is_current(&self) -> bool {
        self.unsub_taken.is_none() && self.replaced_taken.is_none()
    }

    /// May a message that was taken at `step` still come because of it?
    pub(super) fn may_hear(&self, step: u64) -> bool {
        let ended = [self.replaced_confirmed, self.unsub_confirmed].into_iter().flatten().min();
        ended.is_none_or(|ended| ended >= step)
    }
}

impl Model {
    /// The Server took a SUBSCRIBE.
    pub(crate) fn subscribe_taken(&mut self, link: usize, packet: u16, wishes: &[Wish]) {
        let now = self.now;
        let Some(session) = self.links[link].session else { return };
        let subs = &mut self.sessions[session].subs;
        let mut added = Vec::new();
        for wish in wishes {
            let old = subs.iter_mut().find(|sub| sub.wish.filter == wish.filter && sub.is_current());
            let existed = old.is_some();
            if let Some(old) = old {
                old.replaced_taken = Some(now.step);
            }
            added.push(subs.len());
            subs.push(Sub {
                wish: *wish,
                taken: now,
                confirmed: None,
                replaced_taken: None,
                replaced_confirmed: None,
                unsub_taken: None,
                unsub_confirmed: None,
                existed,
            });
        }
        self.links[link].pending.insert(packet, Pending::Subscribe(added));
    }

    /// The client received SUBACK.
    pub(crate) fn suback(&mut self, link: usize, packet: u16, reasons: &[u8]) -> Result<(), Broken> {
        let Some(Pending::Subscribe(added)) = self.links[link].pending.remove(&packet) else {
            return ensure(false, "SUBACK without SUBSCRIBE", || {
                format!("connection {link}, packet {packet}")
            });
        };
        let subs = &mut self.sessions[self.links[link].session.unwrap_or_default()].subs;
        ensure(reasons.len() == added.len(), "SUBACK of another length than SUBSCRIBE", || {
            format!("connection {link}: {} for {}", reasons.len(), added.len())
        })?;
        for (at, reason) in added.into_iter().zip(reasons) {
            let (filter, qos) = (subs[at].wish.filter, subs[at].wish.qos);
            ensure(*reason == qos, "subscription refused or granted another QoS", || {
                format!("connection {link}, filter {filter}: asked {qos}, got {reason:#04x}")
            })?;
            subs[at].confirmed = Some(self.now.step);
            for old in subs[..at].iter_mut().filter(|old| old.wish.filter == filter) {
                if old.replaced_taken.is_some() {
                    old.replaced_confirmed.get_or_insert(self.now.step);
                }
            }
        }
        Ok(())
    }

    /// The Server took an UNSUBSCRIBE.
    pub(crate) fn unsubscribe_taken(&mut self, link: usize, packet: u16, filters: &[usize]) {
        let Some(session) = self.links[link].session else { return };
        let mut ended = Vec::new();
        for filter in filters {
            let subs = &mut self.sessions[session].subs;
            let at = subs.iter().position(|sub| sub.wish.filter == *filter && sub.is_current());
            for sub in subs.iter_mut().filter(|sub| sub.wish.filter == *filter) {
                sub.unsub_taken.get_or_insert(self.now.step);
            }
            self.deals_left(session, *filter);
            ended.push(at);
        }
        self.links[link].pending.insert(packet, Pending::Unsubscribe(ended));
    }

    /// The client received UNSUBACK; 3.x has no reasons.
    pub(crate) fn unsuback(
        &mut self,
        link: usize,
        packet: u16,
        reasons: Option<&[u8]>,
    ) -> Result<(), Broken> {
        let Some(Pending::Unsubscribe(ended)) = self.links[link].pending.remove(&packet) else {
            return ensure(false, "UNSUBACK without UNSUBSCRIBE", || {
                format!("connection {link}, packet {packet}")
            });
        };
        if let Some(reasons) = reasons {
            let expected: Vec<u8> = ended.iter().map(|at| if at.is_some() { 0 } else { 0x11 }).collect();
            ensure(reasons == expected, "UNSUBACK with wrong reasons", || {
                format!("connection {link}: expected {expected:02x?}, got {reasons:02x?}")
            })?;
        }
        let subs = &mut self.sessions[self.links[link].session.unwrap_or_default()].subs;
        for at in ended.into_iter().flatten() {
            let filter = subs[at].wish.filter;
            for sub in subs[..=at].iter_mut().filter(|sub| sub.wish.filter == filter) {
                sub.unsub_confirmed.get_or_insert(self.now.step);
            }
        }
        Ok(())
    }

    /// The QoS, at least, with which the Session must get a message that the Server took at `step`; `None` where it need not.
    pub(super) fn required(&self, session: usize, message: usize, step: u64) -> Option<u8> {
        let state = &self.sessions[session];
        let message = &self.messages[message];
        let own = state.actor == message.actor;
        if !self.hears_since(session, message.topic, step) {
            return None;
        }
        let mut required = None;
        for (at, sub) in state.subs.iter().enumerate() {
            let filter = sub.wish.filter;
            if filter >= crate::topics::FIRST_SHARED
                || !self.table.matches(filter, message.topic)
                || sub.confirmed.is_none_or(|confirmed| confirmed > step)
            {
                continue;
            }
            let mut later = state.subs[at..].iter().filter(|other| other.wish.filter == filter);
            if later.clone().all(|other| other.unsub_taken.is_none() && !(own && other.wish.no_local)) {
                let lowest = later.try_fold(2, |low: u8, other| Some(low.min(other.wish.qos)));
                required = required.max(lowest.map(|qos| qos.min(message.qos)));
            }
        }
        required
    }
}
