//! Byte transports: how bytes come from and go to a peer.
//!
//! In:    places to listen on, bytes to write.
//! Out:   listeners for every shard, connections, bytes that were read.
//! Never: MQTT. Nothing here knows what a packet is. Nothing here blocks.

mod listen;
mod stream;
mod transport;
mod unix;
mod workspace;

pub use listen::{ListenSocket, Listeners, Place, bind};
pub use stream::Stream;
pub use transport::{Incoming, Transport, Wrapping};
pub use unix::{SocketFile, UnixSocket};
pub use workspace::Workspace;
