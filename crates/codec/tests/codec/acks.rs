//! Sections 3.2, 3.4 to 3.7, 3.9, 3.11, 3.14 and 3.15: the answers, DISCONNECT and AUTH.

use dunlin_codec::{Ack, DecodeError, Disconnect, Packet, PacketId, Properties, ReasonCode, Rule};

use crate::notation::{
    ALL, V5, V31, V311, accepted, decode, malformed, packet, protocol_error, refused, whole,
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP with flags as they should be.
const ACKS: [u8; 4] = [0x40, 0x50, 0x62, 0x70];

fn ack(bytes: &[u8]) -> Ack<'_> {
    match decode(bytes, V5) {
        Ok(Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) => ack,
        other => panic!("{other:?}"),
    }
}

/// Section 3.4.2.1: no Reason Code means Success, no Property Length means 0.
#[test]
fn an_ack_can_leave_out_reason_code_and_properties() {
    for first in ACKS {
        for (body, reason) in [
            ("1234", ReasonCode::Success),
            ("1234 00", ReasonCode::Success),
            ("1234 00 00", ReasonCode::Success),
        ] {
            let bytes = packet(first, body);
            let expected =
                Ack { packet_id: PacketId::new(0x1234).unwrap(), reason, properties: Properties::EMPTY };
            assert_eq!(ack(&bytes), expected);
        }
        accepted(V5, first, "1234 00 04 1f s'x'");
    }
    let bytes = packet(0x40, "1234 10");
    assert_eq!(ack(&bytes).reason, ReasonCode::NoMatchingSubscribers);
}

#[test]
fn an_ack_has_a_packet_identifier_and_nothing_after_its_last_field() {
    for first in ACKS {
        for version in ALL {
            malformed(version, first, "");
            malformed(version, first, "12");
            protocol_error(version, first, "0000");
            accepted(version, first, "0001");
        }
        malformed(V5, first, "0001 00 00 00");
        malformed(V5, first, "0001 00 01");
        for version in [V31, V311] {
            assert_eq!(refused(version, first, "0001 00"), DecodeError::TrailingBytes { count: 1 });
        }
    }
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1]
/// [MQTT-3.15.2-1] [MQTT-3.2.2-8]
#[test]
fn each_packet_type_has_its_reason_codes() {
    let pub_ack = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99][..];
    let tables = [
        (0x20, "00 RR 00", &b"\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F"[..]),
        (0x40, "0001 RR", pub_ack),
        (0x50, "0001 RR", pub_ack),
        (0x62, "0001 RR", b"\x00\x92"),
        (0x70, "0001 RR", b"\x00\x92"),
        (0x90, "0001 00 RR", b"\x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2"),
        (0xB0, "0001 00 RR", b"\x00\x11\x80\x83\x87\x8F\x91"),
        (
            0xE0,
            "RR",
            b"\x00\x04\x80\x81\x82\x83\x87\x89\x8B\x8C\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9C\x9D\x9E\x9F\xA0\xA1\xA2",
        ),
        (0xF0, "RR 04 15 s'm'", b"\x00\x18\x19"),
    ];
    for (first, body, allowed) in tables {
        for code in 0..=255_u8 {
            let body = body.replace("RR", &format!("{code:02x}"));
            if allowed.contains(&code) {
                accepted(V5, first, &body);
            } else {
                let packet_type = first >> 4;
                assert_eq!(
                    refused(V5, first, &body),
                    DecodeError::ReasonCodeNotAllowed { packet_type, code }
                );
                protocol_error(V5, first, &body);
            }
        }
    }
}

#[test]
fn reason_codes_and_their_values_agree() {
    let known: Vec<u8> = (0..=255).filter(|&value| ReasonCode::from_u8(value).is_some()).collect();
    assert_eq!(known.len(), 43);
    for value in known {
        let reason = ReasonCode::from_u8(value).unwrap();
        assert_eq!(reason as u8, value);
        assert_eq!(reason.is_failure(), value >= 0x80);
    }
}

