//! Sessions: begun, resumed, discarded, expired.

use dunlin_tests::request::{self, PUBACK, Publish};
use dunlin_tests::{Broker, Connect, Version, everywhere, on_shards, prop};

use Version::{V5, V311};

fn present(broker: &Broker, connect: &Connect) -> bool {
    let client = broker.connect_with(connect);
    let present = client.connack.clone().unwrap().session_present;
    client.disconnect();
    present
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT311-3.1.2-4] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]
/// [MQTT-3.1.3-2] [MQTT311-3.1.3-2]
#[test]
fn session_present_tells_whether_there_was_a_session() {
    everywhere(|broker, version| {
        for id in ["s1", "s2", "s3", "s4", "s5"] {
            let lasting = Connect::new(version, id).lasting(100);
            assert!(!present(broker, &lasting), "{id} is new");
            assert!(present(broker, &lasting), "{id} is resumed");
            assert!(present(broker, &lasting), "{id} is resumed again");
        }
    });
}

/// [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-1]
#[test]
fn a_clean_start_discards_the_session() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut first = broker.connect_with(&lasting);
        first.subscribe("a", 1);
        first.disconnect();
        assert!(!present(broker, &Connect::new(version, "s")));
        let mut third = broker.connect_with(&lasting);
        assert!(!third.connack.clone().unwrap().session_present);

        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "lost").qos(1, 1));
        third.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT311-3.1.2-6] [MQTT311-4.1.0-2] A Session begun with Clean Session 1 lasts as long as its connection.
#[test]
fn a_clean_session_of_3_1_1_ends_with_its_connection() {
    on_shards(|broker| {
        broker.connect(V311, "s").disconnect();
        assert!(!present(broker, &Connect::new(V311, "s").clean(false)));
        broker.connect(V311, "t").cut();
        assert!(!present(broker, &Connect::new(V311, "t").clean(false)));
    });
}

/// [MQTT-3.1.2-23] Clean Start says how a Session begins, Session Expiry Interval how long it lasts.
#[test]
fn a_clean_start_with_an_expiry_interval_leaves_a_session() {
    on_shards(|broker| {
        broker.connect_with(&Connect::new(V5, "s").expiring(100)).disconnect();
        assert!(present(broker, &Connect::new(V5, "s").lasting(100)));
    });
}

/// [MQTT-4.1.0-2] Without a Session Expiry Interval it is 0.
#[test]
fn a_session_of_5_0_without_expiry_ends_with_its_connection() {
    on_shards(|broker| {
        broker.connect_with(&Connect::new(V5, "s").clean(false)).disconnect();
        assert!(!present(broker, &Connect::new(V5, "s").clean(false)));
        broker.connect_with(&Connect::new(V5, "t").clean(false)).cut();
        assert!(!present(broker, &Connect::new(V5, "t").clean(false)));
    });
}

/// [MQTT-4.1.0-2] [MQTT-3.1.2-23]
#[test]
fn a_session_expires_when_its_interval_has_passed() {
    on_shards(|broker| {
        broker.connect_with(&Connect::new(V5, "short").lasting(1)).disconnect();
        broker.connect_with(&Connect::new(V5, "long").lasting(100)).disconnect();
        broker.pass_a_moment();
        assert!(!present(broker, &Connect::new(V5, "short").lasting(1)));
        assert!(present(broker, &Connect::new(V5, "long").lasting(100)));
    });
}

/// [MQTT-4.1.0-1] The interval starts when the connection ends, not when it begins.
#[test]
fn a_session_does_not_expire_while_connected() {
    on_shards(|broker| {
        let client = broker.connect_with(&Connect::new(V5, "s").lasting(1));
        broker.pass_a_moment();
        client.disconnect();
        assert!(present(broker, &Connect::new(V5, "s").lasting(1)));
    });
}

/// [MQTT-3.1.2-5] The interval of the newer CONNECT counts.
#[test]
fn a_resumed_session_takes_the_newer_expiry_interval() {
    on_shards(|broker| {
        broker.connect_with(&Connect::new(V5, "s").lasting(1)).disconnect();
        assert!(present(broker, &Connect::new(V5, "s").lasting(100)));
        broker.pass_a_moment();
        assert!(present(broker, &Connect::new(V5, "s").clean(false)));
        assert!(!present(broker, &Connect::new(V5, "s").clean(false)));
    });
}

