//! Section 2.2.2: Properties.

use dunlin_codec::{DecodeError, Packet, Properties, Property, PropertyBuf};

use crate::notation::{
    V5, V311, accepted, bytes, decode, framed, malformed, packet, protocol_error, refused,
};

/// Each Property (table 2-4): identifier, a value, and the packets it belongs to as letters:
/// C CONNECT, W Will, c CONNACK, P PUBLISH, a PUBACK and the like, S SUBSCRIBE, s SUBACK, U UNSUBSCRIBE, u UNSUBACK,
/// D DISCONNECT, A AUTH.
const TABLE: [(u8, &str, &str); 27] = [
    (0x01, "01", "PW"),
    (0x02, "00000001", "PW"),
    (0x03, "s'x'", "PW"),
    (0x08, "s'x'", "PW"),
    (0x09, "s'x'", "PW"),
    (0x0B, "01", "PS"),
    (0x11, "00000001", "CcD"),
    (0x12, "s'x'", "c"),
    (0x13, "0001", "c"),
    (0x15, "s'x'", "CcA"),
    (0x16, "s'x'", "CcA"),
    (0x17, "01", "C"),
    (0x18, "00000001", "W"),
    (0x19, "01", "C"),
    (0x1A, "s'x'", "c"),
    (0x1C, "s'x'", "cD"),
    (0x1F, "s'x'", "casuDA"),
    (0x21, "0001", "Cc"),
    (0x22, "0001", "Cc"),
    (0x23, "0001", "P"),
    (0x24, "01", "c"),
    (0x25, "01", "c"),
    (0x26, "s'x' s'y'", "CWcPaSsUuDA"),
    (0x27, "00000001", "Cc"),
    (0x28, "01", "c"),
    (0x29, "01", "c"),
    (0x2A, "01", "c"),
];

/// A packet of each kind around its Properties.
const KINDS: [(char, u8, &str, &str); 14] = [
    ('C', 0x10, "s'MQTT' 05 02 000a", "s'p'"),
    ('W', 0x10, "s'MQTT' 05 06 000a 00 s'p'", "s't' s'm'"),
    ('c', 0x20, "00 00", ""),
    ('P', 0x30, "s'a'", ""),
    ('a', 0x40, "0001 00", ""),
    ('a', 0x50, "0001 00", ""),
    ('a', 0x62, "0001 00", ""),
    ('a', 0x70, "0001 00", ""),
    ('S', 0x82, "0001", "s'a' 00"),
    ('s', 0x90, "0001", "00"),
    ('U', 0xA2, "0001", "s'a'"),
    ('u', 0xB0, "0001", "00"),
    ('D', 0xE0, "00", ""),
    ('A', 0xF0, "18", ""),
];

/// The kind of packet with these Properties. Authentication Data and AUTH get the method that they need.
fn with(kind: (char, u8, &str, &str), properties: &str) -> Vec<u8> {
    let (letter, first, before, after) = kind;
    let mut inner = bytes(properties);
    let (has_method, has_data) = (properties.starts_with("15"), properties.starts_with("16"));
    if (letter == 'A' && !has_method) || ("CcA".contains(letter) && has_data) {
        inner.extend(bytes("15 s'm'"));
    }
    let mut body = bytes(before);
    body.push(u8::try_from(inner.len()).unwrap());
    body.extend(inner);
    body.extend(bytes(after));
    framed(first, &body)
}

/// Section 2.2.2.2: a Property that does not belong to the packet makes it malformed.
#[test]
fn each_packet_has_its_properties() {
    for kind in KINDS {
        for (id, value, homes) in TABLE {
            let bytes = with(kind, &format!("{id:02x} {value}"));
            if homes.contains(kind.0) {
                assert!(decode(&bytes, V5).is_ok(), "{id:#x} in {kind:?}: {:?}", decode(&bytes, V5));
            } else {
                assert_eq!(decode(&bytes, V5), Err(DecodeError::PropertyNotAllowed { id }), "{kind:?}");
            }
        }
    }
}

