//! Taps: packets copied as they pass, for whoever looks.

use std::time::Duration;

use dunlin_codec::Property;
use dunlin_engine::{ListenerRules, TapFilter};

use crate::hello::{hello, message};
use crate::world::{V5, V311, World, admission};

const NOTHING: [&str; 0] = [];

fn everything() -> TapFilter {
    TapFilter::default()
}

fn topic(filter: &str) -> TapFilter {
    TapFilter { topics: vec![filter.into()], ..TapFilter::default() }
}

fn client(pattern: &str) -> TapFilter {
    TapFilter { clients: vec![pattern.into()], ..TapFilter::default() }
}

#[test]
fn both_directions_of_everybody_are_seen_in_order() {
    let mut world = World::new();
    let before = world.connect(V311, "before");
    let taps = world.tap(everything());
    let after = world.connect(V5, "after");
    world.subscribe(after, "t", 1);
    world.publish(before, &message("t", "1").qos(1, 5));
    world.acknowledge_all(after);
    world.ping(before);
    let (said, lost) = world.tapped(&taps).unwrap();
    assert_eq!(
        said,
        [
            "from after: CONNECT",
            "to after: CONNACK",
            "from after: SUBSCRIBE",
            "to after: SUBACK",
            "from before: PUBLISH t",
            "to after: PUBLISH t",
            "to before: PUBACK",
            "from after: PUBACK",
            "from before: PINGREQ",
            "to before: PINGRESP",
        ]
    );
    assert_eq!(lost, 0);
    assert_eq!(world.tapped(&taps).unwrap().0, NOTHING);
}

#[test]
fn one_client_is_followed_from_its_connect_on_and_across_shards() {
    let mut world = World::sharded(4);
    let taps = world.tap(client("pump-*"));
    let other = world.connect(V5, "other");
    // Wherever its Session lives, it comes in at the first shard.
    for number in 0..4 {
        let name = format!("pump-{number}");
        let pump = world.connect(V5, &name);
        world.ping(pump);
        world.ping(other);
        let expected = [
            format!("from {name}: CONNECT"),
            format!("to {name}: CONNACK"),
            format!("from {name}: PINGREQ"),
            format!("to {name}: PINGRESP"),
        ];
        assert_eq!(world.tapped(&taps).unwrap().0, expected);
    }
}

#[test]
fn a_refused_connect_is_seen_with_its_answer() {
    let mut world = World::with(|settings| settings.limits.client_id_length_maximum = 8);
    let taps = world.tap(client("a-long-*"));
    world.knock(&hello(V5, "a-long-name"));
    assert_eq!(world.tapped(&taps).unwrap().0, ["from a-long-name: CONNECT", "to a-long-name: CONNACK"]);
}

#[test]
fn of_a_topic_everything_that_belongs_to_it_is_seen() {
    // With a log, answers come later.
    let mut world = World::in_memory_with(1, |_| ());
    let taps = world.tap(topic("a/#"));
    let (publisher, subscriber) = (world.connect(V5, "p"), world.enter(&hello(V5, "s").aliases(3)));
    world.subscribe(subscriber, "b", 0);
    world.subscribe(subscriber, "+/x", 2);
    world.publish(publisher, &message("b", "1"));
    // An alias stands for the topic, in both directions.
    world.publish(publisher, &message("a/x", "1").alias(1));
    world.publish(publisher, &message("", "2").alias(1).qos(2, 9));
    world.pubrel(publisher, 9);
    world.acknowledge_all(subscriber);
    assert_eq!(
        world.tapped(&taps).unwrap().0,
        [
            "from s: SUBSCRIBE",
            "to s: SUBACK",
            "from p: PUBLISH a/x",
            "to s: PUBLISH a/x",
            "from p: PUBLISH  = a/x",
            "to p: PUBREC",
            "to s: PUBLISH  = a/x",
            "from p: PUBREL",
            "to p: PUBCOMP",
            "from s: PUBREC",
            "to s: PUBREL",
            "from s: PUBCOMP",
        ]
    );
}

#[test]
fn packet_types_are_chosen() {
    let mut world = World::new();
    let taps = world.tap(TapFilter { packet_types: 1 << 1 | 1 << 14, ..everything() });
    let client = world.connect(V5, "c");
    world.publish(client, &message("t", "1"));
    world.leave(client);
    assert_eq!(world.tapped(&taps).unwrap().0, ["from c: CONNECT", "from c: DISCONNECT"]);
}

#[test]
fn secrets_are_written_over_unless_they_are_asked_for() {
    for (secrets, password) in [(false, "*******"), (true, "s3cret!")] {
        let mut world = World::new();
        let taps = world.tap(TapFilter { secrets, ..everything() });
        let token = Property::UserProperty("X-Token", "abcdef");
        world.enter(&hello(V5, "c").user_name("eyJh.b.c").password("s3cret!").property(token));
        let (said, _) = world.tapped(&taps).unwrap();
        assert_eq!(said[0], format!("from c: CONNECT {password}"));
    }
}

