//! Scenarios of `dunlin bench`, as one engine sees them.

use dunlin_engine::ConnectionId;

use crate::rig::{Rig, publishes};

/// PUBLISH packets that come in one read.
const BURST: usize = 16;
const SIZE: usize = 64;
const PUBLISHERS: usize = 50;

fn topic(publisher: usize) -> String {
    format!("bench/pub-{publisher}/data")
}

fn publishers(rig: &mut Rig, count: usize) -> Vec<(ConnectionId, String)> {
    (0..count).map(|n| (rig.connect(&format!("publisher-{n}"), true), topic(n))).collect()
}

/// Everybody publishes a burst, then all of it is delivered. One round goes before that is not counted, which makes what is
/// kept from then on.
fn rounds(rig: &mut Rig, publishers: &[(ConnectionId, String)], qos: u8, burst: usize, rounds: usize) -> u64 {
    for round in 0..=rounds {
        rig.counts = round > 0;
        everybody(rig, publishers, qos, burst);
    }
    rig.counts = false;
    (rounds * publishers.len() * burst) as u64
}

fn everybody(rig: &mut Rig, publishers: &[(ConnectionId, String)], qos: u8, burst: usize) {
    for (connection, topic) in publishers {
        rig.send(*connection, &publishes(&vec![topic.clone(); burst], qos, 1, SIZE));
    }
    rig.deliver();
}

/// 50 publishers, 1 subscriber of all. A unit is a delivery.
pub(crate) fn fan_in(qos: u8) -> u64 {
    let mut rig = Rig::new(false);
    let subscriber = rig.connect("subscriber", true);
    rig.subscribe(subscriber, "bench/#", qos);
    let publishers = publishers(&mut rig, PUBLISHERS);
    rounds(&mut rig, &publishers, qos, BURST, 40)
}

/// As fan-in at QoS 0, but each read brings one message and each is flushed alone.
pub(crate) fn one_by_one() -> u64 {
    let mut rig = Rig::new(false);
    let subscriber = rig.connect("subscriber", true);
    rig.subscribe(subscriber, "bench/#", 0);
    let publishers = publishers(&mut rig, PUBLISHERS);
    publishers.iter().map(|publisher| rounds(&mut rig, std::slice::from_ref(publisher), 0, 1, 400)).sum()
}

/// 1 publisher, 100 subscribers.
pub(crate) fn fan_out(qos: u8) -> u64 {
    let mut rig = Rig::new(false);
    for n in 0..100 {
        let subscriber = rig.connect(&format!("subscriber-{n}"), true);
        rig.subscribe(subscriber, "bench/#", qos);
    }
    let publisher = (rig.connect("publisher", true), topic(0));
    100 * rounds(&mut rig, &[publisher], qos, BURST, 20)
}

/// 50 publishers and 50 subscribers for each shard, a topic each. A unit is a delivery; of `shards`, all but one of as many go
/// to another shard.
pub(crate) fn pairs(qos: u8, shards: usize) -> u64 {
    let mut rig = Rig::over(shards, false);
    let count = PUBLISHERS * shards;
    for n in 0..count {
        let subscriber = rig.connect(&format!("subscriber-{n}"), true);
        rig.subscribe(subscriber, &topic(n), qos);
    }
    let publishers = publishers(&mut rig, count);
    rounds(&mut rig, &publishers, qos, BURST, 40_usize.div_ceil(shards))
}

/// 50 publishers; 8 subscribers are one shared group. A unit is a delivery.
pub(crate) fn shared(qos: u8) -> u64 {
    let mut rig = Rig::new(false);
    for n in 0..8 {
        let subscriber = rig.connect(&format!("subscriber-{n}"), true);
        rig.subscribe(subscriber, "$share/group/bench/#", qos);
    }
    let publishers = publishers(&mut rig, PUBLISHERS);
    rounds(&mut rig, &publishers, qos, BURST, 40)
}

