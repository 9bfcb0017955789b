//! Addresses and networks, as `10.0.0.0/8`.
//!
//! In:    their texts.
//! Out:   whether an address is among them.
//! Never: a name; names are resolved by others, and change.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses whose first bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address or a network, as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")]
pub struct NetworkError {
    text: String,
}

impl Network {
    /// Is the address one of them? An IPv4 address is one, however it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

/// Are the first `bits` of `width` the same?
const fn same(one: u128, other: u128, width: u8, bits: u8) -> bool {
    match (one ^ other).checked_shr((width - bits) as u32) {
        Some(difference) => difference == 0,
        None => true,
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let fault = || NetworkError { text: text.to_owned() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| fault())?
            }
            Some(_) => return Err(fault()),
        };
        if bits > width {
            return Err(fault());
        }
        match address {
            // ::ffff:192.0.2.0/120
            IpAddr::V6(mapped) if bits >= 96 && mapped.to_ipv4_mapped().is_some() => {
                Ok(Self { address: address.to_canonical(), bits: bits - 96 })
            }
            _ => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

/// What counts as one address where connections are counted: of IPv6 the first 64 bits, which one customer has to himself.
#[must_use]
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (network, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.200"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("::/0", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1"),
            ("::1", "::1"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("192.0.2.1", "192.0.2.2"),
            ("10.0.0.0/9", "10.128.0.1"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "::ffff:192.0.2.1"),
            ("2001:db8::/33", "2001:db8:8000::1"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "localhost",
            "192.0.2.1/33",
            "::1/129",
            "192.0.2.1/",
            "192.0.2.1/+8",
            "192.0.2",
            "1.2.3.4/8/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_customer_is_one_origin() {
        let of = |text: &str| origin(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
