//! Why a transport gave a connection up.

use crate::proxy::ProxyError;
use crate::tls::Speaks;
use crate::websocket::{FrameError, Refusal};

/// What a peer did that its transport does not allow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No header of a proxy, at a port for proxies.
    #[error("PROXY protocol: {0}")]
    Proxy(#[from] ProxyError),
    /// Bytes that are no TLS record, at a TLS port.
    #[error("the peer speaks {speaks} without TLS on a TLS port")]
    NotTls {
        /// What it seems to speak.
        speaks: Speaks,
    },
    /// Bytes that are no request, at a WebSocket port.
    #[error("the peer speaks {speaks} without WebSocket on a WebSocket port")]
    NotWebSocket {
        /// What it seems to speak.
        speaks: Speaks,
    },
    /// A request that was not granted.
    #[error("WebSocket: {0}")]
    Request(#[from] Refusal),
    /// A frame that no client may send.
    #[error("WebSocket: {0}")]
    Frame(#[from] FrameError),
    /// The handshake failed, or a record is wrong.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
