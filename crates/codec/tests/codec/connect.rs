//! Section 3.1: CONNECT.

use dunlin_codec::{Connect, DecodeError, Packet, QoS, ReasonCode, Rule};

use crate::notation::{V5, V31, V311, accepted, decode, malformed, packet, protocol_error, refused};

#[track_caller]
fn connect(bytes: &[u8]) -> Connect<'_> {
    match decode(bytes, V5) {
        Ok(Packet::Connect(connect)) => connect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_the_one_that_the_packet_names() {
    for (version, body) in [
        (V31, "s'MQIsdp' 03 02 003c s'id'"),
        (V311, "s'MQTT' 04 02 003c s'id'"),
        (V5, "s'MQTT' 05 02 003c 00 s'id'"),
    ] {
        let bytes = packet(0x10, body);
        let connect = connect(&bytes);
        assert_eq!((connect.version, connect.client_id), (version, "id"));
        assert_eq!((connect.clean_start, connect.keep_alive), (true, 60));
        assert_eq!((connect.will, connect.user_name, connect.password), (None, None, None));
    }
}

/// [MQTT-3.1.2-1] [MQTT311-3.1.2-1] [MQTT-3.1.2-2] [MQTT311-3.1.2-2] Not malformed: another protocol.
#[test]
fn an_unknown_protocol_is_told_apart_from_a_malformed_packet() {
    for name in ["s'MQTU'", "s'mqtt'", "s'MQT'", "s'MQTTT'", "s''"] {
        let error = refused(V5, 0x10, &format!("{name} 04 02 000a s'p'"));
        assert_eq!(error, DecodeError::UnknownProtocolName);
        assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
    }
    for (name, level) in [("MQTT", 3), ("MQTT", 6), ("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 0), ("MQTT", 0x84)]
    {
        let error = refused(V5, 0x10, &format!("s'{name}' {level:02x} 02 000a s'p'"));
        assert_eq!(error, DecodeError::UnsupportedProtocolVersion { level });
        assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
    }
    malformed(V5, 0x10, "");
    malformed(V5, 0x10, "0004 'MQT'");
    malformed(V5, 0x10, "s'MQTT'");
}

/// [MQTT-3.1.2-3] [MQTT311-3.1.2-3]
#[test]
fn the_reserved_connect_flag_is_zero() {
    for body in ["s'MQTT' 04 03 000a s'p'", "s'MQTT' 05 03 000a 00 s'p'"] {
        assert_eq!(refused(V5, 0x10, body), DecodeError::ConnectFlagsReserved);
        assert_eq!(refused(V5, 0x10, body).rule(), Some(Rule::ReservedBits));
        malformed(V5, 0x10, body);
    }
    accepted(V31, 0x10, "s'MQIsdp' 03 03 000a s'p'");
}

/// [MQTT-3.1.4-1] [MQTT311-3.1.4-1] [MQTT-3.1.2-9] [MQTT311-3.1.2-9] [MQTT-3.1.3-1] [MQTT311-3.1.3-1] [MQTT-3.1.3-3] [MQTT311-3.1.3-3]
/// [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT311-3.1.2-19] [MQTT311-3.1.2-21]
#[test]
fn fields_stand_in_order_and_the_flags_say_which() {
    let v5 = packet(0x10, "s'MQTT' 05 f6 0000 00 s'id' 05 18 00000007 s'will' s'gone' s'user' s'pass'");
    let v311 = packet(0x10, "s'MQTT' 04 f6 0000 s'id' s'will' s'gone' s'user' s'pass'");
    for bytes in [&v5, &v311] {
        let connect = connect(bytes);
        let will = connect.will.unwrap();
        assert_eq!((connect.client_id, will.topic, will.payload), ("id", "will", &b"gone"[..]));
        assert_eq!((will.qos, will.retain), (QoS::ExactlyOnce, true));
        assert_eq!((connect.user_name, connect.password), (Some("user"), Some(&b"pass"[..])));
    }
    for missing in [
        "s'MQTT' 04 02 000a",
        "s'MQTT' 04 06 000a s'p'",
        "s'MQTT' 04 06 000a s'p' s'will'",
        "s'MQTT' 04 82 000a s'p'",
        "s'MQTT' 04 c2 000a s'p' s'user'",
        "s'MQTT' 05 02 000a 00",
        "s'MQTT' 05 06 000a 00 s'p'",
        "s'MQTT' 05 06 000a 00 s'p' 00 s'will'",
        "s'MQTT' 05 82 000a 00 s'p'",
        "s'MQTT' 05 c2 000a 00 s'p' s'user'",
    ] {
        malformed(V5, 0x10, missing);
    }
}

/// [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20]
#[test]
fn fields_without_their_flags_are_trailing_bytes() {
    for body in [
        "s'MQTT' 04 02 000a s'p' 00",
        "s'MQTT' 04 02 000a s'p' s'user'",
        "s'MQTT' 04 82 000a s'p' s'user' s'pass'",
        "s'MQTT' 05 02 000a 00 s'p' s'user'",
        "s'MQTT' 05 82 000a 00 s'p' s'user' s'pass'",
    ] {
        assert!(matches!(refused(V5, 0x10, body), DecodeError::TrailingBytes { .. }));
        malformed(V5, 0x10, body);
    }
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]
#[test]
fn will_qos_and_will_retain_need_the_will_flag() {
    for flags in ["0a", "12", "22", "32"] {
        malformed(V5, 0x10, &format!("s'MQTT' 04 {flags} 000a s'p'"));
        malformed(V5, 0x10, &format!("s'MQTT' 05 {flags} 000a 00 s'p'"));
    }
}

/// [MQTT-3.1.2-12] [MQTT311-3.1.2-14]
#[test]
fn will_qos_3_is_malformed() {
    for flags in ["06", "0e", "16"] {
        accepted(V5, 0x10, &format!("s'MQTT' 04 {flags} 000a s'p' s't' s'm'"));
        accepted(V5, 0x10, &format!("s'MQTT' 05 {flags} 000a 00 s'p' 00 s't' s'm'"));
    }
    malformed(V5, 0x10, "s'MQTT' 04 1e 000a s'p' s't' s'm'");
    malformed(V5, 0x10, "s'MQTT' 05 1e 000a 00 s'p' 00 s't' s'm'");
}

/// [MQTT311-3.1.2-22] 5.0 dropped this rule.
#[test]
fn a_password_needs_a_user_name_before_5_0() {
    for body in ["s'MQTT' 04 42 000a s'p' s'pass'", "s'MQIsdp' 03 42 000a s'p' s'pass'"] {
        let error = refused(V5, 0x10, body);
        assert_eq!(error, DecodeError::PasswordWithoutUserName);
        assert_eq!(error.rule(), Some(Rule::PasswordWithoutUserName));
    }
    accepted(V5, 0x10, "s'MQTT' 05 42 000a 00 s'p' s'pass'");
}

/// 3.1: Remaining Length takes precedence over the flags of User Name and Password.
#[test]
fn flagged_fields_may_be_missing_at_the_end_in_3_1() {
    let bytes = packet(0x10, "s'MQIsdp' 03 c2 000a s'p'");
    assert_eq!(connect(&bytes).user_name, None);
    let bytes = packet(0x10, "s'MQIsdp' 03 c2 000a s'p' s'user'");
    assert_eq!((connect(&bytes).user_name, connect(&bytes).password), (Some("user"), None));
    malformed(V5, 0x10, "s'MQIsdp' 03 c2 000a s'p' 00");
}

/// 3.1 counts characters; later versions have no such limit.
#[test]
fn a_client_identifier_of_3_1_has_at_most_23_characters() {
    accepted(V31, 0x10, "s'MQIsdp' 03 02 000a s'01234567890123456789012'");
    accepted(V31, 0x10, "s'MQIsdp' 03 02 000a s'é1234567890123456789012'");
    let error = refused(V31, 0x10, "s'MQIsdp' 03 02 000a s'012345678901234567890123'");
    assert_eq!(error, DecodeError::ClientIdTooLong { characters: 24, limit: 23 });
    assert_eq!(error.reason_code(), ReasonCode::ClientIdentifierNotValid);
    accepted(V311, 0x10, "s'MQTT' 04 02 000a s'012345678901234567890123'");
}

/// Section 3.1.2.11: each at most once, Will Properties apart, and data needs a method.
#[test]
fn properties_of_connect_and_of_its_will_are_told_apart() {
    let with =
        |properties: &str, will: &str| format!("s'MQTT' 05 06 000a {properties} s'p' {will} s't' s'm'");
    accepted(V5, 0x10, &with("05 11 00000001", "05 18 00000001"));
    malformed(V5, 0x10, &with("05 18 00000001", "00"));
    malformed(V5, 0x10, &with("00", "05 11 00000001"));
    protocol_error(V5, 0x10, &with("0a 11 00000001 11 00000001", "00"));
    protocol_error(V5, 0x10, &with("00", "0a 18 00000001 18 00000001"));
    accepted(V5, 0x10, &with("08 15 s'm' 16 s'd'", "00"));
    assert_eq!(refused(V5, 0x10, &with("04 16 s'd'", "00")), DecodeError::AuthenticationMethodMissing);
    protocol_error(V5, 0x10, &with("04 16 s'd'", "00"));
}
