//! A retained message as it is kept: in one piece of memory where it is small, as most of a million are.
//!
//! In:    a message that passes through.
//! Out:   the same, and its place in the order of Topic Names.
//! Never: the exchange it came with, which is over.

use std::borrow::Borrow;
use std::cmp::Ordering;

use dunlin_codec::QoS;

use crate::durability::Durability;
use crate::mail::SessionRef;
use crate::message::{Message, MessageView};
use crate::partition::ShardId;
use crate::session::SessionId;
use crate::time::Time;

/// Bytes of topic, properties and payload from which on a message is shared with everybody it goes to, instead of copied.
const SHARED_MIN: usize = 512;

/// A retained message, ordered by the bytes of its Topic Name.
#[derive(Clone, Debug)]
pub(crate) enum RetainedValue {
    /// Length of the topic, flags, topic, expiry, origin, length of the properties, properties, payload.
    Packed(Box<[u8]>),
    Shared(Message),
}

const QOS: u8 = 0b11;
const EXPIRES: u8 = 1 << 2;
const ORIGIN: u8 = 1 << 3;
const PROPERTIES: u8 = 1 << 4;
const DURABILITY: u32 = 6;

impl RetainedValue {
    pub(crate) fn new(view: MessageView<'_>) -> Self {
        // It has its exchange behind it, and those who followed it.
        let view = MessageView { exchange: None, number: 0, ..view };
        if view.weight() >= SHARED_MIN {
            return Self::Shared(view.to_message());
        }
        let durability = match view.durability {
            Durability::Memory => 0,
            Durability::Written => 1,
            Durability::Synced => 2,
        };
        let mut flags = view.qos as u8 | durability << DURABILITY;
        let mut middle: smallvec::SmallVec<[u8; 24]> = smallvec::SmallVec::new();
        if let Some(at) = view.expires_at {
            flags |= EXPIRES;
            middle.extend_from_slice(&at.as_micros().to_le_bytes());
        }
        if let Some(SessionRef { shard, session }) = view.origin {
            flags |= ORIGIN;
            middle.push(u8::try_from(shard.index()).unwrap_or(u8::MAX));
            middle.extend_from_slice(&session.to_bytes());
        }
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
        if !view.properties.is_empty() {
            flags |= PROPERTIES;
            middle.extend_from_slice(&length(view.properties));
        }
        let topic = view.topic.as_bytes();
        let parts = [&length(topic)[..], &[flags], topic, &middle, view.properties, view.payload];
        Self::Packed(parts.concat().into())
    }

    pub(crate) fn topic(&self) -> &[u8] {
        match self {
            Self::Packed(bytes) => Packed::of(bytes).topic,
            Self::Shared(message) => message.view().topic.as_bytes(),
        }
    }

    pub(crate) fn view(&self) -> MessageView<'_> {
        match self {
            Self::Packed(bytes) => Packed::of(bytes).view(),
            Self::Shared(message) => message.view(),
        }
    }

    pub(crate) fn to_message(&self) -> Message {
        match self {
            Self::Packed(_) => self.view().to_message(),
            Self::Shared(message) => message.clone(),
        }
    }
}

/// A packed message whose topic is told from the rest.
struct Packed<'a> {
    flags: u8,
    topic: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let Some(([low, high, flags], rest)) = bytes.split_first_chunk::<3>() else {
            unreachable!("three bytes are before every topic")
        };
        let (topic, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])));
        Self { flags: *flags, topic, rest }
    }

    /// The next bytes, where the flag says that they are there.
    fn part<const N: usize>(&mut self, flag: u8) -> Option<[u8; N]> {
        let (part, rest) = self.rest.split_first_chunk::<N>().filter(|_| self.flags & flag != 0)?;
        self.rest = rest;
        Some(*part)
    }

    fn view(mut self) -> MessageView<'a> {
        let expires_at = self.part(EXPIRES).map(u64::from_le_bytes).map(Time::from_micros);
        let origin = self.part(ORIGIN).and_then(|[shard, session @ ..]: [u8; 9]| {
            Some(SessionRef { shard: ShardId::new(shard.into())?, session: SessionId::from_bytes(session) })
        });
        let properties = self.part(PROPERTIES).map_or(0, u16::from_le_bytes);
        let (properties, payload) = self.rest.split_at(properties.into());
        MessageView {
            // Checked when it was made from a &str.
            topic: std::str::from_utf8(self.topic).unwrap_or_default(),
            properties,
            payload,
            qos: QoS::from_u8(self.flags & QOS).unwrap_or_default(),
            retain: true,
            expires_at,
            origin,
            exchange: None,
            number: 0,
            sent: None,
            durability: match self.flags >> DURABILITY {
                0 => Durability::Memory,
                1 => Durability::Written,
                _ => Durability::Synced,
            },
        }
    }
}

impl Borrow<[u8]> for RetainedValue {
    fn borrow(&self) -> &[u8] {
        self.topic()
    }
}

impl Ord for RetainedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.topic().cmp(other.topic())
    }
}

impl PartialOrd for RetainedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RetainedValue {
    fn eq(&self, other: &Self) -> bool {
        self.topic() == other.topic()
    }
}

impl Eq for RetainedValue {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was() {
        assert_eq!(size_of::<RetainedValue>(), 16);
        let origin = SessionRef { shard: ShardId::FIRST, session: SessionId::from_bytes([7; 8]) };
        for payload in [&b"p"[..], &[1; SHARED_MIN]] {
            for bits in 0..16_u8 {
                let view = MessageView {
                    topic: "a/\u{e9}",
                    properties: if bits & 1 == 0 { &[] } else { &[1, 1] },
                    payload,
                    qos: if bits & 2 == 0 { QoS::AtMostOnce } else { QoS::ExactlyOnce },
                    retain: true,
                    expires_at: (bits & 4 != 0).then(|| Time::from_micros(9)),
                    origin: (bits & 8 != 0).then_some(origin),
                    exchange: None,
                    number: 0,
                    sent: None,
                    durability: [Durability::Memory, Durability::Written, Durability::Synced]
                        [usize::from(bits % 3)],
                };
                let value = RetainedValue::new(view);
                assert_eq!((value.view(), value.topic()), (view, "a/\u{e9}".as_bytes()));
                assert_eq!(value.to_message().view(), view);
            }
        }
    }
}
