//! QoS 2: exactly once, in both directions, in polite and in hostile orders.

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use dunlin_tests::{Broker, Connect, Packet, Version, Wire, everywhere, on_shards};

use Version::{V5, V311};

fn pair(broker: &Broker, version: Version) -> (Wire, Wire) {
    let mut subscriber = broker.connect(version, "subscriber");
    subscriber.subscribe("a", 2);
    (subscriber, broker.connect(version, "publisher"))
}

/// [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT311-4.3.3-2] Raw bytes of the whole handshake.
#[test]
fn the_receivers_handshake_is_pubrec_and_pubcomp() {
    on_shards(|broker| {
        let (mut subscriber, mut publisher) = pair(broker, V311);
        publisher.send([0x34, 6, 0, 1, b'a', 0x12, 0x34, b'm']);
        publisher.expect([0x50, 2, 0x12, 0x34]);
        publisher.send([0x62, 2, 0x12, 0x34]);
        publisher.expect([0x70, 2, 0x12, 0x34]);
        subscriber.take("a", "m");
    });
}

/// [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT311-4.3.3-1]
#[test]
fn the_senders_handshake_is_publish_and_pubrel() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let publish = subscriber.expect_publish("a", "m");
        assert_eq!((publish.qos, publish.dup), (2, false));
        subscriber.ack(PUBREC, publish.id);
        assert_eq!(subscriber.expect_ack(PUBREL, publish.id), 0);
        subscriber.ack(PUBCOMP, publish.id);
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.3.3-10] [MQTT311-4.3.3-2] Until PUBREL, a repeated PUBLISH is answered but not delivered again.
#[test]
fn a_repeated_publish_is_answered_again_and_delivered_once() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        let publish = Publish::new("a", "m").qos(2, 1);
        publisher.send(publish.bytes(version));
        publisher.expect_ack(PUBREC, 1);
        for _ in 0..3 {
            publisher.send(publish.clone().dup().bytes(version));
            assert!(publisher.expect_ack(PUBREC, 1) < 0x80);
        }
        publisher.ack(PUBREL, 1);
        publisher.expect_ack(PUBCOMP, 1);
        subscriber.take("a", "m");
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.3.3-10] [MQTT311-4.3.3-2] Repetitions in one burst, before any answer was read.
#[test]
fn a_burst_of_repetitions_is_delivered_once() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        let publish = Publish::new("a", "m").qos(2, 1);
        publisher.send([publish.bytes(version), publish.dup().bytes(version).repeat(5)].concat());
        for _ in 0..6 {
            publisher.expect_ack(PUBREC, 1);
        }
        publisher.ack(PUBREL, 1);
        publisher.expect_ack(PUBCOMP, 1);
        subscriber.take("a", "m");
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.3.3-12] [MQTT311-4.3.3-2]
#[test]
fn after_pubcomp_the_identifier_is_a_new_message() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        for _ in 0..3 {
            publisher.publish(&Publish::new("a", "m").qos(2, 1));
            subscriber.take("a", "m");
        }
        publisher.publish(&Publish::new("a", "m").qos(2, 1).dup());
        subscriber.take("a", "m");
    });
}

/// [MQTT-4.3.3-10] [MQTT311-4.3.3-2] The identifiers that were received belong to the Session.
#[test]
fn a_publish_repeated_after_a_reconnection_is_delivered_once() {
    everywhere(|broker, version| {
        let (mut subscriber, _) = pair(broker, version);
        for id in ["p1", "p2", "p3", "p4"] {
            let lasting = Connect::new(version, id).lasting(100);
            let mut publisher = broker.connect_with(&lasting);
            let publish = Publish::new("a", id).qos(2, 9);
            publisher.send(publish.bytes(version));
            publisher.expect_ack(PUBREC, 9);
            publisher.cut();

            let mut back = broker.connect_with(&lasting);
            back.send(publish.dup().bytes(version));
            assert!(back.expect_ack(PUBREC, 9) < 0x80);
            back.ack(PUBREL, 9);
            back.expect_ack(PUBCOMP, 9);
            subscriber.take("a", id);
            subscriber.expect_nothing_from(&mut back);
        }
    });
}

