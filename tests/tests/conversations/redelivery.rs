//! What comes again after a reconnection, in which order, and what does not.

use dunlin_tests::request::{PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use dunlin_tests::{Connect, Packet, Version, everywhere, on_shards};

use Version::{V5, V31, V311};

/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-1] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.6.0-1]
/// [MQTT-4.3.2-3] [MQTT-4.3.3-3]
#[test]
fn unacknowledged_messages_come_again_with_dup_and_in_order() {
    everywhere(|broker, version| {
        for id in ["s1", "s2", "s3"] {
            let lasting = Connect::new(version, id).lasting(100);
            let mut subscriber = broker.connect_with(&lasting);
            subscriber.subscribe(id, 2);
            let mut publisher = broker.connect(version, "p");
            for number in 1..=8_u16 {
                let qos = 1 + u8::from(number % 2 == 0);
                publisher.publish(&Publish::new(id, number.to_string()).qos(qos, number));
            }
            let sent: Vec<_> =
                (1..=8).map(|number| subscriber.expect_publish(id, &number.to_string())).collect();
            subscriber.ack(PUBACK, sent[2].id);
            subscriber.ping();
            subscriber.cut();

            let mut back = broker.connect_with(&lasting);
            for before in sent.iter().filter(|before| before.text() != "3") {
                let again = back.expect_publish(id, &before.text());
                assert_eq!((again.id, again.qos, again.dup), (before.id, before.qos, true));
            }
        }
    });
}

/// [MQTT-4.4.0-1] [MQTT-4.3.3-6] [MQTT311-4.4.0-1] [MQTT311-4.3.3-1] After PUBREC only PUBREL comes again.
#[test]
fn a_received_message_is_released_again_and_not_sent_again() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let id = subscriber.expect_publish("a", "m").id;
        subscriber.ack(PUBREC, id);
        subscriber.expect_ack(PUBREL, id);
        for _ in 0..3 {
            subscriber.cut();
            subscriber = broker.connect_with(&lasting);
            assert_eq!(subscriber.expect_ack(PUBREL, id), 0);
        }
        subscriber.ack(PUBCOMP, id);
        subscriber.ping();
        subscriber.cut();
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.4.0-1] [MQTT311-4.4.0-1] PUBREL and PUBLISH keep the order in which their messages were sent.
#[test]
fn a_mixture_of_phases_is_resumed_each_where_it_stood() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        for number in 1..=4_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(2, number));
        }
        let ids = [1, 2, 3, 4].map(|number| subscriber.expect_publish("a", &number.to_string()).id);
        for done in [ids[0], ids[2]] {
            subscriber.ack(PUBREC, done);
            subscriber.expect_ack(PUBREL, done);
        }
        subscriber.cut();

        let mut back = broker.connect_with(&lasting);
        let mut released = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..4 {
            match back.packet() {
                Packet::PubRel(ack) => released.push(ack.id),
                Packet::Publish(publish) => sent.push((publish.id, publish.dup)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(released, [ids[0], ids[2]]);
        assert_eq!(sent, [(ids[1], true), (ids[3], true)]);
    });
}

/// [MQTT-4.4.0-1] [MQTT311-4.4.0-1] Again and again, until it is acknowledged.
#[test]
fn a_message_is_repeated_at_each_reconnection_until_acknowledged() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 1);
        broker.connect(version, "p").publish(&Publish::new("a", "m").qos(1, 1));
        let id = subscriber.expect_publish("a", "m").id;
        for _ in 0..4 {
            subscriber.cut();
            subscriber = broker.connect_with(&lasting);
            let again = subscriber.expect_publish("a", "m");
            assert_eq!((again.id, again.dup), (id, true));
        }
        subscriber.ack(PUBACK, id);
        subscriber.ping();
        subscriber.disconnect();
        broker.connect_with(&lasting).ping();
    });
}

/// [MQTT-4.6.0-1] [MQTT-4.5.0-1] [MQTT311-4.6.0-1] What was sent comes before what has waited.
#[test]
fn repetitions_come_before_what_was_queued_meanwhile() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "1").qos(1, 1));
        publisher.publish(&Publish::new("a", "2").qos(1, 2));
        subscriber.expect_publish("a", "1");
        subscriber.expect_publish("a", "2");
        subscriber.cut();
        publisher.publish(&Publish::new("a", "3").qos(1, 3));
        publisher.publish(&Publish::new("a", "4").qos(1, 4));

        let mut back = broker.connect_with(&lasting);
        for (payload, dup) in [("1", true), ("2", true), ("3", false), ("4", false)] {
            assert_eq!(back.take("a", payload).dup, dup, "{payload}");
        }
    });
}

/// [MQTT-4.4.0-1] [MQTT-2.2.1-4] [MQTT311-2.3.1-4] An identifier in flight is not given to another message.
#[test]
fn identifiers_in_flight_are_not_reused_after_a_reconnection() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        for number in 1..=3_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(2, number));
        }
        let mut ids = [1, 2, 3].map(|number| subscriber.expect_publish("a", &number.to_string()).id).to_vec();
        subscriber.ack(PUBREC, ids[0]);
        subscriber.expect_ack(PUBREL, ids[0]);
        subscriber.cut();
        let mut back = broker.connect_with(&lasting);
        for _ in 0..3 {
            back.packet();
        }
        publisher.publish(&Publish::new("a", "4").qos(2, 4));
        ids.push(back.expect_publish("a", "4").id);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    });
}

/// [MQTT311-4.4.0-1] [MQTT-4.4.0-1] A Session may change its protocol version between connections.
#[test]
fn unacknowledged_messages_follow_a_session_into_another_version() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let mut subscriber = broker.connect_with(&Connect::new(V5, "s").lasting(1000));
        subscriber.subscribe("a", 2);
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let id = subscriber.expect_publish("a", "m").id;
        subscriber.cut();
        for connect in [Connect::new(V311, "s"), Connect::new(V31, "s"), Connect::new(V5, "s")] {
            let mut back = broker.connect_with(&connect.lasting(1000));
            let again = back.expect_publish("a", "m");
            assert_eq!((again.id, again.dup), (id, true));
            back.cut();
        }
    });
}

/// [MQTT-4.4.0-1] [MQTT311-4.4.0-1] QoS 0 has no second chance.
#[test]
fn qos_0_messages_are_not_repeated() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m"));
        subscriber.expect_publish("a", "m");
        subscriber.cut();
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}
