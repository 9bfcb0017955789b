//! What the Server has to deliver to a Client with QoS 1 and 2: the queue, and what is in flight.
//!
//! In:    deliveries; acknowledgements of the Client; the start of a connection.
//! Out:   what to send next, and what an acknowledgement means.
//! Never: more in flight than the Client's Receive Maximum, nor out of order. Packet Identifiers are given when sending, not
//!        when queueing, one after the other, so that an exchange is found by subtraction.
//! Spec:  MQTT 5.0 sections 4.3, 4.4, 4.6 and 4.9.

use std::collections::VecDeque;

use dunlin_codec::{PacketId, QoS};

use crate::mail::Deal;
use crate::message::Message;
use crate::time::Time;
use crate::topic::Identifiers;

/// There are 65,535 Packet Identifiers.
const IDENTIFIERS: u16 = u16::MAX;

/// How a message goes to one Session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) extra: Option<Box<Extra>>,
}

/// What few deliveries have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) identifiers: Identifiers,
    /// Dealt by a shared group.
    pub(crate) deal: Option<Deal>,
}

/// A message that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) message: Message,
    pub(crate) options: Options,
}

/// Bytes of a queued message beside its parts: the entry, and what the allocator adds.
const QUEUED_WEIGHT: usize = 64;

impl Queued {
    /// Bytes that the bound of the queue counts.
    fn weight(&self) -> usize {
        let extra = self.options.extra.as_ref();
        let identifiers = extra.map_or(0, |extra| size_of_val(extra.identifiers.as_slice()));
        QUEUED_WEIGHT + self.message.weight() + identifiers
    }
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Ended out of turn; the place is kept until those before it end.
    Ended,
    /// QoS 1: PUBLISH was sent, and is unacknowledged until PUBACK [MQTT-4.3.2-3] [MQTT311-4.3.2-1].
    AwaitPubAck,
    /// QoS 2: PUBLISH was sent, and is unacknowledged until PUBREC [MQTT-4.3.3-3].
    AwaitPubRec,
    /// QoS 2: PUBREL was sent.
    AwaitPubComp,
}

/// One message in flight.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) phase: Phase,
    pub(crate) options: Options,
    /// Kept to be sent again on another connection; not kept for a Session that ends with its connection, nor after PUBREC.
    pub(crate) message: Option<Message>,
    /// Its PUBLISH was sent on this connection and took one of the quota, which its end gives back.
    counted: bool,
}

/// The sending half of a Session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The exchange at position n has the identifier `first` + n.
    flight: VecDeque<Exchange>,
    first: PacketId,
    /// Exchanges of `flight` before this one were sent on this connection.
    resent: usize,
    /// PUBLISH packets that may still be sent on this connection [MQTT-4.9.0-2].
    quota: u16,
    quota_maximum: u16,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
}

/// What an acknowledgement brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The exchange is over. The deal it belonged to, if any.
    Ended(Option<Deal>),
    /// Send PUBREL.
    Release,
    /// There is no such exchange.
    Unknown,
    /// There is one, but this is not the packet it waits for.
    Unexpected,
}

/// What to send again on a new connection.
#[derive(Debug)]
pub(crate) enum Resend {
    Publish(PacketId, Options, Option<Message>),
    PubRel(PacketId),
}

impl Outgoing {
    /// Nothing to deliver yet; at most `window` exchanges at a time [MQTT-4.9.0-1].
    pub(crate) fn new(window: u16) -> Self {
        Self {
            flight: VecDeque::new(),
            first: PacketId::MIN,
            resent: 0,
            quota: window,
            quota_maximum: window,
            queue: VecDeque::new(),
            queue_bytes: 0,
        }
    }

    /// A new connection: everything in flight is to be sent again, in order [MQTT-4.4.0-1].
    pub(crate) fn reconnect(&mut self, window: u16) {
        self.quota = window;
        self.quota_maximum = window;
        self.resent = 0;
        self.flight.iter_mut().for_each(|exchange| exchange.counted = false);
    }

    /// May a new message be sent at once, before nothing that waits?
    #[inline]
    pub(crate) fn is_clear(&self) -> bool {
        self.queue.is_empty() && self.may_send()
    }

