//! Keep Alive: who is silent for one and a half times as long is closed, and nobody else.

use std::time::{Duration, Instant};

use dunlin_tests::request::{self, Publish};
use dunlin_tests::{Connect, Packet, Version, everywhere, on_shards, prop};

use Version::{V5, V31, V311};

/// [MQTT-3.1.2-22] [MQTT311-3.1.2-24] DISCONNECT 0x8D to 5.0.
#[test]
fn a_silent_client_is_closed_after_one_and_a_half_times_its_keep_alive() {
    everywhere(|broker, version| {
        let start = Instant::now();
        let mut client = broker.connect_with(&Connect::new(version, "x").keep_alive(1));
        client.expect_disconnect(0x8d);
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(1400), "{waited:?}");
        assert!(waited <= Duration::from_millis(3500), "{waited:?}");
    });
}

/// [MQTT-3.1.2-22] [MQTT-3.12.4-1] [MQTT311-3.1.2-24] Each packet counts, not only PINGREQ.
#[test]
fn any_packet_keeps_a_client_alive() {
    everywhere(|broker, version| {
        let mut client = broker.connect_with(&Connect::new(version, "x").keep_alive(1));
        let mut number = 0_u16;
        for _ in 0..2 {
            // The clock: it says nothing and is closed after a second and a half.
            let mut silent = broker.connect_with(&Connect::new(version, "y").keep_alive(1));
            while !silent.ends_within(Duration::from_millis(100)) {
                number += 1;
                match number % 3 {
                    0 => client.ping(),
                    1 => drop(client.publish(&Publish::new("beat", "x").qos(1, number))),
                    _ => drop(client.subscribe("other", 0)),
                }
            }
        }
        client.ping();
    });
}

/// [MQTT-3.1.2-22] [MQTT311-3.1.2-24] What the Server sends is no sign of the Client's life.
#[test]
fn traffic_towards_a_silent_client_does_not_keep_it_alive() {
    everywhere(|broker, version| {
        let mut silent = broker.connect_with(&Connect::new(version, "x").keep_alive(1));
        silent.subscribe("a", 0);
        let mut publisher = broker.connect(version, "p");
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(4), "it is still there");
            publisher.publish(&Publish::new("a", "m"));
            publisher.ping();
            match silent.packet_or_end() {
                None => break,
                Some(Packet::Publish(_)) => {}
                Some(Packet::Disconnect(0x8d, _)) => {
                    silent.expect_closed();
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(start.elapsed() >= Duration::from_millis(1300));
    });
}

/// [MQTT-3.2.2-22] Zero turns it off, and a long one is long.
#[test]
fn a_keep_alive_of_zero_is_none() {
    on_shards(|broker| {
        let mut off = [V31, V311, V5].map(|version| broker.connect(version, &format!("{version:?}")));
        let mut long = broker.connect_with(&Connect::new(V5, "long").keep_alive(60));
        broker.pass_a_moment();
        broker.pass_a_moment();
        for client in &mut off {
            client.ping();
        }
        long.ping();
    });
}

/// [MQTT-3.2.2-22] [MQTT-3.1.2-21] Unless the Server says otherwise, the Client's value counts.
#[test]
fn no_server_keep_alive_is_sent_without_need() {
    on_shards(|broker| {
        for keep_alive in [1, 60, 600] {
            let client = broker.connect_with(&Connect::new(V5, "x").keep_alive(keep_alive));
            let connack = client.connack.clone().unwrap();
            assert_eq!(connack.properties.get(prop::SERVER_KEEP_ALIVE), None, "{keep_alive}");
        }
    });
}

/// [MQTT-3.1.2-22] [MQTT311-3.1.2-24] Half a packet is no packet.
#[test]
fn an_unfinished_packet_does_not_keep_a_client_alive_for_ever() {
    everywhere(|broker, version| {
        let mut client = broker.connect_with(&Connect::new(version, "x").keep_alive(1));
        client.send(&request::PINGREQ[..1]);
        client.expect_disconnect(0x8d);
    });
}
