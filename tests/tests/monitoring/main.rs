//! What a broker says of itself, read by the programs that people use for it.
//!
//! A tool that is missing fails its tests: `make setup-tests` brings them all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod page;
mod prometheus;
mod sys;
