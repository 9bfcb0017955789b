//! What the Server has to deliver to a Client with QoS 1 and 2: the queue, and what is in flight.
//!
//! In:    deliveries; acknowledgements of the Client; the start of a connection; messages read back from the journal.
//! Out:   what to send next, what to read back, and what an acknowledgement means.
//! Never: more in flight than the Client's Receive Maximum, nor out of order; a QoS 2 message before its record is safe.
//! Spec:  MQTT 5.0 sections 4.3, 4.4, 4.6 and 4.9.
//!
//! Each delivery gets a sequence number when it comes; its Packet Identifier is that number modulo 65,535, plus one. So an
//! identifier survives a crash without being written, and a queue may be longer than there are identifiers.

mod recorded;

use std::collections::VecDeque;

use dunlin_codec::{PacketId, QoS};

use super::entry::{Entry, Home, Phase};
use super::extras::Extras;
use crate::mail::Deal;
use crate::message::Message;
use crate::time::Time;
use crate::topic::Identifiers;

/// There are 65,535 Packet Identifiers.
const IDENTIFIERS: u32 = u16::MAX as u32;
/// Messages read back at a time,
const READ_MESSAGES: usize = 512;
/// or bytes of them (and one message).
const READ_BYTES: u64 = 256 * 1024;
/// A connected Session's queue stays in memory up to so many bytes although the journal has it: its Client will soon want it.
const RESIDENT_BYTES: u64 = 2 * 1024 * 1024;
/// The same while memory is tight.
const READ_BYTES_TIGHT: u64 = 16 * 1024;

/// How a message goes to one Session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) extra: Option<Extra>,
}

/// What few deliveries have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) identifiers: Identifiers,
    /// Dealt by a shared group.
    pub(crate) deal: Option<Deal>,
}

impl Extra {
    /// `None` where there is nothing to keep.
    pub(crate) fn of(identifiers: Identifiers, deal: Option<Deal>) -> Option<Self> {
        let has_any = deal.is_some() || !matches!(identifiers, Identifiers::None);
        has_any.then_some(Self { identifiers, deal })
    }
}

/// Bytes of a queued message beside its parts: the entry, and what the allocator adds.
const QUEUED_WEIGHT: usize = 64;

/// The sending half of a Session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Sent at least once, or perhaps before a restart; ascending by sequence number. What ended out of turn keeps its place until
    /// those before it end.
    flight: VecDeque<Entry>,
    /// Never sent, ascending, all after those in flight.
    queue: VecDeque<Entry>,
    queue_bytes: u64,
    extras: Extras,
    /// The sequence number that comes next.
    next: u64,
    /// QoS 2 below this is safe in the journal.
    safe: u64,
    /// No restart uses a number below this again: where there is a journal, QoS 2 that has no record of its own waits for that.
    reserved: Option<u64>,
    /// Entries of `flight` before this one were sent on this connection.
    resent: usize,
    /// PUBLISH packets that may still be sent on this connection [MQTT-4.9.0-2].
    quota: u16,
    quota_maximum: u16,
    /// Messages are being read back.
    pub(crate) reading: bool,
    /// What it has acknowledged is to be written to the journal.
    pub(crate) dirty: bool,
    /// The record that says how far it has come.
    pub(crate) record: Option<u64>,
    /// What is below may have been sent before a restart: nobody knows.
    doubtful: u64,
}

/// An exchange that is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The deal it belonged to, if any.
    pub(crate) deal: Option<Deal>,
    pub(crate) home: Home,
    /// Its number, where the ledger is to know.
    pub(crate) noted: Option<u32>,
}

impl Gone {
    const NOTHING: Self = Self { deal: None, home: Home::None, noted: None };

    /// Is there a group, or the journal, to be told of it?
    #[inline]
    pub(crate) fn concerns_others(&self) -> bool {
        self.deal.is_some() || self.home != Home::None
    }
}

/// What an acknowledgement brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The exchange is over.
    Ended(Gone),
    /// Send PUBREL; `first`: for the first time.
    Release { first: bool, home: Home },
    /// There is no such exchange.
    Unknown,
    /// There is one, but this is not the packet it waits for.
    Unexpected,
}

/// Was it sent before?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    Sent,
    /// Perhaps, before a restart.
    Perhaps,
}

