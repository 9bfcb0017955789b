//! Retained messages: stored, replaced, cleared, sent to whom and when.

use dunlin_tests::request::{Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, everywhere, on_shards, prop};

use Version::{V5, V31, V311};

fn retain(broker: &Broker, version: Version, topic: &str, payload: &str, qos: u8) {
    let mut publisher = broker.connect(version, "retainer");
    publisher.publish(&Publish::new(topic, payload).qos(qos, u16::from(qos > 0)).retain());
    publisher.ping();
    publisher.disconnect();
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8] With its own QoS, at most the granted one.
#[test]
fn a_new_subscription_gets_the_retained_message_with_its_qos() {
    everywhere(|broker, version| {
        for published in 0..3 {
            retain(broker, version, &format!("r/{published}"), "m", published);
            for granted in 0..3 {
                let mut subscriber = broker.connect(version, &format!("s{granted}"));
                let topic = format!("r/{published}");
                subscriber.subscribe(&topic, granted);
                let publish = subscriber.take(&topic, "m");
                assert_eq!((publish.retain, publish.dup, publish.qos), (true, false, published.min(granted)));
            }
        }
    });
}

/// [MQTT-3.3.1-12] [MQTT311-3.3.1-9]
#[test]
fn an_established_subscription_gets_it_without_the_flag() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("r", 1);
        retain(broker, version, "r", "m", 1);
        assert!(!subscriber.take("r", "m").retain);
    });
}

