//! How fast a Client may send, and what becomes of what comes faster.

use std::time::Duration;

use dunlin_engine::{Counters, ListenerRules, Notice, RateExceeded, RateKind, Settings};

use crate::hello::{hello, message};
use crate::world::{Link, V5, V311, World};

fn ten_a_second(exceeded: RateExceeded) -> impl Fn(&mut Settings) {
    move |settings| {
        settings.limits.messages_per_second = 10;
        settings.limits.rate_exceeded = exceeded;
    }
}

fn publish_many(world: &mut World, publisher: Link, qos: u8, count: u16) {
    for id in 1..=count {
        world.publish(publisher, &message("t", id.to_string()).qos(qos, id));
    }
}

fn met(world: &mut World, action: RateExceeded) -> u64 {
    world.count(|counters: &Counters| counters.excess.rates[action as usize])
}

/// What comes too fast is taken later, in its order, and nothing is lost.
#[test]
fn a_client_that_sends_too_fast_is_read_later() {
    for version in [V311, V5] {
        let mut world = World::with(ten_a_second(RateExceeded::Slow));
        let subscriber = world.connect(version, "s");
        world.subscribe(subscriber, "t", 0);
        let publisher = world.connect(version, "p");

        publish_many(&mut world, publisher, 0, 25);
        assert_eq!(world.take(subscriber).len(), 10, "a second's worth at once");
        assert!(world.unread(publisher) > 0);

        world.seconds(1);
        assert_eq!(world.take(subscriber).len(), 10);
        world.seconds(1);
        assert_eq!(world.take(subscriber).last().unwrap(), "PUBLISH t=25");
        assert!(met(&mut world, RateExceeded::Slow) > 0);
        let said = world
            .notices
            .iter()
            .filter(|notice| matches!(notice, Notice::TooFast { rate: RateKind::Messages, allowed: 10, .. }));
        assert!((1..=3).contains(&said.count()), "one a second");
    }
}

/// [MQTT-3.1.2-22] Who is not read cannot be silent.
#[test]
fn keep_alive_does_not_end_a_client_that_is_slowed() {
    let mut world = World::with(|settings| settings.limits.bytes_per_second = 100);
    let client = world.enter(&hello(V5, "c").keep_alive(2));
    world.publish(client, &message("t", "x".repeat(2_000)));
    for _ in 0..15 {
        world.ping(client);
        world.seconds(1);
        assert!(world.is_open(client));
    }
    world.seconds(9);
    assert!(!world.is_open(client), "it has been read again, and was silent");
}

/// A 5.0 Client is told 0x97; what has no such answer waits.
#[test]
fn messages_beyond_the_rate_are_refused_where_they_can_be() {
    let mut world = World::with(ten_a_second(RateExceeded::Refuse));
    let subscriber = world.connect(V5, "s");
    world.subscribe(subscriber, "t", 0);
    let publisher = world.connect(V5, "p");
    publish_many(&mut world, publisher, 1, 12);
    let answers = world.take(publisher);
    assert_eq!(answers[9..], ["PUBACK #10", "PUBACK #11 97", "PUBACK #12 97"]);
    assert_eq!(world.take(subscriber).len(), 10);
    assert_eq!(met(&mut world, RateExceeded::Refuse), 2);

    let old = world.connect(V311, "old");
    publish_many(&mut world, old, 1, 12);
    assert_eq!(world.take(old).len(), 10);
    world.seconds(1);
    assert_eq!(world.take(old), ["PUBACK #11", "PUBACK #12"]);
}

/// [MQTT-4.3.3-9] The identifier of a refused QoS 2 message is free again.
#[test]
fn a_refused_exchange_is_over() {
    let mut world = World::with(|settings| {
        settings.limits.messages_per_second = 1;
        settings.limits.rate_exceeded = RateExceeded::Refuse;
    });
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.publish(publisher, &message("t", "2").qos(2, 2));
    assert_eq!(world.take(publisher), ["PUBREC #1 10", "PUBREC #2 97"]);
    world.seconds(2);
    world.publish(publisher, &message("t", "2").qos(2, 2));
    assert_eq!(world.take(publisher), ["PUBREC #2 10"]);
}

#[test]
fn a_client_may_be_disconnected_for_its_rate() {
    for (version, farewell) in [(V311, &["closed"][..]), (V5, &["DISCONNECT 96", "closed"])] {
        let mut world = World::with(ten_a_second(RateExceeded::Disconnect));
        let publisher = world.connect(version, "p");
        publish_many(&mut world, publisher, 0, 10);
        assert!(world.is_open(publisher));
        publish_many(&mut world, publisher, 0, 1);
        assert_eq!(world.take(publisher), farewell);
    }
}

/// A listener has its own, also none.
#[test]
fn what_the_listener_says_counts_for_its_clients() {
    for (own, read) in [(Some(3), 3), (Some(0), 25), (None, 10)] {
        let mut world = World::with(|settings| {
            ten_a_second(RateExceeded::Slow)(settings);
            settings.listeners = vec![ListenerRules { messages_per_second: own, ..ListenerRules::default() }];
        });
        let publisher = world.connect(V5, "p");
        publish_many(&mut world, publisher, 1, 25);
        assert_eq!(world.take(publisher).len(), read, "{own:?}");
    }
}

/// A change of the settings holds for those who are connected; who waits for a bound that is gone goes on.
#[test]
fn a_rate_that_changes_changes_for_all() {
    let mut world = World::new();
    let publisher = world.connect(V5, "p");
    let mut settings = Settings::default();
    ten_a_second(RateExceeded::Slow)(&mut settings);
    world.reconfigure(&settings);
    publish_many(&mut world, publisher, 1, 25);
    assert_eq!(world.take(publisher).len(), 10);

    world.reconfigure(&Settings::default());
    assert_eq!(world.take(publisher).len(), 15);
    world.pass(Duration::from_secs(5));
    assert!(world.is_open(publisher));
}
