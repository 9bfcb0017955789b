//! What survives the end of the process: everything that somebody was told, and nothing twice that must come once.

use std::time::Duration;

use dunlin_engine::Drop;

use crate::hello::{at, hello, message};
use crate::world::{V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

/// Sessions, Subscriptions and queues are there after a crash, whatever the number of shards is now.
#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    for version in [V31, V311, V5] {
        for (before, after) in [(1, 1), (1, 3), (4, 1), (3, 4)] {
            let mut world = World::durable(before);
            for name in ["a", "b", "c"] {
                let client = world.enter(&hello(version, name).lasting(60));
                world.subscribe(client, "t/#", 2);
                world.lose(client);
            }
            let publisher = world.connect(version, "p");
            for (number, qos) in [(1, 1), (2, 2), (3, 1)] {
                world.publish(publisher, &message("t/x", number.to_string()).qos(qos, number));
            }
            assert_eq!(world.take(publisher), ["PUBACK #1", "PUBREC #2", "PUBACK #3"]);
            world.crash(after);

            for name in ["c", "a", "b"] {
                let client = world.knock(&hello(version, name).lasting(60));
                let present = if version == V31 { "CONNACK 00" } else { "CONNACK 00 present" };
                assert_eq!(world.take(client)[0], present);
            }
            let publisher = world.connect(version, "p");
            world.publish(publisher, &message("t/x", "4").qos(1, 4));
            for name in ["c", "a", "b"] {
                let client = world.enter(&hello(version, name).lasting(60));
                assert_eq!(world.acknowledge_all(client), ["1", "2", "3", "4"], "{before} {after}");
            }
        }
    }
}

/// Nothing is said before it is true.
#[test]
fn answers_wait_for_the_disk() {
    for shards in [1, 2] {
        let mut world = World::durable(shards);
        let (near, far) = (world.client_on(0, 0), world.client_on(shards - 1, 1));
        let subscriber = world.enter(&hello(V5, &near).lasting(60));
        world.subscribe(subscriber, "t", 1);
        let publisher = world.connect(V5, &far);
        world.lose(subscriber);
        world.store();
        world.hold_disk();

        world.publish(publisher, &message("t", "1").qos(1, 1));
        world.publish(publisher, &message("t", "2").qos(2, 2));
        world.publish(publisher, &message("elsewhere", "3").qos(1, 3));
        let newcomer = world.knock(&hello(V5, "n").lasting(60));
        world.ask(newcomer, &[("x", at(1))], 0);
        assert_eq!(world.take(publisher), NOTHING);
        assert_eq!(world.take(newcomer), NOTHING);

        world.store();
        assert_eq!(world.take(publisher), ["PUBACK #1", "PUBREC #2", "PUBACK #3 10"]);
        world.store();
        assert_eq!(world.take(newcomer), ["CONNACK 00", "SUBACK #1 [01]"]);
    }
}

/// A message that everybody acknowledged in time needs no disk.
#[test]
fn a_message_that_was_acknowledged_is_not_written() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.connect(V5, "p");
    world.settle_disk();
    let before = world.live_records();
    world.hold_disk();
    for id in 1..=100 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    assert_eq!(world.take(publisher), NOTHING);
    world.acknowledge_all(subscriber);
    assert_eq!(world.take(publisher).len(), 100);
    world.settle_disk();
    assert_eq!(world.live_records(), before);
}

/// Nor does one that waits for others to be acknowledged, where its Client is there and gets on.
#[test]
fn a_message_that_is_soon_sent_and_acknowledged_is_not_written() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60).receive_maximum(2));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.connect(V5, "p");
    world.settle_disk();
    let before = world.live_records();
    world.hold_disk();
    for id in 1..=30 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    world.store();
    assert_eq!(world.take(publisher), NOTHING, "nothing is written yet");
    assert_eq!(world.acknowledge_all(subscriber).len(), 30);
    assert_eq!(world.take(publisher).len(), 30);
    world.settle_disk();
    assert_eq!(world.live_records(), before);
}

