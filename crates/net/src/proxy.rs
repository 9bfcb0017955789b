//! The header that a proxy puts in front of a connection: the PROXY protocol, versions 1 and 2.
//!
//! In:    the first bytes of a connection.
//! Out:   for whom the proxy speaks, and how long the header is.
//! Never: a byte beyond the header; a header longer than a bound. Extensions (TLV) are skipped, unread.
//! Spec:  "The PROXY protocol", sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest first version, its line end included.
const LINE_MAX: usize = 107;
/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const WORD: &[u8; 5] = b"PROXY";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Addresses and extensions. What load balancers add are tens to hundreds of bytes, a certificate's names included.
const REST_MAX: usize = 4096;
/// The longest header.
pub(crate) const HEADER_MAX: usize = FIXED + REST_MAX;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Whom the proxy speaks for; `None` where for itself, or for somebody without an address.
    pub source: Option<SocketAddr>,
    /// How many bytes it has.
    pub len: usize,
}

/// Bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Neither version begins like that.
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    /// Version 1 without a line end where there must be one.
    #[error("the line is longer than {LINE_MAX} bytes")]
    LineTooLong,
    /// Version 1, and not as it must be.
    #[error("the line is not PROXY, a family, two addresses and two ports")]
    Line,
    /// Neither version 2 nor 1.
    #[error("version {version} is not known")]
    Version {
        /// As sent.
        version: u8,
    },
    /// Neither LOCAL nor PROXY.
    #[error("command {command} is not known")]
    Command {
        /// As sent.
        command: u8,
    },
    /// No such family, or no such transport.
    #[error("address family {family:#04x} is not known")]
    Family {
        /// As sent.
        family: u8,
    },
    /// Too short for the addresses of its family, or beyond the bound.
    #[error("{len} bytes follow the fixed header, {least} to {REST_MAX} may")]
    Length {
        /// As sent.
        len: usize,
        /// For the addresses.
        least: usize,
    },
}

impl ProxyHeader {
    /// Reads the header that `bytes` begin with; `None` where it is not complete.
    ///
    /// # Errors
    /// As soon as no further bytes could make it a header.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ProxyError> {
        if begins(bytes, SIGNATURE) {
            return binary(bytes);
        }
        if begins(bytes, WORD) {
            return line(bytes);
        }
        Err(ProxyError::NoHeader)
    }
}

/// Is it, as far as it goes, the beginning?
fn begins(bytes: &[u8], beginning: &[u8]) -> bool {
    let count = bytes.len().min(beginning.len());
    bytes[..count] == beginning[..count]
}

fn line(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let within = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_MAX { Ok(None) } else { Err(ProxyError::LineTooLong) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| ProxyError::Line)?;
    let source = source(text).ok_or(ProxyError::Line)?;
    Ok(Some(ProxyHeader { source, len: end + 2 }))
}

/// Whom a line names; the outer `None` where it is not well formed.
fn source(text: &str) -> Option<Option<SocketAddr>> {
    let mut words = text.split(' ');
    let (_, family) = (words.next().filter(|word| word.as_bytes() == WORD)?, words.next()?);
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Some(None);
    }
    let (from, to) = (words.next()?, words.next()?);
    let (from, to): (IpAddr, IpAddr) = match family {
        "TCP4" => (from.parse::<Ipv4Addr>().ok()?.into(), to.parse::<Ipv4Addr>().ok()?.into()),
        "TCP6" => (from.parse::<Ipv6Addr>().ok()?.into(), to.parse::<Ipv6Addr>().ok()?.into()),
        _ => return None,
    };
    let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
    let _destination = (to, to_port);
    words.next().is_none().then(|| Some(address(from, from_port)))
}

/// Decimal, without signs and leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let Some(&version_and_command) = bytes.get(SIGNATURE.len()) else { return Ok(None) };
    let (version, command) = (version_and_command >> 4, version_and_command & 0x0f);
    if version != 2 {
        return Err(ProxyError::Version { version });
    }
    if command > 1 {
        return Err(ProxyError::Command { command });
    }
    let Some(&family) = bytes.get(SIGNATURE.len() + 1) else { return Ok(None) };
    let least = match (command, family >> 4, family & 0x0f) {
        (_, 4.., _) | (_, _, 3..) => return Err(ProxyError::Family { family }),
        // The proxy speaks for itself: addresses are to be ignored, if there are any.
        (0, ..) | (_, 0, _) | (.., 0) => 0,
        (_, 1, _) => 12,
        (_, 2, _) => 36,
        (..) => 216,
    };
    let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if !(least..=REST_MAX).contains(&len) {
        return Err(ProxyError::Length { len, least });
    }
    let Some(rest) = bytes.get(FIXED..FIXED + len) else { return Ok(None) };
    let source = match least {
        12 => v4(rest),
        36 => v6(rest),
        _ => None,
    };
    Ok(Some(ProxyHeader { source, len: FIXED + len }))
}

fn v4(rest: &[u8]) -> Option<SocketAddr> {
    let octets: [u8; 4] = rest.get(..4)?.try_into().ok()?;
    Some(address(IpAddr::from(octets), port_at(rest, 8)?))
}

fn v6(rest: &[u8]) -> Option<SocketAddr> {
    let octets: [u8; 16] = rest.get(..16)?.try_into().ok()?;
    Some(address(IpAddr::from(octets), port_at(rest, 32)?))
}

