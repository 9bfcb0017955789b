//! The `dunlin` binary as a person or a service manager sees it: lines, exit codes, signals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod configuration;
mod journal;
mod logging;
mod process;
mod reload;
mod serving;
mod torture;
mod usage;
