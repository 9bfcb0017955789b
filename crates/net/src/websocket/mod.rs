//! WebSocket over a socket or over TLS, as a server.
//!
//! In:    a request, then frames; payload in slices.
//! Out:   the payload of binary frames; for each write one frame.
//! Never: a copy of payload, either way; more than one answer that waits for a peer who does not read.
//!
//! A frame that was begun is finished before anything else is written, and as TLS counts a byte as written only when it
//! has left, the caller gives the same payload again until then.

mod frame;
mod handshake;

use std::io;
use std::sync::Arc;

pub use frame::FrameError;
pub use handshake::{Refusal, WebSocketRules};
use rustls::pki_types::CertificateDer;

use crate::fault::Fault;
use crate::stream::{SLICES_MAX, Stream};
use crate::tls::{Speaks, Tls};
use crate::transport::Incoming;
use crate::workspace::Workspace;
use frame::{Control, Decoder, Header};
use handshake::HEAD_MAX;

/// The connection ends as intended (section 7.4.1).
const NORMAL: u16 = 1000;
/// Answers that wait for a peer who does not read; further Pings get none.
const ANSWERS_MAX: usize = 1024;

/// What lies under the frames.
#[derive(Debug)]
pub(crate) enum Link {
    /// A socket.
    Plain(Stream),
    /// TLS over one.
    Tls(Box<Tls>),
}

impl Link {
    fn read(&mut self, into: &mut [u8], work: &mut Workspace) -> Incoming {
        match self {
            Self::Plain(stream) => Incoming::of(stream.read(into), into.len()),
            Self::Tls(tls) => tls.read(into, work),
        }
    }

    /// How much was taken; none where there is no room.
    fn write(&mut self, slices: &[&[u8]], work: &mut Workspace) -> io::Result<usize> {
        let result = match self {
            Self::Plain(stream) => stream.write(slices),
            Self::Tls(tls) => tls.write(slices, work),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}

/// A connection over WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    link: Link,
    /// What was received of the request, until that is answered.
    opening: Option<Box<Opening>>,
    decoder: Decoder,
    /// A frame that was begun, and is to be finished first.
    frame: Option<Frame>,
    /// Answers, of which `sent` bytes were taken.
    out: Vec<u8>,
    sent: usize,
    /// The peer has said that it will send no more.
    ended: bool,
    /// Nothing is written any more but what waits.
    closed: bool,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Opening {
    head: Vec<u8>,
    rules: Arc<WebSocketRules>,
}

/// The rest of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    header_sent: usize,
    payload_left: usize,
}

impl WebSocket {
    pub(crate) fn new(link: Link, rules: Arc<WebSocketRules>) -> Self {
        Self {
            link,
            opening: Some(Box::new(Opening { head: Vec::new(), rules })),
            decoder: Decoder::default(),
            frame: None,
            out: Vec::new(),
            sent: 0,
            ended: false,
            closed: false,
            fault: None,
        }
    }

    pub(crate) const fn stream(&mut self) -> &mut Stream {
        match &mut self.link {
            Link::Plain(stream) => stream,
            Link::Tls(tls) => tls.stream(),
        }
    }

    pub(crate) fn take_fault(&mut self) -> Option<Fault> {
        let under = if let Link::Tls(tls) = &mut self.link { tls.take_fault() } else { None };
        self.fault.take().or(under)
    }

    /// Is the request granted, and all that lies under it agreed on?
    pub(crate) fn is_established(&self) -> bool {
        let under = if let Link::Tls(tls) = &self.link { tls.is_established() } else { true };
        under && self.opening.is_none()
    }

    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        if let Link::Tls(tls) = &self.link { tls.peer_certificates() } else { None }
    }

    /// Does something of its own wait that can be written now?
    pub(crate) const fn owes(&self) -> bool {
        let under = if let Link::Tls(tls) = &self.link { tls.owes() } else { false };
        under || (self.frame.is_none() && !self.out.is_empty())
    }

    pub(crate) fn read(&mut self, into: &mut [u8], work: &mut Workspace) -> Incoming {
        if self.fault.is_some() {
            return Incoming::Failed;
        }
        if self.ended {
            return Incoming::End;
        }
        let got = self.link.read(into, work);
        let Incoming::Bytes { count, more } = got else { return got };
        let result = match self.open(&mut into[..count]) {
            Ok(start) => {
                into.copy_within(start..count, 0);
                self.decode(&mut into[..count - start])
            }
            Err(fault) => Err(fault),
        };
        let count = match result {
            Ok(count) => count,
            Err(fault) => return self.fail(fault, work),
        };
        if self.flush(work).is_err() {
            return Incoming::Failed;
        }
        match (count, self.ended) {
            (0, true) => Incoming::End,
            (count, ended) => Incoming::Bytes { count, more: more || ended },
        }
    }

