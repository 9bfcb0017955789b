//! Clients of 3.1, 3.1.1 and 5.0 on one port.

use dunlin_tests::request::Publish;
use dunlin_tests::{Connect, Version, on_shards, prop};

use Version::{V5, V31, V311};

const ALL: [Version; 3] = [V31, V311, V5];

/// [MQTT-3.3.4-1] [MQTT311-3.3.4-1] All nine pairs, each QoS.
#[test]
fn messages_pass_from_each_version_to_each() {
    on_shards(|broker| {
        for from in ALL {
            for to in ALL {
                let mut subscriber = broker.connect(to, "s");
                subscriber.subscribe("a", 2);
                let mut publisher = broker.connect(from, "p");
                for qos in 0..3 {
                    publisher.publish(&Publish::new("a", "m").qos(qos, 1));
                    assert_eq!(subscriber.take("a", "m").qos, qos, "{from:?} to {to:?}");
                }
            }
        }
    });
}

/// [MQTT-3.1.2-5] [MQTT311-3.1.2-4] One Session, spoken to in all versions.
#[test]
fn a_session_goes_on_in_another_version() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let mut client = broker.connect_with(&Connect::new(V5, "s").lasting(1000));
        client.subscribe("a", 1);
        client.disconnect();
        for (number, version) in (1..).zip([V311, V31, V5, V311, V5]) {
            publisher.publish(
                &Publish::new("a", number.to_string()).qos(1, number).property(&prop::user("k", "v")),
            );
            let mut back = broker.connect_with(&Connect::new(version, "s").lasting(1000));
            if version != V31 {
                assert!(back.connack.clone().unwrap().session_present);
            }
            let publish = back.take("a", &number.to_string());
            assert_eq!(publish.properties.user().len(), usize::from(version == V5));
            back.ping();
            back.disconnect();
        }
    });
}

/// [MQTT-4.1.0-2] A Session that 3.1.1 has taken up does not expire; one that 5.0 takes up may.
#[test]
fn the_last_connect_decides_how_long_a_session_lasts() {
    on_shards(|broker| {
        broker.connect_with(&Connect::new(V5, "s").lasting(1)).disconnect();
        broker.connect_with(&Connect::new(V311, "s").clean(false)).disconnect();
        broker.pass_a_moment();
        let back = broker.connect_with(&Connect::new(V5, "s").clean(false));
        assert!(back.connack.clone().unwrap().session_present, "3.1.1 sessions do not expire");
        back.disconnect();
        let gone = broker.connect_with(&Connect::new(V311, "s").clean(false));
        assert!(!gone.connack.clone().unwrap().session_present, "5.0 without an interval ended it");
    });
}

/// [MQTT-3.3.1-12] [MQTT311-3.3.1-9] One message, many kinds of subscribers.
#[test]
fn one_message_reaches_subscribers_of_all_versions_and_qos() {
    on_shards(|broker| {
        let mut subscribers = Vec::new();
        for version in ALL {
            for qos in 0..3 {
                let mut subscriber = broker.connect(version, &format!("{version:?}{qos}"));
                subscriber.subscribe("fan/#", qos);
                subscribers.push((subscriber, qos));
            }
        }
        for from in ALL {
            let mut publisher = broker.connect(from, "p");
            publisher.publish(&Publish::new("fan/out", "m").qos(2, 1).retain());
            for (subscriber, qos) in &mut subscribers {
                let publish = subscriber.take("fan/out", "m");
                assert_eq!((publish.qos, publish.retain), (*qos, false));
            }
        }
    });
}
