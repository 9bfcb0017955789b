//! Message Expiry Interval.

use dunlin_engine::Drop;

use crate::hello::{hello, message};
use crate::world::{V5, V311, World};

const NOTHING: [&str; 0] = [];

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] Offline: what is left of the interval goes along, and after it nothing is delivered.
#[test]
fn a_waiting_message_ages() {
    for (wait, expected) in [(0, Some(10)), (4, Some(6)), (9, Some(1)), (10, None), (11, None)] {
        let mut world = World::new();
        let client = world.enter(&hello(V5, "c").lasting(100));
        world.subscribe(client, "t", 1);
        world.lose(client);
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("t", "1").qos(1, 1).expiry(10));
        world.seconds(wait);
        let client = world.enter(&hello(V5, "c").lasting(100));
        let expected: Vec<String> =
            expected.iter().map(|left| format!("PUBLISH t=1 q1 #1 [expiry={left}]")).collect();
        assert_eq!(world.take(client), expected);
        assert_eq!(world.dropped(Drop::Expired), u64::from(expected.is_empty()));
    }
}

/// [MQTT-3.3.2-5] The queue of a connected Client ages too; what follows an expired message is not held up.
#[test]
fn a_message_expires_behind_a_spent_quota() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").receive_maximum(1));
    world.subscribe(client, "t", 1);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    world.publish(publisher, &message("t", "2").qos(1, 2).expiry(5));
    world.publish(publisher, &message("t", "3").qos(1, 3));
    world.take(client);
    world.seconds(5);
    world.puback(client, 1);
    assert_eq!(world.take(client), ["PUBLISH t=3 q1 #3"]);
}

/// [MQTT-3.3.2-5] Retained: until its time has come, and then for nobody.
#[test]
fn a_retained_message_ages() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").retain().expiry(10));
    world.seconds(7);
    let early = world.connect(V5, "early");
    world.subscribe(early, "#", 0);
    assert_eq!(world.take(early), ["PUBLISH t=1 retain [expiry=3]"]);
    let old = world.connect(V311, "old");
    world.subscribe(old, "t", 0);
    assert_eq!(world.take(old), ["PUBLISH t=1 retain"]);
    world.seconds(3);
    let late = world.connect(V5, "late");
    world.subscribe(late, "#", 0);
    assert_eq!(world.take(late), NOTHING);
    assert_eq!(world.count(|counters| counters.retained_messages), 0);
}

/// An interval of 0 has passed at once for everybody who is not there.
#[test]
fn an_interval_of_zero_reaches_who_is_connected() {
    let mut world = World::new();
    let here = world.connect(V5, "here");
    world.subscribe(here, "t", 0);
    let away = world.enter(&hello(V5, "away").lasting(100));
    world.subscribe(away, "t", 1);
    world.lose(away);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1).expiry(0));
    let away = world.enter(&hello(V5, "away").lasting(100));
    assert_eq!(world.take(away), NOTHING);
}
