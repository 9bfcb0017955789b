//! What the Server remembers of how Clients behave.

use std::time::Duration;

use dunlin_codec::QoS;
use dunlin_engine::{History, Losses, OriginKey};

use crate::hello::{hello, message};
use crate::world::{V5, V311, World};

#[test]
fn messages_are_counted_by_kind_and_summed_over_connections() {
    let mut world = World::sharded(2);
    let subscriber = world.connect(V311, "s");
    world.subscribe(subscriber, "t/#", 0);
    for _ in 0..2 {
        let publisher = world.connect(V311, "p");
        world.publish(publisher, &message("t/a", "1"));
        world.publish(publisher, &message("t/b", "2").qos(1, 1).retain());
        world.publish(publisher, &message("t/c", "3").qos(2, 2));
        world.ping(publisher);
        world.seconds(10);
        world.take(publisher);
        world.leave(publisher);
    }
    let conduct = world.conduct("p");
    assert!(!conduct.is_connected && conduct.away.is_none());
    assert_eq!(conduct.traffic.published, [2, 2, 2]);
    assert_eq!((conduct.traffic.retained, conduct.traffic.pings), (2, 2));
    assert_eq!(conduct.traffic.bytes, 2 * (8 + 10 + 10));
    assert_eq!(conduct.traffic.connected, Duration::from_secs(20));
    assert_eq!(conduct.samples.len(), 2, "the first message and the second");
    let history = conduct.history.unwrap();
    assert_eq!((history.connects, history.left), (2, 2));
    assert_eq!(world.conduct("s").traffic.delivered, 6);
    assert_eq!(world.conduct("s").filters, [("t/#".into(), QoS::AtMostOnce)]);
    assert_eq!(world.departed(), ["p".into()]);
}

