//! What durability must not cost: records that nobody needs, waits that never end, a Session's messages in another's.

use dunlin_engine::{CheckpointRules, Partition};

use crate::hello::{at, hello, message};
use crate::world::{Link, V5, World};

const NOTHING: [&str; 0] = [];

/// Client Identifiers whose Sessions are in one partition.
fn clients_in(partition: u8) -> impl Iterator<Item = String> {
    let names = (0..).map(|number| format!("n{number}"));
    names.filter(move |name| Partition::of_session("", name).index() == partition)
}

/// A partition with many Sessions needs its checkpoint later than others, and does not hold up theirs.
#[test]
fn a_partition_with_many_sessions_holds_up_no_checkpoint() {
    let mut world = World::durable(1);
    for name in clients_in(0).take(200) {
        let client = world.enter(&hello(V5, &name).lasting(1000));
        for filter in ["a", "b", "c", "d"] {
            world.subscribe(client, filter, 1);
        }
        world.lose(client);
    }
    let busy = clients_in(1).next().unwrap();
    for _ in 0..3000 {
        let client = world.enter(&hello(V5, &busy).lasting(1000));
        world.lose(client);
    }
    world.settle_disk();
    assert!(world.live_records() < 3000, "{}", world.live_records());
}

/// What relieves a full journal is read, also where there was too much to write before.
#[test]
fn acknowledgements_are_read_while_the_journal_is_full() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    world.settle_disk();
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q1 #1"]);

    world.hold_disk();
    for number in 0..40 {
        let payload = "x".repeat(1024 * 1024);
        world.publish(publisher, &message(&format!("r/{number}"), payload).retain());
    }
    world.puback(subscriber, 1);
    assert!(world.unread(subscriber) > 0, "there is too much to write");
    world.set_full(true);
    assert_eq!(world.unread(subscriber), 0);
}

/// Whoever comes to fetch what fills the journal is let in, and fetching it makes room.
#[test]
fn a_full_journal_can_be_emptied() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 2);
    world.lose(subscriber);
    let publisher = world.connect(V5, "p");
    for id in 1..=200 {
        world.publish(publisher, &message("t", id.to_string()).qos(2, id));
    }
    world.settle_disk();
    let before = world.live_records();

    world.fill_disk();
    let (subscriber, connack) = world.enter_reading(&hello(V5, "s").lasting(60));
    assert_eq!(connack.to_string(), "CONNACK 00 present");
    assert_eq!(world.acknowledge_all(subscriber).len(), 200);
    world.pass(std::time::Duration::from_secs(1));
    world.ping(subscriber);
    assert!(world.live_records() < before - 190, "{} of {before}", world.live_records());
    world.empty_disk();
    world.publish(publisher, &message("t", "more").qos(1, 300));
    assert_eq!(world.acknowledge_all(subscriber), ["more"]);
    world.settle_disk();
    world.crash(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    assert_eq!(world.acknowledge_all(subscriber), NOTHING);
}

/// [MQTT-3.2.2-3] A Session that would begin while the log is full is refused, however often its Client comes, and begins when there is room.
#[test]
fn a_session_that_begins_while_the_journal_is_full_is_not_promised() {
    let mut world = World::durable(1);
    world.fill_disk();
    for _ in 0..2 {
        let refused = world.knock(&hello(V5, "c").lasting(60));
        assert_eq!(world.take(refused), ["CONNACK 97", "closed"]);
    }
    world.empty_disk();
    let taken = world.knock(&hello(V5, "c").lasting(60));
    assert_eq!(world.take(taken), ["CONNACK 00"]);
}

/// A Client that comes again and again while the log is full leaves something to be written each time, which has a bound.
#[test]
fn what_waits_for_a_full_journal_has_a_bound_whoever_comes() {
    let mut world = World::durable(1);
    let hello = hello(V5, "c").lasting(60).resume().will(message("w", "x".repeat(60_000)));
    let client = world.enter(&hello);
    world.lose(client);
    world.fill_disk();
    let refused = (0..2000).find(|_| {
        let client = world.knock(&hello);
        let is_refused = world.take(client)[0] == "CONNACK 97";
        world.lose(client);
        is_refused
    });
    assert!(refused.is_some_and(|times| times > 100), "{refused:?}");
    world.empty_disk();
    let client = world.knock(&hello);
    assert_eq!(world.take(client), ["CONNACK 00 present"]);
}

