//! What the journal says: events of Sessions, retained messages and shared groups, as bytes.
//!
//! In:    records to be written; bytes that were read, which may be anything.
//! Out:   bytes; records that borrow from them, or nothing where they are none.
//! Never: a guess. An unknown kind is `None`; kinds and fields are never given another meaning.
//!
//! One byte of kind, then the fields: integers as LEB128, texts and bytes with their length before them, times in
//! microseconds. The payload of a message comes last, without a length. `docs/journal-format.md` has the table.

use dunlin_codec::{PacketId, QoS};
use smallvec::SmallVec;

use crate::durability::Durability;
use crate::message::MessageView;
use crate::session::outgoing::Progress;
use crate::time::Time;

/// A publisher's QoS 2 exchange, by names that a restart does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Exchange {
    /// Of the publisher's Session.
    pub(crate) partition: u8,
    pub(crate) key: u64,
    pub(crate) packet_id: PacketId,
}

/// How a record's message goes to one Session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: u64,
    pub(crate) seq: u64,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: Vec<u32>,
}

/// A Will, as a Session has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WillView<'a> {
    pub(crate) message: MessageView<'a>,
    /// Seconds, and one more; 0 for none.
    pub(crate) expiry: u64,
    /// Seconds.
    pub(crate) delay: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// A Session began, or a connection took it up.
    Opened {
        key: u64,
        client_id: &'a str,
        expiry: u32,
        at: Time,
        will: Option<WillView<'a>>,
    },
    /// Its connection ended; `will`: it still has one.
    Closed {
        key: u64,
        expiry: u32,
        at: Time,
        will: bool,
    },
    /// It is no more.
    Ended {
        key: u64,
    },
    Subscribed {
        key: u64,
        options: u8,
        identifier: u32,
        filter: &'a str,
    },
    Unsubscribed {
        key: u64,
        filter: &'a str,
    },
    /// A message for Sessions.
    Deliver {
        exchange: Option<Exchange>,
        targets: SmallVec<[Target; 1]>,
        message: MessageView<'a>,
    },
    /// How far a Session has come, in both directions: everything that has not ended.
    Progress {
        key: u64,
        outgoing: Progress,
        received: Vec<u64>,
    },
    /// A publisher released a QoS 2 message.
    Released {
        exchange: Exchange,
    },
    Retained {
        message: MessageView<'a>,
    },
    Cleared {
        topic: &'a str,
    },
    /// A message for a shared group.
    Group {
        share: &'a str,
        filter: &'a str,
        message: MessageView<'a>,
    },
    /// Those messages, by the numbers of their records, are done with.
    GroupDone {
        numbers: Vec<u64>,
    },
    /// In a checkpoint: the records of retained messages, and of messages of groups, that count.
    Live {
        retained: Vec<u64>,
        groups: Vec<u64>,
    },
    /// In a checkpoint: records that an open exchange brought.
    Seen {
        exchange: Exchange,
        number: u64,
    },
}

const OPENED: u8 = 1;
const CLOSED: u8 = 2;
const ENDED: u8 = 3;
const SUBSCRIBED: u8 = 4;
const UNSUBSCRIBED: u8 = 5;
const DELIVER: u8 = 6;
const PROGRESS: u8 = 7;
const RELEASED: u8 = 8;
const RETAINED: u8 = 9;
const CLEARED: u8 = 10;
const GROUP: u8 = 11;
const GROUP_DONE: u8 = 12;
const LIVE: u8 = 13;
const SEEN: u8 = 14;

/// Numbers of one list, at most: more than one partition's share of a billion.
const NUMBERS_MAXIMUM: u64 = 1 << 24;

const FLAG_RETAIN: u8 = 1 << 2;
const FLAG_EXPIRES: u8 = 1 << 3;

/// Sequence numbers stay below: nobody counts so far.
const SEQUENCE_MAXIMUM: u64 = 1 << 56;

