//! UTF-8 rules in every string that a Client sends.

use dunlin_tests::request::{self, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Version, everywhere, on_shards, prop};

use Version::{V5, V311};

/// Overlong, truncated, surrogate halves and pairs, beyond U+10FFFF, stray continuation, Latin-1.
const ILL_FORMED: [&[u8]; 10] = [
    b"a\xc0\x80",
    b"a\xe0\x80\xaf",
    b"a\xf0\x80\x80\xaf",
    b"a\xed\xa0\x80",
    b"a\xed\xbf\xbf",
    b"a\xed\xa0\x80\xed\xb0\x80",
    b"a\xf4\x90\x80\x80",
    b"a\xf8\x88\x80\x80\x80",
    b"a\x80b",
    b"Gr\xfc\xdfe",
];

/// [MQTT-1.5.4-1] [MQTT-3.3.2-1] [MQTT-4.13.1-1] [MQTT311-1.5.3-1] [MQTT311-3.3.2-1]
#[test]
fn an_ill_formed_topic_name_is_malformed() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for string in ILL_FORMED {
            let mut client = broker.connect(version, "x");
            client.send(Publish::new(string, "m").bytes(version));
            client.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-1.5.4-1] [MQTT-3.8.3-1] [MQTT311-1.5.3-1] [MQTT311-3.8.3-1]
#[test]
fn an_ill_formed_topic_filter_is_malformed() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for string in ILL_FORMED {
            let mut client = broker.connect(version, "x");
            client.send(Subscribe::new(1).filter(string, 0).bytes(version));
            client.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-1.5.4-1] [MQTT-3.10.3-1] [MQTT311-1.5.3-1] [MQTT311-3.10.3-1]
#[test]
fn an_ill_formed_filter_in_unsubscribe_is_malformed() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        let mut client = broker.connect(version, "x");
        let head: &[u8] = if version == V5 { &[0, 1, 0] } else { &[0, 1] };
        client.send(request::packet(0xa2, &[head, &prop::prefixed(ILL_FORMED[3])].concat()));
        client.expect_disconnect(0x81);
    }
}

/// [MQTT-1.5.4-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT311-3.1.3-4] [MQTT311-3.1.3-10] [MQTT311-3.1.3-11]
#[test]
fn ill_formed_strings_in_connect_are_refused() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for string in ILL_FORMED {
            for connect in [
                Connect::new(version, string),
                Connect::new(version, "x").will(Publish::new(string, "m")),
                Connect::new(version, "x").user_name(string),
            ] {
                let mut client = broker.open(version);
                client.send(connect.bytes());
                let answer = client.rest();
                let refused = answer.is_empty() || answer[0] == 0x20 && answer[3] != 0;
                assert!(refused, "{connect:?}: {answer:02x?}");
            }
        }
    }
}

/// [MQTT-1.5.4-2] [MQTT-4.7.3-2] [MQTT311-1.5.3-2] [MQTT311-4.7.3-2]
#[test]
fn the_null_character_is_refused_everywhere() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        for bytes in [
            Publish::new("a\0b", "m").bytes(version),
            Subscribe::new(1).filter("a\0b", 0).bytes(version),
            request::unsubscribe(version, 1, &["a\0b"]),
        ] {
            let mut client = broker.connect(version, "x");
            client.send(bytes);
            client.expect_disconnect(0x81);
        }
        let mut client = broker.open(version);
        client.send(Connect::new(version, "a\0b").bytes());
        let answer = client.rest();
        assert!(answer.is_empty() || answer[0] == 0x20 && answer[3] != 0, "{answer:02x?}");
    }
}

/// [MQTT-1.5.4-1] [MQTT-1.5.7-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19]
#[test]
fn ill_formed_strings_in_properties_are_malformed() {
    let broker = Broker::start(&[]);
    let pair = |name: &[u8], value: &[u8]| {
        [&[prop::USER][..], &prop::prefixed(name), &prop::prefixed(value)].concat()
    };
    for bad in [ILL_FORMED[0], ILL_FORMED[3], b"a\0b"] {
        for property in [
            prop::string(prop::CONTENT_TYPE, bad),
            prop::string(prop::RESPONSE_TOPIC, bad),
            pair(bad, b"v"),
            pair(b"n", bad),
        ] {
            let mut client = broker.connect(V5, "x");
            client.send(Publish::new("a", "m").property(&property).bytes(V5));
            client.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-1.5.4-1] [MQTT311-1.5.3-1] Every other plane and script is welcome, unchanged.
#[test]
fn well_formed_strings_pass_unaltered() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("u/#", 0);
        let mut publisher = broker.connect(version, "p");
        for text in ["Größe", "温度/湿度", "\u{1F426}", "\u{10ABCD}", "a\u{300}", "\u{d7ff}\u{e000}", " "]
        {
            let topic = format!("u/{text}");
            publisher.publish(&Publish::new(&topic, text));
            subscriber.expect_publish(&topic, text);
        }
    });
}

/// [MQTT-1.5.4-3] [MQTT311-1.5.3-3] U+FEFF is a character, not a mark to be stripped.
#[test]
fn a_zero_width_no_break_space_is_kept() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("\u{feff}a", 0);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "without"));
        publisher.publish(&Publish::new("\u{feff}a", "with"));
        subscriber.expect_publish("\u{feff}a", "with");
    });
}

/// [MQTT-4.7.3-3] [MQTT311-4.7.3-3] Long topics pass up to what is configured; none closes without need.
#[test]
fn a_topic_of_a_thousand_bytes_passes() {
    everywhere(|broker, version| {
        let topic = "x".repeat(1000);
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe(&topic, 1);
        broker.connect(version, "p").publish(&Publish::new(&topic, "m").qos(1, 1));
        subscriber.take(&topic, "m");
    });
}

/// [MQTT-1.5.4-1] Payloads are no strings.
#[test]
fn a_payload_is_any_bytes() {
    on_shards(|broker| {
        let all: Vec<u8> = (0..=255).collect();
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("b", 0);
        broker.connect(V5, "p").publish(&Publish::new("b", &all));
        assert_eq!(subscriber.expect_any_publish().payload, all);
    });
}
