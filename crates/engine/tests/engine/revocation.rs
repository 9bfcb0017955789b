//! Rights that change while Clients are connected, or away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dunlin_codec::ReasonCode;
use dunlin_engine::{Authority, Drop, Identity, Outcome, Policy, Review, Settings, WideSubscriptions};

use crate::hello::{hello, message};
use crate::rules::rules;
use crate::world::{V5, V311, World, admission};

const NOTHING: [&str; 0] = [];

/// Who is what from now on; the rest is as it was.
#[derive(Debug, Default)]
struct Register {
    changed: BTreeMap<&'static str, Review>,
    asked: Mutex<usize>,
}

impl Authority for Register {
    fn review(&self, identity: &Identity) -> Review {
        *self.asked.lock().unwrap() += 1;
        self.changed.get(&*identity.name).cloned().unwrap_or(Review::Unchanged)
    }
}

fn now(name: &'static str, review: Review) -> Arc<dyn Authority> {
    Arc::new(Register { changed: [(name, review)].into(), ..Register::default() })
}

fn allowed(says: &[&'static str], hears: &[&'static str]) -> Review {
    let policy: Arc<dyn Policy> = rules(says, hears);
    Review::Policy(Some(policy))
}

fn filtering(settings: &mut Settings) {
    settings.access.wide_subscriptions = WideSubscriptions::Filter;
}

/// Everybody else goes on.
#[test]
fn a_revoked_client_is_closed_and_its_session_ends() {
    for (version, farewell) in [(V311, &["closed"][..]), (V5, &["DISCONNECT 98", "closed"])] {
        let mut world = World::sharded(2);
        let policy = rules(&["#"], &["#"]);
        let eve =
            world.enter_with(&hello(version, "eve").lasting(60).will(message("w", "1")), policy.clone());
        let joe = world.enter_with(&hello(version, "joe"), policy.clone());
        world.subscribe(joe, "#", 0);
        world.subscribe(eve, "t", 1);
        world.policy_changed(&now("eve", Review::Revoked(ReasonCode::AdministrativeAction)));
        assert_eq!(world.take(eve), farewell);
        // Nor is its Will published.
        assert_eq!(world.take(joe), NOTHING);
        assert_eq!(world.count(|counters| counters.sessions), 1);
    }
}

/// Revoked while it is away: its queue is gone.
#[test]
fn a_revoked_client_that_is_away_has_no_session_any_more() {
    let mut world = World::new();
    let policy = rules(&["#"], &["#"]);
    let eve = world.enter_with(&hello(V5, "eve").lasting(60), policy.clone());
    world.subscribe(eve, "t", 1);
    world.lose(eve);
    world.unguard();
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    world.policy_changed(&now("eve", Review::Revoked(ReasonCode::NotAuthorized)));
    assert_eq!(world.count(|counters| counters.sessions), 1);
    assert_eq!(world.dropped(Drop::SessionEnded), 1);
}

/// Whoever was let in by the rights of before gets those of now, or is refused.
#[test]
fn an_admission_is_held_against_the_rights_of_now() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        world.guard();
        let policy: Arc<dyn Policy> = rules(&["#"], &["#"]);
        let name: &'static str = world.client_on(shards - 1, 0).leak();
        let client = world.knock(&hello(V5, name));
        world.policy_changed(&now(name, Review::Revoked(ReasonCode::Banned)));
        world.answer(client, Outcome::Admitted(admission(name, Some(Arc::clone(&policy)))));
        assert_eq!(world.take(client), ["CONNACK 8a", "closed"]);

        world.policy_changed(&now(name, allowed(&["a"], &[])));
        let client = world.enter_with(&hello(V5, name), policy);
        world.publish(client, &message("a", "1").qos(1, 1));
        world.publish(client, &message("b", "1").qos(1, 2));
        assert_eq!(world.take(client), ["PUBACK #1 10", "PUBACK #2 87"]);
    }
}

/// What was kept about topics is forgotten.
#[test]
fn a_client_that_may_not_publish_any_more_is_refused_at_once() {
    let mut world = World::new();
    let client = world.enter_with(&hello(V5, "c"), rules(&["a"], &[]));
    world.publish(client, &message("a", "1").qos(1, 1));
    world.policy_changed(&now("c", allowed(&["b"], &[])));
    world.publish(client, &message("a", "1").qos(1, 2));
    world.publish(client, &message("b", "1").qos(1, 3));
    assert_eq!(world.take(client), ["PUBACK #1 10", "PUBACK #2 87", "PUBACK #3 10"]);
    world.policy_changed(&now("c", Review::Policy(None)));
    world.publish(client, &message("a", "1").qos(1, 4));
    assert_eq!(world.take(client), ["PUBACK #4 10"]);
}

