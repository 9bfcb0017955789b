//! What is written: the shortest form, and to 3.x nothing that 3.x lacks.

use dunlin_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property, PropertyBuf,
    ProtocolVersion, Publish, QoS, ReasonCode, SubAck, UnsubAck,
};

use crate::notation::{ALL, V5, V31, V311, packet};

#[track_caller]
fn written(packet: Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut out = b"before".to_vec();
    packet.encode(version, &mut out);
    assert_eq!(out.len() - 6, packet.encoded_len(version), "{}", packet.name());
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

fn reason_string() -> PropertyBuf {
    let mut buffer = PropertyBuf::new();
    buffer.push(Property::ReasonString("x"));
    buffer
}

#[test]
fn acks_are_as_short_as_they_can_be() {
    let packet_id = PacketId::new(0x1234).unwrap();
    let buffer = reason_string();
    let short = Ack { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    let failed = Ack { reason: ReasonCode::QuotaExceeded, ..short };
    let said = Ack { properties: buffer.as_properties(), ..short };
    type Wrap = for<'a> fn(Ack<'a>) -> Packet<'a>;
    let kinds: [(u8, Wrap); 4] = [
        (0x40, |ack| Packet::PubAck(ack)),
        (0x50, |ack| Packet::PubRec(ack)),
        (0x62, |ack| Packet::PubRel(ack)),
        (0x70, |ack| Packet::PubComp(ack)),
    ];
    for (first, wrap) in kinds {
        assert_eq!(written(wrap(short), V5), packet(first, "1234"));
        assert_eq!(written(wrap(failed), V5), packet(first, "1234 97"));
        assert_eq!(written(wrap(said), V5), packet(first, "1234 00 04 1f s'x'"));
        for version in [V31, V311] {
            assert_eq!(written(wrap(failed), version), packet(first, "1234"));
            assert_eq!(written(wrap(said), version), packet(first, "1234"));
        }
    }
}

#[test]
fn disconnect_and_auth_are_as_short_as_they_can_be() {
    let buffer = reason_string();
    let normal = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
    let said = Disconnect { reason: ReasonCode::ServerBusy, properties: buffer.as_properties() };
    let busy = Disconnect { reason: ReasonCode::ServerBusy, ..normal };
    assert_eq!(written(Packet::Disconnect(normal), V5), packet(0xE0, ""));
    assert_eq!(written(Packet::Disconnect(busy), V5), packet(0xE0, "89"));
    assert_eq!(written(Packet::Disconnect(said), V5), packet(0xE0, "89 04 1f s'x'"));
    assert_eq!(written(Packet::Disconnect(said), V311), packet(0xE0, ""));
    let auth = Auth { reason: ReasonCode::Success, properties: Properties::EMPTY };
    assert_eq!(written(Packet::Auth(auth), V5), packet(0xF0, ""));
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, ..auth };
    assert_eq!(written(Packet::Auth(auth), V5), packet(0xF0, "18 00"));
}

/// MQTT 3.1.1 table 3.1; [MQTT311-3.2.2-4] [MQTT-3.2.2-6].
#[test]
fn connack_of_3_x_carries_the_return_code_that_comes_nearest() {
    let buffer = reason_string();
    for (reason, code) in [
        (ReasonCode::Success, 0),
        (ReasonCode::UnsupportedProtocolVersion, 1),
        (ReasonCode::ClientIdentifierNotValid, 2),
        (ReasonCode::ServerUnavailable, 3),
        (ReasonCode::ServerBusy, 3),
        (ReasonCode::QuotaExceeded, 3),
        (ReasonCode::ConnectionRateExceeded, 3),
        (ReasonCode::UseAnotherServer, 3),
        (ReasonCode::UnspecifiedError, 3),
        (ReasonCode::BadUserNameOrPassword, 4),
        (ReasonCode::NotAuthorized, 5),
        (ReasonCode::Banned, 5),
        (ReasonCode::BadAuthenticationMethod, 5),
        (ReasonCode::RetainNotSupported, 5),
    ] {
        let ack = ConnAck { session_present: true, reason, properties: buffer.as_properties() };
        let present = u8::from(code == 0);
        assert_eq!(written(Packet::ConnAck(ack), V311), [0x20, 2, present, code]);
        assert_eq!(written(Packet::ConnAck(ack), V31), [0x20, 2, 0, code], "3.1 has no Session Present");
        let v5 = packet(0x20, &format!("{present:02x} {:02x} 04 1f s'x'", reason as u8));
        assert_eq!(written(Packet::ConnAck(ack), V5), v5);
    }
}

