//! What a million filters with wildcards take: memory of the process for each, and time to subscribe.
//!
//! `cargo run --release -p dunlin-counts --example filters [FILTERS [SHARDS [SESSIONS]]]`
//!
//! In:    engines of several shards in one thread, which carry each other's mail; the filters of `dunlin bench wildcards`.
//! Out:   bytes of memory for each filter beside its own, and SUBSCRIBE packets of one filter a second, all shards together.
//! Never: a socket: what the kernel and the runtime add is not in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dunlin_engine::{
    ConnectionId, Effects, Engine, Event, Partition, Peer, Settings, ShardId, ShardMap, Time,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Filters that a Client sends before mail is carried.
const BATCH: u32 = 100;

struct Shards {
    all: Vec<(Engine, Effects)>,
    now: Time,
}

impl Shards {
    fn new(count: usize) -> Self {
        let mut settings = Settings::default();
        settings.limits.subscriptions_per_client = u32::MAX;
        settings.limits.wildcard_subscriptions_per_client = u32::MAX;
        let settings = Arc::new(settings);
        let map = ShardMap::new(count).unwrap_or_else(|| unreachable!("1 to 64 shards"));
        let shard = |shard| (Engine::new(shard, map, Arc::clone(&settings), 7, false), Effects::new(map));
        Self { all: map.iter().map(shard).collect(), now: Time::from_micros(1_000_000) }
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        self.now = self.now.after(Duration::from_micros(1));
        let (engine, effects) = &mut self.all[shard];
        engine.handle(self.now, event, effects);
        effects.list.clear();
    }

    /// A Client of a shard sends bytes; what it gets is thrown away.
    fn send(&mut self, shard: usize, connection: ConnectionId, bytes: &[u8]) {
        self.handle(shard, Event::Received { connection, bytes });
        let outbox = &mut self.all[shard].1.outbox;
        let waiting = outbox.len(connection);
        outbox.advance(connection, waiting, 64 * 1024);
    }

    /// Until nobody has anything to say to another.
    fn carry(&mut self) {
        while let Some((from, to)) = self.next_bag() {
            let mut bag = self.all[from].1.mail.take(to);
            let sender = ShardId::new(from).unwrap_or(ShardId::FIRST);
            self.handle(to.index(), Event::Mail { from: sender, bag: &mut bag });
            self.all[from].1.mail.recycle(bag);
            self.handle(from, Event::MailTaken { to });
        }
    }

    fn next_bag(&self) -> Option<(usize, ShardId)> {
        let with_mail = self.all.iter().enumerate();
        with_mail.filter_map(|(from, (_, effects))| Some((from, effects.mail.receivers().next()?))).next()
    }

    fn drain(&mut self, sessions: &[(usize, ConnectionId)]) {
        let mut dirty = Vec::new();
        for (shard, connection) in sessions {
            let outbox = &mut self.all[*shard].1.outbox;
            outbox.take_dirty(&mut dirty);
            let waiting = outbox.len(*connection);
            if outbox.advance(*connection, waiting, 64 * 1024) {
                self.handle(*shard, Event::Drained { connection: *connection });
            }
        }
    }
}

/// As in `dunlin bench wildcards`: half have `+` inside, a quarter ends in `#`, a quarter begins with `+`.
fn filter(at: u32) -> String {
    match at % 4 {
        0 | 2 => format!("bench/12345/+/{at}/value"),
        1 => format!("bench/12345/room{}/{at}/#", at % 100),
        _ => format!("+/12345/room{}/{at}/value", at % 100),
    }
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first, u8::try_from(body.len()).unwrap_or_default()];
    packet.extend(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap_or_default().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let count = arguments.next().unwrap_or(1_000_000);
    let shards = arguments.next().unwrap_or(2) as usize;
    let sessions = arguments.next().unwrap_or(10) as usize;
    let mut world = Shards::new(shards);
    let clients: Vec<(usize, ConnectionId)> = (0..sessions)
        .map(|n| (n % shards, ConnectionId::new(u32::try_from(n / shards).unwrap_or_default(), 0)))
        .collect();
    let map = ShardMap::new(shards).unwrap_or_else(|| unreachable!("1 to 64 shards"));
    // A Client whose Session is at home in another shard would be sent there.
    let mut names = (0..).map(|n| format!("client-{n}"));
    for (shard, connection) in &clients {
        let is_home = |name: &String| map.home(Partition::of_client(name)).index() == *shard;
        let Some(name) = names.find(is_home) else { unreachable!("there is no end of names") };
        let peer = Peer { listener: 0, address: None, authenticate: false };
        world.handle(*shard, Event::Opened { connection: *connection, peer, pledge: None });
        let body = [&[0, 4][..], b"MQTT", &[4, 2, 0, 0], &text(&name)].concat();
        world.send(*shard, *connection, &packet(0x10, &body));
    }
    world.carry();
    let before = resident_bytes();
    let mut own = 0;
    let mut spent = Duration::ZERO;
    for first in (0..count).step_by(BATCH as usize) {
        let (shard, connection) = clients[(first / BATCH) as usize % clients.len()];
        let filters: Vec<String> = (first..count.min(first + BATCH)).map(filter).collect();
        own += filters.iter().map(String::len).sum::<usize>();
        let packets: Vec<u8> = filters
            .iter()
            .flat_map(|filter| packet(0x82, &[&[0, 1][..], &text(filter), &[0]].concat()))
            .collect();
        let begun = Instant::now();
        world.send(shard, connection, &packets);
        world.carry();
        world.drain(&clients[(first / BATCH) as usize % clients.len()..][..1]);
        world.carry();
        spent += begun.elapsed();
    }
    let grown = resident_bytes().saturating_sub(before);
    let filters: u64 = world.all.iter_mut().map(|(engine, _)| engine.counters().filters).sum();
    assert!(
        filters == u64::from(count) * shards as u64,
        "every shard knows of each, not of {filters} in all"
    );
    println!("{count} filters of {} bytes, {shards} shards", own / count as usize);
    println!("{} bytes of memory for each, its own included", grown / count as usize);
    println!("{:.0} a second", f64::from(count) / spent.as_secs_f64());
}
