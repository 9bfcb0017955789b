//! Shared Subscriptions: each message to one member, and to another where that one cannot take it.

use std::collections::BTreeMap;

use dunlin_codec::{Packet, SubscriptionOptions};
use dunlin_engine::Drop;

use crate::hello::{at, hello, message};
use crate::world::{Link, V5, V311, World};

const NOTHING: [&str; 0] = [];

/// Members `m0`, `m1`, … whose Sessions last, on as many shards as there are.
fn group(shards: usize, members: usize, qos: u8) -> (World, Vec<Link>, Link) {
    let mut world = World::sharded(shards);
    let links: Vec<Link> = (0..members)
        .map(|number| {
            let link = world.enter(&hello(V5, &format!("m{number}")).lasting(100));
            world.subscribe(link, "$share/g/t", qos);
            link
        })
        .collect();
    let publisher = world.connect(V5, "p");
    (world, links, publisher)
}

fn publish(world: &mut World, publisher: Link, qos: u8, numbers: std::ops::RangeInclusive<u16>) {
    for number in numbers {
        world.publish(publisher, &message("t", number.to_string()).qos(qos, number));
    }
    world.take(publisher);
}

/// Section 4.8.2: each message goes to one member, in turn; other Subscriptions get their own copy.
#[test]
fn each_message_goes_to_one_member_in_turn() {
    for shards in [1, 2, 4] {
        for qos in 0..=2 {
            let (mut world, links, publisher) = group(shards, 3, qos);
            let other_group = world.connect(V311, "other");
            world.subscribe(other_group, "$share/h/t", qos);
            let plain = world.connect(V311, "plain");
            world.subscribe(plain, "t", qos);
            publish(&mut world, publisher, qos, 1..=9);
            let mut seen = BTreeMap::new();
            for link in links {
                let payloads = world.acknowledge_all(link);
                assert_eq!(payloads.len(), 3, "{shards} shards, QoS {qos}");
                for payload in payloads {
                    *seen.entry(payload).or_insert(0) += 1;
                }
            }
            assert!(seen.len() == 9 && seen.values().all(|count| *count == 1));
            assert_eq!(world.acknowledge_all(other_group).len(), 9);
            assert_eq!(world.acknowledge_all(plain).len(), 9);
        }
    }
}

/// [MQTT-4.8.2-3] The QoS and the options are those of the member that gets it.
#[test]
fn a_member_gets_the_qos_it_was_granted() {
    let (mut world, _, publisher) = group(1, 0, 0);
    let zero = world.connect(V5, "zero");
    let two = world.connect(V5, "two");
    world.subscribe_as(zero, "$share/g/t", SubscriptionOptions { retain_as_published: true, ..at(0) }, 5);
    world.subscribe_as(two, "$share/g/t", at(2), 0);
    for id in 1..=2 {
        world.publish(publisher, &message("t", "x").qos(1, id).retain());
    }
    assert_eq!(world.take(zero), ["PUBLISH t=x retain [subscription=5]"]);
    assert_eq!(world.take(two), ["PUBLISH t=x q1 #1"]);
}

/// [MQTT-3.8.3-4] No Local is not for sharing; one's own messages are dealt like others.
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let (mut world, links, _) = group(1, 1, 0);
    world.publish(links[0], &message("t", "own"));
    assert_eq!(world.take(links[0]), ["PUBLISH t=own"]);
    world.send_bytes(links[0], &[&[0x82, 16, 0, 1, 0, 0, 10], &b"$share/g/t"[..], &[0b100]].concat());
    assert_eq!(world.take(links[0]), ["DISCONNECT 82", "closed"]);
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2] What a group is: its name and its filter.
#[test]
fn groups_are_told_apart_by_name_and_filter() {
    let mut world = World::new();
    let client = world.connect(V311, "c");
    for filter in ["$share/g/a", "$share/g/+", "$share/h/a", "$share/h//x"] {
        world.subscribe(client, filter, 0);
    }
    let publisher = world.connect(V311, "p");
    world.publish(publisher, &message("a", "1"));
    assert_eq!(world.take(client), ["PUBLISH a=1"; 3]);
    world.publish(publisher, &message("/x", "2"));
    assert_eq!(world.take(client), ["PUBLISH /x=2"]);
    // Not well-formed: no name, a wildcard in it, or no filter.
    for filter in [&b"$share//a"[..], b"$share/+/a", b"$share/g", b"$share/g/"] {
        let client = world.connect(V5, "d");
        let length = u8::try_from(filter.len()).unwrap();
        world.send_bytes(client, &[&[0x82, length + 6, 0, 1, 0, 0, length], filter, &[0]].concat());
        assert_eq!(world.take(client).last().unwrap(), "closed");
    }
}

