//! A PUBLISH that a client received: is it one that it should get, this way, now?

use super::{Broken, Message, Model, Moment, ensure, subscription::Sub};
use crate::topics::FIRST_SHARED;

/// Bytes of a message in a queue beside payload and properties, at most.
const ENTRY: usize = 200;

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) link: usize,
    /// `None` for an empty payload, which names no message.
    pub(crate) message: Option<usize>,
    pub(crate) topic: usize,
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) packet: Option<u16>,
    /// Subscription Identifiers.
    pub(crate) identifiers: &'a [u32],
    /// Message Expiry Interval.
    pub(crate) expiry: Option<u32>,
    /// When the engine wrote it.
    pub(crate) emitted: Moment,
}

/// How often a Session got a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Got {
    pub(super) live: u32,
    pub(super) snapshots: u32,
    /// With RETAIN where Retain As Published makes it mean nothing.
    pub(super) either: u32,
    pub(super) dealt: u32,
    /// With less than QoS 2.
    weak: u32,
}

/// Why a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Snapshot,
    Either,
    Dealt(usize),
}

impl Model {
    /// A client received a PUBLISH. True where it is a new delivery, false where one is repeated.
    pub(crate) fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<bool, Broken> {
        let Some(session) = self.links[delivery.link].session else {
            return Ok(true);
        };
        ensure(self.links[delivery.link].connack.is_some(), "PUBLISH before CONNACK", || {
            format!("connection {}", delivery.link)
        })?;
        self.check_rights(delivery)?;
        if let Some(packet) = delivery.packet
            && !self.exchange_opened(session, delivery, packet)?
        {
            return Ok(false);
        }
        let candidates = self.candidates(session, delivery)?;
        self.note_group(session, delivery, &candidates);
        let subs = &self.sessions[session].subs;
        let flagged = candidates.iter().any(|at| subs[*at].wish.retain_as_published);
        // [MQTT-3.3.1-6] [MQTT-3.3.1-7] It clears, it is not kept.
        ensure(
            !delivery.retain || delivery.message.is_some() || flagged,
            "an empty retained message",
            || format!("{delivery:?}"),
        )?;
        if let Some(message) = delivery.message {
            let kind = self.kind(session, delivery, message, &candidates);
            self.check_options(session, delivery, message, kind, &candidates)?;
            self.check_expiry(delivery, message)?;
            self.count(session, delivery, message, kind, &candidates)?;
            self.check_order(session, delivery, message, kind)?;
            self.check_backlog(session, delivery, message)?;
        }
        Ok(true)
    }

    /// The Subscriptions that may have brought it.
    fn candidates(&self, session: usize, delivery: &Delivery<'_>) -> Result<Vec<usize>, Broken> {
        let state = &self.sessions[session];
        let message = delivery.message.map(|message| &self.messages[message]);
        let taken = match message {
            Some(message) => {
                ensure(message.topic == delivery.topic, "delivered on another topic", || {
                    format!("{delivery:?}")
                })?;
                let Some(taken) = message.taken else {
                    return ensure(false, "delivered although it was never published", || {
                        format!("{delivery:?}")
                    })
                    .map(|()| Vec::new());
                };
                taken.step
            }
            None => 0,
        };
        let own = message.is_some_and(|message| message.actor == state.actor && !message.will);
        let fits = |sub: &Sub| {
            self.table.matches(sub.wish.filter, delivery.topic)
                && sub.taken.step <= delivery.emitted.step
                && sub.may_hear(taken)
                && (delivery.retain || !own || !sub.wish.no_local)
                && (delivery.retain
                    || delivery.message.is_none_or(|message| !self.was_routed_before(message, sub)))
        };
        let found: Vec<usize> = (0..state.subs.len()).filter(|at| fits(&state.subs[*at])).collect();
        ensure(!found.is_empty(), "delivered without a subscription", || {
            let near: Vec<_> =
                state.subs.iter().filter(|sub| self.table.matches(sub.wish.filter, delivery.topic)).collect();
            format!("{delivery:?}, taken {taken}, matching but not in force: {near:?}")
        })?;
        Ok(found)
    }

    /// Had the message reached every shard before the SUBSCRIBE came? Groups may hold messages back.
    fn was_routed_before(&self, message: usize, sub: &Sub) -> bool {
        let message = &self.messages[message];
        let last = message.last_taken.filter(|_| message.certain && sub.wish.filter < FIRST_SHARED);
        last.is_some_and(|last| self.quiet_between(last.step, sub.taken.step))
    }

