//! A `dunlin` process, ended with the test that started it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(20);

/// `dunlin` with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs to the end, which has this exit code; what it wrote on standard error.
#[track_caller]
pub(crate) fn fails(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty());
    error
}

/// A file that goes with the test.
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(crate) fn new(text: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = Self(env::temp_dir().join(format!("dunlin-cli-{}-{number}.toml", process::id())));
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A running `dunlin serve`.
pub(crate) struct Broker {
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
    addresses: Vec<SocketAddr>,
}

impl Broker {
    /// `dunlin serve --dev` with these arguments, accepting.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(&[&["serve", "--dev"], arguments].concat()))
    }

    /// This command, accepting.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::spawn_logging_elsewhere(command)
    }

    /// This command, accepting; where its log goes is the command's affair.
    #[track_caller]
    pub(crate) fn spawn_logging_elsewhere(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = child.stderr.take().map_or_else(|| channel().1, lines);
        let mut broker = Self { child, out, log, addresses: Vec::new() };
        loop {
            let line = broker.out.recv_timeout(DEADLINE).unwrap_or_else(|_| broker.died());
            if line == "dunlin: accepting connections" {
                return broker;
            }
            if line.starts_with("dunlin: API on ") {
                continue;
            }
            let address = line.strip_prefix("dunlin: listening on tcp://").expect(&line);
            broker.addresses.push(address.parse().expect(&line));
        }
    }

    /// Where it says that it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads the log from here, where it goes elsewhere.
    pub(crate) fn read_log(&mut self, pipe: impl Read + Send + 'static) {
        self.log = lines(pipe);
    }

    /// The next line of the log that has this text in it.
    #[track_caller]
    pub(crate) fn logged(&self, text: &str) -> String {
        self.logged_until(text).pop().unwrap()
    }

    /// The next lines of the log; the last one is the first that has this text in it.
    #[track_caller]
    pub(crate) fn logged_until(&self, text: &str) -> Vec<String> {
        let until = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(text)) {
                return seen;
            }
        }
        panic!("{text:?} is not logged, but\n{}", seen.join("\n"));
    }

    /// Its exit code, once it has ended by itself.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        match self.out.recv_timeout(DEADLINE) {
            Err(RecvTimeoutError::Disconnected) => self.child.wait().unwrap(),
            Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            Ok(line) => panic!("it says {line:?} and does not end"),
        }
    }

    fn died(&mut self) -> ! {
        let _ = self.child.kill();
        panic!("it does not accept:\n{}", self.log.iter().collect::<Vec<_>>().join("\n"));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines as they come.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
