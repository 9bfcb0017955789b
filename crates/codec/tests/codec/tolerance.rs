//! Rules that clients in the field break: tolerated they are noted and the packet is read sensibly.

use dunlin_codec::{Packet, QoS, Rule, RuleSet};

use crate::notation::{V5, V31, V311, bytes, decode, decode_tolerating, framed, packet};

/// A packet, its version, and the one rule it breaks.
fn offenders() -> Vec<(Vec<u8>, dunlin_codec::ProtocolVersion, Rule)> {
    vec![
        (packet(0x80, "0001 00 s'a' 00"), V5, Rule::ReservedBits),
        (packet(0x60, "0001"), V311, Rule::ReservedBits),
        (packet(0x11, "s'MQTT' 04 02 000a s'p'"), V311, Rule::ReservedBits),
        (packet(0x10, "s'MQTT' 04 03 000a s'p'"), V311, Rule::ReservedBits),
        (packet(0x20, "03 00 00"), V5, Rule::ReservedBits),
        (packet(0x82, "0001 s'a' fd"), V311, Rule::ReservedBits),
        (packet(0x82, "0001 00 s'a' c1"), V5, Rule::ReservedBits),
        (packet(0x82, "0001 00 0001 7f 01"), V5, Rule::Utf8Discouraged),
        (packet(0x30, "s'a' 04 03 0001 01"), V5, Rule::Utf8Discouraged),
        (packet(0x30, "s'a' 08 26 s'k' 0002 c280"), V5, Rule::Utf8Discouraged),
        (packet(0x38, "s'a' 00"), V5, Rule::DupAtQoS0),
        (packet(0x10, "s'MQIsdp' 03 02 000a s'012345678901234567890123'"), V31, Rule::ClientIdLength31),
        (packet(0x10, "s'MQTT' 04 42 000a s'p' s'pass'"), V311, Rule::PasswordWithoutUserName),
    ]
}

#[test]
fn a_rule_is_enforced_tolerated_and_named() {
    for (bytes, version, rule) in offenders() {
        let refusal = decode(&bytes, version).unwrap_err();
        assert_eq!(refusal.rule(), Some(rule), "{refusal}");

        let others: Vec<Rule> = Rule::ALL.into_iter().filter(|&other| other != rule).collect();
        assert_eq!(decode_tolerating(&bytes, version, &others), (Err(refusal), RuleSet::EMPTY));

        let (packet, broken) = decode_tolerating(&bytes, version, &[rule]);
        let mut expected = RuleSet::EMPTY;
        expected.insert(rule);
        assert!(packet.is_ok(), "{bytes:02x?}: {packet:?}");
        assert_eq!(broken, expected);
    }
}

#[test]
fn tolerated_packets_are_read_sensibly() {
    let bytes = packet(0x39, "s'a' 00 'x'");
    let (Ok(Packet::Publish(publish)), _) = decode_tolerating(&bytes, V5, &[Rule::DupAtQoS0]) else {
        panic!()
    };
    assert!(!publish.dup && publish.retain && publish.payload == b"x");

    let bytes = packet(0x82, "0001 s'a' fd");
    let (Ok(Packet::Subscribe(subscribe)), _) = decode_tolerating(&bytes, V311, &[Rule::ReservedBits]) else {
        panic!()
    };
    let (_, options) = subscribe.filters.iter().next().unwrap();
    assert_eq!(options.qos, QoS::AtLeastOnce);
    assert!(!options.no_local && !options.retain_as_published);
    let mut out = Vec::new();
    Packet::Subscribe(subscribe).encode(V311, &mut out);
    assert_eq!(out, packet(0x82, "0001 s'a' 01"), "reserved bits are not passed on");

    let bytes = packet(0x10, "s'MQTT' 04 42 000a s'p' s'pass'");
    let (Ok(Packet::Connect(connect)), _) = decode_tolerating(&bytes, V311, &[Rule::PasswordWithoutUserName])
    else {
        panic!()
    };
    assert_eq!((connect.user_name, connect.password), (None, Some(&b"pass"[..])));
}

#[test]
fn several_rules_can_be_broken_at_once() {
    let bytes = framed(0x11, &bytes("s'MQTT' 04 43 000a 0001 01 s'pass'"));
    let (packet, broken) = decode_tolerating(&bytes, V311, &Rule::ALL);
    assert!(packet.is_ok());
    for rule in Rule::ALL {
        let expected =
            matches!(rule, Rule::ReservedBits | Rule::Utf8Discouraged | Rule::PasswordWithoutUserName);
        assert_eq!(broken.contains(rule), expected, "{rule:?}");
    }
}