/// MQTT 3.1.1 table 3.1.
#[test]
fn return_codes_of_3_x_stand_for_reason_codes() {
    for (code, reason) in [
        (0, ReasonCode::Success),
        (1, ReasonCode::UnsupportedProtocolVersion),
        (2, ReasonCode::ClientIdentifierNotValid),
        (3, ReasonCode::ServerUnavailable),
        (4, ReasonCode::BadUserNameOrPassword),
        (5, ReasonCode::NotAuthorized),
    ] {
        for version in [V31, V311] {
            let bytes = packet(0x20, &format!("00 {code:02x}"));
            assert!(matches!(decode(&bytes, version), Ok(Packet::ConnAck(ack)) if ack.reason == reason));
        }
    }
    protocol_error(V311, 0x20, "00 06");
    malformed(V311, 0x20, "00 00 00");
}

/// [MQTT-3.2.2-1] [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
#[test]
fn connack_flags_hold_session_present_alone_and_only_with_success() {
    for (version, rest) in [(V311, ""), (V5, "00")] {
        accepted(version, 0x20, &format!("01 00 {rest}"));
        assert_eq!(refused(version, 0x20, &format!("02 00 {rest}")).rule(), Some(Rule::ReservedBits));
    }
    assert_eq!(refused(V311, 0x20, "01 05"), DecodeError::SessionPresentWithFailure);
    assert_eq!(refused(V5, 0x20, "01 87 00"), DecodeError::SessionPresentWithFailure);
    let bytes = packet(0x20, "ff 00");
    assert!(matches!(decode(&bytes, V31), Ok(Packet::ConnAck(ack)) if !ack.session_present));
}

/// [MQTT311-3.9.3-2]
#[test]
fn suback_of_3_x_has_four_return_codes() {
    let bytes = packet(0x90, "0001 00 01 02 80");
    assert!(matches!(decode(&bytes, V311), Ok(Packet::SubAck(ack)) if ack.reasons == [0, 1, 2, 0x80]));
    protocol_error(V311, 0x90, "0001 03");
    protocol_error(V311, 0x90, "0001 87");
}

#[test]
fn suback_and_unsuback_have_a_code_for_each_filter() {
    protocol_error(V311, 0x90, "0001");
    protocol_error(V5, 0x90, "0001 00");
    protocol_error(V5, 0xB0, "0001 00");
    accepted(V311, 0xB0, "0001");
    malformed(V311, 0xB0, "0001 00");
}

/// Section 3.14.2: all of it can be left out.
#[test]
fn disconnect_is_empty_before_5_0_and_can_be_since() {
    for version in ALL {
        let bytes = packet(0xE0, "");
        let normal = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        assert_eq!(decode(&bytes, version), Ok(Packet::Disconnect(normal)));
    }
    malformed(V311, 0xE0, "00");
    accepted(V5, 0xE0, "04");
    accepted(V5, 0xE0, "04 00");
    accepted(V5, 0xE0, "00 05 11 00000000");
    malformed(V5, 0xE0, "00 00 00");
    malformed(V5, 0xE0, "00 04 11 000000");
}

/// Section 3.15.2: with a Reason Code there is an Authentication Method.
#[test]
fn auth_names_its_method() {
    accepted(V5, 0xF0, "");
    accepted(V5, 0xF0, "18 08 15 s'm' 16 s'd'");
    malformed(V5, 0xF0, "18");
    assert_eq!(refused(V5, 0xF0, "18 00"), DecodeError::AuthenticationMethodMissing);
    protocol_error(V5, 0xF0, "18 04 16 s'd'");
}

/// What is read by the short way is read alike by the long one, in every version; and the four usual answers take it.
#[test]
fn a_plain_ack_is_the_same_by_either_way() {
    for first in 0x10..=0xFF {
        for body in ["", "12", "1234", "0000", "1234 00", "1234 10"] {
            let bytes = packet(first, body);
            let plain = Ack::decode_plain(whole(&bytes));
            assert_eq!(plain.is_some(), ACKS.contains(&first) && body == "1234", "{first:02x} {body}");
            let Some(plain) = plain else { continue };
            for version in ALL {
                let packet = decode(&bytes, version).unwrap();
                let kind = [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp];
                assert_eq!(packet, kind[usize::from(first >> 4) - 4](plain));
                let mut again = Vec::new();
                packet.encode(version, &mut again);
                assert_eq!(again, bytes);
            }
        }
    }
}
