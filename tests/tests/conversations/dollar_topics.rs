//! Topics that begin with `$`.

use dunlin_tests::request::{PUBACK, Publish};
use dunlin_tests::{Broker, Connect, Packet, Version, everywhere, on_shards};

use Version::{V5, V311};

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_match_a_dollar_topic() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        for filter in ["#", "+/a", "+/#", "+/+"] {
            subscriber.subscribe(filter, 0);
        }
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("$own/a", "hidden"));
        publisher.publish(&Publish::new("$own", "hidden"));
        publisher.publish(&Publish::new("own/a", "seen"));
        subscriber.expect_publish("own/a", "seen");
        subscriber.ping();
    });
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] A filter that names the first level does match, also with wildcards behind it.
#[test]
fn a_filter_that_names_the_dollar_level_matches() {
    everywhere(|broker, version| {
        for (number, filter) in ["$own/#", "$own/+", "$own/a"].into_iter().enumerate() {
            let mut subscriber = broker.connect(version, &format!("s{number}"));
            subscriber.subscribe(filter, 0);
            broker.connect(version, "p").publish(&Publish::new("$own/a", filter));
            subscriber.expect_publish("$own/a", filter);
        }
    });
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] `$` elsewhere is a character like any other.
#[test]
fn a_dollar_in_another_place_is_ordinary() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("+/#", 0);
        let mut publisher = broker.connect(version, "p");
        for topic in ["a/$SYS", "a$", "/$SYS/x"] {
            publisher.publish(&Publish::new(topic, "m"));
            subscriber.expect_publish(topic, "m");
        }
    });
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] Retained messages obey the same rule.
#[test]
fn a_leading_wildcard_brings_no_retained_dollar_topic() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("$own/r", "hidden").qos(1, 1).retain());
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("#", 0);
        subscriber.subscribe("+/r", 0);
        subscriber.expect_nothing_from(&mut publisher);
        subscriber.unsubscribe("#");
        subscriber.subscribe("$own/r", 0);
        subscriber.expect_publish("$own/r", "hidden");
    });
}

/// [MQTT-3.4.2-1] [MQTT311-3.3.5-2] 5.0 is told so; 3.1.1 is acknowledged or closed; nobody gets it.
#[test]
fn publishing_to_sys_is_refused() {
    on_shards(|broker| {
        let mut watcher = broker.connect(V5, "w");
        watcher.subscribe("$SYS/broker/version/forged", 0);
        let mut new = broker.connect(V5, "new");
        for (qos, id) in [(1, 1), (2, 2)] {
            let code = new.publish(&Publish::new("$SYS/broker/version/forged", "x").qos(qos, id).retain());
            assert!([0x87, 0x90].contains(&code), "{code:#04x}");
        }
        new.send(Publish::new("$SYS/broker/version/forged", "x").bytes(V5));
        new.ping();

        let mut old = broker.connect(V311, "old");
        old.send(Publish::new("$SYS/broker/version/forged", "x").qos(1, 1).bytes(V311));
        match old.packet_or_end() {
            None => {}
            Some(Packet::PubAck(ack)) => assert_eq!(ack.id, 1),
            other => panic!("expected {PUBACK:#04x} or the end, got {other:?}"),
        }
        watcher.expect_nothing_from(&mut new);
    });
}

/// [MQTT-3.1.2-8] [MQTT311-3.1.2-8] A Will cannot do what its Client cannot.
#[test]
fn a_will_to_sys_is_not_delivered() {
    let broker = Broker::start(&[]);
    let mut watcher = broker.connect(V5, "w");
    watcher.subscribe("$SYS/forged", 0);
    for version in [V311, V5] {
        let mut client = broker.open(version);
        client.send(Connect::new(version, "x").will(Publish::new("$SYS/forged", "x")).bytes());
        if client.expect_connack().code == 0 {
            client.ping();
        }
        client.cut();
    }
    watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
}
