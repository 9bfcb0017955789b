//! Packets as if they had come over Ethernet: what lies below MQTT, made up so that dissectors find their way.
//!
//! In:    bytes of one direction of a connection, in order.
//! Out:   Ethernet frames with IP and TCP, the sequence numbers going on.
//! Never: what was on the wire: there may have been TLS, WebSocket or QUIC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of MQTT, by which dissectors know it.
const MQTT: u16 = 1883;
/// Bytes of a segment: what IPv4 can carry, with room.
const SEGMENT: usize = 32 * 1024;
const ACK_PUSH: u8 = 0x18;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// A connection with both its ends.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    client: SocketAddr,
    /// Next sequence numbers: of the Client, of the Server.
    next: [u32; 2],
}

impl Conversation {
    /// `number` tells connections apart that have no address.
    pub(super) fn new(address: Option<SocketAddr>, number: u32) -> Self {
        let made_up = || {
            let [_, high, middle, low] = number.to_be_bytes();
            SocketAddr::new(Ipv4Addr::new(127, high, middle, low.max(1)).into(), 50_000)
        };
        let client = address.unwrap_or_else(made_up);
        Self { client: SocketAddr::new(client.ip().to_canonical(), client.port()), next: [0, 0] }
    }

    /// The handshake that a dissector wants to see.
    pub(super) fn open(&mut self) -> [Vec<u8>; 3] {
        let first = self.frame(false, SYN, &[]);
        self.next[0] = 1;
        let second = self.frame(true, SYN_ACK, &[]);
        self.next[1] = 1;
        [first, second, self.frame(false, ACK, &[])]
    }

    /// A packet of `len` bytes, of which `bytes` are known. Frames, each with the length that it would have had.
    pub(super) fn packet(&mut self, sent: bool, bytes: &[u8], len: usize) -> Vec<(Vec<u8>, usize)> {
        let mut frames = Vec::new();
        let mut left = len;
        let mut chunks = bytes.chunks(SEGMENT).peekable();
        while let Some(chunk) = chunks.next() {
            // What is not known would have followed in the last segment, as far as one reaches.
            let whole = if chunks.peek().is_some() { chunk.len() } else { left.min(SEGMENT) };
            let mut frame = self.frame_of(sent, ACK_PUSH, chunk, whole);
            let original = frame.len() + whole - chunk.len();
            frame.shrink_to_fit();
            frames.push((frame, original));
            self.advance(sent, whole);
            left -= whole;
        }
        // The rest was there, and was not captured.
        self.advance(sent, left);
        frames
    }

    fn advance(&mut self, sent: bool, bytes: usize) {
        let next = &mut self.next[usize::from(sent)];
        *next = next.wrapping_add(u32::try_from(bytes).unwrap_or_default());
    }

    fn frame(&self, sent: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        self.frame_of(sent, flags, payload, payload.len())
    }

    /// Ethernet, IP, TCP; `whole` bytes long beyond, `payload` of them there.
    fn frame_of(&self, sent: bool, flags: u8, payload: &[u8], whole: usize) -> Vec<u8> {
        let server: IpAddr = match self.client.ip() {
            IpAddr::V4(_) => Ipv4Addr::new(127, 0, 0, 1).into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let server = SocketAddr::new(server, MQTT);
        let (from, to) = if sent { (server, self.client) } else { (self.client, server) };
        let (own, other) = (self.next[usize::from(sent)], self.next[usize::from(!sent)]);
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(from.port().to_be_bytes());
        tcp.extend(to.port().to_be_bytes());
        tcp.extend(own.to_be_bytes());
        tcp.extend(if flags & ACK == 0 { 0 } else { other }.to_be_bytes());
        // Five words of header, the largest window, no checksum, nothing urgent.
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let tcp_len = u16::try_from(tcp.len() + whole).unwrap_or(u16::MAX);
        let sum = tcp_checksum(from.ip(), to.ip(), tcp_len, &tcp, payload);
        if whole == payload.len() {
            tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = ethernet(sent, to.ip());
        ip(from.ip(), to.ip(), tcp_len, &mut frame);
        frame.extend(tcp);
        frame.extend(payload);
        frame
    }
}

/// Locally administered addresses: 1 is the Client, 2 the Server.
fn ethernet(sent: bool, to: IpAddr) -> Vec<u8> {
    let (client, server) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let (from, into) = if sent { (server, client) } else { (client, server) };
    let mut frame = Vec::with_capacity(128);
    frame.extend(into);
    frame.extend(from);
    frame.extend(if to.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
    frame
}

fn ip(from: IpAddr, to: IpAddr, tcp_len: u16, frame: &mut Vec<u8>) {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let start = frame.len();
            let total = tcp_len.saturating_add(20);
            frame.extend([0x45, 0]);
            frame.extend(total.to_be_bytes());
            // Not fragmented, 64 hops, TCP.
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            let sum = folded(words(&frame[start..]));
            frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(tcp_len.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(octets(from));
            frame.extend(octets(to));
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn tcp_checksum(from: IpAddr, to: IpAddr, tcp_len: u16, header: &[u8], payload: &[u8]) -> u16 {
    let sum = words(&octets(from)) + words(&octets(to)) + 6 + u64::from(tcp_len);
    folded(sum + words(header) + words(payload))
}

/// The sum of 16-bit words; an odd last byte counts as if a zero followed.
fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

/// Ones' complement of the ones' complement sum.
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_over_what_was_not_captured() {
        let mut conversation = Conversation::new(Some(SocketAddr::from(([192, 0, 2, 7], 1234))), 0);
        assert_eq!(conversation.open().map(|frame| frame.len()), [54, 54, 54]);
        let frames = conversation.packet(false, &[1; 10], 100_000);
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].0.len(), frames[0].1), (64, 54 + SEGMENT));
        assert_eq!(conversation.next, [100_001, 1]);
        let frames = conversation.packet(true, &[0; 70_000], 70_000);
        assert_eq!(frames.iter().map(|(frame, _)| frame.len() - 54).sum::<usize>(), 70_000);
        assert_eq!(conversation.next, [100_001, 70_001]);
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let conversation = Conversation::new(None, 7);
        let frame = conversation.frame(true, ACK_PUSH, b"odd");
        assert_eq!(folded(words(&frame[14..34])), 0);
        let pseudo = words(&frame[26..34]) + 6 + 23;
        assert_eq!(folded(pseudo + words(&frame[34..])), 0);
    }
}
