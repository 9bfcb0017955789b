//! Which packets a tap wants.

use std::net::IpAddr;

use dunlin_codec::{Frame, Framing, ProtocolVersion, Publish, RuleSet, TopicFilter, TopicName, matches};

use super::mask::TOLERANT;
use crate::connection::Connection;
use crate::peer::KeptPeer;

/// Of a PUBLISH the topic, and properties as far as they come: what has to be there to judge it.
pub(super) const TOPIC_REACH: usize = 70 * 1024;
const PUBLISH: u8 = 3;

/// What to copy. Each list that is empty lets everything pass; of one that is not, one entry has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapFilter {
    /// Client Identifiers; `*` stands for any characters.
    pub clients: Vec<Box<str>>,
    /// Topic Filters, of whole names: PUBLISH to their topics and what acknowledges it, Wills to them, and Subscriptions that
    /// overlap them.
    pub topics: Vec<Box<str>>,
    /// Where Clients come from.
    pub addresses: Vec<TapNetwork>,
    /// A bit for each packet type of section 2.1.2; 0 for all.
    pub packet_types: u16,
    /// Passwords, Authentication Data and what looks like a token stay readable.
    pub secrets: bool,
    /// Bytes copied of a packet.
    pub packet_bytes_maximum: u32,
    /// Bytes that wait to be fetched.
    pub buffer_bytes_maximum: u32,
}

impl Default for TapFilter {
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            topics: Vec::new(),
            addresses: Vec::new(),
            packet_types: 0,
            secrets: false,
            packet_bytes_maximum: 64 * 1024,
            buffer_bytes_maximum: 4 * 1024 * 1024,
        }
    }
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapNetwork {
    /// One of them.
    pub address: IpAddr,
    /// Bits that they have in common.
    pub bits: u8,
}

impl TapNetwork {
    /// Is the address one of them? One of IPv4 inside IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        fn differ(left: &[u8], right: &[u8]) -> u32 {
            let first = left.iter().zip(right).position(|(left, right)| left != right);
            first.map_or(u32::MAX, |at| {
                u32::try_from(at * 8).unwrap_or(u32::MAX) + (left[at] ^ right[at]).leading_zeros()
            })
        }
        let alike = match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(left), IpAddr::V4(right)) => differ(&left.octets(), &right.octets()),
            (IpAddr::V6(left), IpAddr::V6(right)) => differ(&left.octets(), &right.octets()),
            _ => return false,
        };
        alike >= u32::from(self.bits)
    }
}

impl TapFilter {
    pub(super) fn wants_peer(&self, peer: &KeptPeer, client_id: Option<&str>) -> bool {
        let is_client = self.clients.is_empty()
            || client_id.is_some_and(|id| self.clients.iter().any(|pattern| is_like(pattern, id)));
        let is_address = self.addresses.is_empty()
            || peer
                .address()
                .is_some_and(|address| self.addresses.iter().any(|of| of.contains(address.ip())));
        is_client && is_address
    }

    pub(super) fn wants_type(&self, packet_type: u8) -> bool {
        self.packet_types == 0 || self.packet_types & 1 << packet_type != 0
    }

    pub(super) fn wants_topic(&self, topic: &str) -> bool {
        let name = TopicName::parse(topic);
        self.topics.iter().filter_map(|filter| TopicFilter::parse(filter).ok()).any(|filter| match name {
            Ok(name) => matches(filter, name),
            // No topic, but somebody tries to publish to it.
            Err(_) => filter.as_str() == "#" || filter.as_str() == topic,
        })
    }

    pub(super) fn wants_filter(&self, subscribed: &str) -> bool {
        let Ok(subscribed) = TopicFilter::parse(subscribed) else { return false };
        self.topics
            .iter()
            .filter_map(|filter| TopicFilter::parse(filter).ok())
            .any(|filter| overlap(plain(filter), plain(subscribed)))
    }
}

/// Without `$share/name/`.
fn plain(filter: TopicFilter<'_>) -> &str {
    filter.shared().map_or(filter, |shared| shared.filter).as_str()
}

/// Is there a topic that both match, but for what begins with `$`?
fn overlap(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.split('/'), right.split('/'));
    loop {
        match (left.next(), right.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == other || one == "+" || other == "+" => {}
            _ => return false,
        }
    }
}

/// `*` stands for any characters. Patterns are an operator's, and short.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The topic of a PUBLISH that came, also where an alias stands for it.
pub(super) fn topic_of<'a>(bytes: &'a [u8], connection: &'a Connection, sent: bool) -> Option<&'a str> {
    let frame = super::mask::frame(bytes).filter(|frame| frame.packet_type() == PUBLISH && !sent)?;
    let publish = publish(frame, connection.version)?;
    if !publish.topic.is_empty() {
        return Some(publish.topic);
    }
    let alias = usize::from(publish.properties.topic_alias()?.get());
    connection.seldom.aliases.as_ref()?.received.get(alias - 1)?.as_deref()
}

pub(super) fn publish(frame: Frame<'_>, version: ProtocolVersion) -> Option<Publish<'_>> {
    Publish::decode(frame, version, TOLERANT, &mut RuleSet::default()).ok()
}

/// The packet that begins here, as much of it as there is.
pub(super) fn split(bytes: &[u8]) -> Option<Frame<'_>> {
    if let Ok(Framing::Complete { frame, .. }) = Frame::split(bytes, u32::MAX) {
        return Some(frame);
    }
    let (first, rest) = bytes.split_first()?;
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    Some(Frame { first: *first, body: &rest[length..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, like) in [
            ("pump-7", "pump-7", true),
            ("pump-7", "pump-70", false),
            ("pump-*", "pump-70", true),
            ("*-70", "pump-70", true),
            ("p*p-*0", "pump-70", true),
            ("p*p-*1", "pump-70", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_overlap_where_a_topic_could_match_both() {
        for (left, right, does) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/+", "+/b", true),
            ("a/#", "a", true),
            ("a/#", "b/#", false),
            ("a/+/c", "a/b", false),
            ("#", "a/b/c", true),
        ] {
            assert_eq!(overlap(left, right), does, "{left} {right}");
            assert_eq!(overlap(right, left), does, "{right} {left}");
        }
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let network = |address: &str, bits| TapNetwork { address: address.parse().unwrap(), bits };
        let holds = |network: TapNetwork, address: &str| network.contains(address.parse().unwrap());
        assert!(holds(network("10.1.0.0", 16), "10.1.2.3"));
        assert!(holds(network("10.1.0.0", 16), "::ffff:10.1.2.3"));
        assert!(!holds(network("10.1.0.0", 16), "10.2.2.3"));
        assert!(!holds(network("10.1.128.0", 17), "10.1.127.3"));
        assert!(holds(network("0.0.0.0", 0), "10.2.2.3"));
        assert!(!holds(network("0.0.0.0", 0), "::1"));
        assert!(holds(network("fd00::", 8), "fd12::1"));
    }
}
