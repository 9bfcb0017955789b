//! Where the Server is, and how to speak to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The path of a WebSocket request that names none: what brokers listen on.
const PATH: &str = "/mqtt";

/// A Server's address: `mqtt://HOST:PORT`, `mqtts://`, `ws://HOST:PORT/PATH`, `wss://`, `unix:PATH`, or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP, or TLS over it.
    Tcp(Host),
    /// WebSocket, plain or over TLS.
    WebSocket {
        /// Where.
        host: Host,
        /// Of the request, with its leading slash: `/mqtt` unless said otherwise.
        path: String,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// A host that is reached over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name or address, IPv6 without brackets.
    pub name: String,
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
    #[error("{0}:// is not known; known are mqtt://, mqtts:// (TLS), ws://, wss:// and unix:")]
    Scheme(String),
    /// No host.
    #[error("no host in {0:?}")]
    Host(String),
    /// No port, or one beyond 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// A Unix socket without a path, or a path that no request can name.
    #[error("no usable path in {0:?}")]
    Path(String),
}

impl Address {
    /// TCP, or TLS over it.
    #[must_use]
    pub fn tcp(name: impl Into<String>, port: u16, encrypted: bool) -> Self {
        Self::Tcp(Host { name: name.into(), port, encrypted })
    }

    /// What stands between the client and the Server is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.host().is_some_and(|host| host.encrypted)
    }

    /// The host; a Unix socket has none.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::Tcp(host) | Self::WebSocket { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }

    /// The first usable place in a Server Reference (5.0, section 4.11): reached as this one is, encrypted if this one is.
    pub(crate) fn referred(&self, reference: &str) -> Option<Self> {
        let own = self.host()?;
        reference.split_whitespace().find_map(|place| {
            // Only a host and a port are named there; a scheme could take the encryption away.
            let host = Host::parse(place, own.encrypted, own.port).ok()?;
            Some(match self {
                Self::WebSocket { path, .. } => Self::WebSocket { host, path: path.clone() },
                Self::Tcp(_) | Self::Unix(_) => Self::Tcp(host),
            })
        })
    }
}

impl Host {
    fn parse(text: &str, encrypted: bool, default: u16) -> Result<Self, AddressError> {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, Some(port).filter(|port| !port.is_empty())),
            None => match text.find(':') {
                Some(at) => (&text[..at], Some(&text[at..])),
                None => (text, None),
            },
        };
        let bracketed = text.starts_with('[');
        if name.is_empty() || name.contains(['/', '@', '[', ']']) || name.contains(':') != bracketed {
            return Err(AddressError::Host(text.to_owned()));
        }
        let number = |port: &str| port.strip_prefix(':').and_then(|port| port.parse().ok());
        let port = match port {
            None => default,
            Some(port) => number(port).ok_or_else(|| AddressError::Port(port.to_owned()))?,
        };
        Ok(Self { name: name.to_owned(), port, encrypted })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let usable = !path.is_empty() && !path.contains('\0');
            return if usable {
                Ok(Self::Unix(path.into()))
            } else {
                Err(AddressError::Path(text.to_owned()))
            };
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let (encrypted, port, web) = match scheme {
            "mqtt" | "tcp" => (false, 1883, false),
            "mqtts" | "tls" | "ssl" => (true, 8883, false),
            "ws" => (false, 80, true),
            "wss" => (true, 443, true),
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        if !web {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            return Ok(Self::Tcp(Host::parse(rest, encrypted, port)?));
        }
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // Anything else would end the line of the request.
        if path.contains(|character: char| !character.is_ascii_graphic()) {
            return Err(AddressError::Path(text.to_owned()));
        }
        let path = if path.len() > 1 { path } else { PATH }.to_owned();
        Ok(Self::WebSocket { host: Host::parse(host, encrypted, port)?, path })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.is_encrypted() { "s" } else { "" };
        match self {
            Self::Tcp(host) => write!(f, "mqtt{secure}://{host}"),
            Self::WebSocket { host, path } => write!(f, "ws{secure}://{host}{path}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
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
            ("ws://broker", "ws://broker:80/mqtt"),
            ("ws://broker:8080/", "ws://broker:8080/mqtt"),
            ("wss://[::1]/a/b?c", "wss://[::1]:443/a/b?c"),
            ("unix:/run/mqtt.sock", "unix:/run/mqtt.sock"),
            ("unix:///run/mqtt.sock", "unix:/run/mqtt.sock"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "http://broker",
            "mqtt://",
            "broker:",
            "broker:65536",
            "mqtt://user@broker",
            "a/b",
            "::1",
            "ws://",
            "ws://broker/a b",
            "ws://broker/a\r\nb",
            "unix:",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_reference_keeps_the_transport_and_its_encryption() {
        let referred = |from: &str, reference: &str| {
            let from: Address = from.parse().unwrap();
            from.referred(reference).map(|address| address.to_string())
        };
        assert_eq!(referred("mqtts://a", "b").as_deref(), Some("mqtts://b:8883"));
        assert_eq!(referred("mqtt://a:9", "[::1]:5 c").as_deref(), Some("mqtt://[::1]:5"));
        assert_eq!(referred("wss://a/x", "/ b:7").as_deref(), Some("wss://b:7/x"));
        assert_eq!(referred("mqtts://a", "mqtt://b"), None);
        assert_eq!(referred("unix:/a", "b"), None);
        assert_eq!(referred("mqtt://a", " "), None);
    }
}
