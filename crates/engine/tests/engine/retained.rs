//! Retained messages within one shard; across shards see `shards`.

use dunlin_codec::{RetainHandling, SubscriptionOptions};
use dunlin_engine::Drop;

use crate::hello::{at, hello, message};
use crate::world::{Link, V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

fn handling(qos: u8, retain_handling: RetainHandling) -> SubscriptionOptions {
    SubscriptionOptions { retain_handling, ..at(qos) }
}

/// What a new subscriber finds.
fn found(world: &mut World, filter: &str) -> Vec<String> {
    let client = world.connect(V5, "finder");
    world.subscribe(client, filter, 2);
    let found = world.take(client);
    world.leave(client);
    found
}

fn publisher() -> (World, Link) {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    (world, publisher)
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8] The last one, with RETAIN, at its QoS.
#[test]
fn the_last_retained_message_of_a_topic_is_found() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let publisher = world.connect(version, "p");
        world.publish(publisher, &message("t", "1").retain());
        world.publish(publisher, &message("t", "2").qos(1, 1).retain());
        let client = world.connect(version, "c");
        world.subscribe(client, "t", 2);
        assert_eq!(world.take(client), ["PUBLISH t=2 q1 #1 retain"]);
    }
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] An empty payload clears, is passed on, and is not kept.
#[test]
fn an_empty_payload_clears() {
    let (mut world, publisher) = publisher();
    let here = world.connect(V311, "here");
    world.subscribe(here, "t", 0);
    world.publish(publisher, &message("t", "1").retain());
    world.publish(publisher, &message("t", "").retain());
    world.publish(publisher, &message("t", "").retain());
    assert_eq!(world.take(here), ["PUBLISH t=1", "PUBLISH t=", "PUBLISH t="]);
    assert_eq!(found(&mut world, "t"), NOTHING);
}

/// [MQTT-3.3.1-8] [MQTT311-3.3.1-12] Without RETAIN nothing is stored, replaced or removed.
#[test]
fn a_message_without_retain_changes_nothing() {
    let (mut world, publisher) = publisher();
    world.publish(publisher, &message("t", "1"));
    assert_eq!(found(&mut world, "t"), NOTHING);
    world.publish(publisher, &message("t", "2").retain());
    world.publish(publisher, &message("t", "3"));
    world.publish(publisher, &message("t", ""));
    assert_eq!(found(&mut world, "t"), ["PUBLISH t=2 retain"]);
}

/// [MQTT311-3.3.1-7] A QoS 0 message takes the place of what was there, and is kept in its stead.
#[test]
fn qos_0_replaces_what_was_retained() {
    let (mut world, publisher) = publisher();
    world.publish(publisher, &message("t", "1").qos(2, 1).retain());
    world.publish(publisher, &message("t", "2").retain());
    assert_eq!(found(&mut world, "#"), ["PUBLISH t=2 retain"]);
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] Always, for a new Subscription only, or never.
#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    let one = "PUBLISH t=1 retain";
    for (retain_handling, first, again) in [
        (RetainHandling::Send, &[one][..], &[one][..]),
        (RetainHandling::SendIfNew, &[one], &[]),
        (RetainHandling::DoNotSend, &[], &[]),
    ] {
        let (mut world, publisher) = publisher();
        world.publish(publisher, &message("t", "1").retain());
        let client = world.connect(V5, "c");
        for expected in [first, again] {
            world.subscribe_as(client, "t", handling(1, retain_handling), 0);
            assert_eq!(world.take(client), expected, "{retain_handling:?}");
        }
        // Unsubscribed in between, it is new.
        world.unsubscribe(client, &["t"]);
        world.take(client);
        world.subscribe_as(client, "t", handling(1, retain_handling), 0);
        assert_eq!(world.take(client), first, "{retain_handling:?}");
    }
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-9] Live messages have no RETAIN, but for who asks for it as published.
#[test]
fn live_messages_have_retain_where_asked_for() {
    let (mut world, publisher) = publisher();
    let plain = world.connect(V311, "plain");
    world.subscribe(plain, "t", 0);
    let exact = world.connect(V5, "exact");
    world.subscribe_as(exact, "t", SubscriptionOptions { retain_as_published: true, ..at(0) }, 0);
    world.publish(publisher, &message("t", "1").retain());
    world.publish(publisher, &message("t", "2"));
    assert_eq!(world.take(plain), ["PUBLISH t=1", "PUBLISH t=2"]);
    assert_eq!(world.take(exact), ["PUBLISH t=1 retain", "PUBLISH t=2"]);
}

