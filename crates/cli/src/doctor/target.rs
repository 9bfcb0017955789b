//! `--connect`: a broker to look at.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// For a connection, and for each answer on it.
const PATIENCE: Duration = Duration::from_secs(5);

/// HOST:PORT
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name, or an address without brackets.
    pub(super) host: String,
    port: u16,
}

impl Target {
    /// Connects, with a bound for everything that is then read or written.
    pub(super) fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Is it this machine, seen from within?
    pub(super) fn is_loopback(&self) -> bool {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        addresses
            .is_ok_and(|mut all| all.all(|address: SocketAddr| address.ip().to_canonical().is_loopback()))
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not HOST:PORT, as localhost:8883 or [::1]:8883");
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = bare.rsplit_once(':').ok_or_else(expected)?;
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = inner.is_some() || !host.is_empty() && !host.contains([':', '/', '@']);
        match port.parse() {
            Ok(port) if is_host => Ok(Self { host: inner.unwrap_or(host).to_owned(), port }),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for (text, shown) in
            [("localhost:8883", "localhost:8883"), ("[::1]:1", "[::1]:1"), ("mqtts://a.b:2", "a.b:2")]
        {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        for text in ["", "localhost", ":1", "a:b", "::1:1", "a/b:1", "a:65536"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
