//! Subscription Identifiers.

use dunlin_tests::request::{NO_LOCAL, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Version, Wire, on_shards, prop};

use Version::{V5, V311};

fn subscribe(client: &mut Wire, filter: &str, options: u8, id: u32) {
    let subscribe = Subscribe::new(1).filter(filter, options);
    client.send(subscribe.property(&prop::varint(prop::SUBSCRIPTION_ID, id)).bytes(V5));
    assert_eq!(client.expect_suback(1), [options & 3]);
}

/// [MQTT-3.3.4-3]
#[test]
fn a_message_carries_the_identifier_of_its_subscription() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        let mut publisher = broker.connect(V5, "p");
        for id in [1, 127, 128, 16_384, 2_097_152, 268_435_455] {
            subscribe(&mut subscriber, "a", 0, id);
            publisher.publish(&Publish::new("a", "m"));
            assert_eq!(subscriber.expect_publish("a", "m").properties.subscription_ids(), [id]);
        }
    });
}

/// [MQTT-3.3.4-3] [MQTT-3.3.4-4] One copy for all of them, with every identifier there is.
#[test]
fn overlapping_subscriptions_are_all_named() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscribe(&mut subscriber, "a/#", 0, 1);
        subscribe(&mut subscriber, "a/+", 2, 2);
        subscribe(&mut subscriber, "#", 1, 2_000_000);
        subscriber.subscribe("a/b", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a/b", "m").qos(2, 1));
        let publish = subscriber.take("a/b", "m");
        assert_eq!((publish.properties.subscription_ids(), publish.qos), (vec![1, 2, 2_000_000], 2));
        subscriber.ping();
    });
}

/// [MQTT-3.3.4-4] Two subscriptions with one identifier name it, once or for each.
#[test]
fn one_identifier_may_serve_several_subscriptions() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscribe(&mut subscriber, "a/#", 0, 7);
        subscribe(&mut subscriber, "a/+", 0, 7);
        broker.connect(V5, "p").publish(&Publish::new("a/b", "m"));
        let ids = subscriber.expect_publish("a/b", "m").properties.subscription_ids();
        assert!(ids == [7] || ids == [7, 7], "{ids:?}");
        subscriber.ping();
    });
}

/// [MQTT-3.3.4-3] All filters of one SUBSCRIBE share its identifier.
#[test]
fn every_filter_of_a_subscribe_gets_its_identifier() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        let both =
            Subscribe::new(1).filter("a", 0).filter("b", 0).property(&prop::varint(prop::SUBSCRIPTION_ID, 9));
        subscriber.send(both.bytes(V5));
        subscriber.expect_suback(1);
        let mut publisher = broker.connect(V5, "p");
        for topic in ["a", "b"] {
            publisher.publish(&Publish::new(topic, "m"));
            assert_eq!(subscriber.expect_publish(topic, "m").properties.subscription_ids(), [9]);
        }
    });
}

/// [MQTT-3.8.4-3] The new subscription replaces the identifier, or takes it away.
#[test]
fn subscribing_again_replaces_the_identifier() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        let mut publisher = broker.connect(V5, "p");
        subscribe(&mut subscriber, "a", 0, 1);
        subscribe(&mut subscriber, "a", 0, 2);
        publisher.publish(&Publish::new("a", "m"));
        assert_eq!(subscriber.expect_publish("a", "m").properties.subscription_ids(), [2]);
        subscriber.subscribe("a", 0);
        publisher.publish(&Publish::new("a", "m"));
        assert_eq!(subscriber.expect_publish("a", "m").properties.subscription_ids(), [0_u32; 0]);
    });
}

/// [MQTT-3.3.4-3] Retained messages, queued messages and repetitions carry it too.
#[test]
fn the_identifier_comes_with_retained_queued_and_repeated_messages() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("r", "retained").qos(1, 1).retain());
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.send(
            Subscribe::new(1).filter("r", 1).property(&prop::varint(prop::SUBSCRIPTION_ID, 5)).bytes(V5),
        );
        subscriber.expect_suback(1);
        assert_eq!(subscriber.expect_publish("r", "retained").properties.subscription_ids(), [5]);
        subscriber.cut();
        publisher.publish(&Publish::new("r", "queued").qos(1, 2));
        let mut back = broker.connect_with(&lasting);
        assert_eq!(back.expect_publish("r", "retained").properties.subscription_ids(), [5]);
        assert_eq!(back.expect_publish("r", "queued").properties.subscription_ids(), [5]);
    });
}

/// [MQTT-3.3.4-5] Shared subscriptions have identifiers too.
#[test]
fn a_shared_subscription_has_its_identifier() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscribe(&mut subscriber, "$share/g/a", 1, 3);
        broker.connect(V5, "p").publish(&Publish::new("a", "m").qos(1, 1));
        assert_eq!(subscriber.take("a", "m").properties.subscription_ids(), [3]);
    });
}

/// [MQTT-3.8.3-3] A subscription that does not take the message is not named.
#[test]
fn a_no_local_subscription_is_not_named_on_the_clients_own_message() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "s");
        subscribe(&mut client, "a/+", NO_LOCAL, 1);
        subscribe(&mut client, "a/#", 0, 2);
        client.publish(&Publish::new("a/b", "m"));
        assert_eq!(client.expect_publish("a/b", "m").properties.subscription_ids(), [2]);
        client.ping();
    });
}

/// [MQTT-4.13.1-1] Section 3.8.2.1.2: zero is a Protocol Error, and so are two.
#[test]
fn an_identifier_of_zero_or_two_identifiers_are_refused() {
    let broker = Broker::start(&[]);
    let one = |id| prop::varint(prop::SUBSCRIPTION_ID, id);
    for properties in [one(0), [one(1), one(2)].concat()] {
        let mut client = broker.connect(V5, "s");
        client.send(Subscribe::new(1).filter("a", 0).property(&properties).bytes(V5));
        client.expect_disconnect(0x82);
    }
}

/// [MQTT-3.3.4-6]
#[test]
fn a_publish_from_a_client_must_not_carry_one() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect(V5, "s");
    client.send(Publish::new("a", "m").property(&prop::varint(prop::SUBSCRIPTION_ID, 1)).bytes(V5));
    client.expect_disconnect(0x82);
}

/// [MQTT-3.3.4-3] A Session that goes on in 3.1.1 keeps quiet about it.
#[test]
fn a_session_resumed_by_3_1_1_gets_no_identifiers() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&Connect::new(V5, "s").lasting(100));
        subscribe(&mut subscriber, "a", 0, 3);
        subscriber.disconnect();
        let mut old = broker.connect_with(&Connect::new(V311, "s").clean(false));
        broker.connect(V5, "p").publish(&Publish::new("a", "m"));
        old.expect(Publish::new("a", "m").bytes(V311));
    });
}
