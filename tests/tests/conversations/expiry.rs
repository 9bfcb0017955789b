//! Message Expiry Interval: counted down while queued, never delivered late.

use dunlin_tests::request::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use dunlin_tests::{Connect, Version, on_shards, prop};

use Version::{V5, V311};

fn expiring(topic: &str, payload: &str, seconds: u32) -> Publish {
    Publish::new(topic, payload).property(&prop::u32(prop::MESSAGE_EXPIRY, seconds))
}

/// [MQTT-3.3.2-6]
#[test]
fn a_message_delivered_at_once_keeps_its_interval() {
    on_shards(|broker| {
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("a", "m", 100).qos(1, 1));
        let left = subscriber.take("a", "m").properties.number(prop::MESSAGE_EXPIRY);
        assert!(matches!(left, Some(99 | 100)), "{left:?}");
        publisher.publish(&Publish::new("a", "m"));
        assert_eq!(subscriber.take("a", "m").properties.get(prop::MESSAGE_EXPIRY), None);
    });
}

/// [MQTT-3.3.2-6] The received value less the time in the Server.
#[test]
fn the_interval_counts_down_while_a_message_is_queued() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 1);
        subscriber.disconnect();
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("a", "m", 100).qos(1, 1));
        broker.pass_a_moment();
        let left =
            broker.connect_with(&lasting).take("a", "m").properties.number(prop::MESSAGE_EXPIRY).unwrap();
        assert!((85..=99).contains(&left), "{left}");
    });
}

/// [MQTT-3.3.2-5] An expired message is deleted, what stands behind it is not.
#[test]
fn an_expired_message_is_not_delivered_to_who_comes_back() {
    on_shards(|broker| {
        for version in [V5, V311] {
            let lasting = Connect::new(version, "s").lasting(100);
            let mut subscriber = broker.connect_with(&lasting);
            subscriber.subscribe("a", 2);
            subscriber.disconnect();
            let mut publisher = broker.connect(V5, "p");
            publisher.publish(&expiring("a", "short", 1).qos(1, 1));
            publisher.publish(&expiring("a", "short", 1).qos(2, 2));
            publisher.publish(&expiring("a", "long", 100).qos(1, 3));
            publisher.publish(&Publish::new("a", "forever").qos(2, 4));
            broker.pass_a_moment();
            let mut back = broker.connect_with(&lasting);
            let payloads: Vec<_> = back.take_all(2).iter().map(|publish| publish.text()).collect();
            assert_eq!(payloads, ["long", "forever"]);
            back.expect_nothing_from(&mut publisher);
            back.send(request::DISCONNECT);
            broker.connect(version, "s").disconnect();
        }
    });
}

/// [MQTT-3.3.2-5] What waits for quota expires too.
#[test]
fn a_message_that_waits_for_quota_may_expire() {
    on_shards(|broker| {
        let one = Connect::new(V5, "s").property(&prop::u16(prop::RECEIVE_MAXIMUM, 1));
        let mut subscriber = broker.connect_with(&one);
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("a", "first").qos(1, 1));
        publisher.publish(&expiring("a", "short", 1).qos(1, 2));
        publisher.publish(&Publish::new("a", "last").qos(1, 3));
        let first = subscriber.expect_publish("a", "first");
        broker.pass_a_moment();
        subscriber.ack(PUBACK, first.id);
        subscriber.take("a", "last");
    });
}

/// [MQTT-3.3.2-5] [MQTT-4.3.3-7] Once sent, a message is completed whatever its interval says.
#[test]
fn a_message_in_flight_does_not_expire() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("a", "m", 1).qos(2, 1));
        let sent = subscriber.expect_publish("a", "m");
        broker.pass_a_moment();
        subscriber.cut();
        let again = broker.connect_with(&lasting).take("a", "m");
        assert_eq!((again.id, again.dup), (sent.id, true));
    });
}

/// [MQTT-4.3.3-13]
#[test]
fn the_handshake_of_an_expired_message_goes_on_to_its_end() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.send(expiring("a", "m", 1).qos(2, 1).bytes(V5));
        assert!(publisher.expect_ack(PUBREC, 1) < 0x80);
        broker.pass_a_moment();
        publisher.ack(PUBREL, 1);
        assert_eq!(publisher.expect_ack(PUBCOMP, 1), 0);
    });
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] Retained messages count down and go.
#[test]
fn a_retained_message_expires() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("r/short", "m", 1).qos(1, 1).retain());
        publisher.publish(&expiring("r/long", "m", 100).qos(1, 2).retain());
        let mut early = broker.connect(V5, "early");
        early.subscribe("r/short", 0);
        assert_eq!(early.expect_publish("r/short", "m").properties.number(prop::MESSAGE_EXPIRY), Some(1));
        broker.pass_a_moment();
        let mut late = broker.connect(V5, "late");
        late.subscribe("r/+", 0);
        let left = late.expect_publish("r/long", "m").properties.number(prop::MESSAGE_EXPIRY).unwrap();
        assert!((85..=99).contains(&left), "{left}");
        late.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.3.2-6] 3.1.1 has no place for the interval, and its messages have none.
#[test]
fn the_interval_is_not_told_to_3_1_1() {
    on_shards(|broker| {
        let mut old = broker.connect(V311, "old");
        old.subscribe("a", 1);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("a", "m", 100).qos(1, 1));
        old.expect(Publish::new("a", "m").qos(1, 1).bytes(V311));
    });
}

/// [MQTT-3.3.2-5] An interval of 0 is over at once for who is not there.
#[test]
fn an_interval_of_zero_does_not_wait() {
    on_shards(|broker| {
        let lasting = Connect::new(V5, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("a", 1);
        subscriber.disconnect();
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&expiring("a", "m", 0).qos(1, 1));
        broker.pass_a_moment();
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}