impl Record<'_> {
    /// May its numbers be reckoned with? Others were never written.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::Deliver { targets, .. } => targets.iter().all(|target| target.seq < SEQUENCE_MAXIMUM),
            Self::Progress { outgoing: Progress { next, queue_from, sent, released }, .. } => {
                let is_before = |list: &Vec<u64>| list.last().is_none_or(|last| last < next);
                queue_from <= next && *next < SEQUENCE_MAXIMUM && is_before(sent) && is_before(released)
            }
            _ => true,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened { key, client_id, expiry, at, will } => {
                out.push(OPENED);
                number(out, *key);
                text(out, client_id);
                number(out, (*expiry).into());
                number(out, at.as_micros());
                out.push(will.is_some().into());
                if let Some(will) = will {
                    number(out, will.expiry);
                    number(out, will.delay);
                    encode_message(out, &will.message);
                }
            }
            Self::Closed { key, expiry, at, will } => {
                out.push(CLOSED);
                number(out, *key);
                number(out, (*expiry).into());
                number(out, at.as_micros());
                out.push((*will).into());
            }
            Self::Ended { key } => {
                out.push(ENDED);
                number(out, *key);
            }
            Self::Subscribed { key, options, identifier, filter } => {
                out.push(SUBSCRIBED);
                number(out, *key);
                out.push(*options);
                number(out, (*identifier).into());
                text(out, filter);
            }
            Self::Unsubscribed { key, filter } => {
                out.push(UNSUBSCRIBED);
                number(out, *key);
                text(out, filter);
            }
            Self::Deliver { exchange, targets, message } => {
                deliver_head(out, *exchange, targets.len());
                targets.iter().for_each(|target| encode_target(out, target));
                encode_message(out, message);
            }
            rest => rest.encode_other(out),
        }
    }

    /// Everything but what happens to Sessions and messages for them.
    fn encode_other(&self, out: &mut Vec<u8>) {
        match self {
            Self::Progress { key, outgoing, received } => {
                out.push(PROGRESS);
                number(out, *key);
                number(out, outgoing.next);
                number(out, outgoing.queue_from);
                ascending(out, &outgoing.sent);
                ascending(out, &outgoing.released);
                ascending(out, received);
            }
            Self::Released { exchange } => {
                out.push(RELEASED);
                encode_exchange(out, exchange);
            }
            Self::Retained { message } => {
                out.push(RETAINED);
                encode_message(out, message);
            }
            Self::Cleared { topic } => {
                out.push(CLEARED);
                text(out, topic);
            }
            Self::Group { share, filter, message } => {
                out.push(GROUP);
                text(out, share);
                text(out, filter);
                encode_message(out, message);
            }
            Self::GroupDone { numbers } => {
                out.push(GROUP_DONE);
                ascending(out, numbers);
            }
            Self::Live { retained, groups } => {
                out.push(LIVE);
                ascending(out, retained);
                ascending(out, groups);
            }
            Self::Seen { exchange, number: record } => {
                out.push(SEEN);
                encode_exchange(out, exchange);
                number(out, *record);
            }
            Self::Opened { .. }
            | Self::Closed { .. }
            | Self::Ended { .. }
            | Self::Subscribed { .. }
            | Self::Unsubscribed { .. }
            | Self::Deliver { .. } => unreachable!("encoded by the caller"),
        }
    }
}

/// A `Deliver` whose targets and message follow.
pub(crate) fn deliver_head(out: &mut Vec<u8>, exchange: Option<Exchange>, targets: usize) {
    out.push(DELIVER);
    out.push(exchange.is_some().into());
    if let Some(exchange) = &exchange {
        encode_exchange(out, exchange);
    }
    number(out, targets as u64);
}

pub(crate) fn encode_target(out: &mut Vec<u8>, target: &Target) {
    number(out, target.key);
    number(out, target.seq);
    let identifiers = u64::try_from(target.identifiers.len()).unwrap_or(u64::MAX);
    let flags = target.qos as u64 | u64::from(target.retain) << 2 | identifiers << 3;
    number(out, flags);
    target.identifiers.iter().for_each(|identifier| number(out, (*identifier).into()));
}

fn encode_exchange(out: &mut Vec<u8>, exchange: &Exchange) {
    out.push(exchange.partition);
    number(out, exchange.key);
    number(out, exchange.packet_id.get().into());
}

