//! What the configuration changes on the wire.

use std::time::{Duration, Instant};

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, prop};

use Version::{V5, V31, V311};

fn limits(keys: &str) -> Broker {
    Broker::start_with_config(&format!("[limits]\n{keys}\n"), &["--shards", "4"])
}

fn strictness(keys: &str) -> Broker {
    Broker::start_with_config(&format!("[strictness]\n{keys}\n"), &["--shards", "4"])
}

/// [MQTT-3.2.2-22] A Keep Alive above the maximum, and none, get the maximum, and 5.0 is told.
#[test]
fn the_keep_alive_maximum_is_announced_and_kept() {
    let broker = limits("keep_alive_maximum = 1");
    let told = |keep_alive| {
        let mut client = broker.connect_with(&Connect::new(V5, "x").keep_alive(keep_alive));
        let told = client.connack.clone().unwrap().properties.number(prop::SERVER_KEEP_ALIVE);
        client.expect_disconnect(0x8d);
        told
    };
    assert_eq!(told(60), Some(1));
    assert_eq!(told(0), Some(1));
    assert_eq!(told(1), None);
}

/// [MQTT-3.1.2-23] The Session Expiry Interval that is granted instead stands in the CONNACK, and holds.
#[test]
fn the_session_expiry_maximum_is_announced_and_kept() {
    let broker = limits("session_expiry_interval_maximum = 1");
    let lasting = Connect::new(V5, "x").lasting(1000);
    let client = broker.connect_with(&lasting);
    assert_eq!(client.connack.clone().unwrap().properties.number(prop::SESSION_EXPIRY), Some(1));
    client.disconnect();
    broker.pass_a_moment();
    assert!(!broker.connect_with(&lasting).connack.clone().unwrap().session_present);
}

/// [MQTT311-3.1.2-4] Sessions of 3.x last as long as the configuration says.
#[test]
fn sessions_of_3_1_1_expire_as_configured() {
    let broker = limits("session_expiry_interval_v3 = 1");
    let lasting = Connect::new(V311, "x").clean(false);
    broker.connect_with(&lasting).disconnect();
    assert!(broker.connect_with(&lasting).connack.clone().unwrap().session_present);
    broker.pass_a_moment();
    assert!(!broker.connect_with(&lasting).connack.clone().unwrap().session_present);
}

/// [MQTT-3.1.0-1] A connection that does not say CONNECT in time, or not to its end, is closed.
#[test]
fn a_connection_without_a_whole_connect_is_closed_in_time() {
    let broker = limits("connect_timeout_ms = 300");
    let start = Instant::now();
    let mut silent = broker.open(V311);
    let mut half = broker.open(V5);
    half.send(&Connect::new(V5, "x").bytes()[..7]);
    silent.expect_closed();
    half.expect_closed();
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    broker.connect(V311, "whole").ping();
}

/// [MQTT-3.3.4-7] [MQTT-4.9.0-1] Announced, and one more is too many.
#[test]
fn a_receive_maximum_of_two_is_announced_and_kept() {
    let broker = limits("receive_maximum = 2");
    let mut client = broker.connect(V5, "x");
    assert_eq!(client.connack.clone().unwrap().properties.number(prop::RECEIVE_MAXIMUM), Some(2));
    for id in 1..=2 {
        client.send(Publish::new("a", "m").qos(2, id).bytes(V5));
        client.expect_ack(PUBREC, id);
    }
    client.send(Publish::new("a", "m").qos(2, 3).bytes(V5));
    client.expect_disconnect(0x93);
}

/// [MQTT-3.2.2-15] Announced, and one byte more is too many.
#[test]
fn a_small_maximum_packet_size_is_announced_and_kept() {
    let broker = limits("maximum_packet_size = 1024");
    let mut client = broker.connect(V5, "x");
    assert_eq!(client.connack.clone().unwrap().properties.number(prop::MAXIMUM_PACKET_SIZE), Some(1024));
    let fits = Publish::new("a", "x".repeat(1024 - 7)).bytes(V5);
    assert_eq!(fits.len(), 1024);
    client.send(fits);
    client.ping();
    client.send(Publish::new("a", "x".repeat(1024 - 6)).bytes(V5));
    client.expect_disconnect(0x95);
}

