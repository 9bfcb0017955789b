//! Packets written for reading: `04 02`, `'MQTT'` for bytes, `s'MQTT'` for a string with its length.

use dunlin_codec::{
    DecodeError, Frame, Framing, Packet, ProtocolVersion, ReasonCode, Rule, RuleSet, Tolerance,
};

pub(crate) use ProtocolVersion::{V5, V31, V311};

pub(crate) const ALL: [ProtocolVersion; 3] = [V31, V311, V5];
/// Larger than any packet.
pub(crate) const NO_LIMIT: u32 = u32::MAX;

/// Bytes of a text in the notation above. Neither quote nor blank can be written inside quotes.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for token in text.split_whitespace() {
        if let Some(string) = token.strip_prefix("s'") {
            let string = string.strip_suffix('\'').unwrap();
            out.extend_from_slice(&u16::try_from(string.len()).unwrap().to_be_bytes());
            out.extend_from_slice(string.as_bytes());
        } else if let Some(string) = token.strip_prefix('\'') {
            out.extend_from_slice(string.strip_suffix('\'').unwrap().as_bytes());
        } else {
            for digits in token.as_bytes().chunks(2) {
                let digits = std::str::from_utf8(digits).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{digits:?} in {text:?}")));
            }
        }
    }
    out
}

/// A packet: first byte, then a body in the notation above, its Remaining Length put between.
pub(crate) fn packet(first: u8, body: &str) -> Vec<u8> {
    framed(first, &bytes(body))
}

pub(crate) fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let length = dunlin_codec::VarInt::new(u32::try_from(body.len()).unwrap()).unwrap();
    length.encode(&mut out);
    out.extend_from_slice(body);
    out
}

/// The only frame in `bytes`.
pub(crate) fn whole(bytes: &[u8]) -> Frame<'_> {
    match Frame::split(bytes, NO_LIMIT) {
        Ok(Framing::Complete { frame, len }) if len == bytes.len() => frame,
        other => panic!("{bytes:02x?} is no packet: {other:?}"),
    }
}

/// Decodes with no tolerance at all.
pub(crate) fn decode(bytes: &[u8], version: ProtocolVersion) -> Result<Packet<'_>, DecodeError> {
    let mut broken = RuleSet::EMPTY;
    let packet = Packet::decode(whole(bytes), version, Tolerance::default(), &mut broken);
    assert!(broken.is_empty(), "nothing was tolerated, so nothing can have been broken");
    packet
}

/// Decodes while tolerating `rules`; which of them were broken.
pub(crate) fn decode_tolerating<'a>(
    bytes: &'a [u8],
    version: ProtocolVersion,
    rules: &[Rule],
) -> (Result<Packet<'a>, DecodeError>, RuleSet) {
    let mut tolerance = Tolerance::default();
    for &rule in rules {
        tolerance.0.insert(rule);
    }
    let mut broken = RuleSet::EMPTY;
    let packet = Packet::decode(whole(bytes), version, tolerance, &mut broken);
    (packet, broken)
}

/// The packet is accepted.
#[track_caller]
pub(crate) fn accepted(version: ProtocolVersion, first: u8, body: &str) {
    let bytes = packet(first, body);
    if let Err(error) = decode(&bytes, version) {
        panic!("{version:?} {first:02x} {body}: {error}");
    }
}

/// Why the packet is refused.
#[track_caller]
pub(crate) fn refused(version: ProtocolVersion, first: u8, body: &str) -> DecodeError {
    let bytes = packet(first, body);
    match decode(&bytes, version) {
        Err(error) => error,
        Ok(packet) => panic!("{version:?} {first:02x} {body} was accepted: {packet:?}"),
    }
}

#[track_caller]
pub(crate) fn malformed(version: ProtocolVersion, first: u8, body: &str) {
    assert_eq!(
        refused(version, first, body).reason_code(),
        ReasonCode::MalformedPacket,
        "{first:02x} {body}"
    );
}

#[track_caller]
pub(crate) fn protocol_error(version: ProtocolVersion, first: u8, body: &str) {
    assert_eq!(refused(version, first, body).reason_code(), ReasonCode::ProtocolError, "{first:02x} {body}");
}
