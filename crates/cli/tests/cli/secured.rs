//! A server without `--dev`, its data directory, and the clients that it has given certificates to.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, process};

use crate::process::command;

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("dunlin-secured-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The name of something in it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// `dunlin` with these arguments, in this directory, with `data` below it as its data directory.
    pub(crate) fn dunlin(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.current_dir(&self.0).env("DUNLIN_DATA", self.0.join("data"));
        command
    }

    /// Runs to the end, which is a good one; what it said.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.dunlin(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs to an end with this code; what it complained of.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.dunlin(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", both(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Another program, in this directory.
    pub(crate) fn other(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command
            .output()
            .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run make setup-tests"))
    }

    /// mosquitto_pub as a device whose files are here.
    pub(crate) fn publish(&self, port: u16, device: &str) -> Output {
        let (certificate, key) = (format!("{device}/{device}.crt"), format!("{device}/{device}.key"));
        let (authority, port) = (format!("{device}/authority.crt"), port.to_string());
        let topic = format!("devices/{device}/t");
        self.other(
            "mosquitto_pub",
            &[
                &[
                    "-h",
                    "localhost",
                    "-p",
                    &port,
                    "--cafile",
                    &authority,
                    "--cert",
                    &certificate,
                    "--key",
                    &key,
                ][..],
                &["-i", device, "-t", &topic, "-m", "1", "-q", "1"],
            ]
            .concat(),
        )
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// `dunlin serve` on free ports.
pub(crate) struct Secured {
    child: Child,
    pub(crate) tls: u16,
    /// Everything on standard output, once it accepts and has said how to go on.
    pub(crate) said: String,
}

impl Secured {
    #[track_caller]
    pub(crate) fn start(directory: &Directory) -> Self {
        let mut serve =
            directory.dunlin(&["serve", "--listen", "tls://127.0.0.1:0", "--listen", "wss://127.0.0.1:0"]);
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = String::new();
        let is_accepting = lines.by_ref().any(|line| {
            said.push_str(&line);
            said.push('\n');
            line == "dunlin: accepting connections"
        });
        if !is_accepting {
            let mut log = String::new();
            drop(child.kill());
            drop(child.stderr.take().unwrap().read_to_string(&mut log));
            panic!("it does not accept:\n{log}");
        }
        let port = said.lines().find_map(|line| line.strip_prefix("dunlin: listening on tls://127.0.0.1:"));
        let tls = port.unwrap().parse().unwrap();
        Self { child, tls, said }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program said, for a failed test.
pub(crate) fn both(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
