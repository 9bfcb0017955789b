//! WebSocket over a socket or over TLS, as a client.
//!
//! In:    a transport that stands.
//! Out:   the same, with MQTT in binary frames; a frame for each write.
//! Never: more than [`OUT_HIGH`] bytes of frames that the transport has not taken, and one write.

mod frame;
mod handshake;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::address::Host;
use frame::{Control, Decoder, Encoder, NORMAL};

/// Frames that wait for the transport; above it, nothing more is taken.
const OUT_HIGH: usize = 64 << 10;
/// Bytes of one read.
const READ: usize = 16 << 10;

/// A connection over WebSocket.
pub(super) struct WebSocket<S> {
    under: S,
    decoder: Decoder,
    encoder: Encoder,
    /// Payload that was decoded, of which `given` bytes were read.
    payload: Vec<u8>,
    given: usize,
    /// Bytes that came and were not decoded.
    input: Vec<u8>,
    /// Frames, of which `sent` bytes were taken.
    out: Vec<u8>,
    sent: usize,
    /// The Server sends nothing more.
    ended: bool,
    /// Close was sent.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks for it and waits for the answer.
    pub(super) async fn open(mut under: S, host: &Host, path: &str) -> Result<Self, String> {
        let input = handshake::open(&mut under, host, path).await?;
        Ok(Self {
            under,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            payload: Vec::new(),
            given: 0,
            input,
            out: Vec::new(),
            sent: 0,
            ended: false,
            closed: false,
        })
    }

    /// Gives what waits to the transport.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let taken = ready!(Pin::new(&mut self.under).poll_write(context, &self.out[self.sent..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += taken;
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Decodes what came, and answers control frames.
    fn decode(&mut self) -> io::Result<()> {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while !rest.is_empty() && !self.ended {
            let (used, control) = self.decoder.decode(rest, &mut self.payload).map_err(fault)?;
            rest = &rest[used..];
            match control {
                // One that does not read its answers gets no more of them.
                Some(Control::Ping(payload)) if self.out.len() < OUT_HIGH && !self.closed => {
                    self.encoder.pong(&payload, &mut self.out).map_err(fault)?;
                }
                Some(Control::Close(status)) => {
                    self.ended = true;
                    self.close(status)?;
                }
                Some(Control::Ping(_)) | None => {}
            }
        }
        Ok(())
    }

    fn close(&mut self, status: u16) -> io::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.encoder.close(status, &mut self.out).map_err(fault)
    }
}

fn fault(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("websocket: {words}"))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.given < self.payload.len() {
                let count = into.remaining().min(self.payload.len() - self.given);
                into.put_slice(&self.payload[self.given..self.given + count]);
                self.given += count;
                return Poll::Ready(Ok(()));
            }
            self.payload.clear();
            self.given = 0;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.input.is_empty() {
                let mut bytes = std::mem::take(&mut self.input);
                bytes.resize(READ, 0);
                let mut buffer = ReadBuf::new(&mut bytes);
                let read = Pin::new(&mut self.under).poll_read(context, &mut buffer);
                let count = buffer.filled().len();
                bytes.truncate(count);
                self.input = bytes;
                ready!(read)?;
                if count == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            self.decode()?;
            // Answers leave though nothing else is to be sent. Whoever writes is the same task, so it is woken.
            if let Poll::Ready(sent) = self.poll_send(context) {
                sent?;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let sent = self.poll_send(context)?;
        if sent.is_pending() && self.out.len() - self.sent >= OUT_HIGH {
            return Poll::Pending;
        }
        let this = &mut *self;
        this.encoder.binary(bytes, &mut this.out).map_err(fault)?;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.under).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(NORMAL)?;
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.under).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn client(under: DuplexStream) -> WebSocket<DuplexStream> {
        WebSocket {
            under,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            payload: Vec::new(),
            given: 0,
            input: Vec::new(),
            out: Vec::new(),
            sent: 0,
            ended: false,
            closed: false,
        }
    }

    #[tokio::test]
    async fn a_ping_is_answered_though_nothing_is_written() {
        let (ours, mut theirs) = duplex(1024);
        let mut socket = client(ours);
        theirs.write_all(&[0x89, 1, b'!', 0x82, 1, b'x']).await.unwrap();
        let mut byte = [0];
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, *b"x");
        let mut pong = [0; 7];
        theirs.read_exact(&mut pong).await.unwrap();
        assert_eq!((pong[0], pong[1], pong[6] ^ pong[2]), (0x8a, 0x81, b'!'));
    }

    #[tokio::test]
    async fn a_close_is_answered_and_ends_the_stream() {
        let (ours, mut theirs) = duplex(1024);
        let mut socket = client(ours);
        theirs.write_all(&[0x88, 2, 0x03, 0xe8]).await.unwrap();
        assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(socket.write(b"late").await.is_err());
        let mut close = [0; 8];
        theirs.read_exact(&mut close).await.unwrap();
        assert_eq!((close[0], close[1]), (0x88, 0x82));
    }

    #[tokio::test]
    async fn a_server_that_does_not_read_holds_up_the_writer() {
        let (ours, _theirs) = duplex(1024);
        let mut socket = client(ours);
        let chunk = [0; 8 << 10];
        let mut taken = 0;
        let all = async {
            while taken < 1 << 20 {
                taken += socket.write(&chunk).await.unwrap();
            }
        };
        let mut all = std::pin::pin!(all);
        let pending = std::future::poll_fn(|context| Poll::Ready(all.as_mut().poll(context).is_pending()));
        assert!(pending.await);
        assert!(taken <= OUT_HIGH + chunk.len(), "{taken}");
    }
}
