//! SUBSCRIBE: what is granted, what comes of several Subscriptions, and their options.

use dunlin_codec::SubscriptionOptions;

use crate::hello::{at, hello, message};
use crate::world::{V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-2.2.1-6] [MQTT311-3.8.4-1]
/// [MQTT311-3.8.4-2] [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1] [MQTT311-2.3.1-7]
#[test]
fn suback_has_a_code_for_each_filter_in_order() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.connect(version, "c");
        let id = world.ask(client, &[("a", at(2)), ("b", at(0)), ("c", at(1)), ("a", at(0))], 0);
        assert_eq!(world.take(client), [format!("SUBACK #{id} [02, 00, 01, 00]")]);
    }
}

/// [MQTT-3.8.4-6] [MQTT-3.9.3-2] [MQTT311-3.9.3-2] One refusal leaves the others standing; each version has its own words for it.
#[test]
fn a_refused_filter_leaves_the_others_standing() {
    for (version, refused) in [(V311, "80"), (V5, "8f")] {
        let mut world = World::with(|settings| settings.limits.topic_levels_maximum = 2);
        let client = world.connect(version, "c");
        world.ask(client, &[("a", at(0)), ("a/b/c", at(0)), ("b", at(1))], 0);
        assert_eq!(world.take(client), [format!("SUBACK #1 [00, {refused}, 01]")]);
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("b", "1"));
        assert_eq!(world.take(client), ["PUBLISH b=1"]);
    }
}

/// 3.1 has no code for a refusal: closed, or left in its belief, as configured.
#[test]
fn a_refusal_to_3_1_is_as_configured() {
    for (grants, expected) in [(false, &["closed"][..]), (true, &["SUBACK #1 [01, 00]"])] {
        let mut world = World::with(|settings| {
            settings.limits.topic_levels_maximum = 2;
            if grants {
                settings.protocol.refused_subscription_v31 = dunlin_engine::RefusedV31::Grant;
            }
        });
        let client = world.connect(V31, "c");
        world.ask(client, &[("a", at(1)), ("a/b/c", at(1))], 0);
        assert_eq!(world.take(client), expected);
    }
}

/// [MQTT-3.3.2-3] [MQTT311-3.3.2-3] Only what matches, under the name it was published with.
#[test]
fn only_matching_messages_are_delivered() {
    for (filter, matching, other) in [
        ("a/b", &["a/b"][..], &["a", "a/b/", "a/b/c", "A/b"][..]),
        ("a/+", &["a/b", "a/"], &["a", "a/b/c", "b/a"]),
        ("+/+", &["a/b", "/", "/a"], &["a", "a/b/c"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"], &["ab", "b"]),
        ("#", &["a", "/", "a/b"], &["$a", "$a/b"]),
        ("+/a", &["b/a", "/a"], &["$b/a", "a"]),
        ("$b/+", &["$b/a"], &["$b", "b/a"]),
    ] {
        let mut world = World::new();
        let client = world.connect(V311, "c");
        world.subscribe(client, filter, 0);
        let publisher = world.connect(V311, "p");
        for topic in matching.iter().chain(other) {
            world.publish(publisher, &message(topic, "1"));
        }
        let expected: Vec<String> = matching.iter().map(|topic| format!("PUBLISH {topic}=1")).collect();
        assert_eq!(world.take(client), expected, "{filter}");
    }
}

/// [MQTT-4.7.3-4] [MQTT311-4.7.3-4] [MQTT-1.5.4-3] Compared as they are: no case, no normal form, U+FEFF is a character.
#[test]
fn topics_are_compared_character_by_character() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    let composed = "\u{e9}";
    world.subscribe(client, composed, 0);
    world.subscribe(client, "\u{feff}t", 0);
    let publisher = world.connect(V5, "p");
    for topic in [composed, "e\u{301}", "\u{c9}", "t", "\u{feff}t"] {
        world.publish(publisher, &message(topic, "1"));
    }
    assert_eq!(world.take(client), ["PUBLISH \u{e9}=1", "PUBLISH \u{feff}t=1"]);
}

/// [MQTT-3.8.4-3] [MQTT311-3.8.4-3] The same filter again replaces the Subscription and loses no message.
#[test]
fn subscribing_again_replaces() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.subscribe_as(client, "t", at(2), 1);
    world.subscribe_as(client, "t", at(1), 2);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(2, 1));
    assert_eq!(world.take(client), ["PUBLISH t=1 q1 #1 [subscription=2]"]);
    world.subscribe_as(client, "t", at(0), 0);
    world.publish(publisher, &message("t", "2").qos(2, 2));
    assert_eq!(world.take(client), ["PUBLISH t=2"]);
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-5] [MQTT311-3.3.5-1] One copy, the highest QoS, every identifier.
#[test]
fn overlapping_subscriptions_get_one_copy_with_all_identifiers() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.subscribe_as(client, "a/b", at(0), 1);
    world.subscribe_as(client, "a/+", at(2), 2);
    world.subscribe_as(client, "#", at(1), 0);
    let old = world.connect(V311, "old");
    for (filter, qos) in [("a/b", 0), ("a/+", 2), ("#", 1)] {
        world.subscribe(old, filter, qos);
    }
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("a/b", "1").qos(2, 1));
    let got = world.read(client);
    assert_eq!(got.len(), 1);
    let received = got[0].publish();
    let mut identifiers = received.properties.lines();
    identifiers.sort();
    assert_eq!(
        (received.qos as u8, identifiers),
        (2, vec!["subscription=1".into(), "subscription=2".into()])
    );
    assert_eq!(world.take(old), ["PUBLISH a/b=1 q2 #1"]);
}