/// What to send next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Again, on a new connection.
    Publish(PacketId, Options, Message, Doubt),
    /// Again, on a new connection.
    PubRel(PacketId),
    /// The first of the queue. `true` where it may have been sent before a restart.
    Queued(Message, bool),
    /// It has to be read back first.
    Absent,
}

impl Outgoing {
    /// Nothing to deliver yet; at most `window` exchanges at a time [MQTT-4.9.0-1].
    pub(crate) fn new(window: u16) -> Self {
        Self {
            flight: VecDeque::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            extras: Extras::default(),
            next: 0,
            safe: 0,
            reserved: None,
            resent: 0,
            quota: window,
            quota_maximum: window,
            reading: false,
            dirty: false,
            record: None,
            doubtful: 0,
        }
    }

    /// A new connection: everything in flight is to be sent again, in order [MQTT-4.4.0-1].
    pub(crate) fn reconnect(&mut self, window: u16) {
        self.quota = window;
        self.quota_maximum = window;
        self.resent = 0;
        self.flight.iter_mut().for_each(|entry| entry.set_counted(false));
    }

    /// The connection is gone: what the journal has need not be kept in memory.
    pub(crate) fn disconnect(&mut self) {
        for entry in self.flight.iter_mut().chain(&mut self.queue).filter(|entry| entry.home().is_record()) {
            entry.message = None;
        }
    }

    /// Lets go of everything that can be read back.
    pub(crate) fn forget_recorded(&mut self) {
        self.disconnect();
        self.queue.shrink_to_fit();
    }

    /// May a new message be sent at once, before nothing that waits?
    #[inline]
    pub(crate) fn is_clear(&self) -> bool {
        self.queue.is_empty() && self.may_send()
    }

    /// Is there quota for the next of the queue, and nothing to be sent again before it?
    #[inline]
    fn may_send(&self) -> bool {
        self.quota > 0
            && self.resent == self.flight.len()
            && self.flight.len() < self.span()
            && self.has_identifier(self.queue.front().map_or(low(self.next), |entry| entry.seq))
    }

    /// Entries in flight at most: exchanges that ended out of turn keep their place, and a hostile Client could have many such.
    fn span(&self) -> usize {
        usize::from(self.quota_maximum.saturating_mul(2).max(16)).min(IDENTIFIERS as usize - 1)
    }

    /// Is the identifier of this sequence number surely free?
    #[inline]
    fn has_identifier(&self, seq: u32) -> bool {
        self.flight.front().is_none_or(|front| seq.wrapping_sub(front.seq) < IDENTIFIERS - 1)
    }

    /// A message goes out for the first time; `message` where it may have to be sent again. Its identifier is the next one, which
    /// no exchange has [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT311-2.3.1-4].
    #[inline]
    pub(crate) fn send(&mut self, options: &Options, message: Option<Message>) -> PacketId {
        let mut entry = self.entry(options, message, 0);
        entry.set_phase(Phase::AwaitAck);
        let id = self.identifier(entry.seq);
        self.begin(entry);
        id
    }

    fn begin(&mut self, mut entry: Entry) {
        entry.set_counted(true);
        self.flight.push_back(entry);
        self.resent += 1;
        self.quota -= 1;
    }

    fn entry(&mut self, options: &Options, message: Option<Message>, weight: u32) -> Entry {
        let seq = low(self.next);
        self.next += 1;
        let mut entry = Entry::new(seq, options.qos, options.retain, message, weight);
        if let Some(extra) = &options.extra {
            entry.set_extra(true);
            self.extras.insert(seq, extra.clone());
        }
        entry
    }

    /// Undoes the last [`Self::send`] or [`Self::send_queued`]: the packet could not be written.
    pub(crate) fn unsend(&mut self) -> Option<Gone> {
        let entry = self.flight.pop_back()?;
        self.resent -= 1;
        self.quota += 1;
        Some(self.gone(&entry))
    }

