//! Chains of the configuration, with tokens, services and directories that other people's programs made.

mod directory;
mod effective;
mod mounts;
mod scram;
mod secrets;
mod service;
mod tokens;

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::SystemTime;
use std::{fs, iter};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::Broker;
use crate::secured::{Directory, both};

/// Everybody may do what its groups may: `ops` publish and subscribe below `plant`, others nothing.
const POLICY: &str =
    "[[rule]]\nfor = \"group:ops\"\nallow = [\"publish\", \"subscribe\"]\ntopics = \"plant/#\"\n";

/// Failures do not lead to bans, where a test makes many.
const NO_BANS: &str = "[authentication.failures]\naddress_maximum = 0\nname_maximum = 0\n";

const PASSWORD: &str = "the password of a user";

/// A directory with a file of users, of which `amy` is one, in the group `ops`, and a policy.
fn prepared() -> Directory {
    let directory = Directory::new();
    fs::write(directory.path().join("password"), PASSWORD).unwrap();
    directory.run(&["user", "add", "amy", "--group", "ops", "--password-file", "password"]);
    fs::write(directory.path().join("policy.toml"), POLICY).unwrap();
    directory
}

/// Writes `dunlin.toml`: one listener with this chain, and the rest.
fn configure(directory: &Directory, chain: &str, rest: &str) {
    let text = format!(
        "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = {chain}\n\
         [access]\npolicy = \"policy.toml\"\n{NO_BANS}{rest}"
    );
    fs::write(directory.path().join("dunlin.toml"), text).unwrap();
}

fn start(directory: &Directory) -> Broker {
    Broker::spawn(directory.dunlin(&["serve", "--config", "dunlin.toml"]))
}

/// SIGHUP; what is logged until it is over.
fn reload(broker: &Broker) -> Vec<String> {
    broker.signal(Signal::HUP);
    broker.logged_until("configuration reloaded")
}

fn port(broker: &Broker) -> String {
    broker.addresses()[0].port().to_string()
}

/// What `mosquitto_pub` says of a 5.0 message to a topic: nothing, where it was taken.
fn publish(directory: &Directory, broker: &Broker, user: &str, password: &str, topic: &str) -> String {
    let port = port(broker);
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-V", "5", "-i", "c", "-q", "1", "-m", "1", "-t", topic];
    let arguments = [&arguments[..], &["-u", user, "-P", password]].concat();
    both(&directory.other("mosquitto_pub", &arguments))
}

/// The environment that `make setup-tests` made, and the drivers of clients.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python(script: &str) -> Command {
    let mut command = Command::new(root().join(".venv/bin/python"));
    command.arg(root().join("tests/clients/python").join(script));
    command
}

/// Tokens of one key, with what verifies them.
fn tokens(algorithm: &str, claims: &[Value]) -> Value {
    let claims: Vec<String> = claims.iter().map(Value::to_string).collect();
    let mut command = python("credentials.py");
    command.args(["tokens", algorithm]).args(claims);
    let output = command.output().unwrap_or_else(|error| panic!("{error}: run make setup-tests"));
    assert!(output.status.success(), "{}", both(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// `service.py`, ended with the test.
struct Service {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: String,
}

impl Service {
    fn start(directory: &Directory) -> Self {
        let mut command = python("service.py");
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}: run make setup-tests"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        Self { child, lines, port }
    }

    /// The requests until the service is gone.
    fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        iter::from_fn(|| self.lines.next()?.ok()).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
