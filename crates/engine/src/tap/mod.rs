//! Packets for whoever looks at them while they pass: copied whole, in both directions.
//!
//! In:    each packet of a connection, as it was cut from what came or put into what goes.
//! Out:   copies of those that a filter wants, until somebody fetches them; how many were lost because nobody did.
//! Never: a secret that was not asked for; more memory than a tap was given; anything at all while there is no tap.

mod exchanges;
mod filter;
mod mask;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{Frame, Packet, ProtocolVersion, RuleSet, TopicFilter};

use crate::connection::Connection;
use crate::event::ConnectionId;
use crate::hub::Hub;
use crate::map::{Map, seeded};
use crate::mount::Mount;
use crate::outbox::Outbox;
use crate::time::Time;

pub use filter::{TapFilter, TapNetwork};

use exchanges::Exchanges;
use mask::TOLERANT;

/// Taps at a time: a bit of a byte each.
const TAPS_MAXIMUM: usize = 8;
/// A tap whose copies nobody fetched for so long is taken away.
const LEASE: Duration = Duration::from_secs(10);
/// Connections whose CONNECT was seen and that have no Session yet.
const CLAIMS_MAXIMUM: usize = 4096;
/// For a tap's tables, beside the bytes of packets.
const PACKET_OVERHEAD: usize = 64;
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;

/// A tap of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapId {
    slot: usize,
    number: u64,
}

/// One packet, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TappedPacket {
    /// Whose, in [`TapBatch::peers`].
    pub peer: usize,
    /// When.
    pub at: Time,
    /// By the Server, to the Client.
    pub sent: bool,
    /// What the connection speaks; CONNECT says it itself.
    pub version: ProtocolVersion,
    /// Bytes of the whole packet.
    pub len: usize,
    /// Where those that were copied are in [`TapBatch::bytes`].
    pub start: usize,
    /// And end: before `len` bytes where the packet is larger than the filter takes.
    pub end: usize,
    /// Of a PUBLISH the whole name of the topic, where the packet has another: behind an alias, or without the mount point.
    pub topic: Option<Box<str>>,
}

/// The Client's end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TappedPeer {
    /// Unique while the process lives only together with the shard.
    pub connection: ConnectionId,
    /// Effective Client Identifier, before CONNACK the one in CONNECT; `None` before that.
    pub client_id: Option<Box<str>>,
    /// `None` for Unix sockets.
    pub address: Option<SocketAddr>,
    /// Index into the listeners of the configuration.
    pub listener: u16,
    /// What comes before the names that the Client says and is told.
    pub mount: Option<Mount>,
}

/// What a tap has collected since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapBatch {
    /// Those that packets name.
    pub peers: Vec<TappedPeer>,
    /// In order.
    pub packets: Vec<TappedPacket>,
    /// Of all packets, one after the other.
    pub bytes: Vec<u8>,
    /// Packets that there was no room for.
    pub lost: u64,
}

/// What a connection remembers of the taps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tapped {
    /// When it was last looked at.
    epoch: u32,
    /// The taps that want packets of it.
    mask: u8,
    /// Its Client is known, so that the mask stays.
    sure: bool,
}

/// The taps of a shard.
#[derive(Debug)]
pub(crate) struct Taps {
    /// Is there one? All that is looked at for each packet while there is none.
    open: bool,
    epoch: u32,
    number: u64,
    taps: [Option<Box<Tap>>; TAPS_MAXIMUM],
    /// Client Identifiers of CONNECTs that are not answered.
    claims: Map<ConnectionId, Box<str>>,
    scratch: Vec<u8>,
    /// Packets that were copied, by all taps.
    seed: u64,
}

#[derive(Debug)]
struct Tap {
    number: u64,
    filter: Arc<TapFilter>,
    fetched: Time,
    batch: TapBatch,
    /// Bytes of the topics that it says beside its packets.
    topics: usize,
    /// Where peers are in the batch, and whether they are named.
    peers: Map<(ConnectionId, bool), usize>,
    exchanges: Exchanges,
}

/// A packet, and what is known of it.
struct Seen<'a> {
    at: Time,
    sent: bool,
    version: ProtocolVersion,
    len: usize,
    /// As much of it as the most curious filter takes.
    bytes: &'a [u8],
    /// Of a PUBLISH, the whole name.
    topic: Option<&'a str>,
    mount: Option<&'a Mount>,
}

impl Seen<'_> {
    fn whole_topic<'b>(&self, topic: &'b str) -> Cow<'b, str> {
        self.mount.map_or(Cow::Borrowed(topic), |mount| mount.topic(topic).into())
    }

    fn whole_filter<'b>(&self, filter: TopicFilter<'b>) -> Cow<'b, str> {
        self.mount.map_or(Cow::Borrowed(filter.as_str()), |mount| mount.filter(filter).into())
    }
}