#[test]
fn what_nobody_fetches_is_counted_and_does_not_grow() {
    let mut world = World::new();
    let taps = world.tap(TapFilter { buffer_bytes_maximum: 1000, ..everything() });
    let client = world.connect(V5, "c");
    for _ in 0..100 {
        world.publish(client, &message("t", "x".repeat(100)));
    }
    let (said, lost) = world.tapped(&taps).unwrap();
    assert!(said.len() < 10 && said.len() as u64 + lost == 102, "{} {lost}", said.len());
    world.publish(client, &message("t", "1"));
    assert_eq!(world.tapped(&taps).unwrap(), (vec!["from c: PUBLISH t".to_owned()], 0));
}

/// A topic behind an alias is said with every packet.
#[test]
fn topics_that_are_said_beside_packets_count() {
    let mut world = World::new();
    let taps = world.tap(TapFilter { buffer_bytes_maximum: 10_000, ..everything() });
    let client = world.connect(V5, "c");
    world.publish(client, &message(&"t".repeat(1000), "x").alias(1));
    for _ in 0..100 {
        world.publish(client, &message("", "x").alias(1));
    }
    let (said, lost) = world.tapped(&taps).unwrap();
    assert!(said.len() < 12 && said.len() as u64 + lost == 103, "{} {lost}", said.len());
    world.publish(client, &message("", "x").alias(1));
    assert_eq!(world.tapped(&taps).unwrap().0.len(), 1);
}

#[test]
fn of_a_large_packet_the_beginning_is_kept() {
    let mut world = World::new();
    let taps = world.tap(TapFilter { packet_bytes_maximum: 100, ..everything() });
    let client = world.connect(V5, "c");
    world.subscribe(client, "t", 0);
    world.tapped(&taps).unwrap();
    world.publish(client, &message("t", "x".repeat(200_000)));
    let size = "100 of 200008 bytes";
    assert_eq!(world.tapped(&taps).unwrap().0, [format!("from c: {size}"), format!("to c: {size}")]);
}

#[test]
fn a_tap_that_nobody_fetches_from_ends() {
    let mut world = World::new();
    let taps = world.tap(everything());
    let client = world.connect(V5, "c");
    world.pass(Duration::from_secs(9));
    assert!(world.tapped(&taps).is_some());
    world.pass(Duration::from_secs(11));
    world.ping(client);
    assert!(world.tapped(&taps).is_none());
}

#[test]
fn there_are_eight_at_most_and_each_sees_its_own() {
    let mut world = World::new();
    let mut taps: Vec<_> = (0..8).map(|number| world.tap(client(&format!("c{number}")))).collect();
    assert_eq!(world.tap(everything()), [None]);
    let third = world.connect(V5, "c3");
    world.connect(V5, "none");
    assert_eq!(world.tapped(&taps[3]).unwrap().0.len(), 2);
    assert_eq!(world.tapped(&taps[4]).unwrap().0, NOTHING);
    let gone = taps.remove(3);
    world.untap(&gone);
    let again = world.tap(client("c3"));
    world.ping(third);
    assert_eq!(world.tapped(&again).unwrap().0, ["from c3: PINGREQ", "to c3: PINGRESP"]);
    assert!(world.tapped(&gone).is_none());
}

#[test]
fn somebody_who_is_asked_is_seen_before_it_is_known() {
    let mut world = World::new();
    world.guard();
    let taps = world.tap(client("c"));
    let link = world.knock(&hello(V5, "c").user_name("u").password("p"));
    world.asked(link).unwrap();
    world.answer(link, dunlin_engine::Outcome::Admitted(admission("u", None)));
    assert_eq!(world.tapped(&taps).unwrap().0, ["from c: CONNECT *", "to c: CONNACK"]);
}

/// What is looked for, and shown, is what everybody but the Client calls it.
#[test]
fn with_a_mount_point_whole_names_are_compared_and_shown() {
    let mut world = World::in_memory_with(1, |settings| {
        let mounted = ListenerRules { mount_point: Some("site1/".into()), ..ListenerRules::default() };
        settings.listeners = vec![mounted];
    });
    let taps = world.tap(topic("site1/a/#"));
    let short = world.tap(topic("a/#"));
    let client = world.enter(&hello(V5, "c").will(message("a/gone", "x")).aliases(3));
    world.subscribe(client, "+/x", 0);
    world.subscribe(client, "$share/g/b", 0);
    world.publish(client, &message("a/x", "1").alias(1));
    world.publish(client, &message("", "2").alias(1));
    world.publish(client, &message("b", "3"));
    world.unsubscribe(client, &["+/x"]);
    assert_eq!(
        world.tapped(&taps).unwrap().0,
        [
            "from c: CONNECT",
            "from c: SUBSCRIBE",
            "to c: SUBACK",
            "from c: PUBLISH a/x = site1/a/x",
            "to c: PUBLISH a/x = site1/a/x",
            "from c: PUBLISH  = site1/a/x",
            "to c: PUBLISH a/x = site1/a/x",
            "from c: UNSUBSCRIBE",
            "to c: UNSUBACK",
        ]
    );
    assert_eq!(world.tapped(&short).unwrap().0, NOTHING);
}
