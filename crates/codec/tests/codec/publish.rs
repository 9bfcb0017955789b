//! Section 3.3: PUBLISH.

use dunlin_codec::{DecodeError, Packet, PacketId, Publish, QoS, Rule, RuleSet, Tolerance};

use crate::notation::{
    ALL, V5, V31, V311, accepted, decode, malformed, packet, protocol_error, refused, whole,
};

#[track_caller]
fn publish(bytes: &[u8], version: dunlin_codec::ProtocolVersion) -> Publish<'_> {
    match decode(bytes, version) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    }
}

/// [MQTT-3.3.2-1] [MQTT311-3.3.2-1] [MQTT-2.2.1-2] [MQTT311-2.3.1-5] Topic Name, then a Packet Identifier above QoS 0.
#[test]
fn the_packet_identifier_is_there_above_qos_0_only() {
    for (version, none) in [(V31, ""), (V311, ""), (V5, "00")] {
        let bytes = packet(0x31, &format!("s'a/b' {none} 'hello'"));
        let at_most_once = publish(&bytes, version);
        assert_eq!(at_most_once.packet_id, None);
        assert_eq!((at_most_once.topic, at_most_once.payload), ("a/b", &b"hello"[..]));
        assert_eq!((at_most_once.qos, at_most_once.retain), (QoS::AtMostOnce, true));
        for (first, qos, dup) in [
            (0x32, QoS::AtLeastOnce, false),
            (0x3A, QoS::AtLeastOnce, true),
            (0x34, QoS::ExactlyOnce, false),
            (0x3C, QoS::ExactlyOnce, true),
        ] {
            let bytes = packet(first, &format!("s'a/b' 1234 {none} 'hello'"));
            let publish = publish(&bytes, version);
            assert_eq!(publish.packet_id, PacketId::new(0x1234));
            assert_eq!((publish.qos, publish.dup, publish.payload), (qos, dup, &b"hello"[..]));
        }
    }
}

/// [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]
#[test]
fn a_packet_identifier_is_never_zero() {
    for version in ALL {
        for first in [0x32, 0x34] {
            assert_eq!(refused(version, first, "s'a' 0000 00"), DecodeError::PacketIdZero);
            protocol_error(version, first, "s'a' 0000 00");
            malformed(version, first, "s'a' 00");
        }
    }
}

/// [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
#[test]
fn qos_3_is_malformed() {
    for version in ALL {
        for first in [0x36, 0x37, 0x3E, 0x3F] {
            assert_eq!(refused(version, first, "s'a' 0001 00"), DecodeError::InvalidQoS);
            malformed(version, first, "s'a' 0001 00");
        }
    }
}

/// [MQTT-3.3.1-2] [MQTT311-3.3.1-2]
#[test]
fn dup_is_0_at_qos_0() {
    for version in ALL {
        assert_eq!(refused(version, 0x38, "s'a' 00").rule(), Some(Rule::DupAtQoS0));
        accepted(version, 0x30, "s'a' 00");
    }
}

/// Whoever routes checks Topic Names once for each topic: here they are well-formed strings, and no more.
#[test]
fn a_topic_name_is_well_formed_utf_8_and_not_looked_at_further() {
    for version in [V31, V311] {
        accepted(version, 0x30, "s'a/+/#'");
        accepted(version, 0x30, "s''");
        accepted(version, 0x30, "0001 00");
    }
    accepted(V5, 0x30, "s'a/+/#' 00");
    for ill_formed in ["0001 ff", "0003 eda080", "0002 c080"] {
        for version in ALL {
            malformed(version, 0x30, &format!("{ill_formed} 00"));
        }
    }
}

/// Section 3.3.2.3.4.
#[test]
fn without_a_topic_name_there_is_a_topic_alias() {
    let bytes = packet(0x30, "s'' 03 23 0007 'hello'");
    assert_eq!(publish(&bytes, V5).properties.topic_alias().map(u16::from), Some(7));
    assert_eq!(refused(V5, 0x30, "s'' 00"), DecodeError::TopicMissing);
    protocol_error(V5, 0x30, "s'' 00");
    protocol_error(V5, 0x30, "s'' 02 01 00");
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19]
#[test]
fn properties_of_publish_hold_what_they_should() {
    protocol_error(V5, 0x30, "s'a' 03 23 0000");
    accepted(V5, 0x30, "s'a' 03 23 0001");
    protocol_error(V5, 0x30, "s'a' 06 08 s'b/+'");
    protocol_error(V5, 0x30, "s'a' 06 08 s'b/#'");
    accepted(V5, 0x30, "s'a' 06 08 s'b/c'");
    malformed(V5, 0x30, "s'a' 04 08 0001 ff");
    malformed(V5, 0x30, "s'a' 04 03 0001 ff");
    accepted(V5, 0x30, "s'a' 04 03 s'x'");
    accepted(V5, 0x30, "s'a' 04 09 0001 ff");
}

/// Several Subscription Identifiers come from a Server (section 3.3.2.3.8); that a Client sends none [MQTT-3.3.4-6] shows in
/// `has_subscription_identifier`.
#[test]
fn subscription_identifiers_can_be_several() {
    let bytes = packet(0x30, "s'a' 05 0b 01 0b 80 01");
    assert!(publish(&bytes, V5).properties.has_subscription_identifier());
    let bytes = packet(0x30, "s'a' 05 02 00000009");
    let properties = publish(&bytes, V5).properties;
    assert_eq!(properties.message_expiry_interval(), Some(9));
    assert!(!properties.has_subscription_identifier() && properties.topic_alias().is_none());
}

#[test]
fn the_two_ways_to_decode_a_publish_are_one() {
    let bytes = packet(0x35, "s'a' 0001 03 23 0001 'x'");
    let mut broken = RuleSet::EMPTY;
    let direct = Publish::decode(whole(&bytes), V5, Tolerance::default(), &mut broken).unwrap();
    assert_eq!(decode(&bytes, V5), Ok(Packet::Publish(direct)));
}

/// A topic that is expected is read like any other, and one that is not is checked like any other.
#[test]
fn a_likely_topic_changes_nothing() {
    for body in ["s'a/b' 00 'x'", "s'a/bc' 00", "s'a' 00", "0000 00", "0003 612fff 00", "0003 61"] {
        for version in ALL {
            let bytes = packet(0x30, body);
            let read = |likely| {
                let mut broken = RuleSet::EMPTY;
                Publish::decode_like(whole(&bytes), version, Tolerance::default(), &mut broken, likely)
            };
            let mut broken = RuleSet::EMPTY;
            let plain = Publish::decode(whole(&bytes), version, Tolerance::default(), &mut broken);
            for likely in ["", "a", "a/b", "a/bc", "a/c", "a/\u{ff}"] {
                assert_eq!(read(likely), plain, "{body} {likely}");
            }
            let likely = String::from("a/b");
            let is_it = read(&likely).is_ok_and(|publish| std::ptr::eq(publish.topic, &*likely));
            assert_eq!(is_it, body.starts_with("s'a/b'"), "{body}");
        }
    }
}
