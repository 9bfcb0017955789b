//! One connection to a peer, as bytes.
//!
//! In:    bytes to write, in slices.
//! Out:   bytes that were read.
//! Never: blocks. Where there is nothing to read, or no room to write, the readiness of the connection will be reported
//!        again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Registry, Token};
use rustls::pki_types::CertificateDer;

use crate::fault::Fault;
use crate::networks::Network;
use crate::proxied::Proxied;
use crate::stream::Stream;
use crate::tls::{Tls, TlsListener};
use crate::websocket::{Link, WebSocket, WebSocketRules};
use crate::workspace::Workspace;

/// A non-blocking connection. Dropping it closes it.
#[derive(Debug)]
pub struct Transport(Kind);

/// What lies over a socket is boxed: a plain connection is to stay small.
#[derive(Debug)]
enum Kind {
    Plain(Stream),
    Tls(Box<Tls>),
    WebSocket(Box<WebSocket>),
    /// The header has not come.
    Proxied(Box<Proxied>),
    /// What somebody else has opened and brings here: QUIC.
    Carried(Box<Carried>),
}

#[derive(Debug)]
struct Carried {
    stream: Stream,
    certificates: Vec<CertificateDer<'static>>,
}

/// What connections of a listener are wrapped in.
#[derive(Clone, Debug, Default)]
pub struct Wrapping {
    /// TLS, with these certificates.
    pub tls: Option<Arc<TlsListener>>,
    /// WebSocket, over TLS where there is both.
    pub websocket: Option<Arc<WebSocketRules>>,
    /// Under all of it the header of a proxy, and who may send one; nobody else may connect.
    pub proxies: Option<Arc<[Network]>>,
}

impl Wrapping {
    /// May somebody with that address connect?
    #[must_use]
    pub fn admits(&self, address: Option<SocketAddr>) -> bool {
        let Some(proxies) = &self.proxies else { return true };
        address.is_some_and(|address| proxies.iter().any(|network| network.contains(address.ip())))
    }
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// So many bytes. They may be none, where the peer sent what is no payload.
    Bytes {
        /// How many.
        count: usize,
        /// More may be there. Where not, the readiness of the connection is reported when more comes.
        more: bool,
    },
    /// The header of a proxy was taken: whom the proxy speaks for, unless for itself. More may be there.
    Proxied(Option<SocketAddr>),
    /// Nothing is there.
    Nothing,
    /// The peer closed its end.
    End,
    /// The connection has failed.
    Failed,
}

impl Incoming {
    /// Of a read from a socket; less than full means that nothing more is there.
    #[inline]
    pub(crate) fn of(result: io::Result<usize>, asked: usize) -> Self {
        match result {
            Ok(0) => Self::End,
            Ok(count) => Self::Bytes { count, more: count == asked },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Nothing,
            Err(_) => Self::Failed,
        }
    }
}

impl Transport {
    /// A connection over a socket: plain [MQTT-4.2.0-1] [MQTT311-7.1.1-1], or wrapped.
    ///
    /// # Errors
    /// Where TLS cannot begin, which depends on its configuration only.
    pub fn new(stream: Stream, wrapping: &Wrapping) -> Result<Self, Fault> {
        if wrapping.proxies.is_some() {
            let wrapping = Wrapping { proxies: None, ..wrapping.clone() };
            return Ok(Self(Kind::Proxied(Box::new(Proxied {
                stream: Some(stream),
                wrapping,
                fault: None,
            }))));
        }
        wrap(stream, wrapping).map(Self)
    }

    /// A connection whose bytes somebody else brings through a socket, with the certificates that the peer showed there.
    #[must_use]
    pub fn carried(stream: Stream, certificates: Vec<CertificateDer<'static>>) -> Self {
        if certificates.is_empty() {
            return Self(Kind::Plain(stream));
        }
        Self(Kind::Carried(Box::new(Carried { stream, certificates })))
    }

    /// A peer that is played.
    #[cfg(feature = "simulated")]
    #[must_use]
    pub const fn simulated(number: u32) -> Self {
        Self(Kind::Plain(Stream::Simulated { number, turn: 0 }))
    }

