//! A connection of a proxy, before it has said whom it speaks for.
//!
//! In:    a socket.
//! Out:   the address that the header names; the socket, with every byte behind the header still in it.
//! Never: holds a byte: an incomplete header stays in the socket.

use std::io;

use crate::fault::Fault;
use crate::proxy::{HEADER_MAX, ProxyHeader};
use crate::stream::Stream;
use crate::transport::{Incoming, Wrapping};

/// The socket, and what follows the header.
#[derive(Debug)]
pub(crate) struct Proxied {
    /// Gone once the header was taken.
    pub(crate) stream: Option<Stream>,
    pub(crate) wrapping: Wrapping,
    pub(crate) fault: Option<Fault>,
}

impl Proxied {
    /// Looks for the header, and takes it where it is complete. `scratch` is not smaller than 16 KiB.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Incoming {
        if self.fault.is_some() {
            return Incoming::Failed;
        }
        let Some(stream) = &mut self.stream else { return Incoming::Failed };
        let count = match stream.peek(&mut scratch[..HEADER_MAX]) {
            Ok(0) => return Incoming::End,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Incoming::Nothing,
            Err(_) => return Incoming::Failed,
        };
        match ProxyHeader::parse(&scratch[..count]) {
            Ok(None) => Incoming::Nothing,
            Ok(Some(header)) => match stream.read(&mut scratch[..header.len]) {
                Ok(taken) if taken == header.len => Incoming::Proxied(header.source),
                // What was there a moment ago is not.
                _ => Incoming::Failed,
            },
            Err(error) => {
                self.fault = Some(error.into());
                Incoming::Failed
            }
        }
    }
}
