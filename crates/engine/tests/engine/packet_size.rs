//! Maximum Packet Size, of the Client and of the Server.

use dunlin_engine::{Drop, Strict};

use crate::hello::{hello, message};
use crate::world::{V5, V311, World};

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] Too large for one Client: it never sees it, the others do, and its window stays open.
#[test]
fn a_message_too_large_for_a_client_is_as_if_delivered() {
    for qos in [0, 1, 2] {
        let mut world = World::new();
        // Fixed header 2, topic 3, identifier 2 above QoS 0, no properties 1: a payload of 60 or 58.
        let small = world.enter(&hello(V5, "small").maximum_packet_size(68).receive_maximum(1));
        let large = world.connect(V5, "large");
        world.subscribe(small, "t", qos);
        world.subscribe(large, "t", qos);
        let publisher = world.connect(V5, "p");
        let fits = if qos == 0 { 62 } else { 60 };
        for (id, len) in [(1, fits + 1), (2, fits), (3, fits + 1)] {
            world.publish(publisher, &message("t", vec![b'x'; len]).qos(qos, id));
        }
        let payloads: Vec<usize> = world.acknowledge_all(small).iter().map(String::len).collect();
        assert_eq!(payloads, [fits], "QoS {qos}");
        assert_eq!(world.acknowledge_all(large).len(), 3);
        assert_eq!(world.dropped(Drop::TooLarge), 2);
    }
}

/// [MQTT-3.1.2-25] One that waited in the queue is left out like any other, and what follows it comes.
#[test]
fn a_waiting_message_too_large_for_the_client_holds_up_nothing() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", vec![b'x'; 100]).qos(1, 1));
    world.publish(publisher, &message("t", "2").qos(1, 2));
    let client = world.enter(&hello(V5, "c").lasting(60).maximum_packet_size(50));
    assert_eq!(world.take(client), ["PUBLISH t=2 q1 #2"]);
}

/// [MQTT-3.1.2-25] One in flight that no longer fits is over too: it neither comes again nor takes the place of the next.
#[test]
fn a_message_in_flight_too_large_for_the_new_connection_holds_up_nothing() {
    for qos in [1, 2] {
        let mut world = World::new();
        let client = world.enter(&hello(V5, "c").lasting(60).receive_maximum(1));
        world.subscribe(client, "t", qos);
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("t", vec![b'x'; 100]).qos(qos, 1));
        world.publish(publisher, &message("t", "2").qos(qos, 2));
        world.lose(client);
        let client = world.enter(&hello(V5, "c").lasting(60).receive_maximum(1).maximum_packet_size(50));
        assert_eq!(world.take(client), [format!("PUBLISH t=2 q{qos} #2")]);
        assert_eq!(world.dropped(Drop::TooLarge), 1);
    }
}

/// [MQTT-3.2.2-15] More than the Server takes.
#[test]
fn a_packet_too_large_for_the_server_ends_the_connection() {
    for (version, farewell) in [(V311, &["closed"][..]), (V5, &["DISCONNECT 95", "closed"])] {
        let mut world = World::with(|settings| {
            settings.limits.maximum_packet_size = std::num::NonZeroU32::new(100).unwrap();
        });
        let publisher = world.connect(version, "p");
        let overhead = if version == V5 { 6 } else { 5 };
        world.publish(publisher, &message("t", vec![b'x'; 100 - overhead]));
        assert!(world.is_open(publisher));
        world.publish(publisher, &message("t", vec![b'x'; 101 - overhead]));
        assert_eq!(world.take(publisher), farewell);
    }
}

/// [MQTT-3.2.2-15] Known from the first bytes: nobody has to send it to the end.
#[test]
fn the_length_alone_is_enough_to_refuse() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    world.send_bytes(publisher, &[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(world.take(publisher), ["DISCONNECT 95", "closed"]);
    let stranger = world.dial_at(0, V311);
    world.send_bytes(stranger, &[0x10, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(world.take(stranger), ["closed"]);
}

/// Where it is tolerated, the limit is counted and not announced.
#[test]
fn a_packet_too_large_may_be_tolerated() {
    let mut world = World::with(|settings| {
        settings.limits.maximum_packet_size = std::num::NonZeroU32::new(100).unwrap();
        settings.strictness.packet_too_large = Strict::Allow;
    });
    let (publisher, connack) = world.enter_reading(&hello(V5, "p"));
    assert_eq!(connack.properties().value("maximum_packet_size"), None);
    world.subscribe(publisher, "t", 0);
    world.publish(publisher, &message("t", vec![b'x'; 1000]));
    assert_eq!(world.take(publisher), ["PUBLISH t=(1000 bytes)"]);
}

/// [MQTT-3.14.2-3] The reason of a DISCONNECT is left out where it would be too much for the Client.
#[test]
fn a_farewell_fits_the_maximum_packet_size_of_the_client() {
    for (limit, has_reason) in [(20, false), (1000, true)] {
        let mut world = World::new();
        let client = world.enter(&hello(V5, "c").maximum_packet_size(limit));
        world.send_bytes(client, &[0xd0, 0]);
        let farewell = world.read(client);
        assert_eq!(farewell[0].to_string(), "DISCONNECT 82");
        assert_eq!(farewell[0].properties().value("reason").is_some(), has_reason);
    }
}
