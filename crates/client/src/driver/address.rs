//! Where the Server is.

use std::fmt;
use std::str::FromStr;

/// A Server's address: `mqtt://host:1883`, `mqtts://host:8883`, or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS.
    pub encrypted: bool,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A scheme that this build does not have.
    #[error("{0}:// is not known; known are mqtt:// (TCP) and mqtts:// (TLS)")]
    Scheme(String),
    /// No host.
    #[error("no host in {0:?}")]
    Host(String),
    /// No port, or one beyond 65535.
    #[error("{0:?} is no port")]
    Port(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let encrypted = match scheme {
            "mqtt" | "tcp" => false,
            "mqtts" | "tls" | "ssl" => true,
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || host.contains(['/', '@', '[', ']', ':']) && !host.contains("::") {
            return Err(AddressError::Host(text.to_owned()));
        }
        let default = if encrypted { 8883 } else { 1883 };
        let port =
            port.map_or(Ok(default), |port| port.parse().map_err(|_| AddressError::Port(port.to_owned())))?;
        Ok(Self { host: host.to_owned(), port, encrypted })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, expected) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtts://broker/", "mqtts://broker:8883"),
            ("broker:1884", "mqtt://broker:1884"),
            ("broker", "mqtt://broker:1883"),
            ("[::1]:1883", "mqtt://[::1]:1883"),
            ("mqtts://[::1]", "mqtts://[::1]:8883"),
            ("tcp://127.0.0.1:9", "mqtt://127.0.0.1:9"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in ["http://broker", "mqtt://", "broker:", "broker:65536", "mqtt://user@broker", "a/b"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
