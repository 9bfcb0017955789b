//! Work whose instructions are counted: `valgrind --tool=callgrind --toggle-collect='*measured*' counts NAME`.
//!
//! In:    the name of a piece of work, or nothing.
//! Out:   how many units of it were done; without a name, all names.
//! Never: threads, clocks, randomness: the count of a build is the same every time, on any machine of its kind.

mod codec;
mod log;
mod rig;
mod traffic;

use std::process::ExitCode;

/// A piece of work; it returns how many units it did.
type Work = fn() -> u64;

/// What is counted. Only what runs inside of functions named `measured` is.
const WORK: [(&str, Work); 27] = [
    ("codec: decode PUBLISH", codec::decode),
    ("codec: encode PUBLISH", codec::encode),
    ("fan-in q0", || traffic::fan_in(0)),
    ("fan-in q1", || traffic::fan_in(1)),
    ("fan-in q2", || traffic::fan_in(2)),
    ("fan-out q0", || traffic::fan_out(0)),
    ("fan-out q1", || traffic::fan_out(1)),
    ("fan-out q2", || traffic::fan_out(2)),
    ("pairs q0", || traffic::pairs(0, 1)),
    ("pairs q1", || traffic::pairs(1, 1)),
    ("pairs q0 over 2 shards", || traffic::pairs(0, 2)),
    ("pairs q1 over 2 shards", || traffic::pairs(1, 2)),
    ("pairs q0 over 16 shards", || traffic::pairs(0, 16)),
    ("pairs q1 over 16 shards", || traffic::pairs(1, 16)),
    ("pairs q0 over 64 shards", || traffic::pairs(0, 64)),
    ("pairs q1 over 64 shards", || traffic::pairs(1, 64)),
    ("shared group q1", || traffic::shared(1)),
    ("one message a write", traffic::one_by_one),
    ("route a new topic through 100,000 wildcards", traffic::wildcards),
    ("route a new topic past 1,024 near misses", traffic::near_misses),
    ("subscribe", traffic::subscribe),
    ("connect and disconnect", traffic::connect),
    ("queue for an offline Session, with a log", traffic::offline),
    ("pass on to a kept Session that acknowledges at once", || traffic::prompt(false)),
    ("pass on to a kept Session that acknowledges at once, with a log", || traffic::prompt(true)),
    ("pass on to a kept Session that is there, with a log", traffic::kept),
    ("log: append and write", log::append),
];

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        WORK.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, work)) = WORK.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("counts: there is no {wanted:?}; without an argument it lists what there is");
        return ExitCode::from(2);
    };
    println!("{}", work());
    ExitCode::SUCCESS
}
