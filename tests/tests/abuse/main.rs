//! Attacks beside a healthy pair: all its messages arrive, the memory stays below its ceiling, and a bound says that it held.
//!
//! How long the pair's messages take is measured by `cargo run --release -p dunlin-tests --example abuse`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod attacks;
mod house;
mod passwords;
mod rates;
mod rights;
mod rivals;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use attacks::Attack;
use house::{CEILING, House, Pair};

/// Round trips beside an attack.
const TRIPS: u32 = 100;
/// For the bound to be met and all of them.
const LIMIT: Duration = Duration::from_secs(60);
/// One at a time: each takes what there is.
static ALONE: Mutex<()> = Mutex::new(());

fn withstand(name: &str) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Attack { run, bound, most, .. } =
        attacks::ALL.iter().find(|attack| attack.name == name).expect("that attack");
    let house = House::new();
    let mut pair = Pair::new(&house.broker);
    pair.trip();
    let before = house.count(bound);
    let (target, stop) = (house.target, AtomicBool::new(false));
    thread::scope(|scope| {
        let attack = scope.spawn(|| run(&target, &stop));
        let end = Instant::now() + LIMIT;
        let (mut trips, mut peak) = (0, 0);
        let mut looked = Instant::now();
        let mut after = before;
        while trips < TRIPS || after == before {
            // Whatever happens, the attack ends before this does.
            let guard = Stopping(&stop);
            assert!(Instant::now() < end, "{trips} round trips, {bound} is {after} as it was");
            pair.trip();
            trips += 1;
            peak = peak.max(house.resident());
            if looked.elapsed() > Duration::from_millis(200) {
                (after, looked) = (house.count(bound), Instant::now());
                assert!(after <= *most, "{bound} is {after}, not {most} at most");
            }
            assert!(peak < CEILING, "{peak} bytes resident");
            std::mem::forget(guard);
        }
        stop.store(true, Ordering::Release);
        attack.join().unwrap();
        eprintln!("{name}: {trips} round trips, {} MiB, {bound} from {before} to {after}", peak >> 20);
    });
    // And afterwards everything is as it was.
    pair.trip();
}

/// Stops the attack when an expectation fails.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

macro_rules! attacks {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            withstand($name);
        })*

        #[test]
        fn none_is_forgotten() {
            assert_eq!(attacks::ALL.iter().map(|attack| attack.name).collect::<Vec<_>>(), [$($name),*]);
        }
    };
}

attacks! {
    a_flood_of_connections: "connect flood",
    handshakes_that_do_not_end: "half-open TLS",
    connections_without_connect: "CONNECT never sent",
    a_request_that_never_ends: "slow WebSocket request",
    garbage_instead_of_a_header: "garbage for the PROXY protocol",
    readers_that_do_not_read: "slow readers",
    a_flood_of_messages: "message flood",
    retained_messages_without_end: "retained bomb",
    large_packets: "payload bomb",
    properties_without_end: "property bomb",
    filters_that_match_everything: "wildcard bomb",
    exchanges_that_do_not_end: "QoS 2 never released",
    clients_that_fight: "client identifier fight",
}
