//! What of a session must survive the process, as records in the order in which it happened.
//!
//! In:    nothing.
//! Out:   records, from [`crate::session::Effects::records`]; what they add up to, for [`crate::Session::restore`].
//! Never: messages of QoS 0, which no restart is promised to survive.
//! Spec:  MQTT 5.0 section 4.1.

use dunlin_codec::PacketId;

use crate::{Message, Time};

/// A step that must be durable before what follows from it leaves the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A message was taken from the application.
    Queued {
        /// Names it; ascending in the order of taking.
        key: u64,
        /// It expires then.
        expires_at: Option<Time>,
        /// The message.
        message: Message,
    },
    /// A message of QoS 2 is about to be sent under that identifier, and must never be sent under another.
    Sent {
        /// Of the message.
        key: u64,
        /// Its Packet Identifier.
        packet_id: PacketId,
    },
    /// PUBREC came: the Server has it; only PUBREL is still to be sent.
    Released {
        /// Of the message.
        key: u64,
    },
    /// Nothing is left to do for a message.
    Done {
        /// Of the message.
        key: u64,
    },
    /// The application has taken a message of QoS 2 that came under that identifier.
    Taken {
        /// Its Packet Identifier.
        packet_id: PacketId,
    },
    /// PUBREL came: the identifier is free.
    Freed {
        /// The Packet Identifier.
        packet_id: PacketId,
    },
    /// The Server began a new Session: identifiers mean nothing any more.
    NewSession,
}

/// A message that a former process left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Of its [`Record::Queued`].
    pub key: u64,
    /// It expires then.
    pub expires_at: Option<Time>,
    /// The message.
    pub message: Message,
    /// It was sent under that identifier.
    pub packet_id: Option<PacketId>,
    /// PUBREC came.
    pub released: bool,
}

/// What the records of a former process add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// In the order of their keys.
    pub messages: Vec<Left>,
    /// Identifiers of QoS 2 messages that were taken and not yet freed.
    pub taken: Vec<PacketId>,
}