/// A Protocol Error for all but User Property, and Subscription Identifier in PUBLISH.
#[test]
fn a_property_is_not_repeated() {
    for kind in KINDS {
        for (id, value, homes) in TABLE.into_iter().filter(|(_, _, homes)| homes.contains(kind.0)) {
            let bytes = with(kind, &format!("{id:02x} {value} {id:02x} {value}"));
            if id == 0x26 || (id == 0x0B && kind.0 == 'P') {
                assert!(decode(&bytes, V5).is_ok(), "{id:#x} in {kind:?} {homes}");
            } else {
                assert_eq!(decode(&bytes, V5), Err(DecodeError::PropertyRepeated { id }), "{kind:?}");
            }
        }
    }
    protocol_error(V5, 0x30, "s'a' 04 01 00 01 00");
}

/// Section 2.2.2.2.
#[test]
fn an_identifier_that_does_not_exist_is_malformed() {
    for id in (0..=0x7F).filter(|id| !TABLE.iter().any(|(known, _, _)| known == id)) {
        let error = refused(V5, 0x30, &format!("s'a' 02 {id:02x} 00"));
        assert_eq!(error, DecodeError::UnknownProperty { id: u32::from(id) });
        malformed(V5, 0x30, &format!("s'a' 02 {id:02x} 00"));
    }
    assert_eq!(refused(V5, 0x30, "s'a' 03 80 02 00"), DecodeError::UnknownProperty { id: 256 });
    malformed(V5, 0x30, "s'a' 03 81 00 01");
    malformed(V5, 0x30, "s'a' 05 80 80 80 80 01");
}

#[test]
fn a_value_that_is_cut_short_is_malformed() {
    for kind in KINDS {
        for (id, value, homes) in TABLE.into_iter().filter(|(_, _, homes)| homes.contains(kind.0)) {
            let whole = bytes(value);
            for cut in 0..whole.len() {
                let digits: String = whole[..cut].iter().map(|byte| format!("{byte:02x}")).collect();
                let mut only = bytes(kind.2);
                only.push(u8::try_from(1 + cut).unwrap());
                only.extend(bytes(&format!("{id:02x} {digits}")));
                only.extend(bytes(kind.3));
                let cut_short = framed(kind.1, &only);
                assert!(
                    matches!(decode(&cut_short, V5), Err(DecodeError::Truncated { .. })),
                    "{id:#x} {homes}: {:?}",
                    decode(&cut_short, V5)
                );
            }
        }
    }
}

#[test]
fn values_out_of_range_are_protocol_errors() {
    let connack = |property: &str| with(('c', 0x20, "00 00", ""), property);
    for (id, good, bad) in [
        (0x21, "0001", "0000"),
        (0x27, "00000001", "00000000"),
        (0x24, "00", "02"),
        (0x25, "00", "02"),
        (0x28, "00", "ff"),
        (0x29, "00", "02"),
        (0x2A, "00", "02"),
    ] {
        assert!(decode(&connack(&format!("{id:02x} {good}")), V5).is_ok());
        let bytes = connack(&format!("{id:02x} {bad}"));
        assert!(matches!(decode(&bytes, V5), Err(DecodeError::InvalidPropertyValue { .. })), "{id:#x}");
    }
    for id in ["17", "19"] {
        accepted(V5, 0x10, &format!("s'MQTT' 05 02 000a 02 {id} 00 s'p'"));
        protocol_error(V5, 0x10, &format!("s'MQTT' 05 02 000a 02 {id} 02 s'p'"));
    }
    accepted(V5, 0x30, "s'a' 02 01 00");
    protocol_error(V5, 0x30, "s'a' 02 01 02");
    protocol_error(V5, 0x10, "s'MQTT' 05 06 000a 00 s'p' 02 01 02 s't' s'm'");
}

/// [MQTT-1.5.7-1]
#[test]
fn both_halves_of_a_pair_are_strings() {
    accepted(V5, 0x30, "s'a' 05 26 s'' s''");
    malformed(V5, 0x30, "s'a' 07 26 0001 ff s'v'");
    malformed(V5, 0x30, "s'a' 07 26 s'n' 0001 ff");
    malformed(V5, 0x30, "s'a' 07 26 s'n' 0001 00");
}

