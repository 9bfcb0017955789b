//! Section 1.5: strings and binary data. The Client Identifier stands for all strings that are not topics.

use dunlin_codec::{DecodeError, Packet, Rule};

use crate::notation::{V5, V31, V311, decode, framed, malformed, refused};

const CONNECT: &str = "s'MQTT' 05 02 000a 00";

fn connect(client_id: &[u8]) -> Vec<u8> {
    let mut body = crate::notation::bytes(CONNECT);
    body.extend_from_slice(&u16::try_from(client_id.len()).unwrap().to_be_bytes());
    body.extend_from_slice(client_id);
    framed(0x10, &body)
}

/// [MQTT-1.5.4-1] [MQTT311-1.5.3-1] [MQTT-3.1.3-4] [MQTT311-3.1.3-4]
#[test]
fn strings_are_well_formed_utf_8_without_surrogates() {
    for text in ["", "a", "é", "漢", "😀", "A\u{2A6D4}", "\u{D7FF}", "\u{E000}", "\u{10FFFD}"] {
        let bytes = connect(text.as_bytes());
        let Ok(Packet::Connect(connect)) = decode(&bytes, V5) else { panic!("{text:?} was refused") };
        assert_eq!(connect.client_id, text);
    }
    for (ill_formed, at) in [
        (&b"ab\xFF"[..], 2),
        (b"\xED\xA0\x80", 0),
        (b"a\xED\xBF\xBF", 1),
        (b"\xC0\x80", 0),
        (b"\xE2\x82", 0),
        (b"\xF4\x90\x80\x80", 0),
        (b"\x80", 0),
    ] {
        assert_eq!(decode(&connect(ill_formed), V5), Err(DecodeError::Utf8IllFormed { at }));
    }
}

/// [MQTT-1.5.4-2] [MQTT311-1.5.3-2] Whatever else is in the string.
#[test]
fn a_null_character_is_never_let_in() {
    for (text, at) in [(&b"\0"[..], 0), (b"a\0", 1), (b"\x01\0", 1), (b"0123456789\0", 10)] {
        let bytes = connect(text);
        assert_eq!(decode(&bytes, V5), Err(DecodeError::Utf8Null { at }));
        let (packet, broken) = crate::notation::decode_tolerating(&bytes, V5, &Rule::ALL);
        assert!(packet.is_err() && broken.is_empty());
    }
}

/// [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
#[test]
fn a_byte_order_mark_is_a_character_like_others() {
    let bytes = connect("\u{FEFF}a\u{FEFF}".as_bytes());
    let Ok(Packet::Connect(connect)) = decode(&bytes, V5) else { panic!() };
    assert_eq!(connect.client_id, "\u{FEFF}a\u{FEFF}");
}

/// Section 1.5.4, SHOULD NOT: control characters and non-characters.
#[test]
fn discouraged_characters_break_a_rule_that_can_be_tolerated() {
    let discouraged =
        (1..=0x1F).chain(0x7F..=0x9F).chain(0xFDD0..=0xFDEF).chain([0xFFFE, 0xFFFF, 0x1_FFFE, 0x10_FFFF]);
    for code_point in discouraged {
        let text = format!("ab{}", char::from_u32(code_point).unwrap());
        let bytes = connect(text.as_bytes());
        let error = decode(&bytes, V5).unwrap_err();
        assert_eq!(error, DecodeError::Utf8Discouraged { code_point, at: 2 });
        assert_eq!(error.rule(), Some(Rule::Utf8Discouraged));

        let (packet, broken) = crate::notation::decode_tolerating(&bytes, V5, &[Rule::Utf8Discouraged]);
        assert!(matches!(packet, Ok(Packet::Connect(connect)) if connect.client_id == text));
        assert!(broken.contains(Rule::Utf8Discouraged));
    }
    for code_point in [0x20, 0x7E, 0xA0, 0xFDCF, 0xFDF0, 0xFFFD, 0x1_0000, 0x1_FFFD] {
        let text = char::from_u32(code_point).unwrap().to_string();
        assert!(decode(&connect(text.as_bytes()), V5).is_ok(), "U+{code_point:04X}");
    }
}

#[test]
fn a_string_ends_inside_the_packet() {
    for version in [V31, V311, V5] {
        malformed(version, 0x30, "");
        malformed(version, 0x30, "00");
        assert_eq!(refused(version, 0x30, "0002 'a'"), DecodeError::Truncated { needed: 2, left: 1 });
    }
}

/// [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT311-3.1.3-10] [MQTT311-3.1.3-11]
#[test]
fn will_topic_and_user_name_are_strings_and_passwords_are_not() {
    malformed(V5, 0x10, "s'MQTT' 05 06 000a 00 s'p' 00 0001 ff s'x'");
    malformed(V311, 0x10, "s'MQTT' 04 06 000a s'p' 0001 ff s'x'");
    malformed(V5, 0x10, "s'MQTT' 05 82 000a 00 s'p' 0001 ff");
    malformed(V311, 0x10, "s'MQTT' 04 82 000a s'p' 0001 00");
    crate::notation::accepted(V5, 0x10, "s'MQTT' 05 c6 000a 00 s'p' 00 s't' 0001 ff s'u' 0002 ff00");
    crate::notation::accepted(V311, 0x10, "s'MQTT' 04 c6 000a s'p' s't' 0001 ff s'u' 0002 ff00");
}
