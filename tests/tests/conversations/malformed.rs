//! Malformed Packets: bytes that cannot be read as the specification says. 5.0 is told 0x81.

use dunlin_tests::request::{self, PUBREL, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Version, everywhere, prop};

use Version::{V5, V311};

/// Sends `bytes` as each of the two versions and expects 0x81 or the end.
fn refused(broker: &Broker, bytes: impl Fn(Version) -> Vec<u8>) {
    for version in [V311, V5] {
        let bytes = bytes(version);
        eprintln!("---- {version:?} {bytes:02x?}");
        let mut client = broker.connect(version, "x");
        client.send(bytes);
        client.expect_disconnect(0x81);
    }
}

/// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]
/// [MQTT311-3.6.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1] [MQTT311-3.14.1-1]
#[test]
fn reserved_flags_must_have_their_values() {
    let broker = Broker::start(&[]);
    for flags in 0..16_u8 {
        if flags != 2 {
            refused(&broker, |version| with_flags(Subscribe::new(1).filter("a", 0).bytes(version), flags));
            refused(&broker, |version| with_flags(request::unsubscribe(version, 1, &["a"]), flags));
            refused(&broker, |_| with_flags(request::ack(PUBREL, 1), flags));
        }
        if flags != 0 {
            refused(&broker, |_| with_flags(request::PINGREQ.to_vec(), flags));
            refused(&broker, |_| with_flags(request::DISCONNECT.to_vec(), flags));
            refused(&broker, |_| with_flags(request::ack(request::PUBACK, 1), flags));
            refused(&broker, |_| with_flags(request::ack(request::PUBREC, 1), flags));
            refused(&broker, |_| with_flags(request::ack(request::PUBCOMP, 1), flags));
        }
    }
}

fn with_flags(mut bytes: Vec<u8>, flags: u8) -> Vec<u8> {
    bytes[0] = bytes[0] & 0xf0 | flags;
    bytes
}

/// [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
#[test]
fn a_publish_of_qos_3_is_malformed() {
    let broker = Broker::start(&[]);
    refused(&broker, |version| {
        let mut bytes = Publish::new("a", "m").qos(1, 1).bytes(version);
        bytes[0] = 0x36;
        bytes
    });
}

/// [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT311-3.3.2-2] [MQTT311-4.7.1-1]
#[test]
fn a_topic_name_with_wildcards_is_refused() {
    let broker = Broker::start(&[]);
    for topic in ["#", "+", "a/#", "a/+/b", "a+", "b#"] {
        for version in [V311, V5] {
            let mut client = broker.connect(version, "x");
            client.send(Publish::new(topic, "m").bytes(version));
            client.expect_disconnect_among(&[0x81, 0x90]);
        }
    }
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.3-1]
#[test]
fn a_misplaced_wildcard_is_refused() {
    let broker = Broker::start(&[]);
    for filter in ["a/#/b", "a#", "#a", "a/b#", "##", "a+", "+a", "a/b+/c", "++", "/+a", ""] {
        for version in [V311, V5] {
            let mut client = broker.connect(version, "x");
            client.send(Subscribe::new(1).filter(filter, 0).bytes(version));
            client.expect_disconnect_among(&[0x81, 0x8f]);
            let mut client = broker.connect(version, "x");
            client.send(request::unsubscribe(version, 1, &[filter]));
            client.expect_disconnect_among(&[0x81, 0x8f]);
        }
    }
}

/// [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]
#[test]
fn a_packet_identifier_of_zero_is_refused() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for bytes in [
            Publish::new("a", "m").qos(1, 0).bytes(version),
            Publish::new("a", "m").qos(2, 0).bytes(version),
            Subscribe::new(0).filter("a", 0).bytes(version),
            request::unsubscribe(version, 0, &["a"]),
            request::ack(PUBREL, 0),
        ] {
            let mut client = broker.connect(version, "x");
            client.send(bytes);
            client.expect_disconnect_among(&[0x81, 0x82]);
        }
    }
}

/// [MQTT-1.5.5-1] [MQTT-4.13.1-1] Five bytes are no length, nor is a longer form than needed.
#[test]
fn a_remaining_length_of_five_bytes_is_malformed() {
    let broker = Broker::start(&[]);
    refused(&broker, |_| vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]);
    refused(&broker, |_| vec![0xc0, 0x80, 0x80, 0x80, 0x80, 0x00]);
}

/// [MQTT-1.5.5-1]
#[test]
fn a_property_length_of_five_bytes_is_malformed() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect(V5, "x");
    client.send(request::packet(0x30, &[0, 1, b'a', 0x80, 0x80, 0x80, 0x80, 0x01, b'm']));
    client.expect_disconnect(0x81);
}

