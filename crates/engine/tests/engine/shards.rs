//! Several shards, and mail between them that takes its time.

use dunlin_engine::Drop;

use crate::hello::{at, hello, message};
use crate::world::{Link, V5, V311, World};

const NOTHING: [&str; 0] = [];

/// A Client on each shard.
fn clients(world: &mut World, shards: usize) -> Vec<Link> {
    (0..shards).map(|shard| world.connect(V5, &world.client_on(shard, 0))).collect()
}

/// [MQTT-3.8.4-1] SUBACK says that nothing will be missed: it waits until every shard knows.
#[test]
fn suback_waits_until_every_shard_saw_the_interest() {
    let mut world = World::sharded(3);
    let links = clients(&mut world, 3);
    world.carry_by_hand();
    world.ask(links[0], &[("t", at(1))], 0);
    for (from, to) in [(0, 1), (1, 0), (0, 2)] {
        assert_eq!(world.take(links[0]), NOTHING);
        world.carry(from, to);
    }
    // Published where the interest is known, not yet acknowledged to the subscriber.
    world.publish(links[2], &message("t", "1"));
    assert_eq!(world.take(links[0]), NOTHING);
    world.carry(2, 0);
    let mut got = world.take(links[0]);
    got.sort();
    assert_eq!(got, ["PUBLISH t=1", "SUBACK #1 [01]"]);
}

/// A second subscriber of the same shard cannot be told sooner than the first.
#[test]
fn a_second_subscriber_waits_for_the_same_interest() {
    let mut world = World::sharded(2);
    let first = world.connect(V5, &world.client_on(0, 0));
    let second = world.connect(V5, &world.client_on(0, 1));
    world.carry_by_hand();
    world.ask(first, &[("t", at(0))], 0);
    world.ask(second, &[("t", at(0))], 0);
    assert_eq!((world.take(first).len(), world.take(second).len()), (0, 0));
    world.carry_all();
    assert_eq!((world.take(first).len(), world.take(second).len()), (1, 1));
}

/// The one who asked is gone before the answer: nobody else gets it.
#[test]
fn a_suback_for_a_connection_that_is_gone_reaches_nobody() {
    let mut world = World::sharded(2);
    let hello_0 = hello(V5, &world.client_on(0, 0)).lasting(60);
    let client = world.enter(&hello_0);
    world.carry_by_hand();
    world.ask(client, &[("t", at(1))], 0);
    world.lose(client);
    let back = world.enter(&hello_0);
    world.carry_all();
    assert_eq!(world.take(back), NOTHING);
    // The Subscription is there all the same.
    world.publish(back, &message("t", "1").qos(1, 1));
    assert_eq!(world.take(back), ["PUBLISH t=1 q1 #1", "PUBACK #1"]);
}

/// [MQTT-4.6.0-5] Messages of one Client on one topic keep their order across shards, small and large ones alike.
#[test]
fn order_is_kept_across_shards() {
    let mut world = World::sharded(4);
    let links = clients(&mut world, 4);
    for link in &links {
        world.subscribe(*link, "t", 2);
    }
    world.carry_by_hand();
    for id in 1..=50 {
        let payload = format!("{id:0width$}", width = if id % 3 == 0 { 5_000 } else { 3 });
        world.publish(links[3], &message("t", payload).qos(u8::try_from(id % 2 + 1).unwrap(), id));
    }
    world.carry_all();
    for link in links {
        let got: Vec<u32> = world
            .read(link)
            .iter()
            .filter_map(|got| match got {
                crate::got::Got::Publish(received) => {
                    Some(String::from_utf8_lossy(&received.payload).parse().unwrap())
                }
                _ => None,
            })
            .collect();
        assert_eq!(got, (1..=50).collect::<Vec<u32>>());
    }
}

/// A retained topic at home in shard 1, a publisher on 2, a subscriber on 0, and an old value stored.
fn with_old_value() -> (World, Vec<Link>, String) {
    let mut world = World::sharded(3);
    let links = clients(&mut world, 3);
    let topic = world.topic_on(1);
    world.publish(links[2], &message(&topic, "old").retain());
    world.carry_by_hand();
    (world, links, topic)
}

fn payloads(world: &mut World, link: Link) -> Vec<String> {
    world.acknowledge_all(link)
}