fn port_at(rest: &[u8], at: usize) -> Option<u16> {
    rest.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// An IPv4 address is one, however it is written: limits and bans go by it.
const fn address(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<(Option<String>, usize)>, ProxyError> {
        let header = ProxyHeader::parse(bytes)?;
        Ok(header.map(|header| (header.source.map(|source| source.to_string()), header.len)))
    }

    fn named(source: &str, len: usize) -> Result<Option<(Option<String>, usize)>, ProxyError> {
        Ok(Some((Some(source.to_owned()), len)))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family][..], &len, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0x07, 0x5b];

    #[test]
    fn a_line_names_whom_the_proxy_speaks_for() {
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 1883\r\nx"), named("192.0.2.1:4660", 42));
        assert_eq!(parse(b"PROXY TCP6 2001:db8::1 ::1 1 0\r\n"), named("[2001:db8::1]:1", 32));
        assert_eq!(parse(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), named("192.0.2.1:1", 37));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(Some((None, 15))));
        assert_eq!(parse(b"PROXY UNKNOWN what ever\r\n"), Ok(Some((None, 25))));
    }

    #[test]
    fn lines_that_are_no_header_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 4660\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 4660 1883 1\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 4660 1883\r\n",
            "PROXY TCP4 192.0.2.256 192.0.2.2 4660 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 1883\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 1883\r\n",
            "PROXY TCP4 ::1 ::1 1 1883\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 1883\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 1883\r\n",
            "PROXYTCP4 192.0.2.1 192.0.2.2 1 1883\r\n",
            "PROXY\r\n",
            "PROXY TCP4 192.0.2.\u{e9} 192.0.2.2 1 1883\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(ProxyError::Line), "{line}");
        }
        for other in [&b"\x10\x0c\x00\x04MQTT"[..], b"proxy TCP4", b"PROXX", b"\r\n\r\n\0\r\nQUIT\r", b"\x16"]
        {
            assert_eq!(parse(other), Err(ProxyError::NoHeader), "{other:?}");
        }
    }

    #[test]
    fn a_line_has_an_end_within_its_bound() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; LINE_MAX]].concat();
        assert_eq!(parse(&long[..LINE_MAX - 1]), Ok(None));
        assert_eq!(parse(&long[..LINE_MAX]), Err(ProxyError::LineTooLong));
    }

    #[test]
    fn version_2_names_whom_the_proxy_speaks_for() {
        assert_eq!(parse(&v2(1, 0x11, &FOUR)), named("192.0.2.1:4660", 28));
        let mut six = [0; 36];
        six[..16].copy_from_slice(&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        six[33] = 7;
        assert_eq!(parse(&v2(1, 0x21, &six)), named("[2001:db8::1]:7", 52));
        // Extensions are no part of the address.
        assert_eq!(parse(&v2(1, 0x11, &[&FOUR[..], &[0xff; 100]].concat())), named("192.0.2.1:4660", 128));
    }

    #[test]
    fn version_2_without_an_address_is_the_proxy_itself() {
        assert_eq!(parse(&v2(0, 0x11, &FOUR)), Ok(Some((None, 28))));
        assert_eq!(parse(&v2(0, 0, &[])), Ok(Some((None, 16))));
        assert_eq!(parse(&v2(1, 0, &[1, 2, 3])), Ok(Some((None, 19))));
        assert_eq!(parse(&v2(1, 0x31, &[0; 216])), Ok(Some((None, 232))));
    }

    #[test]
    fn version_2_that_is_no_header_is_refused() {
        let mut other = v2(1, 0x11, &FOUR);
        other[12] = 0x31;
        assert_eq!(parse(&other), Err(ProxyError::Version { version: 3 }));
        assert_eq!(parse(&v2(2, 0x11, &FOUR)), Err(ProxyError::Command { command: 2 }));
        assert_eq!(parse(&v2(1, 0x41, &FOUR)), Err(ProxyError::Family { family: 0x41 }));
        assert_eq!(parse(&v2(1, 0x13, &FOUR)), Err(ProxyError::Family { family: 0x13 }));
        assert_eq!(parse(&v2(1, 0x11, &FOUR[..11])), Err(ProxyError::Length { len: 11, least: 12 }));
        assert_eq!(parse(&v2(1, 0x21, &FOUR)), Err(ProxyError::Length { len: 12, least: 36 }));
        let bomb = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff][..]].concat();
        assert_eq!(parse(&bomb), Err(ProxyError::Length { len: 65_535, least: 12 }));
    }

    fn header() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "PROXY (TCP4|TCP6|UNKNOWN|UDP4) ([0-9.:a-f]{1,12} ){2}[0-9]{1,5} [0-9]{1,5}\r\n"
                .prop_map(String::into_bytes),
            (0..3u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..60))
                .prop_map(|(c, f, rest)| v2(c, f, &rest)),
            prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        /// Wherever the stream is cut, the same comes out, and what is complete needs nothing behind it.
        #[test]
        fn a_header_in_pieces_is_the_same(bytes in header(), cut in any::<prop::sample::Index>()) {
            let whole = ProxyHeader::parse(&bytes);
            let front = ProxyHeader::parse(&bytes[..cut.index(bytes.len() + 1)]);
            match front {
                Ok(None) => {}
                other => prop_assert_eq!(other, whole),
            }
            if let Ok(Some(header)) = whole {
                prop_assert!(header.len <= bytes.len().min(HEADER_MAX));
                prop_assert_eq!(ProxyHeader::parse(&bytes[..header.len]), whole);
            }
        }
    }
}
