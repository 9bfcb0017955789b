//! The round trip of a healthy pair, without and beside each attack: QoS 1, from publishing to PUBACK and the message at the
//! subscriber.
//!
//! `cargo run --release -p dunlin-tests --example abuse -- [SECONDS [ATTACK]]`. The broker, `DUNLIN_BIN` or the one of the same
//! build, is started anew for each attack; before it, and with it, the pair is measured for so many seconds (3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/abuse/attacks.rs"]
mod attacks;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/abuse/house.rs"]
mod house;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use house::{CEILING, House, Pair};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(3.0, |seconds| seconds.parse().expect("seconds"));
    let only = arguments.next();
    let time = Duration::from_secs_f64(seconds);
    println!(
        "| attack | without: median, ms | 99 of 100 | with: median, ms | 99 of 100 | highest, MiB of {} |",
        CEILING >> 20
    );
    println!("|---|---|---|---|---|---|");
    for attack in attacks::ALL.iter().filter(|attack| only.as_ref().is_none_or(|only| only == attack.name)) {
        let house = House::new();
        let mut pair = Pair::new(&house.broker);
        measure(&house, &mut pair, time / 4);
        let (without, _) = measure(&house, &mut pair, time);
        let (target, stop) = (house.target, AtomicBool::new(false));
        let (with, peak) = thread::scope(|scope| {
            scope.spawn(|| (attack.run)(&target, &stop));
            // It is under way.
            measure(&house, &mut pair, time / 4);
            let measured = measure(&house, &mut pair, time);
            stop.store(true, Ordering::Release);
            measured
        });
        let [a, b, c, d] = [part(&without, 50), part(&without, 99), part(&with, 50), part(&with, 99)];
        println!("| {} | {a:.2} | {b:.2} | {c:.2} | {d:.2} | {} |", attack.name, peak >> 20);
    }
}

/// Round trips in order of their length, and the most memory that was seen.
fn measure(house: &House, pair: &mut Pair, time: Duration) -> (Vec<Duration>, u64) {
    let (began, mut trips, mut peak) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < time || trips.is_empty() {
        trips.push(pair.trip());
        if trips.len() % 16 == 1 {
            peak = peak.max(house.resident());
        }
    }
    trips.sort_unstable();
    (trips, peak)
}

/// In milliseconds.
fn part(trips: &[Duration], percent: usize) -> f64 {
    trips[(trips.len() * percent / 100).min(trips.len() - 1)].as_secs_f64() * 1_000.0
}
