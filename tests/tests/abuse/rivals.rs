//! Two real clients, made to reconnect for ever, with one client identifier.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_tests::{Broker, Version};
use rumqttc::{Client, Event, MqttOptions, Packet};

fn contend(address: std::net::SocketAddr, connects: &AtomicU32, stop: &AtomicBool) {
    let mut options = MqttOptions::new("the-one", address.ip().to_string(), address.port());
    options.set_keep_alive(Duration::from_secs(30));
    let (_client, mut connection) = Client::new(options, 10);
    while !stop.load(Ordering::Acquire) {
        match connection.recv_timeout(Duration::from_millis(50)) {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                connects.fetch_add(1, Ordering::AcqRel);
            }
            Ok(Err(_)) => thread::park_timeout(Duration::from_millis(10)),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}

/// Both are named, the newcomer waits, both get their turn, and nobody else notices.
#[test]
fn a_fight_is_named_and_slowed_and_nobody_is_kept_out() {
    let broker =
        Broker::start_with_config("[limits]\ntakeover_delay_maximum_ms = 1_000\n", &["--shards", "2"]);
    let (one, other) = (AtomicU32::new(0), AtomicU32::new(0));
    let (address, stop) = (broker.address(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| contend(address, &one, &stop));
        scope.spawn(|| contend(address, &other, &stop));
        let end = Instant::now() + Duration::from_secs(60);
        while one.load(Ordering::Acquire) < 4 || other.load(Ordering::Acquire) < 4 {
            if Instant::now() > end {
                stop.store(true, Ordering::Release);
                panic!("{one:?} and {other:?} times in a minute");
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        broker.connect(Version::V5, "bystander").ping();
        stop.store(true, Ordering::Release);
    });
    let line = broker.logged("fight over one client identifier");
    assert!(line.contains("client_id=the-one"), "{line}");
    for who in ["incumbent=127.0.0.1:", "newcomer=127.0.0.1:"] {
        assert!(line.contains(who), "{line}");
    }
}

/// After each loss the server still believes in the connection that was lost.
#[test]
fn who_comes_back_after_a_loss_is_let_in() {
    let broker = Broker::start(&["--shards", "1"]);
    let lost: Vec<_> = (0..3).map(|_| broker.connect(Version::V311, "roamer")).collect();
    broker.connect(Version::V311, "roamer").ping();
    drop(lost);
}
