//! Shards without a runtime, and Clients that speak MQTT 3.1.1 and acknowledge what they get.
//!
//! In:    what Clients send.
//! Out:   the engine's work inside of functions named `measured_...`, nothing else.
//! Never: checks what arrives, but for how much: tests do.

use std::sync::Arc;

use dunlin_codec::{Frame, Framing, VarInt};
use dunlin_engine::{
    ConnectionId, Effect, Effects, Engine, Event, JournalBatch, Peer, Settings, ShardId, ShardMap, Time,
};
use smallvec::SmallVec;

/// The Server, and the Clients' ends of its connections.
pub(crate) struct Rig {
    shards: Vec<Shard>,
    now: Time,
    clients: Vec<Client>,
    batch: JournalBatch,
    /// Is what happens now to be counted?
    pub(crate) counts: bool,
    /// PUBLISH packets that Clients got.
    pub(crate) delivered: u64,
}

struct Shard {
    id: ShardId,
    engine: Engine,
    effects: Effects,
    dirty: Vec<ConnectionId>,
}

#[derive(Default)]
struct Client {
    /// Where its Session lives.
    shard: usize,
    from_server: Vec<u8>,
    /// Acknowledgements to be sent.
    owed: Vec<u8>,
}

#[inline(never)]
fn measured_handle(engine: &mut Engine, now: Time, event: Event<'_>, effects: &mut Effects) {
    engine.handle(now, event, effects);
}

#[inline(never)]
fn measured_advance(effects: &mut Effects, connection: ConnectionId, count: usize) -> bool {
    effects.outbox.advance(connection, count, 64 * 1024)
}

#[inline(never)]
fn measured_write(engine: &mut Engine, now: Time, batch: &mut JournalBatch) {
    engine.write(now, batch);
}

impl Rig {
    /// One shard; `durable`, with a log.
    pub(crate) fn new(durable: bool) -> Self {
        Self::over(1, durable)
    }

    /// So many shards, which write to each other once all have read and decided.
    pub(crate) fn over(shards: usize, durable: bool) -> Self {
        let mut settings = Settings::default();
        settings.limits.queue_messages_maximum = u32::MAX;
        settings.limits.queue_bytes_maximum = u64::MAX;
        settings.limits.subscriptions_per_client = u32::MAX;
        settings.limits.wildcard_subscriptions_per_client = u32::MAX;
        let Some(map) = ShardMap::new(shards) else { unreachable!("{shards} shards are a number of shards") };
        let settings = Arc::new(settings);
        let shard = |id| Shard {
            id,
            engine: Engine::new(id, map, Arc::clone(&settings), 7, durable),
            effects: Effects::new(map),
            dirty: Vec::new(),
        };
        Self {
            shards: map.iter().map(shard).collect(),
            now: Time::from_micros(1_000_000),
            clients: Vec::new(),
            batch: JournalBatch::default(),
            counts: false,
            delivered: 0,
        }
    }

