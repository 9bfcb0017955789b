//! One Client Identifier, two connections: the newer one wins.

use dunlin_tests::request::Publish;
use dunlin_tests::{Broker, Connect, Version, everywhere, on_shards, prop};

use Version::{V5, V31, V311};

/// Whoever takes over again and again does not wait for it.
const UNSLOWED: &str = "[limits]\ntakeover_delay_maximum_ms = 0\n";

/// [MQTT-3.1.4-3] [MQTT-3.14.4-2] [MQTT311-3.1.4-2] 0x8E to 5.0, silence to 3.1.1.
#[test]
fn the_older_connection_is_told_and_closed() {
    everywhere(|broker, version| {
        for id in ["a", "b", "c", "d", "e", "f"] {
            let mut older = broker.connect(version, id);
            let mut newer = broker.connect(version, id);
            older.expect_disconnect(0x8e);
            newer.ping();
        }
    });
}

/// [MQTT-3.1.4-3] [MQTT-3.2.2-3] [MQTT311-3.2.2-2] Every combination of what was and what comes.
#[test]
fn session_present_after_takeover_follows_the_older_and_the_newer_connect() {
    for shards in ["1", "4"] {
        let broker = Broker::start_with_config(UNSLOWED, &["--shards", shards]);
        for (older, newer, present) in [
            (Connect::new(V311, "x"), Connect::new(V311, "x"), false),
            (Connect::new(V311, "x"), Connect::new(V311, "x").clean(false), false),
            (Connect::new(V311, "x").clean(false), Connect::new(V311, "x"), false),
            (Connect::new(V311, "x").clean(false), Connect::new(V311, "x").clean(false), true),
            (Connect::new(V5, "x").lasting(100), Connect::new(V5, "x"), false),
            (Connect::new(V5, "x").lasting(100), Connect::new(V5, "x").clean(false), true),
            (Connect::new(V5, "x").expiring(100), Connect::new(V5, "x").lasting(100), true),
            (Connect::new(V311, "x").clean(false), Connect::new(V5, "x").lasting(100), true),
            (Connect::new(V5, "x").lasting(100), Connect::new(V311, "x").clean(false), true),
        ] {
            broker.connect(V311, "x").disconnect();
            let mut old = broker.connect_with(&older);
            let new = broker.connect_with(&newer);
            let found = new.connack.clone().unwrap().session_present;
            assert_eq!(found, present, "{older:?} then {newer:?}");
            old.expect_disconnect(0x8e);
            new.disconnect();
        }
    }
}

/// [MQTT-3.1.4-3] The Session of a connection with expiry 0 ends when that connection does, or passes on;
/// after it, Session Present and the subscriptions must agree.
#[test]
fn session_present_after_taking_over_a_session_without_expiry_is_true_of_its_subscriptions() {
    on_shards(|broker| {
        let mut old = broker.connect_with(&Connect::new(V5, "x").clean(false));
        old.subscribe("kept", 1);
        let mut new = broker.connect_with(&Connect::new(V5, "x").lasting(100));
        old.expect_disconnect(0x8e);
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("kept", "x").qos(1, 1));
        if new.connack.clone().unwrap().session_present {
            new.take("kept", "x");
        }
        new.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.1.2-5] [MQTT311-3.1.2-4] The Session moves with its unacknowledged messages.
#[test]
fn unacknowledged_messages_follow_to_the_newer_connection() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "x").lasting(100);
        let mut old = broker.connect_with(&lasting);
        old.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 1));
        let sent = old.expect_publish("a", "m");

        let mut new = broker.connect_with(&lasting);
        old.expect_disconnect(0x8e);
        let again = new.take("a", "m");
        assert!(again.dup && again.id == sent.id, "{again:?}");
        new.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.1.4-3] [MQTT311-3.1.4-2] What the older connection still sends is not the newer one's business.
#[test]
fn many_takeovers_leave_exactly_one_connection() {
    for (shards, version) in [("1", V311), ("4", V311), ("1", V5), ("4", V5)] {
        let broker = Broker::start_with_config(UNSLOWED, &["--shards", shards]);
        let mut all: Vec<_> =
            (0..20).map(|_| broker.connect_with(&Connect::new(version, "x").lasting(100))).collect();
        let mut last = all.pop().unwrap();
        for mut older in all {
            older.expect_disconnect(0x8e);
        }
        last.ping();
        assert!(last.connack.clone().unwrap().session_present);
    }
}

/// [MQTT-3.1.4-3] [MQTT311-3.1.4-2] A 5.0 Client is told why even where a 3.x Client takes over, and the reverse.
#[test]
fn clients_of_different_versions_take_over_from_each_other() {
    on_shards(|broker| {
        let mut five = broker.connect(V5, "x");
        let mut four = broker.connect(V311, "x");
        five.expect_disconnect(0x8e);
        let mut three = broker.connect(V31, "x");
        four.expect_closed();
        let mut five = broker.connect(V5, "x");
        three.expect_closed();
        five.ping();
    });
}

/// [MQTT-3.1.2-8] [MQTT311-3.1.2-8] Taken over is not disconnected: without a delay the Will is published.
#[test]
fn a_taken_over_connection_leaves_its_will() {
    everywhere(|broker, version| {
        let mut watcher = broker.connect(version, "watcher");
        watcher.subscribe("will", 0);
        let _old =
            broker.connect_with(&Connect::new(version, "x").lasting(100).will(Publish::new("will", "taken")));
        let _new = broker.connect_with(&Connect::new(version, "x").lasting(100));
        watcher.expect_publish("will", "taken");
    });
}

/// [MQTT-3.1.3-9] [MQTT-3.1.2-8] With a delay the newer connection comes in time; unless it ends the Session.
#[test]
fn a_takeover_within_the_will_delay_cancels_the_will_unless_it_starts_clean() {
    on_shards(|broker| {
        let mut watcher = broker.connect(V5, "watcher");
        watcher.subscribe("will/+", 0);
        let delayed = |topic: &str| Publish::new(topic, "x").property(&prop::u32(prop::WILL_DELAY, 60));
        let _a = broker.connect_with(&Connect::new(V5, "a").lasting(100).will(delayed("will/a")));
        let _b = broker.connect_with(&Connect::new(V5, "b").lasting(100).will(delayed("will/b")));
        let _c = broker.connect_with(&Connect::new(V5, "a").lasting(100));
        let _d = broker.connect_with(&Connect::new(V5, "b"));
        watcher.expect_publish("will/b", "x");
        watcher.expect_nothing_from(&mut broker.connect(V5, "p"));
    });
}
