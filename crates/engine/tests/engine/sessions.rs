//! Session state: what outlives a connection, for how long, and who takes it over.

use crate::hello::{hello, message};
use crate::world::{V5, V31, V311, World};

/// [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-3.2.2-3] [MQTT311-3.1.2-4] [MQTT311-3.1.3-2] [MQTT311-3.2.2-2] [MQTT311-4.1.0-1]
#[test]
fn a_session_is_found_again_by_its_client_identifier() {
    for version in [V31, V311, V5] {
        for shards in [1, 4] {
            let mut world = World::sharded(shards);
            for client_id in ["a", "b", "c", "d"] {
                let client = world.enter(&hello(version, client_id).lasting(60));
                world.subscribe(client, &format!("{client_id}/#"), 1);
                world.lose(client);
            }
            let publisher = world.connect(V5, "p");
            for client_id in ["d", "c", "b", "a"] {
                let client = world.enter(&hello(version, client_id).lasting(60));
                world.publish(publisher, &message(&format!("{client_id}/x"), client_id));
                assert_eq!(world.take(client), [format!("PUBLISH {client_id}/x={client_id}")]);
            }
        }
    }
}

/// [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-1]
#[test]
fn a_clean_start_finds_nothing() {
    for version in [V311, V5] {
        let mut world = World::new();
        let client = world.enter(&hello(version, "c").lasting(60));
        world.subscribe(client, "t", 1);
        world.lose(client);
        let publisher = world.connect(version, "p");
        world.publish(publisher, &message("t", "1").qos(1, 1));

        let client = world.knock(&hello(version, "c"));
        assert_eq!(world.take(client), ["CONNACK 00"]);
        world.publish(publisher, &message("t", "2").qos(1, 2));
        assert!(world.take(client).is_empty());
    }
}

/// [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT311-3.2.2-3] Nothing to be resumed: a new Session, and Session Present says so.
#[test]
fn resuming_without_a_session_makes_one() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.knock(&hello(version, "c").resume());
        assert_eq!(world.take(client), ["CONNACK 00"]);
    }
}

/// [MQTT311-3.1.2-5] [MQTT-4.1.0-1] [MQTT-4.5.0-1] [MQTT311-4.5.0-1] What was published meanwhile waits, in order, QoS 0 not.
#[test]
fn what_is_published_meanwhile_waits_in_order() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.enter(&hello(version, "c").lasting(60));
        world.subscribe(client, "t", 2);
        world.leave(client);
        let publisher = world.connect(version, "p");
        for number in 0_u16..6 {
            let qos = u8::try_from(number % 3).unwrap();
            world.publish(publisher, &message("t", number.to_string()).qos(qos, number + 1));
        }
        let client = world.enter(&hello(version, "c").lasting(60));
        assert_eq!(world.acknowledge_all(client), ["1", "2", "4", "5"]);
    }
}

/// [MQTT-3.1.2-23] [MQTT-4.1.0-2] A Session lasts exactly as long as its Session Expiry Interval after the connection.
#[test]
fn a_session_ends_when_its_expiry_interval_has_passed() {
    for (wait, expected) in [(9, "CONNACK 00 present"), (10, "CONNACK 00")] {
        let mut world = World::new();
        let client = world.enter(&hello(V5, "c").expiry(10));
        world.seconds(100);
        world.lose(client);
        world.seconds(wait);
        let client = world.knock(&hello(V5, "c").resume());
        assert_eq!(world.take(client), [expected]);
    }
}

/// [MQTT-4.1.0-2] Expired: gone with all it had, without anybody asking.
#[test]
fn an_expired_session_leaves_nothing_behind() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").expiry(10));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    assert_eq!(world.count(|counters| counters.sessions), 2);
    world.seconds(10);
    assert_eq!(world.count(|counters| counters.sessions), 1);
    world.publish(publisher, &message("t", "2").qos(1, 2));
    assert_eq!(world.take(publisher), ["PUBACK #1", "PUBACK #2 10"]);
}

/// [MQTT-3.1.2-23] Expiry 0 (5.0) and Clean Session 1 (3.1.1) end with the connection; 0xFFFFFFFF never does.
#[test]
fn the_two_ends_of_the_expiry_interval() {
    let mut world = World::with(|settings| settings.limits.session_expiry_interval_maximum = u32::MAX);
    let brief = world.connect(V5, "brief");
    let old = world.connect(V311, "old");
    let lasting = world.enter(&hello(V5, "lasting").expiry(u32::MAX));
    for client in [brief, old, lasting] {
        world.lose(client);
    }
    assert_eq!(world.count(|counters| counters.sessions), 1);
    world.seconds(20 * 365 * 24 * 3600);
    let lasting = world.knock(&hello(V5, "lasting").resume());
    assert_eq!(world.take(lasting), ["CONNACK 00 present"]);
}

