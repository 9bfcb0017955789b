//! Acknowledgements are withheld from whoever fills a queue faster than it drains, and nobody waits for ever.

use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_codec::{Packet, SubscriptionOptions};
use dunlin_engine::{Drop, Limits};

use crate::got::Got;
use crate::hello::{at, hello, message};
use crate::world::{Link, V5, V311, World};

const NOTHING: [&str; 0] = [];

/// A queue of 8 is half full at 5; 2 unacknowledged messages are taken from each Client.
fn tight(limits: &mut Limits) {
    limits.queue_messages_maximum = 8;
    limits.inflight_maximum = NonZeroU16::MIN;
    limits.receive_maximum = NonZeroU16::new(2).unwrap();
    limits.slow_publisher_maximum_ms = 1_000_000;
}

/// A subscriber that has one message and whose queue is more than half full, and the publisher slowed for it.
fn slowed(shards: usize, version: dunlin_codec::ProtocolVersion) -> (World, Link, Link) {
    // With a journal the last answers wait a little, and are withheld with those that follow.
    let mut world = World::in_memory_with(shards, |settings| tight(&mut settings.limits));
    let subscriber = world.connect(V5, &world.client_on(0, 0));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.enter(&hello(version, &world.client_on(shards - 1, 1)).keep_alive(10));
    for id in 1..=6 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    assert_eq!(world.take(publisher).len(), 6);
    (world, subscriber, publisher)
}

#[test]
fn a_publisher_waits_for_its_puback_while_a_queue_is_full() {
    for shards in [1, 2] {
        let (mut world, subscriber, publisher) = slowed(shards, V5);
        world.publish(publisher, &message("t", "7").qos(1, 7));
        world.publish(publisher, &message("elsewhere", "8").qos(2, 8));
        assert_eq!(world.take(publisher), NOTHING);
        // Everything else is answered.
        world.ping(publisher);
        assert_eq!(world.take(publisher), ["PINGRESP"]);
        // [MQTT-4.6.0-2] In the order of the PUBLISH packets, once there is room.
        assert_eq!(world.acknowledge_all(subscriber), ["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(world.take(publisher), ["PUBACK #7", "PUBREC #8 10"]);
        assert_eq!(world.dropped(Drop::QueueFull), 0);
    }
}

/// [MQTT-3.3.4-9] Withheld acknowledgements count against the Receive Maximum, each message once.
#[test]
fn a_slowed_publisher_that_keeps_to_the_receive_maximum_stays() {
    let (mut world, subscriber, publisher) = slowed(1, V5);
    for id in 11..=12 {
        world.publish(publisher, &message("t", id.to_string()).qos(2, id));
    }
    assert_eq!(world.take(publisher), NOTHING);
    assert!(world.is_open(publisher));
    world.acknowledge_all(subscriber);
    assert_eq!(world.take(publisher), ["PUBREC #11", "PUBREC #12"]);

    let (mut world, _, publisher) = slowed(1, V5);
    for id in 11..=13 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    assert_eq!(world.take(publisher), ["DISCONNECT 93", "closed"]);
}

/// A 3.1.1 Client knows no Receive Maximum: it is not read for a while, and its Keep Alive stands still.
#[test]
fn a_flooding_3_1_1_publisher_is_not_read_for_a_while() {
    let (mut world, subscriber, publisher) = slowed(1, V311);
    for id in 7..=20 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    assert!(world.unread(publisher) > 0);
    world.seconds(300);
    assert!(world.is_open(publisher), "the server does not read, so silence means nothing");

    let expected: Vec<String> = (1..=20).map(|id| id.to_string()).collect();
    assert_eq!(world.acknowledge_all(subscriber), expected);
    assert_eq!(world.take(publisher).len(), 14);
    assert_eq!((world.unread(publisher), world.dropped(Drop::QueueFull)), (0, 0));
    // It runs again.
    world.seconds(14);
    assert!(world.is_open(publisher));
    world.seconds(1);
    assert!(!world.is_open(publisher));
}

/// A subscriber that takes nothing at all slows nobody for long.
#[test]
fn nobody_waits_longer_than_configured() {
    let (mut world, subscriber, publisher) = slowed(1, V5);
    world.publish(publisher, &message("t", "7").qos(1, 7));
    world.pass(Duration::from_millis(999_999 - 15_000));
    assert!(!world.is_open(publisher), "it was silent");

    let mut settings = dunlin_engine::Settings::default();
    tight(&mut settings.limits);
    settings.limits.slow_publisher_maximum_ms = 3_000;
    world.reconfigure(&settings);
    world.acknowledge_all(subscriber);
    let publisher = world.connect(V5, "p");
    for id in 1..=7 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    assert_eq!(world.take(publisher).len(), 6);
    world.pass(Duration::from_millis(2_999));
    assert_eq!(world.take(publisher), NOTHING);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take(publisher), ["PUBACK #7"]);
    // Until its queue has drained it slows nobody; what does not fit is dropped.
    for id in 8..=12 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
        assert_eq!(world.take(publisher), [format!("PUBACK #{id}")]);
    }
    assert_eq!(world.dropped(Drop::QueueFull), 3);
}

