//! Brokers that lose, double, disorder, alter or delay messages: each is found out, and counted exactly.

use std::io;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::{BROKEN, count, liar, measured, only};

/// A run of 400 messages of one publisher for one subscriber.
const RUN: &str = "fan-in --publishers 1 --subscribers 1 -q 1 -V 311 -n 400 --grace 0.5";

/// Runs against a broker that lies; counts of lost, duplicated, disordered and misrouted messages.
fn found(lie: impl FnMut(u64, Vec<u8>) -> io::Result<Vec<Vec<u8>>> + Send + 'static) -> (i32, [u64; 4]) {
    let (code, value) = measured(liar::start(lie), RUN);
    let report = only(&value);
    assert_eq!(count(report, "/sent"), 400);
    assert_eq!(count(report, "/acknowledged"), 400);
    assert_eq!(count(report, "/expected"), 400);
    let lost = count(report, "/faults/lost");
    assert_eq!(count(report, "/delivered"), 400 - lost, "what is not lost was delivered");
    assert_eq!(value["broken"].as_bool(), Some(code == BROKEN));
    let faults = ["lost", "duplicated", "out_of_order", "misrouted"];
    (code, faults.map(|fault| count(report, &format!("/faults/{fault}"))))
}

#[test]
fn an_honest_broker_is_taken_for_one() {
    assert_eq!(found(|_, message| Ok(vec![message])), (0, [0, 0, 0, 0]));
}

#[test]
fn acknowledged_and_not_delivered_is_lost() {
    let lie = |number, message| Ok(if number % 100 == 7 { Vec::new() } else { vec![message] });
    assert_eq!(found(lie), (BROKEN, [4, 0, 0, 0]));
    let lie = |number, message| Ok(if number >= 390 { Vec::new() } else { vec![message] });
    assert_eq!(found(lie), (BROKEN, [10, 0, 0, 0]), "the end is missing");
}

#[test]
fn delivered_twice_is_a_duplicate() {
    let lie = |number, message: Vec<u8>| Ok(vec![message; if number % 50 == 0 { 2 } else { 1 }]);
    assert_eq!(found(lie), (BROKEN, [0, 8, 0, 0]));
    let lie = |number, message: Vec<u8>| Ok(vec![message; if number == 399 { 3 } else { 1 }]);
    assert_eq!(found(lie), (BROKEN, [0, 2, 0, 0]), "the very last one");
}

#[test]
fn two_that_change_places_are_out_of_order() {
    let mut held = None;
    let lie = move |number, message| {
        Ok(match (number % 40, held.take()) {
            (10, _) => {
                held = Some(message);
                Vec::new()
            }
            (_, Some(earlier)) => vec![message, earlier],
            _ => vec![message],
        })
    };
    assert_eq!(found(lie), (BROKEN, [0, 0, 10, 0]));
}

#[test]
fn what_was_altered_is_somebody_elses_and_the_right_one_is_lost() {
    let lie = |number, mut message: Vec<u8>| {
        if number == 5 {
            let payload = message.len() - 64;
            // The run's number.
            message[payload] ^= 0xff;
        }
        Ok(vec![message])
    };
    assert_eq!(found(lie), (BROKEN, [1, 0, 0, 1]));
}

#[test]
fn a_connection_that_is_cut_is_a_fault() {
    let lie = |number, message| {
        if number == 100 { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(vec![message]) }
    };
    let (code, value) = measured(liar::start(lie), RUN);
    let report = only(&value);
    assert_eq!(code, BROKEN);
    assert_eq!(count(report, "/disconnected"), 1);
    assert_eq!(count(report, "/delivered"), 100);
    let said = report["errors"].to_string();
    assert!(said.contains("the broker closed the connection") || said.contains("reset"), "{said}");
}

#[test]
fn loss_at_qos_0_is_counted_and_is_no_fault() {
    let lie = |number, message| Ok(if number == 3 { Vec::new() } else { vec![message] });
    let (code, value) = measured(liar::start(lie), &RUN.replace("-q 1", "-q 0"));
    let report = only(&value);
    assert_eq!((code, count(report, "/faults/lost"), count(report, "/delivered")), (0, 1, 399));
    assert_eq!(value["broken"], false);
}

/// At a fixed rate, a stall counts for every message that was due while it lasted, though none could be written.
#[test]
fn one_stall_counts_for_all_that_it_held_up() {
    let stall = Duration::from_millis(600);
    let (_keep, never) = channel::<()>();
    let lie = move |number, message| {
        if number == 300 {
            // The fault: nothing is read, acknowledged or delivered.
            let _ = never.recv_timeout(stall);
        }
        Ok(vec![message])
    };
    let arguments = "fan-in --publishers 1 --subscribers 1 -q 1 -V 311 -r 1000 -M 4 -t 2 --warm-up 0";
    let (code, value) = measured(liar::start(lie), arguments);
    let report = only(&value);
    assert_eq!(code, 0, "late is not lost: {report:#}");
    let timed = count(report, "/latency/count");
    assert!((1900..=2100).contains(&timed), "all that were due are timed: {timed}");
    // 600 messages waited from 600 ms down to nothing: the slowest tenth, 200, waited 400 ms and more.
    let (p90, worst) = (count(report, "/latency/p90"), count(report, "/latency/maximum"));
    assert!(p90 >= 350_000_000, "p90 is {p90} ns");
    assert!(worst >= 590_000_000, "worst is {worst} ns");
    let wait = count(report, "/wait/p90");
    assert!(wait >= 300_000_000, "they waited here, because the window was full: {wait} ns");
}
