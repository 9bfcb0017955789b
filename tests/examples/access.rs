//! What access rules cost a message: no rules, 10 of them, and 10,000 devices' own, in turn under the same loads.
//!
//! `cargo run --release -p dunlin-tests --example access -- [ROUNDS]` (5). Three brokers, `DUNLIN_BIN` or the one of the same
//! build, and `dunlin bench` on them in turn; messages per CPU second are the figure, and their spread says what it is worth.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use dunlin_tests::{Broker, binary};

fn main() {
    let rounds = std::env::args().nth(1).unwrap_or_else(|| "5".to_owned());
    let data = std::env::temp_dir().join(format!("dunlin-access-{}", std::process::id()));
    let none = Broker::start(&[]);
    let (ten, many) = (with_rules(&data.join("ten"), 10), with_rules(&data.join("many"), 10_000));
    let rivals = [("10 rules", &ten), ("10,000 templates", &many)]
        .map(|(name, broker)| format!("{name}={}", broker.address()));
    for load in [["fan-in", "-q0"], ["fan-in", "-q1"], ["pairs", "-q0"], ["pairs", "-q1"], ["fan-out", "-q0"]]
    {
        let status = Command::new(binary())
            .arg("bench")
            .args(load)
            .args(["--quiet", "-t", "2", "--rounds", &rounds, "--name", "no rules"])
            .args(["-h", "127.0.0.1", "-p", &none.address().port().to_string()])
            .args(["--vs", &rivals[0], "--vs", &rivals[1]])
            .status()
            .unwrap();
        assert!(status.success(), "{load:?}: {status}");
    }
    drop((ten, many));
    fs::remove_dir_all(&data).unwrap();
}

/// A rule that lets the load in, after one less than `count` for devices that do not take part.
fn with_rules(data: &Path, count: usize) -> Broker {
    fs::create_dir_all(data).unwrap();
    let mut rules = String::new();
    for device in 1..count {
        write!(
            rules,
            "[[rule]]\nfor = 'client:device-{device}'\nallow = ['publish', 'subscribe']\ntopics = 'devices/${{client_id}}/#'\n"
        )
        .unwrap();
    }
    rules += "[[rule]]\nallow = ['publish', 'subscribe']\ntopics = 'bench/#'\n";
    fs::write(data.join("access.toml"), rules).unwrap();
    Broker::start_secured(data, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\nauthentication = ['anonymous']\n")
}
