//! Receive Maximum, both ways.

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use dunlin_tests::{Broker, Connect, Version, everywhere, on_shards, prop};

use Version::V5;

fn receiving(client_id: &str, maximum: u16) -> Connect {
    Connect::new(V5, client_id).lasting(100).property(&prop::u16(prop::RECEIVE_MAXIMUM, maximum))
}

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] The rest waits and comes in order.
#[test]
fn no_more_than_receive_maximum_are_sent_unacknowledged() {
    on_shards(|broker| {
        for maximum in [1, 2, 5] {
            let mut subscriber = broker.connect_with(&receiving("s", maximum));
            subscriber.subscribe("a", 2);
            let mut publisher = broker.connect(V5, "p");
            for number in 1..=12_u16 {
                let qos = 1 + u8::from(number % 3 == 0);
                publisher.publish(&Publish::new("a", number.to_string()).qos(qos, number));
            }
            let mut open: Vec<_> =
                (1..=maximum).map(|number| subscriber.expect_publish("a", &number.to_string())).collect();
            subscriber.expect_nothing_from(&mut publisher);
            for number in maximum + 1..=12 {
                let publish = open.remove(0);
                if publish.qos == 1 {
                    subscriber.ack(PUBACK, publish.id);
                } else {
                    subscriber.ack(PUBREC, publish.id);
                    subscriber.expect_ack(PUBREL, publish.id);
                    subscriber.expect_nothing_from(&mut publisher);
                    subscriber.ack(PUBCOMP, publish.id);
                }
                open.push(subscriber.expect_publish("a", &number.to_string()));
            }
            broker.connect(V5, "s").disconnect();
        }
    });
}

/// [MQTT-4.4.0-2] [MQTT-4.9.0-2] PUBREC with an error gives the quota back, PUBREC without does not.
#[test]
fn a_pubrec_with_an_error_frees_the_quota() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&receiving("s", 1));
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=3_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(2, number));
        }
        let first = subscriber.expect_publish("a", "1");
        subscriber.send(request::ack_with(PUBREC, first.id, 0x80));
        let second = subscriber.expect_publish("a", "2");
        subscriber.ack(PUBREC, second.id);
        subscriber.expect_ack(PUBREL, second.id);
        subscriber.expect_nothing_from(&mut publisher);
        subscriber.ack(PUBCOMP, second.id);
        subscriber.take("a", "3");
    });
}

/// [MQTT-3.3.4-10] [MQTT-4.9.0-3] QoS 0 and everything that is no PUBLISH passes.
#[test]
fn an_exhausted_quota_holds_back_nothing_but_qos_1_and_2() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&receiving("s", 1));
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "1").qos(1, 1));
        publisher.publish(&Publish::new("a", "2").qos(1, 2));
        subscriber.expect_publish("a", "1");
        subscriber.ping();
        subscriber.subscribe("b", 1);
        publisher.publish(&Publish::new("b", "now"));
        subscriber.expect_publish("b", "now");
        assert!(subscriber.publish(&Publish::new("c", "x").qos(2, 5)) < 0x80);
        subscriber.unsubscribe("b");
    });
}

/// [MQTT-4.9.0-1] The quota starts anew with each connection; what is unacknowledged counts against it.
#[test]
fn a_new_connection_has_its_own_receive_maximum() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&receiving("s", 4));
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=6_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
        }
        for number in 1..=4 {
            subscriber.expect_publish("a", &number.to_string());
        }
        subscriber.cut();
        let mut back = broker.connect_with(&receiving("s", 2));
        let first = back.expect_publish("a", "1");
        let second = back.expect_publish("a", "2");
        assert!(first.dup && second.dup);
        back.expect_nothing_from(&mut publisher);
        back.ack(PUBACK, first.id);
        back.ack(PUBACK, second.id);
        assert!(back.take("a", "3").dup);
        assert!(back.take("a", "4").dup);
        assert!(!back.take("a", "5").dup);
        assert!(!back.take("a", "6").dup);
    });
}

