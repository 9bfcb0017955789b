//! The `dunlin` binary as a person or a service manager sees it: lines, exit codes, signals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod api;
mod authority;
mod client;
mod configuration;
mod doctor;
mod entrance;
mod explain;
mod first_start;
mod identity;
mod journal;
mod logging;
mod process;
mod reload;
mod secured;
mod serving;
mod torture;
mod usage;
