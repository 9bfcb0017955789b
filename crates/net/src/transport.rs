//! One connection to a peer, as bytes.
//!
//! In:    bytes to write, in slices.
//! Out:   bytes that were read.
//! Never: blocks. Where there is nothing to read, or no room to write, the readiness of the connection will be reported
//!        again.

use std::io;
use std::sync::Arc;

use mio::{Registry, Token};

use crate::fault::Fault;
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
}

/// What connections of a listener are wrapped in.
#[derive(Clone, Debug, Default)]
pub struct Wrapping {
    /// TLS, with these certificates.
    pub tls: Option<Arc<TlsListener>>,
    /// WebSocket, over TLS where there is both.
    pub websocket: Option<Arc<WebSocketRules>>,
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
        let link = match &wrapping.tls {
            None => Link::Plain(stream),
            Some(listener) => Link::Tls(Box::new(Tls::new(stream, listener.config())?)),
        };
        Ok(Self(match (link, &wrapping.websocket) {
            (link, Some(rules)) => Kind::WebSocket(Box::new(WebSocket::new(link, Arc::clone(rules)))),
            (Link::Plain(stream), None) => Kind::Plain(stream),
            (Link::Tls(tls), None) => Kind::Tls(tls),
        }))
    }

    const fn stream(&mut self) -> &mut Stream {
        match &mut self.0 {
            Kind::Plain(stream) => stream,
            Kind::Tls(tls) => tls.stream(),
            Kind::WebSocket(socket) => socket.stream(),
        }
    }

    /// The certificates that the peer showed and that were verified, in DER, its own first; none before the handshake.
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        match &self.0 {
            Kind::Plain(_) => Vec::new(),
            Kind::Tls(tls) => tls.peer_certificates(),
            Kind::WebSocket(socket) => socket.peer_certificates(),
        }
    }

    /// Why it failed, where the peer did something that its transport does not allow; once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        match &mut self.0 {
            Kind::Plain(_) => None,
            Kind::Tls(tls) => tls.take_fault(),
            Kind::WebSocket(socket) => socket.take_fault(),
        }
    }

    /// Does something wait to be written that nobody gave it, as the answer to a handshake?
    #[must_use]
    #[inline]
    pub const fn owes(&self) -> bool {
        match &self.0 {
            Kind::Plain(_) => false,
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
            Kind::Plain(_) => Ok(true),
            Kind::Tls(tls) => tls.flush(),
            Kind::WebSocket(socket) => socket.flush(work),
        }
    }

    /// Says to the peer what its transport wants to be said at the end, as far as there is room to; nothing can be written
    /// afterwards.
    pub fn close(&mut self, work: &mut Workspace) {
        match &mut self.0 {
            Kind::Plain(_) => {}
            Kind::Tls(tls) => tls.close(),
            Kind::WebSocket(socket) => socket.close(work),
        }
    }

    /// Reports under `token` from now on each time that there begins to be something to read; also what is there already.
    ///
    /// # Errors
    /// Where the kernel has no memory for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream().register(registry, token)
    }

    /// Reports also each time that there begins to be room to write; also where there is already. For connections that had
    /// none: every other would be reported as writable at once, for nothing.
    ///
    /// # Errors
    /// Where it is not watched.
    pub fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream().register_for_room(registry, token)
    }

    /// Reports nothing any more, so that another thread can watch the connection.
    ///
    /// # Errors
    /// Where it is not watched there.
    pub fn unwatch(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream().deregister(registry)
    }

    /// Reads what is there, as far as `into` takes it, which is at least 16 KiB.
    #[inline]
    pub fn read(&mut self, into: &mut [u8], work: &mut Workspace) -> Incoming {
        match &mut self.0 {
            Kind::Plain(stream) => Incoming::of(stream.read(into), into.len()),
            Kind::Tls(tls) => tls.read(into, work),
            Kind::WebSocket(socket) => socket.read(into, work),
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
        }
    }

    /// Tells the peer that nothing more will come. It may still send.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn shut_down_write(&mut self, work: &mut Workspace) -> io::Result<()> {
        self.close(work);
        self.stream().shut_down_write()
    }
}
