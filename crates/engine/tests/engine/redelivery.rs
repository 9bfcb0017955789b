//! What is sent again on a new connection, and that nothing else is.

use crate::hello::{Hello, hello, message};
use crate::world::{Link, V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

fn subscriber(version: dunlin_codec::ProtocolVersion) -> Hello {
    hello(version, "s").lasting(1000)
}

/// A subscriber with five messages in flight, QoS 1 and 2 in turn.
fn in_flight(version: dunlin_codec::ProtocolVersion) -> (World, Link) {
    let mut world = World::new();
    let link = world.enter(&subscriber(version));
    world.subscribe(link, "t", 2);
    let publisher = world.connect(version, "p");
    for id in 1..=5 {
        world.publish(publisher, &message("t", id.to_string()).qos(if id % 2 == 1 { 1 } else { 2 }, id));
    }
    assert_eq!(world.read(link).len(), 5);
    (world, link)
}

/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-1] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.6.0-1] [MQTT-4.3.2-3]
#[test]
fn a_new_connection_gets_what_was_not_acknowledged_in_order_with_dup() {
    for version in [V31, V311, V5] {
        let (mut world, link) = in_flight(version);
        world.puback(link, 3);
        world.pubrec(link, 2);
        world.lose(link);

        let link = world.enter(&subscriber(version));
        let again = ["PUBLISH t=1 q1 #1 dup", "PUBREL #2", "PUBLISH t=4 q2 #4 dup", "PUBLISH t=5 q1 #5 dup"];
        assert_eq!(world.take(link), again);
        // And once more, as long as nothing is acknowledged.
        world.lose(link);
        let link = world.enter(&subscriber(version));
        assert_eq!(world.take(link), again);
    }
}

/// [MQTT-4.4.0-1] Never on the same connection, however long it takes.
#[test]
fn nothing_is_sent_again_on_the_same_connection() {
    let (mut world, link) = in_flight(V5);
    world.seconds(100_000);
    assert_eq!(world.take(link), NOTHING);
}

/// [MQTT-4.3.3-5] [MQTT-4.3.3-6] PUBREL again until PUBCOMP, and then never.
#[test]
fn pubrel_is_sent_again_until_pubcomp() {
    let (mut world, link) = in_flight(V5);
    world.pubrec(link, 2);
    world.lose(link);
    let link = world.enter(&subscriber(V5));
    world.take(link);
    world.pubcomp(link, 2);
    world.lose(link);
    let link = world.enter(&subscriber(V5));
    assert!(!world.take(link).contains(&"PUBREL #2".to_owned()));
}

/// [MQTT-4.6.0-1] What is new comes after what is sent again; [MQTT-4.9.0-2] both within the Receive Maximum.
#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let (mut world, link) = in_flight(V5);
    world.lose(link);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "6").qos(1, 6));
    let link = world.enter(&subscriber(V5).receive_maximum(2));
    assert_eq!(world.take(link), ["PUBLISH t=1 q1 #1 dup", "PUBLISH t=2 q2 #2 dup"]);
    world.puback(link, 1);
    assert_eq!(world.take(link), ["PUBLISH t=3 q1 #3 dup"]);
    assert_eq!(
        [world.acknowledge_all(link), {
            world.pubrec(link, 2);
            world.puback(link, 3);
            world.acknowledge_all(link)
        }]
        .concat(),
        ["4", "5", "6"]
    );
}

/// A Client may acknowledge on the new connection what it got on the old, even before it is sent again.
#[test]
fn a_late_acknowledgement_counts() {
    let (mut world, link) = in_flight(V5);
    world.lose(link);
    let link = world.enter(&subscriber(V5).receive_maximum(1));
    assert_eq!(world.take(link), ["PUBLISH t=1 q1 #1 dup"]);
    world.puback(link, 3);
    world.puback(link, 5);
    world.puback(link, 1);
    world.pubrec(link, 2);
    world.pubcomp(link, 2);
    world.pubrec(link, 4);
    world.pubcomp(link, 4);
    world.lose(link);
    let link = world.enter(&subscriber(V5));
    assert_eq!(world.take(link), NOTHING);
}

/// [MQTT-4.3.3-7] What was sent once is brought to its end, expired or not.
#[test]
fn what_was_sent_is_sent_again_after_it_expired() {
    for qos in [1, 2] {
        let mut world = World::new();
        let link = world.enter(&subscriber(V5));
        world.subscribe(link, "t", 2);
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("t", "1").qos(qos, 1).expiry(10));
        world.lose(link);
        world.seconds(60);
        let link = world.enter(&subscriber(V5));
        assert_eq!(world.take(link), [format!("PUBLISH t=1 q{qos} #1 dup [expiry=1]")]);
        assert_eq!(world.acknowledge_all(link), NOTHING);
    }
}

/// The identifiers of exchanges under way are not given to others, on no connection.
#[test]
fn identifiers_in_use_are_not_given_again() {
    let (mut world, link) = in_flight(V311);
    world.puback(link, 1);
    world.puback(link, 5);
    world.lose(link);
    let link = world.enter(&subscriber(V311));
    let publisher = world.connect(V311, "p");
    world.publish(publisher, &message("t", "6").qos(1, 1));
    assert_eq!(
        world.take(link),
        ["PUBLISH t=2 q2 #2 dup", "PUBLISH t=3 q1 #3 dup", "PUBLISH t=4 q2 #4 dup", "PUBLISH t=6 q1 #6"]
    );
}