/// [MQTT-4.3.3-11] [MQTT311-4.3.3-2] The handshake may be completed on another connection.
#[test]
fn a_pubrel_after_a_reconnection_completes() {
    everywhere(|broker, version| {
        let (mut subscriber, _) = pair(broker, version);
        let lasting = Connect::new(version, "p").lasting(100);
        let mut publisher = broker.connect_with(&lasting);
        publisher.send(Publish::new("a", "m").qos(2, 9).bytes(version));
        publisher.expect_ack(PUBREC, 9);
        publisher.cut();
        let mut back = broker.connect_with(&lasting);
        back.ack(PUBREL, 9);
        assert_eq!(back.expect_ack(PUBCOMP, 9), 0);
        subscriber.take("a", "m");
        subscriber.expect_nothing_from(&mut back);
    });
}

/// [MQTT-3.1.2-4] [MQTT311-3.1.2-6] A new Session has received nothing.
#[test]
fn a_clean_start_forgets_the_received_identifiers() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        publisher.send(Publish::new("a", "first").qos(2, 9).bytes(version));
        publisher.expect_ack(PUBREC, 9);
        publisher.cut();
        let mut back = broker.connect(version, "publisher");
        back.publish(&Publish::new("a", "second").qos(2, 9));
        // Whether an unreleased message was passed on already is the Server's choice.
        let mut taken = subscriber.take_all(1);
        if taken[0].text() == "first" && taken.len() == 1 {
            taken.extend(subscriber.take_all(1));
        }
        assert_eq!(taken.last().map(|publish| publish.text()).as_deref(), Some("second"));
        subscriber.expect_nothing_from(&mut back);
    });
}

/// [MQTT-3.7.2-1] [MQTT311-4.3.3-2] A late PUBREL is common; 5.0 may be told that its identifier is unknown.
#[test]
fn a_pubrel_without_a_publish_is_answered() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "x");
        client.ack(PUBREL, 77);
        let code = client.expect_ack(PUBCOMP, 77);
        assert!(code == 0 || version == V5 && code == 0x92, "{code:#04x}");
        client.ping();
    });
}

/// [MQTT-4.3.3-11] [MQTT311-4.3.3-2] The peer may have lost our PUBCOMP.
#[test]
fn a_repeated_pubrel_is_answered_each_time() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        for _ in 0..3 {
            publisher.ack(PUBREL, 1);
            let code = publisher.expect_ack(PUBCOMP, 1);
            assert!(code == 0 || version == V5 && code == 0x92, "{code:#04x}");
        }
        subscriber.take("a", "m");
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.6.2-1] [MQTT311-4.3.3-1] So that the peer's exchange can end.
#[test]
fn a_pubrec_without_a_publish_is_answered() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "x");
        client.ack(PUBREC, 77);
        let code = client.expect_ack(PUBREL, 77);
        assert!(code == 0 || version == V5 && code == 0x92, "{code:#04x}");
        client.ping();
    });
}

/// [MQTT-4.13.1-1] Acknowledgements of nothing, and PUBACK where PUBREC belongs, do no harm to others.
#[test]
fn acknowledgements_of_the_wrong_kind_do_not_complete_a_delivery() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let publish = subscriber.expect_publish("a", "m");
        subscriber.ack(PUBCOMP, publish.id.wrapping_add(1));
        subscriber.ack(PUBACK, publish.id);
        subscriber.cut();
        let mut back = broker.connect_with(&lasting);
        back.take("a", "m");
        back.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.4.0-2] [MQTT-4.3.3-9] An error in PUBREC ends the exchange: no PUBREL, no repetition, the quota is free.