/// One who does not get on is not waited for, nor one who has left.
#[test]
fn a_message_that_nobody_acknowledges_in_time_is_written() {
    for leaves in [false, true] {
        let mut world = World::durable(1);
        let subscriber = world.enter(&hello(V5, "s").lasting(60).receive_maximum(2));
        world.subscribe(subscriber, "t", 1);
        let publisher = world.connect(V5, "p");
        world.settle_disk();
        world.hold_disk();
        for id in 1..=5 {
            world.publish(publisher, &message("t", "x").qos(1, id));
        }
        if leaves {
            // That has to be written, and what came before it.
            world.lose(subscriber);
        } else {
            world.store();
            assert_eq!(world.take(publisher), NOTHING);
            world.pass(Duration::from_millis(4));
        }
        world.store();
        assert_eq!(world.take(publisher).len(), 5);
        world.crash(1);
        world.store_at_once();
        let subscriber = world.enter(&hello(V5, "s").lasting(60));
        assert_eq!(world.acknowledge_all(subscriber).len(), 5);
    }
}

/// What was consumed is not kept.
#[test]
fn a_queue_that_was_drained_leaves_no_records() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    world.settle_disk();
    let before = world.live_records();
    let publisher = world.connect(V5, "p");
    for id in 1..=1000 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    assert!(world.live_records() >= before + 1000);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    assert_eq!(world.acknowledge_all(subscriber).len(), 1000);
    world.settle_disk();
    assert!(world.live_records() < before + 100, "{}", world.live_records());
}

/// [MQTT-4.3.3-10] A QoS 2 message whose PUBREC was lost in a crash is sent again, and delivered once.
#[test]
fn a_publisher_does_not_know_and_sends_again() {
    for shards in [1, 3] {
        for told in [false, true] {
            let mut world = World::durable(shards);
            let subscriber = world.enter(&hello(V5, "s").lasting(60));
            world.subscribe(subscriber, "t", 2);
            world.lose(subscriber);
            let publisher = world.enter(&hello(V5, "p").lasting(60));
            if !told {
                world.hold_disk();
            }
            world.publish(publisher, &message("t", "1").qos(2, 7));
            if !told {
                // The message is safe, what the publisher's Session knows of it is not.
                world.store_once();
            }
            world.crash(shards);
            world.store_at_once();

            let publisher = world.enter(&hello(V5, "p").lasting(60));
            world.publish(publisher, &message("t", "1").qos(2, 7).dup());
            assert_eq!(world.take(publisher), ["PUBREC #7"]);
            world.pubrel(publisher, 7);
            assert_eq!(world.take(publisher), ["PUBCOMP #7"]);
            // Now the identifier means another message.
            world.publish(publisher, &message("t", "2").qos(2, 7));
            let subscriber = world.enter(&hello(V5, "s").lasting(60));
            assert_eq!(world.acknowledge_all(subscriber), ["1", "2"], "{shards} {told}");
        }
    }
}

/// [MQTT-4.3.3-2] [MQTT-4.4.0-1] A QoS 2 delivery keeps its identifier and its place in the exchange.
#[test]
fn a_qos_2_delivery_goes_on_where_it_was() {
    for version in [V311, V5] {
        let mut world = World::durable(1);
        let subscriber = world.enter(&hello(version, "s").lasting(60));
        world.subscribe(subscriber, "t", 2);
        let publisher = world.connect(version, "p");
        for id in 1..=2 {
            world.publish(publisher, &message("t", id.to_string()).qos(2, id));
        }
        assert_eq!(world.take(subscriber), ["PUBLISH t=1 q2 #1", "PUBLISH t=2 q2 #2"]);
        world.pubrec(subscriber, 1);
        assert_eq!(world.take(subscriber), ["PUBREL #1"]);
        world.crash(1);

        let subscriber = world.enter(&hello(version, "s").lasting(60));
        assert_eq!(world.take(subscriber), ["PUBREL #1", "PUBLISH t=2 q2 #2 dup"]);
        world.pubcomp(subscriber, 1);
        world.pubrec(subscriber, 2);
        world.pubcomp(subscriber, 2);
        world.settle_disk();
        world.crash(1);
        let subscriber = world.enter(&hello(version, "s").lasting(60));
        assert_eq!(world.take(subscriber).len(), 0);
    }
}

