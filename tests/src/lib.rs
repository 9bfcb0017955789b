//! What the black-box tests stand on: a broker process, a raw conversation, packets built by hand.
//!
//! In:    the built `dunlin` binary (`DUNLIN_BIN`, else the one beside the test executable).
//! Out:   a running broker on a free loopback port; bytes to and from it, with deadlines.
//! Never: the project's own codec. A fault there must not hide itself here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod broker;
pub mod packet;
pub mod prop;
pub mod request;
mod wire;

pub use broker::{Broker, binary};
pub use packet::Packet;
pub use request::{Connect, Publish, Subscribe, Version};
pub use wire::Wire;

use std::time::Duration;

/// How long an expectation may take before it has failed.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Runs `check` on a broker with one shard and on one with four.
pub fn on_shards(check: impl Fn(&Broker)) {
    for shards in ["1", "4"] {
        eprintln!("---- with --shards {shards}");
        check(&Broker::start(&["--shards", shards]));
    }
}

/// Runs `check` for 3.1.1 and for 5.0, each on one shard and on four.
pub fn everywhere(check: impl Fn(&Broker, Version)) {
    for shards in ["1", "4"] {
        for version in [Version::V311, Version::V5] {
            eprintln!("---- {version:?} with --shards {shards}");
            check(&Broker::start(&["--shards", shards]), version);
        }
    }
}
