//! What a Client may say and hear, on every path that a message takes.

use dunlin_codec::QoS;
use dunlin_engine::{DeniedPublish, Drop, Notice, Settings, Wanted, WideSubscriptions};

use crate::hello::{at, hello, message};
use crate::rules::{live_only, rules};
use crate::world::{Link, V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

fn filtering(settings: &mut Settings) {
    settings.access.wide_subscriptions = WideSubscriptions::Filter;
}

/// Somebody who hears everything.
fn watcher(world: &mut World) -> Link {
    let watcher = world.connect(V5, "watcher");
    world.subscribe(watcher, "#", 0);
    watcher
}

/// [MQTT311-3.3.5-2] 5.0 is told, 3.x is acknowledged as if all were well; nobody gets it; it is counted.
#[test]
fn a_publish_that_is_not_allowed_reaches_nobody() {
    for (version, code) in [(V31, ""), (V311, ""), (V5, " 87")] {
        let mut world = World::new();
        let watcher = watcher(&mut world);
        let client = world.enter_with(&hello(version, "c"), rules(&["own/#"], &[]));
        world.publish(client, &message("other", "0"));
        world.publish(client, &message("other", "1").qos(1, 1));
        world.publish(client, &message("other", "2").qos(2, 2));
        assert_eq!(world.take(client), [format!("PUBACK #1{code}"), format!("PUBREC #2{code}")]);
        assert_eq!(world.take(watcher), NOTHING);
        world.publish(client, &message("own/t", "3").qos(1, 3));
        assert_eq!(world.take(client), ["PUBACK #3"]);
        assert_eq!(world.take(watcher), ["PUBLISH own/t=3"]);
        assert_eq!(world.count(|counters| counters.publishes_denied), 3);
        if version != V5 {
            world.pubrel(client, 2);
            assert_eq!(world.take(client), ["PUBCOMP #2"]);
        }
    }
}

/// One line a second and Session, with how many there were.
#[test]
fn refusals_are_said_now_and_then() {
    let mut world = World::new();
    let client = world.enter_with(&hello(V5, "c"), rules(&[], &[]));
    let denied = |world: &World| -> Vec<(Wanted, String, u64)> {
        let denied = world.notices.iter().filter_map(|notice| match notice {
            Notice::Denied { wanted, topic, count, .. } => Some((*wanted, topic.to_string(), *count)),
            _ => None,
        });
        denied.collect()
    };
    for _ in 0..10 {
        world.publish(client, &message("t", "0"));
    }
    assert_eq!(denied(&world), [(Wanted::Publish, "t".to_owned(), 1)]);
    world.seconds(2);
    world.ask(client, &[("s", at(0))], 0);
    assert_eq!(denied(&world)[1..], [(Wanted::Subscribe, "s".to_owned(), 10)]);
}

/// As configured, for what has no answer.
#[test]
fn a_publish_that_is_not_allowed_ends_the_connection_where_that_is_wanted() {
    for (version, qos, farewell) in [
        (V31, 1, &["closed"][..]),
        (V311, 0, &["closed"]),
        (V5, 0, &["DISCONNECT 87", "closed"]),
        (V5, 1, &["PUBACK #1 87"]),
    ] {
        let mut world = World::with(|settings| {
            settings.access.denied_publish_v3 = DeniedPublish::Disconnect;
            settings.access.denied_publish_qos0 = DeniedPublish::Disconnect;
        });
        let client = world.enter_with(&hello(version, "c"), rules(&[], &[]));
        world.publish(client, &message("t", "1").qos(qos, u16::from(qos)));
        assert_eq!(world.take(client), farewell);
    }
}

/// The answer depends on the QoS and RETAIN too, and holds through an alias.
#[test]
fn a_publish_is_judged_with_its_retain_and_by_the_topic_that_its_alias_means() {
    let mut world = World::new();
    let client = world.enter_with(&hello(V5, "c"), live_only(&["own"]));
    world.publish(client, &message("own", "1").qos(1, 1));
    world.publish(client, &message("own", "1").qos(1, 2).retain());
    world.publish(client, &message("other", "1").qos(1, 3).alias(1));
    world.publish(client, &message("", "1").qos(1, 4).alias(1));
    world.publish(client, &message("own", "1").qos(1, 5).alias(1));
    world.publish(client, &message("", "1").qos(1, 6).alias(1));
    assert_eq!(
        world.take(client),
        ["PUBACK #1 10", "PUBACK #2 87", "PUBACK #3 87", "PUBACK #4 87", "PUBACK #5 10", "PUBACK #6 10"]
    );
    assert_eq!(world.count(|counters| counters.retained_messages), 0);
}

/// A policy is asked once for each topic, however many messages there are.
#[test]
fn answers_are_kept() {
    let mut world = World::with(filtering);
    let policy = rules(&["own/#"], &["t/1"]);
    let client = world.enter_with(&hello(V5, "c"), policy.clone());
    world.subscribe(client, "t/+", 0);
    policy.asked();
    for _ in 0..100 {
        world.publish(client, &message("own/a", "1"));
        world.publish(client, &message("own/b", "1"));
    }
    assert_eq!(policy.asked(), 2);
    world.unguard();
    let publisher = world.connect(V5, "p");
    for _ in 0..100 {
        world.publish(publisher, &message("t/1", "1"));
        world.publish(publisher, &message("t/2", "1"));
    }
    assert_eq!(policy.asked(), 2);
    assert_eq!(world.take(client).len(), 100);
}

/// [MQTT-3.9.3-1] Each filter by itself.
#[test]
fn a_subscription_that_is_not_allowed_is_refused() {
    for (version, code) in [(V311, "80"), (V5, "87")] {
        let mut world = World::new();
        let client = world.enter_with(&hello(version, "c"), rules(&[], &["own/#"]));
        let filters =
            [("own/#", at(1)), ("other", at(1)), ("#", at(1)), ("own/a/b", at(2)), ("$share/g/other", at(0))];
        let id = world.ask(client, &filters, 0);
        assert_eq!(world.take(client), [format!("SUBACK #{id} [01, {code}, {code}, 02, {code}]")]);
        assert_eq!(world.count(|counters| counters.subscriptions_denied), 3);
        world.unguard();
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("other", "1"));
        assert_eq!(world.take(client), NOTHING);
    }
}

