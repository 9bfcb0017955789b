//! What is written and what is only kept in memory: by listener, by topic, and beside what is synced.

use dunlin_engine::Durability::{self, Memory, Synced, Written};
use dunlin_engine::{ListenerRules, Settings};

use crate::hello::{hello, message};
use crate::world::{Link, V5, World};

const NOTHING: [&str; 0] = [];

/// Every listener has this.
fn by_listener(shards: usize, durability: Durability) -> World {
    World::durable_with(shards, |settings| settings.durability.default = durability)
}

/// Topics below `m/` are kept in memory, below `w/` written, below `s/` synced; the rest as the listener says.
fn by_topic(shards: usize, listener: Durability) -> World {
    World::durable_with(shards, |settings| {
        settings.durability.default = Synced;
        settings.listeners = vec![ListenerRules { durability: Some(listener), ..ListenerRules::default() }];
        let topics = [("m/#", Memory), ("w/#", Written), ("s/#", Synced)];
        settings.durability.topics = topics.map(|(filter, of)| (filter.to_owned(), of)).to_vec();
    })
}

/// A Session that wants everything and is away, one that publishes, and a disk that stores nothing by itself.
fn away(world: &mut World, shards: usize, keeps: bool) -> Link {
    let (near, far) = (world.client_on(0, 0), world.client_on(shards - 1, 1));
    let subscriber = world.enter(&hello(V5, &near).lasting(60));
    world.subscribe(subscriber, "#", 2);
    world.lose(subscriber);
    let publisher = if keeps { world.enter(&hello(V5, &far).lasting(60)) } else { world.connect(V5, &far) };
    world.settle_disk();
    world.hold_disk();
    publisher
}

/// What the Session that was away has got.
fn found(world: &mut World) -> Vec<String> {
    world.store_at_once();
    let near = world.client_on(0, 0);
    let subscriber = world.enter(&hello(V5, &near).lasting(60));
    world.acknowledge_all(subscriber)
}

/// The answer comes with the write, and then the message outlives the process.
#[test]
fn what_is_written_is_acknowledged_before_it_is_synced() {
    for shards in [1, 2] {
        for keeps in [false, true] {
            let mut world = by_listener(shards, Written);
            let publisher = away(&mut world, shards, keeps);
            world.publish(publisher, &message("t", "1").qos(1, 1));
            world.publish(publisher, &message("t", "2").qos(2, 2));
            world.pass(std::time::Duration::from_millis(5));
            assert_eq!(world.take(publisher), NOTHING, "{shards} {keeps}");
            world.write();
            let answers = world.take(publisher);
            assert_eq!(answers[0], "PUBACK #1", "{shards} {keeps}");
            assert_eq!(answers.len(), if keeps { 1 } else { 2 }, "the identifier is kept after the message");
            world.crash(shards);
            assert_eq!(found(&mut world), ["1", "2"], "{shards} {keeps}");
        }
    }
}

/// A repetition on another connection proves nothing: the message may still be on its way to where it is to be written, and what the
/// session itself waits for is something else.
#[test]
fn a_repetition_is_not_answered_before_the_message_is_written_elsewhere() {
    let mut world = by_topic(2, Synced);
    let publisher = away(&mut world, 2, true);
    world.store_at_once();
    world.carry_by_hand();
    world.publish(publisher, &message("w/1", "1").qos(2, 7));
    world.lose(publisher);
    let far = world.client_on(1, 1);
    let publisher = world.enter(&hello(V5, &far).lasting(60));
    world.publish(publisher, &message("w/1", "1").qos(2, 7).dup());
    world.settle_disk();
    assert_eq!(world.take(publisher), NOTHING);
    world.carry_all();
    world.settle_disk();
    assert_eq!(world.take(publisher), ["PUBREC #7"]);
}

