//! Keep Alive, the time a connection has for its CONNECT, and PINGREQ.

use std::time::Duration;

use crate::hello::{hello, message};
use crate::world::{V5, V31, V311, World};

/// [MQTT-3.1.2-22] [MQTT311-3.1.2-24] One and a half times the Keep Alive of silence; 5.0 is told.
#[test]
fn silence_ends_the_connection_after_one_and_a_half_keep_alive() {
    for (version, farewell) in
        [(V31, &["closed"][..]), (V311, &["closed"]), (V5, &["DISCONNECT 8d", "closed"])]
    {
        let mut world = World::new();
        let client = world.enter(&hello(version, "c").keep_alive(10));
        world.pass(Duration::from_millis(14_999));
        assert!(world.is_open(client));
        world.pass(Duration::from_millis(1));
        assert_eq!(world.take(client), farewell);
    }
}

/// [MQTT-3.1.2-22] Any packet counts, its first bytes do not.
#[test]
fn every_whole_packet_begins_the_time_anew() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").keep_alive(10));
    for _ in 0..10 {
        world.seconds(14);
        world.publish(client, &message("t", "1"));
        world.seconds(14);
        world.ping(client);
    }
    assert!(world.is_open(client));
    world.seconds(14);
    world.send_bytes(client, &[0xc0]);
    world.seconds(1);
    assert!(!world.is_open(client));
}

/// What the Server sends is no sign of life.
#[test]
fn messages_to_a_silent_client_do_not_keep_it_alive() {
    let mut world = World::new();
    let client = world.enter(&hello(V311, "c").keep_alive(10));
    world.subscribe(client, "t", 0);
    let publisher = world.connect(V311, "p");
    for _ in 0..15 {
        world.publish(publisher, &message("t", "1"));
        world.seconds(1);
    }
    assert!(!world.is_open(client));
}

/// Who does not take its answers is not read: as long as it takes some of them, its silence says nothing.
#[test]
fn a_client_that_takes_its_answers_slowly_is_not_silent() {
    for takes in [true, false] {
        let mut world = World::with(|settings| settings.limits.output_bytes_maximum = 256 * 1024);
        let client = world.enter(&hello(V311, "c").keep_alive(10));
        world.stick(client, true);
        for _ in 0..10 {
            world.send_bytes(client, &[0xc0, 0].repeat(32 * 1024));
        }
        assert!(world.unread(client) > 0);
        for _ in 0..4 {
            if takes {
                world.trickle(client, 2);
            }
            world.seconds(14);
        }
        assert_eq!(world.is_open(client), takes);
        world.seconds(15);
        assert!(!world.is_open(client), "it has taken nothing since");
    }
}

/// A Keep Alive of 0 turns it off.
#[test]
fn without_keep_alive_silence_may_last() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.seconds(365 * 24 * 3600);
    assert!(world.is_open(client));
}

/// [MQTT-3.2.2-21] The Server's Keep Alive is the one that counts.
#[test]
fn the_servers_keep_alive_counts() {
    let mut world = World::with(|settings| settings.limits.keep_alive_maximum = 4);
    let client = world.connect(V5, "c");
    world.pass(Duration::from_millis(5_999));
    assert!(world.is_open(client));
    world.pass(Duration::from_millis(1));
    assert!(!world.is_open(client));
}

/// [MQTT-3.12.4-1] [MQTT311-3.12.4-1]
#[test]
fn a_ping_is_answered() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.connect(version, "c");
        world.ping(client);
        assert_eq!(world.take(client), ["PINGRESP"]);
    }
}

/// A connection without CONNECT is closed in time, without a word; one that came in time is not.
#[test]
fn a_connection_has_so_long_for_its_connect() {
    let mut world = World::new();
    let silent = world.dial_at(0, V311);
    let slow = world.dial_at(0, V311);
    let connect = hello(V311, "c").bytes();
    world.send_bytes(slow, &connect[..5]);
    world.pass(Duration::from_millis(9_999));
    let late = world.dial_at(0, V311);
    world.send_bytes(slow, &connect[5..]);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take(silent), ["closed"]);
    assert_eq!(world.take(slow), ["CONNACK 00"]);
    world.seconds(100);
    assert!(world.is_open(slow));
    assert_eq!(world.take(late), ["closed"]);
}

/// Timers of a connection that is gone do nothing to the one that has its place.
#[test]
fn old_timers_do_not_meet_new_connections() {
    let mut world = World::new();
    let first = world.enter(&hello(V311, "a").keep_alive(10));
    world.seconds(14);
    world.lose(first);
    let second = world.enter(&hello(V311, "b").keep_alive(20));
    world.seconds(29);
    assert!(world.is_open(second));
    world.seconds(1);
    assert!(!world.is_open(second));
}
