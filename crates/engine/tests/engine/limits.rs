//! Bounds of what one Client may hold, and what happens at each.

use dunlin_engine::{Drop, Notice, QueueFull};

use crate::hello::{at, hello, message};
use crate::world::{Link, V5, V311, World};

const NOTHING: [&str; 0] = [];

/// A Session that is away, with room for three messages, and five published for it.
fn overfull(policy: QueueFull) -> World {
    let mut world = World::with(|settings| {
        settings.limits.queue_messages_maximum = 3;
        settings.limits.queue_full = policy;
    });
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 1);
    world.lose(client);
    publish_five(&mut world);
    world
}

fn publish_five(world: &mut World) -> Link {
    let publisher = world.connect(V5, "p");
    for id in 1..=5 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    publisher
}

fn waiting(world: &mut World) -> Vec<String> {
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.acknowledge_all(client)
}

#[test]
fn a_full_queue_drops_as_its_policy_says() {
    for (policy, kept) in [
        (QueueFull::DropOldest, ["3", "4", "5"]),
        (QueueFull::DropNewest, ["1", "2", "3"]),
        (QueueFull::Disconnect, ["1", "2", "3"]),
    ] {
        let mut world = overfull(policy);
        assert_eq!(world.dropped(Drop::QueueFull), 2, "{policy:?}");
        assert_eq!(waiting(&mut world), kept, "{policy:?}");
    }
}

/// A queue of a connected Client fills behind a spent window.
#[test]
fn a_connected_client_may_be_disconnected_for_its_full_queue() {
    for (version, farewell) in [(V311, &["closed"][..]), (V5, &["DISCONNECT 97", "closed"])] {
        let mut world = World::with(|settings| {
            settings.limits.queue_messages_maximum = 3;
            settings.limits.queue_full = QueueFull::Disconnect;
            settings.limits.inflight_maximum = std::num::NonZeroU16::MIN;
        });
        let client = world.enter(&hello(version, "c").lasting(60));
        world.subscribe(client, "t", 1);
        let publisher = publish_five(&mut world);
        let mut expected = vec!["PUBLISH t=1 q1 #1"];
        expected.extend(farewell);
        assert_eq!(world.take(client), expected);
        assert!(world.is_open(publisher), "it is not the publisher's fault");
        assert_eq!(waiting(&mut world), ["1", "2", "3", "4"]);
    }
}

/// Bytes count as messages do: topic, properties, payload, and 64 for each message.
#[test]
fn a_queue_is_bounded_in_bytes() {
    let mut world = World::with(|settings| settings.limits.queue_bytes_maximum = 210);
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    for (id, letter) in [(1, "a"), (2, "b"), (3, "c")] {
        world.publish(publisher, &message("t", letter.repeat(39)).qos(1, id));
    }
    // One that could never fit drops all before it, and itself.
    assert_eq!(waiting(&mut world), ["b".repeat(39), "c".repeat(39)]);
    assert_eq!(world.dropped(Drop::QueueFull), 1);
}

/// QoS 0 for who is away is dropped and counted; so is what a stuck connection cannot hold.
#[test]
fn qos_0_is_now_or_never() {
    let mut world = World::with(|settings| settings.limits.output_bytes_maximum = 1000);
    let away = world.enter(&hello(V5, "away").lasting(60));
    world.subscribe(away, "t", 0);
    world.lose(away);
    let stuck = world.connect(V5, "stuck");
    world.subscribe(stuck, "t", 0);
    world.stick(stuck, true);
    let publisher = world.connect(V5, "p");
    for number in 0..20 {
        world.publish(publisher, &message("t", [b'0' + number; 100]));
    }
    assert_eq!(world.dropped(Drop::Offline), 20);
    let lost = world.dropped(Drop::OutputFull);
    assert!((9..=12).contains(&lost), "{lost}");
    world.stick(stuck, false);
    assert_eq!(world.take(stuck).len(), 20 - usize::try_from(lost).unwrap());
    world.publish(publisher, &message("t", "after"));
    assert_eq!(world.take(stuck), ["PUBLISH t=after"]);
}

/// QoS 1 waits for a stuck connection and comes when it goes on.
#[test]
fn qos_1_waits_for_a_stuck_connection() {
    let mut world = World::new();
    let stuck = world.connect(V5, "stuck");
    world.subscribe(stuck, "t", 1);
    world.stick(stuck, true);
    let publisher = world.connect(V5, "p");
    for id in 1..=40 {
        world.publish(publisher, &message("t", vec![b'x'; 100_000]).qos(1, id));
    }
    assert_eq!(world.take(publisher).len(), 40);
    world.stick(stuck, false);
    assert_eq!(world.acknowledge_all(stuck).len(), 40);
    assert_eq!(world.dropped(Drop::OutputFull), 0);
}

/// Who loses messages is named, but not more often than once a second.
#[test]
fn losses_are_told_now_and_then() {
    let mut world = overfull(QueueFull::DropOldest);
    let count = |world: &World| {
        let dropped = |notice: &&Notice| matches!(notice, Notice::Dropped { bound: Drop::QueueFull, .. });
        world.notices.iter().filter(dropped).count()
    };
    assert_eq!(count(&world), 1);
    world.seconds(1);
    publish_five(&mut world);
    assert_eq!(count(&world), 2);
}

/// What a Session had when it ended is counted.
#[test]
fn what_is_lost_with_a_session_is_counted() {
    let mut world = overfull(QueueFull::DropOldest);
    world.seconds(60);
    assert_eq!(world.dropped(Drop::SessionEnded), 3);
    assert_eq!(waiting(&mut world), NOTHING);
}

/// Filters with wildcards have a bound of their own, within that of all; who unsubscribes has room again.
#[test]
fn subscriptions_with_wildcards_are_bounded() {
    let mut world = World::with(|settings| settings.limits.wildcard_subscriptions_per_client = 2);
    let client = world.connect(V5, "c");
    let ask = |world: &mut World, filters: &[(&str, u8)]| {
        let filters: Vec<_> = filters.iter().map(|(filter, qos)| (*filter, at(*qos))).collect();
        world.ask(client, &filters, 0)
    };
    ask(&mut world, &[("a/+", 0), ("a/b", 0), ("#", 0), ("b/#", 0), ("a/+", 1), ("b", 0)]);
    assert_eq!(world.take(client), ["SUBACK #1 [00, 00, 00, 97, 01, 00]"]);
    world.unsubscribe(client, &["#"]);
    world.take(client);
    ask(&mut world, &[("$share/g/b/#", 0), ("c/+", 0)]);
    assert_eq!(world.take(client), ["SUBACK #3 [00, 97]"]);
}
