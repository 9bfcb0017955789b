//! What hostile, slow and unlucky clients must not achieve.

use std::num::NonZeroU16;

use dunlin_codec::{RetainHandling, SubscriptionOptions};
use dunlin_engine::{Drop, Settings};

use crate::got::Got;
use crate::hello::{at, hello, message};
use crate::world::{V5, V311, World};

const NOTHING: [&str; 0] = [];

#[test]
fn answers_to_a_client_that_reads_nothing_are_bounded() {
    let mut world = World::with(|settings| settings.limits.output_bytes_maximum = 256 * 1024);
    let client = world.connect(V311, "c");
    world.stick(client, true);
    for _ in 0..10 {
        world.send_bytes(client, &[0xc0, 0].repeat(32 * 1024));
    }
    assert!(world.waiting(client) <= 256 * 1024 + 2, "{}", world.waiting(client));
    assert!(world.unread(client) > 0);
    // It takes them at last: everything is answered.
    world.stick(client, false);
    assert_eq!((world.waiting(client), world.unread(client)), (0, 0));
    assert_eq!(world.take(client).len(), 320 * 1024);
}

#[test]
fn one_ack_now_and_then_does_not_slow_publishers_for_ever() {
    let mut world = World::with(|settings| {
        settings.limits.queue_messages_maximum = 1000;
        settings.limits.inflight_maximum = NonZeroU16::MIN;
    });
    let hostile = world.connect(V5, "h");
    world.subscribe(hostile, "#", 1);
    let publisher = world.connect(V5, "p");
    for id in 1..=502 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    world.take(publisher);
    world.publish(publisher, &message("t", "x").qos(1, 600));
    assert_eq!(world.take(publisher), NOTHING);
    for _ in 0..20 {
        world.seconds(4);
        let id = world.read(hostile).into_iter().find_map(|got| match got {
            Got::Publish(received) => Some(received.id),
            _ => None,
        });
        world.puback(hostile, id.unwrap());
    }
    assert_eq!(world.take(publisher), ["PUBACK #600"]);
}

/// Section 4.9: the quota is not preserved across Network Connections.
#[test]
fn exchanges_of_the_last_connection_do_not_count_against_receive_maximum() {
    let mut world = World::with(|settings| settings.limits.receive_maximum = NonZeroU16::new(2).unwrap());
    let client = world.enter(&hello(V5, "c").lasting(100));
    world.publish(client, &message("t", "1").qos(2, 1));
    world.publish(client, &message("t", "2").qos(2, 2));
    world.lose(client);
    let client = world.enter(&hello(V5, "c").lasting(100));
    world.publish(client, &message("t", "3").qos(2, 3));
    assert_eq!(world.take(client), ["PUBREC #3 10"]);
}

/// [MQTT-3.3.1-11] [MQTT-3.10.4-2]
#[test]
fn a_snapshot_ends_with_its_subscription() {
    let mut world = World::new();
    let publisher = world.connect(V311, "p");
    for number in 0..400 {
        world.publish(publisher, &message(&format!("r/{number}"), "x").retain());
    }
    for number in 0..400 {
        world.publish(publisher, &message(&format!("r/{number}"), "x").qos(1, number + 1).retain());
    }
    let client = world.enter(&hello(V5, "c").receive_maximum(1));
    world.subscribe_as(client, "r/#", at(1), 1);
    world.unsubscribe(client, &["r/#"]);
    let options = SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..at(1) };
    world.ask(client, &[("r/#", options)], 9);
    assert!(world.acknowledge_all(client).len() <= 256);
}

#[test]
fn expired_retained_messages_make_room() {
    let mut world = World::with(|settings| settings.limits.retained_messages_maximum = 2);
    let publisher = world.connect(V5, "p");
    for topic in ["a", "b"] {
        world.publish(publisher, &message(topic, "x").expiry(1).retain());
    }
    world.seconds(10);
    world.publish(publisher, &message("c", "x").retain());
    assert_eq!(world.dropped(Drop::RetainedFull), 0);
}

#[test]
fn expired_messages_make_room_in_a_queue() {
    // What only the journal has is not known to have expired before it is read.
    let mut world = World::in_memory_with(1, |settings| {
        settings.limits.queue_messages_maximum = 2;
        settings.limits.queue_full = dunlin_engine::QueueFull::DropNewest;
    });
    let client = world.enter(&hello(V5, "c").lasting(100));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    for id in 1..=2 {
        world.publish(publisher, &message("t", "old").expiry(1).qos(1, id));
    }
    world.seconds(10);
    world.publish(publisher, &message("t", "new").qos(1, 3));
    let client = world.enter(&hello(V5, "c").lasting(100));
    assert_eq!(world.acknowledge_all(client), ["new"]);
}

/// docs/configuration.md: what CONNACK announced holds until the Client connects again.
#[test]
fn what_was_announced_holds_after_a_reload() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    let mut settings = Settings::default();
    settings.limits.topic_alias_maximum = 2;
    settings.limits.receive_maximum = NonZeroU16::MIN;
    world.reconfigure(&settings);
    world.publish(client, &message("t", "x").alias(5));
    world.publish(client, &message("t", "x").qos(2, 1));
    world.publish(client, &message("t", "x").qos(2, 2));
    assert!(world.is_open(client));
}

/// Whoever publishes to a shared group is slowed where the mail with the deals piles up.
#[test]
fn mail_with_deals_is_bounded() {
    let mut world = World::sharded(2);
    let share = world.share_on(0, "t");
    let member = world.connect(V5, &world.client_on(1, 0));
    world.subscribe(member, &format!("$share/{share}/t"), 0);
    let publisher = world.connect(V311, &world.client_on(0, 0));
    world.jam();
    for _ in 0..9000 {
        world.publish(publisher, &message("t", [b'x'; 1000]));
    }
    assert!(world.unread(publisher) > 0, "9 MB are in a bag and the publisher is still read");
}

#[test]
fn a_slowed_publisher_that_reconnects_is_still_slowed() {
    let mut world = World::with(|settings| {
        settings.limits.queue_messages_maximum = 8;
        settings.limits.inflight_maximum = NonZeroU16::MIN;
    });
    let subscriber = world.connect(V5, "s");
    world.subscribe(subscriber, "t", 1);
    let publisher = world.enter(&hello(V5, "p").lasting(100));
    for id in 1..=7 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    world.lose(publisher);
    let publisher = world.enter(&hello(V5, "p").lasting(100));
    for id in 11..=20 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    assert_eq!(world.take(publisher), NOTHING);
}

/// A bound of one member's queue is no reason to lose what another member could take.
#[test]
fn a_message_of_a_group_that_a_queue_has_no_room_for_goes_to_another_member() {
    let mut world = World::with(|settings| {
        settings.limits.queue_messages_maximum = 1;
        settings.limits.queue_full = dunlin_engine::QueueFull::DropNewest;
    });
    let slow = world.enter(&hello(V5, "slow"));
    world.subscribe(slow, "$share/g/t", 1);
    let quick = world.connect(V5, "quick");
    world.subscribe(quick, "$share/g/t", 1);
    world.stick(slow, true);
    let publisher = world.connect(V311, "p");
    // Fills the output of the slow one beyond the high-water mark, so that deals are queued.
    let mut got = 0;
    for id in 1..=40 {
        world.publish(publisher, &message("t", vec![b'x'; 200_000]).qos(1, id));
        got += world.acknowledge_all(quick).len();
    }
    world.lose(slow);
    got += world.acknowledge_all(quick).len();
    assert_eq!(got, 40);
}
