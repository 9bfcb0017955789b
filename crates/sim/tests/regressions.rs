//! Seeds that failed once, and that a run is repeatable.

use dunlin_sim::{Options, run};

/// Each with what it found.
const SEEDS: [(u64, &str); 0] = [];

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, found) in SEEDS {
        if let Err(failure) = run(seed, &Options::default()) {
            panic!("it found before: {found}\n{failure}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [1, 2, 3] {
        let run = || run(seed, &Options::default()).map_err(|failure| (failure.rule, failure.detail));
        let first = run();
        assert_eq!(first, run());
        assert_ne!(first.ok().map(|summary| summary.trace_hash), Some(0));
    }
}
