//! Newcomers: from the listening sockets of a shard to its engine.
//!
//! In:    readiness of listeners.
//! Out:   open connections; at the bounds, newcomers that are closed at once and counted.
//! Never: more than a batch a tick and listener; a spin where the process may open no more files.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_engine::{Event, Peer, Pledge, Time};
use dunlin_net::{ListenSocket, Stream, Transport, Wrapping};
use mio::{Registry, Token};
use rustix::io::Errno;

use crate::admissions::Refusal;
use crate::connections::{Connection, slot};
use crate::shard::Shard;

/// Newcomers of one listener in one tick, so that a storm of them does not hold up those who are connected.
const BATCH: usize = 64;
/// After a failure that will not pass at once, as when the kernel is out of memory.
const REST: Duration = Duration::from_millis(100);

/// A listening socket that a shard will accept from.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(crate) socket: ListenSocket,
    /// Of the listener, in the order of the options.
    pub(crate) number: u16,
    /// What its connections are wrapped in.
    pub(crate) wrapping: Wrapping,
    /// Nobody is let in unasked.
    pub(crate) authenticate: bool,
}

/// A listening socket of a shard.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: ListenSocket,
    number: u16,
    wrapping: Wrapping,
    authenticate: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waits.
    Idle,
    /// Somebody may wait.
    Ready,
    /// Somebody waits who cannot be accepted now.
    Resting { until: Time },
}

/// A descriptor kept free for the moment when there are no others: it lets a newcomer in, to be closed.
#[derive(Debug)]
pub(crate) struct Spare(Option<File>);

impl Spare {
    pub(crate) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    fn turn_away(&mut self, listener: &ListenSocket) -> io::Result<()> {
        self.0 = None;
        let result = listener.accept().map(drop);
        *self = Self::new();
        result
    }
}

/// What came of one attempt.
enum Outcome {
    Newcomer(Stream, Option<SocketAddr>),
    TurnedAway,
    Nobody,
}

impl Acceptor {
    pub(crate) fn new(bound: BoundSocket, registry: &Registry, token: Token) -> io::Result<Self> {
        let BoundSocket { mut socket, number, wrapping, authenticate } = bound;
        socket.watch(registry, token)?;
        Ok(Self { listener: socket, number, wrapping, authenticate, state: State::Idle })
    }

    pub(crate) const fn set_ready(&mut self) {
        self.state = State::Ready;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// When it tries again.
    pub(crate) const fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Idle | State::Ready => None,
        }
    }

    fn accept(&mut self, now: Time, spare: &mut Spare) -> Outcome {
        let error = match self.listener.accept() {
            Ok((stream, address)) => return Outcome::Newcomer(stream, address),
            Err(error) => error,
        };
        let error = match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE) => match spare.turn_away(&self.listener) {
                Ok(()) => return Outcome::TurnedAway,
                Err(error) => error,
            },
            _ => error,
        };
        match Errno::from_io_error(&error) {
            Some(Errno::AGAIN) => self.state = State::Idle,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) | None => {
                self.state = State::Resting { until: now.after(REST) };
            }
            // The newcomer failed before it was accepted; the next may be well.
            Some(_) => {}
        }
        Outcome::Nobody
    }
}

impl Shard {
    /// Takes a batch of those who wait at each listener.
    pub(crate) fn accept_ready(&mut self) {
        for index in 0..self.acceptors.len() {
            let acceptor = &mut self.acceptors[index];
            if acceptor.deadline().is_some_and(|until| until <= self.now) {
                acceptor.state = State::Ready;
            }
            for _ in 0..BATCH {
                let acceptor = &mut self.acceptors[index];
                if !acceptor.is_ready() {
                    break;
                }
                match acceptor.accept(self.now, &mut self.spare) {
                    Outcome::Newcomer(stream, address) => self.admit(stream, address, index),
                    Outcome::TurnedAway => {
                        self.shared.admissions.count(Refusal::Resources);
                        self.notices.out_of_descriptors(self.now);
                    }
                    Outcome::Nobody => {}
                }
            }
        }
    }

    fn admit(&mut self, stream: Stream, address: Option<SocketAddr>, acceptor: usize) {
        let Acceptor { number, wrapping, authenticate, .. } = &self.acceptors[acceptor];
        let (listener, authenticate) = (*number, *authenticate);
        if !wrapping.admits(address) {
            return self.turn_away(address, Refusal::NoProxy);
        }
        // Of a proxy's connections, whose they are is known later.
        let known = address.filter(|_| wrapping.proxies.is_none());
        let counted = match self.shared.admissions.admit(self.now, listener, known) {
            Ok(counted) => counted,
            Err(refusal) => return self.turn_away(address, refusal),
        };
        match Transport::new(stream, wrapping) {
            Ok(transport) => {
                let peer = Peer { listener, address, authenticate };
                let _ = self.open(Connection::new(transport, peer, counted), None);
            }
            Err(fault) => {
                self.shared.admissions.release(listener, address, counted);
                self.notices.transport_failed(self.now, address, &fault);
            }
        }
    }

    /// Counts a newcomer that was closed, and says so.
    pub(crate) fn turn_away(&mut self, address: Option<SocketAddr>, refusal: Refusal) {
        self.shared.admissions.count(refusal);
        self.notices.turned_away(self.now, address, refusal);
    }

    /// Takes in a connection that has its place already. Its slot, or `None` where the kernel has no memory to watch it.
    pub(crate) fn open(&mut self, connection: Connection, pledge: Option<Box<Pledge>>) -> Option<u32> {
        let (peer, is_open) = (connection.peer.whole(), connection.is_open());
        let id = self.connections.insert(connection);
        let index = slot(id);
        let (_, connection) = self.connections.get(index)?;
        if connection.transport.watch(self.poll.registry(), Token(id.index())).is_err() {
            self.shared.admissions.count(Refusal::Resources);
            self.drop_connection(index);
            return None;
        }
        if is_open {
            self.handle(Event::Opened { connection: id, peer, pledge });
        } else {
            self.arrivals.expect(id, self.now.after(self.shared.admissions.handshake_timeout()));
        }
        Some(index)
    }
}
