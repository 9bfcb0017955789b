//! The bodies of records.
//!
//! A byte says which; then
//! 1 queued: key (u64), expiry in milliseconds since 1970 (u64, 0: none), a 5.0 PUBLISH packet;
//! 2 sent: key (u64), Packet Identifier (u16);
//! 3 released, 4 done: key (u64);
//! 5 taken, 6 freed: Packet Identifier (u16);
//! 7 new session.

use bytes::Bytes;
use dunlin_codec::{
    Frame, Framing, PacketId, PropertyBuf, ProtocolVersion, Publish, QoS, RuleSet, Tolerance, TopicName,
};

use crate::session::Record;
use crate::{Message, Time};

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// A record without its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Queued { key: u64 },
    Sent { key: u64, packet_id: PacketId },
    Released { key: u64 },
    Done { key: u64 },
    Taken { packet_id: PacketId },
    Freed { packet_id: PacketId },
    NewSession,
}

pub(crate) fn head(len: usize, crc: u32) -> [u8; 8] {
    let Ok(len) = u32::try_from(len) else { unreachable!("a record of {len} bytes: packets are shorter") };
    let mut head = [0; 8];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Length and CRC, if all of it is there.
pub(crate) fn read_head(bytes: &[u8]) -> Option<(u32, u32)> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (crc, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*len), u32::from_le_bytes(*crc)))
}

pub(crate) fn put(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Queued { key, expires_at, message } => {
            put_key(1, *key, out);
            out.extend_from_slice(&expires_at.map_or(0, Time::as_millis).to_le_bytes());
            put_message(message, out);
        }
        Record::Sent { key, packet_id } => {
            put_key(2, *key, out);
            out.extend_from_slice(&packet_id.get().to_le_bytes());
        }
        Record::Released { key } => put_key(3, *key, out),
        Record::Done { key } => put_key(4, *key, out),
        Record::Taken { packet_id } => put_id(5, *packet_id, out),
        Record::Freed { packet_id } => put_id(6, *packet_id, out),
        Record::NewSession => out.push(7),
    }
}

fn put_key(kind: u8, key: u64, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&key.to_le_bytes());
}

fn put_id(kind: u8, id: PacketId, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&id.get().to_le_bytes());
}

fn put_message(message: &Message, out: &mut Vec<u8>) {
    let mut properties = PropertyBuf::new();
    message.put_properties(message.about().and_then(|about| about.expiry), &mut properties);
    let qos = message.quality();
    Publish {
        dup: false,
        qos,
        retain: message.is_retained(),
        topic: message.topic(),
        packet_id: (qos != QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: properties.as_properties(),
        payload: message.payload(),
    }
    .encode(VERSION, out);
}

/// The expiry and the message of a body of kind 1.
pub(crate) fn read_message(body: &[u8]) -> Option<(Option<Time>, Message)> {
    let (expiry, packet) = body.get(9..)?.split_first_chunk()?;
    let expiry = Some(u64::from_le_bytes(*expiry)).filter(|millis| *millis > 0);
    let Ok(Framing::Complete { frame, len }) = Frame::split(packet, u32::MAX) else { return None };
    let mut broken = RuleSet::EMPTY;
    let publish = Publish::decode(frame, VERSION, Tolerance::default(), &mut broken).ok()?;
    TopicName::parse(publish.topic).ok().filter(|_| len == packet.len())?;
    let payload = Bytes::copy_from_slice(publish.payload);
    let mut message = Message::received(publish.topic.into(), payload, publish.qos, publish.retain);
    message.read_properties(publish.properties);
    Some((expiry.map(Time::from_millis), message))
}

impl Entry {
    pub(crate) fn of(record: &Record) -> Self {
        match *record {
            Record::Queued { key, .. } => Self::Queued { key },
            Record::Sent { key, packet_id } => Self::Sent { key, packet_id },
            Record::Released { key } => Self::Released { key },
            Record::Done { key } => Self::Done { key },
            Record::Taken { packet_id } => Self::Taken { packet_id },
            Record::Freed { packet_id } => Self::Freed { packet_id },
            Record::NewSession => Self::NewSession,
        }
    }

    /// `None` for what is no body.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (&kind, rest) = body.split_first()?;
        let id = |bytes: &[u8]| PacketId::new(u16::from_le_bytes(bytes.try_into().ok()?));
        if matches!(kind, 1..=4) {
            let (key, rest) = rest.split_first_chunk()?;
            let key = u64::from_le_bytes(*key);
            return match kind {
                1 => read_message(body).map(|_| Self::Queued { key }),
                2 => Some(Self::Sent { key, packet_id: id(rest)? }),
                3 => Some(Self::Released { key }),
                _ => Some(Self::Done { key }),
            };
        }
        match kind {
            5 => Some(Self::Taken { packet_id: id(rest)? }),
            6 => Some(Self::Freed { packet_id: id(rest)? }),
            7 => Some(Self::NewSession),
            _ => None,
        }
    }
}
