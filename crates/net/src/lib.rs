//! Byte transports: how bytes come from and go to a peer.
//!
//! In:    places to listen on, bytes to write.
//! Out:   listeners for every shard, connections, bytes that were read.
//! Never: MQTT. Nothing here knows what a packet is. Nothing here blocks.

mod fault;
mod listen;
mod networks;
mod proxied;
mod proxy;
#[cfg(feature = "simulated")]
pub mod simulated;
mod stream;
mod tls;
mod transport;
mod unix;
mod websocket;
mod workspace;

pub use fault::Fault;
pub use listen::{ListenSocket, Listeners, Place, bind};
pub use networks::{Network, NetworkError, origin};
pub use proxy::{ProxyError, ProxyHeader};
pub use rustls::pki_types::CertificateDer;
pub use stream::Stream;
pub use tls::{
    ClientCertificate, IdentityError, IdentityFiles, IdentityProblem, Speaks, TlsFiles, TlsListener,
};
pub use transport::{Incoming, Transport, Wrapping};
pub use unix::{SocketFile, UnixSocket};
pub use websocket::{FrameError, Refusal, WebSocketRules};
pub use workspace::Workspace;
