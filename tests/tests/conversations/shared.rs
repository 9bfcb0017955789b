//! Shared subscriptions: each message to one member, and none stranded in a dead one.

use std::collections::BTreeMap;

use dunlin_tests::request::{self, PUBACK, PUBREC, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, Wire, everywhere, on_shards, prop};

use Version::{V5, V311};

fn members(broker: &Broker, version: Version, count: usize, filter: &str, qos: u8) -> Vec<Wire> {
    let join = |number| {
        let mut member = broker.connect(version, &format!("member{number}"));
        assert_eq!(member.subscribe(filter, qos), qos);
        member
    };
    (0..count).map(join).collect()
}

/// How often each payload was received once all members have seen their own marker.
fn harvest(members: &mut [Wire], publisher: &mut Wire) -> (BTreeMap<String, usize>, Vec<usize>) {
    let mut seen = BTreeMap::new();
    let mut shares = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        let marker = format!("end/{number}");
        member.send(Subscribe::new(9000).filter(&marker, 0).bytes(member.version()));
        let mut share = 0;
        loop {
            match member.packet() {
                Packet::SubAck(_) => drop(publisher.publish(&Publish::new(&marker, ""))),
                Packet::Publish(publish) if publish.topic == marker => break,
                Packet::Publish(publish) => {
                    if publish.qos == 1 {
                        member.ack(PUBACK, publish.id);
                    }
                    share += 1;
                    *seen.entry(publish.text()).or_default() += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        shares.push(share);
    }
    (seen, shares)
}

/// [MQTT-4.8.2-1] Each message goes to one member of the group.
#[test]
fn a_group_gets_each_message_once() {
    everywhere(|broker, version| {
        for qos in 0..2 {
            let mut members = members(broker, version, 4, "$share/g/a", qos);
            let mut publisher = broker.connect(version, "p");
            for number in 1..=40_u16 {
                publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
            }
            let (seen, shares) = harvest(&mut members, &mut publisher);
            assert_eq!(seen.len(), 40, "{shares:?}");
            assert!(seen.values().all(|count| *count == 1), "{seen:?}");
            assert!(shares.iter().all(|share| *share > 0), "everybody gets a share: {shares:?}");
        }
    });
}

/// [MQTT-4.8.2-1] Groups and plain subscriptions know nothing of each other.
#[test]
fn each_group_and_each_plain_subscription_gets_its_own_copy() {
    everywhere(|broker, version| {
        let mut plain = broker.connect(version, "plain");
        plain.subscribe("a/+", 1);
        let mut first = broker.connect(version, "first");
        first.subscribe("$share/g1/a/+", 1);
        let mut second = broker.connect(version, "second");
        second.subscribe("$share/g2/a/+", 1);
        let mut third = broker.connect(version, "third");
        third.subscribe("$share/g1/a/#", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a/b", "m").qos(1, 1));
        for client in [&mut plain, &mut first, &mut second, &mut third] {
            client.take("a/b", "m");
            client.expect_nothing_from(&mut publisher);
        }
    });
}

/// [MQTT-4.8.2-1] A Client in both gets both: its share, and its own copy.
#[test]
fn a_shared_and_a_plain_subscription_of_one_client_do_not_merge() {
    on_shards(|broker| {
        let mut client = broker.connect(V5, "both");
        client.subscribe("a", 0);
        client.subscribe("$share/g/a", 0);
        broker.connect(V5, "p").publish(&Publish::new("a", "m"));
        client.expect_publish("a", "m");
        client.expect_publish("a", "m");
        client.ping();
    });
}

/// [MQTT-3.3.1-9] Section 4.8.2: no retained messages at subscribing.
#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "old").qos(1, 1).retain());
        let mut member = broker.connect(version, "member");
        member.subscribe("$share/g/a", 1);
        member.expect_nothing_from(&mut publisher);
        publisher.publish(&Publish::new("a", "new").qos(1, 2).retain());
        assert!(!member.take("a", "new").retain);
    });
}

