//! TLS over a socket, as a server.
//!
//! In:    records of the peer; plaintext in slices.
//! Out:   plaintext; records, as few as the plaintext needs, in one write.
//! Never: holds more of a connection than it must: an idle one has neither an input nor an output buffer.
//!
//! A byte counts as written when the record that it went into has left: until then the caller holds it and gives it again.
//! So whoever bounds the caller's output bounds this too, and nothing but a record's rest ever waits here.

mod identity;
mod server;
mod validity;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};

pub use identity::{ClientCertificate, IdentityError, IdentityFiles, IdentityProblem, TlsFiles, TlsListener};

use crate::fault::Fault;
use crate::stream::Stream;
use crate::transport::Incoming;
use crate::workspace::{CHUNK, Workspace};

/// The first byte of a handshake record.
const HANDSHAKE: u8 = 22;
/// The first byte of an alert, and of data.
const ALERT: u8 = 21;
const DATA: u8 = 23;
/// The first byte of a record, its version, its length.
const RECORD_HEADER: usize = 5;
/// Beyond the plaintext: headers and tags of the records of a chunk, and what the connection itself has to say.
const OVERHEAD: usize = 2 * 1024;

/// A connection over TLS.
pub(crate) struct Tls {
    stream: Stream,
    tls: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message.
    held: Vec<u8>,
    /// Records, of which the socket took `sent` bytes.
    out: Vec<u8>,
    sent: usize,
    /// The first so many bytes that the caller holds are in `out`, or were.
    unacknowledged: usize,
    /// Something was received that is a record.
    is_tls: bool,
    /// The peer has said that it will send no more.
    ended: bool,
    /// Nothing is written any more.
    closed: bool,
    fault: Option<Fault>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What a peer that does not speak TLS seems to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// It sent what may be a CONNECT.
    Mqtt,
    /// It sent what may be a handshake.
    Tls,
    /// It sent what may be a request.
    Http,
    /// Neither.
    Unknown,
}

impl Speaks {
    pub(crate) const fn of(first: u8) -> Self {
        match first {
            0x10 => Self::Mqtt,
            HANDSHAKE => Self::Tls,
            b'A'..=b'Z' => Self::Http,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Mqtt => "MQTT",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Unknown => "something else",
        })
    }
}

/// What became of the bytes received.
struct Opened {
    /// Bytes of plaintext.
    count: usize,
    /// Bytes that are not needed any more.
    used: usize,
}

impl Tls {
    pub(crate) fn new(stream: Stream, config: Arc<ServerConfig>) -> Result<Self, Fault> {
        Ok(Self {
            stream,
            tls: UnbufferedServerConnection::new(config)?,
            held: Vec::new(),
            out: Vec::new(),
            sent: 0,
            unacknowledged: 0,
            is_tls: false,
            ended: false,
            closed: false,
            fault: None,
        })
    }

    pub(crate) const fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub(crate) const fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// Is the handshake done?
    pub(crate) fn is_established(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// The certificate that the peer showed, then those that lead to its authority.
    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls.peer_certificates()
    }

    /// Does something of its own wait to be written?
    pub(crate) const fn owes(&self) -> bool {
        !self.out.is_empty()
    }

    /// Reads until there is plaintext, or nothing more. `into` takes the plaintext of a record, 16 KiB.
    pub(crate) fn read(&mut self, into: &mut [u8], work: &mut Workspace) -> Incoming {
        if self.fault.is_some() {
            return Incoming::Failed;
        }
        if self.ended {
            return Incoming::End;
        }
        let sealed = work.sealed();
        loop {
            let held = self.held.len();
            let limit = into.len().min(sealed.len()).max(record_len(&self.held).min(sealed.len()));
            if held >= limit {
                return self
                    .fail(rustls::Error::General("a handshake message is too long".into()).into(), sealed);
            }
            let got = Incoming::of(self.stream.read(&mut sealed[held..limit]), limit - held);
            let Incoming::Bytes { count, more } = got else { return got };
            if !self.is_tls && sealed[held] != HANDSHAKE {
                let speaks = Speaks::of(sealed[held]);
                return self.fail(Fault::NotTls { speaks }, &mut []);
            }
            self.is_tls = true;
            sealed[..held].copy_from_slice(&self.held);
            let opened = match self.open(&mut sealed[..held + count], into) {
                Ok(opened) => opened,
                Err(fault) => return self.fail(fault, sealed),
            };
            self.hold(&sealed[opened.used..held + count]);
            if self.flush().is_err() {
                return Incoming::Failed;
            }
            if opened.count > 0 {
                return Incoming::Bytes { count: opened.count, more: more || self.ended };
            }
            if self.ended {
                return Incoming::End;
            }
            if !more {
                return Incoming::Nothing;
            }
        }
    }