/// What a full log has not taken of a batch cannot be read back. It is not lost: it is sent when there is room.
#[test]
fn what_a_full_journal_has_not_taken_is_waited_for() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    world.settle_disk();
    world.hold_disk();
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1));
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q1 #1"]);
    world.pass(std::time::Duration::from_millis(10));
    world.write();

    world.fill_disk_before_the_batch();
    world.lose(subscriber);
    let (subscriber, _) = world.enter_reading(&hello(V5, "s").lasting(60));
    assert_eq!(world.take(subscriber), NOTHING);
    world.empty_disk();
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q1 #1 dup"]);
}

/// Exchanges that a publisher never releases end with its Session.
#[test]
fn exchanges_end_with_the_session_of_their_publisher() {
    for shards in [1, 3] {
        let mut world = World::durable(shards);
        let subscriber = world.enter(&hello(V5, "s").lasting(1000));
        world.subscribe(subscriber, "t", 1);
        world.lose(subscriber);
        world.settle_disk();
        let before = world.live_records();
        for _ in 0..30 {
            let publisher = world.enter(&hello(V5, "p").lasting(10));
            for id in 1..=100 {
                world.publish(publisher, &message("t", "x").qos(2, id));
            }
            world.lose(publisher);
            let subscriber = world.enter(&hello(V5, "s").lasting(1000));
            assert_eq!(world.acknowledge_all(subscriber).len(), 100);
            world.lose(subscriber);
            world.seconds(20);
            world.settle_disk();
        }
        // What says so is kept until the next checkpoint.
        assert!(world.live_records() < before + 1500, "{} {before}", world.live_records());
    }
}

/// After a restart the end of an exchange is said to those whose records name it, and to nobody else.
#[test]
fn after_a_restart_only_those_who_know_an_exchange_hear_of_its_end() {
    let mut world = World::durable(4);
    let (publisher, subscriber) = (world.client_on(0, 0), world.client_on(1, 0));
    let away = world.enter(&hello(V5, &subscriber).lasting(60));
    world.subscribe(away, "t", 2);
    world.lose(away);
    let link = world.enter(&hello(V5, &publisher).lasting(60));
    world.publish(link, &message("t", "before").qos(2, 1));
    assert_eq!(world.take(link), ["PUBREC #1"]);
    world.settle_disk();
    world.crash(4);

    let link = world.enter(&hello(V5, &publisher).resume().lasting(60));
    world.jam();
    world.publish(link, &message("nobody", "after").qos(2, 2));
    world.pubrel(link, 2);
    assert_eq!(world.take(link), ["PUBREC #2 10", "PUBCOMP #2"]);
    world.pubrel(link, 1);
    assert_eq!(world.take(link), NOTHING);
    world.unjam();
    assert_eq!(world.take(link), ["PUBCOMP #1"]);
    // Its identifier is free for another message.
    world.publish(link, &message("t", "other").qos(2, 1));
    assert_eq!(world.take(link), ["PUBREC #1"]);
    let back = world.enter(&hello(V5, &subscriber).resume().lasting(60));
    assert_eq!(world.acknowledge_all(back), ["before", "other"]);
}

/// A Session that begins after a restart gets nothing that was for one that ended before it.
#[test]
fn a_new_session_is_not_taken_for_one_that_ended() {
    let mut world = World::durable(1);
    let names: Vec<String> = clients_in(7).take(4).collect();
    for name in [&names[0], &names[1], &names[2]] {
        let client = world.enter(&hello(V5, name).lasting(1000));
        if *name != names[1] {
            world.subscribe(client, "t", 1);
        }
        world.lose(client);
    }
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "secret").qos(1, 1));
    // The newest ends; a checkpoint forgets that it ever was, while another still waits for the message.
    let ended = world.enter(&hello(V5, &names[2]).lasting(1000));
    world.leave_with(ended, 0, Some(0));
    for _ in 0..1000 {
        let client = world.enter(&hello(V5, &names[1]).lasting(1000));
        world.lose(client);
    }
    world.settle_disk();
    world.crash(1);

    for _ in 0..1000 {
        let newcomer = world.enter(&hello(V5, &names[3]).lasting(1000));
        world.lose(newcomer);
    }
    world.settle_disk();
    world.crash(1);
    let newcomer = world.enter(&hello(V5, &names[3]).lasting(1000));
    assert_eq!(world.acknowledge_all(newcomer), NOTHING);
}

