//! Shows the run of one seed: `cargo run -p dunlin-sim --bin replay -- SEED [LINES]`; `DUNLIN_SIM_JOURNAL=1` gives it a journal.

use std::io::{self, Write};
use std::process::ExitCode;

use dunlin_sim::{Options, replay};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(seed) = arguments.next().and_then(|seed| seed.parse().ok()) else {
        let _ = writeln!(io::stderr(), "usage: replay SEED [LINES]");
        return ExitCode::from(2);
    };
    let lines = arguments.next().and_then(|lines| lines.parse().ok()).unwrap_or(usize::MAX);
    let journal = std::env::var("DUNLIN_SIM_JOURNAL").ok().map(|text| text != "0");
    let (result, events) = replay(seed, &Options { journal, ..Options::default() }, lines);
    let mut out = io::stdout().lock();
    for event in events {
        // A reader that has seen enough closes the pipe.
        if writeln!(out, "{event}").is_err() {
            return ExitCode::SUCCESS;
        }
    }
    let (text, code) = match result {
        Ok(summary) => (format!("seed {seed}: no rule was broken\n{summary:#?}"), ExitCode::SUCCESS),
        Err(failure) => (format!("seed {seed}: {}\n  {}", failure.rule, failure.detail), ExitCode::FAILURE),
    };
    let _ = writeln!(out, "{text}");
    code
}
