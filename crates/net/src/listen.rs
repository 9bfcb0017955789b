//! Listening sockets: one for each shard on the same address, between which the kernel spreads the newcomers.
//!
//! In:    places.
//! Out:   sockets that listen, the newcomers that they accept.
//! Never: two processes on one place.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::stream::Stream;
use crate::unix::{self, SocketFile, UnixSocket};

/// Connections that wait to be accepted, per socket. The kernel cuts it to `net.core.somaxconn`, which is 4096 on current
/// machines; a thousand devices that return together after an outage are within it.
pub(crate) const BACKLOG: i32 = 4096;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP port; 0 takes any free one.
    Tcp(SocketAddr),
    /// A file.
    Unix(UnixSocket),
    /// A port that somebody else has bound, who brings the connections: QUIC.
    Carried(SocketAddr),
}

/// A socket that listens.
#[derive(Debug)]
pub enum ListenSocket {
    /// On a TCP port, which it may share with those of other shards.
    Tcp(TcpListener),
    /// On a file.
    Unix(UnixListener),
}

/// The sockets that listen on one place.
#[derive(Debug)]
pub struct Listeners {
    /// As bound: port 0 is resolved.
    pub place: Place,
    /// For TCP one for each shard; none where somebody else has bound it; only one for Unix, where the kernel spreads nothing.
    pub sockets: Vec<ListenSocket>,
    /// To be kept as long as the sockets are.
    pub file: Option<SocketFile>,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Carried(address) => address.fmt(out),
            Self::Unix(socket) => write!(out, "{}", socket.path.display()),
        }
    }
}

impl ListenSocket {
    /// The next newcomer, and its address where it has one.
    ///
    /// # Errors
    /// `WouldBlock` where nobody waits; as the kernel says.
    pub fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| (stream.into(), Some(peer))),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| (stream.into(), None)),
        }
    }

    /// Reports under `token` each time that newcomers begin to wait.
    ///
    /// # Errors
    /// Where the kernel has no memory for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Self::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }
}

/// Binds sockets to a place: `count` to the same port, or one to a file.
///
/// # Errors
/// Where the place cannot be bound; also where another process listens there already, which `SO_REUSEPORT` alone
/// would let pass in silence.
pub fn bind(place: &Place, count: usize) -> io::Result<Listeners> {
    match place {
        Place::Carried(_) => Ok(Listeners { place: place.clone(), sockets: Vec::new(), file: None }),
        Place::Tcp(address) => {
            let (address, sockets) = bind_tcp(*address, count)?;
            let sockets = sockets.into_iter().map(ListenSocket::Tcp).collect();
            Ok(Listeners { place: Place::Tcp(address), sockets, file: None })
        }
        Place::Unix(socket) => {
            let (listener, file) = unix::bind(socket)?;
            let sockets = vec![ListenSocket::Unix(listener)];
            Ok(Listeners { place: place.clone(), sockets, file: Some(file) })
        }
    }
}

fn bind_tcp(mut address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        probe(address)?;
    }
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        // Connections inherit the options of the socket that accepted them, which saves two calls for each.
        socket.set_tcp_nodelay(true)?;
        // A Client with Keep Alive 0 whose machine vanished would else hold its place for ever.
        socket.set_keepalive(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into());
        address = listener.local_addr()?;
        sockets.push(listener);
    }
    Ok((address, sockets))
}

/// Fails where somebody listens on the address.
fn probe(address: SocketAddr) -> io::Result<()> {
    socket(address)?.bind(&address.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Else [::] takes the IPv4 port too and 0.0.0.0 cannot be configured beside it.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn all_sockets_share_the_port_that_the_first_got() {
        let (address, sockets) = bind_tcp(ANY_PORT, 3).unwrap();
        assert_ne!(address.port(), 0);
        for socket in &sockets {
            assert_eq!(socket.local_addr().unwrap(), address);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_though_its_user_shares_it() {
        let (address, _sockets) = bind_tcp(ANY_PORT, 2).unwrap();
        let error = bind_tcp(address, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_is_free_again_after_a_connection_was_closed_by_the_server() {
        let (address, sockets) = bind_tcp(ANY_PORT, 1).unwrap();
        let client = TcpStream::connect(address).unwrap();
        let accepted = loop {
            match sockets[0].accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        drop(accepted); // Closed first by the server: its end stays in TIME_WAIT.
        drop(client);
        drop(sockets);
        bind_tcp(address, 2).unwrap();
    }

    #[test]
    fn both_families_listen_on_one_port() {
        let Ok((six, _sockets)) = bind_tcp((Ipv6Addr::UNSPECIFIED, 0).into(), 2) else { return };
        bind_tcp((Ipv4Addr::UNSPECIFIED, six.port()).into(), 2).unwrap();
    }

    #[test]
    fn accepted_connections_send_small_packets_at_once() {
        let (address, sockets) = bind_tcp(ANY_PORT, 1).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let (stream, _) = loop {
            match sockets[0].accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
    }
}
