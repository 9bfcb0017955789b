//! Where a connection comes from, kept small: there are a hundred thousand of them in a shard, and most are IPv4.
//!
//! In:    a peer.
//! Out:   the same.
//! Never: more than two words for a Client with an IPv4 address, plain or mapped into IPv6, or without one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use crate::event::Peer;

/// A [`Peer`] in 16 bytes; one with an IPv6 address has it elsewhere.
#[derive(Debug)]
pub struct KeptPeer(Kept);

#[derive(Debug)]
enum Kept {
    Nowhere { listener: u16, authenticate: bool },
    V4 { ip: Ipv4Addr, port: u16, listener: u16, mapped: bool, authenticate: bool },
    Other(Box<Peer>),
}

impl From<Peer> for KeptPeer {
    fn from(peer: Peer) -> Self {
        let Peer { listener, address, authenticate } = peer;
        let Some(address) = address else { return Self(Kept::Nowhere { listener, authenticate }) };
        let v4 = |ip, mapped| Kept::V4 { ip, port: address.port(), listener, mapped, authenticate };
        Self(match address {
            SocketAddr::V4(plain) => v4(*plain.ip(), false),
            SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
                Some(ip) if v6.flowinfo() == 0 && v6.scope_id() == 0 => v4(ip, true),
                _ => Kept::Other(Box::new(peer)),
            },
        })
    }
}

impl KeptPeer {
    /// As it was.
    #[must_use]
    pub fn whole(&self) -> Peer {
        match &self.0 {
            Kept::Nowhere { listener, authenticate } => {
                Peer { listener: *listener, address: None, authenticate: *authenticate }
            }
            Kept::V4 { ip, port, listener, mapped, authenticate } => {
                let address = if *mapped {
                    SocketAddrV6::new(ip.to_ipv6_mapped(), *port, 0, 0).into()
                } else {
                    SocketAddr::new(IpAddr::V4(*ip), *port)
                };
                Peer { listener: *listener, address: Some(address), authenticate: *authenticate }
            }
            Kept::Other(peer) => **peer,
        }
    }

    /// [`Peer::address`].
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.whole().address
    }

    /// [`Peer::listener`].
    #[must_use]
    pub const fn listener(&self) -> u16 {
        match &self.0 {
            Kept::Nowhere { listener, .. } | Kept::V4 { listener, .. } => *listener,
            Kept::Other(peer) => peer.listener,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_comes_back_as_it_was() {
        let flow: SocketAddr = SocketAddrV6::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 7, 1, 2).into();
        let addresses = ["127.0.0.1:1883", "[::1]:9", "[::ffff:10.1.2.3]:4", "[fe80::1%3]:65535"];
        let parsed = addresses.map(|text| Some(text.parse().unwrap()));
        for address in parsed.into_iter().chain([None, Some(flow)]) {
            for authenticate in [false, true] {
                let peer = Peer { listener: 513, address, authenticate };
                let kept = KeptPeer::from(peer);
                assert_eq!((kept.whole(), kept.address(), kept.listener()), (peer, address, 513));
            }
        }
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<KeptPeer>(), 16);
    }
}
