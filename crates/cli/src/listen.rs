//! Where Clients connect: `--listen` and `[[listener]] url`.
//!
//! In:    the text of a URL: HOST:PORT, SCHEME://HOST:PORT or unix:PATH.
//! Out:   what is spoken there, and places to bind.
//! Never: a URL that this version cannot serve; those are refused when they are parsed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dunlin_runtime::Place;
use serde::{Deserialize, Serialize};

/// A listener as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ListenUrl {
    scheme: Scheme,
    target: Target,
}

/// What is spoken between MQTT and the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Nothing: MQTT over TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// Nothing: MQTT over a Unix socket.
    Unix,
    /// QUIC, which has TLS in it, over UDP.
    Quic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Port { host: String, port: u16 },
    File(PathBuf),
}

/// Why a text is no listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListenUrlError {
    /// A transport that was left out when this was built.
    #[error("{scheme} is not in this build")]
    NotAvailable { scheme: &'static str },
    /// A transport that nobody has heard of.
    #[error("{scheme}:// is not known")]
    UnknownScheme { scheme: String },
    /// The schemes of Clients, not of listeners.
    #[error("{scheme}:// is how clients write it")]
    ClientScheme { scheme: String },
    /// `localhost`
    #[error("the port is missing")]
    NoPort,
    /// `:1883`
    #[error("the host is missing")]
    NoHost,
    /// `localhost:65536`
    #[error("{port:?} is not a port (0 to 65535; 0 takes a free one)")]
    Port { port: String },
    /// `::1:1883`
    #[error("an IPv6 address is written in brackets")]
    NoBrackets,
    /// `[::g]:1883`
    #[error("{address:?} is not an IPv6 address")]
    Ipv6 { address: String },
    /// `unix:`
    #[error("the path is missing")]
    NoPath,
    /// `localhost:1883/mqtt`, or spaces.
    #[error("{host:?} is not a host name or an IPv4 address")]
    Host { host: String },
}

/// What a listener may look like, for error messages.
pub(crate) const ALLOWED: &str = "HOST:PORT, tcp://, tls://, ws://, wss:// or quic://HOST:PORT, or unix:PATH, for example 127.0.0.1:1883, [::1]:1883 or localhost:0";

#[cfg(feature = "quic")]
const LATER: [&str; 0] = [];
#[cfg(not(feature = "quic"))]
const LATER: [&str; 1] = ["quic://"];

const UNIX: &str = "unix:";

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        if let Some(scheme) = LATER.into_iter().find(|scheme| starts_with_ignoring_case(text, scheme)) {
            return Err(ListenUrlError::NotAvailable { scheme });
        }
        if starts_with_ignoring_case(text, UNIX) {
            return file(&text[UNIX.len()..]);
        }
        let (scheme, address) = match text.split_once("://") {
            None => (Scheme::Tcp, text),
            Some((written, address)) => {
                let known =
                    Scheme::OF_PORTS.into_iter().find(|known| written.eq_ignore_ascii_case(known.name()));
                (known.ok_or_else(|| foreign_scheme(written))?, address)
            }
        };
        let (host, port) = address.rsplit_once(':').ok_or(ListenUrlError::NoPort)?;
        let host = host_of(host)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits => Ok(Self { scheme, target: Target::Port { host: host.to_owned(), port } }),
            _ => Err(ListenUrlError::Port { port: port.to_owned() }),
        }
    }
}

impl Scheme {
    #[cfg(feature = "quic")]
    const OF_PORTS: [Self; 5] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Quic];
    #[cfg(not(feature = "quic"))]
    const OF_PORTS: [Self; 4] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// As it is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
            Self::Quic => "quic",
        }
    }

    /// Is it encrypted?
    pub(crate) const fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Quic)
    }

    /// Does MQTT travel in frames?
    pub(crate) const fn has_frames(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The URL of a place at which this is spoken.
    pub(crate) fn at(self, place: &Place) -> String {
        match place {
            Place::Tcp(address) | Place::Carried(address) => format!("{}://{address}", self.name()),
            Place::Unix(socket) => format!("{UNIX}{}", socket.path.display()),
        }
    }
}

impl ListenUrl {
    /// What there is where nothing is configured.
    pub(crate) fn loopback() -> Self {
        Self { scheme: Scheme::Tcp, target: Target::Port { host: "localhost".to_owned(), port: 1883 } }
    }

    /// What is spoken there.
    pub(crate) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The file of a Unix socket.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::File(path) => Some(path),
            Target::Port { .. } => None,
        }
    }

    /// The addresses that the host stands for, each once.
    ///
    /// # Errors
    /// As the resolver of the system says.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let Target::Port { host, port } = &self.target else { return Ok(Vec::new()) };
        let mut addresses = Vec::new();
        for address in (host.as_str(), *port).to_socket_addrs()? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        Ok(addresses)
    }

    /// Is the host an address, not a name?
    pub(crate) fn names_an_address(&self) -> bool {
        match &self.target {
            Target::Port { host, .. } => host.parse::<IpAddr>().is_ok(),
            Target::File(_) => true,
        }
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        match &self.target {
            Target::File(path) => write!(out, "{UNIX}{}", path.display()),
            Target::Port { host, port } => match host.parse::<Ipv6Addr>() {
                Ok(address) => write!(out, "{scheme}://[{address}]:{port}"),
                Err(_) => write!(out, "{scheme}://{host}:{port}"),
            },
        }
    }
}

