//! Many seeds: `DUNLIN_SEEDS=N` runs the first N (default 1,000), `DUNLIN_SEED=S` only S, `DUNLIN_FIRST_SEED=S` begins at S;
//! `DUNLIN_SIM_JOURNAL=1` gives all of them a journal, `=0` none.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use dunlin_sim::{Failure, Options, Summary, run};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    assert!(number.is_ok(), "{name}={text} is no number");
    number.ok()
}

fn options() -> Options {
    Options { journal: number("DUNLIN_SIM_JOURNAL").map(|journal| journal > 0), ..Options::default() }
}

#[test]
fn every_seed_keeps_every_rule() {
    if let Some(seed) = number("DUNLIN_SEED") {
        match run(seed, &options()) {
            Ok(summary) => return eprintln!("{summary:#?}"),
            Err(failure) => panic!("{failure}"),
        }
    }
    let first = number("DUNLIN_FIRST_SEED").unwrap_or(0);
    let count = number("DUNLIN_SEEDS").unwrap_or(1000);
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let ran = AtomicU64::new(0);
    let reached = [const { AtomicU64::new(0) }; 3];
    let work = || {
        let mut failures: Vec<Box<Failure>> = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            match run(seed, &options()) {
                Ok(Summary { crashes, full, checkpoints, .. }) => {
                    for (sum, count) in reached.iter().zip([crashes, full, checkpoints]) {
                        sum.fetch_add(count, Ordering::Relaxed);
                    }
                }
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    failures.push(failure);
                }
            }
            ran.fetch_add(1, Ordering::Relaxed);
        }
        failures
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    eprintln!("{} seeds ran, from {first} on", ran.load(Ordering::Relaxed));
    assert!(
        failures.is_empty(),
        "{}",
        failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    );
    let is_all = count < 500 || options().journal == Some(false);
    assert!(
        is_all || reached.iter().all(|sum| sum.load(Ordering::Relaxed) > 0),
        "no crash, no full log, or no checkpoint in all the seeds: {reached:?}"
    );
}