/// By default nothing that is only written is acknowledged.
#[test]
fn what_is_synced_is_not_acknowledged_when_it_is_written() {
    for shards in [1, 2] {
        let mut world = by_topic(shards, Synced);
        let publisher = away(&mut world, shards, false);
        world.publish(publisher, &message("t", "1").qos(1, 1));
        world.write();
        assert_eq!(world.take(publisher), NOTHING);
        world.store();
        assert_eq!(world.take(publisher), ["PUBACK #1"]);
    }
}

/// A topic says more than a listener, in either direction.
#[test]
fn the_topic_beats_the_listener() {
    for shards in [1, 2] {
        for listener in [Memory, Written, Synced] {
            let mut world = by_topic(shards, listener);
            let (near, far) = (world.client_on(0, 0), world.client_on(shards - 1, 1));
            let subscriber = world.enter(&hello(V5, &near).lasting(60));
            world.subscribe(subscriber, "#", 1);
            world.lose(subscriber);
            let publishers = [1, 2, 3, 4].map(|id| world.connect(V5, &format!("{far}{id}")));
            world.settle_disk();
            world.hold_disk();
            let mut answers = Vec::new();
            let topics = [(1, "m/x"), (2, "w/x"), (3, "s/x"), (4, "t")];
            for (publisher, (id, topic)) in publishers.into_iter().zip(topics) {
                world.publish(publisher, &message(topic, topic).qos(1, id));
                answers.push((publisher, format!("PUBACK #{id}")));
            }
            let is_kept = listener != Memory;
            let come = |world: &mut World| {
                let come = |(link, want): &(Link, String)| world.take(*link) == [want.clone()];
                answers.iter().map(come).collect::<Vec<_>>()
            };
            // Without a Session that is kept there is nobody to keep a message for.
            assert_eq!(come(&mut world)[..3], [true, !is_kept, !is_kept], "{listener:?}");
            world.write();
            assert_eq!(come(&mut world), [false, is_kept, false, listener == Written], "{listener:?}");
            world.store();
            assert_eq!(come(&mut world), [false, false, is_kept, listener == Synced], "{listener:?}");
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3] Answers come in the order of the messages, whatever each of them waits for.
#[test]
fn answers_stay_in_order_whatever_they_wait_for() {
    for shards in [1, 2] {
        for qos in [1, 2] {
            for keeps in [false, true] {
                let mut world = by_topic(shards, Synced);
                let publisher = away(&mut world, shards, keeps);
                for (id, topic) in [(1, "w/x"), (2, "s/x"), (3, "w/x"), (4, "m/x"), (5, "w/x"), (6, "s/x")] {
                    world.publish(publisher, &message(topic, id.to_string()).qos(qos, id));
                }
                let mut answers = Vec::new();
                for _ in 0..8 {
                    world.write();
                    answers.extend(world.take(publisher));
                    world.store_once();
                    world.pass(std::time::Duration::from_millis(60));
                    answers.extend(world.take(publisher));
                }
                let kind = if qos == 1 { "PUBACK" } else { "PUBREC" };
                let want: Vec<_> = (1..=6).map(|id| format!("{kind} #{id}")).collect();
                assert_eq!(answers, want, "{shards} {qos} {keeps}");
            }
        }
    }
}

/// Nothing waits, nothing is recorded, and a restart knows nothing of it.
#[test]
fn what_is_kept_in_memory_needs_no_disk() {
    for shards in [1, 2] {
        let mut world = by_topic(shards, Synced);
        let publisher = away(&mut world, shards, true);
        let before = world.live_records();
        world.publish(publisher, &message("m/x", "1").qos(1, 1));
        assert_eq!(world.take(publisher), ["PUBACK #1"]);
        world.store();
        assert_eq!(world.live_records(), before);
        world.publish(publisher, &message("m/x", "2").qos(2, 2));
        world.pubrel(publisher, 2);
        assert_eq!(world.take(publisher), ["PUBREC #2", "PUBCOMP #2"]);
        world.publish(publisher, &message("s/x", "3").qos(2, 2));
        world.store();
        assert_eq!(world.take(publisher), ["PUBREC #2"]);
        world.crash(shards);
        assert_eq!(found(&mut world), ["3"]);
    }
}

/// While the process lives, what is kept in memory waits in queues like everything else.
#[test]
fn what_is_kept_in_memory_is_queued() {
    for shards in [1, 2] {
        let mut world = by_topic(shards, Memory);
        let publisher = away(&mut world, shards, false);
        for (id, topic) in [(1, "m/x"), (2, "t"), (3, "s/x"), (4, "m/x")] {
            world.publish(publisher, &message(topic, id.to_string()).qos(2, id));
        }
        assert_eq!(found(&mut world), ["1", "2", "3", "4"]);
    }
}

/// A Session that begins on such a listener ends with the process, and its CONNACK waits for nothing.
#[test]
fn a_session_of_a_listener_in_memory_is_not_kept() {
    let mut world = by_listener(1, Memory);
    world.hold_disk();
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 2);
    world.lose(client);
    let client = world.knock(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["CONNACK 00 present"]);
    world.store();
    assert_eq!(world.live_records(), 0);
    world.crash(1);
    let client = world.knock(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["CONNACK 00"]);
}

/// [MQTT-3.3.1-5] A restart finds no retained value that a newer one had replaced, though that was kept in memory only.
#[test]
fn a_retained_value_in_memory_does_not_let_an_older_one_come_back() {
    for is_stored in [false, true] {
        let mut world = World::durable_with(1, |settings| {
            settings.durability.topics = vec![("t".to_owned(), Written)];
        });
        let publisher = world.connect(V5, "p");
        if !is_stored {
            world.hold_disk();
        }
        world.publish(publisher, &message("t", "old").retain().qos(1, 1));
        let mut settings = Settings::default();
        settings.durability.topics = vec![("t".to_owned(), Memory)];
        world.reconfigure(&settings);
        world.publish(publisher, &message("t", "new").retain().qos(1, 2));
        world.store_at_once();
        assert_eq!(world.take(publisher).len(), 2);
        world.crash(1);
        let client = world.enter(&hello(V5, "c"));
        world.subscribe(client, "t", 1);
        assert_eq!(world.take(client), NOTHING);
    }
}

/// [MQTT-4.3.3-10] An exchange that is kept in memory leaves nothing that could swallow a later message with its identifier.
#[test]
fn an_identifier_of_memory_means_another_message_after_a_restart() {
    let mut world = by_topic(1, Synced);
    let publisher = away(&mut world, 1, true);
    world.publish(publisher, &message("m/x", "1").qos(2, 7));
    assert_eq!(world.take(publisher), ["PUBREC #7"]);
    world.publish(publisher, &message("m/x", "1").qos(2, 7).dup());
    assert_eq!(world.take(publisher), ["PUBREC #7"]);
    world.publish(publisher, &message("s/x", "2").qos(2, 8));
    world.store();
    assert_eq!(world.take(publisher), ["PUBREC #8"]);
    world.crash(1);
    world.store_at_once();
    let far = world.client_on(0, 1);
    let publisher = world.enter(&hello(V5, &far).lasting(60));
    world.publish(publisher, &message("s/x", "3").qos(2, 7));
    assert_eq!(world.take(publisher), ["PUBREC #7"]);
    assert_eq!(found(&mut world), ["2", "3"]);
}

/// A QoS 2 delivery goes out when its record is written, but not before one that is to be synced.
#[test]
fn a_qos_2_delivery_waits_as_long_as_its_message() {
    let mut world = by_topic(1, Synced);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "#", 2);
    let publisher = world.connect(V5, "p");
    world.settle_disk();
    world.hold_disk();
    world.publish(publisher, &message("w/x", "1").qos(2, 1));
    world.publish(publisher, &message("s/x", "2").qos(2, 2));
    world.publish(publisher, &message("w/x", "3").qos(2, 3));
    world.write();
    assert_eq!(world.take(subscriber), ["PUBLISH w/x=1 q2 #1"]);
    world.store_once();
    assert_eq!(world.take(subscriber), ["PUBLISH s/x=2 q2 #2", "PUBLISH w/x=3 q2 #3"]);
}
