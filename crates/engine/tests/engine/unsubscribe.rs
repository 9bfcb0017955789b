//! UNSUBSCRIBE.

use crate::hello::{at, hello, message};
use crate::world::{V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

/// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6] [MQTT311-3.10.4-4]
/// [MQTT311-3.10.4-5] [MQTT311-3.10.4-6] One answer for all filters, whether they were there or not.
#[test]
fn unsuback_answers_for_each_filter_in_order() {
    for (version, unsuback) in
        [(V31, "UNSUBACK #2"), (V311, "UNSUBACK #2"), (V5, "UNSUBACK #2 [11, 00, 11, 00]")]
    {
        let mut world = World::new();
        let client = world.connect(version, "c");
        world.ask(client, &[("a", at(0)), ("b", at(0)), ("$share/g/b", at(0))], 0);
        world.take(client);
        world.unsubscribe(client, &["x", "b", "b", "$share/g/b"]);
        assert_eq!(world.take(client), [unsuback]);
    }
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2] Only the very same filter, and at once.
#[test]
fn only_the_same_filter_is_removed() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    for filter in ["a/b", "a/+", "A/b"] {
        world.subscribe(client, filter, 0);
    }
    world.unsubscribe(client, &["a/#", "+/b", "a/+"]);
    assert_eq!(world.take(client), ["UNSUBACK #4 [11, 11, 00]"]);
    let publisher = world.connect(V5, "p");
    for topic in ["a/b", "a/c", "A/b"] {
        world.publish(publisher, &message(topic, "1"));
    }
    assert_eq!(world.take(client), ["PUBLISH a/b=1", "PUBLISH A/b=1"]);
    world.unsubscribe(client, &["a/b", "A/b"]);
    world.publish(publisher, &message("a/b", "2").qos(1, 1));
    assert_eq!(world.take(publisher), ["PUBACK #1 10"]);
    assert_eq!(world.take(client), ["UNSUBACK #5 [00, 00]"]);
}

/// [MQTT-3.10.4-3] [MQTT311-3.10.4-3] What was begun is brought to its end.
#[test]
fn deliveries_under_way_are_completed() {
    let mut world = World::new();
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 2);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.publish(publisher, &message("t", "2").qos(1, 2));
    world.unsubscribe(client, &["t"]);
    assert_eq!(world.take(client), ["PUBLISH t=1 q2 #1", "PUBLISH t=2 q1 #2", "UNSUBACK #2 [00]"]);
    world.pubrec(client, 1);
    assert_eq!(world.take(client), ["PUBREL #1"]);
    world.lose(client);
    let client = world.enter(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["PUBREL #1", "PUBLISH t=2 q1 #2 dup"]);
}

/// Others with the same filter keep theirs.
#[test]
fn the_subscriptions_of_others_stay() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let links: Vec<_> = (0..6).map(|number| world.connect(V311, &format!("c{number}"))).collect();
        for link in &links {
            world.subscribe(*link, "t", 0);
        }
        let publisher = world.connect(V311, "p");
        for (number, link) in links.iter().enumerate() {
            world.unsubscribe(*link, &["t"]);
            assert_eq!(world.take(*link).len(), 1 + number, "UNSUBACK after what came before");
            world.publish(publisher, &message("t", "1"));
            assert_eq!(world.take(*link), NOTHING);
        }
    }
}