/// A QoS 2 delivery is not sent before its identifier is sure to survive; nor is what comes after it.
#[test]
fn a_qos_2_delivery_waits_for_its_record() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 2);
    let publisher = world.connect(V5, "p");
    world.hold_disk();
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.publish(publisher, &message("t", "2").qos(1, 2));
    assert_eq!(world.take(subscriber), NOTHING);
    world.store();
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q2 #1", "PUBLISH t=2 q1 #2"]);
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] Retained messages survive, and those that were cleared do not come back.
#[test]
fn retained_messages_survive_and_cleared_ones_do_not() {
    for (before, after) in [(1, 4), (4, 1)] {
        let mut world = World::durable(before);
        let publisher = world.connect(V5, "p");
        for (id, topic, payload) in [(1, "a", "1"), (2, "b", "1"), (3, "a", "2"), (4, "b", ""), (5, "c", "1")]
        {
            world.publish(publisher, &message(topic, payload).retain().qos(1, id));
        }
        world.publish(publisher, &message("d", "0").retain());
        for _ in 0..2 {
            world.crash(after);
            let reader = world.connect(V5, "r");
            world.subscribe(reader, "#", 0);
            let mut got = world.take(reader);
            got.sort();
            assert_eq!(got, ["PUBLISH a=2 retain", "PUBLISH c=1 retain", "PUBLISH d=0 retain"]);
        }
    }
}

/// [MQTT-3.1.2-8] A Will goes out although the process ended before it was due; once.
#[test]
fn wills_survive() {
    let mut world = World::durable(2);
    let reader = world.enter(&hello(V5, "r").lasting(1000));
    world.subscribe(reader, "w/#", 1);
    let _online = world.enter(&hello(V5, "a").lasting(100).will(message("w/a", "now").qos(1, 0)));
    let late = world.enter(&hello(V5, "b").lasting(100).will(message("w/b", "late").qos(1, 0).delay(10)));
    let gone = world.enter(&hello(V5, "c").lasting(100).will(message("w/c", "never").qos(1, 0)));
    world.lose(late);
    world.leave(gone);
    world.crash(2);
    world.seconds(20);
    let reader = world.enter(&hello(V5, "r").lasting(1000));
    let mut got = world.acknowledge_all(reader);
    got.sort();
    assert_eq!(got, ["late", "now"]);
    world.settle_disk();
    world.crash(1);
    world.seconds(20);
    let reader = world.enter(&hello(V5, "r").lasting(1000));
    assert_eq!(world.acknowledge_all(reader), NOTHING);
}

/// [MQTT-3.1.2-23] Intervals count while the process does not run.
#[test]
fn sessions_expire_whether_or_not_the_process_runs() {
    let mut world = World::durable(1);
    for (name, seconds) in [("short", 10), ("long", 100)] {
        let client = world.enter(&hello(V5, name).lasting(seconds));
        world.lose(client);
    }
    world.settle_disk();
    world.pass_without_process(Duration::from_secs(50));
    world.crash(1);
    world.seconds(1);
    let client = world.knock(&hello(V5, "short").lasting(10));
    assert_eq!(world.take(client), ["CONNACK 00"]);
    let client = world.knock(&hello(V5, "long").lasting(10));
    assert_eq!(world.take(client), ["CONNACK 00 present"]);
}

/// [MQTT-3.3.2-5] Also of messages.
#[test]
fn messages_expire_whether_or_not_the_process_runs() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "short").expiry(10).qos(1, 1));
    world.publish(publisher, &message("t", "long").expiry(100).qos(1, 2));
    world.settle_disk();
    world.pass_without_process(Duration::from_secs(50));
    world.crash(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    assert_eq!(world.acknowledge_all(client), ["long"]);
    assert_eq!(world.dropped(Drop::Expired), 1);
}

/// [MQTT-3.8.4-3] [MQTT-3.10.4-1] Subscriptions as they were last, with identifiers and options; ended Sessions stay ended.
#[test]
fn subscriptions_come_back_as_they_were() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    world.subscribe_as(client, "a", at(1), 5);
    world.subscribe_as(client, "b", at(1), 6);
    world.subscribe_as(client, "a", at(0), 7);
    world.unsubscribe(client, &["b"]);
    let ended = world.enter(&hello(V5, "e").lasting(1000));
    world.subscribe(ended, "a", 1);
    world.leave_with(ended, 0, Some(0));
    world.settle_disk();
    world.crash(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    let publisher = world.connect(V5, "p");
    for topic in ["a", "b"] {
        world.publish(publisher, &message(topic, "x").qos(1, 1));
    }
    assert_eq!(world.take(client), ["PUBLISH a=x [subscription=7]"]);
    let client = world.knock(&hello(V5, "e").lasting(1000));
    assert_eq!(world.take(client), ["CONNACK 00"]);
}

