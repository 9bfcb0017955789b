//! Where connections come in that somebody else has accepted, as those of QUIC.
//!
//! In:    sockets whose other end brings the bytes of a peer.
//! Out:   connections of the shards, in turn; they move to where their Sessions are at home.
//! Never: a connection that holds no place, or a place that no connection holds.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_engine::Peer;
use dunlin_net::{CertificateDer, Stream, Transport};

use crate::admissions::Refusal;
use crate::clock;
use crate::input::Input;
use crate::notices::Notices;
use crate::post::Arrival;
use crate::shard::Shared;

/// The way into the shards of a Server.
#[derive(Clone, Debug)]
pub struct Doorway {
    shared: Arc<Shared>,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
    notices: Arc<Mutex<Notices>>,
}

/// Somebody who has a place, and is not in yet. Dropping it frees the place.
#[derive(Debug)]
pub struct Visitor {
    doorway: Doorway,
    peer: Peer,
    counted: bool,
    entered: bool,
}

impl Doorway {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, turn: Arc::default(), notices: Arc::default() }
    }

    /// How long a handshake may take.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        self.shared.admissions.handshake_timeout()
    }

    /// Takes a place for somebody at a listener.
    ///
    /// # Errors
    /// The bound that leaves none; not counted yet: see [`Self::turned_away`].
    pub fn admit(&self, listener: u16, address: SocketAddr) -> Result<Visitor, Refusal> {
        let counted = self.shared.admissions.admit(clock::now(), listener, Some(address))?;
        // One that is not known lets nobody in unasked.
        let authenticate = self.shared.asking.get(usize::from(listener)).copied().unwrap_or(true);
        let peer = Peer { listener, address: Some(address), authenticate };
        Ok(Visitor { doorway: self.clone(), peer, counted, entered: false })
    }

    /// Counts a newcomer that was turned away, and says so.
    pub fn turned_away(&self, address: SocketAddr, refusal: Refusal) {
        self.shared.admissions.count(refusal);
        self.notices().turned_away(clock::now(), Some(address), refusal);
    }

    /// Counts a handshake that failed, and says why.
    pub fn failed(&self, address: SocketAddr, reason: &dyn fmt::Display) {
        self.shared.admissions.count(Refusal::Handshake);
        self.notices().transport_failed(clock::now(), Some(address), reason);
    }

    fn notices(&self) -> std::sync::MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    /// Goes in: the peer's bytes come through the socket, and it has shown these certificates, which were verified.
    ///
    /// # Errors
    /// Where the socket cannot be made non-blocking.
    pub fn enter(mut self, socket: UnixStream, certificates: Vec<CertificateDer<'static>>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let stream = Stream::from(mio::net::UnixStream::from_std(socket));
        let transport = Transport::carried(stream, certificates);
        let post = &self.doorway.shared.post;
        let turn = self.doorway.turn.fetch_add(1, Ordering::Relaxed) % post.map().count();
        let arrival = Arrival {
            transport,
            peer: self.peer,
            counted: self.counted,
            input: Input::default(),
            pledge: None,
        };
        if let Some(shard) = post.map().iter().nth(turn) {
            self.entered = true;
            post.send_connection(shard, Box::new(arrival));
        }
        Ok(())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if !self.entered {
            self.doorway.shared.admissions.release(self.peer.listener, self.peer.address, self.counted);
        }
    }
}