impl From<ListenUrl> for String {
    fn from(url: ListenUrl) -> Self {
        url.to_string()
    }
}

impl TryFrom<String> for ListenUrl {
    type Error = ListenUrlError;

    fn try_from(text: String) -> Result<Self, ListenUrlError> {
        text.parse()
    }
}

/// Can only processes of this machine reach the address?
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Has this machine the address's family at all? A machine without IPv6 still has `::1` in its hosts file.
pub(crate) fn is_available(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn file(path: &str) -> Result<ListenUrl, ListenUrlError> {
    // unix:///run/x is how URLs of files are written.
    let path = if path.starts_with("///") { &path[2..] } else { path };
    if path.is_empty() {
        return Err(ListenUrlError::NoPath);
    }
    Ok(ListenUrl { scheme: Scheme::Unix, target: Target::File(path.into()) })
}

fn foreign_scheme(scheme: &str) -> ListenUrlError {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "mqtt" | "mqtts" => ListenUrlError::ClientScheme { scheme },
        _ => ListenUrlError::UnknownScheme { scheme },
    }
}

fn host_of(text: &str) -> Result<&str, ListenUrlError> {
    if let Some(inner) = text.strip_prefix('[') {
        let ipv6 = || ListenUrlError::Ipv6 { address: text.to_owned() };
        let address = inner.strip_suffix(']').ok_or_else(ipv6)?;
        return address.parse::<Ipv6Addr>().map(|_| address).map_err(|_| ipv6());
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match text {
        "" => Err(ListenUrlError::NoHost),
        _ if text.contains(':') => Err(ListenUrlError::NoBrackets),
        _ if text.bytes().all(is_name) => Ok(text),
        _ => Err(ListenUrlError::Host { host: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ListenUrlError> {
        text.parse::<ListenUrl>().map(|url| url.to_string())
    }

    #[test]
    fn a_listener_is_a_host_and_a_port_or_a_file() {
        for (text, canonical) in [
            ("127.0.0.1:1883", "tcp://127.0.0.1:1883"),
            ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"),
            ("TCP://localhost:1883", "tcp://localhost:1883"),
            ("[::1]:1883", "tcp://[::1]:1883"),
            ("tcp://[0:0:0:0:0:0:0:1]:65535", "tcp://[::1]:65535"),
            ("gate-way_1.example.org:1883", "tcp://gate-way_1.example.org:1883"),
            ("unix:/run/dunlin.sock", "unix:/run/dunlin.sock"),
            ("TLS://localhost:8883", "tls://localhost:8883"),
            ("wss://[::1]:8884", "wss://[::1]:8884"),
            ("unix:///run/dunlin.sock", "unix:/run/dunlin.sock"),
            ("UNIX:here", "unix:here"),
        ] {
            assert_eq!(parse(text), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_listener_is_refused_with_the_reason() {
        let owned = str::to_owned;
        for (text, error) in [
            ("", ListenUrlError::NoPort),
            ("localhost", ListenUrlError::NoPort),
            (":1883", ListenUrlError::NoHost),
            ("localhost:", ListenUrlError::Port { port: owned("") }),
            ("localhost:65536", ListenUrlError::Port { port: owned("65536") }),
            ("localhost:+1", ListenUrlError::Port { port: owned("+1") }),
            ("localhost:1883/mqtt", ListenUrlError::Port { port: owned("1883/mqtt") }),
            ("::1:1883", ListenUrlError::NoBrackets),
            ("unix:", ListenUrlError::NoPath),
            ("[::g]:1883", ListenUrlError::Ipv6 { address: owned("[::g]") }),
            ("[::1:1883", ListenUrlError::Ipv6 { address: owned("[::1") }),
            ("a b:1883", ListenUrlError::Host { host: owned("a b") }),
            ("mqtt://localhost:1883", ListenUrlError::ClientScheme { scheme: owned("mqtt") }),
            ("http://localhost:80", ListenUrlError::UnknownScheme { scheme: owned("http") }),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "quic"))]
    fn transports_that_were_left_out_are_named() {
        for scheme in LATER {
            let error = parse(&format!("{scheme}127.0.0.1:8883")).unwrap_err();
            assert_eq!(error, ListenUrlError::NotAvailable { scheme });
            assert_eq!(error.to_string(), format!("{scheme} is not in this build"));
        }
        assert_eq!(parse("QUIC://h:1"), Err(ListenUrlError::NotAvailable { scheme: "quic://" }));
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(address.parse().unwrap()), "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            assert!(!is_loopback(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_resolves_to_itself_and_an_address_of_nobody_is_not_available() {
        let url: ListenUrl = "[::1]:7".parse().unwrap();
        assert!(url.names_an_address());
        assert_eq!(url.resolve().unwrap(), ["[::1]:7".parse().unwrap()]);
        assert!(is_available("127.0.0.1:7".parse().unwrap()));
        assert!(!is_available("192.0.2.1:7".parse().unwrap()));
    }
}