    /// What is to be sent next, if anything may be: first what was in flight on the last connection, in the order of the first
    /// time [MQTT311-4.6.0-1], which then counts as sent; then the queue.
    pub(crate) fn next(&mut self) -> Option<Next> {
        while let Some(entry) = self.flight.get(self.resent) {
            let (phase, id) = (entry.phase(), self.identifier(entry.seq));
            match phase {
                Phase::Ended => self.resent += 1,
                Phase::AwaitComp => {
                    self.resent += 1;
                    return Some(Next::PubRel(id));
                }
                Phase::Waiting | Phase::AwaitAck if self.quota == 0 => return None,
                Phase::Waiting | Phase::AwaitAck => {
                    if !self.is_safe(entry) {
                        return None;
                    }
                    let Some(message) = entry.message.clone() else { return Some(Next::Absent) };
                    let options = self.options(entry);
                    // What a restart put there is not known to have been sent until it goes out now.
                    let doubt = if phase == Phase::Waiting { Doubt::Perhaps } else { Doubt::Sent };
                    self.quota -= 1;
                    self.flight[self.resent].set_counted(true);
                    self.flight[self.resent].set_phase(Phase::AwaitAck);
                    self.resent += 1;
                    return Some(Next::Publish(id, options, message, doubt));
                }
            }
        }
        if !self.may_send() {
            return None;
        }
        let front = self.queue.front().filter(|front| self.is_safe(front))?;
        let is_doubtful = self.is_doubtful(front);
        Some(front.message.clone().map_or(Next::Absent, |message| Next::Queued(message, is_doubtful)))
    }

    /// Is the first of the queue QoS 2?
    pub(crate) fn is_next_exactly_once(&self) -> bool {
        self.queue.front().is_some_and(|front| front.qos() == QoS::ExactlyOnce)
    }

    /// May it have been sent before a restart?
    fn is_doubtful(&self, entry: &Entry) -> bool {
        self.full(entry.seq) < self.doubtful
    }

    /// QoS 2 is sent when its identifier is sure to survive.
    fn is_safe(&self, entry: &Entry) -> bool {
        match entry.home() {
            Home::None if entry.qos() == QoS::ExactlyOnce => {
                self.reserved.is_none_or(|reserved| self.full(entry.seq) < reserved)
            }
            Home::None => true,
            Home::Pending(_) => entry.qos() != QoS::ExactlyOnce,
            Home::Record { .. } => entry.qos() != QoS::ExactlyOnce || self.full(entry.seq) < self.safe,
        }
    }

    /// The first of the queue goes out.
    pub(crate) fn send_queued(&mut self, keep: bool) -> Option<(PacketId, Options)> {
        let mut entry = self.queue.pop_front()?;
        self.queue_bytes -= u64::from(entry.weight);
        self.shrink();
        let options = self.options(&entry);
        entry.set_phase(Phase::AwaitAck);
        if !keep || entry.home().is_record() {
            entry.message = None;
        }
        let id = self.identifier(entry.seq);
        self.begin(entry);
        Some((id, options))
    }

    fn options(&self, entry: &Entry) -> Options {
        let extra = if entry.has_extra() { self.extras.get(entry.seq) } else { None };
        Options { qos: entry.qos(), retain: entry.retain(), extra: extra.cloned() }
    }

    /// PUBACK, of whatever Reason Code [MQTT-4.4.0-2].
    #[inline]
    pub(crate) fn puback(&mut self, id: PacketId) -> Acked {
        let Some(at) = self.position(id) else { return Acked::Unknown };
        let entry = &self.flight[at];
        match (entry.phase(), entry.qos()) {
            (Phase::Ended, _) => Acked::Unknown,
            (Phase::Waiting | Phase::AwaitAck, QoS::AtLeastOnce) => self.end(at),
            _ => Acked::Unexpected,
        }
    }

    /// PUBREC; a failure ends the exchange [MQTT-4.4.0-2] [MQTT-4.8.2-6].
    pub(crate) fn pubrec(&mut self, id: PacketId, failed: bool) -> Acked {
        let Some(at) = self.position(id) else { return Acked::Unknown };
        let entry = &mut self.flight[at];
        match (entry.phase(), entry.qos()) {
            (Phase::Ended, _) => Acked::Unknown,
            (_, QoS::AtMostOnce | QoS::AtLeastOnce) => Acked::Unexpected,
            // Refused, if after it was taken: there is nothing left to release.
            _ if failed => self.end(at),
            (Phase::AwaitComp, _) => Acked::Release { first: false, home: entry.home() },
            _ => {
                entry.set_phase(Phase::AwaitComp);
                entry.message = None;
                Acked::Release { first: true, home: entry.home() }
            }
        }
    }

    /// PUBCOMP.
    pub(crate) fn pubcomp(&mut self, id: PacketId) -> Acked {
        let Some(at) = self.position(id) else { return Acked::Unknown };
        match self.flight[at].phase() {
            Phase::Ended => Acked::Unknown,
            Phase::AwaitComp => self.end(at),
            Phase::Waiting | Phase::AwaitAck => Acked::Unexpected,
        }
    }