/// [MQTT-4.13.1-1] [MQTT311-4.8.0-1] Every packet, cut short at every place.
#[test]
fn a_packet_whose_fields_outrun_it_is_malformed() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        let property = if version == V5 { prop::user("k", "v") } else { Vec::new() };
        for (bytes, whole) in [
            (Subscribe::new(1).filter("abc", 1).property(&property).bytes(version), 2),
            (request::unsubscribe(version, 1, &["abc"]), 2),
            (request::ack(PUBREL, 1), 2),
            (request::ack(request::PUBACK, 1), 2),
        ] {
            for cut in whole..bytes.len() {
                let mut short = bytes[..cut].to_vec();
                short[1] = u8::try_from(cut - 2).unwrap();
                eprintln!("---- {version:?} {short:02x?}");
                let mut client = broker.connect(version, "x");
                client.send(&short);
                // A SUBSCRIBE that ends before its first filter is a Protocol Error instead.
                client.expect_disconnect_among(&[0x81, 0x82]);
            }
        }
        for body in [&[][..], &[0], &[0, 5, b'a'], &[0xff, 0xff, b'a']] {
            let mut client = broker.connect(version, "x");
            client.send(request::packet(0x30, body));
            client.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-4.13.1-1] [MQTT311-4.8.0-1]
#[test]
fn bytes_behind_the_last_field_are_malformed() {
    let broker = Broker::start(&[]);
    refused(&broker, |_| vec![0xc0, 1, 0]);
    refused(&broker, |version| {
        let mut bytes = request::ack(request::PUBACK, 1);
        bytes.extend(if version == V5 { &[0, 0, 0][..] } else { &[0] });
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        bytes
    });
}

/// [MQTT-2.1.3-1] [MQTT-4.13.1-1] Type 0 is reserved, 15 is AUTH of 5.0, and a Client sends no answers of a Server.
#[test]
fn packets_that_no_client_sends_are_refused() {
    let broker = Broker::start(&[]);
    for bytes in [
        &[0x00, 0][..],
        &[0x20, 2, 0, 0],
        &[0x20, 3, 0, 0, 0],
        &[0x90, 3, 0, 1, 0],
        &[0x90, 4, 0, 1, 0, 0],
        &[0xb0, 2, 0, 1],
        &[0xb0, 4, 0, 1, 0, 0],
        &[0xd0, 0],
    ] {
        for version in [V311, V5] {
            let mut client = broker.connect(version, "x");
            client.send(bytes);
            client.expect_disconnect_among(&[0x81, 0x82]);
        }
    }
    let mut old = broker.connect(V311, "x");
    old.send([0xf0, 0]);
    old.expect_closed();
}

/// [MQTT-4.13.1-1] Section 2.2.2.2: unknown, or of another packet, is malformed.
#[test]
fn a_property_that_does_not_belong_is_malformed() {
    let broker = Broker::start(&[]);
    for property in [
        vec![0x00, 0],
        vec![0x7f, 0],
        prop::u32(prop::SESSION_EXPIRY, 1),
        prop::u16(prop::RECEIVE_MAXIMUM, 1),
        prop::string(prop::REASON_STRING, "x"),
        prop::u32(prop::WILL_DELAY, 1),
    ] {
        let mut client = broker.connect(V5, "x");
        client.send(Publish::new("a", "m").property(&property).bytes(V5));
        client.expect_disconnect_among(&[0x81, 0x82]);
    }
    for property in [vec![0x7f, 0], prop::u16(prop::TOPIC_ALIAS, 1), prop::u32(prop::WILL_DELAY, 1)] {
        let mut client = broker.connect(V5, "x");
        client.send(Subscribe::new(1).filter("a", 0).property(&property).bytes(V5));
        client.expect_disconnect_among(&[0x81, 0x82]);
        let mut client = broker.open(V5);
        client.send(Connect::new(V5, "y").property(&property).bytes());
        let answer = client.rest();
        assert!(answer.is_empty() || answer[0] == 0x20 && [0x81, 0x82].contains(&answer[3]), "{answer:02x?}");
    }
}

/// [MQTT-4.13.1-1] A list that is longer than its packet, or ends within a property.
#[test]
fn a_property_list_that_does_not_fit_is_malformed() {
    let broker = Broker::start(&[]);
    for list in [&[5, 0x01, 1][..], &[1, 0x01], &[3, 0x02, 0, 0], &[4, 0x03, 0, 5, b'a'], &[2, 0x0b, 0x80]] {
        let mut client = broker.connect(V5, "x");
        client.send(request::packet(0x30, &[&[0, 1, b'a'][..], list].concat()));
        client.expect_disconnect(0x81);
    }
}

/// [MQTT-4.13.1-1] [MQTT311-4.8.0-1] The faults of one Client are felt by no other.
#[test]
fn a_faulty_client_harms_no_other() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 1);
        for seed in 1..=200_u32 {
            let mut faulty = broker.connect(version, &format!("f{}", seed % 8));
            let noise: Vec<u8> = noise(seed).take(64).collect();
            faulty.send_anyway(&noise);
            faulty.cut();
        }
        broker.connect(version, "p").publish(&Publish::new("a", "m").qos(1, 1));
        loop {
            let publish = subscriber.take_all(1).remove(0);
            if publish.text() == "m" {
                break;
            }
        }
    });
}

/// Bytes that look random and are the same each time.
fn noise(seed: u32) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed.wrapping_mul(2_654_435_761) | 1), |state| {
        let next = state ^ (state << 13);
        let next = next ^ (next >> 17);
        Some(next ^ (next << 5))
    })
    .map(|state| state.to_le_bytes()[1])
}
