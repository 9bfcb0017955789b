//! The broker as a process: started on a free port, heard, ended by its own process id.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::{Connect, DEADLINE, Version, Wire};

/// A started broker; dropping it kills the process.
pub struct Broker {
    child: Child,
    address: SocketAddr,
    urls: Vec<String>,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    config: Option<PathBuf>,
    /// Its data, where it is tried with some.
    data: Option<PathBuf>,
}

impl Broker {
    /// Starts `dunlin serve --dev` on a free loopback port with `arguments` added, and waits until it accepts.
    ///
    /// # Panics
    /// When it does not accept within the deadline; the message holds what it logged.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        Self::launch(&[&["--listen", "127.0.0.1:0"], arguments].concat(), None, true)
    }

    /// Starts `dunlin serve` on a data directory, where clients have to show who they are, with `toml` as its configuration, and waits
    /// until it accepts. One of the listeners is on a TCP port.
    ///
    /// # Panics
    /// As [`Broker::start_with_config`].
    #[track_caller]
    pub fn start_secured(data: &Path, toml: &str) -> Self {
        let data = data.to_str().expect("a path that is text");
        Self::launch(&["--data", data], Some(Self::configuration(toml)), false)
    }

    /// As [`Broker::start`], with `toml` as its configuration file.
    ///
    /// # Panics
    /// When the file cannot be written, or the broker does not accept.
    #[track_caller]
    pub fn start_with_config(toml: &str, arguments: &[&str]) -> Self {
        let path = Self::configuration(toml);
        Self::launch(&[&["--listen", "127.0.0.1:0"], arguments].concat(), Some(path), true)
    }

    /// Starts `dunlin serve --dev` with the listeners of `toml` only, one of them on a TCP port, and waits until it accepts.
    ///
    /// # Panics
    /// As [`Broker::start_with_config`].
    #[track_caller]
    pub fn start_with_listeners(toml: &str, arguments: &[&str]) -> Self {
        Self::launch(arguments, Some(Self::configuration(toml)), true)
    }

    fn configuration(toml: &str) -> PathBuf {
        let path = fresh_path("toml");
        std::fs::write(&path, toml).expect("the configuration file cannot be written");
        path
    }

    #[track_caller]
    fn launch(arguments: &[&str], config: Option<PathBuf>, is_open: bool) -> Self {
        let binary = binary();
        let mut command = Command::new(&binary);
        command.arg("serve").args(is_open.then_some("--dev")).args(arguments);
        if let Some(path) = &config {
            command.arg("--config").arg(path);
        }
        // The same conversations with a log as without.
        let data = std::env::var_os("DUNLIN_TEST_DATA")
            .filter(|_| !arguments.contains(&"--data"))
            .map(|_| fresh_path("data"));
        if let Some(path) = &data {
            command.arg("--data").arg(path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{} cannot be started ({error}); build it: cargo build -p dunlin", binary.display())
        });

        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("stderr is piped");
        let sink = Arc::clone(&log);
        thread::spawn(move || collect(stderr, &sink));

        let stdout = child.stdout.take().expect("stdout is piped");
        let (send, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });

        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut broker = Self { child, address, urls: Vec::new(), lines, log, config, data };
        broker.await_accepting();
        broker
    }

    #[track_caller]
    fn await_accepting(&mut self) {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains("accepting connections") => {
                    let tcp = self.urls.iter().find_map(|url| url.strip_prefix("tcp://"));
                    let tcp = tcp.unwrap_or_else(|| panic!("no listener was named\n{}", self.log()));
                    self.address = tcp.parse().expect("a listener's address");
                    return;
                }
                Ok(line) => {
                    self.urls.extend(line.strip_prefix("dunlin: listening on ").map(str::to_owned));
                    self.urls.extend(line.strip_prefix("dunlin: metrics on ").map(str::to_owned));
                }
                Err(Timeout) => {
                    panic!("the broker did not accept within {DEADLINE:?}\n{}", self.log())
                }
                Err(Disconnected) => panic!("the broker ended early\n{}", self.log()),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of its first listener of a scheme: `tls`, `ws` and so on.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn port(&self, scheme: &str) -> u16 {
        let of_scheme =
            |url: &String| url.strip_prefix(scheme)?.strip_prefix("://")?.rsplit(':').next()?.parse().ok();
        self.urls.iter().find_map(of_scheme).unwrap_or_else(|| panic!("no {scheme} among {:?}", self.urls))
    }

    /// Where its metrics are, as HOST:PORT; `None` where it shows none.
    pub fn metrics(&self) -> Option<&str> {
        self.urls.iter().find_map(|url| url.strip_prefix("http://")?.strip_suffix("/metrics"))
    }

    /// The URLs of its listeners of a scheme.
    pub fn urls(&self, scheme: &str) -> Vec<String> {
        self.urls.iter().filter(|url| url.starts_with(&format!("{scheme}://"))).cloned().collect()
    }

    /// Waits until the log has a line with this text, and returns that line.
    ///
    /// # Panics
    /// When none comes within the deadline.
    #[track_caller]
    pub fn logged(&self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            thread::yield_now();
        }
        panic!("{text:?} is not logged, but\n{}", self.log());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|text| text.clone()).unwrap_or_default()
    }

    /// Sends a signal by name (`TERM`, `INT`, `HUP`).
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill cannot be run");
        assert!(status.success(), "kill -{name} failed");
    }

    /// Writes its configuration file anew and asks it to read that.
    ///
    /// # Panics
    /// When it was started without one.
    pub fn reload(&self, toml: &str) {
        let path = self.config.as_ref().expect("a configuration file");
        std::fs::write(path, toml).expect("the configuration file cannot be written");
        self.signal("HUP");
    }

    /// Waits for the process to end.
    ///
    /// # Panics
    /// When it still runs after twice the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE * 2;
        // Its standard output closes when it ends.
        while self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) != Err(Disconnected) {
            assert!(Instant::now() < until, "the broker did not end\n{}", self.log());
        }
        self.child.wait().expect("the broker can be waited for")
    }

    /// A TCP connection on which nothing has been said; `version` tells how to read the answers.
    pub fn open(&self, version: Version) -> Wire {
        Wire::open(self.address, version)
    }

    /// A Client that is connected with a new Session and no Keep Alive.
    #[track_caller]
    pub fn connect(&self, version: Version, client_id: &str) -> Wire {
        self.connect_with(&Connect::new(version, client_id))
    }

    /// A Client whose CONNECT was accepted.
    ///
    /// # Panics
    /// When the CONNACK refuses.
    #[track_caller]
    pub fn connect_with(&self, connect: &Connect) -> Wire {
        let mut wire = self.open(connect.version);
        wire.send(connect.bytes());
        let connack = wire.expect_connack();
        assert_eq!(connack.code, 0, "CONNECT was refused: {connack:?}");
        wire.connack = Some(connack);
        wire
    }

    /// Returns when the broker has seen a second and a half pass: it has closed a Client of Keep Alive 1.
    #[track_caller]
    pub fn pass_a_moment(&self) {
        let mut clock = self.connect_with(&Connect::new(Version::V311, "clock").keep_alive(1));
        clock.expect_closed_within(DEADLINE * 3);
    }

    /// Sends a CONNECT that must be refused and returns the code of the CONNACK, after the connection has closed.
    #[track_caller]
    pub fn refused(&self, connect: &[u8], version: Version) -> u8 {
        let mut wire = self.open(version);
        wire.send(connect);
        let connack = wire.expect_connack();
        assert!(!connack.session_present, "a refusal with Session Present: {connack:?}");
        wire.expect_closed();
        connack.code
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(path) = &self.config {
            drop(std::fs::remove_file(path));
        }
        if let Some(path) = &self.data {
            drop(std::fs::remove_dir_all(path));
        }
        if thread::panicking() {
            let mut error = std::io::stderr();
            drop(writeln!(error, "---- the broker logged:\n{}", self.log()));
        }
    }
}

/// A path that nothing has, in the directory for such.
fn fresh_path(extension: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("dunlin-test-{}-{number}.{extension}", std::process::id()))
}

fn collect(mut from: impl Read, into: &Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if let Ok(mut text) = into.lock() {
            text.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    }
}

/// The built `dunlin`: the test executable lies in `target/PROFILE/deps`, the broker in `target/PROFILE`.
///
/// # Panics
/// Where the test executable lies elsewhere.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DUNLIN_BIN") {
        return path.into();
    }
    let executable = std::env::current_exe().expect("the test knows its own path");
    let profile = executable.ancestors().nth(2).expect("the test lies in target/PROFILE/deps");
    profile.join("dunlin")
}
