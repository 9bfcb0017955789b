//! Maximum Packet Size, both ways.

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use dunlin_tests::{Broker, Connect, Version, everywhere, on_shards, prop};

use Version::{V5, V311};

const DEFAULT_MAXIMUM: usize = 2 * 1024 * 1024;

fn limited(client_id: &str, maximum: u32) -> Connect {
    Connect::new(V5, client_id).lasting(100).property(&prop::u32(prop::MAXIMUM_PACKET_SIZE, maximum))
}

/// A PUBLISH of exactly `size` bytes.
fn sized(version: Version, size: usize) -> Vec<u8> {
    let empty = Publish::new("big", "").bytes(version).len() - 2;
    let header = 1 + prop::variable(u32::try_from(size - 4).unwrap()).len();
    let bytes = Publish::new("big", vec![b'x'; size - empty - header]).bytes(version);
    assert_eq!(bytes.len(), size);
    bytes
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] Too large: dropped, not disconnected; exactly as large: delivered.
#[test]
fn a_message_larger_than_the_client_takes_is_dropped() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&limited("s", 40));
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        // Fixed Header 2, topic 3, identifier 2, properties 1: 8 bytes before the payload.
        publisher.publish(&Publish::new("a", "x".repeat(32)).qos(1, 1));
        assert_eq!(subscriber.expect_any_publish().payload.len(), 32);
        publisher.publish(&Publish::new("a", "x".repeat(33)).qos(1, 2));
        publisher.publish(&Publish::new("a", "x".repeat(35)));
        publisher.publish(&Publish::new("a", "fits").qos(1, 3));
        subscriber.take("a", "fits");
    });
}

/// [MQTT-3.1.2-25] It counts as delivered: no quota is used and it does not come again.
#[test]
fn dropped_messages_use_no_quota_and_do_not_come_again() {
    on_shards(|broker| {
        let connect = limited("s", 40).property(&prop::u16(prop::RECEIVE_MAXIMUM, 1));
        let mut subscriber = broker.connect_with(&connect);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=5 {
            publisher.publish(&Publish::new("a", "x".repeat(50)).qos(2, number));
        }
        publisher.publish(&Publish::new("a", "fits").qos(2, 9));
        subscriber.take("a", "fits");
        subscriber.disconnect();
        let mut back = broker.connect_with(&Connect::new(V5, "s").lasting(100));
        back.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.1.2-24] The limit is one of the connection, not of the Session.
#[test]
fn a_message_that_waited_is_measured_against_the_new_connections_limit() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&limited("s", 40));
        subscriber.subscribe("a", 1);
        subscriber.disconnect();
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "x".repeat(50)).qos(1, 1));
        let mut back = broker.connect_with(&limited("s", 100));
        assert_eq!(back.expect_any_publish().payload.len(), 50);
        back.cut();
        publisher.publish(&Publish::new("a", "fits").qos(1, 2));
        broker.connect_with(&limited("s", 40)).take("a", "fits");
    });
}

/// [MQTT-3.1.2-24] Retained messages are no exception.
#[test]
fn a_retained_message_that_is_too_large_is_not_sent() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("r/big", "x".repeat(100)).qos(1, 1).retain());
        publisher.publish(&Publish::new("r/small", "x").qos(1, 2).retain());
        let mut subscriber = broker.connect_with(&limited("s", 40));
        subscriber.subscribe("r/+", 1);
        subscriber.take("r/small", "x");
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2]
/// [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
/// [MQTT-3.14.2-3] [MQTT-3.14.2-4] No answer may break the limit either, with its Reason String or without.
#[test]
fn answers_keep_within_a_tiny_limit() {
    on_shards(|broker| {
        let mut client = broker.connect_with(&limited("tiny", 40));
        assert!(client.subscribe("$share/a/b/c/d", 1) < 0x80);
        client.subscribe("own", 2);
        client.publish(&Publish::new("nobody", "x").qos(1, 1));
        client.publish(&Publish::new("$SYS/forged", "x").qos(1, 2));
        client.publish(&Publish::new("$SYS/forged", "x").qos(2, 3));
        client.ack(PUBREL, 99);
        client.expect_ack(PUBCOMP, 99);
        client.ack(PUBREC, 99);
        client.expect_ack(PUBREL, 99);
        client.unsubscribe("never");
        client.send(Connect::new(V5, "tiny").bytes());
        client.expect_disconnect(0x82);
        assert!(client.largest_packet() <= 40, "{} bytes", client.largest_packet());
    });
}

/// [MQTT-3.2.2-15] [MQTT-4.13.1-1] What the Server takes is told, and one byte more is answered with 0x95.
#[test]
fn the_servers_maximum_packet_size_is_announced_and_kept() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let announced =
            publisher.connack.clone().unwrap().properties.number(prop::MAXIMUM_PACKET_SIZE).unwrap();
        let announced = usize::try_from(announced).unwrap();
        assert_eq!(announced, DEFAULT_MAXIMUM);
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("big", 0);
        publisher.send(sized(V5, announced));
        assert!(subscriber.expect_any_publish().payload.len() > announced - 20);
        publisher.ping();
        publisher.send_anyway(sized(V5, announced + 1));
        publisher.expect_disconnect(0x95);
    });
}

/// [MQTT-4.13.1-1] The limit holds for 3.1.1 too, which can only be closed.
#[test]
fn a_packet_of_3_1_1_above_the_limit_closes_the_connection() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V311, "p");
        publisher.send(sized(V311, DEFAULT_MAXIMUM));
        publisher.ping();
        publisher.send_anyway(sized(V311, DEFAULT_MAXIMUM + 1));
        publisher.expect_closed();
    });
}

/// [MQTT-4.13.1-1] The Fixed Header is enough to know: no need to wait for 256 MiB.
#[test]
fn a_packet_that_only_claims_to_be_huge_is_refused_at_its_header() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "x");
        client.send([0x30, 0xff, 0xff, 0xff, 0x7f]);
        client.expect_disconnect(0x95);
    });
}

/// [MQTT-3.1.4-1] Nor does a CONNECT hold so much memory.
#[test]
fn a_huge_connect_is_refused_at_its_header() {
    let broker = Broker::start(&[]);
    let mut client = broker.open(V311);
    client.send([0x10, 0xff, 0xff, 0xff, 0x7f]);
    let answer = client.rest();
    assert!(answer.is_empty() || answer.starts_with(&[0x20]), "{answer:02x?}");
}

/// [MQTT-4.13.1-1] Section 3.1.2.11.4: zero is a Protocol Error.
#[test]
fn a_maximum_packet_size_of_zero_is_refused() {
    let broker = Broker::start(&[]);
    let mut client = broker.open(V5);
    client.send(limited("x", 0).bytes());
    assert_eq!(client.expect_connack().code, 0x82);
    client.expect_closed();
}

/// [MQTT-1.5.5-1] Lengths at the borders of their encodings.
#[test]
fn packets_of_every_length_encoding_arrive() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("l", 1);
        let mut publisher = broker.connect(version, "p");
        for (number, length) in (1..).zip([0_usize, 1, 120, 127, 128, 129, 16_380, 16_383, 16_384, 70_000]) {
            publisher.send(Publish::new("l", vec![b'x'; length]).qos(1, number).bytes(version));
            publisher.expect_ack(PUBACK, number);
            let publish = subscriber.expect_any_publish();
            assert_eq!(publish.payload.len(), length);
            subscriber.ack(PUBACK, publish.id);
        }
        subscriber.send(request::DISCONNECT);
        subscriber.expect_closed();
    });
}