/// [MQTT311-3.9.3-2] [MQTT-3.9.3-2] [MQTT-3.11.3-2]
#[test]
fn suback_of_3_x_knows_one_failure_and_unsuback_none() {
    let packet_id = PacketId::MIN;
    let properties = Properties::EMPTY;
    let ack = SubAck { packet_id, properties, reasons: &[0x00, 0x02, 0x87, 0xA2] };
    assert_eq!(written(Packet::SubAck(ack), V5), packet(0x90, "0001 00 00 02 87 a2"));
    assert_eq!(written(Packet::SubAck(ack), V311), packet(0x90, "0001 00 02 80 80"));
    let ack = UnsubAck { packet_id, properties, reasons: &[0x00, 0x11] };
    assert_eq!(written(Packet::UnsubAck(ack), V5), packet(0xB0, "0001 00 00 11"));
    assert_eq!(written(Packet::UnsubAck(ack), V311), packet(0xB0, "0001"));
}

/// [MQTT-2.2.1-2] [MQTT311-2.3.1-5] and section 3.3.1.
#[test]
fn publish_carries_a_packet_identifier_above_qos_0_only() {
    let mut publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "a",
        packet_id: Some(PacketId::MIN),
        properties: Properties::EMPTY,
        payload: b"x",
    };
    assert_eq!(written(Packet::Publish(publish), V311), packet(0x31, "s'a' 'x'"));
    assert_eq!(written(Packet::Publish(publish), V5), packet(0x31, "s'a' 00 'x'"));
    (publish.qos, publish.dup, publish.retain) = (QoS::ExactlyOnce, true, false);
    assert_eq!(written(Packet::Publish(publish), V311), packet(0x3C, "s'a' 0001 'x'"));
    assert_eq!(written(Packet::Publish(publish), V5), packet(0x3C, "s'a' 0001 00 'x'"));
}

/// A payload that many receivers share is sent from where it lies.
#[test]
fn a_publish_without_its_payload_is_the_front_of_a_publish() {
    let payload = vec![b'x'; 100_000];
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a",
        packet_id: Some(PacketId::MIN),
        properties: Properties::EMPTY,
        payload: &payload,
    };
    for version in ALL {
        let mut head = Vec::new();
        publish.encode_head(version, &mut head);
        assert_eq!(head.len(), publish.encoded_len(version) - payload.len());
        assert_eq!([&head[..], &payload].concat(), written(Packet::Publish(publish), version));
        assert!(head.capacity() < payload.len(), "room for a payload that never comes");
    }
}

#[test]
fn a_connect_is_written_in_its_own_version() {
    for (version, body) in [
        (V31, "s'MQIsdp' 03 00 0000 s''"),
        (V311, "s'MQTT' 04 00 0000 s''"),
        (V5, "s'MQTT' 05 00 0000 00 s''"),
    ] {
        let connect = Connect {
            version,
            clean_start: false,
            keep_alive: 0,
            properties: Properties::EMPTY,
            client_id: "",
            will: None,
            user_name: None,
            password: None,
        };
        for other in ALL {
            assert_eq!(written(Packet::Connect(connect), other), packet(0x10, body));
        }
    }
}

#[test]
fn packet_identifiers_go_round() {
    assert_eq!(PacketId::new(0), None);
    assert_eq!(PacketId::MIN.get(), 1);
    assert_eq!(PacketId::MIN.next().get(), 2);
    assert_eq!(PacketId::new(u16::MAX).unwrap().next(), PacketId::MIN);
}

#[test]
#[should_panic(expected = "longer than 65535")]
fn a_string_too_long_is_our_own_fault() {
    PropertyBuf::new().push(Property::ReasonString(&"x".repeat(65_536)));
}

#[test]
#[should_panic(expected = "5.0 only")]
fn auth_to_3_x_is_our_own_fault() {
    let auth = Auth { reason: ReasonCode::Success, properties: Properties::EMPTY };
    Packet::Auth(auth).encode(V311, &mut Vec::new());
}
