//! One connection to a peer, as bytes.
//!
//! In:    bytes to write, in slices.
//! Out:   bytes that were read.
//! Never: blocks. `WouldBlock` means that the readiness of the connection will be reported again.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Slices that one write takes at most; those beyond wait for the next.
const SLICES_MAX: usize = 8;

/// A non-blocking connection. Dropping it closes it.
#[derive(Debug)]
pub struct Transport {
    tcp: TcpStream,
}

impl Transport {
    /// A plain TCP connection [MQTT-4.2.0-1] [MQTT311-7.1.1-1].
    #[must_use]
    pub const fn tcp(tcp: TcpStream) -> Self {
        Self { tcp }
    }

    /// Reports under `token` from now on each time that there begins to be something to read; also what is there already.
    ///
    /// # Errors
    /// Where the kernel has no memory for it.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.tcp.register(registry, token, Interest::READABLE)
    }

    /// Reports also each time that there begins to be room to write; also where there is already. For connections that had
    /// none: every other would be reported as writable at once, for nothing.
    ///
    /// # Errors
    /// Where it is not watched.
    pub fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.tcp.reregister(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reports nothing any more, so that another thread can watch the connection.
    ///
    /// # Errors
    /// Where it is not watched there.
    pub fn unwatch(&mut self, registry: &Registry) -> io::Result<()> {
        self.tcp.deregister(registry)
    }

    /// Reads what is there, at most `into` full; less than full means that nothing more is there, 0 the peer's end.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there; else the connection has failed.
    #[inline]
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.tcp.read(into))
    }

    /// Writes the slices one after another, as far as there is room; less than all means that no room is left.
    ///
    /// # Errors
    /// `WouldBlock` where there is no room; else the connection has failed.
    #[inline]
    pub fn write(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        if let [slice] = slices {
            return uninterrupted(|| self.tcp.write(slice));
        }
        let mut io_slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = slices.len().min(SLICES_MAX);
        for (io_slice, slice) in io_slices.iter_mut().zip(slices) {
            *io_slice = IoSlice::new(slice);
        }
        uninterrupted(|| self.tcp.write_vectored(&io_slices[..count]))
    }

    /// Tells the peer that nothing more will come. It may still send.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn shut_down_write(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)
    }
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
