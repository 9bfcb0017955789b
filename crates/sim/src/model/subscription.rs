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
    /// Nobody knows whether it had: a crash came between.
    pub(super) existed_perhaps: bool,
    /// A crash may have lost the SUBSCRIBE, or the packet that ended it.
    vague: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE that the Server took and has not answered.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Subscribe(Vec<usize>),
    Unsubscribe(Vec<Ending>),
}

/// What an UNSUBSCRIBE does to one filter.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    filter: usize,
    /// There is a Subscription that ends, if that is known.
    existed: Option<bool>,
    /// Subscriptions of the Session so far.
    until: usize,
}

impl Sub {
    /// The process ended; what was taken before `stored` is stored.
    pub(super) fn crash(&mut self, stored: u64) {
        let lost = |taken: u64, confirmed: Option<u64>| confirmed.is_none() && taken >= stored;
        self.vague |= lost(self.taken.step, self.confirmed)
            || self.unsub_taken.is_some_and(|taken| lost(taken, self.unsub_confirmed))
            || self.replaced_taken.is_some_and(|taken| lost(taken, self.replaced_confirmed));
    }

    /// Its Session may be another one.
    pub(super) const fn forget(&mut self) {
        self.confirmed = None;
        self.vague = true;
    }

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
            let vague = subs.iter().any(|sub| sub.wish.filter == wish.filter && sub.vague);
            let old = subs.iter_mut().find(|sub| sub.wish.filter == wish.filter && sub.is_current());
            let existed = old.is_some();
            let existed_perhaps = vague;
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
                existed_perhaps,
                vague: false,
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
        let now = self.now.step;
        let session = self.links[link].session.unwrap_or_default();
        let since = added.first().map_or(now, |at| self.sessions[session].subs[*at].taken.step);
        let was_full = self.was_full_since(since);
        let subs = &mut self.sessions[session].subs;
        ensure(reasons.len() == added.len(), "SUBACK of another length than SUBSCRIBE", || {
            format!("connection {link}: {} for {}", reasons.len(), added.len())
        })?;
        for (at, reason) in added.into_iter().zip(reasons) {
            let (filter, qos) = (subs[at].wish.filter, subs[at].wish.qos);
            if *reason >= 0x80 && was_full {
                // There was no room. The one before, if there was one, goes on.
                subs[at].unsub_taken.get_or_insert(now);
                let own = subs[..=at].iter_mut().filter(|sub| sub.wish.filter == filter);
                own.for_each(|sub| sub.vague = true);
                let pending = self.links[link].pending.values_mut().filter_map(|pending| match pending {
                    Pending::Unsubscribe(endings) => Some(endings),
                    Pending::Subscribe(_) => None,
                });
                let same = pending.flatten().filter(|ending| ending.filter == filter);
                same.for_each(|ending| ending.existed = None);
                continue;
            }
            subs[at].vague = false;
            ensure(*reason == qos, "subscription refused or granted another QoS", || {
                format!("connection {link}, filter {filter}: asked {qos}, got {reason:#04x}")
            })?;
            subs[at].confirmed = Some(self.now.step);
            for old in subs[..at].iter_mut().filter(|old| old.wish.filter == filter) {
                old.vague = false;
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
            let mut own = subs.iter().filter(|sub| sub.wish.filter == *filter);
            let vague = own.clone().any(|sub| sub.vague);
            let existed = (!vague).then(|| own.any(Sub::is_current));
            let until = subs.len();
            for sub in subs.iter_mut().filter(|sub| sub.wish.filter == *filter) {
                sub.unsub_taken.get_or_insert(self.now.step);
            }
            self.deals_left(session, *filter);
            ended.push(Ending { filter: *filter, existed, until });
        }
        self.links[link].pending.insert(packet, Pending::Unsubscribe(ended));
    }

    /// Its connection ended: what it has not been told was perhaps refused for want of room.
    pub(super) fn doubt_pending(&mut self, session: usize, link: usize) {
        let Self { links, sessions, room, .. } = self;
        for pending in links[link].pending.values() {
            let Pending::Subscribe(added) = pending else { continue };
            for at in added {
                let Sub { taken, wish, .. } = sessions[session].subs[*at];
                if room.was_full_since(taken.step) {
                    let own = sessions[session].subs.iter_mut().filter(|sub| sub.wish.filter == wish.filter);
                    own.for_each(|sub| sub.vague = true);
                }
            }
        }
    }

    /// Was there a SUBSCRIBE before, to the same filter, whose SUBACK has still to come and may say that the log has no room? A refusal
    /// waits for other shards, an UNSUBSCRIBE that ends nothing for nobody.
    fn may_not_have_been(&self, link: usize, ending: &Ending) -> bool {
        let state = &self.links[link];
        let subs = &self.sessions[state.session.unwrap_or_default()].subs;
        let asked = state.pending.values().filter_map(|pending| match pending {
            Pending::Subscribe(added) => Some(added),
            Pending::Unsubscribe(_) => None,
        });
        asked.flatten().any(|at| {
            let Sub { wish, taken, .. } = subs[*at];
            *at < ending.until && wish.filter == ending.filter && self.was_full_since(taken.step)
        })
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
            let fits = |(ending, reason): (&Ending, &u8)| {
                let existed = ending.existed.filter(|_| !self.may_not_have_been(link, ending));
                let existed = existed.unwrap_or(*reason == 0);
                *reason == if existed { 0 } else { 0x11 }
            };
            let all_fit = reasons.len() == ended.len() && ended.iter().zip(reasons).all(fits);
            ensure(all_fit, "UNSUBACK with wrong reasons", || {
                format!("connection {link}: expected {ended:?}, got {reasons:02x?}")
            })?;
        }
        let subs = &mut self.sessions[self.links[link].session.unwrap_or_default()].subs;
        for Ending { filter, until, .. } in ended {
            for sub in subs[..until].iter_mut().filter(|sub| sub.wish.filter == filter) {
                sub.unsub_confirmed.get_or_insert(self.now.step);
                sub.vague = false;
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
