//! Byte transports: how bytes come from and go to a peer.
//!
//! In:    addresses to listen on, bytes to write.
//! Out:   listeners for every shard, connections, bytes that were read.
//! Never: MQTT. Nothing here knows what a packet is. Nothing here blocks.

mod listen;
mod transport;

pub use listen::{Listeners, bind};
pub use transport::Transport;
