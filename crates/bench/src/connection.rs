//! A connection's buffers: packets collect in one and leave in one write; bytes come in, packets go out.

use std::io::{self, ErrorKind};

use mio::{Registry, Token};

use crate::plan::Plan;
use crate::transport::Transport;

/// Output above which a publisher writes nothing new: enough for a socket to be busy with, little enough that a message
/// does not age here.
pub(crate) const OUTPUT_HIGH: usize = 256 << 10;
/// Output above which a buffer is given back when it is empty.
const OUTPUT_KEEP: usize = 1 << 20;

/// A connection to the broker.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    /// Packets on their way out.
    pub(crate) out: Vec<u8>,
    /// How much of them is gone.
    written: usize,
    /// The beginning of a packet whose rest has not come.
    tail: Vec<u8>,
    is_connected: bool,
    is_blocked: bool,
}

/// What a read brought.
pub(crate) enum Input {
    /// That many bytes of the buffer are filled, the last time's rest among them; `more` may be there.
    Bytes { length: usize, more: bool },
    /// Nothing for now.
    Nothing,
    /// The peer has closed.
    Closed,
}

impl Connection {
    pub(crate) fn open(plan: &Plan, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut transport = Transport::connect(plan.address, plan.trust.as_ref())?;
        transport.register(registry, token)?;
        Ok(Self {
            transport,
            out: Vec::new(),
            written: 0,
            tail: Vec::new(),
            is_connected: false,
            is_blocked: true,
        })
    }

    /// Can it take more messages?
    pub(crate) fn has_room(&self) -> bool {
        !self.is_blocked && self.out.len() - self.written < OUTPUT_HIGH
    }

    /// The socket said that it is ready to be written to.
    pub(crate) fn writable(&mut self) -> io::Result<()> {
        if !self.is_connected && !self.transport.connected()? {
            return Ok(());
        }
        self.is_connected = true;
        self.is_blocked = false;
        self.flush()
    }

    /// Writes what there is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.is_blocked && (self.written < self.out.len() || self.transport.wants_write()) {
            match self.transport.write(&self.out[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(OUTPUT_KEEP);
            self.written = 0;
        } else if self.written > OUTPUT_HIGH {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// Reads once, behind what was left the last time.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Input> {
        if !self.is_connected {
            return Ok(Input::Nothing);
        }
        let kept = self.tail.len();
        if buffer.len() < kept * 2 {
            buffer.resize(kept * 2, 0);
        }
        buffer[..kept].copy_from_slice(&self.tail);
        match self.transport.read(&mut buffer[kept..]) {
            Ok(0) => Ok(Input::Closed),
            Ok(length) => {
                self.answer()?;
                self.tail.clear();
                let length = kept + length;
                Ok(Input::Bytes { length, more: length == buffer.len() || !self.transport.is_bare() })
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.answer()?;
                Ok(Input::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// After a read, TLS may have something to answer, or be ready for our packets at last.
    fn answer(&mut self) -> io::Result<()> {
        if self.transport.is_bare() {
            return Ok(());
        }
        self.is_blocked = false;
        self.flush()
    }

    /// Keeps the beginning of a packet for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.tail.extend_from_slice(rest);
    }

    /// No more will be written; the peer closes.
    pub(crate) fn finish(&mut self) {
        self.transport.finish();
    }
}
