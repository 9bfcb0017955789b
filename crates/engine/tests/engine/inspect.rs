//! What an operator asks, and has done.

use std::collections::BTreeSet;

use dunlin_codec::{QoS, TopicFilter, TopicName};
use dunlin_engine::{ClientFilter, LevelRow, NotPublished, OperatorMessage, Standing};

use crate::hello::{hello, message};
use crate::world::{V5, V311, World};

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).unwrap()
}

/// The Client Identifiers of all pages.
fn listed(world: &mut World, wanted: &ClientFilter, limit: usize) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), Some(0));
    while let Some(slot) = from {
        let page = world.visit(0, |engine, now, _| engine.clients(now, wanted, slot, limit));
        assert!(page.rows.len() <= limit);
        found.extend(page.rows.iter().map(|row| row.client_id.to_string()));
        from = page.next;
    }
    found.sort_unstable();
    found
}

#[test]
fn clients_come_in_pages_each_once_and_as_the_filter_says() {
    let mut world = World::new();
    let names: Vec<String> = (0..25).map(|number| format!("c{number:02}")).collect();
    let links: Vec<_> = names.iter().map(|name| world.enter(&hello(V5, name).lasting(60))).collect();
    assert_eq!(listed(&mut world, &ClientFilter::default(), 4), names);
    world.lose(links[3]);
    let away = ClientFilter { connected: Some(false), ..ClientFilter::default() };
    assert_eq!(listed(&mut world, &away, 4), ["c03"]);
    let begins = ClientFilter { prefix: "c1".to_owned(), ..ClientFilter::default() };
    assert_eq!(listed(&mut world, &begins, 100).len(), 10);
}

/// However many Sessions there are, one question looks at a part of them.
#[test]
fn a_page_ends_before_it_is_full_where_nobody_fits() {
    let mut world = World::in_memory_with(1, |_| {});
    for number in 0..5_000 {
        let link = world.enter(&hello(V5, &format!("c{number}")).lasting(60));
        world.leave(link);
    }
    let nobody = ClientFilter { prefix: "x".to_owned(), ..ClientFilter::default() };
    let page = world.visit(0, |engine, now, _| engine.clients(now, &nobody, 0, 10));
    assert!(page.rows.is_empty() && page.next.is_some_and(|next| next < 5_000), "{page:?}");
    assert_eq!(listed(&mut world, &nobody, 10), Vec::<String>::new());
}

#[test]
fn a_client_is_shown_with_its_session_and_its_connection() {
    let mut world = World::new();
    let client = world.enter(&hello(V311, "c").keep_alive(40).resume());
    world.subscribe(client, "a/+", 1);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("a/1", "x").qos(1, 1));
    world.seconds(3);
    let row = world.visit(0, |engine, now, _| engine.client(now, "c")).unwrap();
    let connection = row.connection.clone().unwrap();
    assert_eq!(
        (connection.version, connection.keep_alive.as_secs(), connection.age.as_secs()),
        (V311, 40, 3)
    );
    assert_eq!((row.subscriptions, row.in_flight, row.queued, row.disconnected), (1, 1, 0, None));
    world.lose(client);
    world.publish(publisher, &message("a/2", "y").qos(1, 2));
    world.seconds(2);
    let row = world.visit(0, |engine, now, _| engine.client(now, "c")).unwrap();
    assert_eq!((row.connection, row.disconnected.unwrap().as_secs(), row.queued), (None, 2, 1));
    let messages = world.visit(0, |engine, _, _| engine.client_messages("c", 0, 10)).unwrap();
    assert_eq!(
        messages.iter().map(|row| row.standing).collect::<Vec<_>>(),
        [Standing::Sent, Standing::Queued]
    );
    let second = world.visit(0, |engine, _, _| engine.client_messages("c", 1, 10)).unwrap();
    assert_eq!(second, messages[1..]);
    assert_eq!(world.visit(0, |engine, now, _| engine.client(now, "x")), None);
}

