//! CONNECT and CONNACK: who is let in, who is refused, and with what.

use dunlin_tests::request::{self, Publish};
use dunlin_tests::{Broker, Connect, Packet, Version, everywhere, on_shards, prop};

use Version::{V5, V31, V311};

/// [MQTT311-3.1.4-4] [MQTT311-3.2.0-1] [MQTT311-3.2.2-1]
#[test]
fn a_new_client_of_3_1_1_is_told_success_without_a_session() {
    on_shards(|broker| {
        let mut client = broker.open(V311);
        client.send(Connect::new(V311, "new").bytes());
        client.expect([0x20, 2, 0, 0]);
        client.ping();
    });
}

/// [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-2] A Server that supports everything says so by silence.
#[test]
fn a_new_client_of_5_0_is_told_success_and_no_restriction() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "new");
        let connack = client.connack.clone().unwrap();
        assert!(!connack.session_present);
        for absent in [prop::MAXIMUM_QOS, prop::ASSIGNED_CLIENT_ID, prop::AUTH_METHOD, prop::SERVER_REFERENCE]
        {
            assert_eq!(connack.properties.get(absent), None, "{connack:?}");
        }
        for available in [
            prop::RETAIN_AVAILABLE,
            prop::WILDCARD_AVAILABLE,
            prop::SUBSCRIPTION_ID_AVAILABLE,
            prop::SHARED_AVAILABLE,
        ] {
            assert_ne!(connack.properties.number(available), Some(0), "{connack:?}");
        }
        client.ping();
    });
}

/// [MQTT-3.1.0-1] [MQTT311-3.1.0-1] [MQTT-3.14.0-1] No DISCONNECT before a CONNACK.
#[test]
fn what_does_not_begin_with_connect_is_closed_without_a_word() {
    let broker = Broker::start(&[]);
    let openings: [&[u8]; 7] = [
        &request::PINGREQ,
        &request::DISCONNECT,
        &request::ack(request::PUBACK, 1),
        &Publish::new("a", "b").bytes(V311),
        &request::Subscribe::new(1).filter("a", 0).bytes(V311),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0xf0, 0],
    ];
    for opening in openings {
        let mut client = broker.open(V311);
        client.send(opening);
        assert_eq!(client.rest(), b"", "after {opening:02x?}");
    }
}

/// [MQTT-3.1.0-2] [MQTT311-3.1.0-2] [MQTT-4.13.1-1]
#[test]
fn a_second_connect_is_a_protocol_error() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "twice");
        client.send(Connect::new(version, "twice").bytes());
        client.expect_disconnect(0x82);
    });
}

/// [MQTT-3.1.2-1] [MQTT311-3.1.2-1]
#[test]
fn another_protocol_name_is_never_accepted() {
    let broker = Broker::start(&[]);
    for name in ["MQTX", "mqtt", "MQT", "MQTTT", "", "MQIsdpX"] {
        for level in [3, 4, 5] {
            let body = [&prop::prefixed(name)[..], &[level, 2, 0, 0, 0], &prop::prefixed("x")].concat();
            let mut client = broker.open(V311);
            client.send(request::packet(0x10, &body));
            let answer = client.rest();
            assert!(is_refusal(&answer), "{name:?} level {level} was answered {answer:02x?}");
        }
    }
}

/// [MQTT-3.1.2-2] [MQTT311-3.1.2-2] 0x01 to who may speak 3.1.1, 0x84 to who may speak 5.0.
#[test]
fn an_unknown_protocol_level_is_refused_by_its_code() {
    let broker = Broker::start(&[]);
    for level in [0, 1, 2, 6, 127, 255] {
        let body = [&prop::prefixed("MQTT")[..], &[level, 2, 0, 0, 0], &prop::prefixed("x")].concat();
        let mut client = broker.open(V311);
        client.send(request::packet(0x10, &body));
        let answer = client.rest();
        let known = answer == [0x20, 2, 0, 1] || answer[0] == 0x20 && answer[2..4] == [0, 0x84];
        assert!(known, "level {level} was answered {answer:02x?}");
    }
}

/// [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT311-3.1.2-3] [MQTT311-3.1.4-1]
#[test]
fn the_reserved_connect_flag_must_be_zero() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| Connect::new(version, "x").flags(0x03).bytes());
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]
#[test]
fn will_qos_and_will_retain_without_a_will_are_refused() {
    let broker = Broker::start(&[]);
    for flags in [0x0a, 0x12, 0x22] {
        malformed(&broker, |version| Connect::new(version, "x").flags(flags).bytes());
    }
}

/// [MQTT-3.1.2-12] [MQTT311-3.1.2-14]
#[test]
fn a_will_of_qos_3_is_refused() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| {
        Connect::new(version, "x").will(Publish::new("w", "gone")).flags(0x1e).bytes()
    });
}

/// [MQTT-3.1.2-9] [MQTT-3.1.3-1] [MQTT311-3.1.2-9] [MQTT311-3.1.3-1]
#[test]
fn a_will_flag_without_the_fields_is_refused() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| Connect::new(version, "x").flags(0x06).bytes());
}

