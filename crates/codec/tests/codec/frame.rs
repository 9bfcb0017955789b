//! Section 2.1: the fixed header.

use dunlin_codec::{DecodeError, Frame, Framing, QoS, ReasonCode, Rule, VarInt};

use crate::notation::{NO_LIMIT, V5, V31, V311, accepted, bytes, framed, malformed, refused};

fn needed(stream: &[u8]) -> usize {
    match Frame::split(stream, NO_LIMIT) {
        Ok(Framing::Incomplete { needed }) => needed,
        other => panic!("{stream:02x?}: {other:?}"),
    }
}

#[test]
fn a_packet_ends_where_its_remaining_length_says() {
    let stream = bytes("c0 00 e0 00");

    let Ok(Framing::Complete { frame, len }) = Frame::split(&stream, NO_LIMIT) else { panic!() };

    assert_eq!((frame.packet_type(), frame.first, frame.body, len), (12, 0xC0, &[][..], 2));
}

#[test]
fn an_incomplete_packet_says_how_much_it_needs() {
    assert_eq!(needed(&[]), 2);
    assert_eq!(needed(&[0x30]), 2);
    assert_eq!(needed(&[0x30, 0x05]), 7);
    assert_eq!(needed(&[0x30, 0x05, 0, 1]), 7);
    assert_eq!(needed(&[0x30, 0x80]), 3, "the length itself is not complete");
    assert_eq!(needed(&[0x30, 0x80, 0x01]), 131);
    assert_eq!(needed(&[0x30, 0xFF, 0xFF, 0xFF]), 5);
    assert_eq!(needed(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), 268_435_460);
}

#[test]
fn remaining_length_has_at_most_four_bytes() {
    let error = Frame::split(&[0x30, 0x80, 0x80, 0x80, 0x80], NO_LIMIT).unwrap_err();

    assert_eq!(error, DecodeError::VariableByteIntegerTooLong);
    assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
}

/// [MQTT-1.5.5-1] A length in more bytes than it needs is malformed.
#[test]
fn a_variable_byte_integer_takes_as_few_bytes_as_it_can() {
    for (number, wire) in [
        (0, &[0x00][..]),
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_151, &[0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
    ] {
        let number = VarInt::new(number).unwrap();
        let mut out = Vec::new();
        number.encode(&mut out);
        assert_eq!(out, wire);
        assert_eq!(number.encoded_len(), wire.len());
        assert_eq!(VarInt::decode(wire), Ok(Some((number, wire.len()))));
        for cut in 0..wire.len() {
            assert_eq!(VarInt::decode(&wire[..cut]), Ok(None));
        }
    }
    assert_eq!(VarInt::new(268_435_456), None);
    for wire in [&[0x80, 0x00][..], &[0x81, 0x00], &[0xFF, 0x80, 0x00], &[0x80, 0x80, 0x80, 0x00]] {
        assert!(matches!(VarInt::decode(wire), Err(DecodeError::VariableByteIntegerNotMinimal { .. })));
        assert!(Frame::split(&[&[0x30], wire].concat(), NO_LIMIT).is_err());
    }
}

#[test]
fn a_packet_beyond_the_maximum_fails_as_soon_as_its_length_is_known() {
    let whole = framed(0x30, &[0; 8]);
    assert!(matches!(Frame::split(&whole, 10), Ok(Framing::Complete { len: 10, .. })));

    let error = Frame::split(&whole[..2], 9).unwrap_err();

    assert_eq!(error, DecodeError::PacketTooLarge { size: 10, limit: 9 });
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
    assert_eq!(error.rule(), Some(Rule::PacketTooLarge));
}

#[test]
fn packet_type_0_is_reserved_and_15_before_5_0() {
    // As soon as its first byte is there.
    assert_eq!(Frame::split(&[0x0A], NO_LIMIT), Err(DecodeError::PacketTypeReserved { packet_type: 0 }));
    for version in [V31, V311] {
        assert_eq!(refused(version, 0xF0, ""), DecodeError::PacketTypeReserved { packet_type: 15 });
    }
    accepted(V5, 0xF0, "");
}

/// [MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2] [MQTT-3.6.1-1] [MQTT311-3.6.1-1] [MQTT-3.8.1-1] [MQTT311-3.8.1-1]
/// [MQTT-3.10.1-1] [MQTT311-3.10.1-1] [MQTT-3.14.1-1] [MQTT311-3.14.1-1] [MQTT-3.15.1-1] Flags are as table 2-2 has them.
#[test]
fn flags_other_than_those_of_the_table_are_malformed() {
    for (packet_type, flags, body_311, body_5) in [
        (1, 0, Some("s'MQTT' 04 02 000a s'p'"), "s'MQTT' 05 02 000a 00 s'p'"),
        (2, 0, Some("00 00"), "00 00 00"),
        (4, 0, Some("0001"), "0001"),
        (5, 0, Some("0001"), "0001"),
        (6, 2, Some("0001"), "0001"),
        (7, 0, Some("0001"), "0001"),
        (8, 2, Some("0001 s'a' 00"), "0001 00 s'a' 00"),
        (9, 0, Some("0001 00"), "0001 00 00"),
        (10, 2, Some("0001 s'a'"), "0001 00 s'a'"),
        (11, 0, Some("0001"), "0001 00 00"),
        (12, 0, Some(""), ""),
        (13, 0, Some(""), ""),
        (14, 0, Some(""), ""),
        (15, 0, None, "18 04 15 s'x'"),
    ] {
        for other in 0..16 {
            let first = packet_type << 4 | other;
            let bodies = [(V311, body_311), (V5, Some(body_5))];
            for (version, body) in bodies.into_iter().filter_map(|(v, body)| Some((v, body?))) {
                if other == flags {
                    accepted(version, first, body);
                } else {
                    assert_eq!(refused(version, first, body).rule(), Some(Rule::ReservedBits));
                    malformed(version, first, body);
                }
            }
        }
    }
}

/// 3.1 has DUP and QoS in every fixed header; a SUBSCRIBE sent again carries DUP.
#[test]
fn flags_of_3_1_are_not_looked_at() {
    accepted(V31, 0x8A, "0001 s'a' 00");
    accepted(V31, 0x6A, "0001");
    accepted(V31, 0x42, "0001");
    accepted(V31, 0x10 | 0x0F, "s'MQIsdp' 03 02 000a s'p'");
}

#[test]
fn pings_have_no_body() {
    for version in [V31, V311, V5] {
        accepted(version, 0xC0, "");
        accepted(version, 0xD0, "");
        assert_eq!(refused(version, 0xC0, "00"), DecodeError::TrailingBytes { count: 1 });
        assert_eq!(refused(version, 0xD0, "00"), DecodeError::TrailingBytes { count: 1 });
    }
}

#[test]
fn a_frame_is_written_as_it_is_read() {
    for size in [0, 1, 127, 128, 16_383, 16_384] {
        let body = vec![0x5A; size];
        let frame = Frame::of_publish(true, QoS::AtLeastOnce, true, &body);
        let mut written = vec![7];
        frame.encode(&mut written);
        assert_eq!(written.len(), 1 + frame.encoded_len());
        let read = Frame::split(&written[1..], NO_LIMIT);
        assert_eq!(read, Ok(Framing::Complete { frame, len: frame.encoded_len() }));
        assert_eq!(frame.first, 0x3B);
    }
}