    /// A message in flight that cannot be sent again: as if it had been delivered.
    pub(crate) fn abandon(&mut self, id: PacketId) -> Option<Gone> {
        let at = self.position(id).filter(|at| self.flight[*at].phase() != Phase::Ended)?;
        match self.end(at) {
            Acked::Ended(gone) => Some(gone),
            Acked::Release { .. } | Acked::Unknown | Acked::Unexpected => None,
        }
    }

    #[inline]
    fn end(&mut self, at: usize) -> Acked {
        // The end of one whose PUBLISH was sent on an earlier connection allows nothing new on this one [MQTT-3.3.4-9].
        self.quota += u16::from(self.flight[at].is_counted());
        Acked::Ended(self.clear(at))
    }

    fn clear(&mut self, at: usize) -> Gone {
        let ended = if at == 0 {
            // Mostly the oldest.
            self.resent = self.resent.saturating_sub(1);
            self.flight.pop_front()
        } else {
            self.flight.get_mut(at).map(Entry::take)
        };
        let gone = ended.map_or(Gone::NOTHING, |entry| self.gone(&entry));
        while self.flight.front().is_some_and(|front| front.phase() == Phase::Ended) {
            self.flight.pop_front();
            self.resent = self.resent.saturating_sub(1);
        }
        gone
    }

    fn gone(&mut self, entry: &Entry) -> Gone {
        let deal =
            if entry.has_extra() { self.extras.remove(entry.seq).and_then(|extra| extra.deal) } else { None };
        let noted = if entry.is_noted() { Some(entry.seq) } else { None };
        Gone { deal, home: entry.home(), noted }
    }

    /// Deliveries that a shared group should give to another member, because this one is gone: QoS 1, and QoS 2 that was never
    /// sent [MQTT-4.8.2-4] [MQTT-4.8.2-5]. They are forgotten here.
    pub(crate) fn take_returned_deals(&mut self) -> Vec<Deal> {
        let mut returned = Vec::new();
        if self.extras.is_empty() {
            return returned;
        }
        for at in (0..self.flight.len()).rev() {
            let entry = &self.flight[at];
            let is_returned = entry.phase() == Phase::AwaitAck && entry.qos() == QoS::AtLeastOnce;
            if is_returned && self.deal(entry).is_some() {
                returned.extend(self.clear(at).deal);
            }
        }
        let queue = std::mem::take(&mut self.queue);
        for entry in queue {
            if let Some(deal) = self.deal(&entry) {
                returned.push(deal);
                self.queue_bytes -= u64::from(entry.weight);
                self.extras.remove(entry.seq);
            } else {
                self.queue.push_back(entry);
            }
        }
        returned
    }

    fn deal(&self, entry: &Entry) -> Option<Deal> {
        if entry.has_extra() { self.extras.get(entry.seq)?.deal } else { None }
    }

    /// The deals of all exchanges in flight: what is left of them when the Session ends is QoS 2.
    pub(crate) fn deals(&self) -> impl Iterator<Item = Deal> {
        self.flight.iter().filter_map(|entry| self.deal(entry))
    }

    /// Where the records of everything are that has not ended.
    pub(crate) fn homes(&self) -> impl Iterator<Item = Home> {
        self.flight.iter().chain(&self.queue).filter(|entry| entry.phase() != Phase::Ended).map(Entry::home)
    }

    /// Puts a message at the end of the queue.
    pub(crate) fn queue(&mut self, options: &Options, message: Message) {
        let identifiers = options.extra.as_ref().map_or(0, |extra| size_of_val(extra.identifiers.as_slice()));
        let weight = QUEUED_WEIGHT + message.weight() + identifiers;
        let entry = self.entry(options, Some(message), u32::try_from(weight).unwrap_or(u32::MAX));
        self.push(entry);
    }

    fn push(&mut self, entry: Entry) {
        if self.queue.len() == self.queue.capacity() {
            // An eighth more instead of twice as much: a long queue is mostly what memory goes to.
            self.queue.reserve_exact((self.queue.len() / 8).max(16));
        }
        self.queue_bytes += u64::from(entry.weight);
        self.queue.push_back(entry);
    }

    /// A long queue must not keep its memory for ever.
    fn shrink(&mut self) {
        if self.queue.len() * 4 < self.queue.capacity() && self.queue.capacity() > 64 {
            self.queue.shrink_to(self.queue.len() * 2);
        }
    }

