//! The Application Message: as it passes through ([`MessageView`]) and as it is kept ([`Message`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_codec::{ProtocolVersion, QoS};

use crate::durability::Durability;
use crate::journal::record::Exchange;
use crate::mail::SessionRef;
use crate::span::Followed;
use crate::time::Time;

/// A message that borrows its parts; made for each PUBLISH without copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageView<'a> {
    /// A checked Topic Name.
    pub(crate) topic: &'a str,
    /// Encoded properties that a Server must forward unaltered; neither expiry nor alias nor Subscription Identifier.
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires_at: Option<Time>,
    /// `None` for messages of the Server.
    pub(crate) origin: Option<SessionRef>,
    /// The publisher's exchange, where it is QoS 2 and survives a restart.
    pub(crate) exchange: Option<Exchange>,
    /// What it has to survive.
    pub(crate) durability: Durability,
    /// By which the ledger knows it; 0 where it is not followed.
    pub(crate) number: u32,
    /// How it came, where it can go on like that.
    pub(crate) sent: Option<Sent<'a>>,
}

/// A PUBLISH of this very message, as its publisher sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent<'a> {
    pub(crate) version: ProtocolVersion,
    /// Variable header and payload.
    pub(crate) body: &'a [u8],
}

/// A message that is kept: queued, in flight, retained, a Will. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Message(Arc<Stored>);

#[derive(Debug)]
struct Stored {
    /// Topic Name, properties, payload.
    body: Bytes,
    topic_len: u32,
    properties_len: u32,
    qos: QoS,
    retain: bool,
    expires_at: Option<Time>,
    origin: Option<SessionRef>,
    exchange: Option<Exchange>,
    durability: Durability,
    number: u32,
    /// Where its way is followed.
    followed: Option<Followed>,
}

impl MessageView<'_> {
    /// Bytes that a limit counts.
    pub(crate) fn weight(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }

    /// By which the ledger knows it: its topic, and its number.
    pub(crate) const fn name(&self) -> (&str, u32) {
        (self.topic, self.number)
    }

    pub(crate) fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Did it expire earlier than now? Never so for one that is being published, whatever its interval.
    pub(crate) fn has_expired_before(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at < now)
    }

    /// Message Expiry Interval for a delivery now: what is left, rounded to whole seconds, at least one [MQTT-3.3.2-6].
    pub(crate) fn expiry_left(&self, now: Time) -> Option<u32> {
        let left = self.expires_at?.since(now) + Duration::from_millis(500);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1))
    }

    #[allow(
        clippy::wrong_self_convention,
        reason = "a view is large for a Copy, and this is on every message's way"
    )]
    pub(crate) fn to_message(&self) -> Message {
        self.to_followed(None)
    }

    /// The same of a message whose way may be followed.
    #[allow(
        clippy::wrong_self_convention,
        reason = "a view is large for a Copy, and this is on every message's way"
    )]
    pub(crate) fn to_followed(&self, followed: Option<Followed>) -> Message {
        let mut body = Vec::with_capacity(self.weight());
        body.extend_from_slice(self.topic.as_bytes());
        body.extend_from_slice(self.properties);
        body.extend_from_slice(self.payload);
        let length =
            |len: usize| u32::try_from(len).unwrap_or_else(|_| unreachable!("a packet has at most 256 MiB"));
        Message(Arc::new(Stored {
            body: Bytes::from(body),
            topic_len: length(self.topic.len()),
            properties_len: length(self.properties.len()),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            origin: self.origin,
            exchange: self.exchange,
            durability: self.durability,
            number: self.number,
            followed,
        }))
    }
}

impl Message {
    pub(crate) fn view(&self) -> MessageView<'_> {
        let Stored {
            body,
            topic_len,
            properties_len,
            qos,
            retain,
            expires_at,
            origin,
            exchange,
            durability,
            number,
            followed: _,
        } = &*self.0;
        let (topic, rest) = body.split_at(*topic_len as usize);
        let (properties, payload) = rest.split_at(*properties_len as usize);
        // Checked when it was made from a &str; the check again costs less than the memory it reads.
        let topic = std::str::from_utf8(topic).unwrap_or_default();
        MessageView {
            topic,
            properties,
            payload,
            qos: *qos,
            retain: *retain,
            expires_at: *expires_at,
            origin: *origin,
            exchange: *exchange,
            durability: *durability,
            number: *number,
            sent: None,
        }
    }

    pub(crate) fn is_expired(&self, now: Time) -> bool {
        self.0.expires_at.is_some_and(|at| at <= now)
    }

    /// Where its way is followed.
    pub(crate) fn followed(&self) -> Option<Followed> {
        self.0.followed
    }

    /// The payload, shared.
    pub(crate) fn payload(&self) -> Bytes {
        self.0.body.slice((self.0.topic_len + self.0.properties_len) as usize..)
    }

    /// Bytes that a limit counts.
    pub(crate) fn weight(&self) -> usize {
        self.0.body.len()
    }
}