/// [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20]
#[test]
fn fields_that_no_flag_announces_are_refused() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| Connect::new(version, "x").user_name("u").flags(0x02).bytes());
    malformed(&broker, |version| Connect::new(version, "x").user_name("u").password("p").flags(0x82).bytes());
}

/// [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT311-3.1.2-19] [MQTT311-3.1.2-21]
#[test]
fn fields_that_a_flag_announces_must_be_there() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| Connect::new(version, "x").flags(0x82).bytes());
    malformed(&broker, |version| Connect::new(version, "x").user_name("u").flags(0xc2).bytes());
}

/// [MQTT311-3.1.2-22] A password needs a user name; 5.0 has dropped the rule.
#[test]
fn a_password_alone_is_refused_in_3_1_1_and_taken_in_5_0() {
    let broker = Broker::start(&[]);
    let mut old = broker.open(V311);
    old.send(Connect::new(V311, "x").password("p").bytes());
    assert_eq!(old.rest(), b"");

    broker.connect_with(&Connect::new(V5, "x").password("p")).ping();
}

/// [MQTT-3.1.3-3] [MQTT311-3.1.3-3]
#[test]
fn a_connect_without_a_client_identifier_is_refused() {
    let broker = Broker::start(&[]);
    malformed(&broker, |version| {
        let mut body = [&prop::prefixed("MQTT")[..], &[level(version), 2, 0, 0]].concat();
        if version == V5 {
            body.push(0);
        }
        request::packet(0x10, &body)
    });
}

/// [MQTT-3.1.3-5] [MQTT311-3.1.3-5]
#[test]
fn every_client_identifier_of_23_letters_and_digits_is_accepted() {
    everywhere(|broker, version| {
        for id in ["0", "abcdefghijklmnopqrstuvw", "ABCDEFGHIJKLMNOPQRSTUVW", "xyzXYZ01234567890123456"] {
            broker.connect(version, id).ping();
        }
    });
}

