//! Why a message came or did not come: what the shards noted.

use dunlin_codec::QoS;
use dunlin_engine::{Drop, SessionEnd, What};

use crate::hello::{hello, message};
use crate::world::{V5, World};

const Q1: QoS = QoS::AtLeastOnce;

/// A subscriber and a publisher with homes in the first and in the last shard.
fn names(world: &World, shards: usize) -> (String, String) {
    (world.client_on(0, 0), world.client_on(shards - 1, 1))
}

/// Every step of a message has its number, whatever shard it is noted in.
#[test]
fn a_followed_message_is_noted_from_publisher_to_acknowledgement() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let (near, far) = names(&world, shards);
        let subscriber = world.connect(V5, &near);
        world.subscribe(subscriber, "t", 1);
        let publisher = world.connect(V5, &far);
        world.seconds(10);
        world.publish(publisher, &message("t", "1").qos(1, 1));
        let sent = world.decisions(&near, "t");
        assert!(
            matches!(sent[..], [ref one] if matches!(one.what, What::Written { qos: Q1, .. })),
            "{sent:?}"
        );
        world.acknowledge_all(subscriber);
        let decided = world.decided(&near, "t");
        let [What::Written { delivery: Some(sent), .. }, What::Acknowledged { delivery }] = decided[..]
        else {
            panic!("{decided:?}")
        };
        assert_eq!(sent, delivery);
        let findings = world.explain(&near, "t");
        let published: Vec<_> = findings.iter().flat_map(|found| &found.published).collect();
        assert_eq!(published.len(), 1);
        assert_eq!(
            (&*published[0].client, published[0].message),
            (&*far, world.decisions(&near, "t")[0].message)
        );
        assert_ne!(published[0].message, 0);
        let topics: Vec<_> = findings.iter().filter_map(|found| found.topic.as_ref()).collect();
        assert_eq!(topics.len(), 1);
        assert_eq!((topics[0].count, topics[0].by.as_deref()), (1, Some(&*far)));
    }
}

/// The first of a topic in a second is followed, the others are not, but what goes wrong is always noted, with how often.
#[test]
fn losses_are_noted_whether_the_message_is_followed_or_not() {
    let mut world = World::with(|settings| settings.limits.queue_messages_maximum = 2);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    let publisher = world.connect(V5, "p");
    world.seconds(10);
    for id in 1..=10 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    let queued = world.decisions("s", "t");
    let lost: u32 =
        queued.iter().filter(|told| told.what == What::Dropped(Drop::QueueFull)).map(|told| told.count).sum();
    assert_eq!(lost, 8, "{queued:?}");
    assert_eq!(queued.iter().filter(|told| matches!(told.what, What::Queued { .. })).count(), 1);
    world.seconds(1000);
    let life: Vec<_> =
        world.explain("s", "t").into_iter().flat_map(|found| found.life).map(|told| told.what).collect();
    assert_eq!(life[0], What::SessionEnded { why: SessionEnd::Expired, lost: 2 });
}

/// Everything under watch is noted, until it ends.
#[test]
fn a_watch_follows_everything_and_ends() {
    for (client, filter) in [(Some("s"), None), (None, Some("#")), (Some("p"), None)] {
        let mut world = World::new();
        let subscriber = world.connect(V5, "s");
        world.subscribe(subscriber, "t", 0);
        let publisher = world.connect(V5, "p");
        world.seconds(10);
        world.watch(client, filter, 60);
        for _ in 0..5 {
            world.publish(publisher, &message("t", "x"));
        }
        assert_eq!(world.decided("s", "t").len(), 5, "{client:?} {filter:?}");
        world.seconds(60);
        for _ in 0..5 {
            world.publish(publisher, &message("t", "x"));
        }
        assert_eq!(world.decided("s", "t").len(), 6, "the first in its second");
    }
}

/// What waits for the disk is known to.
#[test]
fn a_delivery_that_waits_for_the_disk_is_seen() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "t", 2);
    let publisher = world.connect(V5, "p");
    world.store();
    world.hold_disk();
    world.publish(publisher, &message("t", "x").qos(2, 1));
    let findings = world.explain("s", "t");
    let session = findings[0].session.as_ref().unwrap();
    assert!(session.waits_for_disk && session.queued_of_topic == 1);
    assert_eq!(world.explain("p", "t")[0].session.as_ref().unwrap().unanswered, 1);
    world.store();
    let findings = world.explain("s", "t");
    assert!(!findings[0].session.as_ref().unwrap().waits_for_disk);
}

/// With no bytes for it, nothing is noted, and all else is as before.
#[test]
fn a_ledger_of_no_bytes_notes_nothing() {
    let mut world = World::with(|settings| settings.limits.explain_bytes_maximum = 0);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "x"));
    let findings = world.explain("s", "t");
    assert!(findings[0].decisions.is_empty() && findings[0].life.is_empty());
    assert_eq!(findings[0].session.as_ref().unwrap().matching.len(), 1);
}