/// [MQTT-3.2.2-18] Without a Topic Alias Maximum there are no aliases.
#[test]
fn topic_aliases_can_be_turned_off() {
    let broker = limits("topic_alias_maximum = 0");
    let mut client = broker.connect(V5, "x");
    assert!(client.connack.clone().unwrap().properties.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) == 0);
    client.send(Publish::new("a", "m").property(&prop::u16(prop::TOPIC_ALIAS, 1)).bytes(V5));
    client.expect_disconnect(0x94);
}

/// [MQTT-4.5.0-1] A full queue drops what the configuration says.
#[test]
fn a_full_queue_drops_its_oldest_or_the_newest_message() {
    for (policy, kept) in [("drop_oldest", ["4", "5", "6"]), ("drop_newest", ["1", "2", "3"])] {
        // One shard: its queue has changed when the publisher gets its answer.
        let keys = format!("[limits]\nqueue_messages_maximum = 3\nqueue_full = \"{policy}\"\n");
        let broker = Broker::start_with_config(&keys, &["--shards", "1"]);
        for version in [V311, V5] {
            let lasting = Connect::new(version, "s").lasting(100);
            let mut subscriber = broker.connect_with(&lasting);
            subscriber.subscribe("a", 1);
            subscriber.disconnect();
            let mut publisher = broker.connect(version, "p");
            for number in 1..=6_u16 {
                publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
            }
            let mut back = broker.connect_with(&lasting);
            for payload in kept {
                back.take("a", payload);
            }
            back.expect_nothing_from(&mut publisher);
            broker.connect(version, "s").disconnect();
        }
    }
}

/// [MQTT-3.9.3-2] [MQTT311-3.9.3-2] More subscriptions than allowed: refused one by one, never the connection.
#[test]
fn a_subscription_too_many_is_refused_by_its_code() {
    let broker = limits("subscriptions_per_client = 2");
    for (version, refusal) in [(V311, 0x80), (V5, 0x97)] {
        let mut client = broker.connect(version, "x");
        client.send(Subscribe::new(1).filter("a", 1).filter("b", 1).filter("c", 1).bytes(version));
        assert_eq!(client.expect_suback(1), [1, 1, refusal]);
        assert_eq!(client.subscribe("a", 0), 0, "a replacement is not one more");
        client.unsubscribe("a");
        assert_eq!(client.subscribe("c", 0), 0);
    }
    let mut old = broker.connect(V31, "x");
    old.send(Subscribe::new(1).filter("a", 1).filter("b", 1).filter("c", 1).bytes(V31));
    old.expect_closed();
}

/// [MQTT-3.7.2-1] [MQTT-3.6.2-1] Where unknown identifiers are not let pass, 5.0 is told.
#[test]
fn unknown_identifiers_can_be_refused() {
    let broker = strictness("unknown_packet_id = \"reject\"");
    for (sent, answered) in [(PUBREL, PUBCOMP), (PUBREC, PUBREL)] {
        let mut client = broker.connect(V5, "x");
        client.ack(sent, 7);
        match client.packet() {
            Packet::PubComp(ack) | Packet::PubRel(ack) => {
                assert_eq!((ack.id, ack.code), (7, 0x92), "an answer of {answered:#04x}");
            }
            Packet::Disconnect(0x82, _) => client.expect_closed(),
            other => panic!("{other:?}"),
        }
    }
}

/// [MQTT-2.1.3-1] Clients that set reserved bits can be let in.
#[test]
fn reserved_bits_can_be_allowed() {
    let broker = strictness("reserved_bits = \"allow\"");
    for version in [V311, V5] {
        let mut client = broker.connect(version, "x");
        let mut subscribe = Subscribe::new(1).filter("a", 1).bytes(version);
        subscribe[0] = 0x80;
        client.send(subscribe);
        client.expect_suback(1);
        client.send([request::PINGREQ[0] | 0x04, 0]);
        client.expect(request::PINGRESP);
    }
}