/// To the end of the record.
pub(crate) fn encode_message(out: &mut Vec<u8>, message: &MessageView<'_>) {
    let retain = if message.retain { FLAG_RETAIN } else { 0 };
    let expires = if message.expires_at.is_some() { FLAG_EXPIRES } else { 0 };
    out.push(message.qos as u8 | retain | expires);
    if let Some(at) = message.expires_at {
        number(out, at.as_micros());
    }
    text(out, message.topic);
    number(out, message.properties.len() as u64);
    out.extend_from_slice(message.properties);
    out.extend_from_slice(message.payload);
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Runs of consecutive numbers: how many, then for each the step to its first and how many more follow.
fn ascending(out: &mut Vec<u8>, numbers: &[u64]) {
    let runs = || numbers.chunk_by(|a, b| *b == *a + 1);
    number(out, runs().count() as u64);
    let mut last = 0;
    for run in runs() {
        number(out, run[0] - last);
        number(out, run.len() as u64 - 1);
        last = run[run.len() - 1];
    }
}

/// Reads what a record says. `None` for bytes that are no record of this version.
pub(crate) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let mut reader = Reader(bytes);
    let record = match reader.byte()? {
        OPENED => Record::Opened {
            key: reader.number()?,
            client_id: reader.text()?,
            expiry: reader.small()?,
            at: Time::from_micros(reader.number()?),
            will: if reader.flag()? { Some(reader.will()?) } else { None },
        },
        CLOSED => Record::Closed {
            key: reader.number()?,
            expiry: reader.small()?,
            at: Time::from_micros(reader.number()?),
            will: reader.flag()?,
        },
        ENDED => Record::Ended { key: reader.number()? },
        SUBSCRIBED => Record::Subscribed {
            key: reader.number()?,
            options: reader.byte()?,
            identifier: reader.small()?,
            filter: reader.text()?,
        },
        UNSUBSCRIBED => Record::Unsubscribed { key: reader.number()?, filter: reader.text()? },
        DELIVER => {
            let exchange = if reader.flag()? { Some(reader.exchange()?) } else { None };
            let count = reader.number()?;
            let mut targets = SmallVec::new();
            for _ in 0..count {
                targets.push(reader.target()?);
            }
            Record::Deliver { exchange, targets, message: reader.message()? }
        }
        PROGRESS => Record::Progress {
            key: reader.number()?,
            outgoing: Progress {
                next: reader.number()?,
                queue_from: reader.number()?,
                sent: reader.ascending()?,
                released: reader.ascending()?,
            },
            received: reader.ascending()?,
        },
        RELEASED => Record::Released { exchange: reader.exchange()? },
        RETAINED => Record::Retained { message: reader.message()? },
        CLEARED => Record::Cleared { topic: reader.text()? },
        GROUP => Record::Group { share: reader.text()?, filter: reader.text()?, message: reader.message()? },
        GROUP_DONE => Record::GroupDone { numbers: reader.ascending()? },
        LIVE => Record::Live { retained: reader.ascending()?, groups: reader.ascending()? },
        SEEN => Record::Seen { exchange: reader.exchange()?, number: reader.number()? },
        _ => return None,
    };
    reader.0.is_empty().then_some(record)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn exchange(&mut self) -> Option<Exchange> {
        Some(Exchange {
            partition: self.byte()?,
            key: self.number()?,
            packet_id: PacketId::new(self.number()?.try_into().ok()?)?,
        })
    }

    fn target(&mut self) -> Option<Target> {
        let (key, seq, flags) = (self.number()?, self.number()?, self.number()?);
        let mut identifiers = Vec::new();
        for _ in 0..flags >> 3 {
            identifiers.push(self.small()?);
        }
        Some(Target { key, seq, qos: QoS::from_u8((flags & 3) as u8)?, retain: flags & 4 != 0, identifiers })
    }

    fn will(&mut self) -> Option<WillView<'a>> {
        Some(WillView { expiry: self.number()?, delay: self.number()?, message: self.message()? })
    }

    /// The rest.
    fn message(&mut self) -> Option<MessageView<'a>> {
        let flags = self.byte()?;
        let expires_at =
            if flags & FLAG_EXPIRES == 0 { None } else { Some(Time::from_micros(self.number()?)) };
        Some(MessageView {
            topic: self.text()?,
            properties: self.bytes()?,
            payload: std::mem::take(&mut self.0),
            qos: QoS::from_u8(flags & 3)?,
            retain: flags & FLAG_RETAIN != 0,
            expires_at,
            origin: None,
            exchange: None,
            durability: Durability::Synced,
            number: 0,
            sent: None,
        })
    }

    fn ascending(&mut self) -> Option<Vec<u64>> {
        let runs = self.number()?;
        let mut numbers = Vec::new();
        let mut last = 0_u64;
        for _ in 0..runs {
            let first = last.checked_add(self.number()?)?;
            last = first.checked_add(self.number()?)?;
            // Damage must not take all memory.
            if last - first > NUMBERS_MAXIMUM || numbers.len() as u64 > NUMBERS_MAXIMUM {
                return None;
            }
            numbers.extend(first..=last);
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(topic: &'static str) -> MessageView<'static> {
        MessageView {
            topic,
            properties: b"\x01\x01",
            payload: b"payload",
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at: Some(Time::from_micros(1 << 50)),
            origin: None,
            exchange: None,
            durability: Durability::Synced,
            number: 0,
            sent: None,
        }
    }

    fn samples() -> Vec<Record<'static>> {
        let exchange = Exchange { partition: 255, key: u64::MAX, packet_id: PacketId::MIN };
        let will = Some(WillView { message: message("will"), expiry: 0, delay: 5 });
        let at = Time::from_micros(77);
        let target =
            Target { key: 3, seq: 1 << 40, qos: QoS::AtLeastOnce, retain: true, identifiers: vec![1, 9] };
        let outgoing = Progress { next: 300, queue_from: 20, sent: vec![1, 2, 3, 9], released: vec![7] };
        vec![
            Record::Opened { key: 1, client_id: "a", expiry: u32::MAX, at, will },
            Record::Opened { key: 1, client_id: "", expiry: 0, at, will: None },
            Record::Closed { key: 1, expiry: 9, at, will: true },
            Record::Ended { key: 1 },
            Record::Subscribed { key: 200, options: 3, identifier: 1 << 20, filter: "a/+/#" },
            Record::Unsubscribed { key: 200, filter: "a/+/#" },
            Record::Deliver {
                exchange: Some(exchange),
                targets: smallvec::smallvec![target.clone(), target],
                message: message("t"),
            },
            Record::Deliver { exchange: None, targets: SmallVec::new(), message: message("t") },
            Record::Progress { key: 1, outgoing, received: vec![1, 65_535] },
            Record::Released { exchange },
            Record::Retained { message: message("r") },
            Record::Cleared { topic: "r" },
            Record::Group { share: "s", filter: "f", message: message("t") },
            Record::GroupDone { numbers: vec![4, 5, 90] },
            Record::Live { retained: vec![0, 1, 2], groups: vec![] },
            Record::Seen { exchange, number: 4 },
        ]
    }

    #[test]
    fn records_come_back() {
        for record in samples() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(decode(&bytes), Some(record));
        }
    }

    /// One printable line for each kind, whatever is in it, and never a payload.
    #[test]
    fn records_are_described() {
        for record in samples() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let text = crate::describe_record(&bytes).unwrap();
            assert!(!text.contains("payload\"") && !text.contains("=payload"), "{text}");
            assert!(text.chars().all(|c| !c.is_control()), "{text}");
            assert_eq!(
                crate::describe_record(&bytes[..bytes.len() - 1]).is_some(),
                decode(&bytes[..bytes.len() - 1]).is_some()
            );
        }
        let record = Record::Cleared { topic: "a\x1b[31m\n" };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(crate::describe_record(&bytes).unwrap(), r#"cleared topic="a\u{1b}[31m\n""#);
        assert_eq!(crate::describe_record(b"\xff"), None);
    }

    /// Every bit flipped, every length: never a panic, never much memory.
    #[test]
    fn damaged_records_are_read_without_harm() {
        for record in samples() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for cut in 0..bytes.len() {
                let _ = decode(&bytes[..cut]);
            }
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let _ = decode(&bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