/// A message that was delivered and whose exchange was released is not kept because of a restart.
#[test]
fn a_restart_keeps_nothing_that_is_over() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    let publisher = world.enter(&hello(V5, "p").lasting(1000));
    for id in 1..=100 {
        world.publish(publisher, &message("t", "x").qos(2, id));
    }
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    assert_eq!(world.acknowledge_all(subscriber).len(), 100);
    for id in 1..=100 {
        world.pubrel(publisher, id);
    }
    world.settle_disk();
    let before = world.live_records();
    world.crash(1);
    assert!(world.live_records() <= before, "{} {before}", world.live_records());
}

/// [MQTT-4.3.3-4] [MQTT311-4.6.0-4] PUBREL keeps the order of PUBREC, also where one message came by a shared group.
#[test]
fn pubrels_keep_the_order_of_pubrecs() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.ask(subscriber, &[("t", at(2)), ("$share/g/u", at(2))], 0);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.publish(publisher, &message("u", "2").qos(2, 2));
    world.settle_disk();
    assert_eq!(world.take(subscriber), ["SUBACK #1 [02, 02]", "PUBLISH t=1 q2 #1", "PUBLISH u=2 q2 #2"]);
    world.hold_disk();
    world.pubrec(subscriber, 1);
    world.pubrec(subscriber, 2);
    world.store();
    assert_eq!(world.take(subscriber), ["PUBREL #1", "PUBREL #2"]);
}

/// Messages of a group whose last member ended just before a crash concern nobody.
#[test]
fn a_group_without_members_keeps_no_messages() {
    let mut world = World::durable(2);
    let (client, share) = (world.client_on(0, 0), world.share_on(1, "t"));
    let member = world.enter(&hello(V5, &client).lasting(1000));
    world.subscribe(member, &format!("$share/{share}/t"), 1);
    world.lose(member);
    world.settle_disk();
    let before = world.live_records();
    let publisher = world.connect(V5, "p");
    for id in 1..=100 {
        world.publish(publisher, &message("t", "x").qos(1, id));
    }
    let member = world.enter(&hello(V5, &client).lasting(1000));
    world.settle_disk();
    world.carry_by_hand();
    world.leave_with(member, 0, Some(0));
    world.settle_disk();
    world.forget_mail();
    world.crash(2);
    for number in 0..2 {
        let name = world.client_on(number, 5);
        let _other = world.dial_at(number, V5);
        world.connect(V5, &name);
    }
    world.settle_disk();
    assert!(world.live_records() <= before + 10, "{} {before}", world.live_records());
}

/// [MQTT-3.1.2-8] A Will is not forgotten before it is safe in every shard that it goes to.
#[test]
fn a_will_on_its_way_to_another_shard_is_not_lost() {
    let mut world = World::durable(2);
    let (near, far) = (world.client_on(0, 0), world.client_on(1, 0));
    let subscriber = world.enter(&hello(V5, &far).lasting(1000));
    world.subscribe(subscriber, "w", 1);
    world.lose(subscriber);
    let client = world.enter(&hello(V5, &near).lasting(1000).will(message("w", "will").qos(1, 0)));
    world.settle_disk();
    world.carry_by_hand();
    world.lose(client);
    world.settle_disk();
    world.forget_mail();
    world.crash(2);
    world.seconds(1);
    let subscriber = world.enter(&hello(V5, &far).lasting(1000));
    assert_eq!(world.acknowledge_all(subscriber), ["will"]);
}

