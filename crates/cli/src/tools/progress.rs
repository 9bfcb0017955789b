//! How far a long input is, on one line of standard error that is written anew.
//!
//! Never: a line where nobody looks: only on a terminal, unless asked for; nothing within the first second.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::say;

/// Before the first line, and between two of them.
const FIRST: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(250);

/// What was published of an input.
pub(crate) struct Progress {
    shown: bool,
    began: Instant,
    due: Instant,
    /// Was a line written?
    written: bool,
    messages: u64,
    bytes: u64,
    /// Bytes or messages that there are, where that is known.
    all: Option<All>,
}

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum All {
    Bytes(u64),
    Messages(u64),
}

impl Progress {
    /// `asked`: also where standard error is no terminal, and from the beginning.
    pub(crate) fn new(asked: bool, quiet: bool, all: Option<All>) -> Self {
        let now = Instant::now();
        let shown = !quiet && (asked || std::io::stderr().is_terminal());
        let due = if asked { now } else { now + FIRST };
        Self { shown, began: now, due, written: false, messages: 0, bytes: 0, all }
    }

    /// A message of that many bytes was handed over.
    pub(crate) fn message(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
        if self.shown && Instant::now() >= self.due {
            self.due = Instant::now() + BETWEEN;
            self.write("\r");
        }
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        if self.written {
            self.write("\n");
        }
    }

    fn write(&mut self, end: &str) {
        // Written over what stands there, which can be longer.
        say::complaint(&format!(
            "\r{}\u{1b}[K{end}",
            line(self.messages, self.bytes, self.all, self.began.elapsed())
        ));
        self.written = true;
    }
}

fn line(messages: u64, bytes: u64, all: Option<All>, span: Duration) -> String {
    let rate = messages * 1000 / u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    let part = match all {
        // Line ends are not part of a message, so the end is a little early.
        Some(All::Bytes(all @ 1..)) => Some((bytes + messages) * 100 / all),
        Some(All::Messages(all @ 1..)) => Some(messages * 100 / all),
        _ => None,
    };
    let part = part.map_or_else(String::new, |part| format!(", {} %", part.min(100)));
    format!("dunlin: {messages} messages, {} KiB, {rate} a second{part}", bytes >> 10)
}

/// Bytes of standard input, where it is a file.
pub(crate) fn of_stdin() -> Option<All> {
    let file = File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    if metadata.is_file() { Some(All::Bytes(metadata.len())) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_and_how_fast() {
        let span = Duration::from_secs(2);
        assert_eq!(line(10, 2048, None, span), "dunlin: 10 messages, 2 KiB, 5 a second");
        assert!(line(10, 90, Some(All::Bytes(200)), span).ends_with(", 50 %"));
        assert!(line(10, 90, Some(All::Messages(40)), span).ends_with(", 25 %"));
        assert!(line(10, 900, Some(All::Bytes(20)), span).ends_with(", 100 %"));
    }
}