/// [MQTT-3.14.4-3] 0x98 is no DISCONNECT of the Client: its Will goes out.
#[test]
fn an_operator_disconnects_a_client_and_its_session_goes_on() {
    let mut world = World::new();
    let watcher = world.connect(V5, "w");
    world.subscribe(watcher, "will", 0);
    let client = world.enter(&hello(V5, "c").lasting(60).will(message("will", "lost")));
    assert!(world.visit(0, |engine, now, fx| engine.disconnect_client(now, fx, "c")));
    assert!(!world.is_open(client));
    let told = world.take(client);
    assert!(told.iter().any(|packet| packet.contains("DISCONNECT") && packet.contains("98")), "{told:?}");
    assert_eq!(world.take(watcher), ["PUBLISH will=lost"]);
    assert!(
        !world.visit(0, |engine, now, fx| engine.disconnect_client(now, fx, "c")),
        "it has no connection"
    );
    assert!(world.visit(0, |engine, now, _| engine.client(now, "c")).is_some());
}

#[test]
fn an_operator_ends_a_session_with_its_connection_its_will_and_its_subscriptions() {
    let mut world = World::new();
    let watcher = world.connect(V5, "w");
    world.subscribe(watcher, "will", 0);
    let client = world.enter(&hello(V5, "c").lasting(60).will(message("will", "gone").delay(30)));
    world.subscribe(client, "a", 1);
    assert!(world.visit(0, |engine, now, fx| engine.end_client(now, fx, "c")));
    assert!(!world.is_open(client));
    assert_eq!(world.take(watcher), ["PUBLISH will=gone"]);
    assert!(world.visit(0, |engine, now, _| engine.client(now, "c")).is_none());
    assert!(!world.visit(0, |engine, now, fx| engine.end_client(now, fx, "c")), "there is no such session");
    let page = world.visit(0, |engine, _, _| engine.subscribers_of_filter(filter("a"), None, 10));
    assert!(page.rows.is_empty());
}

#[test]
fn subscriptions_are_found_by_client_by_filter_by_topic_and_all() {
    let mut world = World::new();
    for (name, filters) in [("a", ["t/1", "t/+", "#"]), ("b", ["t/1", "x", "$share/g/t/#"])] {
        let client = world.connect(V5, name);
        filters.iter().for_each(|filter| world.subscribe(client, filter, 1));
    }
    let (rows, more) = world.visit(0, |engine, _, _| engine.client_subscriptions("a", Some("#"), 1)).unwrap();
    assert_eq!((&*rows[0].filter, more), ("t/+", true));
    let name = TopicName::parse("t/1").unwrap();
    let (mut found, mut after): (BTreeSet<String>, Option<(Box<str>, u32)>) = Default::default();
    let mut groups = Vec::new();
    for _ in 0..10 {
        let behind = after.as_ref().map(|(filter, slot)| (&**filter, *slot));
        let page = world.visit(0, |engine, _, _| engine.subscribers_of_topic(name, behind, 1));
        found.extend(page.rows.iter().map(|row| format!("{} {}", row.client_id, row.filter)));
        groups.extend(page.groups);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["a #", "a t/+", "a t/1", "b t/1"]);
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!((groups[0].filter.as_str(), groups[0].members, groups[0].connected), ("$share/g/t/#", 1, 1));
    for limit in 1..7 {
        let (mut all, mut from) = (Vec::new(), Some((0, None::<Box<str>>)));
        while let Some((slot, behind)) = from {
            let page = world.visit(0, |engine, _, _| engine.subscriptions(slot, behind.as_deref(), limit));
            all.extend(page.rows.iter().map(|row| format!("{} {}", row.client_id, row.filter)));
            from = page.next;
        }
        assert_eq!(all.len(), 6, "pages of {limit}: {all:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6, "pages of {limit}: {all:?}");
    }
}

#[test]
fn retained_messages_come_in_the_order_of_topics_and_are_taken_away() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    for topic in ["a/1", "a", "a-b", "a/2", "b"] {
        world.publish(publisher, &message(topic, "value").retain());
    }
    let (mut topics, mut after): (Vec<String>, Option<Box<str>>) = Default::default();
    loop {
        let page = world
            .visit(0, |engine, now, _| engine.retained_messages(now, filter("a/#"), after.as_deref(), 1, 3));
        assert!(page.rows.iter().all(|row| row.payload == b"val" && row.payload_bytes == 5));
        topics.extend(page.rows.iter().map(|row| row.topic.to_string()));
        after = page.seen;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(topics, ["a", "a/1", "a/2"]);
    let watcher = world.connect(V5, "w");
    world.subscribe(watcher, "b", 0);
    world.take(watcher);
    assert_eq!(world.visit(0, |engine, now, fx| engine.clear_retained(now, fx, "b")), Ok(true));
    assert_eq!(world.take(watcher), ["PUBLISH b="]);
    assert_eq!(world.visit(0, |engine, now, fx| engine.clear_retained(now, fx, "b")), Ok(false));
    assert_eq!(world.visit(0, |engine, now, _| engine.retained_message(now, "b")), None);
}

/// Every level once and in order, also where bytes below `/` stand between a level and what is below it.
#[test]
fn levels_are_those_of_the_topics() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    let topics = ["a", "a!/x", "a-b/c", "a-b!", "a/1", "a/1/2", "a0", "/x", "z/y/x", "a-", "a-b"];
    topics.iter().for_each(|topic| world.publish(publisher, &message(topic, "1").retain()));
    for parent in [None, Some("a"), Some("a-b"), Some(""), Some("z"), Some("none")] {
        let prefix = parent.map_or_else(String::new, |parent| format!("{parent}/"));
        let below = topics.iter().filter_map(|topic| topic.strip_prefix(&prefix));
        let expected: BTreeSet<&str> = below.map(|rest| rest.split('/').next().unwrap()).collect();
        for limit in [1, 2, 100] {
            let (mut found, mut after): (Vec<LevelRow>, Option<String>) = Default::default();
            for _ in 0..50 {
                let rows =
                    world.visit(0, |engine, _, _| engine.retained_levels(parent, after.as_deref(), limit));
                let Some(last) = rows.last() else { break };
                after = Some(last.level.clone());
                found.extend(rows);
            }
            let levels: Vec<&str> = found.iter().map(|row| row.level.as_str()).collect();
            assert_eq!(levels, expected.iter().copied().collect::<Vec<_>>(), "below {parent:?}");
            for row in &found {
                let topic = format!("{prefix}{}", row.level);
                assert_eq!(row.retained, topics.contains(&topic.as_str()), "{topic}");
                let deeper = topics.iter().any(|other| other.starts_with(&format!("{topic}/")));
                assert_eq!(row.deeper, deeper, "{topic}");
            }
        }
    }
}