/// A 3.1.1 Session without an end of its own gets the configured one.
#[test]
fn a_3_1_1_session_lasts_as_long_as_configured() {
    for (wait, expected) in [(59, "CONNACK 00 present"), (60, "CONNACK 00")] {
        let mut world = World::with(|settings| settings.limits.session_expiry_interval_v3 = 60);
        let client = world.enter(&hello(V311, "c").resume());
        world.leave(client);
        world.seconds(wait);
        let client = world.knock(&hello(V311, "c").resume());
        assert_eq!(world.take(client), [expected]);
    }
}

/// [MQTT-3.14.2-2] DISCONNECT may change the interval, but not from 0.
#[test]
fn disconnect_changes_the_expiry_interval_but_not_from_zero() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").expiry(10));
    world.leave_with(client, 0, Some(100));
    assert_eq!(world.take(client), ["closed"]);
    world.seconds(99);
    let client = world.enter(&hello(V5, "c").resume().expiry(100));
    world.leave_with(client, 0, Some(0));
    assert_eq!(world.count(|counters| counters.sessions), 0, "0 ends it at once");

    let client = world.enter(&hello(V5, "c"));
    world.take(client);
    world.leave_with(client, 0, Some(1));
    assert_eq!(world.take(client), ["DISCONNECT 82", "closed"]);
    let client = world.enter(&hello(V5, "c"));
    world.leave_with(client, 0, Some(0));
    assert_eq!(world.take(client), ["closed"]);
}

/// [MQTT-3.1.4-3] [MQTT311-3.1.4-2] [MQTT-4.13.2-1] The newer connection wins; the older 5.0 Client is told why.
#[test]
fn a_second_connection_takes_the_session_over() {
    for (old, farewell) in [(V311, &["closed"][..]), (V5, &["DISCONNECT 8e", "closed"])] {
        for new in [V31, V311, V5] {
            for shards in [1, 2] {
                let mut world = World::sharded(shards);
                let first = world.enter(&hello(old, "c").lasting(60));
                world.subscribe(first, "t", 1);
                let second = world.enter(&hello(new, "c").lasting(60));
                assert_eq!(world.take(first), farewell);
                let publisher = world.connect(V5, "p");
                world.publish(publisher, &message("t", "1").qos(1, 1));
                assert_eq!(world.take(second), ["PUBLISH t=1 q1 #1"]);
            }
        }
    }
}

/// [MQTT311-4.1.0-2] [MQTT-4.1.0-1] A Session of expiry 0 is not resumed by who takes its connection over.
#[test]
fn a_session_that_ends_with_its_connection_is_not_taken_over() {
    let mut world = World::new();
    let first = world.connect(V5, "c");
    world.subscribe(first, "t", 1);
    let second = world.knock(&hello(V5, "c").resume());
    assert_eq!(world.take(second), ["CONNACK 00"]);
    assert_eq!(world.take(first), ["DISCONNECT 8e", "closed"]);
}

/// Connections use the slots of others again; what the old one left half sent must not reach the new.
#[test]
fn a_slot_used_again_starts_afresh() {
    let mut world = World::new();
    let first = world.connect(V5, "a");
    world.subscribe(first, "t", 0);
    world.stick(first, true);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "for a"));
    world.lose(first);
    let second = world.knock(&hello(V5, "b"));
    assert_eq!(world.take(second), ["CONNACK 00"]);
}

/// [MQTT311-3.1.2-7] [MQTT-3.1.2-4] Retained messages are nobody's Session state.
#[test]
fn retained_messages_outlive_the_session_that_published_them() {
    let mut world = World::new();
    let publisher = world.connect(V311, "p");
    world.publish(publisher, &message("t", "1").retain());
    world.leave(publisher);
    let client = world.connect(V311, "c");
    world.subscribe(client, "t", 0);
    assert_eq!(world.take(client), ["PUBLISH t=1 retain"]);
}

/// Session state of a Client changes its protocol version with it.
#[test]
fn a_session_may_be_resumed_with_another_version() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe_as(client, "t", crate::hello::at(1), 7);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1).expiry(60));
    let client = world.enter(&hello(V311, "c").resume());
    assert_eq!(world.take(client), ["PUBLISH t=1 q1 #1"]);
    world.lose(client);
    let client = world.enter(&hello(V5, "c").resume());
    assert_eq!(world.take(client), ["PUBLISH t=1 q1 #1 dup [expiry=60, subscription=7]"]);
}
