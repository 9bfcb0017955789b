//! Packet conversations with the built broker: raw bytes in, raw bytes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod connect;
mod qos1;
mod session;
mod takeover;
mod will;
