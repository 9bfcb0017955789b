//! A password from a terminal, unseen.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// Whose terminal it is, wherever standard input and output go.
const TERMINAL: &str = "/dev/tty";

/// Asks until the same was typed twice, three times at most.
///
/// # Errors
/// Where there is no terminal, and where two different things were typed three times.
pub(super) fn twice(what: &str) -> Result<String, Failure> {
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL);
    let mut terminal = terminal.map_err(|_| Failure::NoTerminal)?;
    for _ in 0..3 {
        let first = ask(&mut terminal, what).map_err(|_| Failure::NoTerminal)?;
        let second = ask(&mut terminal, "again").map_err(|_| Failure::NoTerminal)?;
        if first == second && !first.is_empty() {
            return Ok(first);
        }
        let _ = writeln!(terminal, "they are not the same, or empty");
    }
    Err(Failure::Mistyped)
}

fn ask(terminal: &mut File, what: &str) -> io::Result<String> {
    write!(terminal, "{what}: ")?;
    terminal.flush()?;
    let quiet = Quiet::new(terminal)?;
    let mut line = String::new();
    let read = BufReader::new(&*terminal).read_line(&mut line);
    drop(quiet);
    writeln!(terminal)?;
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal: terminal.try_clone()?, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
