//! A broker with a data directory, and the questions that are asked about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dunlin_tests::{Broker, Connect, DEADLINE, Publish, Version, Wire, binary};
use serde_json::Value;

/// A broker and its data.
pub(crate) struct Scene {
    pub(crate) broker: Broker,
    data: PathBuf,
}

impl Scene {
    /// On two shards.
    pub(crate) fn new(config: &str) -> Self {
        Self::on(config, "2")
    }

    pub(crate) fn on(config: &str, shards: &str) -> Self {
        let data = fresh_directory();
        let broker =
            Broker::start_with_config(config, &["--shards", shards, "--data", data.to_str().unwrap()]);
        Self { broker, data }
    }

    /// A 5.0 Client with a new Session that ends with its connection.
    pub(crate) fn client(&self, name: &str) -> Wire {
        self.broker.connect(Version::V5, name)
    }

    /// One whose Session lasts.
    pub(crate) fn lasting(&self, name: &str) -> Wire {
        self.broker.connect_with(&lasting(name))
    }

    /// A Session that subscribed and is away.
    pub(crate) fn away(&self, name: &str, filter: &str, qos: u8) {
        let mut client = self.lasting(name);
        client.subscribe(filter, qos);
        client.disconnect();
    }

    /// A new Client publishes something and goes.
    pub(crate) fn publish(&self, name: &str, publish: &Publish) {
        let mut client = self.client(name);
        client.publish(publish);
        client.ping();
        client.disconnect();
    }

    /// The question is answered with this cause, and with these words in what is said and advised. Whatever it takes to get
    /// from shard to shard is waited for.
    #[track_caller]
    pub(crate) fn explains(&self, client: &str, topic: &str, cause: &str, words: &[&str]) -> Value {
        explains(&self.data, client, topic, cause, words)
    }

    /// What the command prints for people.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let output = Command::new(binary())
            .arg("explain")
            .args(arguments)
            .args(["--data", self.data.to_str().unwrap()])
            .output()
            .unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.data));
    }
}

pub(crate) fn lasting(name: &str) -> Connect {
    Connect::new(Version::V5, name).lasting(1000)
}

pub(crate) fn qos1(topic: &str) -> Publish {
    Publish::new(topic, "message").qos(1, 1)
}

/// A server that asks who comes, and takes anybody who shows nothing; what they may do stands in its rules.
pub(crate) struct Guarded {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    config: PathBuf,
}

impl Guarded {
    pub(crate) fn new(rules: &str, config: &str) -> Self {
        let data = fresh_directory();
        let file = data.with_extension("toml");
        fs::write(data.join("access.toml"), rules).unwrap();
        let listener = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = [\"anonymous\"]\n";
        fs::write(&file, format!("{config}\n{listener}")).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--shards", "2"]).arg("--data").arg(&data).arg("--config").arg(&file);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        for line in lines {
            if let Some(text) = line.strip_prefix("dunlin: listening on tcp://") {
                address = text.parse().unwrap();
            }
            if line == "dunlin: accepting connections" {
                return Self { child, address, data, config: file };
            }
        }
        drop(child.kill());
        drop(child.wait());
        panic!("dunlin serve does not accept connections");
    }

    pub(crate) fn client(&self, name: &str) -> Wire {
        let connect = Connect::new(Version::V5, name);
        let mut wire = Wire::open(self.address, Version::V5);
        wire.send(connect.bytes());
        assert_eq!(wire.expect_connack().code, 0, "{name}");
        wire
    }

    #[track_caller]
    pub(crate) fn explains(&self, client: &str, topic: &str, cause: &str, words: &[&str]) -> Value {
        explains(&self.data, client, topic, cause, words)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.data));
        drop(fs::remove_file(&self.config));
    }
}

#[track_caller]
fn explains(data: &Path, client: &str, topic: &str, cause: &str, words: &[&str]) -> Value {
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = ask(data, client, topic);
        let said = format!("{} {}", answer["summary"], answer["advice"]).replace('\\', "");
        let is_it = answer["cause"] == cause && words.iter().all(|word| said.contains(word));
        if is_it {
            assert!(!answer["advice"].as_array().unwrap().is_empty() || cause == "written", "{answer:#}");
            return answer;
        }
        assert!(Instant::now() < until, "expected {cause} with {words:?}:\n{answer:#}");
    }
}

fn ask(data: &Path, client: &str, topic: &str) -> Value {
    let output = Command::new(binary())
        .args(["explain", "--json", "--client", client, "--topic", topic])
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{complaint}"))
}

fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("dunlin-explain-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}