    /// Takes the first of the queue.
    pub(crate) fn pop(&mut self) -> Option<Gone> {
        let entry = self.queue.pop_front()?;
        self.queue_bytes -= u64::from(entry.weight);
        self.shrink();
        Some(self.gone(&entry))
    }

    /// Takes the first of the queue if its time is over, as far as that is known here.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<Gone> {
        let is_expired = self.queue.front()?.message.as_ref()?.is_expired(now);
        if is_expired { self.pop() } else { None }
    }

    /// The end of the last that was sent is to be noted; its number.
    pub(crate) fn note_last_sent(&mut self) -> Option<u32> {
        let entry = self.flight.back_mut()?;
        entry.set_noted();
        Some(entry.seq)
    }

    /// The same for the last of the queue.
    pub(crate) fn note_last_queued(&mut self) -> Option<u32> {
        let entry = self.queue.back_mut()?;
        entry.set_noted();
        Some(entry.seq)
    }

    /// Does the first of the queue wait for the journal?
    pub(crate) fn waits_for_journal(&self) -> bool {
        self.queue.front().is_some_and(|front| !self.is_safe(front))
    }

    /// The topic of the first of the queue and the number of its message, as far as it is in memory.
    pub(crate) fn first_of_queue(&self) -> Option<(Message, u32)> {
        let message = self.queue.front()?.message.clone()?;
        let number = message.view().number;
        Some((message, number))
    }

    /// The messages of the queue that are in memory and have this topic.
    pub(crate) fn queued_of(&self, topic: &str) -> usize {
        let messages = self.queue.iter().filter_map(|entry| entry.message.as_ref());
        messages.filter(|message| message.view().topic == topic).count()
    }

    /// Messages in the queue.
    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// What is in flight and then what waits, without so many at the beginning.
    pub(crate) fn entries(&self, skipped: usize) -> impl Iterator<Item = &Entry> {
        let flight = self.flight.range(skipped.min(self.flight.len())..);
        let queue = self.queue.range(skipped.saturating_sub(self.flight.len()).min(self.queue.len())..);
        flight.chain(queue)
    }

    /// Their bytes.
    pub(crate) fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    /// Messages in flight, those included that ended out of turn.
    pub(crate) fn flight_len(&self) -> usize {
        self.flight.len()
    }

    /// Messages in flight that are not acknowledged.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.iter().filter(|entry| entry.phase() != Phase::Ended).count()
    }

    /// Was everything in flight sent on this connection?
    pub(crate) fn is_resent(&self) -> bool {
        self.resent == self.flight.len()
    }

    /// Is anything in flight, seen from here in constant time?
    pub(crate) fn has_flight(&self) -> bool {
        !self.flight.is_empty()
    }

    #[inline]
    fn identifier(&self, seq: u32) -> PacketId {
        let number = self.full(seq) % u64::from(IDENTIFIERS) + 1;
        u16::try_from(number).ok().and_then(PacketId::new).unwrap_or(PacketId::MIN)
    }

    /// The whole number: at most four billion wait at a time.
    #[inline]
    fn full(&self, seq: u32) -> u64 {
        self.next - u64::from(low(self.next).wrapping_sub(seq))
    }

    /// Not yet sent again on this connection: an acknowledgement for it answers the last connection, and is good.
    #[inline]
    fn position(&self, id: PacketId) -> Option<usize> {
        let first = self.full(self.flight.front()?.seq) % u64::from(IDENTIFIERS);
        let wanted = u64::from(id.get()) - 1;
        let ahead = if wanted >= first { wanted - first } else { wanted + u64::from(IDENTIFIERS) - first };
        let seq = self.flight.front()?.seq.wrapping_add(u32::try_from(ahead).ok()?);
        find(&self.flight, seq)
    }
}

/// What of a Session's deliveries has not ended: those listed, and all from a number on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The sequence number that comes next.
    pub(crate) next: u64,
    /// Everything from here on.
    pub(crate) queue_from: u64,
    /// In flight, ascending.
    pub(crate) sent: Vec<u64>,
    /// PUBREC was received, ascending.
    pub(crate) released: Vec<u64>,
}

#[inline]
const fn low(seq: u64) -> u32 {
    (seq & 0xffff_ffff) as u32
}

