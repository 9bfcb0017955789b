//! The session against a model of a Server, through its public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a failed expectation is how a test speaks"
)]

mod cuts;
mod extended;
mod rules;
mod server;
mod talk;