/// 100,000 filters with wildcards over 10 subscribers, and topics that were never seen before, each of which one filter matches.
/// A unit is a delivery.
pub(crate) fn wildcards() -> u64 {
    let mut rig = Rig::new(false);
    let subscribers: Vec<_> = (0..10).map(|n| rig.connect(&format!("subscriber-{n}"), true)).collect();
    for n in 0..100_000 {
        rig.subscribe(subscribers[n % 10], &format!("site/{}/+/{n}/#", n % 100), 0);
    }
    let publisher = rig.connect("publisher", true);
    rig.counts = true;
    for round in 0..2_000 {
        let name = |k: usize| {
            let n = (round * BURST + k) % 100_000;
            format!("site/{}/d{round}/{n}/t/u", n % 100)
        };
        rig.send(publisher, &publishes(&(0..BURST).map(name).collect::<Vec<_>>(), 0, 1, SIZE));
        rig.deliver();
    }
    rig.delivered
}

/// 1,024 filters of one Client, made so that a topic leads to each and none matches it: `+` or a name at each of ten levels, then
/// what no topic has. A unit is a topic that was never seen before.
pub(crate) fn near_misses() -> u64 {
    let mut rig = Rig::new(false);
    let subscriber = rig.connect("subscriber", true);
    for n in 0..1 << 10 {
        let levels: String = (0..10).map(|level| if n >> level & 1 == 0 { "a/" } else { "+/" }).collect();
        rig.subscribe(subscriber, &format!("{levels}x/{n}"), 0);
    }
    let publisher = rig.connect("publisher", true);
    rig.counts = true;
    let topics: Vec<String> = (0..BURST).map(|n| format!("{}x/y{n}", "a/".repeat(10))).collect();
    rig.send(publisher, &publishes(&topics, 0, 1, SIZE));
    assert!(rig.delivered == 0, "nothing matches");
    BURST as u64
}

/// Filters with wildcards, of one Client. A unit is one.
pub(crate) fn subscribe() -> u64 {
    let mut rig = Rig::new(false);
    let subscriber = rig.connect("subscriber", true);
    rig.counts = true;
    (0..20_000).for_each(|n| rig.subscribe(subscriber, &format!("site/{}/+/{n}/#", n % 100), 0));
    20_000
}

/// CONNECT, CONNACK, SUBSCRIBE, DISCONNECT. A unit is a connection.
pub(crate) fn connect() -> u64 {
    let mut rig = Rig::new(false);
    rig.counts = true;
    for n in 0..5_000 {
        let connection = rig.connect(&format!("client-{n}"), true);
        rig.subscribe(connection, "bench/#", 0);
        rig.disconnect(connection);
    }
    5_000
}

/// QoS 1 for a Session whose Client is away, with a log: taken, encoded for it, acknowledged. A unit is a message.
pub(crate) fn offline() -> u64 {
    let mut rig = Rig::new(true);
    let subscriber = rig.connect("subscriber", false);
    rig.store();
    rig.subscribe(subscriber, "bench/#", 1);
    rig.store();
    rig.cut(subscriber);
    let publishers = publishers(&mut rig, PUBLISHERS);
    rig.store();
    rig.counts = true;
    for _ in 0..40 {
        everybody(&mut rig, &publishers, 1, BURST);
        rig.store();
    }
    (40 * PUBLISHERS * BURST) as u64
}

/// QoS 1 for a kept Session whose Client is there, with a log, which has all of it before the Client acknowledges. A unit is a
/// message.
pub(crate) fn kept() -> u64 {
    let mut rig = Rig::new(true);
    let subscriber = rig.connect("subscriber", false);
    rig.store();
    rig.subscribe(subscriber, "bench/#", 1);
    rig.store();
    let publishers = publishers(&mut rig, PUBLISHERS);
    rig.store();
    rig.counts = true;
    for _ in 0..40 {
        for (connection, topic) in &publishers {
            rig.send(*connection, &publishes(&vec![topic.clone(); BURST], 1, 1, SIZE));
        }
        rig.store();
    }
    rig.store();
    (40 * PUBLISHERS * BURST) as u64
}

/// QoS 1 for a kept Session whose Client is there and acknowledges at once; with a log, before it was asked for anything. A unit is
/// a message.
pub(crate) fn prompt(durable: bool) -> u64 {
    let mut rig = Rig::new(durable);
    let subscriber = rig.connect("subscriber", false);
    rig.store();
    rig.subscribe(subscriber, "bench/#", 1);
    rig.store();
    let publishers = publishers(&mut rig, PUBLISHERS);
    rounds(&mut rig, &publishers, 1, BURST, 40)
}
