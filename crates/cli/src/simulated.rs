//! A crowd of clients that are played within the process: what a million of them cost, where a process may open 20,000 files.
//!
//! In:    how many.
//! Out:   lines on standard output: memory for each, processor time of their CONNECTs, SUBSCRIBEs and pings.
//! Never: in a build without the feature `simulated`.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_runtime::{Crowd, Server, heard, play};

use crate::say;

/// Slots whose clients speak at once.
const STEP: u32 = 1_000;
/// Every client pings so often.
const PING: Duration = Duration::from_secs(60);
const KEEP_ALIVE: u16 = 90;
/// CONNACK, SUBACK and PINGRESP of 3.1.1.
const ANSWERS: [u64; 3] = [4, 5, 2];

/// Lets them come in, and ping as long as the process lives.
pub(crate) fn start(server: &Server, count: u32) {
    if count > 0 {
        play(script);
        let (crowd, shards) = (server.crowd(), server.observer().shards());
        thread::spawn(move || run(&crowd, count, u32::try_from(shards).unwrap_or(1)));
    }
}

fn run(crowd: &Crowd, count: u32, shards: u32) {
    // What the process has is settled then.
    pause(Duration::from_secs(1));
    let empty = resident();
    let who = |number: u32| {
        (SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 | number), 40_000)), client_id(number))
    };
    let begun = processor();
    let mut entered = 0;
    for first in (0..count).step_by(STEP as usize) {
        entered += crowd.enter(first..count.min(first + STEP), who);
        pause(Duration::from_millis(1));
    }
    let entered = entered as u64;
    // Sessions are at home in some shard: none has many more than its share, and slots are used from the first on.
    let slots = count / shards + count / shards / 4 + 2 * STEP;
    let mut told = heard();
    for (what, answer) in ["connected", "subscribed"].into_iter().zip(ANSWERS) {
        speak_all(crowd, slots, Duration::ZERO);
        told += entered * answer;
        wait_for(told);
        let each = (resident().saturating_sub(empty)) / entered.max(1);
        let spent = processor() - begun;
        say::line(&format!(
            "simulated: {entered} {what}, {each} bytes each, {spent:.1?} of processor time\n"
        ));
    }
    loop {
        let (begun, started) = (processor(), Instant::now());
        speak_all(crowd, slots, PING / 2);
        told += entered * ANSWERS[2];
        wait_for(told);
        let (spent, each) = (processor() - begun, resident().saturating_sub(empty) / entered.max(1));
        let took = started.elapsed();
        say::line(&format!(
            "simulated: {entered} pings in {took:.1?}: {spent:.1?} of processor time; {each} bytes each\n"
        ));
        pause(PING.saturating_sub(took));
    }
}

/// All of them, evenly over that time.
fn speak_all(crowd: &Crowd, slots: u32, over: Duration) {
    let steps = slots.div_ceil(STEP);
    for first in (0..slots).step_by(STEP as usize) {
        crowd.speak(first..first + STEP);
        pause(Duration::from_millis(1).max(over / steps.max(1)));
    }
}

/// Nobody wakes this thread: it only keeps a pace.
fn pause(time: Duration) {
    thread::park_timeout(time);
}

/// Until they were told so many bytes, in all.
fn wait_for(bytes: u64) {
    let begun = Instant::now();
    while heard() < bytes {
        pause(Duration::from_millis(5));
        if begun.elapsed() > PING {
            say::line(&format!("simulated: told {} bytes where {bytes} were expected\n", heard()));
            return;
        }
    }
}

/// Bytes of memory of the process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Processor time of the process.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn client_id(number: u32) -> String {
    format!("device-{number:07}")
}

/// CONNECT, SUBSCRIBE to a topic of its own, then pings.
fn script(number: u32, turn: u8, into: &mut [u8]) -> usize {
    let client_id = client_id(number);
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        out.extend(text.as_bytes());
    };
    let mut body = Vec::new();
    let first = match turn {
        0 => {
            text(&mut body, "MQTT");
            // 3.1.1, Clean Session.
            body.extend([4, 2]);
            body.extend(KEEP_ALIVE.to_be_bytes());
            text(&mut body, &client_id);
            0x10
        }
        1 => {
            body.extend([0, 1]);
            text(&mut body, &format!("{client_id}/set"));
            body.push(0);
            0x82
        }
        _ => 0xc0,
    };
    let packet = [&[first, u8::try_from(body.len()).unwrap_or(0)], &body[..]].concat();
    into[..packet.len()].copy_from_slice(&packet);
    packet.len()
}
