//! MQTT over QUIC: one connection, one bidirectional stream, opened by the client.
//!
//! In:    UDP sockets, the certificates of listeners.
//! Out:   connections for the shards, each behind one end of a socket pair.
//! Never: a packet of MQTT; a shard that waits for UDP: all of this is on a thread of its own.
//! Spec:  RFC 9000; there is no standard for MQTT over it, and this is what clients do: ALPN `mqtt`, one stream.

mod carry;
mod endpoint;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use dunlin_net::TlsListener;
use dunlin_runtime::Doorway;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

/// Room for packets that wait, which are those of all connections. The kernel cuts it to `net.core.rmem_max`.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// A UDP port, and what is shown of the server there.
#[derive(Debug)]
pub struct QuicListener {
    /// From [`bind`].
    pub socket: UdpSocket,
    /// Among the listeners of the server.
    pub number: u16,
    /// The certificates, of TLS 1.3.
    pub tls: Arc<TlsListener>,
}

/// Running endpoints. Dropping it ends them, and every connection that is left with a word.
#[derive(Debug)]
pub struct Quic {
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Takes a port; 0 takes any free one.
///
/// # Errors
/// Where the port is in use, not of this machine, or not allowed.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // Else [::] takes the IPv4 port too and 0.0.0.0 cannot be configured beside it.
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Quic {
    /// Serves the listeners on a thread of their own.
    ///
    /// # Errors
    /// Where there is no thread, or a socket is none of UDP.
    pub fn start(listeners: Vec<QuicListener>, doorway: &Doorway) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (end, ended) = watch::channel(false);
        let mut endpoints = Vec::new();
        {
            let _inside = runtime.enter();
            for listener in listeners {
                endpoints.push(endpoint::Endpoint::new(listener, doorway.clone())?);
            }
        }
        let serve = move || runtime.block_on(endpoint::serve(endpoints, ended));
        let thread = std::thread::Builder::new().name("dunlin-quic".to_owned()).spawn(serve)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        let _ = self.end.send(true);
        if let Some(thread) = self.thread.take() {
            // What it panicked with was said by its hook.
            let _ = thread.join();
        }
    }
}
