//! Why a transport gave a connection up.

use crate::tls::Speaks;

/// What a peer did that its transport does not allow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes that are no TLS record, at a TLS port.
    #[error("the peer speaks {speaks} without TLS on a TLS port")]
    NotTls {
        /// What it seems to speak.
        speaks: Speaks,
    },
    /// The handshake failed, or a record is wrong.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
