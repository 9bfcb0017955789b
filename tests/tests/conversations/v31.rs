//! MQTT 3.1 (`MQIsdp`, level 3) as clients in the field speak it.

use dunlin_tests::request::{PUBREL, Publish, Subscribe};
use dunlin_tests::{Connect, Packet, Version, on_shards};

use Version::{V5, V31, V311};

/// MQTT 3.1 section 3.2: raw bytes; the first byte of the CONNACK is reserved.
#[test]
fn a_client_of_3_1_is_accepted() {
    on_shards(|broker| {
        let mut client = broker.open(V31);
        client.send(b"\x10\x13\0\x06MQIsdp\x03\x02\0\0\0\x05hello");
        client.expect([0x20, 2, 0, 0]);
        client.ping();
        client.disconnect();
    });
}

/// MQTT 3.1 knows no Session Present: the byte stays zero even where a Session goes on.
#[test]
fn a_resumed_session_of_3_1_sets_no_bit_that_it_does_not_know() {
    on_shards(|broker| {
        let lasting = Connect::new(V31, "s").clean(false);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1);
        client.disconnect();
        broker.connect(V31, "p").publish(&Publish::new("a", "m").qos(1, 1));
        let mut back = broker.open(V31);
        back.send(lasting.bytes());
        back.expect([0x20, 2, 0, 0]);
        back.take("a", "m");
    });
}

/// MQTT 3.1 sections 4.1 to 4.3.
#[test]
fn each_qos_works_in_3_1() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V31, "s");
        assert_eq!(subscriber.subscribe("a/+", 2), 2);
        let mut publisher = broker.connect(V31, "p");
        for qos in 0..3 {
            publisher.publish(&Publish::new("a/b", "m").qos(qos, 3));
            assert_eq!(subscriber.take("a/b", "m").qos, qos);
        }
        subscriber.unsubscribe("a/+");
        publisher.publish(&Publish::new("a/b", "m").qos(1, 3));
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// MQTT 3.1 section 3.3: clients of the time set DUP on a repeated SUBSCRIBE and PUBREL.
#[test]
fn dup_on_subscribe_and_pubrel_is_tolerated_in_3_1() {
    on_shards(|broker| {
        let mut client = broker.connect(V31, "s");
        let mut subscribe = Subscribe::new(1).filter("a", 1).bytes(V31);
        subscribe[0] |= 0x08;
        client.send(subscribe);
        assert_eq!(client.expect_suback(1), [1]);
        client.send(Publish::new("b", "m").qos(2, 2).bytes(V31));
        assert!(matches!(client.packet(), Packet::PubRec(_)));
        client.send([PUBREL | 0x08, 2, 0, 2]);
        assert!(matches!(client.packet(), Packet::PubComp(_)));
        client.ping();
    });
}

/// MQTT 3.1 section 3.1: the identifier has 1 to 23 characters; longer ones exist in the field.
#[test]
fn an_empty_client_identifier_is_rejected_in_3_1_and_a_long_one_is_not() {
    on_shards(|broker| {
        assert_eq!(broker.refused(&Connect::new(V31, "").bytes(), V31), 0x02);
        broker.connect(V31, "a-client-identifier-longer-than-23").ping();
    });
}

/// MQTT 3.1 section 3.1: a Will and Clean Session mean what they mean in 3.1.1.
#[test]
fn a_client_of_3_1_leaves_its_will() {
    on_shards(|broker| {
        let mut watcher = broker.connect(V5, "w");
        watcher.subscribe("will", 2);
        broker.connect_with(&Connect::new(V31, "x").will(Publish::new("will", "gone").qos(2, 0))).cut();
        watcher.take("will", "gone");
        broker.connect_with(&Connect::new(V31, "x").will(Publish::new("will", "gone"))).disconnect();
        watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
    });
}

/// MQTT 3.1: retained messages, set and cleared.
#[test]
fn retained_messages_work_in_3_1() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V31, "p");
        publisher.publish(&Publish::new("r", "m").qos(1, 1).retain());
        let mut subscriber = broker.connect(V31, "s");
        subscriber.subscribe("r", 0);
        assert!(subscriber.expect_publish("r", "m").retain);
        publisher.publish(&Publish::new("r", "").qos(1, 2).retain());
        subscriber.expect_publish("r", "");
        broker.connect(V31, "late").subscribe("r", 0);
    });
}

/// [MQTT311-3.1.4-2] 3.1 and 3.1.1 share the Client Identifiers.
#[test]
fn a_client_of_3_1_is_taken_over() {
    on_shards(|broker| {
        let mut first = broker.connect(V31, "x");
        let mut second = broker.connect(V311, "x");
        first.expect_closed();
        let mut third = broker.connect(V31, "x");
        second.expect_closed();
        third.ping();
    });
}