/// The place of a sequence number. Mostly none is missing, so that the first guess is right.
#[inline]
fn find(entries: &VecDeque<Entry>, seq: u32) -> Option<usize> {
    let first = entries.front()?.seq;
    let ahead = seq.wrapping_sub(first) as usize;
    if entries.get(ahead).is_some_and(|entry| entry.seq == seq) {
        return Some(ahead);
    }
    entries.binary_search_by_key(&ahead, |entry| entry.seq.wrapping_sub(first) as usize).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Acked = Acked::Ended(Gone { deal: None, home: Home::None, noted: None });

    /// One that can be sent again.
    fn message() -> Option<Message> {
        let origin = None;
        let view = crate::message::MessageView {
            topic: "t",
            properties: &[],
            payload: b"p",
            qos: QoS::ExactlyOnce,
            retain: false,
            expires_at: None,
            origin,
            exchange: None,
            durability: crate::durability::Durability::Synced,
            number: 0,
            sent: None,
        };
        Some(view.to_message())
    }

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
        assert_eq!(outgoing.send(&qos(QoS::AtLeastOnce), None), id(1));
        assert_eq!(outgoing.send(&qos(QoS::ExactlyOnce), None), id(2));
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.pubrec(id(2), false), Acked::Release { first: true, home: Home::None });
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.puback(id(1)), ENDED);
        assert!(outgoing.may_send());
        assert_eq!(outgoing.pubcomp(id(2)), ENDED);
        assert!(!outgoing.has_flight());
    }

    #[test]
    fn acknowledgements_out_of_place_change_nothing() {
        let mut outgoing = Outgoing::new(10);
        outgoing.send(&qos(QoS::AtLeastOnce), None);
        outgoing.send(&qos(QoS::ExactlyOnce), None);
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
            outgoing.send(&qos(quality), message());
        }
        outgoing.puback(id(3));
        outgoing.pubrec(id(2), false);
        outgoing.reconnect(2);

        assert!(matches!(outgoing.next(), Some(Next::Publish(pid, ..)) if pid == id(1)));
        assert!(matches!(outgoing.next(), Some(Next::PubRel(pid)) if pid == id(2)));
        assert!(!outgoing.may_send());
        assert!(matches!(outgoing.next(), Some(Next::Publish(pid, ..)) if pid == id(4)));
        assert!(outgoing.next().is_none());
        assert!(!outgoing.may_send(), "the new window of two is used up");
    }

    /// [MQTT-3.3.4-9] Only a PUBLISH of this connection gives its quota back: with a window of one, the end of an exchange that
    /// goes on after a reconnect with PUBREL does not allow a second message beside the one that was sent meanwhile.
    #[test]
    fn exchanges_of_an_earlier_connection_give_no_quota() {
        let mut outgoing = Outgoing::new(1);
        outgoing.send(&qos(QoS::ExactlyOnce), None);
        outgoing.pubrec(id(1), false);
        outgoing.reconnect(1);
        assert!(matches!(outgoing.next(), Some(Next::PubRel(pid)) if pid == id(1)));
        assert_eq!(outgoing.send(&qos(QoS::AtLeastOnce), None), id(2));
        assert_eq!(outgoing.pubcomp(id(1)), ENDED);
        assert!(!outgoing.may_send());
        assert_eq!(outgoing.puback(id(2)), ENDED);
        assert!(outgoing.may_send());
    }

    #[test]
    fn identifiers_go_round_without_zero() {
        let mut outgoing = Outgoing::new(100);
        let mut last = 0;
        for _ in 0..70_000 {
            let given = outgoing.send(&qos(QoS::AtLeastOnce), None);
            assert_eq!(given.get(), if last == u16::MAX { 1 } else { last + 1 });
            last = given.get();
            assert_eq!(outgoing.puback(given), ENDED);
        }
    }

    /// A Client that never acknowledges its first message cannot make the window grow without bound.
    #[test]
    fn places_kept_by_exchanges_that_ended_out_of_turn_are_bounded() {
        let mut outgoing = Outgoing::new(10);
        outgoing.send(&qos(QoS::AtLeastOnce), None);
        let mut sent = 1;
        while outgoing.may_send() {
            let given = outgoing.send(&qos(QoS::AtLeastOnce), None);
            outgoing.puback(given);
            sent += 1;
        }
        assert_eq!(sent, 20);
        assert_eq!(outgoing.puback(id(1)), ENDED);
        assert!(outgoing.may_send() && !outgoing.has_flight());
    }
}
