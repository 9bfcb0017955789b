//! Topic Aliases, of the Client and of the Server.

use crate::hello::{hello, message};
use crate::world::{Link, V5, World};

const NOTHING: [&str; 0] = [];

fn pair() -> (World, Link, Link) {
    let mut world = World::with(|settings| settings.limits.topic_alias_maximum = 3);
    let publisher = world.enter(&hello(V5, "p").lasting(60));
    let watcher = world.connect(V5, "watcher");
    world.subscribe(watcher, "#", 0);
    (world, publisher, watcher)
}

/// [MQTT-3.3.2-12] [MQTT-3.3.2-7] From 1 to the maximum, defined and defined anew.
#[test]
fn an_alias_stands_for_the_topic_it_was_last_sent_with() {
    let (mut world, publisher, watcher) = pair();
    for (topic, alias) in [("a", 1), ("b", 3), ("", 1), ("c", 1), ("", 1), ("", 3)] {
        world.publish(publisher, &message(topic, "x").alias(alias));
    }
    let topics = ["a", "b", "a", "c", "c", "b"];
    assert_eq!(world.take(watcher), topics.map(|topic| format!("PUBLISH {topic}=x")));
}

/// [MQTT-3.3.2-9] [MQTT-3.2.2-17] Beyond the maximum, or never defined (section 3.3.2.3.4, a Protocol Error).
#[test]
fn an_alias_that_cannot_be_ends_the_connection() {
    let wrongs = [("94", "a", 4), ("82", "", 3), ("82", "", 2), ("94", "", 4)];
    for (reason, topic, alias) in wrongs {
        let (mut world, publisher, watcher) = pair();
        world.publish(publisher, &message("a", "x").alias(1));
        world.publish(publisher, &message(topic, "x").alias(alias));
        assert_eq!(world.take(publisher), [&format!("DISCONNECT {reason}"), "closed"]);
        assert_eq!(world.take(watcher), ["PUBLISH a=x"]);
    }
}

/// [MQTT-3.2.2-18] Without a Topic Alias Maximum in CONNACK there are none.
#[test]
fn no_alias_is_taken_where_none_was_offered() {
    let mut world = World::with(|settings| settings.limits.topic_alias_maximum = 0);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("a", "x").alias(1));
    assert_eq!(world.take(publisher), ["DISCONNECT 94", "closed"]);
}

/// [MQTT-3.3.2-7] Aliases are of the connection, not of the Session.
#[test]
fn an_alias_ends_with_its_connection() {
    let (mut world, publisher, _) = pair();
    world.publish(publisher, &message("a", "x").alias(1));
    world.lose(publisher);
    let publisher = world.enter(&hello(V5, "p").lasting(60));
    world.publish(publisher, &message("", "x").alias(1));
    assert_eq!(world.take(publisher), ["DISCONNECT 82", "closed"]);
}

/// [MQTT-3.3.2-12] The first PUBLISH with an alias may be one that is sent again: it defines all the same.
#[test]
fn a_repeated_qos_2_publish_defines_its_alias() {
    let (mut world, publisher, watcher) = pair();
    world.publish(publisher, &message("a", "1").qos(2, 7));
    world.lose(publisher);
    let publisher = world.enter(&hello(V5, "p").lasting(60));
    world.publish(publisher, &message("a", "1").qos(2, 7).dup().alias(1));
    world.publish(publisher, &message("", "2").alias(1));
    assert_eq!(world.take(publisher), ["PUBREC #7"]);
    assert_eq!(world.take(watcher), ["PUBLISH a=1", "PUBLISH a=2"]);
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11] The Server's: as many as the Client takes, the topic once for each.
#[test]
fn the_server_uses_as_many_aliases_as_the_client_takes() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    let none = world.connect(V5, "none");
    world.subscribe(none, "#", 0);
    let two = world.enter(&hello(V5, "two").aliases(2));
    world.subscribe(two, "#", 1);
    for (id, topic) in [(1, "aaaa"), (2, "aaaa"), (3, "bbbb"), (4, "cccc"), (5, "bbbb")] {
        world.publish(publisher, &message(topic, "x").qos(1, id));
    }
    let aliased = [
        "PUBLISH aaaa=x q1 #1 [alias=1]",
        "PUBLISH =x q1 #2 [alias=1]",
        "PUBLISH bbbb=x q1 #3 [alias=2]",
        "PUBLISH cccc=x q1 #4",
        "PUBLISH =x q1 #5 [alias=2]",
    ];
    assert_eq!(world.take(two), aliased);
    assert!(world.take(none).iter().all(|line| !line.contains("alias")));
}

/// [MQTT-3.3.2-7] A redelivery on a new connection knows none of the aliases of the old one.
#[test]
fn what_is_sent_again_does_not_rely_on_old_aliases() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    let client = world.enter(&hello(V5, "c").lasting(60).aliases(5));
    world.subscribe(client, "#", 1);
    for id in 1..=2 {
        world.publish(publisher, &message("topic", "x").qos(1, id));
    }
    world.lose(client);
    let client = world.enter(&hello(V5, "c").lasting(60).aliases(5));
    assert_eq!(world.take(client), ["PUBLISH topic=x q1 #1 dup [alias=1]", "PUBLISH =x q1 #2 dup [alias=1]"]);
    world.lose(client);
    let client = world.enter(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["PUBLISH topic=x q1 #1 dup", "PUBLISH topic=x q1 #2 dup"]);
}

/// [MQTT-3.1.2-24] [MQTT-3.3.2-7] Where an alias would make the packet too large it is left out, and no number is given twice.
#[test]
fn an_alias_that_does_not_fit_is_left_out_and_confuses_nobody() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    // Topic a and a payload of 14 bytes make 20 bytes; the alias would add two.
    let client = world.enter(&hello(V5, "c").aliases(9).maximum_packet_size(20));
    world.subscribe(client, "#", 0);
    world.publish(publisher, &message("a", "1"));
    world.publish(publisher, &message("b", "2"));
    world.publish(publisher, &message("a", "12345678901234"));
    world.publish(publisher, &message("c", "3"));
    world.publish(publisher, &message("b", "4"));
    let expected = [
        "PUBLISH a=1 [alias=1]",
        "PUBLISH b=2 [alias=2]",
        "PUBLISH a=12345678901234",
        "PUBLISH c=3 [alias=3]",
        "PUBLISH =4 [alias=2]",
    ];
    assert_eq!(world.take(client), expected);
    assert_eq!(world.take(publisher), NOTHING);
}
