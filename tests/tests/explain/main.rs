//! Faults that are made on purpose, each explained: `dunlin explain` names the cause and what to change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod access;
mod bounds;
mod delivery;
mod matching;
mod publishers;
mod retained;
mod scene;
mod sessions;