/// As configured: granted, and what is not allowed is left out, live and retained, wherever it comes from.
#[test]
fn a_wide_subscription_is_filtered() {
    for shards in [1, 3] {
        let mut world = World::sharded_with(shards, filtering);
        let publisher = world.connect(V5, "p");
        for topic in ["own/r", "other/r"] {
            world.publish(publisher, &message(topic, "1").retain());
        }
        let client = world.enter_with(&hello(V5, "c"), rules(&[], &["own/#"]));
        world.subscribe(client, "#", 2);
        assert_eq!(world.take(client), ["PUBLISH own/r=1 retain"]);
        for (topic, qos) in [("own/a", 0), ("other/a", 0), ("own/a", 1), ("other/a", 1), ("own/r", 2)] {
            world.publish(publisher, &message(topic, "2").qos(qos, u16::from(qos)));
        }
        assert_eq!(world.take(client), ["PUBLISH own/a=2", "PUBLISH own/a=2 q1 #1", "PUBLISH own/r=2 q2 #2"]);
    }
}

/// A filter that is granted needs no asking, also where another that matches is not.
#[test]
fn a_granted_filter_beside_a_wide_one_is_heard() {
    let mut world = World::with(filtering);
    let policy = rules(&[], &["own/#"]);
    let client = world.enter_with(&hello(V5, "c"), policy.clone());
    world.subscribe_as(client, "own/#", at(0), 1);
    world.subscribe_as(client, "+/a", at(0), 2);
    world.unguard();
    let publisher = world.connect(V5, "p");
    policy.asked();
    world.publish(publisher, &message("own/b", "1"));
    assert_eq!(policy.asked(), 0);
    world.publish(publisher, &message("own/a", "1"));
    world.publish(publisher, &message("other/a", "1"));
    assert_eq!(
        world.take(client),
        ["PUBLISH own/b=1 [subscription=1]", "PUBLISH own/a=1 [subscription=1, subscription=2]"]
    );
}