impl Taps {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            open: false,
            epoch: 0,
            number: 0,
            taps: [const { None }; TAPS_MAXIMUM],
            claims: seeded(seed),
            scratch: Vec::new(),
            seed,
        }
    }

    /// Does one perhaps want packets of this connection?
    #[inline]
    pub(crate) fn concern(&self, connection: &Connection) -> bool {
        self.open && (connection.tapped.epoch != self.epoch || connection.tapped.mask != 0)
    }

    /// What the connection's output comes to, where a tap may want the packet that is about to be put there.
    #[inline]
    pub(crate) fn mark(&self, connection: &Connection, outbox: &Outbox, to: ConnectionId) -> Option<usize> {
        if self.concern(connection) { Some(outbox.len(to)) } else { None }
    }

    /// As much of a packet as the most curious filter takes.
    fn reach(&self, first: u8) -> usize {
        if first >> 4 != PUBLISH {
            // They are looked into as a whole.
            return usize::MAX;
        }
        let limits = self.taps.iter().flatten().map(|tap| tap.filter.packet_bytes_maximum as usize);
        limits.max().unwrap_or_default().max(filter::TOPIC_REACH)
    }

    fn change(&mut self) {
        self.open = self.taps.iter().any(Option::is_some);
        // What connections remember is of another set of taps.
        self.epoch += 1;
        self.claims.clear();
        if !self.open {
            self.scratch = Vec::new();
        }
    }

    fn end_unused(&mut self, now: Time) {
        let is_unused = |tap: &Tap| now.since(tap.fetched) > LEASE;
        let mut ended = false;
        for slot in &mut self.taps {
            ended |= slot.take_if(|tap| is_unused(tap)).is_some();
        }
        if ended {
            self.change();
        }
    }
}

impl crate::Engine {
    /// Copies from now on what the filter wants, for as long as somebody fetches it with [`Self::tapped`]: every few seconds at
    /// least. `None` where there are eight already.
    pub fn tap(&mut self, now: Time, filter: Arc<TapFilter>) -> Option<TapId> {
        let taps = &mut self.hub.taps;
        taps.end_unused(now);
        let slot = taps.taps.iter().position(Option::is_none)?;
        taps.number += 1;
        let number = taps.number;
        taps.taps[slot] = Some(Box::new(Tap {
            number,
            filter,
            fetched: now,
            batch: TapBatch::default(),
            topics: 0,
            peers: seeded(taps.seed),
            exchanges: Exchanges::new(taps.seed),
        }));
        taps.change();
        Some(TapId { slot, number })
    }

    /// What was copied since the last call; `None` where the tap is no more.
    pub fn tapped(&mut self, now: Time, id: TapId) -> Option<TapBatch> {
        let tap = self.hub.taps.find(id)?;
        tap.fetched = now;
        tap.peers.clear();
        tap.topics = 0;
        Some(std::mem::take(&mut tap.batch))
    }

    /// Ends it.
    pub fn untap(&mut self, id: TapId) {
        let taps = &mut self.hub.taps;
        if taps.find(id).is_some() {
            taps.taps[id.slot] = None;
            taps.change();
        }
    }

    /// What was tapped is not for this shard: the one that gets the connection sees it again.
    pub(crate) fn untap_connect(&mut self, id: ConnectionId) {
        let taps = &mut self.hub.taps;
        taps.claims.remove(&id);
        for tap in taps.taps.iter_mut().flatten() {
            let is_last = tap.batch.packets.last().is_some_and(|packet| {
                tap.batch.peers[packet.peer].connection == id
                    && tap.batch.bytes.get(packet.start).is_some_and(|first| first >> 4 == CONNECT)
            });
            if let Some(packet) = tap.batch.packets.pop_if(|_| is_last) {
                tap.batch.bytes.truncate(packet.start);
            }
        }
    }
}

impl Hub {
    /// A whole packet came. For where [`Taps::concern`] said yes.
    #[cold]
    pub(crate) fn tap_received(&mut self, now: Time, id: ConnectionId, packet: &[u8]) {
        let Some(first) = packet.first() else { return };
        let mut scratch = std::mem::take(&mut self.taps.scratch);
        scratch.clear();
        scratch.extend_from_slice(&packet[..packet.len().min(self.taps.reach(*first))]);
        self.tap_packet(now, id, false, packet.len(), &scratch, None);
        self.taps.scratch = scratch;
    }

    /// A whole packet was put into the outbox, behind the `mark` that [`Taps::mark`] gave. `topic`: of a PUBLISH, which may
    /// itself have an alias.
    #[cold]
    pub(crate) fn tap_sent(
        &mut self,
        now: Time,
        outbox: &Outbox,
        to: ConnectionId,
        mark: usize,
        topic: Option<&str>,
    ) {
        let len = outbox.len(to) - mark;
        let mut scratch = std::mem::take(&mut self.taps.scratch);
        scratch.clear();
        let first = if topic.is_some() { PUBLISH << 4 } else { 0 };
        outbox.copy_from(to, mark, self.taps.reach(first), &mut scratch);
        self.tap_packet(now, to, true, len, &scratch, topic);
        self.taps.scratch = scratch;
    }