/// [MQTT-2.2.2-1] Where Properties can be, their length is there, as zero if need be. Before 5.0 it is not.
#[test]
fn a_property_length_is_always_there() {
    malformed(V5, 0x30, "s'a'");
    malformed(V5, 0x20, "00 00");
    malformed(V5, 0x82, "0001");
    malformed(V5, 0x30, "s'a' 80");
    malformed(V5, 0x30, "s'a' 80 00");
    malformed(V5, 0x30, "s'a' 05 01 00");
    let bytes = packet(0x30, "s'a' 00");
    assert!(matches!(decode(&bytes, V311), Ok(Packet::Publish(publish)) if publish.payload == [0]));
    for version in [V311, V5] {
        let mut out = Vec::new();
        let Ok(Packet::Publish(publish)) = decode(&bytes, V5) else { panic!() };
        publish.encode(version, &mut out);
        assert_eq!(out, packet(0x30, if version == V5 { "s'a' 00" } else { "s'a'" }));
    }
}

#[test]
fn properties_come_back_in_order() {
    let bytes = packet(0x30, "s'a' 13 26 s'k' s'1' 02 00000009 26 s'k' s'2'");
    let Ok(Packet::Publish(publish)) = decode(&bytes, V5) else { panic!() };
    let expected = [
        Property::UserProperty("k", "1"),
        Property::MessageExpiryInterval(9),
        Property::UserProperty("k", "2"),
    ];
    assert!(publish.properties.into_iter().eq(expected));

    let mut buffer = PropertyBuf::new();
    expected.into_iter().for_each(|property| buffer.push(property));
    assert_eq!(buffer.as_properties(), publish.properties);
    assert_eq!(buffer.len(), publish.properties.as_bytes().len());
    assert_eq!(Properties::from_trusted(publish.properties.as_bytes()), publish.properties);
    assert_eq!(PropertyBuf::from_bytes(publish.properties.as_bytes()).as_properties(), publish.properties);
    buffer.clear();
    assert!(buffer.is_empty() && buffer.as_properties().is_empty());
}

/// [MQTT-3.3.2-17] [MQTT-3.3.2-18] What belongs to one hop stays behind, the rest keeps its bytes and its order.
#[test]
fn what_a_server_hands_on_is_unaltered() {
    let all = "26 s'k' s'1' 23 0005 01 01 02 00000009 08 s'r' 0b 07 09 s'c' 0b 80 01 26 s'a' s'2' 03 s't'";
    let bytes = with(('P', 0x30, "s'a'", ""), all);
    let Ok(Packet::Publish(publish)) = decode(&bytes, V5) else { panic!() };
    let mut forwarded = PropertyBuf::new();
    forwarded.extend_forwarded(publish.properties);
    let kept = crate::notation::bytes("26 s'k' s'1' 01 01 08 s'r' 09 s'c' 26 s'a' s'2' 03 s't'");
    assert_eq!(forwarded.as_properties().as_bytes(), kept);
    forwarded.extend(publish.properties);
    assert_eq!(forwarded.len(), kept.len() + publish.properties.as_bytes().len());
}

#[test]
fn the_getters_find_what_is_there() {
    let bytes = with(('P', 0x30, "s'a'", ""), "26 s'k' s'1' 23 0005 02 00000009 0b 07");
    let Ok(Packet::Publish(publish)) = decode(&bytes, V5) else { panic!() };
    let properties = publish.properties;
    assert_eq!(properties.topic_alias().map(u16::from), Some(5));
    assert_eq!(properties.message_expiry_interval(), Some(9));
    assert!(properties.has_subscription_identifier());
    let none = Properties::EMPTY;
    assert!(none.is_empty() && none.iter().next().is_none());
    assert!(none.topic_alias().is_none() && none.message_expiry_interval().is_none());
}