/// [MQTT-4.8.2-3] A member that may not receive a message is passed over; one that nobody may is dropped.
#[test]
fn a_shared_group_passes_over_members_that_may_not_receive() {
    for shards in [1, 3] {
        for qos in [0, 1] {
            let mut world = World::sharded_with(shards, filtering);
            let publisher = world.connect(V5, "p");
            let one = world.enter_with(&hello(V5, "one"), rules(&[], &["t/a", "t/b"]));
            let two = world.enter_with(&hello(V5, "two"), rules(&[], &["t/b"]));
            world.subscribe(one, "$share/g/t/+", qos);
            world.subscribe(two, "$share/g/t/+", qos);
            for (number, topic) in ["t/a", "t/b", "t/c", "t/a", "t/b", "t/c"].into_iter().enumerate() {
                let id = u16::try_from(number).unwrap() + 1;
                world.publish(publisher, &message(topic, topic).qos(qos, if qos == 0 { 0 } else { id }));
            }
            let (one, two) = (world.acknowledge_all(one), world.acknowledge_all(two));
            assert_eq!(one.iter().filter(|topic| *topic == "t/a").count(), 2);
            assert_eq!(one.len() + two.len(), 4);
            assert!(two.iter().all(|topic| topic == "t/b"));
            assert_eq!(world.dropped(Drop::Denied), 2);
        }
    }
}

/// A message that only a member without room may receive does not hold up what others may.
#[test]
fn a_message_for_an_absent_member_does_not_hold_up_the_group() {
    let mut world = World::with(filtering);
    let publisher = world.connect(V5, "p");
    let one = world.enter_with(&hello(V5, "one").lasting(60), rules(&[], &["t/a"]));
    let two = world.enter_with(&hello(V5, "two").lasting(60), rules(&[], &["t/b"]));
    world.subscribe(one, "$share/g/t/+", 1);
    world.subscribe(two, "$share/g/t/+", 1);
    world.lose(one);
    world.publish(publisher, &message("t/a", "1").qos(1, 1));
    world.publish(publisher, &message("t/b", "2").qos(1, 2));
    assert_eq!(world.acknowledge_all(two), ["2"]);
    let one = world.enter_with(&hello(V5, "one").lasting(60), rules(&[], &["t/a"]));
    assert_eq!(world.acknowledge_all(one), ["1"]);
}

/// At CONNECT, before anything else is done.
#[test]
fn a_will_that_is_not_allowed_is_no_will() {
    for version in [V311, V5] {
        let mut world = World::new();
        let policy = rules(&["own/#"], &[]);
        world.enter_with(&hello(version, "c").will(message("own/will", "1")), policy.clone());
        let stranger = world.knock(&hello(version, "d").will(message("other", "1")));
        world.answer(stranger, dunlin_engine::Outcome::Admitted(crate::world::admission("d", Some(policy))));
        assert_eq!(world.take(stranger), ["CONNACK 87", "closed"]);
    }
}

/// Other rules can be held against what was allowed and what was not.
#[test]
fn what_clients_did_last_can_be_looked_at() {
    let mut world = World::new();
    let policy = rules(&["up"], &["down", "news"]);
    let client = world.enter_with(&hello(V5, "c"), policy.clone());
    world.ask(client, &[("down", at(1)), ("$share/g/news", at(0)), ("secret", at(0))], 0);
    world.publish(client, &message("up", "1").qos(1, 1));
    world.publish(client, &message("up", "2").retain());
    world.publish(client, &message("forbidden", "3"));

    let (seen, next) = world.survey(0, 1_000);
    assert_eq!((seen.len(), next), (1, None));
    assert_eq!(&*seen[0].identity.client_id, "c");
    assert_eq!(seen[0].subscriptions, [("news".into(), QoS::AtMostOnce), ("down".into(), QoS::AtLeastOnce)]);
    let mut published: Vec<_> =
        seen[0].published.iter().map(|one| (&*one.topic, one.qos as u8, one.retain)).collect();
    published.sort_unstable();
    assert_eq!(published, [("forbidden", 0, false), ("up", 0, true)], "of one topic, the last");

    world.enter_with(&hello(V5, "d"), policy);
    assert_eq!(world.survey(0, 1).1, Some(1));
    assert_eq!(&*world.survey(1, 1).0[0].identity.client_id, "d");
}
