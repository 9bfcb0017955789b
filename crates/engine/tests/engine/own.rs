//! What the Server says of itself, and what it counts.

use std::time::Duration;

use crate::hello::message;
use crate::world::{V5, V311, World};

const NOTHING: [&str; 0] = [];

#[test]
fn it_reaches_those_who_are_there_and_those_who_come() {
    for shards in [1, 4] {
        let mut world = World::sharded(shards);
        let here = world.connect(V5, "here");
        world.subscribe(here, "$SYS/#", 1);
        world.say("$SYS/broker/x", "1");
        assert_eq!(world.take(here), ["PUBLISH $SYS/broker/x=1"]);
        let later = world.connect(V311, "later");
        world.subscribe(later, "$SYS/broker/+", 1);
        assert_eq!(world.take(later), ["PUBLISH $SYS/broker/x=1 retain"]);
        world.say("$SYS/broker/x", "2");
        assert_eq!(world.take(later), ["PUBLISH $SYS/broker/x=2"]);
    }
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn it_reaches_nobody_who_did_not_ask_for_it() {
    let mut world = World::sharded(2);
    let client = world.connect(V5, "c");
    world.subscribe(client, "#", 0);
    world.subscribe(client, "+/broker/x", 0);
    world.say("$SYS/broker/x", "1");
    world.say("t", "other topics are not for the Server");
    assert_eq!(world.take(client), NOTHING);
}

#[test]
fn it_takes_no_room_from_clients_and_counts_as_nobodys_loss() {
    let mut world = World::with(|settings| settings.limits.retained_messages_maximum = 1);
    world.say("$SYS/broker/x", "1");
    world.say("$SYS/broker/y", "1");
    let client = world.connect(V5, "c");
    world.publish(client, &message("t", "1").retain());
    world.subscribe(client, "t", 0);
    assert_eq!(world.take(client), ["PUBLISH t=1 retain"]);
    world.subscribe(client, "$SYS/broker/y", 0);
    assert_eq!(world.take(client), ["PUBLISH $SYS/broker/y=1 retain"]);
    assert_eq!(world.count(|counters| counters.retained_messages), 1);
    assert_eq!(world.count(|counters| counters.unmatched), 1);
    world.say("$SYS/broker/y", "");
    world.say("$SYS/broker/x", "");
    assert_eq!(world.count(|counters| counters.retained_messages), 1);
}

#[test]
fn it_ends_with_the_process() {
    let mut world = World::durable(2);
    world.say("$SYS/broker/x", "1");
    world.settle_disk();
    assert_eq!(world.live_records(), 0);
    world.crash(2);
    let client = world.connect(V5, "c");
    world.subscribe(client, "$SYS/#", 0);
    assert_eq!(world.take(client), NOTHING);
}

/// What the log made a PUBACK wait for is measured; what did not wait is not.
#[test]
fn the_wait_for_the_log_is_measured() {
    let mut world = World::durable(1);
    let client = world.connect(V5, "c");
    world.settle_disk();
    world.publish(client, &message("t", "nobody").qos(1, 1));
    assert_eq!(world.count(|counters| counters.acknowledge.counts.iter().sum()), 0);
    world.hold_disk();
    world.publish(client, &message("t", "kept").qos(1, 2).retain());
    world.pass(Duration::from_millis(30));
    world.store();
    assert_eq!(world.count(|counters| counters.acknowledge.counts.iter().sum()), 1);
    assert!(world.count(|counters| counters.acknowledge.sum_micros) >= 30_000);
}

#[test]
fn what_sessions_hold_is_counted() {
    let mut world = World::sharded(3);
    let publisher = world.connect(V5, "p");
    let away = world.enter(&crate::hello::hello(V5, "away").lasting(100));
    world.subscribe(away, "t", 1);
    world.subscribe(away, "$share/g/s", 1);
    world.leave(away);
    world.publish(publisher, &message("t", "1234").qos(1, 1));
    assert_eq!(world.count(|counters| counters.subscriptions), 2);
    assert_eq!(world.count(|counters| counters.sessions_disconnected), 1);
    assert_eq!(world.count(|counters| counters.queued_messages), 1);
    assert!(world.count(|counters| counters.queued_bytes) >= 5);
}