/// [MQTT311-3.1.2-22] A password without a user name can be let in.
#[test]
fn a_password_without_a_user_name_can_be_allowed() {
    let broker = strictness("password_without_user_name = \"warn\"");
    broker.connect_with(&Connect::new(V311, "x").password("p")).ping();
}

/// [MQTT-3.3.4-7] A Client that exceeds the Receive Maximum can be let go on.
#[test]
fn an_exceeded_receive_maximum_can_be_allowed() {
    let broker = Broker::start_with_config(
        "[limits]\nreceive_maximum = 2\n[strictness]\nreceive_maximum_exceeded = \"allow\"\n",
        &[],
    );
    let mut client = broker.connect(V5, "x");
    for id in 1..=5 {
        client.send(Publish::new("a", "m").qos(2, id).bytes(V5));
        client.expect_ack(PUBREC, id);
    }
    client.ping();
}

/// [MQTT-3.4.2-1] 0x10 can be turned off.
#[test]
fn no_matching_subscribers_is_told_or_not_as_configured() {
    let telling = Broker::start(&[]);
    assert_eq!(telling.connect(V5, "x").publish(&Publish::new("a", "m").qos(1, 1)), 0x10);
    let silent = Broker::start_with_config("[protocol]\nno_matching_subscribers = false\n", &[]);
    let mut client = silent.connect(V5, "x");
    client.send(Publish::new("a", "m").qos(1, 1).bytes(V5));
    assert_eq!(client.expect_ack(PUBACK, 1), 0x00);
}

/// [MQTT-3.1.2-28] Response Information is the configured topic, with the Client Identifier in it.
#[test]
fn response_information_is_given_to_who_asks_for_it() {
    let broker = Broker::start_with_config("[protocol]\nresponse_information = \"answers/%c\"\n", &[]);
    let told = |connect: Connect| {
        let connack = broker.connect_with(&connect).connack.clone().unwrap();
        connack.properties.text(prop::RESPONSE_INFORMATION)
    };
    assert_eq!(told(Connect::new(V5, "x")), None);
    let asking = Connect::new(V5, "x").property(&prop::u8(prop::REQUEST_RESPONSE, 1));
    assert_eq!(told(asking).as_deref(), Some("answers/x"));
}

/// [MQTT-3.2.2-7] What comes beyond the connections that are allowed is turned away; a place that is free again is used.
#[test]
fn connections_beyond_the_maximum_are_turned_away() {
    let broker = limits("connections_maximum = 3");
    let mut all: Vec<_> = (0..3).map(|number| broker.connect(V5, &format!("c{number}"))).collect();
    let mut beyond = broker.open(V5);
    beyond.send_anyway(Connect::new(V5, "beyond").bytes());
    let answer = beyond.rest();
    assert!(answer.is_empty() || answer[0] == 0x20 && answer[3] >= 0x80, "{answer:02x?}");
    all.remove(0).disconnect();
    for client in &mut all {
        client.ping();
    }
    while !connects(&broker) {}
}

/// Whether a newcomer is let in.
fn connects(broker: &Broker) -> bool {
    let mut client = broker.open(V5);
    client.send_anyway(Connect::new(V5, "newcomer").bytes());
    matches!(client.packet_or_end(), Some(Packet::ConnAck(connack)) if connack.code == 0)
}

/// A reload takes the new values for new connections, and a faulty file changes nothing.
#[test]
fn a_reload_changes_what_new_connections_are_told() {
    let mut broker = limits("receive_maximum = 5");
    let announced = |broker: &Broker| {
        let connack = broker.connect(V5, "x").connack.clone().unwrap();
        connack.properties.number(prop::RECEIVE_MAXIMUM)
    };
    assert_eq!(announced(&broker), Some(5));
    broker.reload("[limits]\nreceive_maximum = 7\n");
    while announced(&broker) != Some(7) {}
    broker.reload("[limits]\nreceive_maximum = 0\n");
    while !broker.log().contains("receive_maximum") {}
    assert_eq!(announced(&broker), Some(7));
    broker.signal("TERM");
    assert!(broker.wait().success());
}