/// [MQTT-4.8.2-4] What a shared group was dealt and nobody acknowledged goes to a member after the crash.
#[test]
fn messages_of_shared_groups_survive() {
    for (before, after) in [(1, 1), (3, 2)] {
        let mut world = World::durable(before);
        for name in ["a", "b"] {
            let client = world.enter(&hello(V5, name).lasting(1000));
            world.subscribe(client, "$share/g/t", 1);
        }
        let publisher = world.connect(V5, "p");
        for id in 1..=4 {
            world.publish(publisher, &message("t", id.to_string()).qos(1, id));
        }
        world.settle_disk();
        world.crash(after);
        let client = world.enter(&hello(V5, "a").lasting(1000));
        assert_eq!(world.acknowledge_all(client), ["1", "2", "3", "4"]);
        world.settle_disk();
        world.crash(before);
        let client = world.enter(&hello(V5, "b").lasting(1000));
        assert_eq!(world.acknowledge_all(client), NOTHING);
    }
}

/// A checkpoint takes the place of what led to it, and a crash after it brings back the same.
#[test]
fn checkpoints_replace_what_led_to_them() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    world.subscribe(client, "keep", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    for id in 1..=3 {
        world.publish(publisher, &message("keep", id.to_string()).qos(1, id));
        world.publish(publisher, &message(&format!("r/{id}"), "r").retain().qos(1, 9));
    }
    for round in 0..3000 {
        let client = world.enter(&hello(V5, "d").lasting(1000));
        if round % 2 == 0 {
            world.subscribe(client, &format!("x/{}", round % 10), 1);
        }
        world.lose(client);
    }
    world.settle_disk();
    assert!(world.live_records() < 3000, "{}", world.live_records());
    world.crash(2);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    assert_eq!(world.acknowledge_all(client), ["1", "2", "3"]);
    let reader = world.connect(V5, "r");
    world.subscribe(reader, "r/+", 0);
    assert_eq!(world.take(reader).len(), 3);
}

/// A full journal refuses what would need it, and only that.
#[test]
fn a_full_journal_refuses_what_needs_it() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    world.subscribe(client, "t", 1);
    let publisher = world.connect(V5, "p");
    let old = world.connect(V311, "old");
    world.set_full(true);
    world.publish(publisher, &message("t", "1").qos(1, 1));
    world.publish(publisher, &message("t", "2").qos(2, 2));
    world.publish(publisher, &message("nobody", "3").qos(1, 3));
    world.publish(publisher, &message("t", "4"));
    assert_eq!(world.take(publisher), ["PUBACK #1 97", "PUBREC #2 97", "PUBACK #3 10"]);
    assert_eq!(world.take(client), ["PUBLISH t=4"]);
    world.publish(old, &message("t", "5").qos(1, 5));
    assert_eq!(world.take(old), ["closed"]);
    assert_eq!(world.dropped(Drop::JournalFull), 3);
    world.set_full(false);
    world.publish(publisher, &message("t", "6").qos(1, 6));
    world.acknowledge_all(client);
    assert_eq!(world.take(publisher), ["PUBACK #6"]);
}

/// Where another shard's log has no room, a message that goes there is refused where it comes in, and a Session that would have to
/// be kept does not begin; who is known is let in, and who leaves nothing behind.
#[test]
fn a_log_that_is_short_elsewhere_refuses_here() {
    for shards in [1, 4] {
        let mut world = World::durable(shards);
        let client = world.enter(&hello(V5, "c").lasting(1000));
        world.subscribe(client, "t", 1);
        world.lose(client);
        let publisher = world.connect(V5, "p");
        world.set_short(true);
        world.publish(publisher, &message("t", "1").qos(1, 1));
        assert_eq!(world.take(publisher), ["PUBACK #1 97"]);
        let newcomer = world.knock(&hello(V5, "n").lasting(1000));
        assert_eq!(world.take(newcomer), ["CONNACK 97", "closed"]);
        let newcomer = world.knock(&hello(V311, "o").resume());
        assert_eq!(world.take(newcomer), ["CONNACK 88", "closed"]);
        let passing = world.connect(V5, "n");
        world.publish(passing, &message("u", "2").qos(1, 1));
        assert_eq!(world.take(passing), ["PUBACK #1 10"]);
        let client = world.enter(&hello(V5, "c").resume().lasting(1000));
        world.ask(client, &[("u", at(1))], 0);
        assert_eq!(world.take(client), ["SUBACK #1 [97]"]);
        world.set_short(false);
        world.publish(publisher, &message("t", "3").qos(1, 2));
        assert_eq!(world.acknowledge_all(client), ["3"]);
        assert_eq!(world.take(publisher), ["PUBACK #2"]);
    }
}

