//! The client library and the command-line tools against real brokers, through networks that fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod commands;
mod cuts;
mod folder;
mod library;
mod mosquitto;
mod moving_in;
mod output;
mod proxy;
mod tls;
mod transports;

use std::time::Duration;

/// How long a condition may take to come true before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
