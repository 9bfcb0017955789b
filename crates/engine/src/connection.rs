//! One network connection: what was agreed in CONNECT and CONNACK, and what is only true while it lasts.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_codec::{PacketId, ProtocolVersion, ReasonCode};

use crate::admission::{Exchange, SecretBytes};
use crate::conduct::Tally;
use crate::event::{ConnectionId, Peer};
use crate::journal::Lane;
use crate::map::Map;
use crate::mount::Mount;
use crate::pace::Rates;
use crate::peer::KeptPeer;
use crate::rarely::{Empty, Rarely};
use crate::rivals::Held;
use crate::session::SessionId;
use crate::tap::Tapped;
use crate::time::Time;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// CONNECT has not come.
    New,
    /// CONNECT was accepted; CONNACK waits until the Session is safe.
    Opening(SessionId),
    /// CONNECT came; whoever knows its Client has not said the last word.
    Asking,
    /// CONNACK with success was sent.
    Connected(SessionId),
}

/// Why a connection is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It goes on publishing although its acknowledgements are withheld.
    Slowed,
    /// Its CONNACK waits until the Session is safe.
    Opening,
    /// Too much waits to be written to the journal.
    Journal,
    /// Mail for a shard piles up.
    Mail,
    /// It does not take its own answers.
    Output,
    /// Nobody knows yet who it is.
    Authentication,
    /// It sends more than it may.
    Rate,
    /// Its Client Identifier is fought over.
    Rival,
}

/// How far a Client has shown who it is.
#[derive(Debug)]
pub(crate) struct Authentication {
    /// Authentication Method of its CONNECT: all its AUTH have it.
    pub(crate) method: Option<Box<str>>,
    /// Somebody is finding out.
    pub(crate) asking: bool,
    /// The CONNECT until it is admitted, and the Client Identifier that takes the place of an empty one.
    pub(crate) connect: Option<(SecretBytes, Option<Box<str>>)>,
    /// To be given back with the next AUTH, where one is awaited.
    pub(crate) exchange: Option<Exchange>,
}

/// Limits that CONNACK told the Client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) receive_maximum: u16,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) maximum_packet_size: u32,
}

/// A connection of this shard.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) version: ProtocolVersion,
    pub(crate) peer: KeptPeer,
    pub(crate) opened_at: Time,
    /// The last packet of the Client; while its CONNACK waits, since when.
    pub(crate) received_at: Time,
    /// Keep Alive in seconds; zero: off [MQTT-3.1.2-22].
    pub(crate) keep_alive: u16,
    /// Maximum Packet Size of the Client.
    pub(crate) maximum_packet_size: u32,
    /// Request Problem Information.
    pub(crate) problem_information: bool,
    /// Not read, and why.
    pub(crate) paused: Option<Pause>,
    /// Receive Maximum, Topic Alias Maximum and Maximum Packet Size as announced to it: they hold while it lasts.
    pub(crate) announced: Announced,
    /// QoS 2 messages that came on this connection and are not released.
    pub(crate) open_exchanges: u16,
    /// PUBACKs (and refusals) that wait for the journal, and PUBRECs.
    pub(crate) unanswered: u32,
    pub(crate) unreceived: u32,
    /// Where all of these wait, so that they stay in order.
    pub(crate) lane: Lane,
    /// Its Session has a policy.
    pub(crate) restricted: bool,
    /// Who looks at its packets.
    pub(crate) tapped: Tapped,
    /// What came and went.
    pub(crate) tally: Tally,
    pub(crate) seldom: Rarely<Seldom>,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    pub(crate) aliases: Option<Box<Aliases>>,
    /// Where it may not send as fast as it likes.
    pub(crate) rates: Option<Box<Rates>>,
    pub(crate) slowed: Option<Box<Slowed>>,
    /// Where it is asked who it is, or may be again.
    pub(crate) authentication: Option<Box<Authentication>>,
    /// What comes before its topics.
    pub(crate) mount: Option<Mount>,
    /// Its CONNECT, while that waits for another Client to go.
    pub(crate) held: Option<Box<Held>>,
}

impl Empty for Seldom {
    const EMPTY: &'static Self =
        &Self { aliases: None, rates: None, slowed: None, authentication: None, mount: None, held: None };
}

/// Topic Aliases of a connection, in both directions.
#[derive(Debug)]
pub(crate) struct Aliases {
    /// Those of the Client; `None` where not defined.
    pub(crate) received: Vec<Option<Box<str>>>,
    /// Those of the Server.
    pub(crate) sent: Map<Box<str>, u16>,
    /// Topic Alias Maximum of the Client, as far as the Server uses it.
    pub(crate) sent_maximum: u16,
}