/// While the log has no room nobody waits for its CONNACK: who needs something written is refused at once, the others are let in.
#[test]
fn a_full_log_leaves_no_connect_without_an_answer() {
    let mut world = World::durable(1);
    for name in ["ends", "kept"] {
        let client = world.enter(&hello(V5, name).lasting(60));
        world.lose(client);
    }
    world.fill_disk();
    let anew = world.knock(&hello(V5, "kept"));
    assert_eq!(world.take(anew), ["CONNACK 97", "closed"], "the end of the one that is kept is not written");
    let back = world.knock(&hello(V5, "kept").lasting(1000));
    assert_eq!(world.take(back), ["CONNACK 00 present"]);
    // The other expires, and the log does not know yet.
    world.seconds(61);
    let anew = world.knock(&hello(V5, "ends"));
    assert_eq!(world.take(anew), ["CONNACK 97", "closed"]);
    let passing = world.knock(&hello(V5, "other"));
    assert_eq!(world.take(passing), ["CONNACK 00"], "others need not wait for that");
    let longer = world.knock(&hello(V5, "other").lasting(60));
    assert_eq!(
        world.take(longer),
        ["CONNACK 97", "closed"],
        "it would take the place of one that is not kept"
    );
    world.ping(passing);
    assert_eq!(world.take(passing), ["PINGRESP"]);
    world.empty_disk();
    for name in ["ends", "kept"] {
        let anew = world.knock(&hello(V5, name));
        assert_eq!(world.take(anew), ["CONNACK 00"]);
    }
}

/// Nor a SUBSCRIBE that is refused, nor an UNSUBSCRIBE that ends nothing: however many come, none of them waits. One that ends a
/// Subscription does, until the log knows; and who cannot be told that there is none, because a crash may bring it back, is closed.
#[test]
fn a_full_log_holds_up_no_answer_that_needs_nothing_written() {
    for (version, answers, farewell) in [
        (V311, ["UNSUBACK #2", "SUBACK #4 [80]"], &["closed"][..]),
        (V5, ["UNSUBACK #2 [11]", "SUBACK #4 [97]"], &["DISCONNECT 97", "closed"]),
    ] {
        let mut world = World::durable(1);
        let client = world.enter(&hello(version, "c").lasting(60));
        world.subscribe(client, "t", 1);
        world.fill_disk();
        let other = world.enter(&hello(version, "d"));
        world.unsubscribe(client, &["x"]);
        world.unsubscribe(client, &["t"]);
        world.ask(client, &[("u", at(1))], 0);
        assert_eq!(world.take(client), answers);
        world.unsubscribe(client, &["t"]);
        assert_eq!(world.take(client), farewell);
        world.unsubscribe(other, &["x"]);
        assert_eq!(world.take(other).len(), 1);
    }
}

/// A log that takes nothing for long: who waits is told so when the time for CONNECT is over.
#[test]
fn a_connect_that_the_log_does_not_take_in_time_is_refused() {
    for version in [V311, V5] {
        let mut world = World::durable(1);
        world.hold_disk();
        let client = world.knock(&hello(version, "c").lasting(60));
        world.seconds(9);
        assert_eq!(world.take(client), NOTHING);
        world.seconds(1);
        assert_eq!(world.take(client), ["CONNACK 88", "closed"]);
    }
}

/// The same of a Session that was there, and is when the log has come so far; the Will of whoever was not let in is none.
#[test]
fn a_session_outlives_a_connect_that_the_log_did_not_take_in_time() {
    for version in [V311, V5] {
        let mut world = World::durable(1);
        let watcher = world.enter(&hello(V5, "w"));
        world.subscribe(watcher, "will", 0);
        let client = world.enter(&hello(version, "c").lasting(60));
        world.lose(client);
        world.hold_disk();
        let back = world.knock(&hello(version, "c").lasting(60).will(message("will", "gone")));
        world.seconds(9);
        assert_eq!(world.take(back), NOTHING);
        world.seconds(1);
        assert_eq!(world.take(back), ["CONNACK 88", "closed"]);
        world.store_at_once();
        let back = world.knock(&hello(version, "c").lasting(60));
        assert_eq!(world.take(back), ["CONNACK 00 present"]);
        assert_eq!(world.take(watcher), NOTHING);
    }
}

/// A message that the journal cannot give back is counted, and what comes after it is delivered.
#[test]
fn a_damaged_record_holds_up_nothing() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(1000));
    world.subscribe(client, "t", 1);
    world.lose(client);
    let publisher = world.connect(V5, "p");
    for id in 1..=3 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    world.settle_disk();
    world.damage("2");
    let client = world.enter(&hello(V5, "c").lasting(1000));
    assert_eq!(world.acknowledge_all(client), ["1", "3"]);
    assert_eq!(world.dropped(Drop::Damaged), 1);
}

