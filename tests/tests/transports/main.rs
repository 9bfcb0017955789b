//! Every transport but plain TCP, spoken to by the clients that people use and by hand.
//!
//! A tool that is missing fails its tests: `make setup-tests` brings them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod directory;
mod mosquitto;
mod unix;
