//! The programs that the tests run, and what they share.

use std::io::{BufRead, BufReader, Lines};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use dunlin_security::identity::{Attempt, Denial, Grant, Outcome, Secret};

/// A folder for one test, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dunlin-identity-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A script of tests/clients/python, in the environment that `make setup-tests` made.
pub(crate) fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(root.join(".venv/bin/python"));
    command.arg(root.join("tests/clients/python").join(script));
    command
}

/// What a program prints, which must succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup-tests`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A program that talks by lines, ended with the test.
pub(crate) struct Talker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup-tests`"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("the program has more to say").unwrap()
    }

    pub(crate) fn say(&mut self, line: &str) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn attempt() -> Attempt {
    Attempt {
        is_assigned: false,
        listener: "tls".into(),
        address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        client_id: "sensor-1".into(),
        username: None,
        password: None,
        certificate: None,
        method: None,
        now: SystemTime::now(),
    }
}

pub(crate) fn login(username: &str, password: &str) -> Attempt {
    Attempt { username: Some(username.into()), password: Some(Secret::new(password.as_bytes())), ..attempt() }
}

#[track_caller]
pub(crate) fn granted(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Allow(grant) => grant,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn denied(outcome: Outcome) -> Denial {
    match outcome {
        Outcome::Deny(denial) => denial,
        other => panic!("{other:?}"),
    }
}