/// The subscriber goes away: who waited for it goes on.
#[test]
fn the_end_of_a_subscriber_frees_its_publishers() {
    for shards in [1, 2] {
        let (mut world, subscriber, publisher) = slowed(shards, V5);
        world.publish(publisher, &message("t", "7").qos(1, 7));
        world.lose(subscriber);
        assert_eq!(world.take(publisher), ["PUBACK #7"]);
    }
}

/// A client that keeps to a window of two, publishes numbers to a topic and acknowledges what it gets.
struct Talker {
    link: Link,
    topic: &'static str,
    next: u16,
    unacknowledged: u16,
    got: Vec<String>,
}

impl Talker {
    /// Reads everything, answers it, and publishes what the window allows. Did anything happen?
    fn talk(&mut self, world: &mut World, last: u16) -> bool {
        let read = world.read(self.link);
        let mut acted = !read.is_empty();
        for got in read {
            match got {
                Got::Publish(received) => {
                    self.got.push(String::from_utf8(received.payload).unwrap());
                    world.acknowledge(self.link, Packet::PubAck, received.id, 0);
                }
                Got::Ack { name: "PUBACK", .. } => self.unacknowledged -= 1,
                other => panic!("{other}"),
            }
        }
        while self.unacknowledged < 2 && self.next <= last {
            world.publish(self.link, &message(self.topic, self.next.to_string()).qos(1, self.next));
            self.next += 1;
            self.unacknowledged += 1;
            acted = true;
        }
        acted
    }
}

/// Everybody publishes to everybody, within tiny bounds: all of it arrives, in order, and nobody waits for another for ever.
#[test]
fn clients_that_publish_to_each_other_never_lock() {
    for shards in [1, 2, 3] {
        for (topics, filters) in [
            (["ab", "ba", "x"], ["ba", "ab", "ab"]),
            (["1", "2", "3"], ["3", "1", "2"]),
            (["x", "x", "x"], ["x", "x", "x"]),
        ] {
            let mut world = World::sharded_with(shards, |settings| {
                tight(&mut settings.limits);
                // Two publishers with two messages each, before the first of them is slowed.
                settings.limits.queue_messages_maximum = 16;
            });
            let mut talkers: Vec<Talker> = topics
                .into_iter()
                .enumerate()
                .map(|(number, topic)| {
                    let link = world.connect(V5, &world.client_on(number % shards, number));
                    // Its own would fill its own queue, for which nobody is slowed.
                    let options = SubscriptionOptions { no_local: true, ..at(1) };
                    world.subscribe_as(link, filters[number], options, 0);
                    Talker { link, topic, next: 1, unacknowledged: 0, got: Vec::new() }
                })
                .collect();
            let last = 200;
            while talkers.iter_mut().fold(false, |acted, talker| talker.talk(&mut world, last) | acted) {}
            let expected = if topics[0] == "x" { 400 } else { 200 };
            for talker in &talkers {
                assert_eq!((talker.got.len(), talker.unacknowledged), (expected, 0), "{topics:?}");
            }
            assert_eq!(world.dropped(Drop::QueueFull), 0);
        }
    }
}

/// The hostile order: both flood before they read anything. Messages may be dropped, the connections may not lock.
#[test]
fn clients_that_flood_each_other_never_lock() {
    let mut world = World::with(|settings| tight(&mut settings.limits));
    let one = world.connect(V311, "one");
    let two = world.connect(V311, "two");
    world.subscribe(one, "to-one", 1);
    world.subscribe(two, "to-two", 1);
    for id in 1..=100 {
        world.publish(one, &message("to-two", id.to_string()).qos(1, id));
        world.publish(two, &message("to-one", id.to_string()).qos(1, id));
    }
    let mut got = [0, 0];
    for _ in 0..200 {
        got[0] += world.acknowledge_all(one).len();
        got[1] += world.acknowledge_all(two).len();
    }
    assert_eq!((world.unread(one), world.unread(two)), (0, 0));
    let dropped = usize::try_from(world.dropped(Drop::QueueFull)).unwrap();
    assert_eq!(got[0] + got[1] + dropped, 200);
    world.ping(one);
    world.ping(two);
    assert_eq!((world.take(one), world.take(two)), (vec!["PINGRESP".into()], vec!["PINGRESP".into()]));
}

/// One's own queue slows nobody: who publishes to itself would wait for itself.
#[test]
fn nobody_is_slowed_by_its_own_queue() {
    let mut world = World::with(|settings| tight(&mut settings.limits));
    let client = world.connect(V311, "c");
    world.subscribe(client, "t", 1);
    for id in 1..=8 {
        world.publish(client, &message("t", id.to_string()).qos(1, id));
    }
    assert_eq!(world.take(client).iter().filter(|line| line.starts_with("PUBACK")).count(), 8);
}