/// A Subscription that is not allowed any more is gone; one that is too wide now is filtered, and no more where it is not.
#[test]
fn subscriptions_follow_the_rights() {
    for shards in [1, 3] {
        let mut world = World::sharded_with(shards, filtering);
        let publisher = world.connect(V5, "p");
        let client = world.enter_with(&hello(V5, "c"), rules(&[], &["#"]));
        for filter in ["a", "b/#", "$share/g/b/+"] {
            world.subscribe(client, filter, 0);
        }
        let heard = |world: &mut World| {
            for topic in ["a", "b/1", "b/2"] {
                world.publish(publisher, &message(topic, ""));
            }
            world.take(client)
        };
        let all = ["PUBLISH a=", "PUBLISH b/1=", "PUBLISH b/1=", "PUBLISH b/2=", "PUBLISH b/2="];
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(heard(&mut world)), all);
        world.policy_changed(&now("c", allowed(&[], &["a", "b/1"])));
        assert_eq!(sorted(heard(&mut world)), all[..3]);
        world.policy_changed(&now("c", allowed(&[], &["b/2"])));
        assert_eq!(sorted(heard(&mut world)), all[3..]);
        world.policy_changed(&now("c", Review::Policy(None)));
        assert_eq!(sorted(heard(&mut world)), all[1..]);
        world.policy_changed(&now("c", allowed(&[], &[])));
        assert_eq!(heard(&mut world), NOTHING);
        assert_eq!(world.count(|counters| counters.subscriptions_denied), 3);
    }
}

/// Also what waits, and what was sent and not acknowledged; counted.
#[test]
fn what_waits_is_asked_about_again() {
    for qos in [1, 2] {
        let mut world = World::with(filtering);
        let publisher = world.connect(V5, "p");
        let client = world.enter_with(&hello(V5, "c").lasting(60).receive_maximum(2), rules(&[], &["#"]));
        world.subscribe(client, "#", qos);
        for (number, topic) in (1..).zip(["a/1", "b/1", "a/2", "b/2", "a/3"]) {
            world.publish(publisher, &message(topic, topic).qos(qos, number));
        }
        assert_eq!(world.take(client).len(), 2);
        world.policy_changed(&now("c", allowed(&[], &["b/#"])));
        world.lose(client);
        let client = world.enter_with(&hello(V5, "c").lasting(60).receive_maximum(2), rules(&[], &["b/#"]));
        assert_eq!(world.acknowledge_all(client), ["b/1", "b/2"]);
        assert_eq!(world.dropped(Drop::Denied), 3);
    }
}

/// What was sent when it was allowed is sent again only if it still is.
#[test]
fn what_is_in_flight_is_asked_about_when_it_is_sent_again() {
    for qos in [1, 2] {
        let mut world = World::with(filtering);
        let publisher = world.connect(V5, "p");
        let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["#"]));
        world.subscribe(client, "#", qos);
        world.publish(publisher, &message("a", "1").qos(qos, 1));
        world.publish(publisher, &message("b", "2").qos(qos, 2));
        assert_eq!(world.take(client).len(), 2);
        let policy: Arc<dyn Policy> = rules(&[], &["b"]);
        world.policy_changed(&now("c", Review::Policy(Some(Arc::clone(&policy)))));
        // Whatever comes, and is acknowledged, on the same connection.
        world.publish(publisher, &message("b", "3").qos(qos, 3));
        assert_eq!(world.acknowledge_all(client), ["3"]);
        world.lose(client);
        let client = world.enter_with(&hello(V5, "c").lasting(60), policy);
        assert_eq!(world.acknowledge_all(client), ["2"]);
    }
}

/// Changed while it was away, and known only when it comes back.
#[test]
fn a_session_that_is_resumed_with_other_rights_has_them() {
    let mut world = World::with(filtering);
    let publisher = world.connect(V5, "p");
    let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["#"]));
    world.subscribe(client, "+/1", 1);
    world.subscribe(client, "c", 1);
    world.lose(client);
    for (number, topic) in (1..).zip(["a/1", "b/1", "c"]) {
        world.publish(publisher, &message(topic, topic).qos(1, number));
    }
    let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["b/#"]));
    assert_eq!(world.acknowledge_all(client), ["b/1"]);
    for (number, topic) in (4..).zip(["a/1", "b/1", "c"]) {
        world.publish(publisher, &message(topic, topic).qos(1, number));
    }
    assert_eq!(world.acknowledge_all(client), ["b/1"]);
}