#[test]
fn pages_show_every_session_once() {
    let mut world = World::sharded(2);
    for number in 0..50 {
        world.enter(&hello(V5, &format!("c{number}")).lasting(60));
    }
    let clients = world.conducts(7);
    let mut names: Vec<_> = clients.iter().map(|client| client.client_id.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!((clients.len(), names.len()), (50, 50));
}

#[test]
fn what_is_lost_with_qos_0_is_counted_with_its_reason() {
    let mut world = World::with(|settings| settings.limits.output_bytes_maximum = 100);
    let client = world.enter(&hello(V311, "c").lasting(600));
    world.subscribe(client, "asked/for/less", 0);
    world.subscribe(client, "published/with/less", 1);
    let publisher = world.connect(V311, "p");
    world.lose(client);
    for id in 1..=3 {
        world.publish(publisher, &message("asked/for/less", "x").qos(1, id));
    }
    world.publish(publisher, &message("published/with/less", "x"));
    assert_eq!(world.conduct("c").losses, Losses { away: 4, slow: 0, by_subscription: 3 });

    // A Session that ends with its connection leaves them behind.
    let slow = world.connect(V311, "slow");
    world.subscribe(slow, "much", 0);
    world.stick(slow, true);
    for _ in 0..3 {
        world.publish(publisher, &message("much", [0; 90]));
    }
    assert_eq!(world.conduct("slow").losses.slow, 2);
    world.lose(slow);
    assert_eq!(world.conduct("slow").losses.slow, 2);
}

#[test]
fn new_client_identifiers_of_one_address_are_counted() {
    let mut world = World::sharded(2);
    world.come_from("192.0.2.1:1000");
    for number in 0..10 {
        let link = world.enter(&hello(V311, &format!("random-{}", number * 7919)).lasting(600));
        world.leave(link);
        world.seconds(1);
    }
    // Others share an address, and come back as who they were.
    world.come_from("192.0.2.2:1000");
    for _ in 0..3 {
        let links: Vec<_> = (0..10).map(|number| world.connect(V311, &format!("device-{number}"))).collect();
        links.into_iter().for_each(|link| world.leave(link));
    }
    let sums = |world: &World, address: &str| {
        let origins = world.origins(&OriginKey::Address(address.parse().unwrap()));
        let sum = |pick: fn(&dunlin_engine::OriginConduct) -> u32| origins.iter().map(pick).sum::<u32>();
        (sum(|one| one.connects), sum(|one| one.new_ids), sum(|one| one.kept), sum(|one| one.most_open))
    };
    assert_eq!(sums(&world, "192.0.2.1"), (10, 10, 10, 2), "one at a time in each shard");
    assert_eq!(sums(&world, "192.0.2.2"), (30, 10, 0, 10));
    let origins = world.origins(&OriginKey::Address("192.0.2.1".parse().unwrap()));
    let examples: Vec<_> = origins.iter().flat_map(|origin| &origin.examples).collect();
    assert!(!examples.is_empty() && examples.iter().all(|id| id.starts_with("random-")));
}

#[test]
fn refused_connections_are_counted_by_address() {
    let mut world = World::new();
    world.come_from("192.0.2.1:1000");
    for _ in 0..20 {
        world.knock(&hello(V311, "").resume());
        world.seconds(1);
    }
    let origins = world.origins(&OriginKey::Address("192.0.2.1".parse().unwrap()));
    assert_eq!((origins[0].connects, origins[0].refused, origins[0].refused_in_a_minute), (0, 20, 20));
}

#[test]
fn reconnects_are_those_that_follow_a_lost_connection() {
    let mut world = World::new();
    for (number, pause) in [100, 100, 100, 20_000].into_iter().enumerate() {
        let link = world.connect(V311, "c");
        world.seconds(1);
        world.lose(link);
        world.pass(Duration::from_millis(pause));
        assert_eq!(world.conduct("c").history.unwrap().lost as usize, number + 1);
    }
    let link = world.connect(V311, "c");
    let history = world.conduct("c").history.unwrap();
    assert_eq!((history.reconnects_in_a_minute, history.last_pause_ms), (4, 20_000));
    // Whoever says goodbye may come back at once.
    world.leave(link);
    world.connect(V311, "c");
    assert_eq!(world.conduct("c").history.unwrap().reconnects_in_a_minute, 4);
    world.seconds(4_000);
    assert_eq!(world.conduct("c").history.unwrap().reconnects_in_a_minute, 0, "an hour ago is over");
}

#[test]
fn a_fight_over_a_client_identifier_shows_both_addresses() {
    // Nobody waits for the other to go.
    let mut world = World::with(|settings| settings.limits.takeover_delay_maximum_ms = 0);
    for _ in 0..3 {
        for address in ["192.0.2.1:1000", "192.0.2.2:1000"] {
            world.come_from(address);
            world.connect(V311, "c");
            world.seconds(1);
        }
    }
    let conduct = world.conduct("c");
    let History { connects, taken_over, taken_over_in_a_minute, reconnects_in_a_minute, .. } =
        conduct.history.unwrap();
    assert_eq!((connects, taken_over, taken_over_in_a_minute, reconnects_in_a_minute), (6, 5, 5, 0));
    assert_eq!(conduct.address, Some("192.0.2.2:1000".parse().unwrap()));
    assert_eq!(conduct.rival, Some("192.0.2.1:1000".parse().unwrap()));
}

#[test]
fn sessions_that_are_resumed_and_those_that_are_thrown_away_are_counted() {
    let mut world = World::new();
    for _ in 0..3 {
        let link = world.enter(&hello(V5, "resumes").lasting(600));
        world.lose(link);
        let link = world.enter(&hello(V5, "begins-anew").expiry(600));
        world.lose(link);
    }
    world.seconds(60);
    let resumes = world.conduct("resumes");
    assert_eq!((resumes.resumed, resumes.history.unwrap().discarded), (2, 0));
    assert_eq!(resumes.away, Some(Duration::from_secs(60)));
    let begins = world.conduct("begins-anew");
    assert_eq!((begins.resumed, begins.history.unwrap().discarded), (0, 2));
}

#[test]
fn a_will_is_remembered_after_the_connection() {
    let mut world = World::new();
    let with = world.enter(&hello(V5, "with").will(message("w", "")).keep_alive(60));
    world.connect(V5, "without");
    assert!(world.conduct("with").has_will && !world.conduct("without").has_will);
    assert_eq!(world.conduct("with").keep_alive, Duration::from_secs(60));
    world.leave(with);
    assert!(world.conduct("with").has_will);
}

#[test]
fn samples_have_their_topics_also_behind_an_alias() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.publish(client, &message("long/topic", "1").alias(1));
    for _ in 0..7 {
        world.publish(client, &message("", "22").alias(1));
    }
    let samples = world.conduct("c").samples;
    assert_eq!(samples.len(), 1);
    assert_eq!(
        (&*samples[0].topic, samples[0].payload_len, &*samples[0].payload),
        ("long/topic", 2, &b"22"[..])
    );
}

#[test]
fn an_audience_is_counted_in_all_shards_with_the_best_qos() {
    let mut world = World::sharded(4);
    assert_eq!(world.audience("a/b").receivers, 0);
    for shard in 0..4 {
        let id = world.client_on(shard, 1);
        let link = world.connect(V5, &id);
        world.subscribe(link, "a/+", u8::from(shard == 2));
    }
    assert_eq!((world.audience("a/b").receivers, world.audience("a/b").best), (4, Some(QoS::AtLeastOnce)));
    let member = world.connect(V5, "member");
    world.subscribe(member, "$share/g/a/#", 2);
    assert_eq!((world.audience("a/b").receivers, world.audience("a/b").best), (5, Some(QoS::ExactlyOnce)));
    assert_eq!(world.audience("$SYS/x").receivers, 0);
}
