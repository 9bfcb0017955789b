//! The broker under test: a process that is started from a template, killed, and started again.
//!
//! In:    a command line with placeholders; a port; a directory.
//! Out:   a broker that accepts connections, or why it does not.
//! Never: a shell, or a kind word before the kill: SIGKILL, to the process and all it started.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::rng::Rng;

/// How long it may take to accept connections after a start.
const START: Duration = Duration::from_secs(60);
/// How often a start is tried: the system may still be busy with the end of the last process.
const TRIES: u32 = 3;

/// Why a broker cannot be tested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// The command line of `--start`.
    #[error("--start: {0}")]
    Template(String),
    /// A file.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// It ended by itself.
    #[error("the broker ended by itself ({status}); what it said is in {}", .log.display())]
    Ended { status: String, log: PathBuf },
    /// It does not listen.
    #[error("the broker does not accept connections on port {port} within {} s; what it said is in {}", START.as_secs(), .log.display())]
    Silent { port: u16, log: PathBuf },
}

/// A broker and how to start it.
#[derive(Debug)]
pub(crate) struct Broker {
    command: Vec<String>,
    port: u16,
    log: PathBuf,
    child: Option<Child>,
}

impl Broker {
    /// Fills in the template: `{port}`, `{data}`, and `{config}`, a copy of `config` with the same filled in.
    pub(crate) fn new(
        template: &str,
        config: Option<&Path>,
        port: u16,
        home: &Path,
    ) -> Result<Self, BrokerError> {
        let data = home.join("data");
        make(&data)?;
        let data = fs::canonicalize(&data).unwrap_or(data);
        let file = home.join("config");
        let fill = |text: &str| {
            let text = text.replace("{port}", &port.to_string());
            text.replace("{data}", &data.to_string_lossy()).replace("{config}", &file.to_string_lossy())
        };
        if let Some(config) = config {
            let failed = |source| BrokerError::Io { what: config.display().to_string(), source };
            let text = fs::read_to_string(config).map_err(failed)?;
            fs::write(&file, fill(&text)).map_err(failed)?;
        } else if template.contains("{config}") {
            return Err(BrokerError::Template("{config} needs --config".to_owned()));
        }
        let command: Vec<String> = words(template)?.iter().map(|word| fill(word)).collect();
        if command.is_empty() {
            return Err(BrokerError::Template("no command".to_owned()));
        }
        Ok(Self { command, port, log: home.join("broker.log"), child: None })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Starts it and waits until it accepts connections.
    pub(crate) fn start(&mut self) -> Result<(), BrokerError> {
        let mut result = Ok(());
        for _ in 0..TRIES {
            self.spawn()?;
            result = self.accepts();
            if !matches!(result, Err(BrokerError::Ended { .. })) {
                break;
            }
        }
        result
    }

    fn spawn(&mut self) -> Result<(), BrokerError> {
        let failed = |what: &str, source| BrokerError::Io { what: what.to_owned(), source };
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(|e| failed("the broker's log", e))?;
        let errors = log.try_clone().map_err(|e| failed("the broker's log", e))?;
        let child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn();
        self.child = Some(child.map_err(|e| failed(&self.command[0], e))?);
        Ok(())
    }

    fn accepts(&mut self) -> Result<(), BrokerError> {
        let until = Instant::now() + START;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        loop {
            if let Some(status) = self.ended() {
                return Err(BrokerError::Ended { status, log: self.log.clone() });
            }
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(BrokerError::Silent { port: self.port, log: self.log.clone() });
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// How it ended, if nobody killed it.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no status".to_owned(),
        })
    }

    /// SIGKILL. Returns when it has gone.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn make(directory: &Path) -> Result<(), BrokerError> {
    fs::create_dir_all(directory)
        .map_err(|source| BrokerError::Io { what: directory.display().to_string(), source })
}

/// Splits at spaces, except between quotes; a backslash is nothing special.
fn words(line: &str) -> Result<Vec<String>, BrokerError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(BrokerError::Template("a quotation mark is missing".to_owned()));
    }
    words.extend(word);
    Ok(words)
}

/// A free port from which no outgoing connection starts: while the broker is down, a client that connects to a port of
/// that kind can be given the same port and connect to itself.
pub(crate) fn free_port(rng: &mut Rng) -> Result<u16, BrokerError> {
    let mut tries = (0..1000).map(|_| u16::try_from(rng.between(12_000, 31_000)).unwrap_or(12_000));
    tries.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).ok_or_else(|| {
        BrokerError::Io { what: "no free port".to_owned(), source: io::ErrorKind::AddrInUse.into() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_at_spaces_outside_of_quotes() {
        assert_eq!(words("a  b 'c d' \"\" e'f'").unwrap(), ["a", "b", "c d", "", "ef"]);
        assert!(words("a 'b").is_err());
        assert!(words(" ").unwrap().is_empty());
    }
}