/// [MQTT-3.3.1-9] The stored value is fetched from its home, whichever shard the subscriber is on.
#[test]
fn a_retained_message_is_fetched_from_its_home() {
    let (mut world, links, topic) = with_old_value();
    for link in &links {
        world.ask(*link, &[(topic.as_str(), at(0)), ("#", at(0))], 0);
    }
    world.carry_all();
    for link in links {
        let got = world.take(link);
        let retained = format!("PUBLISH {topic}=old retain");
        assert_eq!(got.iter().filter(|line| **line == retained).count(), 2, "once for each filter");
        assert!(got[0].starts_with("SUBACK"));
    }
}

/// A newer live value comes while the older one is on its way: the older one never follows it.
#[test]
fn an_older_retained_value_never_follows_a_newer_live_one() {
    for filter in ["", "#"] {
        let (mut world, links, topic) = with_old_value();
        let filter = if filter.is_empty() { topic.as_str() } else { filter };
        world.ask(links[0], &[(filter, at(0))], 0);
        for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0), (0, 1)] {
            world.carry(from, to);
        }
        // The page with the old value lies between 1 and 0.
        world.publish(links[2], &message(&topic, "new").retain());
        world.carry(2, 0);
        world.carry_all();
        assert_eq!(payloads(&mut world, links[0]), ["new"], "{filter}");
    }
}

/// The other order: the older value first, then the newer.
#[test]
fn a_newer_live_value_may_follow_an_older_retained_one() {
    let (mut world, links, topic) = with_old_value();
    world.ask(links[0], &[(topic.as_str(), at(0))], 0);
    for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0), (0, 1), (1, 0), (0, 2), (2, 0)] {
        world.carry(from, to);
    }
    world.publish(links[2], &message(&topic, "new").retain());
    world.carry_all();
    assert_eq!(payloads(&mut world, links[0]), ["old", "new"]);
}

/// A value that is cleared while it is on its way does not appear after that.
#[test]
fn a_cleared_value_never_follows_its_clearing() {
    let (mut world, links, topic) = with_old_value();
    world.ask(links[0], &[(topic.as_str(), at(0))], 0);
    for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0), (0, 1)] {
        world.carry(from, to);
    }
    world.publish(links[2], &message(&topic, "").retain());
    world.carry(2, 0);
    world.carry_all();
    assert_eq!(payloads(&mut world, links[0]), [""]);
}

/// A newer value is on its way to its home, or has reached an earlier subscriber of the shard, when a Subscription begins:
/// whatever overtakes whom, every subscriber ends up with the newest, and gets none twice.
#[test]
fn the_newest_retained_value_is_never_missed() {
    for seed in 0..2_000 {
        let (mut world, links, topic) = with_old_value();
        let second = world.enter(&hello(V5, &world.client_on(0, 1)));
        // Where the shard wants the filter already, nobody else has to be told of it.
        let filter = if seed % 2 == 0 { "#" } else { topic.as_str() };
        shuffled(&mut world, seed, |world, what| match what {
            0 => drop(world.ask(links[0], &[(&topic, at(0))], 0)),
            1 => drop(world.ask(second, &[(filter, at(0))], 0)),
            _ => world.publish(links[2], &message(&topic, "new").retain()),
        });
        for link in [links[0], second] {
            let got = payloads(&mut world, link);
            assert!(got == ["new"] || got == ["old", "new"], "seed {seed}: {got:?}");
        }
    }
}

/// The first value that anybody retains is on its way when a Subscription begins: no shard believes for too long that there
/// is none, wherever it was published.
#[test]
fn the_first_retained_value_is_never_missed() {
    for seed in 0..2_000 {
        let mut world = World::sharded(3);
        let links = clients(&mut world, 3);
        let topic = world.topic_on(1);
        world.carry_by_hand();
        let second = world.enter(&hello(V5, &world.client_on(0, 1)));
        let publisher = world.enter(&hello(V5, &world.client_on(usize::try_from(seed % 3).unwrap(), 2)));
        let filter = if seed % 2 == 0 { "#" } else { topic.as_str() };
        shuffled(&mut world, seed, |world, what| match what {
            0 => drop(world.ask(links[0], &[(&topic, at(0))], 0)),
            1 => drop(world.ask(second, &[(filter, at(0))], 0)),
            _ => world.publish(publisher, &message(&topic, "new").retain()),
        });
        for link in [links[0], second] {
            assert_eq!(payloads(&mut world, link), ["new"], "seed {seed}");
        }
    }
}