    /// Processes records.
    fn open(&mut self, records: &mut [u8], into: &mut [u8]) -> Result<Opened, Fault> {
        let mut opened = Opened { count: 0, used: 0 };
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.tls.process_tls_records(&mut records[opened.used..]);
            let mut done = false;
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.last_words(&mut records[opened.used + discard..]);
                    return Err(error.into());
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        let end = opened.count + record.payload.len();
                        assert!(end <= into.len(), "plaintext is longer than the records that it was in");
                        into[opened.count..end].copy_from_slice(record.payload);
                        opened.count = end;
                        discard += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, &mut self.out),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    self.ended = true;
                    done = true;
                }
                _ => done = true,
            }
            opened.used += discard;
            if done {
                return Ok(opened);
            }
        }
    }

    fn hold(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.held = Vec::new();
        } else {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
    }

    /// Takes what the library wants to be said of an error: what it had to say before, then an alert. `rest` is what it has not
    /// done with of the bytes that it was given: it remembers places in them, and is never to be called with others. Nor
    /// is it to be asked again after the alert: it would go on with the bytes, which it does not stand.
    fn last_words(&mut self, mut rest: &mut [u8]) {
        loop {
            let UnbufferedStatus { discard, state, .. } = self.tls.process_tls_records(rest);
            let Ok(ConnectionState::EncodeTlsData(data)) = state else { return };
            let start = self.out.len();
            encode(data, &mut self.out);
            if is_alert(&self.out[start..]) {
                return;
            }
            rest = &mut rest[discard..];
        }
    }

    /// Gives the connection up, and tells the peer why where it can be told.
    fn fail(&mut self, fault: Fault, scratch: &mut [u8]) -> Incoming {
        if matches!(fault, Fault::Tls(_)) {
            // The peer may be gone.
            let _ = self.flush();
            let _ = self.stream.shut_down_write();
            // What is unread when the socket is closed makes the kernel reset it, and the reset overtakes the alert.
            let _ = self.stream.read(scratch);
        }
        self.closed = true;
        self.fault = Some(fault);
        Incoming::Failed
    }

    /// Writes as much as there is room for.
    pub(crate) fn write(&mut self, slices: &[&[u8]], work: &mut Workspace) -> io::Result<usize> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut written = std::mem::take(&mut self.unacknowledged);
        let (sealed, gathered) = work.both();
        loop {
            gathered.clear();
            let plain = chunk(slices, written, gathered);
            if plain.is_empty() {
                return Ok(written);
            }
            let count = plain.len();
            let length = seal(&mut self.tls, &mut self.held, plain, sealed)?;
            let sent = match self.stream.write(&[&sealed[..length]]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                other => other?,
            };
            if sent < length {
                self.out.extend_from_slice(&sealed[sent..length]);
                self.unacknowledged = count;
                return Ok(written);
            }
            written += count;
        }
    }

    /// Writes what waits here; false where there is no room for all of it.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        if self.out.is_empty() {
            return Ok(true);
        }
        match self.stream.write(&[&self.out[self.sent..]]) {
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.sent < self.out.len() {
            return Ok(false);
        }
        self.out = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// Tells the peer that nothing more will come, as far as there is room to.
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.fault.is_none()
            && let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                self.tls.process_tls_records(&mut self.held).state
        {
            let mut alert = [0; 256];
            if let Ok(length) = traffic.queue_close_notify(&mut alert) {
                self.out.extend_from_slice(&alert[..length]);
            }
        }
        // The peer may be gone.
        let _ = self.flush();
    }
}

/// Is the record an alert? Encrypted ones of TLS 1.3 look like data, of two bytes, a type and a tag; nothing else is so short.
fn is_alert(record: &[u8]) -> bool {
    const ENCRYPTED: usize = RECORD_HEADER + 2 + 1 + 16;
    match record {
        [ALERT, ..] => true,
        [DATA, ..] => record.len() == ENCRYPTED,
        _ => false,
    }
}

/// How long the record is that begins here; 0 where that is not known yet.
fn record_len(held: &[u8]) -> usize {
    match held {
        [_, _, _, high, low, ..] => RECORD_HEADER + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

/// The next [`CHUNK`] bytes of the slices after the first `skip`; gathered where they are in several.
fn chunk<'a>(slices: &[&'a [u8]], mut skip: usize, gathered: &'a mut Vec<u8>) -> &'a [u8] {
    let mut rest = slices.iter().filter_map(|slice| {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        Some(&slice[skipped..]).filter(|slice| !slice.is_empty())
    });
    let Some(first) = rest.next() else { return &[] };
    if first.len() >= CHUNK {
        return &first[..CHUNK];
    }
    let Some(second) = rest.next() else { return first };
    gathered.extend_from_slice(first);
    for slice in std::iter::once(second).chain(rest) {
        let room = CHUNK - gathered.len();
        gathered.extend_from_slice(&slice[..room.min(slice.len())]);
    }
    gathered
}

/// Encrypts a chunk; how long its records are. `held` is what the library remembers places in.
fn seal(
    tls: &mut UnbufferedServerConnection,
    held: &mut Vec<u8>,
    plain: &[u8],
    into: &mut [u8],
) -> io::Result<usize> {
    assert!(plain.len() + OVERHEAD <= into.len(), "the room is made for chunks");
    loop {
        let UnbufferedStatus { discard, state, .. } = tls.process_tls_records(held);
        let sealed = match state.map_err(io::Error::other)? {
            ConnectionState::WriteTraffic(mut traffic) => Some(encrypt(&mut traffic, plain, into)),
            ConnectionState::PeerClosed => None,
            _ => return Err(io::ErrorKind::NotConnected.into()),
        };
        held.drain(..discard);
        if let Some(sealed) = sealed {
            return sealed;
        }
    }
}

fn encrypt<Data>(traffic: &mut WriteTraffic<'_, Data>, plain: &[u8], into: &mut [u8]) -> io::Result<usize> {
    traffic.encrypt(plain, into).map_err(|error| match error {
        EncryptError::InsufficientSize(_) => unreachable!("the room is made for chunks"),
        EncryptError::EncryptExhausted => io::Error::other("as much was encrypted as the key allows"),
    })
}

/// Appends what the connection itself has to say.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) {
    use rustls::unbuffered::EncodeError;

    let start = out.len();
    if let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) {
        out.resize(start + error.required_size, 0);
        let length = data.encode(&mut out[start..]).unwrap_or_default();
        out.truncate(start + length);
    }
}

#[cfg(test)]
mod tests;
