//! Where lines of the log wait for standard error, so that nobody who logs waits for its reader.
//!
//! In:    whole lines, from any thread.
//! Out:   the lines in their order, written by a thread of its own; after a gap, a line that says how many were lost.
//! Never: a thread that logs and waits for a reader; more bytes than [`WAITING_MAXIMUM`], and as many being written.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of the lines that wait. 1 MiB is some 8,000 lines: a second of a busy broker at level debug.
const WAITING_MAXIMUM: usize = 1024 * 1024;

thread_local! {
    /// Is this the thread that writes? What it logs itself it writes at once.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Outlet {
    waiting: Mutex<Waiting>,
    /// There are lines to write.
    filled: Condvar,
    /// The lines that were taken are written.
    written: Condvar,
}

#[derive(Debug)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that did not fit since lines were last taken.
    lost: u64,
    /// Lines that were taken are being written.
    writing: bool,
}

impl Outlet {
    pub(super) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting { lines: Vec::new(), lost: 0, writing: false }),
            filled: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Starts the thread that writes. It ends with the process.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub(super) fn start(&'static self) -> io::Result<()> {
        thread::Builder::new().name("dunlin-log".to_owned()).spawn(|| self.write_for_ever()).map(drop)
    }

    /// Waits until all lines are written, but not longer than this; are they?
    pub(super) fn drain(&self, longest: Duration) -> bool {
        let is_busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let drained = self.written.wait_timeout_while(self.lock(), longest, is_busy);
        !drained.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn write_for_ever(&self) {
        WRITES.set(true);
        let mut lines = Vec::new();
        loop {
            let lost = self.take(&mut lines);
            // Lines that cannot be written are lost: there is no other place to say so.
            let _ = io::stderr().write_all(&lines);
            if lost > 0 {
                warn!(target: "dunlin::log", lost, "lines were left out: standard error was not read in time");
            }
        }
    }

    /// Waits for lines and takes them all; how many were lost behind them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        lines.clear();
        let mut waiting = self.lock();
        waiting.writing = false;
        self.written.notify_all();
        let mut waiting = self
            .filled
            .wait_while(waiting, |waiting| waiting.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        mem::swap(&mut waiting.lines, lines);
        mem::take(&mut waiting.lost)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > WAITING_MAXIMUM {
            waiting.lost += 1;
            return;
        }
        if waiting.lines.is_empty() {
            self.filled.notify_one();
        }
        waiting.lines.extend_from_slice(line);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MakeWriter<'_> for &'static Outlet {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self
    }
}

/// Each write is a whole line: the formatter makes it in memory first.
impl Write for &Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if WRITES.get() {
            io::stderr().write_all(line)?;
        } else {
            self.add(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_do_not_fit_are_counted_once_and_then_there_is_room_again() {
        let outlet = Outlet::new();
        let half = vec![b'x'; WAITING_MAXIMUM / 2];
        for _ in 0..5 {
            outlet.add(&half);
        }
        let mut lines = Vec::new();
        assert_eq!(outlet.take(&mut lines), 3);
        assert_eq!(lines.len(), WAITING_MAXIMUM);

        outlet.add(b"a\n");
        outlet.add(b"b\n");
        assert_eq!(outlet.take(&mut lines), 0);
        assert_eq!(lines, b"a\nb\n");
    }

    #[test]
    fn it_is_drained_when_what_was_taken_is_written_too() {
        let outlet = Outlet::new();
        assert!(outlet.drain(Duration::ZERO));
        outlet.add(b"a\n");
        assert!(!outlet.drain(Duration::ZERO));
        outlet.take(&mut Vec::new());
        assert!(!outlet.drain(Duration::ZERO), "it was taken, but not written");
    }
}