/// [MQTT-3.3.1-5] [MQTT311-3.3.1-5] [MQTT311-3.3.1-7]
#[test]
fn the_last_retained_message_counts() {
    everywhere(|broker, version| {
        retain(broker, version, "r", "first", 1);
        retain(broker, version, "r", "second", 0);
        retain(broker, version, "r", "third", 2);
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("r", 0);
        subscriber.take("r", "third");
        subscriber.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]
#[test]
fn an_empty_payload_clears_and_is_delivered_but_not_stored() {
    everywhere(|broker, version| {
        retain(broker, version, "r", "m", 1);
        let mut early = broker.connect(version, "early");
        early.subscribe("r", 0);
        early.expect_publish("r", "m");
        retain(broker, version, "r", "", 1);
        assert!(!early.expect_publish("r", "").retain);
        let mut late = broker.connect(version, "late");
        late.subscribe("r", 0);
        late.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.3.1-8] [MQTT311-3.3.1-12]
#[test]
fn a_message_without_the_flag_changes_nothing() {
    everywhere(|broker, version| {
        retain(broker, version, "r", "kept", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("r", "passing").qos(1, 1));
        publisher.publish(&Publish::new("r", "").qos(1, 2));
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("r", 0);
        subscriber.expect_publish("r", "kept");
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.3.1-9] [MQTT311-3.3.1-6] All that match, each once, whatever shard holds them.
#[test]
fn a_wildcard_subscription_gets_every_matching_retained_message() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        for number in 1..=40_u16 {
            publisher.publish(&Publish::new(format!("r/{number}"), "m").qos(1, number).retain());
        }
        publisher.publish(&Publish::new("other", "m").qos(1, 41).retain());
        for filter in ["r/+", "r/#", "+/+"] {
            let mut subscriber = broker.connect(version, "s");
            subscriber.subscribe(filter, 1);
            let mut topics: Vec<_> =
                subscriber.take_all(40).into_iter().map(|publish| publish.topic).collect();
            topics.sort();
            topics.dedup();
            assert_eq!(topics.len(), 40);
            subscriber.expect_nothing_from(&mut publisher);
        }
    });
}

/// [MQTT-3.8.4-4] [MQTT311-3.8.4-3] Subscribing again sends them again.
#[test]
fn an_identical_subscription_gets_the_retained_messages_again() {
    everywhere(|broker, version| {
        retain(broker, version, "r", "m", 1);
        let mut subscriber = broker.connect(version, "s");
        for _ in 0..3 {
            subscriber.subscribe("r", 0);
            assert!(subscriber.expect_publish("r", "m").retain);
        }
    });
}

/// [MQTT-3.1.2-5] [MQTT311-3.1.2-4] Coming back is no subscription.
#[test]
fn a_resumed_session_does_not_get_the_retained_messages_again() {
    everywhere(|broker, version| {
        retain(broker, version, "r", "m", 1);
        let lasting = Connect::new(version, "s").lasting(100);
        let mut subscriber = broker.connect_with(&lasting);
        subscriber.subscribe("r", 1);
        subscriber.take("r", "m");
        subscriber.disconnect();
        broker.connect_with(&lasting).expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.8.4-5] [MQTT311-3.8.4-4] As if each filter had come in a SUBSCRIBE of its own.
#[test]
fn each_filter_of_one_packet_brings_its_retained_messages() {
    everywhere(|broker, version| {
        retain(broker, version, "a", "1", 1);
        retain(broker, version, "b", "2", 1);
        let mut subscriber = broker.connect(version, "s");
        subscriber.send(Subscribe::new(1).filter("a", 0).filter("none", 0).filter("b", 0).bytes(version));
        subscriber.expect_suback(1);
        let mut topics: Vec<_> = subscriber.take_all(2).into_iter().map(|publish| publish.topic).collect();
        topics.sort();
        assert_eq!(topics, ["a", "b"]);
    });
}

/// [MQTT-3.3.1-5] Not only the payload: the properties are stored too.
#[test]
fn a_retained_message_keeps_its_properties() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let publish = Publish::new("r", "m")
            .qos(1, 1)
            .retain()
            .property(&prop::u8(prop::PAYLOAD_FORMAT, 1))
            .property(&prop::string(prop::CONTENT_TYPE, "text/plain"))
            .property(&prop::string(prop::RESPONSE_TOPIC, "answer"))
            .property(&prop::string(prop::CORRELATION_DATA, "42"))
            .property(&prop::user("k", "1"))
            .property(&prop::user("k", "2"));
        publisher.publish(&publish);
        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("r", 0);
        let properties = subscriber.expect_publish("r", "m").properties;
        assert_eq!(properties.number(prop::PAYLOAD_FORMAT), Some(1));
        assert_eq!(properties.text(prop::CONTENT_TYPE).as_deref(), Some("text/plain"));
        assert_eq!(properties.text(prop::RESPONSE_TOPIC).as_deref(), Some("answer"));
        assert_eq!(properties.text(prop::CORRELATION_DATA).as_deref(), Some("42"));
        assert_eq!(properties.user(), [("k".into(), "1".into()), ("k".into(), "2".into())]);
    });
}

/// [MQTT311-3.3.1-6] [MQTT-3.3.1-9] Whoever retained it, in whatever version.
#[test]
fn retained_messages_pass_between_versions() {
    on_shards(|broker| {
        for from in [V31, V311, V5] {
            retain(broker, from, "r", &format!("{from:?}"), 1);
            for to in [V31, V311, V5] {
                let mut subscriber = broker.connect(to, "s");
                subscriber.subscribe("r", 1);
                assert!(subscriber.take("r", &format!("{from:?}")).retain);
            }
        }
    });
}

/// [MQTT-3.3.1-9] [MQTT311-3.3.1-6] An older value never follows a newer one.
#[test]
fn a_subscriber_never_sees_a_retained_value_go_back() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        for start in (0..200).step_by(20) {
            for number in start..start + 20 {
                publisher.send(Publish::new("r", format!("{number:04}")).retain().bytes(version));
            }
            let mut subscriber = broker.connect(version, &format!("s{start}"));
            subscriber.send(Subscribe::new(1).filter("r", 0).bytes(version));
            publisher.ping();
            let mut seen = String::new();
            while seen < format!("{:04}", start + 19) {
                match subscriber.packet() {
                    Packet::SubAck(_) => {}
                    Packet::Publish(publish) => {
                        assert!(publish.text() >= seen, "{} after {seen}", publish.text());
                        seen = publish.text();
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}