/// The log knows no rights: a Session that it brings back has those that its Client comes back with.
#[test]
fn a_session_that_outlives_the_process_has_the_rights_of_now() {
    for (before, after) in [(1, 1), (3, 2)] {
        let mut world = World::durable_with(before, filtering);
        let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["#"]));
        world.subscribe(client, "+/1", 1);
        world.subscribe(client, "c", 1);
        world.subscribe(client, "$share/g/s/+", 1);
        world.lose(client);
        world.unguard();
        let publisher = world.connect(V5, "p");
        for (number, topic) in (1..).zip(["a/1", "b/1", "c"]) {
            world.publish(publisher, &message(topic, topic).qos(1, number));
        }
        world.crash(after);
        let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["b/#", "s/1"]));
        assert_eq!(world.acknowledge_all(client), ["b/1"]);
        world.unguard();
        let publisher = world.connect(V5, "p");
        for (number, topic) in (4..).zip(["a/1", "b/1", "c", "s/1", "s/2"]) {
            world.publish(publisher, &message(topic, topic).qos(1, number));
        }
        let mut heard = world.acknowledge_all(client);
        heard.sort();
        // By itself, and for the group.
        assert_eq!(heard, ["b/1", "s/1", "s/1"]);
        // What was taken away stays away.
        world.lose(client);
        world.crash(before);
        let client = world.enter_with(&hello(V5, "c").lasting(60), rules(&[], &["#"]));
        world.unguard();
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("c", "c").qos(1, 1));
        assert_eq!(world.acknowledge_all(client), NOTHING);
    }
}

/// A message dealt to a member that may not have it any more goes to one that may.
#[test]
fn a_shared_group_gives_what_waits_to_another_member() {
    for shards in [1, 3] {
        let mut world = World::sharded_with(shards, filtering);
        let publisher = world.connect(V5, "p");
        let one = world.enter_with(&hello(V5, "one").lasting(60).receive_maximum(1), rules(&[], &["#"]));
        world.subscribe(one, "$share/g/t/+", 1);
        world.publish(publisher, &message("t/1", "1").qos(1, 1));
        let two = world.enter_with(&hello(V5, "two"), rules(&[], &["#"]));
        world.subscribe(two, "$share/g/t/+", 1);
        world.policy_changed(&now("one", allowed(&[], &["t/2"])));
        world.lose(one);
        assert_eq!(world.acknowledge_all(two), ["1"]);
        for (number, topic) in (2..).zip(["t/1", "t/1", "t/1"]) {
            world.publish(publisher, &message(topic, topic).qos(1, number));
        }
        assert_eq!(world.acknowledge_all(two).len(), 3);
    }
}

/// At publication the rights of then count.
#[test]
fn a_will_is_held_against_the_rights_of_its_publication() {
    for (says, heard) in [(&["w"][..], &["PUBLISH w=1"][..]), (&[], &[])] {
        let mut world = World::new();
        let watcher = world.connect(V5, "watcher");
        world.subscribe(watcher, "#", 0);
        let hello = hello(V5, "c").lasting(60).will(message("w", "1").delay(5));
        let client = world.enter_with(&hello, rules(&["w"], &[]));
        world.lose(client);
        let says: &'static [&'static str] = says;
        world.policy_changed(&now("c", allowed(says, &[])));
        world.seconds(6);
        assert_eq!(world.take(watcher), heard);
        assert_eq!(world.count(|counters| counters.publishes_denied), 1 - heard.len() as u64);
    }
}

/// Changes that follow each other faster than anybody could look at all Sessions keep nobody's turn from coming.
#[test]
fn a_change_on_the_way_goes_on_where_the_one_before_was() {
    let mut world = World::new();
    world.carry_by_hand();
    for number in 0..3_000 {
        world.enter_with(&hello(V311, &format!("c{number}")), rules(&[], &[]));
    }
    let last = world.enter_with(&hello(V5, "last"), rules(&[], &[]));
    for _ in 0..3 {
        assert!(world.is_open(last));
        world.policy_changed(&now("last", Review::Revoked(ReasonCode::NotAuthorized)));
    }
    assert_eq!(world.take(last), ["DISCONNECT 87", "closed"]);
}

/// Nor does a restart publish it, which knows nobody's rights.
#[test]
fn a_will_that_was_denied_is_not_found_by_a_restart() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "w", 1);
    let hello_c = hello(V5, "c").lasting(1000).will(message("w", "1").qos(1, 0));
    let client = world.enter_with(&hello_c, rules(&["w"], &[]));
    world.policy_changed(&now("c", allowed(&[], &[])));
    world.lose(client);
    world.settle_disk();
    world.crash(1);
    world.unguard();
    world.seconds(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    assert_eq!(world.acknowledge_all(subscriber), NOTHING);
}

/// Some Sessions at a time; a change on the way begins anew.
#[test]
fn many_sessions_are_reviewed_some_at_a_time() {
    let mut world = World::new();
    world.carry_by_hand();
    for number in 0..3_000 {
        world.enter_with(&hello(V311, &format!("c{number}")), rules(&[], &[]));
    }
    let register = Arc::new(Register::default());
    let asked = |register: &Register| *register.asked.lock().unwrap();
    let authority: Arc<dyn Authority> = Arc::clone(&register) as Arc<dyn Authority>;
    world.policy_changed(&authority);
    assert_eq!(asked(&register), 1024);
    world.carry(0, 0);
    assert_eq!(asked(&register), 2048);
    world.policy_changed(&authority);
    assert_eq!(asked(&register), 3072);
    world.carry_all();
    assert_eq!(asked(&register), 2048 + 3000);
}
