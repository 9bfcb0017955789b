//! Authenticators against what other people's programs make: password files of Mosquitto, tokens of PyJWT, a SCRAM
//! client, an HTTP service.
//!
//! A tool that is missing fails its tests: `make setup-tests` brings them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod http;
mod jwt;
mod passwords;
mod scram;
mod tools;
