//! Every packet: the first byte picks version and tolerance, the rest is a stream of packets. What decodes is gone through,
//! written, and read again.

#![no_main]

use dunlin_codec::{Frame, Framing, Packet, PropertyBuf, ProtocolVersion, Rule, RuleSet, Tolerance};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [choice, stream @ ..] = input else { return };
    let version = match choice & 0x7F {
        3 => ProtocolVersion::V31,
        4 => ProtocolVersion::V311,
        _ => ProtocolVersion::V5,
    };
    let tolerance = if choice & 0x80 == 0 { Tolerance::default() } else { everything() };
    let mut rest = stream;
    while let Ok(Framing::Complete { frame, len }) = Frame::split(rest, u32::MAX) {
        let mut broken = RuleSet::EMPTY;
        if let Ok(packet) = Packet::decode(frame, version, tolerance, &mut broken) {
            inspect(packet);
            write_and_read(packet, version);
        }
        assert!(choice & 0x80 != 0 || broken.is_empty(), "nothing is tolerated, {broken:?} is broken");
        rest = &rest[len..];
    }
});

fn everything() -> Tolerance {
    let mut tolerance = Tolerance::default();
    Rule::ALL.into_iter().for_each(|rule| tolerance.0.insert(rule));
    tolerance
}

/// Goes through all that a packet promises not to fail in.
fn inspect(packet: Packet<'_>) {
    match packet {
        Packet::Connect(connect) => {
            connect.properties.iter().for_each(drop);
            if let Some(will) = connect.will {
                will.properties.iter().for_each(drop);
            }
        }
        Packet::Publish(publish) => {
            let mut forwarded = PropertyBuf::new();
            forwarded.extend_forwarded(publish.properties);
            assert!(forwarded.as_properties().topic_alias().is_none());
            assert!(!forwarded.as_properties().has_subscription_identifier());
            assert!(forwarded.as_properties().message_expiry_interval().is_none());
            let mut copy = PropertyBuf::new();
            publish.properties.iter().for_each(|property| copy.push(property));
            assert_eq!(copy.as_properties(), publish.properties);
        }
        Packet::Subscribe(subscribe) => {
            assert_eq!(subscribe.filters.iter().count(), subscribe.filters.len());
            subscribe.properties.iter().for_each(drop);
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert_eq!(unsubscribe.filters.iter().count(), unsubscribe.filters.len());
        }
        _ => {}
    }
}

fn write_and_read(packet: Packet<'_>, version: ProtocolVersion) {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    assert_eq!(bytes.len(), packet.encoded_len(version));
    let Ok(Framing::Complete { frame, len }) = Frame::split(&bytes, u32::MAX) else {
        panic!("{packet:?} is written as no frame");
    };
    assert_eq!(len, bytes.len());
    assert_eq!(Packet::decode(frame, version, everything(), &mut RuleSet::EMPTY.clone()), Ok(packet));
}