/// [MQTT-4.8.2-3]
#[test]
fn each_member_gets_the_qos_it_was_granted() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        for granted in 0..3 {
            let mut member = broker.connect(V5, &format!("member{granted}"));
            member.subscribe("$share/g/a", granted);
            for published in 0..3_u8 {
                publisher.publish(&Publish::new("a", "m").qos(published, 5));
                assert_eq!(member.take("a", "m").qos, published.min(granted));
            }
            member.disconnect();
        }
    });
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.13.1-1]
#[test]
fn ill_formed_share_names_are_refused() {
    let broker = Broker::start(&[]);
    for filter in [
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/g+/a",
        "$share/g#/a",
        "$share/+/a",
        "$share/#",
        "$share/",
        "$share/g/a#",
    ] {
        let mut client = broker.connect(V5, "x");
        client.send(Subscribe::new(1).filter(filter, 0).bytes(V5));
        match client.packet() {
            Packet::SubAck(suback) => assert_eq!(suback.codes, [0x8f], "{filter}"),
            Packet::Disconnect(code, _) => {
                assert!([0x81, 0x82, 0x8f].contains(&code), "{filter}: {code:#04x}");
                client.expect_closed();
            }
            other => panic!("{filter}: {other:?}"),
        }
    }
}

/// [MQTT-4.8.2-2] `$share` alone is an ordinary topic; so is what only begins like it.
#[test]
fn only_the_exact_prefix_shares() {
    on_shards(|broker| {
        let mut first = broker.connect(V5, "first");
        let mut second = broker.connect(V5, "second");
        for client in [&mut first, &mut second] {
            client.subscribe("$shared/g/a", 0);
            client.subscribe("share/g/a", 0);
        }
        let mut publisher = broker.connect(V5, "p");
        publisher.publish(&Publish::new("share/g/a", "m"));
        first.expect_publish("share/g/a", "m");
        second.expect_publish("share/g/a", "m");
    });
}

/// [MQTT-3.10.4-1] Leaving names the whole filter.
#[test]
fn a_member_leaves_by_the_whole_filter() {
    everywhere(|broker, version| {
        let mut members = members(broker, version, 2, "$share/g/a", 1);
        assert_eq!(members[0].unsubscribe("a"), if version == V5 { 0x11 } else { 0 });
        members[0].unsubscribe("$share/g/a");
        let mut publisher = broker.connect(version, "p");
        for number in 1..=6_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
            members[1].take("a", &number.to_string());
        }
        members[0].expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.8.2-3] Who is not there gets nothing while another is.
#[test]
fn a_member_that_is_away_is_passed_over() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "away").lasting(100);
        let mut away = broker.connect_with(&lasting);
        away.subscribe("$share/g/a", 1);
        let mut there = broker.connect(version, "there");
        there.subscribe("$share/g/a", 1);
        away.disconnect();
        let mut publisher = broker.connect(version, "p");
        for number in 1..=10_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
            there.take("a", &number.to_string());
        }
        broker.connect_with(&lasting).expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.5.0-1] When all members are away, their Sessions keep the message.
#[test]
fn a_group_whose_members_are_all_away_loses_nothing() {
    everywhere(|broker, version| {
        let lasting = |id: &str| Connect::new(version, id).lasting(100);
        for id in ["m1", "m2"] {
            let mut member = broker.connect_with(&lasting(id));
            member.subscribe("$share/g/a", 1);
            member.disconnect();
        }
        let mut publisher = broker.connect(version, "p");
        for number in 1..=10_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
        }
        let mut back = [broker.connect_with(&lasting("m1")), broker.connect_with(&lasting("m2"))];
        let (seen, shares) = harvest(&mut back, &mut publisher);
        assert_eq!((seen.len(), seen.values().sum::<usize>()), (10, 10), "{shares:?} {seen:?}");
    });
}

