//! Reason Codes, Reason Strings and Request Problem Information.

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, everywhere, on_shards, prop};

use Version::{V5, V311};

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-7] [MQTT-3.9.3-2] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2]
#[test]
fn suback_grants_what_was_asked_for() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "x");
        for (id, qos) in [(1, 0), (0xffff, 1), (0x0100, 2)] {
            client.send(Subscribe::new(id).filter("a/+/#", qos).bytes(version));
            assert_eq!(client.expect_suback(id), [qos]);
        }
    });
}

/// [MQTT-3.11.3-2] [MQTT-3.10.4-5]
#[test]
fn unsuback_tells_what_was_there() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "x");
        client.subscribe("a", 0);
        client.send(request::unsubscribe(V5, 3, &["a", "a", "b"]));
        assert_eq!(client.expect_unsuback(3), [0x00, 0x11, 0x11]);
    });
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] The long and the short form of success are one.
#[test]
fn acknowledgements_are_understood_in_each_of_their_forms() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(V5, "p");
        let with_property = |first: u8, id: u16| {
            let reason = prop::string(prop::REASON_STRING, "fine");
            let length = u8::try_from(reason.len()).unwrap();
            request::packet(first, &[&id.to_be_bytes()[..], &[0, length], &reason].concat())
        };
        let with_code = |first: u8, id: u16| request::ack_with(first, id, 0);
        let with_empty =
            |first: u8, id: u16| request::packet(first, &[&id.to_be_bytes()[..], &[0, 0]].concat());
        let forms: [&dyn Fn(u8, u16) -> Vec<u8>; 4] =
            [&request::ack, &with_code, &with_empty, &with_property];
        for form in forms {
            publisher.send(Publish::new("a", "m").qos(2, 1).bytes(V5));
            publisher.expect_ack(PUBREC, 1);
            publisher.send(form(PUBREL, 1));
            assert_eq!(publisher.expect_ack(PUBCOMP, 1), 0);
            let id = subscriber.expect_publish("a", "m").id;
            subscriber.send(form(PUBREC, id));
            subscriber.expect_ack(PUBREL, id);
            subscriber.send(form(PUBCOMP, id));
            publisher.publish(&Publish::new("a", "m").qos(1, 1));
            let id = subscriber.expect_publish("a", "m").id;
            subscriber.send(form(PUBACK, id));
            subscriber.ping();
        }
    });
}

/// [MQTT-3.1.2-29] With Request Problem Information 0 an answer says its code and nothing else.
#[test]
fn no_reason_strings_where_no_problem_information_is_wanted() {
    on_shards(|broker| {
        let connect = Connect::new(V5, "x").property(&prop::u8(prop::REQUEST_PROBLEM, 0));
        let mut client = broker.connect_with(&connect);
        client.send(Publish::new("$SYS/forged", "x").qos(1, 1).bytes(V5));
        client.send(Publish::new("$SYS/forged", "x").qos(2, 2).bytes(V5));
        client.send(request::ack(PUBREL, 99));
        client.send(request::unsubscribe(V5, 3, &["never"]));
        client.send(Subscribe::new(4).filter("$share/g/a", 0).bytes(V5));
        for _ in 0..5 {
            let properties = match client.packet() {
                Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => ack.properties,
                Packet::UnsubAck(codes) | Packet::SubAck(codes) => codes.properties,
                other => panic!("{other:?}"),
            };
            assert_eq!(properties.0, []);
        }
    });
}

/// [MQTT-4.13.1-1] Section 3.1.2.11.7: neither 0 nor 1 is a Protocol Error.
#[test]
fn request_problem_and_response_information_must_be_0_or_1() {
    let broker = Broker::start(&[]);
    for id in [prop::REQUEST_PROBLEM, prop::REQUEST_RESPONSE] {
        let connect = Connect::new(V5, "x").property(&prop::u8(id, 2));
        assert_eq!(broker.refused(&connect.bytes(), V5), 0x82, "{id:#04x}");
    }
}

/// [MQTT-3.1.2-28] Response Information comes only to who asks.
#[test]
fn response_information_is_not_sent_unasked() {
    on_shards(|broker| {
        for connect in
            [Connect::new(V5, "x"), Connect::new(V5, "x").property(&prop::u8(prop::REQUEST_RESPONSE, 0))]
        {
            let client = broker.connect_with(&connect);
            let connack = client.connack.clone().unwrap();
            assert_eq!(connack.properties.get(prop::RESPONSE_INFORMATION), None);
        }
        let asking = Connect::new(V5, "x").property(&prop::u8(prop::REQUEST_RESPONSE, 1));
        let connack = broker.connect_with(&asking).connack.clone().unwrap();
        let given = connack.properties.text(prop::RESPONSE_INFORMATION);
        assert_ne!(given.as_deref(), Some(""), "either a topic or nothing");
    });
}

/// [MQTT-3.2.0-2] [MQTT-3.14.2-2] A DISCONNECT from the Server carries no Session Expiry Interval.
#[test]
fn a_servers_disconnect_carries_no_session_expiry() {
    on_shards(|broker| {
        let mut client = broker.connect_with(&Connect::new(V5, "x").lasting(100));
        client.send(Connect::new(V5, "x").bytes());
        let Packet::Disconnect(0x82, properties) = client.packet() else { panic!("no DISCONNECT 0x82") };
        assert_eq!(properties.get(prop::SESSION_EXPIRY), None);
        client.expect_closed();
    });
}

/// [MQTT311-2.3.1-6] [MQTT311-3.9.3-2] 3.1.1 is told nothing it cannot understand: raw bytes.
#[test]
fn answers_to_3_1_1_have_no_reason_codes() {
    on_shards(|broker| {
        let mut client = broker.connect(V311, "x");
        client.send(Publish::new("nobody", "m").qos(1, 1).bytes(V311));
        client.expect([0x40, 2, 0, 1]);
        client.send(Publish::new("nobody", "m").qos(2, 2).bytes(V311));
        client.expect([0x50, 2, 0, 2]);
        client.ack(PUBREL, 2);
        client.expect([0x70, 2, 0, 2]);
        client.ack(PUBREL, 3);
        client.expect([0x70, 2, 0, 3]);
        client.send(Subscribe::new(4).filter("a", 1).bytes(V311));
        client.expect([0x90, 3, 0, 4, 1]);
        client.send(request::unsubscribe(V311, 5, &["a", "never"]));
        client.expect([0xb0, 2, 0, 5]);
    });
}

/// [MQTT-4.12.0-7] [MQTT-4.13.1-1] AUTH without an Authentication Method.
#[test]
fn an_auth_without_a_method_is_refused() {
    on_shards(|broker| {
        for auth in [&[0xf0, 0][..], &[0xf0, 2, 0x19, 0], &[0xf0, 2, 0x18, 0]] {
            let mut client = broker.connect(V5, "x");
            client.send(auth);
            client.expect_disconnect_among(&[0x82, 0x8c]);
        }
    });
}

/// [MQTT-4.12.0-6] Without a method in CONNECT there is none in CONNACK, and no AUTH.
#[test]
fn authentication_data_without_a_method_is_a_protocol_error() {
    let broker = Broker::start(&[]);
    let connect = Connect::new(V5, "x").property(&prop::string(prop::AUTH_DATA, "x"));
    assert_eq!(broker.refused(&connect.bytes(), V5), 0x82);
}
