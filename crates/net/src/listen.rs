//! Listening sockets: one for each shard on the same address, between which the kernel spreads the newcomers.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, per socket. The kernel cuts it to `net.core.somaxconn`, which is 4096 on current
/// machines; a thousand devices that return together after an outage are within it.
const BACKLOG: i32 = 4096;

/// The sockets that listen on one address.
#[derive(Debug)]
pub struct Listeners {
    /// As bound: port 0 is resolved.
    pub address: SocketAddr,
    /// One for each shard.
    pub sockets: Vec<TcpListener>,
}

/// Binds `count` sockets to `address`, all to the same port.
///
/// # Errors
/// Where the address cannot be bound; also where another process listens there already, which `SO_REUSEPORT` alone
/// would let pass in silence.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Listeners> {
    if address.port() != 0 {
        probe(address)?;
    }
    let mut bound = Listeners { address, sockets: Vec::with_capacity(count) };
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        // Connections inherit the options of the socket that accepted them, which saves two calls for each.
        socket.set_tcp_nodelay(true)?;
        // A Client with Keep Alive 0 whose machine vanished would else hold its place for ever.
        socket.set_keepalive(true)?;
        socket.bind(&bound.address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into());
        bound.address = listener.local_addr()?;
        bound.sockets.push(listener);
    }
    Ok(bound)
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
        let bound = bind(ANY_PORT, 3).unwrap();
        assert_ne!(bound.address.port(), 0);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap(), bound.address);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_though_its_user_shares_it() {
        let bound = bind(ANY_PORT, 2).unwrap();
        let error = bind(bound.address, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_is_free_again_after_a_connection_was_closed_by_the_server() {
        let bound = bind(ANY_PORT, 1).unwrap();
        let client = TcpStream::connect(bound.address).unwrap();
        let accepted = loop {
            match bound.sockets[0].accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        drop(accepted); // Closed first by the server: its end stays in TIME_WAIT.
        drop(client);
        let address = bound.address;
        drop(bound);
        bind(address, 2).unwrap();
    }

    #[test]
    fn both_families_listen_on_one_port() {
        let Ok(six) = bind((Ipv6Addr::UNSPECIFIED, 0).into(), 2) else { return };
        bind((Ipv4Addr::UNSPECIFIED, six.address.port()).into(), 2).unwrap();
    }

    #[test]
    fn accepted_connections_send_small_packets_at_once() {
        let bound = bind(ANY_PORT, 1).unwrap();
        let _client = TcpStream::connect(bound.address).unwrap();
        let (stream, _) = loop {
            match bound.sockets[0].accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
    }
}