    fn kind(&self, session: usize, delivery: &Delivery<'_>, message: usize, candidates: &[usize]) -> Kind {
        let subs = &self.sessions[session].subs;
        let wish = |at: &usize| subs[*at].wish;
        if let Some(at) = candidates.iter().find(|at| wish(at).filter >= FIRST_SHARED) {
            return Kind::Dealt(wish(at).filter);
        }
        match delivery.retain {
            false => Kind::Live,
            true if self.messages[message].retain
                && candidates.iter().any(|at| wish(at).retain_as_published) =>
            {
                Kind::Either
            }
            true => Kind::Snapshot,
        }
    }

    fn check_options(
        &self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        kind: Kind,
        candidates: &[usize],
    ) -> Result<(), Broken> {
        let subs = &self.sessions[session].subs;
        let published = &self.messages[message];
        let highest = candidates.iter().map(|at| subs[*at].wish.qos).max().unwrap_or_default();
        ensure(delivery.qos <= published.qos.min(highest), "QoS above what was granted", || {
            format!(
                "{delivery:?}, published {published:?}, {:?}",
                candidates.iter().map(|at| &subs[*at]).collect::<Vec<_>>()
            )
        })?;
        let foreign = delivery
            .identifiers
            .iter()
            .find(|identifier| !candidates.iter().any(|at| subs[*at].wish.identifier == **identifier));
        ensure(foreign.is_none(), "foreign Subscription Identifier", || {
            format!("{delivery:?}, published {published:?}, {subs:?}")
        })?;
        ensure(!delivery.retain || published.retain, "RETAIN on a message that is not retained", || {
            format!("{delivery:?}")
        })?;
        if kind != Kind::Live || !published.certain {
            return Ok(());
        }
        let as_published = |at: &usize| subs[*at].wish.retain_as_published;
        ensure(
            !(published.retain && candidates.iter().all(as_published)),
            "Retain As Published ignored",
            || format!("{delivery:?}"),
        )?;
        let taken = published.taken.map_or(0, |taken| taken.step);
        let own = self.sessions[session].actor == published.actor;
        let surely = |sub: &Sub| {
            sub.is_current()
                && sub.confirmed.is_some_and(|confirmed| confirmed <= taken)
                && !(own && sub.wish.no_local)
        };
        for sub in candidates.iter().map(|at| &subs[*at]).filter(|sub| surely(sub)) {
            let identifier = sub.wish.identifier;
            // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
            let named = identifier == 0 || delivery.identifiers.contains(&identifier);
            ensure(named, "Subscription Identifier is missing", || format!("{identifier} in {delivery:?}"))?;
            // [MQTT-3.3.4-2] The highest QoS of all that match.
            let enough = delivery.qos >= published.qos.min(sub.wish.qos);
            ensure(enough, "QoS below what was granted", || format!("{delivery:?}"))?;
        }
        Ok(())
    }