#[test]
fn an_operator_publishes_as_a_client_would() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let client = world.connect(V5, "c");
        world.subscribe(client, "t", 1);
        let message = OperatorMessage {
            topic: "t".to_owned(),
            payload: b"x".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            user_properties: vec![("by".to_owned(), "me".to_owned())],
            ..OperatorMessage::default()
        };
        for shard in 0..shards {
            let wanted = world.visit(shard, |engine, now, fx| engine.publish_for_operator(now, fx, &message));
            assert_eq!(wanted, Ok(true));
        }
        assert_eq!(world.take(client).iter().filter(|got| got.starts_with("PUBLISH t=x q1")).count(), shards);
        let refused = |topic: &str, world: &mut World| {
            let message = OperatorMessage { topic: topic.to_owned(), ..OperatorMessage::default() };
            world.visit(0, |engine, now, fx| engine.publish_for_operator(now, fx, &message)).unwrap_err()
        };
        assert!(matches!(refused("a/#", &mut world), NotPublished::Topic(_)));
        assert!(matches!(refused("", &mut world), NotPublished::Topic(_)));
        assert!(matches!(refused("$SYS/x", &mut world), NotPublished::Reserved(_)));
    }
}

#[test]
fn topics_that_were_published_to_are_listed_with_who_gets_them() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.subscribe(client, "t/+", 0);
    for number in 0..5 {
        world.publish(client, &message(&format!("t/{number}"), "x"));
    }
    let (first, next) = world.visit(0, |engine, _, _| engine.routes(0, 3));
    let (rest, end) = world.visit(0, |engine, _, _| engine.routes(next.unwrap(), 3));
    let topics: Vec<_> = first.iter().chain(&rest).map(|row| &*row.topic).collect();
    assert_eq!((topics, end), (vec!["t/0", "t/1", "t/2", "t/3", "t/4"], None));
    assert!(first.iter().all(|row| row.sessions == 1 && !row.stale));
}
