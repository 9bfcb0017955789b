//! QoS 0 and QoS 1: one answer for each, at least one delivery.

use dunlin_tests::request::{self, PUBACK, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, everywhere, on_shards};

use Version::{V5, V311};

/// [MQTT-3.3.4-1] [MQTT-4.3.1-1] [MQTT-2.2.1-2] [MQTT311-3.3.4-1] [MQTT311-4.3.1-1] [MQTT311-2.3.1-5]
#[test]
fn a_qos_0_message_is_delivered_and_not_answered() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.send(Publish::new("a", "m").bytes(version));
        publisher.ping();
        let publish = subscriber.expect_publish("a", "m");
        assert_eq!((publish.qos, publish.dup, publish.retain), (0, false, false));
    });
}

/// [MQTT-4.3.2-4] [MQTT-2.2.1-5] [MQTT311-4.3.2-2] [MQTT311-2.3.1-6] Raw bytes: PUBACK is four bytes long.
#[test]
fn a_qos_1_message_is_answered_with_its_identifier() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V311, "p");
        let mut subscriber = broker.connect(V311, "s");
        subscriber.subscribe("a", 1);
        for id in [1_u16, 2, 255, 256, 0x1234, u16::MAX] {
            publisher.send(Publish::new("a", "m").qos(1, id).bytes(V311));
            let [high, low] = id.to_be_bytes();
            publisher.expect([0x40, 2, high, low]);
            subscriber.take("a", "m");
        }
    });
}

/// [MQTT-3.4.2-1] Success may be told by two bytes; 0x10 tells that nobody subscribes.
#[test]
fn a_puback_of_5_0_says_success_or_no_matching_subscribers() {
    on_shards(|broker| {
        let mut publisher = broker.connect(V5, "p");
        let nobody = publisher.publish(&Publish::new("a", "m").qos(1, 1));
        assert!([0x00, 0x10].contains(&nobody), "{nobody:#04x}");

        let mut subscriber = broker.connect(V5, "s");
        subscriber.subscribe("a", 0);
        assert_eq!(publisher.publish(&Publish::new("a", "m").qos(1, 2)), 0x00, "after a real match");
        subscriber.expect_publish("a", "m");
        let none = publisher.publish(&Publish::new("b", "m").qos(1, 3));
        assert!([0x00, 0x10].contains(&none), "{none:#04x}");
    });
}

/// [MQTT-3.8.4-8] [MQTT311-3.8.4-6] All nine pairs.
#[test]
fn delivery_has_the_lower_of_published_and_granted_qos() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        for granted in 0..3 {
            let id = format!("s{granted}");
            let mut subscriber = broker.connect(version, &id);
            assert_eq!(subscriber.subscribe(&id, granted), granted);
            for published in 0..3_u8 {
                publisher.publish(&Publish::new(&id, "m").qos(published, 7));
                assert_eq!(subscriber.take(&id, "m").qos, published.min(granted));
            }
        }
    });
}

/// [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-2.2.1-4] [MQTT311-4.3.2-1] [MQTT311-2.3.1-4]
#[test]
fn unacknowledged_messages_have_different_identifiers() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        for number in 1..=15 {
            publisher.publish(&Publish::new("a", "m").qos(1, number));
        }
        let mut ids: Vec<u16> = (0..15).map(|_| subscriber.expect_publish("a", "m").id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 15);
    });
}

/// [MQTT-4.4.0-1] [MQTT311-4.4.0-1] Only a reconnection brings a retransmission: silence does not.
#[test]
fn an_unacknowledged_message_is_not_sent_again_on_the_same_connection() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 1));
        subscriber.expect_publish("a", "m");
        broker.pass_a_moment();
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.3.1-3] [MQTT-3.3.1-1] [MQTT311-3.3.1-3]
#[test]
fn the_publishers_dup_flag_is_not_passed_on() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 2);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "one").qos(1, 1).dup());
        publisher.publish(&Publish::new("a", "two").qos(2, 2).dup());
        assert!(!subscriber.take("a", "one").dup);
        assert!(!subscriber.take("a", "two").dup);
    });
}

/// [MQTT-4.3.2-5] [MQTT311-4.3.2-2] After its PUBACK an identifier is free, whatever DUP says.
#[test]
fn a_reused_identifier_is_a_new_message() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 5));
        publisher.publish(&Publish::new("a", "m").qos(1, 5));
        publisher.publish(&Publish::new("a", "m").qos(1, 5).dup());
        for _ in 0..3 {
            subscriber.take("a", "m");
        }
        subscriber.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-4.6.0-2] [MQTT311-4.6.0-2] Answers come in the order of what they answer.
