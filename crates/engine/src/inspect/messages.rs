//! What waits for a Client, and what was sent to it and is not acknowledged.

use dunlin_codec::QoS;

use crate::engine::Engine;
use crate::session::entry::{Entry, Phase};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be sent.
    Queued,
    /// Sent; PUBACK or PUBREC has not come.
    Sent,
    /// PUBREL was sent; PUBCOMP has not come.
    Released,
}

/// A message for a Client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Where it stands.
    pub standing: Standing,
    /// Its Topic Name; `None` where it lies in the log alone, or is not needed again.
    pub topic: Option<Box<str>>,
    /// As it is delivered.
    pub qos: QoS,
    /// As it is delivered.
    pub retain: bool,
    /// Bytes of its payload, where its topic is known.
    pub payload_bytes: Option<usize>,
    /// Does it outlive the process?
    pub durable: bool,
}

fn row(entry: &Entry) -> Option<MessageRow> {
    let standing = match entry.phase() {
        Phase::Waiting => Standing::Queued,
        Phase::AwaitAck => Standing::Sent,
        Phase::AwaitComp => Standing::Released,
        Phase::Ended => return None,
    };
    let view = entry.message.as_ref().map(crate::message::Message::view);
    Some(MessageRow {
        standing,
        topic: view.map(|view| view.topic.into()),
        qos: entry.qos(),
        retain: entry.retain(),
        payload_bytes: view.map(|view| view.payload.len()),
        durable: entry.home().is_record(),
    })
}

impl Engine {
    /// QoS 1 and 2 messages for a Client, in their order: those in flight, then those that wait; `limit` at most, `skipped` left
    /// out at the beginning. `None` where it has no Session here.
    #[must_use]
    pub fn client_messages(&self, client_id: &str, skipped: usize, limit: usize) -> Option<Vec<MessageRow>> {
        let session = self.hub.sessions.get(self.hub.sessions.find(client_id)?)?;
        let entries = session.outgoing.iter().flat_map(|outgoing| outgoing.entries(skipped));
        Some(entries.filter_map(row).take(limit).collect())
    }
}