/// [MQTT-3.3.4-4] The identifiers that a queued message matched go along when it is delivered.
#[test]
fn identifiers_wait_with_the_message() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe_as(client, "t", at(1), 268_435_455);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    let client = world.enter(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["PUBLISH t=1 q1 #1 [subscription=268435455]"]);
}

/// [MQTT-3.8.3-3] No Local: one's own messages do not come back by this Subscription, those of others do.
#[test]
fn no_local_keeps_ones_own_messages_away() {
    for shards in [1, 2] {
        let mut world = World::sharded(shards);
        let client = world.enter(&hello(V5, &world.client_on(0, 0)).lasting(60));
        let other = world.connect(V5, &world.client_on(shards - 1, 1));
        let no_local = SubscriptionOptions { no_local: true, ..at(1) };
        world.subscribe_as(client, "t", no_local, 1);
        world.publish(client, &message("t", "own"));
        world.publish(other, &message("t", "other"));
        assert_eq!(world.take(client), ["PUBLISH t=other [subscription=1]"]);
        // Where another Subscription of the Client lacks the option, it alone counts.
        world.subscribe_as(client, "#", at(0), 2);
        world.publish(client, &message("t", "own").qos(1, 1));
        assert_eq!(world.take(client), ["PUBLISH t=own [subscription=2]", "PUBACK #1"]);
    }
}

/// [MQTT-3.8.3-3] No Local also holds for a retained message that the Client published itself.
#[test]
fn no_local_keeps_ones_own_retained_messages_away() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let client = world.connect(V5, &world.client_on(0, 0));
        let other = world.connect(V5, &world.client_on(shards - 1, 1));
        world.publish(client, &message("t/own", "1").retain());
        world.publish(other, &message("t/other", "2").retain());
        world.subscribe_as(client, "t/#", SubscriptionOptions { no_local: true, ..at(0) }, 1);
        assert_eq!(world.take(client), ["PUBLISH t/other=2 retain [subscription=1]"]);
    }
}

/// [MQTT-3.8.3-3] Without the option a Client gets what it publishes.
#[test]
fn ones_own_messages_come_back() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.connect(version, "c");
        world.subscribe(client, "t", 2);
        world.publish(client, &message("t", "1").qos(2, 1));
        let mut got = world.take(client);
        got.sort();
        assert_eq!(got, ["PUBLISH t=1 q2 #1", "PUBREC #1"]);
    }
}

/// [MQTT-4.5.0-1] [MQTT311-4.5.0-1] Everybody with a Subscription gets it, connected or not.
#[test]
fn a_message_reaches_every_subscriber() {
    for shards in [1, 4] {
        let mut world = World::sharded(shards);
        let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
        let hellos: Vec<_> = names.iter().map(|name| hello(V5, name).lasting(60)).collect();
        let mut links: Vec<_> = hellos.iter().map(|hello| world.enter(hello)).collect();
        for (number, link) in links.iter().enumerate() {
            world.subscribe(*link, ["t", "+", "#"][number % 3], 1);
        }
        for number in (0..20).step_by(2) {
            world.lose(links[number]);
        }
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("t", "1").qos(1, 1));
        for number in (0..20).step_by(2) {
            links[number] = world.enter(&hellos[number]);
        }
        for link in links {
            assert_eq!(world.take(link), ["PUBLISH t=1 q1 #1"]);
        }
    }
}

/// The bound of Subscriptions: the one too many is refused, one that replaces another is not.
#[test]
fn subscriptions_of_a_client_are_bounded() {
    for (version, refused) in [(V311, "80"), (V5, "97")] {
        let mut world = World::with(|settings| settings.limits.subscriptions_per_client = 2);
        let client = world.connect(version, "c");
        world.ask(client, &[("a", at(0)), ("b", at(0)), ("c", at(0)), ("a", at(1))], 0);
        assert_eq!(world.take(client), [format!("SUBACK #1 [00, 00, {refused}, 01]")]);
        world.unsubscribe(client, &["b"]);
        world.take(client);
        world.subscribe(client, "c", 0);
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("b", "1"));
        world.publish(publisher, &message("c", "2"));
        assert_eq!(world.take(client), ["PUBLISH c=2"]);
        assert_eq!(world.take(publisher), NOTHING);
    }
}