    fn tap_packet(
        &mut self,
        at: Time,
        id: ConnectionId,
        sent: bool,
        len: usize,
        bytes: &[u8],
        topic: Option<&str>,
    ) {
        self.taps.end_unused(at);
        let Self { taps, connections, sessions, settings, has_mounts, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        if !sent && bytes.first().is_some_and(|first| first >> 4 == CONNECT) {
            taps.note_claim(id, bytes);
        }
        let known = connection.any_session().and_then(|session| sessions.get(session));
        if known.is_some() {
            taps.claims.remove(&id);
        }
        let client_id =
            known.map(|session| &*session.client_id).or_else(|| taps.claims.get(&id).map(|id| &**id));
        if connection.tapped.epoch != taps.epoch || !connection.tapped.sure {
            let mask = taps.mask_for(connection, client_id);
            connection.tapped = Tapped { epoch: taps.epoch, mask, sure: known.is_some() };
            // A Client that is not known yet may turn out to be wanted.
            if !connection.tapped.sure && mask == 0 {
                connection.tapped.epoch = 0;
            }
        }
        // That of the listener holds for a Client that has not come in yet.
        let listener = connection.peer.listener();
        let of_listener = || settings.mount_point_at(listener).filter(|_| *has_mounts).map(Mount::new);
        let mount = connection.seldom.mount.clone().or_else(of_listener);
        let mut seen =
            Seen { at, sent, version: connection.version, len, bytes, topic, mount: mount.as_ref() };
        let said = filter::topic_of(bytes, connection, sent).map(|said| seen.whole_topic(said));
        seen.topic = topic.or(said.as_deref());
        let mask = connection.tapped.mask;
        for tap in taps.taps.iter_mut().enumerate().filter(|(slot, _)| mask & 1 << slot != 0) {
            if let Some(tap) = tap.1 {
                tap.take(id, connection, client_id, &seen);
            }
        }
    }
}

impl Taps {
    fn find(&mut self, id: TapId) -> Option<&mut Tap> {
        self.taps.get_mut(id.slot)?.as_deref_mut().filter(|tap| tap.number == id.number)
    }

    fn note_claim(&mut self, id: ConnectionId, connect: &[u8]) {
        let mut broken = RuleSet::EMPTY;
        let packet = mask::frame(connect)
            .and_then(|frame| Packet::decode(frame, ProtocolVersion::V5, TOLERANT, &mut broken).ok());
        if let Some(Packet::Connect(connect)) = packet
            && !connect.client_id.is_empty()
        {
            if self.claims.len() >= CLAIMS_MAXIMUM {
                self.claims.clear();
            }
            self.claims.insert(id, connect.client_id.into());
        }
    }

    fn mask_for(&self, connection: &Connection, client_id: Option<&str>) -> u8 {
        let mut mask = 0;
        for (slot, tap) in self.taps.iter().enumerate() {
            let wants = tap.as_ref().is_some_and(|tap| tap.filter.wants_peer(&connection.peer, client_id));
            mask |= u8::from(wants) << slot;
        }
        mask
    }
}

impl Tap {
    fn take(&mut self, id: ConnectionId, connection: &Connection, client_id: Option<&str>, seen: &Seen<'_>) {
        let Some(frame) = mask::frame(seen.bytes) else { return };
        let filter = &self.filter;
        if !filter.topics.is_empty() && !self.exchanges.wants(filter, id, seen.sent, frame, seen) {
            return;
        }
        if !filter.wants_type(frame.packet_type()) {
            return;
        }
        let topic = seen.topic.filter(|topic| {
            filter::publish(frame, seen.version).is_some_and(|publish| publish.topic != *topic)
        });
        let room = filter.buffer_bytes_maximum as usize;
        let copied = seen.bytes.len().min(filter.packet_bytes_maximum as usize);
        let topics = self.topics + topic.map_or(0, str::len);
        if self.batch.bytes.len() + copied + topics + self.batch.packets.len() * PACKET_OVERHEAD > room {
            self.batch.lost += 1;
            return;
        }
        self.topics = topics;
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(seen.bytes);
        if !filter.secrets {
            mask::mask(&mut self.batch.bytes[start..], seen.version);
        }
        self.batch.bytes.truncate(start + copied);
        let peer = self.peer(id, connection, client_id, seen.mount);
        self.batch.packets.push(TappedPacket {
            peer,
            at: seen.at,
            sent: seen.sent,
            version: seen.version,
            len: seen.len,
            start,
            end: start + copied,
            topic: topic.map(Into::into),
        });
    }

    fn peer(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        client_id: Option<&str>,
        mount: Option<&Mount>,
    ) -> usize {
        let key = (id, client_id.is_some());
        let peers = &mut self.batch.peers;
        *self.peers.entry(key).or_insert_with(|| {
            peers.push(TappedPeer {
                connection: id,
                client_id: client_id.map(Into::into),
                address: connection.peer.address(),
                listener: connection.peer.listener(),
                mount: mount.cloned(),
            });
            peers.len() - 1
        })
    }
}

/// For packets whose version says what they mean; the rest of a frame that was cut short is not there.
fn decode<'a>(frame: Frame<'a>, version: ProtocolVersion) -> Option<Packet<'a>> {
    Packet::decode(frame, version, TOLERANT, &mut RuleSet::default()).ok()
}
