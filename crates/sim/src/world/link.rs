//! One connection: the bytes on their way in both directions, and what the client at its end knows of it.

use std::collections::{BTreeMap, VecDeque};

use dunlin_codec::ProtocolVersion;
use dunlin_engine::{ConnectionId, Time};

use super::guard::Question;
use crate::model::{Connect, Moment, Wish};

/// How a client ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What was sent before still arrives.
    Fin,
    /// What has not arrived is lost.
    Reset,
}

/// What a packet of a well-behaved client means, for the model.
#[derive(Clone, Debug)]
pub(super) enum Tag {
    Connect(Box<Connect>),
    Publish(usize),
    Subscribe(u16, Vec<Wish>),
    Unsubscribe(u16, Vec<usize>),
    /// Ends an exchange of the Server.
    Done(u16),
    PubRec(u16),
    Disconnect {
        with_will: bool,
        expiry: Option<u32>,
    },
    Other,
}

/// An acknowledgement to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "the names of the packets")]
pub(super) enum Ack {
    PubAck(u16),
    PubRec(u16),
    /// A PUBACK that refuses.
    PubAckFailed(u16),
    /// A PUBREC that refuses.
    PubRecFailed(u16),
    PubRel(u16),
    PubComp(u16),
}

/// A connection.
pub(super) struct Link {
    pub(super) actor: usize,
    pub(super) version: ProtocolVersion,
    /// Where the Server has it.
    pub(super) place: Option<(usize, ConnectionId)>,
    /// The Server has it no more.
    pub(super) closed: bool,
    /// Sent by the client, not arrived.
    pub(super) wire: VecDeque<u8>,
    pub(super) arrive_planned: bool,
    /// Nothing arrives before.
    pub(super) held: Time,
    /// How the client ended it.
    pub(super) ending: Option<Ending>,
    /// Arrived, not read.
    pub(super) kernel: Vec<u8>,
    /// Read, not consumed.
    pub(super) offered: Vec<u8>,
    pub(super) paused: bool,
    /// Where packets end in what the client sent.
    pub(super) tags: VecDeque<(u64, Tag)>,
    /// The last message that the Server took, and at which step.
    pub(super) last_taken: Option<(u64, usize)>,
    pub(super) sent: u64,
    pub(super) consumed: u64,
    /// In the client's socket.
    pub(super) flight: VecDeque<u8>,
    /// Left by the Server when it closed.
    pub(super) linger: VecDeque<u8>,
    /// The Server gave up what it left.
    pub(super) truncated: bool,
    pub(super) read_planned: bool,
    /// The client does not read before.
    pub(super) stalled: Time,
    /// Bytes that went from the engine's output into the socket.
    pub(super) written: u64,
    /// When the last of them was.
    pub(super) written_at: Time,
    /// Bytes that the engine put out, and when.
    pub(super) emitted: u64,
    pub(super) marks: VecDeque<(u64, Moment)>,
    /// Read by the client, not a whole packet.
    pub(super) inbox: Vec<u8>,
    /// Bytes of whole packets that the client read.
    pub(super) parsed: u64,
    /// The client saw the end.
    pub(super) over: bool,
    pub(super) speech: Speech,
    /// Who is it?
    pub(super) question: Option<Question>,
    /// Its CONNECT, while nobody knows.
    pub(super) greeting: Option<Box<Connect>>,
}

/// What the client knows of the connection.
#[derive(Default)]
pub(super) struct Speech {
    pub(super) connected: bool,
    /// The client's Maximum Packet Size.
    pub(super) packet_max: u32,
    /// The client's Topic Alias Maximum.
    pub(super) alias_max: u16,
    pub(super) server_receive_maximum: u16,
    pub(super) server_alias_max: u16,
    pub(super) keep_alive: u16,
    /// Session Expiry Interval in force, as CONNECT said.
    pub(super) expiry: u32,
    /// PINGREQ without answer.
    pub(super) pings: u32,
    pub(super) aliases_in: BTreeMap<u16, String>,
    pub(super) aliases_out: BTreeMap<u16, usize>,
    pub(super) acks: VecDeque<Ack>,
    pub(super) ack_planned: bool,
    /// Acknowledges nothing before.
    pub(super) ack_held: Time,
    /// The last packet of the Server was DISCONNECT with this reason.
    pub(super) disconnected: Option<u8>,
}

impl Link {
    pub(super) fn new(actor: usize, version: ProtocolVersion) -> Self {
        Self {
            actor,
            version,
            place: None,
            closed: false,
            wire: VecDeque::new(),
            arrive_planned: false,
            held: Time::ZERO,
            ending: None,
            kernel: Vec::new(),
            offered: Vec::new(),
            paused: false,
            tags: VecDeque::new(),
            last_taken: None,
            sent: 0,
            consumed: 0,
            flight: VecDeque::new(),
            linger: VecDeque::new(),
            truncated: false,
            read_planned: false,
            stalled: Time::ZERO,
            written: 0,
            written_at: Time::ZERO,
            emitted: 0,
            marks: VecDeque::new(),
            inbox: Vec::new(),
            parsed: 0,
            over: false,
            speech: Speech { packet_max: u32::MAX, server_receive_maximum: u16::MAX, ..Speech::default() },
            question: None,
            greeting: None,
        }
    }

    /// When the engine put out the byte before `offset`.
    pub(super) fn emitted_at(&mut self, offset: u64) -> Moment {
        while self.marks.len() > 1 && self.marks.front().is_some_and(|(end, _)| *end < offset) {
            self.marks.pop_front();
        }
        self.marks.front().map(|(_, moment)| *moment).unwrap_or_default()
    }

    /// Is nothing on its way in either direction?
    pub(super) fn is_still(&self) -> bool {
        let to_server =
            self.closed || self.wire.is_empty() && self.kernel.is_empty() && self.offered.is_empty();
        let to_client = self.flight.is_empty() && self.linger.is_empty() && self.emitted == self.written;
        self.over || (to_server && to_client && self.speech.acks.is_empty())
    }
}