    /// Is it one that is played?
    #[cfg(feature = "simulated")]
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        matches!(self.0, Kind::Plain(Stream::Simulated { .. }))
    }

    /// Is everything agreed on that comes before the first byte of MQTT?
    #[must_use]
    pub fn is_established(&self) -> bool {
        match &self.0 {
            Kind::Plain(_) | Kind::Carried(_) => true,
            Kind::Tls(tls) => tls.is_established(),
            Kind::WebSocket(socket) => socket.is_established(),
            Kind::Proxied(_) => false,
        }
    }

    /// The certificate that the peer showed, then those that lead to its authority, in DER; verified where the connection
    /// is established.
    #[must_use]
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.0 {
            Kind::Plain(_) | Kind::Proxied(_) => None,
            Kind::Carried(carried) => Some(&carried.certificates),
            Kind::Tls(tls) => tls.peer_certificates(),
            Kind::WebSocket(socket) => socket.peer_certificates(),
        }
    }

    fn stream(&mut self) -> io::Result<&mut Stream> {
        match &mut self.0 {
            Kind::Plain(stream) => Ok(stream),
            Kind::Tls(tls) => Ok(tls.stream()),
            Kind::WebSocket(socket) => Ok(socket.stream()),
            Kind::Proxied(proxied) => {
                proxied.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
            }
            Kind::Carried(carried) => Ok(&mut carried.stream),
        }
    }

    /// Why it failed, where the peer did something that its transport does not allow; once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Carried(_) => None,
            Kind::Proxied(proxied) => proxied.fault.take(),
            Kind::Tls(tls) => tls.take_fault(),
            Kind::WebSocket(socket) => socket.take_fault(),
        }
    }

    /// Does something wait to be written that nobody gave it, as the answer to a handshake?
    #[must_use]
    #[inline]
    pub const fn owes(&self) -> bool {
        match &self.0 {
            Kind::Plain(_) | Kind::Proxied(_) | Kind::Carried(_) => false,
            Kind::Tls(tls) => tls.owes(),
            Kind::WebSocket(socket) => socket.owes(),
        }
    }

    /// Writes that; false where there is no room for all of it.
    ///
    /// # Errors
    /// Where the connection has failed.
    pub fn flush(&mut self, work: &mut Workspace) -> io::Result<bool> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Proxied(_) | Kind::Carried(_) => Ok(true),
            Kind::Tls(tls) => tls.flush(),
            Kind::WebSocket(socket) => socket.flush(work),
        }
    }

    /// Says to the peer what its transport wants to be said at the end, as far as there is room to; nothing can be written
    /// afterwards.
    pub fn close(&mut self, work: &mut Workspace) {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Proxied(_) | Kind::Carried(_) => {}
            Kind::Tls(tls) => tls.close(),
            Kind::WebSocket(socket) => socket.close(work),
        }
    }

    /// Reports under `token` from now on each time that there begins to be something to read; also what is there already.
    ///
    /// # Errors
    /// Where the kernel has no memory for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream()?.register(registry, token)
    }

    /// Reports also each time that there begins to be room to write; also where there is already. For connections that had
    /// none: every other would be reported as writable at once, for nothing.
    ///
    /// # Errors
    /// Where it is not watched.
    pub fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream()?.register_for_room(registry, token)
    }

    /// Reports nothing any more, so that another thread can watch the connection.
    ///
    /// # Errors
    /// Where it is not watched there.
    pub fn unwatch(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream()?.deregister(registry)
    }

    /// Reads what is there, as far as `into` takes it, which is at least 16 KiB.
    #[inline]
    pub fn read(&mut self, into: &mut [u8], work: &mut Workspace) -> Incoming {
        match &mut self.0 {
            Kind::Plain(stream) => Incoming::of(stream.read(into), into.len()),
            Kind::Tls(tls) => tls.read(into, work),
            Kind::WebSocket(socket) => socket.read(into, work),
            Kind::Carried(carried) => Incoming::of(carried.stream.read(into), into.len()),
            Kind::Proxied(_) => self.read_header(into),
        }
    }

    /// Writes the slices one after another, as far as there is room; less than all means that no room is left.
    ///
    /// What it took less is to be given again, as it was, with what follows it.
    ///
    /// # Errors
    /// `WouldBlock` where there is no room; else the connection has failed.
    #[inline]
    pub fn write(&mut self, slices: &[&[u8]], work: &mut Workspace) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(stream) => stream.write(slices),
            Kind::Tls(tls) => tls.write(slices, work),
            Kind::WebSocket(socket) => socket.write(slices, work),
            Kind::Carried(carried) => carried.stream.write(slices),
            Kind::Proxied(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes the header, and goes on as what follows it.
    fn read_header(&mut self, scratch: &mut [u8]) -> Incoming {
        let Kind::Proxied(proxied) = &mut self.0 else { return Incoming::Failed };
        let got = proxied.read(scratch);
        if !matches!(got, Incoming::Proxied(_)) {
            return got;
        }
        let Some(stream) = proxied.stream.take() else { return Incoming::Failed };
        match wrap(stream, &proxied.wrapping) {
            Ok(kind) => {
                self.0 = kind;
                got
            }
            Err(fault) => {
                proxied.fault = Some(fault);
                Incoming::Failed
            }
        }
    }

    /// Tells the peer that nothing more will come. It may still send.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn shut_down_write(&mut self, work: &mut Workspace) -> io::Result<()> {
        self.close(work);
        self.stream()?.shut_down_write()
    }
}

/// What lies over a socket, the header of a proxy aside.
fn wrap(stream: Stream, wrapping: &Wrapping) -> Result<Kind, Fault> {
    let link = match &wrapping.tls {
        None => Link::Plain(stream),
        Some(listener) => Link::Tls(Box::new(Tls::new(stream, listener.config())?)),
    };
    Ok(match (link, &wrapping.websocket) {
        (link, Some(rules)) => Kind::WebSocket(Box::new(WebSocket::new(link, Arc::clone(rules)))),
        (Link::Plain(stream), None) => Kind::Plain(stream),
        (Link::Tls(tls), None) => Kind::Tls(tls),
    })
}
