//! What an engine wants done.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_codec::{ReasonCode, Rule};

use crate::admission::{Credentials, Pledge};
use crate::event::ConnectionId;
use crate::mail::Mail;
use crate::outbox::Outbox;
use crate::pace::RateKind;
use crate::partition::{ShardId, ShardMap};
use crate::settings::RateExceeded;

/// Everything that goes out of an engine; kept by the caller from event to event.
#[derive(Debug)]
pub struct Effects {
    /// Bytes for connections.
    pub outbox: Outbox,
    /// Messages for other shards.
    pub mail: Mail,
    /// The rest, in order; the caller drains it.
    pub list: Vec<Effect>,
    /// Bytes of the last [`crate::Event::Received`] that were used.
    pub consumed: usize,
    /// The connection of the last [`crate::Event::Received`] is not to be read until [`Effect::ReadMore`].
    pub paused: bool,
}

impl Effects {
    /// Nothing yet.
    #[must_use]
    pub fn new(map: ShardMap) -> Self {
        Self { outbox: Outbox::default(), mail: Mail::new(map), list: Vec::new(), consumed: 0, paused: false }
    }
}

/// Who asked for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadToken(pub(crate) crate::session::SessionId);

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// Write what the outbox holds for the connection, as far as the peer takes it within the linger time, then close it.
    /// No event about the connection may follow; its identifier is free.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Move the connection, with every byte that was not consumed, to another shard, which opens it as a new one.
    /// No event about the connection may follow here; its identifier is free.
    HandOver {
        /// Which.
        connection: ConnectionId,
        /// Where its Session lives.
        to: ShardId,
        /// For [`crate::Event::Opened`] there, where the Client was admitted already.
        pledge: Option<Box<Pledge>>,
    },
    /// Find out who this is, and say so with [`crate::Event::Authenticated`]. Where that never comes, the Client is turned away when
    /// its time to connect is over.
    Authenticate {
        /// Which.
        connection: ConnectionId,
        /// What it says of itself.
        credentials: Box<Credentials>,
    },
    /// A connection that did not consume a whole packet does now: offer its bytes again.
    ReadMore {
        /// Which.
        connection: ConnectionId,
    },
    /// Read records back from the journal; [`crate::Event::Read`] brings them.
    Read {
        /// Comes back.
        token: ReadToken,
        /// All of this partition of the log.
        partition: u16,
        /// A number that comes back, and the record's number, ascending.
        records: Vec<(u32, u64)>,
    },
    /// Something that an operator may want to read.
    Notice(Box<Notice>),
}

/// What is worth a line in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// CONNACK with success was sent.
    Connected {
        /// Effective Client Identifier.
        client_id: Box<str>,
        /// Of the peer.
        address: Option<SocketAddr>,
        /// 3, 4 or 5.
        version: u8,
        /// Session Present.
        resumed: bool,
    },
    /// CONNECT was answered with a refusal, or by closing.
    Refused {
        /// As sent by the peer; empty where none was read.
        client_id: Box<str>,
        /// Of the peer.
        address: Option<SocketAddr>,
        /// Why, in the terms of 5.0.
        reason: ReasonCode,
        /// What exactly.
        detail: Box<str>,
    },
    /// A connection with a Session ended.
    Disconnected {
        /// Effective Client Identifier.
        client_id: Box<str>,
        /// Why.
        cause: DisconnectCause,
        /// Rules that the Client broke, in all connections of its Session, and that were let pass: how often each.
        rules_broken: Vec<(Rule, u32)>,
    },
    /// A rule was broken that is configured as `warn`.
    RuleBroken {
        /// Effective Client Identifier.
        client_id: Box<str>,
        /// Which.
        rule: Rule,
        /// How often this Client has broken it.
        count: u32,
    },
    /// Messages for a Session were dropped at a bound; at most one such notice a Session and second.
    Dropped {
        /// Whose.
        client_id: Box<str>,
        /// Which bound.
        bound: crate::counters::Drop,
        /// How many since the last notice.
        count: u64,
    },
    /// A Client wanted what it may not have; at most one such notice a Session and second.
    Denied {
        /// Whose.
        client_id: Box<str>,
        /// What it wanted.
        wanted: Wanted,
        /// Topic Name or Topic Filter.
        topic: Box<str>,
        /// How many times since the last notice, whatever it wanted.
        count: u64,
    },
    /// A Client sends faster than it may; at most one such notice a connection and second.
    TooFast {
        /// Whose.
        client_id: Box<str>,
        /// Of the peer.
        address: Option<SocketAddr>,
        /// Which bound it met.
        rate: RateKind,
        /// How many of them a second.
        allowed: u32,
        /// What was done about it.
        action: RateExceeded,
        /// How often it was since the last notice.
        count: u64,
    },
    /// Two live Clients fight over one Client Identifier; at most one such notice a fight and ten seconds.
    Rivals {
        /// Which.
        client_id: Box<str>,
        /// Whose connection was ended.
        incumbent: Option<SocketAddr>,
        /// Whose began.
        newcomer: Option<SocketAddr>,
        /// Times that one took it from the other.
        takeovers: u32,
        /// How long the next newcomer waits.
        delay: Duration,
    },
}

/// What a Client needs a right for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To publish.
    Publish,
    /// To have a Will published.
    Will,
    /// To subscribe, or to keep a Subscription after its rights changed.
    Subscribe,
}

/// How a connection that had a Session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectCause {
    /// The Client sent DISCONNECT.
    ByClient(ReasonCode),
    /// The Server ended it.
    ByServer {
        /// As sent to 5.0 Clients.
        reason: ReasonCode,
        /// What exactly.
        detail: Box<str>,
    },
    /// The transport ended without DISCONNECT.
    Lost,
}