/// [MQTT-4.8.2-4] Section 4.8.2: QoS 1 that a dead member did not acknowledge goes to another.
#[test]
fn qos_1_in_flight_goes_to_another_member_when_its_own_dies() {
    everywhere(|broker, version| {
        let mut dying = broker.connect(version, "dying");
        dying.subscribe("$share/g/a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 1));
        dying.expect_publish("a", "m");
        let mut heir = broker.connect(version, "heir");
        heir.subscribe("$share/g/a", 1);
        dying.cut();
        heir.take("a", "m");
    });
}

/// [MQTT-4.8.2-4] Section 4.8.2: what a dead member had not even been sent goes to another, too.
#[test]
fn qos_1_queued_for_a_dead_member_goes_to_another() {
    on_shards(|broker| {
        let narrow = Connect::new(V5, "dying").property(&prop::u16(prop::RECEIVE_MAXIMUM, 1));
        let mut dying = broker.connect_with(&narrow);
        dying.subscribe("$share/g/a", 1);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=5_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
        }
        dying.expect_publish("a", "1");
        let mut heir = broker.connect(V5, "heir");
        heir.send(Subscribe::new(7).filter("$share/g/a", 1).bytes(V5));
        // What waited in the group may come before the SUBACK (3.8.4).
        let mut inherited = Vec::new();
        loop {
            match heir.packet() {
                Packet::Publish(publish) => {
                    heir.ack(PUBACK, publish.id);
                    inherited.push(publish.text());
                }
                Packet::SubAck(codes) => break assert_eq!(codes.codes, [1]),
                other => panic!("expected PUBLISH or SUBACK, got {other:?}"),
            }
        }
        dying.cut();
        let rest = heir.take_all(5 - inherited.len());
        inherited.extend(rest.iter().map(|publish| publish.text()));
        inherited.sort();
        assert_eq!(inherited, ["1", "2", "3", "4", "5"]);
    });
}

/// [MQTT-4.8.2-4] QoS 2 in flight waits for its member.
#[test]
fn qos_2_in_flight_waits_for_its_member() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "member").lasting(100);
        let mut member = broker.connect_with(&lasting);
        member.subscribe("$share/g/a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let sent = member.expect_publish("a", "m");
        let mut other = broker.connect(version, "other");
        other.subscribe("$share/g/a", 2);
        member.cut();
        other.expect_nothing_from(&mut publisher);
        let again = broker.connect_with(&lasting).take("a", "m");
        assert_eq!((again.id, again.dup), (sent.id, true));
        other.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.8.2-5] If its member's Session ends, QoS 2 in flight goes to nobody.
#[test]
fn qos_2_in_flight_goes_to_nobody_when_its_session_ends() {
    everywhere(|broker, version| {
        let mut member = broker.connect(version, "member");
        member.subscribe("$share/g/a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(2, 1));
        let sent = member.expect_publish("a", "m");
        member.ack(PUBREC, sent.id);
        member.expect_ack(request::PUBREL, sent.id);
        let mut other = broker.connect(version, "other");
        other.subscribe("$share/g/a", 2);
        member.disconnect();
        other.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.8.2-6]
#[test]
fn a_negative_acknowledgement_discards_the_message() {
    on_shards(|broker| {
        for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
            let mut member = broker.connect(V5, "member");
            member.subscribe("$share/g/a", qos);
            let mut publisher = broker.connect(V5, "p");
            publisher.publish(&Publish::new("a", "m").qos(qos, 1));
            let sent = member.expect_publish("a", "m");
            let mut other = broker.connect(V5, "other");
            other.subscribe("$share/g/a", qos);
            member.send(request::ack_with(first, sent.id, 0x83));
            member.ping();
            member.cut();
            other.expect_nothing_from(&mut publisher);
            other.disconnect();
        }
    });
}

/// [MQTT-4.8.2-1] A member of 3.1.1 and one of 5.0 share a group.
#[test]
fn members_of_different_versions_share() {
    on_shards(|broker| {
        let mut old = broker.connect(V311, "old");
        old.subscribe("$share/g/a", 1);
        let mut new = broker.connect(V5, "new");
        new.subscribe("$share/g/a", 1);
        let mut publisher = broker.connect(V5, "p");
        for number in 1..=10_u16 {
            publisher.publish(&Publish::new("a", number.to_string()).qos(1, number));
        }
        let (seen, shares) = harvest(&mut [old, new], &mut publisher);
        assert_eq!((seen.len(), seen.values().sum::<usize>()), (10, 10), "{shares:?}");
    });
}

/// [MQTT-4.7.1-1] [MQTT-4.7.2-1] A shared filter may have wildcards; `$` topics stay hidden from them.
#[test]
fn a_shared_filter_follows_the_wildcard_rules() {
    everywhere(|broker, version| {
        let mut member = broker.connect(version, "member");
        member.subscribe("$share/g/#", 0);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("$hidden/a", "hidden"));
        publisher.publish(&Publish::new("x/y", "seen"));
        member.expect_publish("x/y", "seen");
    });
}