    /// Takes what belongs to the request, and answers that when it is complete; how many bytes.
    fn open(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(opening) = &mut self.opening else { return Ok(0) };
        let before = opening.head.len();
        if before == 0 && !bytes.first().is_none_or(u8::is_ascii_uppercase) {
            return Err(Fault::NotWebSocket { speaks: Speaks::of(bytes[0]) });
        }
        opening.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX)]);
        let from = before.saturating_sub(END.len() - 1);
        let end = opening.head[from..].windows(END.len()).position(|window| window == END);
        let Some(end) = end.map(|end| from + end + END.len()) else {
            if opening.head.len() >= HEAD_MAX {
                return Err(handshake::refusal(431, "the head of the request is longer than 8 KiB").into());
            }
            return Ok(bytes.len());
        };
        let answer = handshake::answer(&opening.head[..end], &opening.rules)?;
        self.out.extend(answer);
        self.opening = None;
        Ok(end - before)
    }

    fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let Self { decoder, out, ended, closed, .. } = self;
        let count = decoder.decode(bytes, |control| match control {
            Control::Ping(payload) if out.len() < ANSWERS_MAX && !*closed => frame::pong(&payload, out),
            Control::Ping(_) => {}
            Control::Close(status) => {
                *ended = true;
                if !std::mem::replace(closed, true) {
                    frame::close(status.unwrap_or(NORMAL), out);
                }
            }
        })?;
        Ok(count)
    }

    /// Gives the connection up and tells the peer why.
    fn fail(&mut self, fault: Fault, work: &mut Workspace) -> Incoming {
        match &fault {
            Fault::Request(refusal) => self.out = refusal.answer(),
            Fault::Frame(error) => frame::close(error.status(), &mut self.out),
            Fault::Proxy(_) | Fault::NotTls { .. } | Fault::NotWebSocket { .. } | Fault::Tls(_) => {}
        }
        self.closed = true;
        self.fault = Some(fault);
        // The peer may be gone.
        let _ = self.flush(work);
        self.end_link();
        Incoming::Failed
    }

    fn end_link(&mut self) {
        if let Link::Tls(tls) = &mut self.link {
            tls.close();
        }
    }

    /// Writes as much as there is room for, in one frame unless one was begun before.
    pub(crate) fn write(&mut self, slices: &[&[u8]], work: &mut Workspace) -> io::Result<usize> {
        if self.closed && self.frame.is_none() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.flush(work)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut written = 0;
        while written < total {
            let frame = *self.frame.get_or_insert_with(|| {
                let payload_left = total - written;
                Frame { header: Header::binary(payload_left), header_sent: 0, payload_left }
            });
            let (parts, count) = frame.parts(slices, written);
            let asked: usize = parts[..count].iter().map(|part| part.len()).sum();
            let taken = self.link.write(&parts[..count], work)?;
            let header = taken.min(frame.header.bytes().len() - frame.header_sent);
            written += taken - header;
            self.frame = frame.after(header, taken - header);
            if taken < asked {
                return Ok(written);
            }
        }
        self.flush(work)?;
        Ok(written)
    }

    /// Writes what waits here, unless a frame must be finished first; false where there is no room for all of it.
    pub(crate) fn flush(&mut self, work: &mut Workspace) -> io::Result<bool> {
        if let Link::Tls(tls) = &mut self.link
            && !tls.flush()?
        {
            return Ok(false);
        }
        if self.frame.is_some() || self.out.is_empty() {
            return Ok(true);
        }
        self.sent += self.link.write(&[&self.out[self.sent..]], work)?;
        if self.sent < self.out.len() {
            return Ok(false);
        }
        self.out = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// Tells the peer that nothing more will come, as far as there is room to.
    pub(crate) fn close(&mut self, work: &mut Workspace) {
        if self.opening.is_none() && self.frame.is_none() && !std::mem::replace(&mut self.closed, true) {
            frame::close(NORMAL, &mut self.out);
            // The peer may be gone.
            let _ = self.flush(work);
        }
        self.end_link();
    }
}

impl Frame {
    /// What is left of the header, and of the payload, which is what the slices hold after the first `skip` bytes.
    fn parts<'a>(&'a self, slices: &[&'a [u8]], mut skip: usize) -> ([&'a [u8]; SLICES_MAX], usize) {
        let mut parts: [&[u8]; SLICES_MAX] = [&[]; SLICES_MAX];
        let header = &self.header.bytes()[self.header_sent..];
        let (mut count, mut left) = (0, self.payload_left);
        if !header.is_empty() {
            parts[0] = header;
            count = 1;
        }
        for slice in slices {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            let part = &slice[skipped..][..left.min(slice.len() - skipped)];
            if !part.is_empty() && count < SLICES_MAX {
                parts[count] = part;
                count += 1;
                left -= part.len();
            }
        }
        (parts, count)
    }

    /// What is left of it after so many bytes of header and payload.
    const fn after(mut self, header: usize, payload: usize) -> Option<Self> {
        self.header_sent += header;
        self.payload_left -= payload;
        if self.payload_left == 0 { None } else { Some(self) }
    }
}