#[test]
fn pubacks_come_in_the_order_of_their_messages() {
    everywhere(|broker, version| {
        let mut watcher = broker.connect(version, "s");
        watcher.subscribe("b/#", 0);
        let mut publisher = broker.connect(version, "p");
        let ids = [9_u16, 3, 500, 1, 77, 40_000, 2];
        let all: Vec<u8> = ids
            .iter()
            .flat_map(|id| {
                Publish::new(if id % 2 == 0 { "a" } else { "b/c" }, "m").qos(1, *id).bytes(version)
            })
            .collect();
        publisher.send(all);
        for id in ids {
            publisher.expect_ack(PUBACK, id);
        }
    });
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]
#[test]
fn messages_of_one_publisher_keep_their_order_for_every_subscriber() {
    everywhere(|broker, version| {
        let mut subscribers: Vec<_> =
            (0..6).map(|number| broker.connect(version, &format!("s{number}"))).collect();
        for (number, subscriber) in subscribers.iter_mut().enumerate() {
            subscriber.subscribe("a/#", u8::from(number % 2 == 0));
        }
        let mut publisher = broker.connect(version, "p");
        for number in 1..=200_u16 {
            publisher.send(Publish::new("a/b", number.to_string()).qos(1, number).bytes(version));
        }
        for number in 1..=200 {
            publisher.expect_ack(PUBACK, number);
        }
        for subscriber in &mut subscribers {
            for (publish, number) in subscriber.take_all(200).iter().zip(1..) {
                assert_eq!(publish.text(), number.to_string());
            }
        }
    });
}

/// [MQTT-4.5.0-1] [MQTT311-4.5.0-1] Everybody who subscribes gets it, the publisher too.
#[test]
fn a_message_reaches_every_matching_subscriber_once() {
    everywhere(|broker, version| {
        let filters = ["a/b", "a/+", "a/#", "#", "+/b", "+/+", "a/b/#"];
        let mut subscribers: Vec<_> = filters
            .iter()
            .enumerate()
            .map(|(number, filter)| {
                let mut subscriber = broker.connect(version, &format!("s{number}"));
                subscriber.subscribe(filter, 1);
                subscriber
            })
            .collect();
        let mut publisher = broker.connect(version, "p");
        publisher.subscribe("a/b", 0);
        for payload in ["first", "second"] {
            publisher.send(Publish::new("a/b", payload).bytes(version));
            publisher.expect_publish("a/b", payload);
            for subscriber in &mut subscribers {
                subscriber.take("a/b", payload);
            }
        }
    });
}

/// [MQTT-3.3.2-3] [MQTT-4.7.3-4] [MQTT311-3.3.2-3] [MQTT311-4.7.3-4]
#[test]
fn topics_are_compared_character_by_character() {
    everywhere(|broker, version| {
        let mut subscriber = broker.connect(version, "s");
        for filter in ["Case", "/lead", "trail/", "a//b", "space here", "e\u{301}"] {
            subscriber.subscribe(filter, 0);
        }
        let mut publisher = broker.connect(version, "p");
        for other in ["case", "lead", "trail", "a/b", "spacehere", "\u{e9}", "/", "Case/"] {
            publisher.publish(&Publish::new(other, "other"));
        }
        for same in ["Case", "/lead", "trail/", "a//b", "space here", "e\u{301}"] {
            publisher.publish(&Publish::new(same, "same"));
            subscriber.expect_publish(same, "same");
        }
    });
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
#[test]
fn wildcards_match_as_the_specification_shows() {
    everywhere(|broker, version| {
        let mut publisher = broker.connect(version, "p");
        for (number, (filter, matching, other)) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", "sport/tennis/player2"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", "sport/tennis"),
            ("sport/#", "sport", "sports"),
            ("#", "sport", "$sport"),
            ("sport/tennis/+", "sport/tennis/player1", "sport/tennis/player1/ranking"),
            ("sport/+", "sport/", "sport"),
            ("+/+", "/finance", "finance"),
            ("/+", "/finance", "finance"),
            ("+/tennis/#", "a/tennis", "a/b/tennis"),
            ("+", "finance", "/finance"),
            ("+/+/+", "//", "/"),
            ("a/+/c", "a//c", "a/c"),
        ]
        .into_iter()
        .enumerate()
        {
            let mut subscriber = broker.connect(version, &format!("s{number}"));
            subscriber.subscribe(filter, 0);
            publisher.publish(&Publish::new(other, "other"));
            publisher.publish(&Publish::new(matching, filter));
            subscriber.expect_publish(matching, filter);
        }
    });
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2]
/// [MQTT311-3.10.4-4] [MQTT311-3.10.4-5]
#[test]
fn unsubscribe_ends_exactly_the_named_subscription() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        let mut publisher = broker.connect(version, "p");
        client.subscribe("a/+", 1);
        client.subscribe("a/b", 1);
        client.unsubscribe("a/#");
        client.unsubscribe("a/b");
        publisher.publish(&Publish::new("a/b", "still").qos(1, 1));
        client.take("a/b", "still");
        client.unsubscribe("a/+");
        publisher.publish(&Publish::new("a/b", "over").qos(1, 2));
        client.expect_nothing_from(&mut publisher);
        if version == V5 {
            client.subscribe("x", 0);
            assert_eq!(client.unsubscribe("x"), 0x00);
            assert_eq!(client.unsubscribe("x"), 0x11);
        }
    });
}

/// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-2.2.1-6]
/// [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1] [MQTT311-3.10.4-6] [MQTT311-2.3.1-7]
#[test]
fn several_filters_in_one_packet_get_one_answer_in_their_order() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        client.send(
            Subscribe::new(0xabcd).filter("a", 2).filter("b", 0).filter("c", 1).filter("a", 1).bytes(version),
        );
        assert_eq!(client.expect_suback(0xabcd), [2, 0, 1, 1]);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "x").qos(2, 1));
        assert_eq!(client.take("a", "x").qos, 1, "the later of two equal filters replaces the earlier");

        client.send(request::unsubscribe(version, 0xdcba, &["c", "none", "a"]));
        let codes = client.expect_unsuback(0xdcba);
        assert_eq!(codes, if version == V5 { vec![0, 0x11, 0] } else { vec![] });
    });
}

/// [MQTT-3.8.4-3] [MQTT311-3.8.4-3]
#[test]
fn subscribing_again_replaces_the_qos() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        let mut publisher = broker.connect(version, "p");
        for (number, qos) in (1..).zip([2, 0, 1]) {
            assert_eq!(client.subscribe("a/#", qos), qos);
            publisher.publish(&Publish::new("a", "m").qos(2, number));
            assert_eq!(client.take("a", "m").qos, qos);
        }
        client.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.3.4-2] [MQTT311-3.3.5-1]
#[test]
fn overlapping_subscriptions_deliver_at_the_highest_qos() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        client.subscribe("a/+", 0);
        client.subscribe("a/#", 2);
        client.subscribe("a/b", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a/b", "m").qos(2, 1));
        assert_eq!(client.take("a/b", "m").qos, 2);
        client.expect_nothing_from(&mut publisher);
    });
}

/// [MQTT-3.10.4-3] [MQTT311-3.10.4-3] What was begun is completed.
#[test]
fn a_delivery_that_was_begun_is_completed_after_unsubscribe() {
    everywhere(|broker, version| {
        let lasting = Connect::new(version, "s").lasting(100);
        let mut client = broker.connect_with(&lasting);
        client.subscribe("a", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("a", "m").qos(1, 1));
        let first = client.expect_publish("a", "m");
        client.unsubscribe("a");
        client.cut();
        let mut back = broker.connect_with(&lasting);
        let again = back.take("a", "m");
        assert_eq!((again.id, again.dup), (first.id, true));
    });
}

/// [MQTT-4.13.1-1] An acknowledgement of nothing harms nobody.
#[test]
fn a_puback_for_an_unknown_identifier_is_ignored() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        client.ack(PUBACK, 4711);
        client.ping();
    });
}

/// [MQTT-3.12.4-1] [MQTT311-3.12.4-1]
#[test]
fn each_pingreq_gets_its_pingresp() {
    everywhere(|broker, version| {
        let mut client = broker.connect(version, "s");
        client.send(request::PINGREQ.repeat(3));
        client.expect(request::PINGRESP.repeat(3));
    });
}

/// [MQTT-3.14.4-2] [MQTT311-3.14.4-1] Nothing behind a DISCONNECT counts.
#[test]
fn nothing_behind_a_disconnect_is_processed() {
    everywhere(|broker, version| {
        let mut watcher = broker.connect(version, "w");
        watcher.subscribe("#", 0);
        let mut client = broker.connect(version, "s");
        client.send([&request::DISCONNECT[..], &Publish::new("late", "x").bytes(version)].concat());
        assert_eq!(client.rest(), b"");
        watcher.expect_nothing_from(&mut broker.connect(version, "p"));
    });
}

/// [MQTT-3.3.4-1] [MQTT311-3.3.4-1] A megabyte is one message like any other.
#[test]
fn a_megabyte_arrives_whole() {
    everywhere(|broker, version| {
        let payload: Vec<u8> = (0..1_u32 << 20).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("big", 1);
        let mut publisher = broker.connect(version, "p");
        publisher.publish(&Publish::new("big", &payload).qos(1, 1));
        let publish = subscriber.expect_any_publish();
        assert!(publish.payload == payload, "{publish:?}");
    });
}

/// [MQTT-3.3.1-2] [MQTT311-3.3.1-2] DUP with QoS 0 is a fault of the sender; it must not multiply.
#[test]
fn dup_with_qos_0_is_refused_or_passed_on_without_dup() {
    let broker = Broker::start(&[]);
    for version in [V311, V5] {
        let mut subscriber = broker.connect(version, "s");
        subscriber.subscribe("a", 0);
        let mut publisher = broker.connect(version, "p");
        publisher.send(Publish::new("a", "m").dup().bytes(version));
        publisher.send_anyway(request::PINGREQ);
        if publisher.packet_or_end() == Some(Packet::PingResp) {
            assert!(!subscriber.expect_publish("a", "m").dup);
        } else {
            subscriber.expect_nothing_from(&mut broker.connect(version, "q"));
        }
    }
}
