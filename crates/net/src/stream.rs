//! A connected socket of the operating system: TCP or Unix.
//!
//! In:    bytes to write, in slices.
//! Out:   bytes that were read.
//! Never: blocks; interprets a byte.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::RecvFlags;

/// Slices that one write takes at most; those beyond wait for the next.
pub(crate) const SLICES_MAX: usize = 10;

/// A non-blocking stream socket. Dropping it closes it.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket: a peer on the same machine.
    Unix(UnixStream),
    /// A peer that is played.
    #[cfg(feature = "simulated")]
    Simulated {
        /// Tells it from others.
        number: u32,
        /// What it says next.
        turn: u8,
    },
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl Stream {
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => uninterrupted(|| tcp.read(into)),
            Self::Unix(unix) => uninterrupted(|| unix.read(into)),
            #[cfg(feature = "simulated")]
            Self::Simulated { number, turn } => crate::simulated::read(*number, turn, into),
        }
    }

    /// What is there to be read, which stays there.
    pub(crate) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut peek = |socket: BorrowedFd<'_>| {
            let (count, _) = rustix::net::recv(socket, &mut *into, RecvFlags::PEEK)?;
            Ok(count)
        };
        match self {
            Self::Tcp(tcp) => uninterrupted(|| peek(tcp.as_fd())),
            Self::Unix(unix) => uninterrupted(|| peek(unix.as_fd())),
            #[cfg(feature = "simulated")]
            Self::Simulated { .. } => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes the slices one after another, as far as there is room; less than all means that no room is left.
    #[inline]
    pub(crate) fn write(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => write_all_of(tcp, slices),
            Self::Unix(unix) => write_all_of(unix, slices),
            #[cfg(feature = "simulated")]
            Self::Simulated { .. } => Ok(crate::simulated::write(slices)),
        }
    }

    pub(crate) fn shut_down_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Unix(unix) => unix.shutdown(Shutdown::Write),
            #[cfg(feature = "simulated")]
            Self::Simulated { .. } => Ok(()),
        }
    }

    /// `None` where the system knows nothing of it.
    fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Unix(unix) => Some(unix),
            #[cfg(feature = "simulated")]
            Self::Simulated { .. } => None,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| source.register(registry, token, Interest::READABLE))
    }

    pub(crate) fn register_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.source().map_or(Ok(()), |source| source.reregister(registry, token, interest))
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| source.deregister(registry))
    }
}

#[inline]
fn write_all_of(socket: &mut impl Write, slices: &[&[u8]]) -> io::Result<usize> {
    if let [slice] = slices {
        return uninterrupted(|| socket.write(slice));
    }
    let mut io_slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = slices.len().min(SLICES_MAX);
    for (io_slice, slice) in io_slices.iter_mut().zip(slices) {
        *io_slice = IoSlice::new(slice);
    }
    uninterrupted(|| socket.write_vectored(&io_slices[..count]))
}

/// A signal is no reason to say anything.
#[inline]
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
