//! SCRAM-SHA-256 as MQTT 5.0 enhanced authentication, the Server's side.
//!
//! In:    the Authentication Data of CONNECT and AUTH.
//! Out:   the Authentication Data to send; at the end an identity, and the proof that the Server knows the user too.
//! Never: the password, which is neither sent nor stored; channel binding, which MQTT has no use for without `-PLUS`.
//! Spec:  RFC 5802, RFC 7677; MQTT 5.0 section 4.12.

mod exchange;
mod message;
mod verifier;

pub use exchange::Scram;
pub use message::{ClientFinal, ClientFirst, MessageError};
pub use verifier::{Verifier, VerifierError};