/// [MQTT-3.3.4-7] [MQTT-4.13.1-1] More than the Server announced: DISCONNECT 0x93.
#[test]
fn a_client_that_exceeds_the_servers_receive_maximum_is_disconnected() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let announced = publisher.connack.clone().unwrap().properties.number(prop::RECEIVE_MAXIMUM);
        let announced = u16::try_from(announced.unwrap_or(65_535)).unwrap();
        assert!(announced < 65_535, "the default bounds what a Client can make the Server hold");
        for id in 1..=announced {
            publisher.send(Publish::new("a", "m").qos(2, id).bytes(V5));
        }
        for id in 1..=announced {
            assert!(publisher.expect_ack(PUBREC, id) < 0x80);
        }
        publisher.send(Publish::new("a", "m").qos(2, announced + 1).bytes(V5));
        publisher.expect_disconnect(0x93);
    });
}

/// [MQTT-3.3.4-7] A repetition is not one more, and a released one gives its place back.
#[test]
fn a_client_may_use_the_servers_receive_maximum_in_full() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let announced = publisher.connack.clone().unwrap().properties.number(prop::RECEIVE_MAXIMUM);
        let announced = u16::try_from(announced.unwrap_or(65_535)).unwrap().min(1000);
        for id in 1..=announced {
            publisher.send(Publish::new("a", "m").qos(2, id).bytes(V5));
            publisher.expect_ack(PUBREC, id);
        }
        publisher.send(Publish::new("a", "m").qos(2, 1).dup().bytes(V5));
        publisher.expect_ack(PUBREC, 1);
        publisher.ack(PUBREL, 1);
        publisher.expect_ack(PUBCOMP, 1);
        publisher.publish(&Publish::new("a", "m").qos(2, announced + 1));
        publisher.ping();
    });
}

/// [MQTT-3.3.4-1] A Client of 3.1.1 knows no Receive Maximum: many at once are taken, or slowed, never refused.
#[test]
fn a_client_of_3_1_1_may_send_more_than_receive_maximum() {
    on_shards(|broker| {
        let mut publisher = broker.connect(Version::V311, "p");
        for id in 1..=300_u16 {
            publisher.send(Publish::new("a", "m").qos(2, id).bytes(Version::V311));
        }
        for id in 1..=300 {
            publisher.expect_ack(PUBREC, id);
            publisher.ack(PUBREL, id);
        }
        for id in 1..=300 {
            publisher.expect_ack(PUBCOMP, id);
        }
    });
}

/// [MQTT-4.9.0-2] Acknowledgements may come in any order; each gives one place back, one for nothing gives none.
#[test]
fn acknowledgements_out_of_order_free_the_quota_too() {
    on_shards(|broker| {
        let mut subscriber = broker.connect_with(&receiving("s", 3));
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=5_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
        }
        let ids = [1, 2, 3].map(|number| subscriber.expect_publish("a", &number.to_string()).id);
        subscriber.ack(PUBACK, ids[2]);
        let fourth = subscriber.expect_publish("a", "4").id;
        subscriber.ack(PUBACK, 60_000);
        subscriber.expect_nothing_from(&mut publisher);
        subscriber.ack(PUBACK, fourth);
        subscriber.expect_publish("a", "5");
    });
}

/// [MQTT-4.13.1-1] Section 3.1.2.11.3: zero is a Protocol Error.
#[test]
fn a_receive_maximum_of_zero_is_refused() {
    let broker = Broker::start(&[]);
    assert_eq!(broker.refused(&receiving("s", 0).bytes(), V5), 0x82);
}

/// [MQTT-4.5.0-1] [MQTT311-4.5.0-1] A subscriber that acknowledges nothing holds up no other.
#[test]
fn a_stuck_subscriber_stops_nobody_else() {
    everywhere(|broker, version| {
        let mut stuck = broker.connect(version, "stuck");
        stuck.subscribe("a", 1);
        let mut lively = broker.connect(version, "lively");
        lively.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        for number in 1..=200_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
            lively.take("a", &number.to_string());
        }
        stuck.expect_publish("a", "1");
    });
}