/// A retained message is of no exchange any more: it is delivered for every Subscription, and the identifier that it came with
/// is free for other messages.
#[test]
fn retained_messages_leave_their_exchange_behind() {
    let mut world = World::durable(1);
    let publisher = world.enter(&hello(V5, "p").lasting(60));
    world.publish(publisher, &message("t", "kept").retain().qos(2, 1));
    world.pubrel(publisher, 1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    for filter in ["t", "#"] {
        world.subscribe(subscriber, filter, 2);
        world.settle_disk();
        assert_eq!(world.acknowledge_all(subscriber), ["kept"]);
    }
    world.publish(publisher, &message("t", "other").qos(2, 1));
    assert_eq!(world.acknowledge_all(subscriber), ["other"]);
}

/// [MQTT-3.1.2-4] The end of a Session is stored before a Client is told of a new one, also of one that ends with its connection.
#[test]
fn a_session_that_ended_does_not_come_back() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "t", 1);
    world.settle_disk();
    world.hold_disk();
    let first = world.knock(&hello(V5, "c"));
    let second = world.knock(&hello(V5, "c"));
    assert_eq!(world.take(first), ["closed"]);
    assert_eq!(world.take(second), NOTHING);
    world.store();
    assert_eq!(world.take(second), ["CONNACK 00"]);
}

/// [MQTT-3.3.1-1] Whatever may have been sent before a crash has DUP, however far its window had come; what came while the
/// Client was away has not.
#[test]
fn what_may_have_been_sent_before_a_crash_is_sent_with_dup() {
    let mut world = World::durable_with(1, |settings| {
        settings.limits.inflight_maximum = std::num::NonZeroU16::MIN;
    });
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    let publisher = world.connect(V5, "p");
    for id in 1..=3 {
        world.publish(publisher, &message("t", id.to_string()).qos(1, id));
    }
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.settle_disk();
    world.hold_disk();
    // That it acknowledged them is lost.
    assert_eq!(world.acknowledge_all(subscriber), ["1", "2", "3"]);
    world.crash(1);
    world.store_at_once();
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "4").qos(1, 4));
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    for id in 1..=3 {
        assert_eq!(world.take(subscriber), [format!("PUBLISH t={id} q1 #{id} dup")]);
        world.puback(subscriber, id);
    }
    world.lose(subscriber);
    world.settle_disk();
    world.publish(publisher, &message("t", "5").qos(1, 5));
    world.crash(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    assert_eq!(world.take(subscriber), ["PUBLISH t=4 q1 #4 dup"]);
    world.puback(subscriber, 4);
    assert_eq!(world.take(subscriber), ["PUBLISH t=5 q1 #5"]);
}

/// [MQTT-4.3.3-7] A PUBREL that waits for its PUBCOMP is sent again however often the process ends.
#[test]
fn a_released_exchange_survives_several_crashes() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 2);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.pubrec(subscriber, 1);
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q2 #1", "PUBREL #1"]);
    for id in 2..=3 {
        world.crash(1);
        let subscriber = world.enter(&hello(V5, "s").lasting(60));
        assert_eq!(world.take(subscriber), ["PUBREL #1"]);
        // Another exchange has the Session's progress written anew.
        let publisher = world.connect(V5, "p");
        world.publish(publisher, &message("t", id.to_string()).qos(2, id));
        world.pubrec(subscriber, id);
        world.pubcomp(subscriber, id);
        world.settle_disk();
    }
}

/// [MQTT-2.2.1-4] What a shared group deals is not in the Session's records; its identifier is not given to another message.
#[test]
fn identifiers_of_deals_are_not_used_again_after_a_crash() {
    let mut world = World::durable(1);
    let client = world.enter(&hello(V5, "c").lasting(60));
    world.subscribe(client, "$share/g/t", 2);
    let publisher = world.connect(V5, "p");
    world.hold_disk();
    world.publish(publisher, &message("t", "1").qos(2, 1));
    assert_eq!(world.take(client), NOTHING);
    world.settle_disk();
    assert_eq!(world.take(client), ["PUBLISH t=1 q2 #1"]);
    world.crash(1);
    world.store_at_once();
    let client = world.enter(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(client), ["PUBLISH t=1 q2 #2"]);
}