/// Section 4.8.2: QoS 1 that a lost member did not acknowledge goes to another, in its place in the order.
#[test]
fn qos_1_of_a_lost_member_goes_to_another() {
    for shards in [1, 3] {
        let (mut world, links, publisher) = group(shards, 2, 1);
        publish(&mut world, publisher, 1, 1..=6);
        let first = world.read(links[0]);
        assert_eq!(first.len(), 3);
        world.puback(links[0], first[0].publish().id);
        world.lose(links[0]);
        let mut payloads = world.acknowledge_all(links[1]);
        assert_eq!(payloads.len(), 5);
        payloads.sort();
        payloads.dedup();
        assert_eq!(payloads.len(), 5);
        // It comes back to nothing, and has its turn again.
        let back = world.enter(&hello(V5, "m0").lasting(100));
        assert_eq!(world.take(back), NOTHING);
        publish(&mut world, publisher, 1, 7..=8);
        assert_eq!(world.acknowledge_all(back).len(), 1);
    }
}

/// [MQTT-4.8.2-4] [MQTT-4.8.2-5] QoS 2 under way waits for its member, and ends with the member's Session.
#[test]
fn qos_2_under_way_stays_with_its_member() {
    for shards in [1, 3] {
        for comes_back in [true, false] {
            let (mut world, links, publisher) = group(shards, 2, 2);
            publish(&mut world, publisher, 2, 1..=4);
            let got = world.read(links[0]);
            assert_eq!(got.len(), 2);
            world.pubrec(links[0], got[0].publish().id);
            world.lose(links[0]);
            assert_eq!(world.acknowledge_all(links[1]).len(), 2, "only its own");
            if comes_back {
                let back = world.enter(&hello(V5, "m0").lasting(100));
                let second =
                    format!("PUBLISH t={} q2 #2 dup", String::from_utf8_lossy(&got[1].publish().payload));
                assert_eq!(world.take(back), ["PUBREL #1".to_owned(), second]);
            } else {
                world.seconds(100);
                assert_eq!(world.dropped(Drop::MemberLost), 2);
            }
            assert_eq!(world.take(links[1]), NOTHING);
        }
    }
}

/// [MQTT-4.8.2-6] Refused for good: no other member is asked.
#[test]
fn a_refused_message_goes_to_nobody_else() {
    for (qos, packet) in [(1, Packet::PubAck as fn(_) -> _), (2, Packet::PubRec)] {
        let (mut world, links, publisher) = group(2, 2, qos);
        publish(&mut world, publisher, qos, 1..=2);
        world.read(links[1]);
        let id = world.read(links[0])[0].publish().id;
        world.acknowledge(links[0], packet, id, 0x83);
        assert_eq!(world.take(links[1]), NOTHING);
        world.lose(links[0]);
        assert_eq!(world.take(links[1]), NOTHING);
    }
}

/// Nobody is there: QoS 1 and 2 wait for the first who comes, whether it was a member before or not.
#[test]
fn messages_wait_for_a_member() {
    for shards in [1, 3] {
        for newcomer in ["m0", "m1", "n"] {
            let (mut world, links, publisher) = group(shards, 2, 1);
            links.into_iter().for_each(|link| world.lose(link));
            publish(&mut world, publisher, 1, 1..=4);
            publish(&mut world, publisher, 0, 5..=6);
            let link = world.enter(&hello(V5, newcomer).lasting(100));
            if newcomer == "n" {
                world.ask(link, &[("$share/g/t", at(1))], 0);
            }
            assert_eq!(world.acknowledge_all(link), ["1", "2", "3", "4"], "{newcomer}");
        }
    }
}

/// A member whose window is spent is passed over.
#[test]
fn a_member_without_room_is_passed_over() {
    for shards in [1, 2] {
        let (mut world, links, publisher) = group(shards, 1, 1);
        let narrow = world.enter(&hello(V5, "narrow").receive_maximum(2));
        world.subscribe(narrow, "$share/g/t", 1);
        publish(&mut world, publisher, 1, 1..=20);
        assert_eq!(world.read(narrow).len(), 2);
        assert_eq!(world.acknowledge_all(links[0]).len(), 18);
    }
}

/// What it was sent stays with it; what follows goes to others.
#[test]
fn a_member_that_unsubscribes_gets_nothing_more() {
    for shards in [1, 2] {
        let (mut world, links, publisher) = group(shards, 2, 1);
        publish(&mut world, publisher, 1, 1..=2);
        assert_eq!(world.read(links[0]).len(), 1);
        world.unsubscribe(links[0], &["$share/g/t"]);
        world.take(links[0]);
        world.acknowledge_all(links[1]);
        publish(&mut world, publisher, 1, 3..=6);
        assert_eq!(world.take(links[0]), NOTHING);
        assert_eq!(world.acknowledge_all(links[1]).len(), 4);
        // The last one goes: nobody subscribes any more.
        world.unsubscribe(links[1], &["$share/g/t"]);
        world.publish(publisher, &message("t", "7").qos(1, 7));
        assert_eq!(world.take(publisher), ["PUBACK #7 10"]);
    }
}

/// What waits too long is not dealt [MQTT-3.3.2-5].
#[test]
fn a_message_expires_while_it_waits_for_a_member() {
    let (mut world, links, publisher) = group(1, 1, 1);
    world.lose(links[0]);
    world.publish(publisher, &message("t", "1").qos(1, 1).expiry(5));
    world.publish(publisher, &message("t", "2").qos(1, 2));
    world.seconds(5);
    let link = world.enter(&hello(V5, "m0").lasting(100));
    assert_eq!(world.acknowledge_all(link), ["2"]);
    assert_eq!(world.dropped(Drop::Expired), 1);
}