/// Three steps in any order, mail in between and at the end.
fn shuffled(world: &mut World, seed: u64, mut step: impl FnMut(&mut World, usize)) {
    let mut todo = vec![0, 1, 2];
    let mut random = Random(seed);
    for _ in 0..120 {
        let choice = random.below(12);
        match todo.get(choice).copied() {
            Some(what) => {
                todo.remove(choice);
                step(world, what);
            }
            None => world.carry(random.below(3), random.below(3)),
        }
    }
    assert!(todo.is_empty(), "seed {seed}");
    world.carry_all();
}

/// Steps that the seed decides.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// [MQTT-4.8.2-3] A member that went while its message was on the way: another gets it.
#[test]
fn a_deal_that_finds_nobody_goes_back() {
    let mut world = World::sharded(3);
    let links = clients(&mut world, 3);
    let share = world.share_on(2, "t");
    let filter = format!("$share/{share}/t");
    for link in &links[..2] {
        world.subscribe(*link, &filter, 1);
    }
    world.carry_by_hand();
    world.publish(links[2], &message("t", "1").qos(1, 1));
    world.publish(links[2], &message("t", "2").qos(1, 2));
    world.lose(links[0]);
    world.carry_all();
    let mut got = world.acknowledge_all(links[1]);
    got.sort();
    assert_eq!(got, ["1", "2"]);
    assert_eq!(world.dropped(Drop::MemberLost), 0);
}

/// [MQTT-3.8.4-1] The SUBACK of a shared Subscription waits for the home of its group and for every shard.
#[test]
fn a_shared_suback_waits_for_the_home_of_its_group() {
    let mut world = World::sharded(3);
    let links = clients(&mut world, 3);
    let share = world.share_on(1, "t");
    world.carry_by_hand();
    world.ask(links[0], &[(&format!("$share/{share}/t"), at(1))], 0);
    for (from, to) in [(0, 1), (1, 2), (1, 0), (2, 1)] {
        world.carry(from, to);
        assert_eq!(world.take(links[0]), NOTHING);
    }
    // The home has seen the answer of 2 and waits for that of 0, which learnt of its interest above.
    world.carry_all();
    assert_eq!(world.take(links[0]), ["SUBACK #1 [01]"]);
    world.publish(links[2], &message("t", "1").qos(1, 1));
    world.carry_all();
    assert_eq!(world.take(links[0]), ["PUBLISH t=1 q1 #1"]);
}

/// [MQTT-3.1.3-2] [MQTT311-3.1.3-2] A connection goes to the shard of its Session, with all that it has sent so far.
#[test]
fn a_connection_is_handed_to_the_shard_of_its_session() {
    for shard in 0..3 {
        for cut in [1, 7, 1000] {
            let mut world = World::sharded(3);
            let watcher = world.connect(V5, "w");
            world.subscribe(watcher, "#", 0);
            let mut bytes = hello(V311, &world.client_on(1, 0)).bytes();
            bytes.extend(message("t", "1").qos(1, 1).bytes(V311));
            bytes.extend([0xc0, 0]);
            let client = world.dial_at(shard, V311);
            for chunk in bytes.chunks(cut) {
                world.send_bytes(client, chunk);
            }
            assert_eq!(world.take(client), ["CONNACK 00", "PUBACK #1", "PINGRESP"]);
            assert_eq!(world.take(watcher), ["PUBLISH t=1"]);
            assert_eq!(world.count(|counters| counters.connections), 2);
        }
    }
}

/// A full mailbox makes publishers wait, unread; then they go on, and nothing is lost.
#[test]
fn a_shard_that_cannot_keep_up_makes_its_publishers_wait() {
    let mut world = World::sharded(2);
    let publisher = world.enter(&hello(V311, &world.client_on(0, 0)).keep_alive(10));
    let subscriber = world.connect(V311, &world.client_on(1, 0));
    world.subscribe(subscriber, "t", 0);
    world.jam();
    for number in 0..20 {
        world.publish(publisher, &message("t", vec![b'a' + number; 500_000]));
    }
    assert!(world.unread(publisher) > 0);
    world.seconds(60);
    assert!(world.is_open(publisher));
    world.unjam();
    assert_eq!(world.unread(publisher), 0);
    assert_eq!(world.take(subscriber).len(), 20);
}
