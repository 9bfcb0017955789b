//! Real clients, in other languages and other hands, against the built broker.
//!
//! Each driver under `tests/clients` takes HOST PORT VERSION SCENARIO and exits 0 or tells why not. A tool that
//! is missing fails its tests: `make setup-tests` brings them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod rumqttc;
mod rumqttc_v311;
mod rumqttc_v5;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use dunlin_tests::Broker;

/// How long a driver may take for one scenario.
const PATIENCE: Duration = Duration::from_secs(60);

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout")
}

/// `target`, where `make setup-tests` puts what it compiles.
fn target() -> PathBuf {
    let executable = std::env::current_exe().expect("the test knows its own path");
    executable.ancestors().nth(3).expect("the test lies in target/PROFILE/deps").to_path_buf()
}

fn mosquitto() -> Command {
    Command::new(root().join("tests/clients/mosquitto/driver.sh"))
}

fn paho_python() -> Command {
    let mut command = Command::new(root().join(".venv/bin/python"));
    command.arg(root().join("tests/clients/python/driver.py"));
    command
}

fn paho_c() -> Command {
    Command::new(target().join("clients/paho_c"))
}

fn mqtt_js() -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("tests/clients/js/driver.js"));
    command
}

/// Runs one scenario of a driver against a broker of its own.
fn run(mut driver: Command, version: &str, scenario: &str) {
    let broker = Broker::start(&["--shards", "4"]);
    driver.args(["127.0.0.1", &broker.address().port().to_string(), version, scenario]);
    driver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = driver
        .spawn()
        .unwrap_or_else(|error| panic!("{driver:?} cannot be run ({error}): run make setup-tests"));
    let id = child.id();
    let (send, ended) = channel();
    thread::spawn(move || drop(send.send(child.wait_with_output())));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => {
            let output = output.expect("the driver can be waited for");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let hint = if said.contains("not found") || said.contains("Cannot find module") {
                "\nrun make setup-tests"
            } else {
                ""
            };
            assert!(output.status.success(), "{}: {said}{hint}", output.status);
        }
        Err(_) => {
            drop(Command::new("kill").args(["-KILL", &id.to_string()]).status());
            panic!("{scenario} did not end within {PATIENCE:?}");
        }
    }
}

macro_rules! scenarios {
    ($driver:path, $version:literal: $($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                crate::run($driver(), $version, stringify!($scenario));
            }
        )*
    };
    ($driver:path, $version:literal) => {
        scenarios!($driver, $version: qos0 qos1 qos2 retained will session shared big maximum);
    };
}

macro_rules! client {
    ($client:ident) => {
        mod $client {
            mod v31 {
                scenarios!(crate::$client, "31");
            }
            mod v311 {
                scenarios!(crate::$client, "311");
            }
            mod v5 {
                scenarios!(crate::$client, "5");
            }
        }
    };
}

client!(mosquitto);
client!(paho_python);
client!(paho_c);
client!(mqtt_js);
