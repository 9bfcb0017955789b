//! Runs engines: one shard a core, each a thread with its own poll, connections and engine.
//!
//! In:    sockets, time, settings, the operating system's randomness.
//! Out:   a Server that listens, and ends in good order.
//! Never: a rule of MQTT. What bytes mean, and what follows from them, is the engine's.

mod accept;
mod addresses;
mod admissions;
mod arrivals;
mod authentication;
mod clock;
mod connections;
mod counters;
mod credit;
mod doorway;
#[cfg(test)]
mod exchange_tests;
mod flush;
mod inbox;
mod input;
mod journal;
mod librarian;
mod linger;
mod memory;
mod notices;
mod observer;
mod pace;
mod perform;
mod post;
mod questions;
mod reading;
mod recovery;
mod server;
mod shard;
#[cfg(feature = "simulated")]
mod simulated;

pub use dunlin_net::{
    ClientCertificate, IdentityError, IdentityFiles, Network, NetworkError, Place, TlsFiles, TlsListener,
    UnixSocket, WebSocketRules, Wrapping,
};

pub use admissions::{AdmissionLimits, ListenerLimits, Refusal};
pub use authentication::{Answer, Authentication, Authenticator};
pub use counters::{Timing, Traffic};
pub use doorway::{Doorway, Visitor};
#[cfg(feature = "simulated")]
pub use dunlin_net::simulated::{heard, play};
pub use observer::Observer;
pub use server::{Listener, Reviewer, Server, ServerOptions, ShardFailed, StartError, Summary};
#[cfg(feature = "simulated")]
pub use simulated::Crowd;
