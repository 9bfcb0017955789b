//! What happens to an engine.

use std::net::SocketAddr;

use crate::admission::{Authority, Outcome, Pledge};
use crate::mail::MailBag;
use crate::partition::ShardId;

/// A network connection of this shard. The caller chooses `index` (small, reused) and a `generation` that tells two
/// connections with the same index apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// The `generation`th connection in slot `index`.
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// The slot.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Tells this connection from others that had the slot before it.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index into the listeners of the configuration.
    pub listener: u16,
    /// The Client's end; `None` for Unix sockets and local clients.
    pub address: Option<SocketAddr>,
    /// Nobody is let in here without [`crate::Effect::Authenticate`].
    pub authenticate: bool,
}

/// Why the transport is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer closed its end.
    ByPeer,
    /// The transport failed (reset, time-out, TLS alert).
    Failed,
}

/// One input of [`crate::Engine::handle`].
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection was accepted, or handed over by another shard.
    Opened {
        /// Free before.
        connection: ConnectionId,
        /// Its other end.
        peer: Peer,
        /// From [`crate::Effect::HandOver`].
        pledge: Option<Box<Pledge>>,
    },
    /// Bytes that the connection has to offer: those not consumed before, with what came since.
    /// [`crate::Effects::consumed`] says how many were used; the rest must be offered again with the next bytes, or at
    /// [`crate::Effect::ReadMore`].
    Received {
        /// An open connection.
        connection: ConnectionId,
        /// From the first byte not yet consumed.
        bytes: &'a [u8],
    },
    /// Output of the connection went out and less than the low-water mark is left (see [`crate::Outbox`]).
    Drained {
        /// An open connection.
        connection: ConnectionId,
    },
    /// The connection is gone and was not closed by [`crate::Effect::Close`].
    Closed {
        /// An open connection; its identifier is free afterwards.
        connection: ConnectionId,
        /// Why.
        cause: CloseCause,
    },
    /// What another shard (or this one) put into its mail; emptied by the engine.
    Mail {
        /// The sender.
        from: ShardId,
        /// Left empty, to be used again.
        bag: &'a mut MailBag,
    },
    /// Mail for `to` left the engine's bag, which had been full.
    MailTaken {
        /// The receiver.
        to: ShardId,
    },
    /// The batch that [`crate::Engine::write`] gave is written, and perhaps not synced. May be left out: [`Self::Stored`] says more.
    Written,
    /// The batch that [`crate::Engine::write`] gave is safe; or, while the log is full, its progress of Sessions.
    Stored {
        /// Only the records that are [`crate::JournalRecord::relief`].
        relief_only: bool,
    },
    /// The log has no room for the batch that [`crate::Engine::write`] gave, or has it again.
    JournalFull(bool),
    /// The log has no room for what some shard hands over, perhaps another, or has it again: until then what would need room is
    /// refused.
    JournalShort(bool),
    /// What [`crate::Effect::Read`] asked for.
    Read {
        /// As asked.
        token: crate::ReadToken,
        /// Records as asked, each `None` where it is lost.
        records: &'a [(u32, Option<Vec<u8>>)],
    },
    /// The Server itself publishes: a retained message of QoS 0 that goes to whoever subscribed and may receive it. Nothing of
    /// it outlives the process.
    Publish {
        /// Begins with `$SYS/`, where no Client publishes. Other topics are ignored.
        topic: &'a str,
        /// An empty one clears the topic.
        payload: &'a [u8],
    },
    /// [`crate::Engine::next_deadline`] has come.
    Timer,
    /// The answer to [`crate::Effect::Authenticate`]. The connection may be gone: then it means nothing.
    Authenticated {
        /// Which.
        connection: ConnectionId,
        /// Is it let in?
        outcome: Box<Outcome>,
    },
    /// The rights of some, or of all, are others than before.
    PolicyChanged(std::sync::Arc<dyn Authority>),
    /// How much of the memory that the process may hold is left; again and again while it is exhausted.
    Memory(crate::Memory),
    /// The settings changed.
    Reconfigured(std::sync::Arc<crate::Settings>),
    /// The Server stops: every connection is told and closed.
    Shutdown,
}
