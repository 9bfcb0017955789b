//! Wills: when they are published, when they are not, and as what.

use std::time::{Duration, Instant};

use dunlin_tests::request::{self, Publish};
use dunlin_tests::{Broker, Connect, Version, Wire, everywhere, on_shards, prop};

use Version::{V5, V311};

fn watcher(broker: &Broker, version: Version) -> Wire {
    let mut watcher = broker.connect(version, "watcher");
    watcher.subscribe("will/#", 2);
    watcher
}

fn delayed(topic: &str, seconds: u32) -> Publish {
    Publish::new(topic, "late").property(&prop::u32(prop::WILL_DELAY, seconds))
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-12] [MQTT311-3.1.2-8] [MQTT311-3.1.2-14]
#[test]
fn a_cut_connection_leaves_its_will_at_each_qos() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        for qos in 0..3 {
            for id in ["a", "b", "c"] {
                let topic = format!("will/{id}");
                let will = Publish::new(&topic, "gone").qos(qos, 0);
                broker.connect_with(&Connect::new(version, id).will(will)).cut();
                assert_eq!(watcher.take(&topic, "gone").qos, qos);
            }
        }
    });
}

/// [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.1.2-10] [MQTT311-3.14.4-3]
#[test]
fn a_normal_disconnect_deletes_the_will() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        for id in ["a", "b", "c", "d"] {
            let connect = Connect::new(version, id).will(Publish::new("will/x", "gone"));
            broker.connect_with(&connect).disconnect();
        }
        watcher.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.14.4-3] Only Reason Code 0 deletes the Will; 0x04 asks for it.
#[test]
fn a_disconnect_with_another_reason_leaves_the_will() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        for code in [0x04, 0x80, 0x81, 0x93, 0x98] {
            let payload = format!("{code:02x}");
            let connect = Connect::new(V5, &payload).will(Publish::new("will/x", &payload));
            let mut client = broker.connect_with(&connect);
            client.send(request::disconnect(code, &[]));
            client.expect_closed();
            watcher.take("will/x", &payload);
        }
        let mut normal =
            broker.connect_with(&Connect::new(V5, "normal").will(Publish::new("will/x", "normal")));
        normal.send(request::disconnect(0, &[]));
        normal.expect_closed();
        watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
    });
}

/// [MQTT311-3.1.2-12]
#[test]
fn without_a_will_flag_nothing_is_published() {
    everywhere(|broker, version| {
        let mut watcher = broker.connect(version, "watcher");
        watcher.subscribe("#", 0);
        broker.connect(version, "x").cut();
        watcher.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.1.2-8] [MQTT311-3.1.2-8] A connection that the Server closes for an error was not ended by DISCONNECT.
#[test]
fn a_protocol_error_leaves_the_will() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        let mut client =
            broker.connect_with(&Connect::new(version, "x").will(Publish::new("will/x", "gone")));
        client.send([0x36, 5, 0, 1, b'a', 0, 1]);
        client.expect_disconnect(0x81);
        watcher.take("will/x", "gone");
    });
}

/// [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
#[test]
fn a_client_that_falls_silent_leaves_its_will() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        let will = Publish::new("will/x", "silent");
        let _silent = broker.connect_with(&Connect::new(version, "x").keep_alive(1).will(will));
        watcher.expect_publish("will/x", "silent");
    });
}

/// [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT311-3.1.2-16] [MQTT311-3.1.2-17]
#[test]
fn a_will_is_retained_when_its_flag_says_so() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        broker.connect_with(&Connect::new(version, "a").will(Publish::new("will/kept", "x").retain())).cut();
        assert!(!watcher.expect_publish("will/kept", "x").retain, "an established subscription");
        broker.connect_with(&Connect::new(version, "b").will(Publish::new("will/once", "x"))).cut();
        watcher.expect_publish("will/once", "x");

        let mut late = broker.connect(version, "late");
        late.subscribe("will/#", 0);
        assert!(late.expect_publish("will/kept", "x").retain);
        late.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] An empty retained Will clears.
#[test]
fn an_empty_retained_will_removes_the_retained_message() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("will/r", "old").qos(1, 1).retain());
        let mut watcher = watcher(broker, version);
        watcher.take("will/r", "old");
        broker.connect_with(&Connect::new(version, "x").will(Publish::new("will/r", "").retain())).cut();
        watcher.expect_publish("will/r", "");
        let mut late = broker.connect(version, "late");
        late.subscribe("will/#", 0);
        late.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.1.2-10] [MQTT311-3.1.2-10]