    /// Is there quota for the next of the queue, and nothing to be sent again before it?
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        self.quota > 0 && self.resent == self.flight.len() && self.flight.len() < self.span()
    }

    /// Identifiers in use at most: exchanges that ended out of turn keep their place, and a hostile Client could have many such.
    fn span(&self) -> usize {
        usize::from(self.quota_maximum.saturating_mul(2).max(16)).min(usize::from(IDENTIFIERS) - 1)
    }

    /// A message goes out for the first time; `message` where it may have to be sent again. Its identifier is the next one, which
    /// no exchange has [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT311-2.3.1-4].
    #[inline]
    pub(crate) fn send(&mut self, options: Options, message: Option<Message>) -> PacketId {
        let id = self.identifier(self.flight.len());
        let phase = if options.qos == QoS::ExactlyOnce { Phase::AwaitPubRec } else { Phase::AwaitPubAck };
        self.flight.push_back(Exchange { phase, options, message, counted: true });
        self.resent += 1;
        self.quota -= 1;
        id
    }

    /// Undoes the last [`Self::send`]: the packet could not be written.
    pub(crate) fn unsend(&mut self) {
        self.flight.pop_back();
        self.resent -= 1;
        self.quota += 1;
    }

    /// The next exchange to be sent again, in the order of the first time [MQTT311-4.6.0-1], if there is quota for it; it counts as
    /// sent.
    pub(crate) fn next_resend(&mut self) -> Option<Resend> {
        while let Some(exchange) = self.flight.get(self.resent) {
            let phase = exchange.phase;
            if matches!(phase, Phase::AwaitPubAck | Phase::AwaitPubRec) && self.quota == 0 {
                return None;
            }
            let at = self.resent;
            self.resent += 1;
            let id = self.identifier(at);
            match phase {
                Phase::Ended => {}
                Phase::AwaitPubComp => return Some(Resend::PubRel(id)),
                Phase::AwaitPubAck | Phase::AwaitPubRec => {
                    self.quota -= 1;
                    let exchange = &mut self.flight[at];
                    exchange.counted = true;
                    return Some(Resend::Publish(id, exchange.options.clone(), exchange.message.clone()));
                }
            }
        }
        None
    }

    /// PUBACK, of whatever Reason Code [MQTT-4.4.0-2].
    #[inline]
    pub(crate) fn puback(&mut self, id: PacketId) -> Acked {
        self.end(id, Phase::AwaitPubAck)
    }

    /// PUBREC; a failure ends the exchange [MQTT-4.4.0-2] [MQTT-4.8.2-6].
    pub(crate) fn pubrec(&mut self, id: PacketId, failed: bool) -> Acked {
        let Some(at) = self.position(id) else { return Acked::Unknown };
        let exchange = &mut self.flight[at];
        match exchange.phase {
            // Refused, if after it was taken: there is nothing left to release.
            phase @ (Phase::AwaitPubRec | Phase::AwaitPubComp) if failed => self.end(id, phase),
            Phase::AwaitPubRec => {
                exchange.phase = Phase::AwaitPubComp;
                exchange.message = None;
                Acked::Release
            }
            Phase::AwaitPubComp => Acked::Release,
            Phase::AwaitPubAck => Acked::Unexpected,
            Phase::Ended => Acked::Unknown,
        }
    }

    /// PUBCOMP.
    pub(crate) fn pubcomp(&mut self, id: PacketId) -> Acked {
        self.end(id, Phase::AwaitPubComp)
    }

    /// A message in flight that cannot be sent again: as if it had been delivered. The deal it belonged to, if any.
    pub(crate) fn abandon(&mut self, id: PacketId) -> Option<Deal> {
        let phase = self.flight.get(self.position(id)?)?.phase;
        match self.end(id, phase) {
            Acked::Ended(deal) => deal,
            Acked::Release | Acked::Unknown | Acked::Unexpected => None,
        }
    }

    #[inline]
    fn end(&mut self, id: PacketId, expected: Phase) -> Acked {
        let Some(at) = self.position(id) else { return Acked::Unknown };
        let exchange = &mut self.flight[at];
        if exchange.phase == Phase::Ended {
            return Acked::Unknown;
        }
        if exchange.phase != expected {
            return Acked::Unexpected;
        }
        let deal = exchange.options.extra.as_ref().and_then(|extra| extra.deal);
        // The end of one whose PUBLISH was sent on an earlier connection allows nothing new on this one [MQTT-3.3.4-9].
        self.quota += u16::from(exchange.counted);
        self.clear(at);
        Acked::Ended(deal)
    }

    fn clear(&mut self, at: usize) {
        let exchange = &mut self.flight[at];
        exchange.phase = Phase::Ended;
        exchange.message = None;
        exchange.options.extra = None;
        while self.flight.front().is_some_and(|front| front.phase == Phase::Ended) {
            self.flight.pop_front();
            self.first = self.first.next();
            self.resent = self.resent.saturating_sub(1);
        }
    }

    /// Deliveries that a shared group should give to another member, because this one is gone: QoS 1, and QoS 2 that was never
    /// sent [MQTT-4.8.2-4] [MQTT-4.8.2-5]. They are forgotten here.
    pub(crate) fn take_returned_deals(&mut self) -> Vec<Deal> {
        let mut returned = Vec::new();
        for at in (0..self.flight.len()).rev() {
            let exchange = &self.flight[at];
            if exchange.phase == Phase::AwaitPubAck
                && let Some(deal) = exchange.options.extra.as_ref().and_then(|extra| extra.deal)
            {
                returned.push(deal);
                self.clear(at);
            }
        }
        let bytes = &mut self.queue_bytes;
        self.queue.retain(|queued| {
            let deal = queued.options.extra.as_ref().and_then(|extra| extra.deal);
            returned.extend(deal);
            *bytes -= if deal.is_some() { queued.weight() } else { 0 };
            deal.is_none()
        });
        returned
    }

    /// The deals of all exchanges in flight: what is left of them when the Session ends is QoS 2.
    pub(crate) fn deals(&self) -> impl Iterator<Item = Deal> {
        self.flight.iter().filter_map(|exchange| exchange.options.extra.as_ref()?.deal)
    }

    /// Puts a message at the end of the queue.
    pub(crate) fn queue(&mut self, queued: Queued) {
        self.queue_bytes += queued.weight();
        self.queue.push_back(queued);
    }

    /// Takes the first of the queue.
    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.queue_bytes -= queued.weight();
        if self.queue.is_empty() {
            // A long queue must not keep its memory for ever.
            self.queue.shrink_to(64);
        }
        Some(queued)
    }

    /// Takes the first of the queue if its time is over.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<Queued> {
        let is_expired = self.queue.front()?.message.view().is_expired(now);
        if is_expired { self.pop() } else { None }
    }

    /// Messages in the queue.
    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Their bytes.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Messages in flight that are not acknowledged.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.iter().filter(|exchange| exchange.phase != Phase::Ended).count()
    }

    /// Was everything in flight sent on this connection?
    pub(crate) fn is_resent(&self) -> bool {
        self.resent == self.flight.len()
    }

    /// Is anything in flight, seen from here in constant time?
    pub(crate) fn has_flight(&self) -> bool {
        !self.flight.is_empty()
    }

    fn identifier(&self, at: usize) -> PacketId {
        let at = u32::try_from(at).unwrap_or_default();
        let number = (u32::from(self.first.get()) - 1 + at) % u32::from(IDENTIFIERS) + 1;
        u16::try_from(number).ok().and_then(PacketId::new).unwrap_or(PacketId::MIN)
    }

    #[inline]
    fn position(&self, id: PacketId) -> Option<usize> {
        let (id, first) = (u32::from(id.get()), u32::from(self.first.get()));
        let at = if id >= first { id - first } else { id + u32::from(IDENTIFIERS) - first } as usize;
        // Not yet sent again on this connection: an acknowledgement for it answers the last connection, and is good.
        (at < self.flight.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qos(qos: QoS) -> Options {
        Options { qos, ..Options::default() }
    }

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    /// [MQTT-4.9.0-2] No more than Receive Maximum unacknowledged; each acknowledgement allows one more.
    #[test]
    fn the_quota_is_kept() {
        let mut outgoing = Outgoing::new(2);
        assert_eq!(outgoing.send(qos(QoS::AtLeastOnce), None), id(1));
        assert_eq!(outgoing.send(qos(QoS::ExactlyOnce), None), id(2));
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.pubrec(id(2), false), Acked::Release);
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.puback(id(1)), Acked::Ended(None));
        assert!(outgoing.may_send());
        assert_eq!(outgoing.pubcomp(id(2)), Acked::Ended(None));
        assert!(!outgoing.has_flight());
    }

    #[test]
    fn acknowledgements_out_of_place_change_nothing() {
        let mut outgoing = Outgoing::new(10);
        outgoing.send(qos(QoS::AtLeastOnce), None);
        outgoing.send(qos(QoS::ExactlyOnce), None);
        assert_eq!(outgoing.puback(id(3)), Acked::Unknown);
        assert_eq!(outgoing.puback(id(65_535)), Acked::Unknown);
        assert_eq!(outgoing.puback(id(2)), Acked::Unexpected);
        assert_eq!(outgoing.pubcomp(id(2)), Acked::Unexpected);
        assert_eq!(outgoing.pubrec(id(1), false), Acked::Unexpected);
        assert_eq!(outgoing.in_flight(), 2);
    }

    /// [MQTT-4.4.0-1] and section 4.6: again, in the original order, PUBREL where PUBREC was received.
    #[test]
    fn a_new_connection_gets_everything_again_in_order() {
        let mut outgoing = Outgoing::new(10);
        for quality in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            outgoing.send(qos(quality), None);
        }
        outgoing.puback(id(3));
        outgoing.pubrec(id(2), false);
        outgoing.reconnect(2);

        assert!(matches!(outgoing.next_resend(), Some(Resend::Publish(pid, ..)) if pid == id(1)));
        assert!(matches!(outgoing.next_resend(), Some(Resend::PubRel(pid)) if pid == id(2)));
        assert!(!outgoing.may_send());
        assert!(matches!(outgoing.next_resend(), Some(Resend::Publish(pid, ..)) if pid == id(4)));
        assert!(outgoing.next_resend().is_none());
        assert!(!outgoing.may_send(), "the new window of two is used up");
    }

    /// [MQTT-3.3.4-9] Only a PUBLISH of this connection gives its quota back: with a window of one, the end of an exchange that
    /// goes on after a reconnect with PUBREL does not allow a second message beside the one that was sent meanwhile.
    #[test]
    fn exchanges_of_an_earlier_connection_give_no_quota() {
        let mut outgoing = Outgoing::new(1);
        outgoing.send(qos(QoS::ExactlyOnce), None);
        outgoing.pubrec(id(1), false);
        outgoing.reconnect(1);
        assert!(matches!(outgoing.next_resend(), Some(Resend::PubRel(pid)) if pid == id(1)));
        assert_eq!(outgoing.send(qos(QoS::AtLeastOnce), None), id(2));
        assert_eq!(outgoing.pubcomp(id(1)), Acked::Ended(None));
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.puback(id(2)), Acked::Ended(None));
        assert!(outgoing.may_send());
    }

    #[test]
    fn identifiers_go_round_without_zero() {
        let mut outgoing = Outgoing::new(100);
        let mut last = 0;
        for _ in 0..70_000 {
            let given = outgoing.send(qos(QoS::AtLeastOnce), None);
            assert_eq!(given.get(), if last == u16::MAX { 1 } else { last + 1 });
            last = given.get();
            assert_eq!(outgoing.puback(given), Acked::Ended(None));
        }
    }

    /// A Client that never acknowledges its first message cannot make the window grow without bound.
    #[test]
    fn places_kept_by_exchanges_that_ended_out_of_turn_are_bounded() {
        let mut outgoing = Outgoing::new(10);
        outgoing.send(qos(QoS::AtLeastOnce), None);
        let mut sent = 1;
        while outgoing.may_send() {
            let given = outgoing.send(qos(QoS::AtLeastOnce), None);
            outgoing.puback(given);
            sent += 1;
        }
        assert_eq!(sent, 20);
        assert_eq!(outgoing.puback(id(1)), Acked::Ended(None));
        assert!(outgoing.may_send() && !outgoing.has_flight());
    }
}
