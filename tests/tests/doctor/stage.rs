//! A broker behind a proxy, its clients, and the doctor.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_tests::{Broker, Connect, Publish, Version, Wire, binary};
use serde_json::Value;

pub(crate) const V311: Version = Version::V311;
pub(crate) const V5: Version = Version::V5;

/// What a fixture does.
pub(crate) type Play = fn(&mut Scene<'_>);

pub(crate) struct Stage {
    broker: Broker,
    data: Directory,
    /// Stay connected.
    wires: Vec<Wire>,
}

/// What a fixture has: an address, and a broker.
pub(crate) struct Scene<'a> {
    broker: &'a Broker,
    address: String,
    wires: &'a mut Vec<Wire>,
}

impl Stage {
    pub(crate) fn new(shards: &str) -> Self {
        let data = Directory::new();
        let toml = "[[listener]]\nurl = \"127.0.0.1:0\"\nproxies = [\"127.0.0.0/8\"]\n";
        let arguments = ["--shards", shards, "--data", data.path().to_str().unwrap()];
        let broker = Broker::start_with_listeners(toml, &arguments);
        Self { broker, data, wires: Vec::new() }
    }

    pub(crate) fn play(&mut self, address: &str, play: Play) {
        play(&mut Scene { broker: &self.broker, address: address.to_owned(), wires: &mut self.wires });
    }

    /// The exit code, and what is said as JSON.
    pub(crate) fn examine(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.doctor(&[&["--json"], arguments].concat());
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    pub(crate) fn doctor(&self, arguments: &[&str]) -> (i32, String) {
        let output = dunlin(&self.data, &[&["doctor", "clients"], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text + &String::from_utf8(output.stderr).unwrap())
    }
}

impl Scene<'_> {
    /// What the proxy says: the address of the fixture, or one so many beyond it.
    fn header(&self, port: u16, other: u8) -> String {
        let (network, last) = self.address.rsplit_once('.').unwrap();
        format!("PROXY TCP4 {network}.{} 192.0.2.1 {port} 1883\r\n", last.parse::<u8>().unwrap() + other)
    }

    /// A connection whose CONNECT is accepted.
    pub(crate) fn connect(&mut self, connect: &Connect) -> Wire {
        self.connect_from(connect, 0)
    }

    pub(crate) fn connect_from(&mut self, connect: &Connect, other: u8) -> Wire {
        static PORT: AtomicU64 = AtomicU64::new(1024);
        let port = u16::try_from(PORT.fetch_add(1, Ordering::Relaxed)).unwrap();
        let mut wire = self.broker.open(connect.version);
        wire.send(self.header(port, other));
        wire.send(connect.bytes());
        assert_eq!(wire.expect_connack().code, 0);
        wire
    }

    /// One that stays to the end.
    pub(crate) fn keep(&mut self, wire: Wire) {
        self.wires.push(wire);
    }

    /// A subscriber that stays to the end and is no concern.
    pub(crate) fn subscriber(&mut self, name: &str, filter: &str, qos: u8) {
        let mut wire = self.connect(&steady(V311, name));
        assert_eq!(wire.subscribe(filter, qos), qos);
        self.keep(wire);
    }
}

/// Keep Alive as it should be.
pub(crate) fn steady(version: Version, client_id: impl AsRef<[u8]>) -> Connect {
    Connect::new(version, client_id).keep_alive(60)
}

/// With a Will on its state.
pub(crate) fn with_will(version: Version, client_id: &str) -> Connect {
    steady(version, client_id).will(Publish::new(format!("{client_id}/state"), "offline").retain())
}

/// The transport ends without DISCONNECT, and the broker has noticed.
pub(crate) fn lose(mut wire: Wire) {
    wire.half_close();
    wire.expect_closed();
}

/// Publishes so many messages, each with its handshake; the broker has seen them all.
pub(crate) fn publish(wire: &mut Wire, count: u16, message: impl Fn(u16) -> Publish) {
    for number in 1..=count {
        wire.publish(&message(number));
    }
    wire.ping();
}

/// Whom a finding is about, and what it is. Of an address, the fixture that has it.
pub(crate) fn told(finding: &Value) -> (String, String) {
    let text = |key: &str| finding[key].as_str().unwrap().to_owned();
    let who = text("who");
    let who = who.strip_prefix("client ").map_or_else(|| who.clone(), str::to_owned);
    let who = if who.starts_with("address 198.51.100.") { format!("bad-{who}") } else { who };
    (who, text("check"))
}

pub(crate) fn dunlin(data: &Directory, arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).arg("--data").arg(data.path()).output().unwrap()
}

/// Removed with all that is in it when this is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dunlin-doctor-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
