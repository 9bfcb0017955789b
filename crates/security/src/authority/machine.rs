//! What this machine is called.
//!
//! In:    the system: its host name, the addresses of its interfaces.
//! Out:   the names under which clients reach it.
//! Never: an error. What cannot be found out is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ServerName;

/// Interfaces of containers come and go by the hundred; a certificate has room for some.
const ADDRESSES: usize = 32;

/// The names and addresses of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it calls itself.
    pub host: String,
    /// Under which it is reached, `localhost` first.
    pub names: Vec<ServerName>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        Self::new(&host, interfaces.iter().map(if_addrs::Interface::ip))
    }

    /// One that is called so and has these addresses.
    #[must_use]
    pub fn new(host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut names = vec![ServerName::Dns("localhost".to_owned())];
        names.extend(host.parse().ok().filter(|name| *name != names[0]));
        names.push(ServerName::Address(Ipv4Addr::LOCALHOST.into()));
        names.push(ServerName::Address(Ipv6Addr::LOCALHOST.into()));
        let mut others: Vec<_> =
            addresses.into_iter().filter(is_reachable).map(ServerName::Address).collect();
        others.sort();
        others.dedup();
        names.extend(others.into_iter().take(ADDRESSES));
        let host = if host.is_empty() { "localhost" } else { host };
        Self { host: host.to_owned(), names }
    }
}

/// Link-local addresses of IPv6 are of no use without the name of an interface.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unspecified() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_localhost_its_name_and_what_others_can_reach() {
        let addresses = ["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "2001:db8::7", "192.0.2.7"];
        let machine = Machine::new("gateway", addresses.map(|address| address.parse().unwrap()));
        let names: Vec<_> = machine.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["localhost", "gateway", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"]);
        assert_eq!(Machine::new("two words", []).names.len(), 3);
        assert!(Machine::here().names.len() >= 3);
    }
}