/// A Client on shard 0 with a Will that somebody on shard 1 waits for, who is away. With a checkpoint after every batch, or with none.
fn with_will(checkpoints: bool) -> (World, Link, [String; 2]) {
    let mut world = World::durable_with(2, |settings| {
        let often = CheckpointRules { controls_minimum: 1, controls_per_session: 0 };
        settings.checkpoints = if checkpoints { often } else { settings.checkpoints };
    });
    let (near, far) = (world.client_on(0, 0), world.client_on(1, 0));
    let subscriber = world.enter(&hello(V5, &far).lasting(1000));
    world.subscribe(subscriber, "w", 1);
    world.lose(subscriber);
    let client = world.enter(&hello(V5, &near).lasting(1000).will(message("w", "will").qos(1, 0)));
    world.settle_disk();
    (world, client, [near, far])
}

/// [MQTT-3.1.2-8] Nor where its Session ends with it, and the process before the other shard has it.
#[test]
fn a_will_outlives_the_session_that_left_it() {
    for checkpoints in [false, true] {
        let (mut world, client, [_, far]) = with_will(checkpoints);
        world.carry_by_hand();
        world.leave_with(client, 4, Some(0));
        world.settle_disk();
        world.forget_mail();
        world.crash(2);
        // What was found is sent again, which the end of the process may undo as well.
        world.settle_disk();
        world.forget_mail();
        world.crash(1);
        world.seconds(1);
        let subscriber = world.enter(&hello(V5, &far).lasting(1000));
        assert_eq!(world.acknowledge_all(subscriber), ["will"]);
        world.settle_disk();
        world.crash(2);
        let subscriber = world.enter(&hello(V5, &far).lasting(1000));
        assert_eq!(world.acknowledge_all(subscriber), NOTHING, "it was safe, and is not sent once more");
    }
}

/// [MQTT-3.1.2-8] Nor where its Client is back at once, with another Will.
#[test]
fn a_will_on_its_way_is_not_lost_because_its_client_is_back() {
    for checkpoints in [false, true] {
        let (mut world, client, [near, far]) = with_will(checkpoints);
        world.carry_by_hand();
        world.lose(client);
        // Its CONNACK stands behind the Will, but what the journal has of it does not.
        world.knock(&hello(V5, &near).lasting(1000).resume().will(message("w", "next").qos(1, 0).delay(500)));
        world.settle_disk();
        world.forget_mail();
        world.crash(2);
        world.seconds(1);
        let subscriber = world.enter(&hello(V5, &far).lasting(1000));
        assert_eq!(world.acknowledge_all(subscriber), ["will"]);
    }
}

/// [MQTT-4.4.0-1] After a restart nobody knows whether a message was sent, and it may expire; once it was sent again, that is known,
/// and it comes on every connection until it is acknowledged.
#[test]
fn what_is_sent_after_a_restart_does_not_expire_any_more() {
    let mut world = World::durable(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1").qos(1, 1).expiry(10));
    world.settle_disk();
    world.crash(1);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q1 #1 dup [expiry=10]"]);
    world.lose(subscriber);
    world.seconds(20);
    let subscriber = world.enter(&hello(V5, "s").lasting(1000));
    assert_eq!(world.take(subscriber).len(), 1);
}

/// A message that no log takes is refused, and holds up no other.
#[test]
fn a_message_that_is_too_large_for_the_journal_is_refused() {
    let huge = || message("t", "x".repeat(15 * 1024 * 1024));
    let mut world = World::durable_with(1, |settings| {
        settings.limits.maximum_packet_size = std::num::NonZeroU32::new(32 * 1024 * 1024).unwrap();
    });
    let subscriber = world.enter(&hello(V5, "s").lasting(60));
    world.subscribe(subscriber, "t", 1);
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &huge().qos(1, 1));
    world.publish(publisher, &huge().retain());
    world.publish(publisher, &message("t", "small").qos(1, 2));
    assert_eq!(world.acknowledge_all(subscriber), ["small"]);
    assert_eq!(world.take(publisher), ["PUBACK #1 97", "PUBACK #2"]);
}