#[test]
fn a_pubrec_with_an_error_ends_the_delivery() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let publish = subscriber.expect_publish("a", "m");
        subscriber.send(request::ack_with(PUBREC, publish.id, 0x97));
        subscriber.expect_nothing_from(&mut publisher);
        subscriber.cut();
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.4.0-2] The same for PUBACK.
#[test]
fn a_puback_with_an_error_ends_the_delivery() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 1));
        let publish = subscriber.expect_publish("a", "m");
        subscriber.send(request::ack_with(PUBACK, publish.id, 0x83));
        subscriber.ping();
        subscriber.cut();
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.3.3-6] [MQTT311-4.3.3-1] A PUBREC that comes twice is answered twice; the message is not sent again.
#[test]
fn a_repeated_pubrec_is_answered_with_pubrel() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let publish = subscriber.expect_publish("a", "m");
        for _ in 0..3 {
            subscriber.ack(PUBREC, publish.id);
            assert_eq!(subscriber.expect_ack(PUBREL, publish.id), 0);
        }
        subscriber.ack(PUBCOMP, publish.id);
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-2.2.1-3] [MQTT311-2.3.1-2] Client and Server number independently of each other.
#[test]
fn both_directions_may_use_the_same_identifier_at_once() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "x");
        client.subscribe("a", 2);
        client.send(Publish::new("a", "m").qos(2, 1).bytes(version));
        let (mut sent, mut received) = (false, false);
        while !sent || !received {
            match client.packet() {
                Packet::PubRec(ack) => client.ack(PUBREL, ack.id),
                Packet::PubComp(_) => sent = true,
                Packet::Publish(publish) => client.ack(PUBREC, publish.id),
                Packet::PubRel(ack) => {
                    client.ack(PUBCOMP, ack.id);
                    received = true;
                }
                other => panic!("{other:?}"),
            }
        }
        client.ping();
    });
}

/// [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT311-4.6.0-3] [MQTT311-4.6.0-4]
#[test]
fn pubrecs_and_pubcomps_come_in_order() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        let ids = [9_u16, 3, 500, 1, 77];
        let all = ids.map(|id| Publish::new("a", "m").qos(2, id).bytes(version)).concat();
        publisher.send(all);
        for id in ids {
            publisher.expect_ack(PUBREC, id);
        }
        publisher.send(ids.map(|id| request::ack(PUBREL, id)).concat());
        for id in ids {
            publisher.expect_ack(PUBCOMP, id);
        }
    });
}

/// [MQTT-4.3.3-5] [MQTT-4.6.0-4] [MQTT311-4.6.0-4] PUBRELs leave in the order of the PUBRECs.
#[test]
fn pubrels_come_in_the_order_of_the_pubrecs() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        for id in 1..=5 {
            publisher.publish(&Publish::new("a", id.to_string()).qos(2, id));
        }
        let mut ids: Vec<u16> =
            (1..=5).map(|id| subscriber.expect_publish("a", &id.to_string()).id).collect();
        ids.swap(0, 3);
        ids.swap(1, 4);
        subscriber.send(ids.iter().flat_map(|id| request::ack(PUBREC, *id)).collect::<Vec<_>>());
        for id in ids {
            subscriber.expect_ack(PUBREL, id);
            subscriber.ack(PUBCOMP, id);
        }
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.6.0-5] [MQTT311-4.6.0-5]
#[test]
fn a_hundred_messages_arrive_once_and_in_order() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        for id in 1..=100_u16 {
            publisher.publish(&Publish::new("a", id.to_string()).qos(2, id));
        }
        for (publish, number) in subscriber.take_all(100).iter().zip(1..) {
            assert_eq!((publish.text(), publish.qos), (number.to_string(), 2));
        }
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT311-4.3.3-2] [MQTT-4.3.3-8] A message is passed on when it is taken or when it is released, once.
#[test]
fn a_publisher_that_never_releases_stops_nobody_else() {
    everywhere(|broker, version| {
        let (mut subscriber, mut publisher) = pair(broker, version);
        publisher.send(Publish::new("other", "m").qos(2, 1).bytes(version));
        publisher.expect_ack(PUBREC, 1);
        let mut second = broker.connect(V311, "second");
        second.publish(&Publish::new("a", "m").qos(2, 1));
        subscriber.take("a", "m");
    });
}
