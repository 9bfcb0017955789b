//! A Server without threads or sockets: its shards, their mail, its Clients, and a clock that tests move.

mod full;
mod guard;
mod ledger;
mod look;
mod trickle;
mod visit;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{
    Ack, Disconnect, FilterBuf, Frame, Framing, Packet, PacketId, Properties, Property, PropertyBuf,
    ProtocolVersion, ReasonCode, RuleSet, Subscribe, SubscribeBuf, SubscriptionOptions, Tolerance,
    TopicFilter, Unsubscribe, VarInt,
};
use dunlin_engine::{
    CloseCause, ConnectionId, Counters, Credentials, Effect, Effects, Engine, Event, JournalBatch, MailBag,
    Notice, Partition, Peer, Pledge, Settings, ShardId, ShardMap, Time,
};

pub(crate) use self::guard::admission;
use crate::disk::Disk;
use crate::got::Got;
use crate::hello::{Hello, Message, at, hello};

pub(crate) use ProtocolVersion::{V5, V31, V311};

/// Output of a connection below which the engine is told that it drained.
const LOW_WATER: usize = 64 * 1024;

/// The Client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(usize);

/// How mail gets from shard to shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    AtOnce,
    /// Taken, and delivered when a test says so.
    ByHand,
    /// Not even taken.
    Jammed,
}

#[derive(Debug)]
struct Client {
    version: ProtocolVersion,
    /// `None` once closed.
    at: Option<(ShardId, ConnectionId)>,
    was_at: Option<(ShardId, ConnectionId)>,
    /// Bytes for the Server that it has not consumed.
    to_server: Vec<u8>,
    /// Bytes of the Server that are no packet yet.
    from_server: Vec<u8>,
    got: VecDeque<Got>,
    /// The transport takes nothing.
    is_stuck: bool,
    next_id: u16,
}

/// A Server and its Clients.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) notices: Vec<Notice>,
    map: ShardMap,
    engines: Vec<Engine>,
    effects: Vec<Effects>,
    clients: Vec<Client>,
    /// For each shard: whose connection has the slot, and how many had it.
    slots: Vec<Vec<(Option<Link>, u32)>>,
    settings: Arc<Settings>,
    /// Where there is a journal.
    disk: Option<Disk>,
    /// Batches are stored as soon as they are handed over.
    stores: bool,
    /// The disk has no room but for what relieves it.
    is_full: bool,
    carriage: Carriage,
    transit: BTreeMap<(usize, usize), VecDeque<MailBag>>,
    /// Nobody is let in unasked.
    guarded: bool,
    /// Questions that nobody has answered.
    asked: Vec<(Link, Box<Credentials>)>,
    /// Is what was handed over admitted?
    pledges: usize,
    /// Where connections come from.
    address: Option<SocketAddr>,
}

impl World {
    /// One shard, default settings.
    pub(crate) fn new() -> Self {
        Self::build(1, &Settings::default(), false)
    }

