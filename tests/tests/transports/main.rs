//! Every transport but plain TCP, spoken to by the clients that people use and by hand.
//!
//! A tool that is missing fails its tests: `make setup-tests` brings them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod certificates;
mod directory;
mod hostile;
mod identities;
mod listeners;
mod mosquitto;
mod peer;
mod proxies;
mod quic;
mod tls;
mod unix;
mod websocket;

/// Beside the listener that is tested.
const TCP: &str = "[[listener]]\nurl = \"127.0.0.1:0\"\n";
