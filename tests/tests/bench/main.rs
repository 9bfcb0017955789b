//! `dunlin bench`: every scenario against the real broker, and against brokers that lie.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod bounds;
mod compare;
mod liar;
mod lies;
mod manual;
mod scenarios;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What ends a run whose broker broke its promises.
pub(crate) const BROKEN: i32 = 10;

/// The binary beside the tests.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DUNLIN_BIN") {
        return path.into();
    }
    let executable = std::env::current_exe().unwrap();
    executable.ancestors().nth(2).unwrap().join("dunlin")
}

/// Runs `dunlin bench` to its end.
pub(crate) fn bench(broker: SocketAddr, arguments: &str) -> Output {
    let mut command = Command::new(binary());
    command.arg("bench").args(arguments.split_whitespace());
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs it with --json: the exit code, and what was written.
pub(crate) fn measured(broker: SocketAddr, arguments: &str) -> (i32, Value) {
    let output = bench(broker, &format!("{arguments} --json"));
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments}: {text}{error}"));
    (output.status.code().unwrap(), value)
}

/// The only round of the only broker.
pub(crate) fn only(value: &Value) -> &Value {
    &value["brokers"][0]["rounds"][0]
}

/// A count in a report.
pub(crate) fn count(report: &Value, path: &str) -> u64 {
    let value = report.pointer(path).unwrap_or_else(|| panic!("no {path} in {report:#}"));
    value.as_u64().unwrap_or_else(|| panic!("{path} is {value}"))
}