/// [MQTT-3.3.1-8] Each matching topic once, with the identifier of the Subscription that asked.
#[test]
fn a_wildcard_finds_every_matching_topic_once() {
    let (mut world, publisher) = publisher();
    for topic in ["a", "a/b", "a/b/c", "b", "$x/b"] {
        world.publish(publisher, &message(topic, "1").retain());
    }
    let client = world.connect(V5, "c");
    world.subscribe_as(client, "a/#", at(0), 9);
    let expected = ["a", "a/b", "a/b/c"].map(|topic| format!("PUBLISH {topic}=1 retain [subscription=9]"));
    assert_eq!(world.take(client), expected);
    world.subscribe(client, "+/b", 0);
    assert_eq!(world.take(client), ["PUBLISH a/b=1 retain"]);
    world.subscribe(client, "#", 0);
    assert_eq!(world.take(client).len(), 4, "[MQTT-4.7.2-1] not $x/b");
}

/// More than a page: all of them, whatever the window and however slowly the Client takes them.
#[test]
fn thousands_are_sent_at_the_pace_of_the_client() {
    let (mut world, publisher) = publisher();
    for number in 0..2_000 {
        world.publish(publisher, &message(&format!("t/{number:04}"), "x").qos(1, 1).retain());
    }
    let client = world.enter(&hello(V5, "c").receive_maximum(3));
    world.subscribe(client, "t/+", 1);
    assert!(world.count(|counters| counters.publish_sent) <= 3);
    assert_eq!(world.acknowledge_all(client).len(), 2_000);
    // QoS 0 too, to a Client whose transport is stuck at first.
    let slow = world.connect(V5, "slow");
    world.stick(slow, true);
    world.ask(slow, &[("t/+", at(0))], 0);
    world.stick(slow, false);
    assert_eq!(world.take(slow).len(), 2_001);
}

/// What happens while pages are on their way: gone Clients, ended Subscriptions, newer values.
#[test]
fn a_fetch_that_nobody_waits_for_ends() {
    for how in ["unsubscribe", "lose", "clear"] {
        let (mut world, publisher) = publisher();
        for number in 0..1_000 {
            world.publish(publisher, &message(&format!("t/{number:04}"), "old").qos(1, 1).retain());
        }
        let client = world.enter(&hello(V5, "c").lasting(60).receive_maximum(1));
        world.subscribe(client, "t/+", 1);
        match how {
            "unsubscribe" => drop(world.unsubscribe(client, &["t/+"])),
            "lose" => world.lose(client),
            _ => world.publish(publisher, &message("t/0999", "").retain()),
        }
        let client = if how == "lose" { world.enter(&hello(V5, "c").lasting(60)) } else { client };
        let payloads = world.acknowledge_all(client);
        // A page is at most 256; the rest is not asked for, or is whole.
        assert!(if how == "clear" { payloads.len() == 1_000 } else { payloads.len() <= 1_000 }, "{how}");
        assert_eq!(payloads.iter().filter(|payload| payload.is_empty()).count(), usize::from(how == "clear"));
    }
}

/// The bounds of the store: counted, and the old value gone all the same, because it is no longer true.
#[test]
fn a_full_store_refuses_and_says_so() {
    let mut world = World::with(|settings| settings.limits.retained_messages_maximum = 2);
    let publisher = world.connect(V5, "p");
    for topic in ["a", "b", "c"] {
        world.publish(publisher, &message(topic, "1").qos(1, 1).retain());
    }
    assert_eq!(world.dropped(Drop::RetainedFull), 1);
    world.publish(publisher, &message("a", "2").retain());
    world.publish(publisher, &message("b", "").retain());
    world.publish(publisher, &message("c", "3").retain());
    assert_eq!(found(&mut world, "#"), ["PUBLISH a=2 retain", "PUBLISH c=3 retain"]);
    assert_eq!(world.count(|counters| counters.retained_messages), 2);
}

/// Section 4.8.2: a Shared Subscription is not sent what was retained before it.
#[test]
fn a_shared_subscription_finds_no_retained_messages() {
    let (mut world, publisher) = publisher();
    world.publish(publisher, &message("t", "1").retain());
    assert_eq!(found(&mut world, "$share/g/t"), NOTHING);
    assert_eq!(found(&mut world, "t"), ["PUBLISH t=1 retain"]);
}
