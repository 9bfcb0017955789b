//! Bytes that are no packet, cut packets, and packets with something changed: never a panic, never a packet that does not
//! hold together.

use dunlin_codec::{
    Frame, Framing, Packet, ProtocolVersion, Rule, RuleSet, Tolerance, TopicFilter, TopicName,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    notation::{ALL, NO_LIMIT},
    parts::any_packet,
};

/// Goes through all of a decoded packet, and sees that it can be written and read again.
fn walk(packet: Packet<'_>, version: ProtocolVersion) {
    match packet {
        Packet::Connect(connect) => {
            connect.properties.iter().for_each(drop);
            if let Some(will) = connect.will {
                will.properties.iter().for_each(drop);
            }
        }
        Packet::Publish(publish) => publish.properties.iter().for_each(drop),
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.filters.len() > 0);
            subscribe.filters.iter().for_each(|(filter, _)| _ = filter.shared());
        }
        Packet::Unsubscribe(unsubscribe) => assert!(unsubscribe.filters.len() > 0),
        Packet::ConnAck(ack) => ack.properties.iter().for_each(drop),
        _ => {}
    }
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    assert_eq!(bytes.len(), packet.encoded_len(version));
    let Ok(Framing::Complete { frame, len }) = Frame::split(&bytes, NO_LIMIT) else { panic!("no frame") };
    assert_eq!(len, bytes.len());
    let mut all = Tolerance::default();
    Rule::ALL.into_iter().for_each(|rule| all.0.insert(rule));
    assert_eq!(Packet::decode(frame, version, all, &mut RuleSet::EMPTY.clone()), Ok(packet));
}

/// Takes packets off the front of a stream until something is wrong with it.
fn read_stream(mut stream: &[u8], tolerant: bool) {
    let mut tolerance = Tolerance::default();
    if tolerant {
        Rule::ALL.into_iter().for_each(|rule| tolerance.0.insert(rule));
    }
    while let Ok(Framing::Complete { frame, len }) = Frame::split(stream, NO_LIMIT) {
        for version in ALL {
            let mut broken = RuleSet::EMPTY;
            if let Ok(packet) = Packet::decode(frame, version, tolerance, &mut broken) {
                walk(packet, version);
            }
            assert!(tolerant || broken.is_empty());
        }
        stream = &stream[len..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), tolerant in any::<bool>()) {
        read_stream(&bytes, tolerant);
    }

    #[test]
    fn arbitrary_bodies_never_panic(first in any::<u8>(), body in vec(any::<u8>(), 0..60), tolerant in any::<bool>()) {
        read_stream(&crate::notation::framed(first, &body), tolerant);
    }

    #[test]
    fn changed_packets_never_panic(
        parts in any_packet(),
        changes in vec((any::<Index>(), any::<u8>()), 1..5),
        tolerant in any::<bool>(),
    ) {
        let mut bytes = parts.encoded();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_stream(&bytes, tolerant);
    }

    #[test]
    fn cut_bodies_never_panic(parts in any_packet(), cut in any::<Index>()) {
        let bytes = parts.encoded();
        let Ok(Framing::Complete { frame, .. }) = Frame::split(&bytes, NO_LIMIT) else { panic!() };
        let body = &frame.body[..cut.index(frame.body.len() + 1)];
        read_stream(&crate::notation::framed(frame.first, body), false);
    }

    #[test]
    fn a_prefix_is_incomplete_and_a_suffix_is_left_alone(parts in any_packet(), suffix in vec(any::<u8>(), 0..9)) {
        let bytes = parts.encoded();
        for cut in 0..bytes.len() {
            match Frame::split(&bytes[..cut], NO_LIMIT) {
                Ok(Framing::Incomplete { needed }) => prop_assert!(cut < needed && needed <= bytes.len()),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let stream = [&bytes[..], &suffix[..]].concat();
        match Frame::split(&stream, NO_LIMIT) {
            Ok(Framing::Complete { len, .. }) => prop_assert_eq!(len, bytes.len()),
            other => prop_assert!(false, "{other:?}"),
        }
        let size = u32::try_from(bytes.len()).unwrap();
        prop_assert!(Frame::split(&stream, size).is_ok());
        prop_assert!(Frame::split(&stream, size - 1).is_err());
    }

    #[test]
    fn arbitrary_text_is_a_topic_or_is_not(text in any::<String>()) {
        if let Ok(name) = TopicName::parse(&text) {
            prop_assert!(name.levels().count() > 0);
        }
        if let Ok(filter) = TopicFilter::parse(&text) {
            prop_assert_eq!(filter.as_str(), &text);
        }
    }
}