/// [MQTT-3.1.3-4] [MQTT311-3.1.3-4] A Server may allow more than 23 bytes and other characters.
#[test]
fn longer_client_identifiers_of_any_characters_are_accepted() {
    everywhere(|broker, version| {
        let long = "x".repeat(200);
        for id in ["sensor/7 +#$", "Größe-\u{1F426}", &long] {
            broker.connect(version, id).ping();
        }
    });
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
#[test]
fn an_empty_client_identifier_of_5_0_gets_one_of_its_own() {
    on_shards(|broker| {
        let assigned = |clean| {
            let client = broker.connect_with(&Connect::new(V5, "").clean(clean).expiring(100));
            let connack = client.connack.clone().unwrap();
            assert!(!connack.session_present);
            connack.properties.text(prop::ASSIGNED_CLIENT_ID).expect("an Assigned Client Identifier")
        };
        let mut all: Vec<String> = (0..8).map(|number| assigned(number % 2 == 0)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8, "{all:?}");

        let back = broker.connect_with(&Connect::new(V5, &all[0]).lasting(100));
        let connack = back.connack.clone().unwrap();
        assert!(connack.session_present, "the assigned identifier names the Session");
        assert_eq!(connack.properties.get(prop::ASSIGNED_CLIENT_ID), None);
    });
}

/// [MQTT311-3.1.3-6] [MQTT311-3.1.3-7] [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
#[test]
fn an_empty_client_identifier_of_3_1_1_needs_a_clean_session() {
    on_shards(|broker| {
        let mut first = broker.connect(V311, "");
        let mut second = broker.connect(V311, "");
        first.ping();
        second.ping();
        assert_eq!(broker.refused(&Connect::new(V311, "").clean(false).bytes(), V311), 0x02);
    });
}

/// [MQTT-3.1.4-6] [MQTT311-3.1.4-5]
#[test]
fn nothing_behind_a_refused_connect_is_processed() {
    on_shards(|broker| {
        let mut watcher = broker.connect(V5, "watcher");
        watcher.subscribe("#", 0);
        let intruder = Publish::new("intrusion", "x");
        let mut old = broker.open(V311);
        old.send([Connect::new(V311, "").clean(false).bytes(), intruder.bytes(V311)].concat());
        old.expect([0x20, 2, 0, 2]);
        old.expect_closed();
        let mut new = broker.open(V5);
        let refused = Connect::new(V5, "x").property(&prop::string(prop::AUTH_METHOD, "NONE-SUCH"));
        new.send([refused.bytes(), intruder.bytes(V5)].concat());
        assert_eq!(new.expect_connack().code, 0x8c);
        new.expect_closed();

        watcher.expect_nothing_from(&mut broker.connect(V5, "publisher"));
    });
}

/// [MQTT-3.1.4-5] [MQTT311-3.1.4-4] A Client need not wait for the CONNACK.
#[test]
fn packets_sent_right_behind_connect_are_answered_after_the_connack() {
    everywhere(|broker, version| {
        for id in ["a", "b", "c", "d", "e", "f"] {
            let mut client = broker.open(version);
            let subscribe = request::Subscribe::new(1).filter(id, 1).bytes(version);
            let publish = Publish::new(id, "early").qos(1, 2).bytes(version);
            client.send(
                [Connect::new(version, id).bytes(), subscribe, publish, request::PINGREQ.to_vec()].concat(),
            );
            assert_eq!(client.expect_connack().code, 0);
            // A message may come before the SUBACK of its subscription (section 3.8.4).
            let mut answers = [(); 4].map(|()| match client.packet() {
                Packet::SubAck(suback) => format!("SUBACK {} {:?}", suback.id, suback.codes),
                Packet::PubAck(ack) => format!("PUBACK {} {}", ack.id, ack.code),
                Packet::Publish(publish) => format!("PUBLISH {} {}", publish.topic, publish.text()),
                Packet::PingResp => "PINGRESP".to_owned(),
                other => panic!("unexpected {other:?}"),
            });
            answers.sort();
            let message = format!("PUBLISH {id} early");
            assert_eq!(answers, ["PINGRESP", "PUBACK 2 0", &message, "SUBACK 1 [1]"]);
        }
    });
}

/// [MQTT-4.2.0-1] [MQTT311-7.1.1-1] TCP gives a stream, not packets.
#[test]
fn packets_may_arrive_byte_by_byte() {
    everywhere(|broker, version| {
        let mut client = broker.open(version);
        let bytes = [
            Connect::new(version, "drip").bytes(),
            request::Subscribe::new(1).filter("drip", 0).bytes(version),
            Publish::new("drip", "drop").bytes(version),
        ]
        .concat();
        for byte in bytes {
            client.send([byte]);
        }
        assert_eq!(client.expect_connack().code, 0);
        // Either may come first (section 3.8.4).
        let answers = [client.packet(), client.packet()];
        assert!(answers.iter().any(|packet| matches!(packet, Packet::SubAck(suback) if suback.codes == [0])));
        assert!(
            answers
                .iter()
                .any(|packet| matches!(packet, Packet::Publish(publish) if publish.text() == "drop"))
        );
    });
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1]
#[test]
fn an_authentication_method_that_is_not_supported_is_refused() {
    let broker = Broker::start(&[]);
    let connect = Connect::new(V5, "x").property(&prop::string(prop::AUTH_METHOD, "NONE-SUCH"));
    assert_eq!(broker.refused(&connect.bytes(), V5), 0x8c);
}

/// [MQTT-3.1.2-23] What the Server grants instead of what was asked for stands in the CONNACK.
#[test]
fn a_session_expiry_interval_is_granted_or_its_replacement_is_told() {
    let broker = Broker::start(&[]);
    for asked in [0, 1, 3600, u32::MAX] {
        let client = broker.connect_with(&Connect::new(V5, "x").expiring(asked));
        let told = client.connack.clone().unwrap().properties.number(prop::SESSION_EXPIRY);
        assert!(told.unwrap_or(asked) <= asked, "asked {asked}, told {told:?}");
    }
}

/// [MQTT-3.1.2-22] A Client that opens a connection and stays silent is no reason to refuse others.
#[test]
fn silent_connections_do_not_keep_others_out() {
    on_shards(|broker| {
        let _silent: Vec<_> = (0..64).map(|_| broker.open(V311)).collect();
        let mut half = broker.open(V311);
        half.send(&Connect::new(V311, "half").bytes()[..5]);
        broker.connect(V311, "whole").ping();
    });
}

/// [MQTT-3.1.2-1] A 3.1 name with another level, and the reverse, is neither 3.1 nor 3.1.1.
#[test]
fn name_and_level_must_belong_together() {
    let broker = Broker::start(&[]);
    for (name, level) in [("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 3)] {
        let body = [&prop::prefixed(name)[..], &[level, 2, 0, 0], &prop::prefixed("x")].concat();
        let mut client = broker.open(V31);
        client.send(request::packet(0x10, &body));
        let answer = client.rest();
        assert!(is_refusal(&answer), "{name} {level} was answered {answer:02x?}");
    }
}

fn level(version: Version) -> u8 {
    match version {
        V31 => 3,
        V311 => 4,
        V5 => 5,
    }
}

fn is_refusal(answer: &[u8]) -> bool {
    answer.is_empty() || (answer[0] == 0x20 && answer[2] == 0 && answer[3] != 0)
}

/// 3.1.1 is closed without a CONNACK; 5.0 may be told 0x81 first, and nothing else.
fn malformed(broker: &Broker, connect: impl Fn(Version) -> Vec<u8>) {
    let mut old = broker.open(V311);
    old.send(connect(V311));
    assert_eq!(old.rest(), b"", "{:02x?}", connect(V311));
    let mut new = broker.open(V5);
    new.send(connect(V5));
    let answer = new.rest();
    assert!(answer.is_empty() || answer[0] == 0x20 && answer[2..4] == [0, 0x81], "{answer:02x?}");
}