/// A publisher whose acknowledgements are withheld.
#[derive(Debug, Default)]
pub(crate) struct Slowed {
    /// PUBACK and PUBREC (true) to be sent, in order [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    pub(crate) withheld: VecDeque<(PacketId, bool, ReasonCode)>,
    /// How many of them belong to no QoS 2 exchange that goes on: these count against Receive Maximum by themselves.
    pub(crate) of_no_exchange: usize,
}

impl Slowed {
    pub(crate) fn withhold(&mut self, packet_id: PacketId, is_rec: bool, reason: ReasonCode) {
        let is_repeated = |(id, rec, _): &(PacketId, bool, ReasonCode)| *rec && *id == packet_id;
        if is_rec && self.withheld.iter().any(is_repeated) {
            return;
        }
        self.withheld.push_back((packet_id, is_rec, reason));
        self.of_no_exchange += usize::from(!is_rec || reason.is_failure());
    }

    /// Takes the oldest.
    pub(crate) fn let_go(&mut self) -> Option<(PacketId, bool, ReasonCode)> {
        let (packet_id, is_rec, reason) = self.withheld.pop_front()?;
        self.of_no_exchange -= usize::from(!is_rec || reason.is_failure());
        Some((packet_id, is_rec, reason))
    }
}

impl Connection {
    pub(crate) fn new(generation: u32, peer: Peer, now: Time, maximum_packet_size: u32) -> Self {
        Self {
            generation,
            phase: Phase::New,
            version: ProtocolVersion::V311,
            peer: peer.into(),
            opened_at: now,
            received_at: now,
            keep_alive: 0,
            maximum_packet_size,
            problem_information: true,
            paused: None,
            announced: Announced { receive_maximum: 0, topic_alias_maximum: 0, maximum_packet_size },
            open_exchanges: 0,
            unanswered: 0,
            unreceived: 0,
            lane: Lane::default(),
            restricted: false,
            tapped: Tapped::default(),
            tally: Tally::default(),
            seldom: Rarely::default(),
        }
    }

    /// Its Session, once it has one.
    #[inline]
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self.phase {
            Phase::New | Phase::Asking | Phase::Opening(_) => None,
            Phase::Connected(session) => Some(session),
        }
    }

    /// Its Session, also one whose CONNACK waits.
    pub(crate) fn any_session(&self) -> Option<SessionId> {
        match self.phase {
            Phase::New | Phase::Asking => None,
            Phase::Opening(session) | Phase::Connected(session) => Some(session),
        }
    }

    /// Where it is asked who it is, or may be again.
    pub(crate) fn authentication(&mut self) -> Option<&mut Authentication> {
        self.seldom.existing()?.authentication.as_deref_mut()
    }

    /// What changes topics on their way to it: what comes before them, and the aliases that the Server may use.
    #[inline]
    pub(crate) fn renaming(&mut self) -> (Option<&Mount>, Option<&mut Aliases>) {
        let Some(Seldom { mount, aliases, .. }) = self.seldom.existing() else { return (None, None) };
        (mount.as_ref(), aliases.as_deref_mut().filter(|aliases| aliases.sent_maximum > 0))
    }

    /// Where its acknowledgements are withheld.
    #[inline]
    pub(crate) fn slowed(&mut self) -> Option<&mut Slowed> {
        self.seldom.existing()?.slowed.as_deref_mut()
    }

    /// When it wants to be looked at.
    pub(crate) fn deadline(&self, connect_timeout: Duration) -> Option<Time> {
        if let Some(held) = &self.seldom.held {
            return Some(held.until);
        }
        if let (Some(Pause::Rate), Some(rates)) = (self.paused, &self.seldom.rates) {
            // Keep Alive begins anew afterwards.
            return Some(rates.resumes_at);
        }
        match self.phase {
            Phase::New | Phase::Asking => Some(self.opened_at.after(connect_timeout)),
            Phase::Opening(_) => Some(self.received_at.after(connect_timeout)),
            Phase::Connected(_) if self.keep_alive == 0 => None,
            // One and a half times as long.
            Phase::Connected(_) => {
                Some(self.received_at.after(Duration::from_millis(u64::from(self.keep_alive) * 1500)))
            }
        }
    }
}

/// All connections of a shard, by slot.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Connection>>,
    len: usize,
}

impl Connections {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        if id.index() >= self.slots.len() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        let old = self.slots[id.index()].replace(connection);
        assert!(old.is_none(), "connection slot {} is taken", id.index());
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        self.len -= 1;
        self.slots[id.index()].take()
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id.index())?.as_ref().filter(|connection| connection.generation == id.generation())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots.get_mut(id.index())?.as_mut().filter(|connection| connection.generation == id.generation())
    }

    /// Whoever has the slot now.
    pub(crate) fn at(&self, index: u32) -> Option<(ConnectionId, &Connection)> {
        let connection = self.slots.get(index as usize)?.as_ref()?;
        Some((ConnectionId::new(index, connection.generation), connection))
    }

    /// All of them, ascending by slot.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        (0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
            .filter_map(|index| Some(self.at(index)?.0))
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