    /// One shard, default settings but for what `change` does to them.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::sharded_with(1, change)
    }

    /// Default settings.
    pub(crate) fn sharded(shards: usize) -> Self {
        Self::build(shards, &Settings::default(), false)
    }

    /// Without a journal, also where all others are tried with one: for what differs.
    pub(crate) fn in_memory_with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut world = Self::sharded_with(shards, change);
        if world.disk.take().is_some() {
            let engine = |shard| Engine::new(shard, world.map, Arc::clone(&world.settings), 7, false);
            world.engines = world.map.iter().map(engine).collect();
        }
        world
    }

    pub(crate) fn sharded_with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self::build(shards, &settings, false)
    }

    fn build(shards: usize, settings: &Settings, durable: bool) -> Self {
        let map = ShardMap::new(shards).unwrap();
        let settings = Arc::new(settings.clone());
        let durable = durable || std::env::var_os("DUNLIN_TEST_JOURNAL").is_some();
        Self {
            now: Time::from_micros(1_000_000),
            notices: Vec::new(),
            map,
            engines: map
                .iter()
                .map(|shard| Engine::new(shard, map, Arc::clone(&settings), 7, durable))
                .collect(),
            settings,
            disk: durable.then(Disk::new),
            stores: true,
            is_full: false,
            effects: map.iter().map(|_| Effects::new(map)).collect(),
            clients: Vec::new(),
            slots: vec![Vec::new(); shards],
            carriage: Carriage::AtOnce,
            transit: BTreeMap::new(),
            guarded: false,
            asked: Vec::new(),
            pledges: 0,
            address: None,
        }
    }

    // The journal.

    /// One that outlives its process.
    pub(crate) fn durable(shards: usize) -> Self {
        Self::build(shards, &Settings::default(), true)
    }

    /// The same, with what `change` does to the default settings.
    pub(crate) fn durable_with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self::build(shards, &settings, true)
    }

    /// From now on nothing is stored but by [`Self::store`].
    pub(crate) fn hold_disk(&mut self) {
        self.stores = false;
    }

    /// Everything that is to be written now is stored, and so on until there is nothing more.
    pub(crate) fn store(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for shard in self.map.iter() {
                self.write_out_journal(shard);
                moved |= self.store_batch(shard);
            }
            self.carry_if_at_once();
        }
    }

    /// One batch of each shard is written, and outlives the process, but is not synced.
    pub(crate) fn write(&mut self) {
        for shard in self.map.iter() {
            self.write_out_journal(shard);
            if self.disk.as_mut().is_some_and(|disk| disk.write(shard)) {
                self.step(shard, Event::Written);
            }
        }
        self.carry_if_at_once();
    }

    /// One batch of each shard, and no more.
    pub(crate) fn store_once(&mut self) {
        for shard in self.map.iter() {
            self.write_out_journal(shard);
            self.store_batch(shard);
        }
    }

    /// From now on everything is stored at once.
    pub(crate) fn store_at_once(&mut self) {
        self.stores = true;
        self.store();
    }

    /// The machine is off.
    pub(crate) fn pass_without_process(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// Records that hold this text cannot be read any more.
    pub(crate) fn damage(&mut self, text: &str) {
        self.disk.as_mut().expect("a World with a journal").damage(text.as_bytes());
    }

    /// Long enough for whatever may wait a little before it is written; then all is stored.
    pub(crate) fn settle_disk(&mut self) {
        self.pass(Duration::from_millis(100));
        self.store();
    }

    /// The process ends as it is; whatever was not stored is lost. Another begins, with as many shards as are named.
    pub(crate) fn crash(&mut self, shards: usize) {
        for client in &mut self.clients {
            if client.at.take().is_some() {
                client.to_server.clear();
                client.from_server.clear();
                client.got.push_back(Got::Closed);
            }
        }
        self.map = ShardMap::new(shards).unwrap();
        self.slots = vec![Vec::new(); shards];
        self.transit.clear();
        self.engines = self
            .map
            .iter()
            .map(|shard| Engine::new(shard, self.map, Arc::clone(&self.settings), 8, true))
            .collect();
        self.effects = self.map.iter().map(|_| Effects::new(self.map)).collect();
        let disk = self.disk.as_mut().expect("a World with a journal");
        disk.crash();
        for shard in self.map.iter() {
            let (engine, effects) = (&mut self.engines[shard.index()], &mut self.effects[shard.index()]);
            disk.restore(self.map, shard, engine, self.now, effects);
        }
        for shard in self.map.iter() {
            self.perform(shard);
        }
        self.carry_if_at_once();
    }

    /// Records that are needed.
    pub(crate) fn live_records(&self) -> usize {
        self.disk.as_ref().map_or(0, Disk::live)
    }

    /// Tells every shard whether there is room.
    pub(crate) fn set_full(&mut self, full: bool) {
        for shard in self.map.iter() {
            self.event(shard, Event::JournalFull(full));
        }
    }

    fn write_out_journal(&mut self, shard: ShardId) {
        let Some(disk) = &mut self.disk else { return };
        let engine = &mut self.engines[shard.index()];
        // Where everything is stored at once, nothing is waited for.
        let now = if self.stores { self.now.after(Duration::from_secs(1)) } else { self.now };
        if engine.write_deadline().is_some_and(|at| at <= now) {
            let mut batch = JournalBatch::default();
            engine.write(now, &mut batch);
            disk.append(shard, batch);
        }
    }

    fn store_batch(&mut self, shard: ShardId) -> bool {
        let stored = self.disk.as_mut().is_some_and(|disk| disk.store(shard));
        if stored {
            self.step(shard, Event::Stored { relief_only: false });
        }
        stored
    }

    // Connections.

    /// A connection to a shard, on which nothing was sent.
    pub(crate) fn dial_at(&mut self, shard: usize, version: ProtocolVersion) -> Link {
        let link = Link(self.clients.len());
        self.clients.push(Client {
            version,
            at: None,
            was_at: None,
            to_server: Vec::new(),
            from_server: Vec::new(),
            got: VecDeque::new(),
            is_stuck: false,
            next_id: 1,
        });
        self.open(link, ShardId::new(shard).unwrap(), None);
        self.carry_if_at_once();
        link
    }

    /// A connection that sent CONNECT, whatever comes of it.
    pub(crate) fn knock(&mut self, hello: &Hello) -> Link {
        let link = self.dial_at(0, hello.version);
        self.send_bytes(link, &hello.bytes());
        link
    }

    /// A connection whose CONNECT was accepted; the CONNACK is read.
    pub(crate) fn enter(&mut self, hello: &Hello) -> Link {
        self.enter_reading(hello).0
    }

    /// The same, with the CONNACK.
    pub(crate) fn enter_reading(&mut self, hello: &Hello) -> (Link, Got) {
        let link = self.knock(hello);
        let connack = self.client(link).got.pop_front().expect("an answer to CONNECT");
        assert!(matches!(connack, Got::ConnAck { code: 0, .. }), "{connack}");
        (link, connack)
    }

    /// Clean Start, nothing special.
    pub(crate) fn connect(&mut self, version: ProtocolVersion, client_id: &str) -> Link {
        self.enter(&hello(version, client_id))
    }

    /// The transport breaks.
    pub(crate) fn lose(&mut self, link: Link) {
        if let Some((shard, connection)) = self.client(link).at.take() {
            self.free(shard, connection);
            self.event(shard, Event::Closed { connection, cause: CloseCause::Failed });
            self.effects[shard.index()].outbox.clear(connection);
        }
    }

    /// DISCONNECT with Normal disconnection.
    pub(crate) fn leave(&mut self, link: Link) {
        self.leave_with(link, 0, None);
        assert_eq!(self.take(link), ["closed"]);
    }

    /// DISCONNECT (5.0) with a Reason Code and perhaps a Session Expiry Interval.
    pub(crate) fn leave_with(&mut self, link: Link, code: u8, expiry: Option<u32>) {
        let mut properties = PropertyBuf::new();
        if let Some(seconds) = expiry {
            properties.push(Property::SessionExpiryInterval(seconds));
        }
        let reason = ReasonCode::from_u8(code).unwrap();
        self.send(link, &Packet::Disconnect(Disconnect { reason, properties: properties.as_properties() }));
    }

    /// The transport takes no more output, or takes it again.
    pub(crate) fn stick(&mut self, link: Link, is_stuck: bool) {
        self.client(link).is_stuck = is_stuck;
        if let Some((shard, connection)) = self.client(link).at {
            self.write_out(shard, connection);
            self.carry_if_at_once();
        }
    }

    // What Clients send.

    pub(crate) fn send_bytes(&mut self, link: Link, bytes: &[u8]) {
        self.client(link).to_server.extend_from_slice(bytes);
        self.offer(link);
        self.carry_if_at_once();
    }

    pub(crate) fn send(&mut self, link: Link, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.client(link).version, &mut bytes);
        self.send_bytes(link, &bytes);
    }

    pub(crate) fn publish(&mut self, link: Link, message: &Message) {
        let version = self.client(link).version;
        self.send_bytes(link, &message.bytes(version));
    }

    /// Subscribes; the QoS must be granted, and the SUBACK comes before everything else.
    pub(crate) fn subscribe(&mut self, link: Link, filter: &str, qos: u8) {
        self.subscribe_as(link, filter, at(qos), 0);
    }

    /// The same with Subscription Options and a Subscription Identifier (0: none).
    pub(crate) fn subscribe_as(
        &mut self,
        link: Link,
        filter: &str,
        options: SubscriptionOptions,
        identifier: u32,
    ) {
        let id = self.ask(link, &[(filter, options)], identifier);
        let suback = self.client(link).got.pop_front().expect("a SUBACK");
        assert_eq!(suback.to_string(), format!("SUBACK #{id} [{:02x}]", options.qos as u8));
    }

    /// Sends a SUBSCRIBE; its Packet Identifier.
    pub(crate) fn ask(
        &mut self,
        link: Link,
        filters: &[(&str, SubscriptionOptions)],
        identifier: u32,
    ) -> u16 {
        let (version, packet_id) = self.next_id(link);
        let mut properties = PropertyBuf::new();
        if identifier != 0 {
            properties.push(Property::SubscriptionIdentifier(VarInt::new(identifier).unwrap()));
        }
        let mut list = SubscribeBuf::new(version);
        for (filter, options) in filters {
            list.push(TopicFilter::parse(filter).unwrap(), *options);
        }
        let (properties, filters) = (properties.as_properties(), list.as_list());
        self.send(link, &Packet::Subscribe(Subscribe { packet_id, properties, filters }));
        packet_id.get()
    }

    /// Sends an UNSUBSCRIBE; its Packet Identifier.
    pub(crate) fn unsubscribe(&mut self, link: Link, filters: &[&str]) -> u16 {
        let (_, packet_id) = self.next_id(link);
        let mut list = FilterBuf::new();
        for filter in filters {
            list.push(TopicFilter::parse(filter).unwrap());
        }
        let filters = list.as_list();
        let unsubscribe = Unsubscribe { packet_id, properties: Properties::EMPTY, filters };
        self.send(link, &Packet::Unsubscribe(unsubscribe));
        packet_id.get()
    }

    fn next_id(&mut self, link: Link) -> (ProtocolVersion, PacketId) {
        let client = self.client(link);
        let packet_id = PacketId::new(client.next_id).unwrap();
        client.next_id += 1;
        (client.version, packet_id)
    }

    pub(crate) fn puback(&mut self, link: Link, id: u16) {
        self.acknowledge(link, Packet::PubAck, id, 0);
    }

    pub(crate) fn pubrec(&mut self, link: Link, id: u16) {
        self.acknowledge(link, Packet::PubRec, id, 0);
    }

    pub(crate) fn pubrel(&mut self, link: Link, id: u16) {
        self.acknowledge(link, Packet::PubRel, id, 0);
    }

    pub(crate) fn pubcomp(&mut self, link: Link, id: u16) {
        self.acknowledge(link, Packet::PubComp, id, 0);
    }

    /// Any of the four, with a Reason Code.
    pub(crate) fn acknowledge(
        &mut self,
        link: Link,
        packet: fn(Ack<'static>) -> Packet<'static>,
        id: u16,
        code: u8,
    ) {
        let packet_id = PacketId::new(id).unwrap();
        let reason = ReasonCode::from_u8(code).unwrap();
        self.send(link, &packet(Ack { packet_id, reason, properties: Properties::EMPTY }));
    }

    pub(crate) fn ping(&mut self, link: Link) {
        self.send(link, &Packet::PingReq);
    }

    // What Clients read.

    /// Everything read since the last call, a line each.
    pub(crate) fn take(&mut self, link: Link) -> Vec<String> {
        self.read(link).iter().map(Got::to_string).collect()
    }

    /// Everything read since the last call.
    pub(crate) fn read(&mut self, link: Link) -> Vec<Got> {
        self.client(link).got.drain(..).collect()
    }

    /// Acknowledges what comes, to the end of each exchange; the payloads, in order.
    pub(crate) fn acknowledge_all(&mut self, link: Link) -> Vec<String> {
        let mut payloads = Vec::new();
        while let Some(got) = self.client(link).got.pop_front() {
            match got {
                Got::Publish(received) => {
                    payloads.push(String::from_utf8_lossy(&received.payload).into_owned());
                    match received.qos as u8 {
                        0 => {}
                        1 => self.puback(link, received.id),
                        _ => self.pubrec(link, received.id),
                    }
                }
                Got::Ack { name: "PUBREL", id, .. } => self.pubcomp(link, id),
                _ => {}
            }
        }
        payloads
    }

    /// Is the connection still there?
    pub(crate) fn is_open(&self, link: Link) -> bool {
        self.clients[link.0].at.is_some()
    }

    /// Bytes that the Server has not consumed yet.
    pub(crate) fn unread(&self, link: Link) -> usize {
        self.clients[link.0].to_server.len()
    }

    /// Bytes that wait in the output of a connection.
    pub(crate) fn waiting(&self, link: Link) -> usize {
        let (shard, connection) = self.clients[link.0].at.unwrap();
        self.effects[shard.index()].outbox.len(connection)
    }

    // The Server.

    /// Time goes by, and every timer fires when it is due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        for _ in 0..100_000 {
            let due = self.map.iter().filter_map(|shard| Some((self.deadline(shard)?, shard))).min();
            let Some((at, shard)) = due.filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.event(shard, Event::Timer);
        }
        panic!("a deadline that is not served");
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// What Clients of the first shard did.
    pub(crate) fn survey(&self, from: u32, most: u32) -> (Vec<dunlin_engine::Surveyed>, Option<u32>) {
        self.engines[0].survey(from, most)
    }

    pub(crate) fn deadline(&self, shard: ShardId) -> Option<Time> {
        self.engines[shard.index()].next_deadline()
    }

    pub(crate) fn shut_down(&mut self) {
        for shard in self.map.iter() {
            self.event(shard, Event::Shutdown);
        }
    }

    pub(crate) fn reconfigure(&mut self, settings: &Settings) {
        for shard in self.map.iter() {
            self.event(shard, Event::Reconfigured(Arc::new(settings.clone())));
        }
    }

    /// Of all shards together, by what `pick` takes of each.
    pub(crate) fn count(&mut self, pick: impl Fn(&Counters) -> u64) -> u64 {
        self.engines.iter_mut().map(|engine| pick(engine.counters())).sum()
    }

    /// Messages dropped for a reason.
    pub(crate) fn dropped(&mut self, reason: dunlin_engine::Drop) -> u64 {
        self.count(|counters| counters.dropped[reason as usize])
    }

    /// The Client Identifiers whose Sessions have their home in a shard, one for each `number`.
    pub(crate) fn client_on(&self, shard: usize, number: usize) -> String {
        self.name_on(shard, number, |name| Partition::of_session("", name))
    }

    /// A topic whose retained message has its home in a shard.
    pub(crate) fn topic_on(&self, shard: usize) -> String {
        self.name_on(shard, 0, |name| Partition::of(&[name]))
    }

    /// A ShareName whose group for `filter` has its home in a shard.
    pub(crate) fn share_on(&self, shard: usize, filter: &str) -> String {
        self.name_on(shard, 0, |name| Partition::of(&["", name, filter]))
    }

    fn name_on(&self, shard: usize, number: usize, partition: impl Fn(&str) -> Partition) -> String {
        let names = (0..).map(|number| format!("n{number}"));
        names.filter(|name| self.map.home(partition(name)).index() == shard).nth(number).unwrap()
    }

    // Mail.

    /// From now on a test carries the mail.
    pub(crate) fn carry_by_hand(&mut self) {
        self.carriage = Carriage::ByHand;
    }

    /// From now on no mail leaves a shard.
    pub(crate) fn jam(&mut self) {
        self.carriage = Carriage::Jammed;
    }

    /// Carries everything that lies about, and mail goes at once from now on.
    pub(crate) fn unjam(&mut self) {
        self.carriage = Carriage::AtOnce;
        for shard in self.map.iter() {
            self.collect_mail(shard);
        }
        self.carry_if_at_once();
    }

    /// Carries the mail from one shard to another that is on its way now, in order.
    pub(crate) fn carry(&mut self, from: usize, to: usize) {
        let bags = self.transit.remove(&(from, to)).unwrap_or_default();
        for mut bag in bags {
            let sender = ShardId::new(from).unwrap();
            self.step(ShardId::new(to).unwrap(), Event::Mail { from: sender, bag: &mut bag });
            assert!(bag.is_empty(), "mail is read to the end");
            self.effects[to].mail.recycle(bag);
        }
    }

    /// Carries mail until none is on its way.
    pub(crate) fn carry_all(&mut self) {
        while let Some((from, to)) = self.transit.keys().next().copied() {
            self.carry(from, to);
        }
    }

    fn carry_if_at_once(&mut self) {
        if self.carriage == Carriage::AtOnce {
            self.carry_all();
        }
    }

    fn collect_mail(&mut self, shard: ShardId) {
        if self.carriage == Carriage::Jammed {
            return;
        }
        let receivers: Vec<ShardId> = self.effects[shard.index()].mail.receivers().collect();
        for to in receivers {
            let bag = self.effects[shard.index()].mail.take(to);
            self.transit.entry((shard.index(), to.index())).or_default().push_back(bag);
            self.step(shard, Event::MailTaken { to });
        }
    }

    // Events and effects.

    fn event(&mut self, shard: ShardId, event: Event<'_>) {
        self.step(shard, event);
        self.carry_if_at_once();
    }

    fn step(&mut self, shard: ShardId, event: Event<'_>) {
        let at = shard.index();
        self.engines[at].handle(self.now, event, &mut self.effects[at]);
        self.perform(shard);
    }

    fn perform(&mut self, shard: ShardId) {
        let effects = &mut self.effects[shard.index()];
        let list = std::mem::take(&mut effects.list);
        let mut dirty = Vec::new();
        effects.outbox.take_dirty(&mut dirty);
        for connection in dirty {
            self.write_out(shard, connection);
        }
        for effect in list {
            match effect {
                Effect::Close { connection } => {
                    let link = self.free(shard, connection);
                    self.effects[shard.index()].outbox.clear(connection);
                    let client = self.client(link);
                    client.at = None;
                    client.to_server.clear();
                    client.got.push_back(Got::Closed);
                }
                Effect::HandOver { connection, to, pledge } => {
                    let link = self.free(shard, connection);
                    self.pledges += usize::from(pledge.is_some());
                    self.open(link, to, pledge);
                    self.offer(link);
                }
                Effect::ReadMore { connection } => {
                    if let Some(link) = self.slots[shard.index()][connection.index()].0 {
                        self.offer(link);
                    }
                }
                Effect::Authenticate { connection, credentials } => {
                    let link = self.slots[shard.index()][connection.index()].0.unwrap();
                    self.asked.push((link, credentials));
                }
                Effect::Notice(notice) => self.notices.push(*notice),
                Effect::Read { token, partition, records } => {
                    let disk = self.disk.as_ref().expect("only what was written is read");
                    let read = |(seq, number): &(u32, u64)| (*seq, disk.read(partition, *number));
                    let records: Vec<_> = records.iter().map(read).collect();
                    self.step(shard, Event::Read { token, records: &records });
                }
            }
        }
        self.collect_mail(shard);
        self.relieve(shard);
        if self.stores {
            self.write_out_journal(shard);
            self.store_batch(shard);
        }
    }

    /// Offers the engine what it has not consumed.
    fn offer(&mut self, link: Link) {
        let Some((shard, connection)) = self.client(link).at else { return };
        let bytes = std::mem::take(&mut self.client(link).to_server);
        if bytes.is_empty() {
            return;
        }
        let effects = &mut self.effects[shard.index()];
        self.engines[shard.index()].handle(self.now, Event::Received { connection, bytes: &bytes }, effects);
        let consumed = effects.consumed;
        self.client(link).to_server = bytes[consumed..].to_vec();
        self.perform(shard);
    }

    fn open(&mut self, link: Link, shard: ShardId, pledge: Option<Box<Pledge>>) {
        let slots = &mut self.slots[shard.index()];
        let index = slots.iter().position(|(user, _)| user.is_none()).unwrap_or(slots.len());
        slots.resize(slots.len().max(index + 1), (None, 0));
        let (user, generation) = &mut slots[index];
        *user = Some(link);
        *generation += 1;
        let connection = ConnectionId::new(u32::try_from(index).unwrap(), *generation);
        self.client(link).at = Some((shard, connection));
        self.client(link).was_at = self.client(link).at;
        let peer = Peer { listener: 0, address: self.address, authenticate: self.guarded };
        self.step(shard, Event::Opened { connection, peer, pledge });
    }

    fn free(&mut self, shard: ShardId, connection: ConnectionId) -> Link {
        let link = self.slots[shard.index()][connection.index()].0.take();
        link.expect("effects name connections that are there")
    }

    fn write_out(&mut self, shard: ShardId, connection: ConnectionId) {
        let Some(link) = self.slots[shard.index()].get(connection.index()).and_then(|slot| slot.0) else {
            return;
        };
        if self.client(link).is_stuck {
            return;
        }
        let outbox = &mut self.effects[shard.index()].outbox;
        let mut bytes = Vec::new();
        let mut is_drained = false;
        while !outbox.is_empty(connection) {
            let chunk = {
                let mut slices = smallvec::SmallVec::new();
                outbox.slices(connection, &mut slices);
                slices.concat()
            };
            bytes.extend_from_slice(&chunk);
            is_drained |= outbox.advance(connection, chunk.len(), LOW_WATER);
        }
        is_drained |= outbox.advance(connection, 0, LOW_WATER);
        self.client(link).receive(&bytes);
        if is_drained {
            self.step(shard, Event::Drained { connection });
        }
    }

    fn client(&mut self, link: Link) -> &mut Client {
        &mut self.clients[link.0]
    }
}

impl Client {
    fn receive(&mut self, bytes: &[u8]) {
        self.from_server.extend_from_slice(bytes);
        while let Ok(Framing::Complete { frame, len }) = Frame::split(&self.from_server, u32::MAX) {
            let mut broken = RuleSet::EMPTY;
            let packet = Packet::decode(frame, self.version, Tolerance::default(), &mut broken).unwrap();
            let got = Got::of(&packet);
            self.got.push_back(got);
            self.from_server.drain(..len);
        }
    }
}