    /// Connects a Client under a name; `clean` ends its Session with the connection.
    pub(crate) fn connect(&mut self, name: &str, clean: bool) -> ConnectionId {
        let connection = ConnectionId::new(u32::try_from(self.clients.len()).unwrap_or_default(), 0);
        self.clients.push(Client::default());
        let peer = Peer { listener: 0, address: None, authenticate: false };
        self.handle(0, Event::Opened { connection, peer, pledge: None });
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, if clean { 2 } else { 0 }, 0, 0];
        put_str(&mut body, name);
        let connect = packet(0x10, &body);
        self.offer(connection, &connect);
        if let Some(Effect::HandOver { to, pledge, .. }) = self.shards[0].effects.list.pop() {
            self.clients[connection.index()].shard = to.index();
            self.handle(to.index(), Event::Opened { connection, peer, pledge });
            self.send(connection, &connect);
        }
        self.deliver();
        connection
    }

    pub(crate) fn subscribe(&mut self, connection: ConnectionId, filter: &str, qos: u8) {
        let mut body = vec![0, 1];
        put_str(&mut body, filter);
        body.push(qos);
        self.send(connection, &packet(0x82, &body));
        self.deliver();
    }

    /// The connection is gone, without DISCONNECT.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        let shard = self.home(connection);
        self.handle(shard, Event::Closed { connection, cause: dunlin_engine::CloseCause::ByPeer });
    }

    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.send(connection, &packet(0xe0, &[]));
    }

    pub(crate) fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.offer(connection, bytes);
        let used = self.shards[self.home(connection)].effects.consumed;
        assert!(used == bytes.len(), "the Server takes all there is");
    }

    fn home(&self, connection: ConnectionId) -> usize {
        self.clients[connection.index()].shard
    }

    fn offer(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.now = self.now.after(std::time::Duration::from_micros(1));
        self.handle(self.home(connection), Event::Received { connection, bytes });
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        let Shard { engine, effects, .. } = &mut self.shards[shard];
        effects.list.clear();
        if self.counts {
            measured_handle(engine, self.now, event, effects);
        } else {
            engine.handle(self.now, event, effects);
        }
    }

    /// Brings what shards have written to each other, and to themselves between two pages of retained messages.
    fn carry(&mut self) {
        while let Some((from, to)) = self.letter() {
            let (sender, from) = (from, self.shards[from].id);
            let mut bag = self.shards[sender].effects.mail.take(to);
            self.handle(sender, Event::MailTaken { to });
            self.handle(to.index(), Event::Mail { from, bag: &mut bag });
            self.shards[sender].effects.mail.recycle(bag);
        }
    }

    fn letter(&self) -> Option<(usize, ShardId)> {
        let first = |(at, shard): (usize, &Shard)| Some((at, shard.effects.mail.receivers().next()?));
        self.shards.iter().enumerate().find_map(first)
    }

    /// A flush, and the answers of the Clients, until nobody has anything to say.
    pub(crate) fn deliver(&mut self) {
        loop {
            self.carry();
            let mut dirty = Vec::new();
            for shard in &mut self.shards {
                shard.effects.outbox.take_dirty(&mut shard.dirty);
                dirty.append(&mut shard.dirty);
            }
            if dirty.is_empty() {
                return;
            }
            for connection in &dirty {
                self.flush(*connection);
            }
            for connection in &dirty {
                let owed = std::mem::take(&mut self.clients[connection.index()].owed);
                if !owed.is_empty() {
                    self.send(*connection, &owed);
                }
            }
        }
    }

    fn flush(&mut self, connection: ConnectionId) {
        let client = &mut self.clients[connection.index()];
        let shard = client.shard;
        let effects = &mut self.shards[shard].effects;
        let mut slices: SmallVec<[&[u8]; 8]> = SmallVec::new();
        effects.outbox.slices(connection, &mut slices);
        slices.iter().for_each(|slice| client.from_server.extend_from_slice(slice));
        let count = slices.iter().map(|slice| slice.len()).sum();
        drop(slices);
        let drained = measured_advance(effects, connection, count);
        self.delivered += client.take_packets();
        if drained {
            self.handle(shard, Event::Drained { connection });
        }
    }

    /// Writes what is to be written, as if the disk were as fast as memory. With one shard.
    pub(crate) fn store(&mut self) {
        self.now = self.now.after(std::time::Duration::from_millis(5));
        self.batch.clear();
        measured_write(&mut self.shards[0].engine, self.now, &mut self.batch);
        self.handle(0, Event::Stored { relief_only: false });
        self.deliver();
    }
}

impl Client {
    /// Reads whole packets, owes their answers, and counts messages.
    fn take_packets(&mut self) -> u64 {
        let (mut at, mut messages) = (0, 0);
        while let Ok(Framing::Complete { frame, len }) = Frame::split(&self.from_server[at..], u32::MAX) {
            messages += u64::from(frame.first >> 4 == 3);
            answer(&frame, &mut self.owed);
            at += len;
        }
        self.from_server.drain(..at);
        messages
    }
}

fn answer(frame: &Frame<'_>, owed: &mut Vec<u8>) {
    let (first, at) = match (frame.first >> 4, frame.first >> 1 & 3) {
        (3, qos @ 1..) => (if qos == 1 { 0x40 } else { 0x50 }, 2 + usize::from(frame.body[1])),
        (5, _) => (0x62, 0),
        (6, _) => (0x70, 0),
        _ => return,
    };
    owed.extend([first, 2, frame.body[at], frame.body[at + 1]]);
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or_default();
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    VarInt::new(u32::try_from(body.len()).unwrap_or_default()).unwrap_or_default().encode(&mut packet);
    packet.extend(body);
    packet
}

/// PUBLISH packets, one after the other, with identifiers from `first`.
pub(crate) fn publishes(topics: &[String], qos: u8, first: u16, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, topic) in (first..).zip(topics) {
        let mut body = Vec::new();
        put_str(&mut body, topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        body.resize(body.len() + size, 0x5a);
        bytes.extend(packet(0x30 | qos << 1, &body));
    }
    bytes
}
