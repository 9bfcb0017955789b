//! Receive Maximum, in both directions.

use crate::hello::{hello, message};
use crate::world::{V5, V311, World};

const NOTHING: [&str; 0] = [];

/// [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-3.3.4-9] No more unacknowledged than the Client takes; each end allows one more.
#[test]
fn a_client_has_no_more_in_flight_than_its_receive_maximum() {
    let mut world = World::new();
    let narrow = world.enter(&hello(V5, "s").receive_maximum(2));
    world.subscribe(narrow, "t", 2);
    let publisher = world.connect(V5, "p");
    for (id, qos) in [(1, 2), (2, 1), (3, 2), (4, 1), (5, 1)] {
        world.publish(publisher, &message("t", id.to_string()).qos(qos, id));
    }
    assert_eq!(world.take(narrow), ["PUBLISH t=1 q2 #1", "PUBLISH t=2 q1 #2"]);
    world.pubrec(narrow, 1);
    assert_eq!(world.take(narrow), ["PUBREL #1"], "PUBREC is not the end");
    world.pubcomp(narrow, 1);
    assert_eq!(world.take(narrow), ["PUBLISH t=3 q2 #3"]);
    world.acknowledge(narrow, dunlin_codec::Packet::PubRec, 3, 0x80);
    assert_eq!(world.take(narrow), ["PUBLISH t=4 q1 #4"], "a failed PUBREC is");
    world.puback(narrow, 2);
    assert_eq!(world.take(narrow), ["PUBLISH t=5 q1 #5"]);
}

/// [MQTT-4.9.0-2] Acknowledgements of nothing, and repeated ones, raise no quota.
#[test]
fn acknowledgements_that_belong_to_nothing_allow_nothing() {
    let mut world = World::new();
    let narrow = world.enter(&hello(V5, "s").receive_maximum(1));
    world.subscribe(narrow, "t", 2);
    let publisher = world.connect(V5, "p");
    for id in 1..=4 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    world.take(narrow);
    for id in [9, 2, 65_535] {
        world.puback(narrow, id);
    }
    assert_eq!(world.take(narrow), NOTHING);
    world.puback(narrow, 1);
    world.puback(narrow, 1);
    assert_eq!(world.take(narrow), ["PUBLISH t=2 q1 #2"]);
}

/// [MQTT-4.9.0-3] [MQTT-3.3.4-10] With the quota at 0 everything but QoS 1 and 2 goes on.
#[test]
fn other_packets_pass_while_the_quota_is_spent() {
    let mut world = World::new();
    let narrow = world.enter(&hello(V5, "s").receive_maximum(1));
    world.subscribe(narrow, "t", 2);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    world.publish(publisher, &message("t", "2").qos(1, 2));
    world.publish(publisher, &message("t", "3"));
    world.publish(narrow, &message("x", "4").qos(2, 9));
    world.pubrel(narrow, 9);
    world.unsubscribe(narrow, &["none"]);
    world.ping(narrow);
    let expected =
        ["PUBLISH t=1 q1 #1", "PUBLISH t=3", "PUBREC #9 10", "PUBCOMP #9", "UNSUBACK #2 [11]", "PINGRESP"];
    assert_eq!(world.take(narrow), expected);
}

/// The configured bound holds for Clients that name no Receive Maximum, and for those that name a larger one.
#[test]
fn the_configured_window_holds_for_everybody() {
    let mut world =
        World::with(|settings| settings.limits.inflight_maximum = std::num::NonZeroU16::new(3).unwrap());
    let publisher = world.connect(V5, "p");
    for client in [hello(V311, "a"), hello(V5, "b"), hello(V5, "c").receive_maximum(100)] {
        let link = world.enter(&client);
        world.subscribe(link, "t", 1);
        for id in 1..=5 {
            world.publish(publisher, &message("t", id.to_string()).qos(1, id));
        }
        assert_eq!(world.read(link).len(), 3);
        assert_eq!(world.acknowledge_all(link), NOTHING);
        world.puback(link, 1);
        assert_eq!(world.acknowledge_all(link), ["4", "5"]);
        world.leave(link);
    }
}

/// [MQTT-3.3.4-7] [MQTT-3.3.4-9] A Client that exceeds the Server's Receive Maximum is disconnected; 3.1.1 knows none.
#[test]
fn the_servers_receive_maximum_is_kept_or_the_connection_ends() {
    let mut world =
        World::with(|settings| settings.limits.receive_maximum = std::num::NonZeroU16::new(2).unwrap());
    let publisher = world.connect(V5, "p");
    for id in 1..=2 {
        world.publish(publisher, &message("t", "x").qos(2, id));
    }
    // Neither QoS 0 nor a repetition needs room.
    world.publish(publisher, &message("t", "x"));
    world.publish(publisher, &message("t", "x").qos(2, 1).dup());
    assert_eq!(world.take(publisher), ["PUBREC #1 10", "PUBREC #2 10", "PUBREC #1"]);
    // PUBREL makes some.
    world.pubrel(publisher, 1);
    world.publish(publisher, &message("t", "x").qos(2, 3));
    assert_eq!(world.take(publisher), ["PUBCOMP #1", "PUBREC #3 10"]);
    world.publish(publisher, &message("t", "x").qos(1, 4));
    assert_eq!(world.take(publisher), ["DISCONNECT 93", "closed"]);

    let old = world.connect(V311, "old");
    for id in 1..=20 {
        world.publish(old, &message("t", "x").qos(2, id));
    }
    assert_eq!(world.take(old).len(), 20);
}