#[test]
fn a_will_is_published_once_and_belongs_to_its_connection() {
    everywhere(|broker, version| {
        let mut watcher = watcher(broker, version);
        broker
            .connect_with(&Connect::new(version, "x").lasting(100).will(Publish::new("will/x", "first")))
            .cut();
        watcher.take("will/x", "first");
        broker.connect_with(&Connect::new(version, "x").lasting(100)).cut();
        broker
            .connect_with(&Connect::new(version, "x").lasting(100).will(Publish::new("will/x", "second")))
            .cut();
        watcher.take("will/x", "second");
        watcher.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.1.2-9] [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]
/// [MQTT-3.1.3-10]
#[test]
fn will_properties_reach_the_subscriber() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        let will = Publish::new("will/x", "{}")
            .property(&prop::u8(prop::PAYLOAD_FORMAT, 1))
            .property(&prop::u32(prop::MESSAGE_EXPIRY, 100))
            .property(&prop::string(prop::CONTENT_TYPE, "application/json"))
            .property(&prop::string(prop::RESPONSE_TOPIC, "answers"))
            .property(&prop::string(prop::CORRELATION_DATA, [0, 1, 2]))
            .property(&prop::user("b", "1"))
            .property(&prop::user("a", "2"));
        broker.connect_with(&Connect::new(V5, "x").will(will)).cut();
        let properties = watcher.expect_publish("will/x", "{}").properties;
        assert_eq!(properties.number(prop::PAYLOAD_FORMAT), Some(1));
        assert!(matches!(properties.number(prop::MESSAGE_EXPIRY), Some(98..=100)), "{properties:?}");
        assert_eq!(properties.text(prop::CONTENT_TYPE).as_deref(), Some("application/json"));
        assert_eq!(properties.text(prop::RESPONSE_TOPIC).as_deref(), Some("answers"));
        assert_eq!(properties.text(prop::CORRELATION_DATA).as_deref(), Some("\0\u{1}\u{2}"));
        assert_eq!(properties.user(), [("b".into(), "1".into()), ("a".into(), "2".into())]);
        assert_eq!(properties.get(prop::WILL_DELAY), None, "the delay is the Server's business");
    });
}

/// [MQTT-3.1.2-8] The Will waits for its delay while the Session lasts.
#[test]
fn a_delayed_will_is_published_after_its_delay_and_not_before() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        let cut = Instant::now();
        broker.connect_with(&Connect::new(V5, "x").lasting(100).will(delayed("will/x", 1))).cut();
        watcher.expect_publish("will/x", "late");
        assert!(cut.elapsed() >= Duration::from_millis(900), "{:?}", cut.elapsed());
    });
}

/// [MQTT-3.1.2-8] The end of the Session comes first.
#[test]
fn a_delayed_will_does_not_outwait_its_session() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        broker.connect_with(&Connect::new(V5, "none").will(delayed("will/none", 100))).cut();
        watcher.take("will/none", "late");

        let cut = Instant::now();
        broker.connect_with(&Connect::new(V5, "short").lasting(1).will(delayed("will/short", 100))).cut();
        watcher.expect_publish("will/short", "late");
        assert!(cut.elapsed() >= Duration::from_millis(900), "{:?}", cut.elapsed());
    });
}

/// [MQTT-3.1.3-9]
#[test]
fn a_client_that_comes_back_within_the_delay_leaves_no_will() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        for id in ["a", "b", "c", "d"] {
            broker.connect_with(&Connect::new(V5, id).lasting(100).will(delayed("will/x", 1))).cut();
            let _back = broker.connect_with(&Connect::new(V5, id).lasting(100));
        }
        broker.pass_a_moment();
        watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
    });
}

/// [MQTT-3.1.2-8] A Clean Start ends the Session, and its end publishes the Will.
#[test]
fn a_clean_start_within_the_delay_publishes_the_will() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        broker.connect_with(&Connect::new(V5, "x").lasting(100).will(delayed("will/x", 100))).cut();
        let _clean = broker.connect(V5, "x");
        watcher.expect_publish("will/x", "late");
    });
}

/// [MQTT-3.1.2-10] [MQTT-3.14.4-3] DISCONNECT that ends the Session early must not bring the Will.
#[test]
fn a_normal_disconnect_deletes_a_delayed_will_too() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        let connect = Connect::new(V5, "x").lasting(100).will(delayed("will/x", 1));
        let mut client = broker.connect_with(&connect);
        client.send(request::disconnect(0, &prop::u32(prop::SESSION_EXPIRY, 0)));
        client.expect_closed();
        broker.pass_a_moment();
        watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
    });
}

/// [MQTT-3.1.2-8] The interval that DISCONNECT gives counts for the end of the Session.
#[test]
fn a_disconnect_with_will_and_no_session_publishes_at_once() {
    on_shards(|broker| {
        let mut watcher = watcher(broker, V5);
        let mut client =
            broker.connect_with(&Connect::new(V5, "x").lasting(100).will(delayed("will/x", 100)));
        client.send(request::disconnect(0x04, &prop::u32(prop::SESSION_EXPIRY, 0)));
        client.expect_closed();
        watcher.expect_publish("will/x", "late");
    });
}

/// [MQTT-3.1.2-8] [MQTT311-3.1.2-8] The Client's own Session may hold the subscription that its Will matches.
#[test]
fn a_will_reaches_the_session_that_left_it() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "x").lasting(100);
        let mut client = broker.connect_with(&lasting.clone().will(Publish::new("will/x", "me").qos(1, 0)));
        client.subscribe("will/x", 1);
        client.cut();
        let mut watcher = watcher(broker, version);
        let mut back = broker.connect_with(&lasting);
        back.take("will/x", "me");
        watcher.ping();
    });
}

/// [MQTT-3.1.3-11] [MQTT-4.7.3-1] [MQTT311-3.1.3-10] [MQTT311-4.7.3-1]
#[test]
fn a_will_topic_with_wildcards_or_none_at_all_is_refused() {
    let broker = Broker::start(&[]);
    for topic in ["will/#", "will/+", "#", ""] {
        for version in [V311, V5] {
            let mut client = broker.open(version);
            client.send(Connect::new(version, "x").will(Publish::new(topic, "x")).bytes());
            let answer = client.rest();
            let refused = answer.is_empty() || answer[0] == 0x20 && answer[3] != 0;
            assert!(refused, "{topic:?} {version:?}: {answer:02x?}");
        }
    }
}