/// [MQTT-3.14.2-2] A DISCONNECT may shorten, lengthen or end what CONNECT asked for.
#[test]
fn disconnect_changes_the_session_expiry_interval() {
    on_shards(|broker| {
        let ended = |id: &str, connect: u32, disconnect: u32| {
            let mut client = broker.connect_with(&Connect::new(V5, id).lasting(connect));
            client.send(request::disconnect(0, &prop::u32(prop::SESSION_EXPIRY, disconnect)));
            client.expect_closed();
        };
        ended("end", 100, 0);
        ended("short", 100, 1);
        ended("long", 1, 100);
        assert!(!present(broker, &Connect::new(V5, "end").lasting(1)));
        broker.pass_a_moment();
        assert!(!present(broker, &Connect::new(V5, "short").lasting(1)));
        assert!(present(broker, &Connect::new(V5, "long").lasting(1)));
    });
}

/// [MQTT-4.13.1-1] Section 3.14.2.2.2: from 0 to anything else is a Protocol Error; the Session still ends.
#[test]
fn disconnect_must_not_give_an_expiry_interval_to_a_session_without() {
    on_shards(|broker| {
        let mut client = broker.connect_with(&Connect::new(V5, "s").clean(false));
        client.send(request::disconnect(0, &prop::u32(prop::SESSION_EXPIRY, 100)));
        client.expect_disconnect(0x82);
        assert!(!present(broker, &Connect::new(V5, "s").clean(false)));

        let mut zero = broker.connect_with(&Connect::new(V5, "s").clean(false));
        zero.send(request::disconnect(0, &prop::u32(prop::SESSION_EXPIRY, 0)));
        zero.expect_closed();
    });
}

/// [MQTT-4.5.0-1] [MQTT-4.1.0-1] [MQTT311-3.1.2-5] [MQTT311-4.5.0-1] [MQTT311-4.1.0-1]
#[test]
fn messages_wait_for_a_client_that_is_away_in_their_order() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "away").lasting(100);
        let mut away = broker.connect_with(&lasting);
        assert_eq!(away.subscribe("q/+", 2), 2);
        away.disconnect();
        let mut publisher = broker.connect(version, "p");
        for number in 1..=20_u16 {
            let qos = 1 + u8::from(number % 2 == 0);
            publisher.publish(&Publish::new("q/x", number.to_string()).qos(qos, number));
        }
        let mut back = broker.connect_with(&lasting);
        for (publish, number) in back.take_all(20).iter().zip(1..) {
            assert_eq!((publish.text(), publish.qos), (number.to_string(), 1 + u8::from(number % 2 == 0)));
            assert!(!publish.dup, "never sent before: {publish:?}");
        }
        back.expect_nothing_from(&mut publisher);
        back.disconnect();
        broker.connect_with(&lasting).ping();
    });
}

/// [MQTT-3.1.2-5] [MQTT311-3.1.2-4] Subscriptions are part of the Session, with their options.
#[test]
fn subscriptions_survive_the_connection() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("one", 1);
        client.subscribe("none", 0);
        client.subscribe("gone", 1);
        client.unsubscribe("gone");
        client.cut();

        let mut back = broker.connect_with(&lasting);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("gone", "x").qos(1, 1));
        publisher.publish(&Publish::new("one", "x").qos(2, 2));
        publisher.publish(&Publish::new("none", "x").qos(2, 3));
        assert_eq!(back.expect_publish("one", "x").qos, 1);
        assert_eq!(back.expect_publish("none", "x").qos, 0);
    });
}

/// [MQTT311-3.1.2-7] Retained messages belong to no Session.
#[test]
fn retained_messages_outlive_the_session_that_published_them() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("r", "kept").qos(1, 1).retain());
        publisher.disconnect();
        let mut reader = broker.connect(version, "reader");
        reader.subscribe("r", 0);
        assert!(reader.expect_publish("r", "kept").retain);
    });
}

/// [MQTT-3.1.2-4] Unacknowledged messages go with the Session.
#[test]
fn a_clean_start_drops_queued_and_unacknowledged_messages() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "unacknowledged").qos(1, 1));
        client.expect_publish("a", "unacknowledged");
        client.cut();
        publisher.publish(&Publish::new("a", "queued").qos(1, 2));

        let mut clean = broker.connect_with(&Connect::new(version, "s").expiring(100));
        clean.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.4.0-1] [MQTT311-4.4.0-1] An acknowledgement that arrived is not forgotten with the connection.
#[test]
fn what_was_acknowledged_does_not_come_again() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "first").qos(1, 1));
        publisher.publish(&Publish::new("a", "second").qos(1, 2));
        let first = client.expect_publish("a", "first");
        let second = client.expect_publish("a", "second");
        client.ack(PUBACK, first.id);
        client.ping();
        client.cut();

        let mut back = broker.connect_with(&lasting);
        let again = back.expect_publish("a", "second");
        assert!(again.dup && again.id == second.id, "{again:?}");
        back.ack(PUBACK, again.id);
        back.expect_nothing_from(&mut publisher);
    });
}