    /// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    fn check_expiry(&self, delivery: &Delivery<'_>, message: usize) -> Result<(), Broken> {
        let published = &self.messages[message];
        let Some((expiry, taken)) = published.expiry.zip(published.taken) else {
            return ensure(delivery.expiry.is_none(), "Message Expiry Interval out of nowhere", || {
                format!("{delivery:?}")
            });
        };
        let waited = delivery.emitted.time.since(taken.time);
        if published.copies == 1 && !delivery.dup && published.certain {
            let late = published.expires_at().is_some_and(|at| delivery.emitted.time > at);
            ensure(!late, "delivered after it expired", || format!("{delivery:?}, waited {waited:?}"))?;
        }
        let Some(left) = delivery.expiry else { return Ok(()) };
        let lowest = u64::from(expiry).saturating_sub(waited.as_secs() + 1);
        let fits = u64::from(left) <= u64::from(expiry) && u64::from(left) >= lowest;
        // Rounded, and at least one second: a second and a half too much is the most.
        let counted = published.copies > 1
            || self.came_again(message)
            || !published.certain
            || u64::from(left) <= lowest + 2;
        ensure(fits && counted, "Message Expiry Interval counted wrongly", || {
            format!("{delivery:?}, was {expiry}, waited {waited:?}")
        })
    }

    fn count(
        &mut self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        kind: Kind,
        candidates: &[usize],
    ) -> Result<(), Broken> {
        if let Kind::Dealt(filter) = kind {
            self.deal_received(session, delivery, message, filter)?;
        }
        if kind == Kind::Snapshot {
            self.check_snapshot(session, delivery, message, candidates)?;
        }
        let eligible = self.snapshots_owed(session, delivery);
        let copies = self.messages[message].copies;
        let taken = self.messages[message].taken.map_or(0, |taken| taken.step);
        let crashes = self.crashes_since(taken);
        let got = self.sessions[session].got.entry(message).or_default();
        match kind {
            Kind::Live => got.live += 1,
            Kind::Snapshot => got.snapshots += 1,
            Kind::Either => got.either += 1,
            Kind::Dealt(_) => got.dealt += 1,
        }
        got.weak += u32::from(delivery.qos < 2);
        // What a crash made the Server forget comes again, but with QoS 2.
        let forgotten = (crashes * copies).min(got.weak);
        let (copies, eligible) = (copies + forgotten, eligible + forgotten);
        let fits = got.live <= copies
            && got.snapshots <= eligible
            && got.live + got.snapshots + got.either <= copies + eligible;
        let got = *got;
        ensure(fits || !self.messages[message].certain, "delivered more than once", || {
            format!("{delivery:?}, {got:?}, published {copies}, snapshots owed {eligible}")
        })
    }

    /// [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    fn check_order(
        &mut self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
        kind: Kind,
    ) -> Result<(), Broken> {
        let published = &self.messages[message];
        if kind != Kind::Live || !published.certain {
            return Ok(());
        }
        let again = self.came_again(message);
        let skipped = self.may_have_been_skipped(session, delivery, message);
        let state = &mut self.sessions[session];
        if published.retain {
            state.live_retained.push((published.topic, delivery.qos, message));
        }
        let first = state.got.get(&message).is_none_or(|got| got.live == 1);
        if published.will || !first {
            return Ok(());
        }
        let key = (published.actor, published.topic, published.qos, delivery.qos);
        let last = state.order.entry(key).or_default();
        let in_order = message >= *last || published.copies > 1 || again || skipped;
        let after = *last;
        *last = (*last).max(message);
        ensure(in_order, "messages of one publisher out of order", || {
            format!("{delivery:?} came after message {after}")
        })
    }

    /// Passed over before a crash that made the Server forget that: it may have been sent, for all the Server knows, and comes
    /// behind what was sent in its place. With QoS 2, as it had expired; or because a full queue had dropped it.
    fn may_have_been_skipped(&self, session: usize, delivery: &Delivery<'_>, message: usize) -> bool {
        let published = &self.messages[message];
        let expired = published.expires_at().is_some_and(|at| at <= delivery.emitted.time);
        let crashes = published.taken.map_or(0, |taken| self.crashes_since(taken.step));
        let skipped = delivery.qos == 2 && expired || self.may_have_been_dropped(session, message);
        delivery.dup && crashes > 0 && skipped
    }

    /// Has so much come for the Session, from the message on, that the bounds of its queue dropped the oldest?
    fn may_have_been_dropped(&self, session: usize, message: usize) -> bool {
        let Some(first) = self.messages[message].taken.filter(|_| self.rules.drops_oldest) else {
            return false;
        };
        let subs = &self.sessions[session].subs;
        let waits = |other: &&Message| {
            other.qos > 0
                && other.last_taken.or(other.taken).is_some_and(|taken| taken.step >= first.step)
                && subs.iter().any(|sub| self.table.matches(sub.wish.filter, other.topic))
        };
        let (mut messages, mut bytes) = (0, 0);
        for other in self.messages.iter().filter(waits) {
            messages += other.copies as usize;
            bytes += u64::from(other.copies) * (other.size + other.properties.len() + ENTRY) as u64;
        }
        messages > self.rules.queue || bytes > self.rules.queue_bytes
    }

    /// What waited for a Session fits its queue.
    fn check_backlog(
        &mut self,
        session: usize,
        delivery: &Delivery<'_>,
        message: usize,
    ) -> Result<(), Broken> {
        let Some(connected) = self.links[delivery.link].connack else { return Ok(()) };
        let published = &self.messages[message];
        let waited = published.last_taken.is_some_and(|taken| taken.step < connected);
        let state = &mut self.sessions[session];
        if delivery.qos == 0 || delivery.retain || !waited || !published.certain || delivery.dup {
            return Ok(());
        }
        state.backlog += 1;
        // Between CONNECT and CONNACK, and while mail travels, more may come than the queue held.
        let bound = self.rules.queue + usize::from(self.rules.inflight) + 64;
        let backlog = state.backlog;
        ensure(backlog <= bound, "more messages waited than the queue may hold", || {
            format!("{delivery:?}: {backlog} of {bound}")
        })
    }
}
