//! No Local, Retain As Published, Retain Handling.

use dunlin_tests::request::{NO_LOCAL, Publish, RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, RETAIN_NEVER, Subscribe};
use dunlin_tests::{Broker, Connect, Version, on_shards};

use Version::{V5, V311};

/// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_the_clients_own_messages_from_it() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "me");
        let mut other = broker.connect(V5, "other");
        client.subscribe("a", 1 | NO_LOCAL);
        client.publish(&Publish::new("a", "mine").qos(1, 1));
        other.publish(&Publish::new("a", "theirs").qos(1, 1));
        client.take("a", "theirs");
        client.expect_nothing_from(&mut other);
        client.subscribe("a", 1);
        client.send(Publish::new("a", "mine").bytes(V5));
        client.expect_publish("a", "mine");
    });
}

/// [MQTT-3.8.3-3] Another subscription of the same Client without the option still takes it.
#[test]
fn no_local_speaks_for_its_own_subscription_only() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "me");
        client.subscribe("a/#", 2 | NO_LOCAL);
        client.subscribe("a/b", 0);
        client.send(Publish::new("a/b", "m").bytes(V5));
        assert_eq!(client.expect_publish("a/b", "m").qos, 0);
        client.ping();
    });
}

/// [MQTT-3.8.3-3] It is the ClientID that counts, not the connection.
#[test]
fn no_local_holds_across_a_reconnection() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "me").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1 | NO_LOCAL);
        client.disconnect();
        let mut back = broker.connect_with(&lasting);
        back.publish(&Publish::new("a", "mine").qos(1, 1));
        back.expect_nothing_from(&mut broker.connect(V5, "other"));
    });
}

/// [MQTT-3.8.3-3] A retained message of one's own is forwarded by no subscription with No Local.
#[test]
fn no_local_does_not_touch_the_retained_messages_of_others() {
    on_shards(|broker| {
        broker.connect(V5, "other").publish(&Publish::new("r", "theirs").qos(1, 1).retain());
        let mut client = broker.connect(V5, "me");
        client.subscribe("r", NO_LOCAL);
        client.expect_publish("r", "theirs");
    });
}

/// [MQTT-3.8.3-4] [MQTT-4.13.1-1]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect(V5, "me");
    client.send(Subscribe::new(1).filter("$share/g/a", NO_LOCAL).bytes(V5));
    client.expect_disconnect(0x82);
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
#[test]
fn retain_as_published_passes_the_flag_on() {
    on_shards(|broker| {
        let mut keeping = broker.connect(V5, "keeping");
        keeping.subscribe("a", 1 | RETAIN_AS_PUBLISHED);
        let mut clearing = broker.connect(V5, "clearing");
        clearing.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "kept").qos(1, 1).retain());
        publisher.publish(&Publish::new("a", "passing").qos(1, 2));
        assert!(keeping.take("a", "kept").retain);
        assert!(!keeping.take("a", "passing").retain);
        assert!(!clearing.take("a", "kept").retain);
        assert!(!clearing.take("a", "passing").retain);
    });
}

/// [MQTT-3.3.1-13] Also for what waited in the Session.
#[test]
fn retain_as_published_holds_for_queued_messages() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1 | RETAIN_AS_PUBLISHED);
        client.disconnect();
        broker.connect(V311, "p").publish(&Publish::new("a", "m").qos(1, 1).retain());
        assert!(broker.connect_with(&lasting).take("a", "m").retain);
    });
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13] What a new subscription gets is retained, whatever the option.
#[test]
fn retained_messages_come_with_the_flag_without_retain_as_published() {
    on_shards(|broker| {
        broker.connect(V5, "p").publish(&Publish::new("r", "m").qos(1, 1).retain());
        for options in [0, RETAIN_AS_PUBLISHED] {
            let mut client = broker.connect(V5, "s");
            client.subscribe("r", options);
            assert!(client.expect_publish("r", "m").retain);
        }
    });
}

/// [MQTT-3.3.1-9] [MQTT-3.8.4-4]
#[test]
fn retain_handling_0_sends_at_every_subscribe() {
    on_shards(|broker| {
        broker.connect(V5, "p").publish(&Publish::new("r", "m").qos(1, 1).retain());
        let mut client = broker.connect(V5, "s");
        for _ in 0..2 {
            client.subscribe("r", 0);
            client.expect_publish("r", "m");
        }
    });
}

/// [MQTT-3.3.1-10]
#[test]
fn retain_handling_1_sends_only_to_a_new_subscription() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("r", "m").qos(1, 1).retain());
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("r", 1 | RETAIN_IF_NEW);
        client.take("r", "m");
        client.subscribe("r", 0x02 | RETAIN_IF_NEW);
        client.expect_nothing_from(&mut publisher);
        client.disconnect();

        let mut back = broker.connect_with(&lasting);
        back.subscribe("r", RETAIN_IF_NEW);
        back.expect_nothing_from(&mut publisher);
        back.unsubscribe("r");
        back.subscribe("r", RETAIN_IF_NEW);
        back.expect_publish("r", "m");
    });
}

/// [MQTT-3.3.1-11]
#[test]
fn retain_handling_2_sends_never() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("r", "old").qos(1, 1).retain());
        let mut client = broker.connect(V5, "s");
        client.subscribe("r", RETAIN_NEVER);
        client.expect_nothing_from(&mut publisher);
        publisher.publish(&Publish::new("r", "new").qos(1, 2).retain());
        client.expect_publish("r", "new");
    });
}

/// [MQTT-3.8.3-5] [MQTT-4.13.1-1] Reserved bits are malformed, QoS 3 and Retain Handling 3 Protocol Errors.
#[test]
fn impossible_options_are_refused() {
    let broker = Broker::start(&[]);
    for (options, code) in [(0x40, 0x81), (0x80, 0x81), (0xc1, 0x81), (0x03, 0x82), (0x30, 0x82)] {
        let mut client = broker.connect(V5, "s");
        client.send(Subscribe::new(1).filter("a", options).bytes(V5));
        client.expect_disconnect_among(&[code, 0x81]);
    }
}

/// [MQTT311-3.8.3-4] 3.1.1 has no options: all bits but QoS are reserved.
#[test]
fn options_in_3_1_1_are_malformed() {
    let broker = Broker::start(&[]);
    for options in [0x03, NO_LOCAL, RETAIN_AS_PUBLISHED, RETAIN_IF_NEW, 0x40, 0x80, 0xff] {
        let mut client = broker.connect(V311, "s");
        client.send(Subscribe::new(1).filter("a", options).bytes(V311));
        client.expect_closed();
    }
}
