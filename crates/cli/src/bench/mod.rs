//! `dunlin bench`: load for one broker or several in turn, and what became of every message.
//!
//! In:    a scenario and flags.
//! Out:   tables or JSON on standard output, a drawing in a file, progress on a terminal, an exit code.
//! Never: a comparison of brokers that were not measured in the same session, in turn.

mod args;
mod chart;
mod json;
mod number;
mod progress;
mod table;
mod versus;

pub(crate) use args::Bench;

use crate::say;
use progress::Bar;
use versus::Comparison;

/// Messages were lost, doubled, out of order, or connections cut.
const BROKEN: u8 = 10;

/// The end of `--help`; docs/bench.md has the same list.
pub(crate) const HELP: &str = "\
Examples:
  dunlin bench fan-in -q 1
  dunlin bench pairs -r 20000 -t 10                latencies at a fixed rate
  dunlin bench fan-out --name dunlin --vs mosquitto=localhost:1884 --svg fan-out.svg

Exit codes:
  0   done
  1   it could not be measured
  2   the command line cannot be understood, or a bound is exceeded
  10  lost, duplicated or disordered messages at QoS 1 or 2; messages refused or for somebody else; connections cut";

/// Why there is no result.
enum Failure {
    Usage(String),
    Failed(String),
}

impl Bench {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        let (text, code) = match self.compare() {
            Ok(comparison) => match self.show(&comparison) {
                Ok(()) if comparison.is_broken() => return BROKEN,
                Ok(()) => return 0,
                Err(text) => (text, 1),
            },
            Err(Failure::Usage(text)) => (text, 2),
            Err(Failure::Failed(text)) => (text, 1),
        };
        say::error(&text);
        code
    }

    /// Measures every broker in every round; who begins changes from round to round.
    fn compare(&self) -> Result<Comparison, Failure> {
        let targets = self.targets();
        let plans: Result<Vec<_>, _> = targets.iter().map(|target| self.plan(target)).collect();
        let plans = plans.map_err(Failure::Usage)?;
        for plan in &plans {
            plan.check().map_err(|error| Failure::Usage(error.to_string()))?;
        }
        let mut comparison = Comparison::new(&targets);
        let rounds = self.rounds();
        for round in 0..rounds as usize {
            for turn in 0..targets.len() {
                let which = (round + turn) % targets.len();
                let mut plan = plans[which].clone();
                plan.run = u32::try_from(dunlin_client::random_seed() >> 32).unwrap_or(0);
                let name = &targets[which].name;
                let mut bar = Bar::new(name, round, rounds, self.quiet);
                let report = dunlin_bench::run(&plan, &mut |progress| bar.show(progress));
                bar.clear();
                let report = report.map_err(|error| Failure::Failed(format!("{name}: {error}")))?;
                comparison.add(which, report);
            }
        }
        Ok(comparison)
    }

    fn show(&self, comparison: &Comparison) -> Result<(), String> {
        if self.json {
            say::line(&json::write(comparison)?);
        } else {
            say::line(&table::write(comparison));
        }
        if !self.quiet {
            comparison.warnings().iter().for_each(|warning| say::warning(warning));
        }
        let Some(path) = &self.svg else { return Ok(()) };
        std::fs::write(path, chart::draw(comparison, self.theme))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manual_names_every_exit_code() {
        let manual = include_str!("../../../../docs/bench.md");
        for code in ["0", "1", "2", "10"] {
            assert!(super::HELP.contains(&format!("\n  {code} ")), "--help lacks {code}");
            assert!(manual.contains(&format!("| {code} |")), "docs/bench.md lacks {code}");
        }
    }
}
