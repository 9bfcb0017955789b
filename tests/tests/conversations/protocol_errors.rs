//! Protocol Errors: readable packets that say what must not be said. 5.0 is told 0x82.

use dunlin_tests::request::{self, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Version, prop};

use Version::{V5, V311};

/// [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT-4.13.1-1] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2] [MQTT311-4.8.0-1]
#[test]
fn a_subscribe_or_unsubscribe_without_a_filter_is_a_protocol_error() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for bytes in [Subscribe::new(1).bytes(version), request::unsubscribe(version, 1, &[])] {
            let mut client = broker.connect(version, "x");
            client.send(bytes);
            client.expect_disconnect(0x82);
        }
    }
}

/// [MQTT-4.13.1-1] Each section says: to include it more than once is a Protocol Error.
#[test]
fn a_property_that_occurs_twice_is_a_protocol_error() {
    let broker = Broker::start(&[]);
    for property in [
        prop::u8(prop::PAYLOAD_FORMAT, 1),
        prop::u32(prop::MESSAGE_EXPIRY, 1),
        prop::string(prop::CONTENT_TYPE, "x"),
        prop::string(prop::RESPONSE_TOPIC, "x"),
        prop::string(prop::CORRELATION_DATA, "x"),
    ] {
        let mut client = broker.connect(V5, "x");
        client.send(Publish::new("a", "m").property(&property.repeat(2)).bytes(V5));
        client.expect_disconnect(0x82);
        let will = Publish::new("w", "m").property(&property.repeat(2));
        assert_eq!(broker.refused(&Connect::new(V5, "y").will(will).bytes(), V5), 0x82, "{property:02x?}");
    }
    for property in [
        prop::u32(prop::SESSION_EXPIRY, 1),
        prop::u16(prop::RECEIVE_MAXIMUM, 1),
        prop::u32(prop::MAXIMUM_PACKET_SIZE, 100),
        prop::u16(prop::TOPIC_ALIAS_MAXIMUM, 1),
        prop::u8(prop::REQUEST_PROBLEM, 1),
        prop::u8(prop::REQUEST_RESPONSE, 1),
        prop::string(prop::AUTH_METHOD, "x"),
    ] {
        let connect = Connect::new(V5, "y").property(&property.repeat(2));
        assert_eq!(broker.refused(&connect.bytes(), V5), 0x82, "{property:02x?}");
    }
}

/// [MQTT-4.13.1-1] Payload Format Indicator is a flag in a byte.
#[test]
fn a_payload_format_of_two_is_refused() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect(V5, "x");
    client.send(Publish::new("a", "m").property(&prop::u8(prop::PAYLOAD_FORMAT, 2)).bytes(V5));
    client.expect_disconnect_among(&[0x81, 0x82]);
}

/// [MQTT-4.13.1-1] [MQTT-3.14.4-1] After its DISCONNECT the Server answers nothing more.
#[test]
fn nothing_behind_a_protocol_error_is_answered() {
    let broker = Broker::start(&["--shards", "4"]);
    let mut watcher = broker.connect(V5, "w");
    watcher.subscribe("#", 0);
    for version in [V311, V5] {
        let mut client = broker.connect(version, "x");
        let error = Connect::new(version, "x").bytes();
        let late = Publish::new("late", "m").qos(1, 1).bytes(version);
        client.send([error, late, request::PINGREQ.to_vec()].concat());
        client.expect_disconnect(0x82);
    }
    watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
}

/// [MQTT-4.13.1-1] What came before the error counts.
#[test]
fn what_came_before_a_protocol_error_is_done() {
    let broker = Broker::start(&["--shards", "4"]);
    let mut watcher = broker.connect(V5, "w");
    watcher.subscribe("early", 1);
    for version in [V311, V5] {
        let mut client = broker.connect(version, "x");
        let early = Publish::new("early", "m").bytes(version);
        client.send([early, Connect::new(version, "x").bytes()].concat());
        client.expect_disconnect(0x82);
        watcher.expect_publish("early", "m");
    }
}

/// [MQTT-3.14.2-1] Codes that only a Server may use, or nobody.
#[test]
fn a_disconnect_with_an_impossible_code_ends_the_connection_and_leaves_the_will() {
    let broker = Broker::start(&[]);
    let mut watcher = broker.connect(V5, "w");
    watcher.subscribe("will", 0);
    for code in [0x01, 0x7f, 0x8e, 0xff] {
        let mut client = broker.connect_with(&Connect::new(V5, "x").will(Publish::new("will", "m")));
        client.send(request::disconnect(code, &[]));
        client.rest();
        watcher.expect_publish("will", "m");
    }
}
