//! Sections 3.8 and 3.10: SUBSCRIBE and UNSUBSCRIBE.

use dunlin_codec::{
    DecodeError, FilterBuf, Packet, QoS, RetainHandling, Rule, SubscribeBuf, SubscriptionOptions,
    TopicFilter, TopicFilterError,
};

use crate::notation::{ALL, V5, V31, V311, accepted, decode, malformed, packet, protocol_error, refused};

#[test]
fn filters_and_options_come_in_the_order_of_the_packet() {
    let bytes = packet(0x82, "000a 02 0b 7f s'a/+' 00 s'b' 2d s'$share/g/c' 02");
    let Ok(Packet::Subscribe(subscribe)) = decode(&bytes, V5) else { panic!() };
    let found: Vec<_> =
        subscribe.filters.iter().map(|(filter, options)| (filter.as_str(), options)).collect();
    let second = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let third = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
    assert_eq!(found, [("a/+", SubscriptionOptions::default()), ("b", second), ("$share/g/c", third)]);
    assert_eq!(subscribe.filters.len(), 3);
    assert!(subscribe.properties.has_subscription_identifier());

    let bytes = packet(0xA2, "000a 00 s'a/+' s'b'");
    let Ok(Packet::Unsubscribe(unsubscribe)) = decode(&bytes, V5) else { panic!() };
    assert!(unsubscribe.filters.iter().map(TopicFilter::as_str).eq(["a/+", "b"]));
    assert_eq!(unsubscribe.filters.len(), 2);
}

/// [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2]
#[test]
fn there_is_at_least_one_filter() {
    for (version, none) in [(V31, ""), (V311, ""), (V5, "00")] {
        for first in [0x82, 0xA2] {
            assert_eq!(refused(version, first, &format!("0001 {none}")), DecodeError::EmptyList);
            protocol_error(version, first, &format!("0001 {none}"));
        }
    }
}

/// [MQTT-2.2.1-3] [MQTT311-2.3.1-1]
#[test]
fn the_packet_identifier_is_not_zero() {
    for version in ALL {
        protocol_error(version, 0x82, "0000 00 s'a' 00");
        protocol_error(version, 0xA2, "0000 00 s'a'");
    }
}

/// [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT311-3.8.3-1] [MQTT311-3.10.3-1]
#[test]
fn an_ill_formed_filter_is_malformed_wherever_it_stands() {
    for (version, none) in [(V31, ""), (V311, ""), (V5, "00")] {
        for bad in ["s''", "s'a#'", "s'a/#/b'", "s'a+'", "0001 00", "0001 ff", "s'$share'", "s'$share/g'"] {
            malformed(version, 0x82, &format!("0001 {none} {bad} 00"));
            malformed(version, 0x82, &format!("0001 {none} s'a' 00 {bad} 00"));
            malformed(version, 0xA2, &format!("0001 {none} {bad}"));
            malformed(version, 0xA2, &format!("0001 {none} s'a' {bad}"));
        }
        malformed(version, 0x82, &format!("0001 {none} s'a'"));
        malformed(version, 0x82, &format!("0001 {none} s'a' 00 00"));
        malformed(version, 0xA2, &format!("0001 {none} s'a' 00"));
        accepted(version, 0x82, &format!("0001 {none} s'a/#' 00"));
        accepted(version, 0xA2, &format!("0001 {none} s'a/#'"));
    }
    let error = refused(V311, 0x82, "0001 s'a#' 00");
    let inner = TopicFilterError::MisplacedMultiLevel { at: 1 };
    assert_eq!(error, DecodeError::InvalidTopicFilter(inner));
}

/// [MQTT-3.8.3-5] [MQTT311-3.8.3-4] 3.1 only says that the bits are not used.
#[test]
fn reserved_bits_of_the_options_are_zero() {
    for bit in 2..8 {
        let options = 1_u8 << bit;
        let body = format!("0001 s'a' {options:02x}");
        assert_eq!(refused(V311, 0x82, &body), DecodeError::SubscriptionOptionsReserved { options });
        malformed(V311, 0x82, &body);
        accepted(V31, 0x82, &body);
    }
    for options in ["40", "80", "c0"] {
        malformed(V5, 0x82, &format!("0001 00 s'a' {options}"));
        assert_eq!(refused(V5, 0x82, &format!("0001 00 s'a' {options}")).rule(), Some(Rule::ReservedBits));
    }
    for options in ["04", "08", "10", "20"] {
        accepted(V5, 0x82, &format!("0001 00 s'a' {options}"));
    }
}

/// Section 3.8.3.1; [MQTT311-3.8.3-4].
#[test]
fn qos_3_and_retain_handling_3_are_protocol_errors() {
    for version in [V31, V311] {
        assert_eq!(refused(version, 0x82, "0001 s'a' 03"), DecodeError::InvalidSubscriptionQoS);
    }
    protocol_error(V5, 0x82, "0001 00 s'a' 03");
    protocol_error(V5, 0x82, "0001 00 s'a' 30");
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    protocol_error(V5, 0x82, "0001 00 s'$share/g/a' 04");
    protocol_error(V5, 0x82, "0001 00 s'a' 04 s'$share/g/a' 05");
    accepted(V5, 0x82, "0001 00 s'$share/g/a' 01");
    accepted(V5, 0x82, "0001 00 s'a' 04");
}

/// Section 3.8.2.1.2.
#[test]
fn there_is_one_subscription_identifier_at_most_and_not_zero() {
    accepted(V5, 0x82, "0001 02 0b 01 s'a' 00");
    protocol_error(V5, 0x82, "0001 02 0b 00 s'a' 00");
    protocol_error(V5, 0x82, "0001 04 0b 01 0b 02 s'a' 00");
    malformed(V5, 0x82, "0001 03 0b 80 00 s'a' 00");
    malformed(V5, 0xA2, "0001 02 0b 01 s'a'");
}

#[test]
fn a_client_builds_lists_that_read_back() {
    let filter = |text| TopicFilter::parse(text).unwrap();
    let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    for (version, expected) in [(V5, no_local), (V311, SubscriptionOptions::default())] {
        let mut subscribe = SubscribeBuf::new(version);
        subscribe.push(filter("a/#"), no_local);
        assert!(subscribe.as_list().iter().eq([(filter("a/#"), expected)]));
    }
    let mut unsubscribe = FilterBuf::new();
    unsubscribe.push(filter("a/#"));
    assert!(unsubscribe.as_list().iter().eq([filter("a/#")]));
}
