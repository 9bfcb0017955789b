//! Topic Names that Clients may and may not publish to.

use crate::hello::message;
use crate::world::{V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

/// [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT311-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1]
#[test]
fn a_publish_to_no_topic_name_ends_the_connection() {
    for topic in ["a/+", "#", "a#", "+a"] {
        for (version, farewell) in
            [(V31, &["closed"][..]), (V311, &["closed"]), (V5, &["DISCONNECT 90", "closed"])]
        {
            let mut world = World::new();
            let watcher = world.connect(V5, "w");
            world.subscribe(watcher, "#", 0);
            let publisher = world.connect(version, "p");
            world.publish(publisher, &message(topic, "1").qos(1, 1));
            assert_eq!(world.take(publisher), farewell, "{topic}");
            assert_eq!(world.take(watcher), NOTHING);
        }
    }
    let mut world = World::new();
    let publisher = world.connect(V311, "p");
    world.publish(publisher, &message("", "1"));
    assert_eq!(world.take(publisher), ["closed"]);
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] `$SYS` is the Server's, and `$share` is nobody's; other topics with `$` are anybody's.
#[test]
fn clients_do_not_publish_for_the_server() {
    for (version, refused, qos_2) in [(V5, "PUBACK #1 87", "PUBREC #2 87"), (V311, "PUBACK #1", "PUBREC #2")]
    {
        let mut world = World::new();
        let watcher = world.connect(V5, "w");
        for filter in ["$SYS/#", "$SYSTEM", "$other/+"] {
            world.subscribe(watcher, filter, 0);
        }
        let publisher = world.connect(version, "p");
        for topic in ["$SYS", "$SYS/a", "$share/g/t"] {
            world.publish(publisher, &message(topic, "1").retain());
            world.publish(publisher, &message(topic, "1").qos(1, 1));
            world.publish(publisher, &message(topic, "1").qos(2, 2));
            world.pubrel(publisher, 2);
            assert_eq!(world.take(publisher), [refused, qos_2, "PUBCOMP #2"]);
        }
        assert_eq!(world.take(watcher), NOTHING);
        world.publish(publisher, &message("$SYSTEM", "2"));
        world.publish(publisher, &message("$other/x", "3"));
        assert_eq!(world.take(watcher), ["PUBLISH $SYSTEM=2", "PUBLISH $other/x=3"]);
        assert_eq!(world.count(|counters| counters.retained_messages), 0);
    }
}

/// The bounds of topics: a publisher is told (5.0) and keeps its connection.
#[test]
fn topics_beyond_a_bound_are_refused() {
    for (version, refused) in [(V5, "PUBACK #1 90"), (V311, "PUBACK #1")] {
        let mut world = World::with(|settings| {
            settings.limits.topic_levels_maximum = 3;
            settings.limits.topic_length_maximum = 10;
        });
        let watcher = world.connect(V5, "w");
        world.subscribe(watcher, "#", 0);
        let publisher = world.connect(version, "p");
        for topic in ["a/b/c/d", "///", "12345678901"] {
            world.publish(publisher, &message(topic, "1").qos(1, 1));
            assert_eq!(world.take(publisher), [refused]);
        }
        assert_eq!(world.take(watcher), NOTHING);
        for topic in ["a/b/c", "//", "1234567890"] {
            world.publish(publisher, &message(topic, "1"));
        }
        assert_eq!(world.take(watcher).len(), 3);
    }
}

/// A publisher may stay with its topic, alternate, or come back to one after Subscriptions changed: each message goes where its own
/// topic says, and a string that is none is none at any time.
#[test]
fn each_message_goes_by_its_own_topic() {
    let mut world = World::new();
    let watcher = world.connect(V5, "w");
    for filter in ["a", "b/+"] {
        world.subscribe(watcher, filter, 0);
    }
    let publisher = world.connect(V311, "p");
    let long = format!("b/{}", "x".repeat(300));
    for topic in ["a", "a", "a", "b/c", "a", "b/c", "b/c", "b/d", "b/d", "b", "b", "a", &long, &long, &long] {
        world.publish(publisher, &message(topic, "1"));
        let wanted = if topic == "b" { vec![] } else { vec![format!("PUBLISH {topic}=1")] };
        assert_eq!(world.take(watcher), wanted);
    }
    for round in 0..3 {
        world.publish(publisher, &message("a", "1"));
        world.publish(publisher, &message("a", "2"));
        let wanted = if round == 1 { vec![] } else { vec!["PUBLISH a=1", "PUBLISH a=2"] };
        assert_eq!(world.take(watcher), wanted);
        if round == 0 {
            world.unsubscribe(watcher, &["a"]);
        } else {
            world.subscribe(watcher, "a", 0);
        }
        world.take(watcher);
    }
    world.send_bytes(publisher, &[0x30, 3, 0, 1, 0xFF]);
    assert_eq!(world.take(publisher), ["closed"]);
}
