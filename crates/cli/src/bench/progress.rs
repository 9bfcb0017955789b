//! A bar that shows how far a run is: on a terminal only, on standard error, rewritten in place.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use dunlin_bench::Progress;

use crate::say;
use dunlin_bench::short;

const WIDTH: usize = 30;
const EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Bar {
    head: String,
    is_shown: bool,
    last: Option<Instant>,
}

impl Bar {
    pub(crate) fn new(name: &str, round: usize, rounds: u32, quiet: bool) -> Self {
        let head = if rounds == 1 { name.to_owned() } else { format!("{name} {}/{rounds}", round + 1) };
        Self { head, is_shown: !quiet && std::io::stderr().is_terminal(), last: None }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        if !self.is_shown || self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        say::complaint(&format!("\r\x1b[K{}", line(&self.head, progress)));
    }

    pub(crate) fn clear(&mut self) {
        if self.last.take().is_some() {
            say::complaint("\r\x1b[K");
        }
    }
}

fn line(head: &str, progress: Progress) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to the width"
    )]
    let filled = (progress.done.clamp(0.0, 1.0) * WIDTH as f64) as usize;
    let rate = progress.rate.map(|rate| format!("  {}/s", short(rate))).unwrap_or_default();
    format!("{head}  [{}{}] {}{rate}", "=".repeat(filled), " ".repeat(WIDTH - filled), progress.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_run_is_far() {
        let shown = line("a", Progress { step: "measuring", done: 0.5, rate: Some(1234.0) });
        assert_eq!(shown, format!("a  [{}{}] measuring  1.23k/s", "=".repeat(15), " ".repeat(15)));
        let beyond = line("a", Progress { step: "x", done: 7.0, rate: None });
        assert_eq!(beyond, format!("a  [{}] x", "=".repeat(30)));
    }
}
