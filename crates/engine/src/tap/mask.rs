//! Secrets in a packet, written over in place, so that all lengths stay as they are.

use std::ops::Range;

use dunlin_codec::{Frame, Packet, Properties, Property, ProtocolVersion, Rule, RuleSet, Tolerance};

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const AUTH: u8 = 15;
/// In place of each byte.
const MASK: u8 = b'*';
/// User Properties with this in their names are secret.
const SECRET_NAMES: [&str; 6] = ["authorization", "password", "secret", "token", "api-key", "apikey"];

/// Whatever can be read is to be seen.
pub(super) const TOLERANT: Tolerance = {
    let mut rules = RuleSet::EMPTY;
    let mut at = 0;
    while at < Rule::ALL.len() {
        rules.insert(Rule::ALL[at]);
        at += 1;
    }
    Tolerance(rules)
};

/// The packet that `bytes` begin with, as much of it as there is.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    super::filter::split(bytes)
}

/// Writes over what nobody else is to know. Of a packet that may hold a password and cannot be read, all is written over.
pub(super) fn mask(bytes: &mut [u8], version: ProtocolVersion) {
    let secrets = secrets(bytes, version);
    for range in secrets {
        bytes[range].fill(MASK);
    }
}

fn secrets(bytes: &[u8], version: ProtocolVersion) -> Vec<Range<usize>> {
    let Some(frame) = frame(bytes) else { return std::iter::once(0..bytes.len()).collect() };
    let mut found = Found { base: bytes.as_ptr().addr(), ranges: Vec::new() };
    match super::decode(frame, version) {
        Some(Packet::Connect(connect)) => {
            found.properties(connect.properties);
            found.add(connect.password.unwrap_or_default());
            if let Some(name) = connect.user_name.filter(|name| is_token(name)) {
                found.add(name.as_bytes());
            }
            if let Some(will) = connect.will {
                found.properties(will.properties);
            }
        }
        Some(Packet::ConnAck(packet)) => found.properties(packet.properties),
        Some(Packet::Auth(packet)) => found.properties(packet.properties),
        Some(Packet::Publish(packet)) => found.properties(packet.properties),
        Some(Packet::Disconnect(packet)) => found.properties(packet.properties),
        Some(Packet::Subscribe(packet)) => found.properties(packet.properties),
        Some(Packet::Unsubscribe(packet)) => found.properties(packet.properties),
        Some(Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) => {
            found.properties(ack.properties);
        }
        Some(Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingReq | Packet::PingResp) => {}
        None if matches!(frame.packet_type(), CONNECT | CONNACK | AUTH) => found.add(frame.body),
        None => {}
    }
    found.ranges
}

struct Found {
    /// Where the packet lies.
    base: usize,
    ranges: Vec<Range<usize>>,
}

impl Found {
    /// A part of the packet.
    fn add(&mut self, part: &[u8]) {
        if !part.is_empty() {
            let start = part.as_ptr().addr() - self.base;
            self.ranges.push(start..start + part.len());
        }
    }

    fn properties(&mut self, properties: Properties<'_>) {
        for property in properties {
            match property {
                Property::AuthenticationData(data) => self.add(data),
                Property::UserProperty(name, value) if is_secret(name) || is_token(value) => {
                    self.add(value.as_bytes());
                }
                _ => {}
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// A JSON Web Token begins with an object in base64url, and has three parts; a bearer's says so.
fn is_token(text: &str) -> bool {
    let text = text.strip_prefix("Bearer ").unwrap_or(text);
    text.starts_with("eyJ") && text.split('.').count() >= 3
}
