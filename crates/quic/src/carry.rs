//! Bytes between a stream of QUIC and the socket of a shard.
//!
//! In:    both.
//! Out:   what comes from one goes to the other, its end too.
//! Never: a buffer for a connection on which nothing moves; more in flight than the windows of both.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// One read.
const READ: usize = 64 * 1024;
/// For the peer to take the last bytes: two losses of a packet on a slow link.
pub(crate) const LAST_BYTES: Duration = Duration::from_secs(2);

thread_local! {
    /// All connections are on one thread, and none holds it across a wait.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Carries until both have come to their end.
pub(crate) async fn carry(
    connection: Connection,
    (send, receive): (SendStream, RecvStream),
    shard: UnixStream,
) {
    let (from_shard, to_shard) = shard.into_split();
    tokio::join!(up(receive, to_shard), down(&connection, from_shard, send));
}

/// From the client.
async fn up(mut receive: RecvStream, mut shard: OwnedWriteHalf) {
    while let Ok(Some(chunk)) = receive.read_chunk(READ, true).await {
        if shard.write_all(&chunk.bytes).await.is_err() {
            break;
        }
    }
    // The shard may be gone.
    let _ = shard.shutdown().await;
}

/// To the client.
async fn down(connection: &Connection, shard: OwnedReadHalf, mut send: SendStream) {
    while let Ok(bytes) = read(&shard).await
        && !bytes.is_empty()
        && send.write_chunk(bytes).await.is_ok()
    {}
    if send.finish().is_ok() {
        let _ = timeout(LAST_BYTES, send.stopped()).await;
    }
    connection.close(VarInt::from_u32(0), b"");
}

/// What the shard has sent; nothing at its end.
async fn read(shard: &OwnedReadHalf) -> io::Result<Bytes> {
    loop {
        shard.readable().await?;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let count = shard.try_read(scratch)?;
            Ok(Bytes::copy_from_slice(&scratch[..count]))
        });
        match read {
            Err(error) if io::Error::kind(&error) == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}
