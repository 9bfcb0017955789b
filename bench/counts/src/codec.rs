//! Packets to bytes and back.

use std::hint::black_box;

use dunlin_codec::{
    Frame, Framing, Packet, Property, PropertyBuf, ProtocolVersion, Publish, QoS, RuleSet, Tolerance,
};

const VERSION: ProtocolVersion = ProtocolVersion::V5;
const ROUNDS: u64 = 10_000;

fn properties() -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    properties.push(Property::MessageExpiryInterval(60));
    properties.push(Property::ContentType("application/json"));
    properties
}

fn publish(properties: &PropertyBuf) -> Publish<'_> {
    let topic = "devices/lamp-17/state";
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: dunlin_codec::PacketId::new(7),
        properties: properties.as_properties(),
        payload: &[0x5a; 64],
    }
}

#[inline(never)]
fn measured_encode(publish: &Publish<'_>, out: &mut Vec<u8>) {
    out.clear();
    black_box(publish).encode(VERSION, out);
}

#[inline(never)]
fn measured_decode(bytes: &[u8]) {
    if let Ok(Framing::Complete { frame, .. }) = Frame::split(black_box(bytes), u32::MAX) {
        let _ = black_box(Packet::decode(frame, VERSION, Tolerance::default(), &mut RuleSet::default()));
    }
}

pub(crate) fn encode() -> u64 {
    let (properties, mut out) = (properties(), Vec::new());
    let publish = publish(&properties);
    (0..ROUNDS).for_each(|_| measured_encode(&publish, &mut out));
    ROUNDS
}

pub(crate) fn decode() -> u64 {
    let (properties, mut bytes) = (properties(), Vec::new());
    publish(&properties).encode(VERSION, &mut bytes);
    (0..ROUNDS).for_each(|_| measured_decode(&bytes));
    ROUNDS
}
