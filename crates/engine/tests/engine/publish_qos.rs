//! The three qualities of service, from a publisher through the Server to a subscriber.

use dunlin_codec::{Packet, Property};

use crate::got::Got;
use crate::hello::{hello, message};
use crate::world::{Link, V5, V31, V311, World};

const NOTHING: [&str; 0] = [];

fn pair(version: dunlin_codec::ProtocolVersion, qos: u8) -> (World, Link, Link) {
    let mut world = World::new();
    let publisher = world.enter(&hello(version, "p").lasting(60));
    let subscriber = world.enter(&hello(version, "s").lasting(60));
    world.subscribe(subscriber, "t", qos);
    (world, publisher, subscriber)
}

/// [MQTT-4.3.1-1] [MQTT-3.3.4-1] [MQTT-2.2.1-2] [MQTT311-4.3.1-1] [MQTT311-3.3.4-1] QoS 0: delivered once, answered never.
#[test]
fn qos_0_has_no_answer_no_identifier_and_no_dup() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 2);
        world.publish(publisher, &message("t", "1"));
        assert_eq!(world.take(publisher), NOTHING);
        assert_eq!(world.take(subscriber), ["PUBLISH t=1"]);
    }
}

/// [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-4] [MQTT-2.2.1-4] [MQTT-2.2.1-5] [MQTT311-4.3.2-1] [MQTT311-4.3.2-2]
/// [MQTT311-2.3.1-4] [MQTT311-2.3.1-6] The publisher's identifier comes back; the subscriber sees one of the Server's.
#[test]
fn qos_1_is_acknowledged_and_delivered_with_an_identifier_of_its_own() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 1);
        for id in [7, 65_535, 1] {
            world.publish(publisher, &message("t", "x").qos(1, id));
            assert_eq!(world.take(publisher), [format!("PUBACK #{id}")]);
        }
        assert_eq!(world.take(subscriber), ["PUBLISH t=x q1 #1", "PUBLISH t=x q1 #2", "PUBLISH t=x q1 #3"]);
    }
}

/// [MQTT-4.3.2-5] After PUBACK its identifier may be used for a new message, which is delivered.
#[test]
fn an_identifier_is_free_after_its_puback() {
    let (mut world, publisher, subscriber) = pair(V5, 0);
    world.publish(publisher, &message("t", "1").qos(1, 7));
    world.publish(publisher, &message("t", "2").qos(1, 7).dup());
    assert_eq!(world.take(publisher), ["PUBACK #7", "PUBACK #7"]);
    assert_eq!(world.take(subscriber), ["PUBLISH t=1", "PUBLISH t=2"]);
}

/// [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT311-4.3.3-2] [MQTT-2.2.1-5] The receiving half of QoS 2.
#[test]
fn qos_2_is_received_in_two_steps() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 0);
        world.publish(publisher, &message("t", "1").qos(2, 7));
        assert_eq!(world.take(publisher), ["PUBREC #7"]);
        assert_eq!(world.take(subscriber), ["PUBLISH t=1"]);
        world.pubrel(publisher, 7);
        assert_eq!(world.take(publisher), ["PUBCOMP #7"]);
    }
}

/// [MQTT-4.3.3-10] [MQTT311-4.3.3-2] Until PUBREL a repetition is answered again and delivered to nobody.
#[test]
fn a_repeated_qos_2_publish_is_answered_again_and_delivered_once() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 0);
        for _ in 0..3 {
            world.publish(publisher, &message("t", "1").qos(2, 7).dup());
        }
        assert_eq!(world.take(publisher), ["PUBREC #7"; 3]);
        assert_eq!(world.take(subscriber), ["PUBLISH t=1"]);

        // Also on another connection.
        world.lose(publisher);
        let publisher = world.enter(&hello(version, "p").lasting(60));
        world.publish(publisher, &message("t", "1").qos(2, 7).dup());
        world.pubrel(publisher, 7);
        assert_eq!(world.take(publisher), ["PUBREC #7", "PUBCOMP #7"]);
        assert_eq!(world.take(subscriber), NOTHING);
    }
}

/// [MQTT-4.3.3-12] After PUBREL the identifier means a new message, whatever DUP says.
#[test]
fn after_pubrel_the_identifier_is_a_new_message() {
    let (mut world, publisher, subscriber) = pair(V5, 0);
    world.publish(publisher, &message("t", "1").qos(2, 7));
    world.pubrel(publisher, 7);
    world.publish(publisher, &message("t", "2").qos(2, 7).dup());
    assert_eq!(world.take(publisher), ["PUBREC #7", "PUBCOMP #7", "PUBREC #7"]);
    assert_eq!(world.take(subscriber), ["PUBLISH t=1", "PUBLISH t=2"]);
}

/// [MQTT-4.3.3-9] A PUBREC of 0x80 or above ended the exchange: the identifier means a new message.
#[test]
fn after_a_failed_pubrec_the_identifier_is_a_new_message() {
    let (mut world, publisher, subscriber) = pair(V5, 0);
    world.publish(publisher, &message("$SYS/x", "1").qos(2, 7));
    world.publish(publisher, &message("t", "2").qos(2, 7));
    assert_eq!(world.take(publisher), ["PUBREC #7 87", "PUBREC #7"]);
    assert_eq!(world.take(subscriber), ["PUBLISH t=2"]);
}

/// [MQTT-4.3.3-13] The message has expired; the exchange goes on to its end.
#[test]
fn an_exchange_outlives_its_message() {
    let (mut world, publisher, _) = pair(V5, 0);
    world.publish(publisher, &message("t", "1").qos(2, 7).expiry(1));
    world.seconds(60);
    world.publish(publisher, &message("t", "1").qos(2, 7).expiry(1).dup());
    world.pubrel(publisher, 7);
    assert_eq!(world.take(publisher), ["PUBREC #7", "PUBREC #7", "PUBCOMP #7"]);
}

/// [MQTT-4.3.3-11] A PUBREL that was repeated, or that belongs to nothing, is answered all the same.
#[test]
fn pubrel_is_always_answered() {
    let (mut world, publisher, _) = pair(V5, 0);
    world.publish(publisher, &message("t", "1").qos(2, 7));
    for id in [7, 7, 8] {
        world.pubrel(publisher, id);
    }
    assert_eq!(world.take(publisher), ["PUBREC #7", "PUBCOMP #7", "PUBCOMP #7", "PUBCOMP #8"]);
}

/// [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-2.2.1-4] [MQTT311-4.3.3-1] The sending half of QoS 2.
#[test]
fn qos_2_is_delivered_in_two_steps() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 2);
        world.publish(publisher, &message("t", "1").qos(2, 7));
        assert_eq!(world.take(subscriber), ["PUBLISH t=1 q2 #1"]);
        world.pubrec(subscriber, 1);
        assert_eq!(world.take(subscriber), ["PUBREL #1"]);
        world.pubcomp(subscriber, 1);
        assert_eq!(world.take(subscriber), NOTHING);
        assert!(world.is_open(subscriber));
    }
}

/// [MQTT-4.3.3-3] [MQTT-4.3.3-6] Nothing but PUBREC ends the first step and nothing but PUBCOMP the second.
#[test]
fn an_exchange_takes_only_its_own_acknowledgements() {
    for (wrong, qos) in
        [(Packet::PubRec as fn(_) -> _, 1), (Packet::PubComp, 1), (Packet::PubAck, 2), (Packet::PubComp, 2)]
    {
        let (mut world, publisher, subscriber) = pair(V5, qos);
        world.publish(publisher, &message("t", "1").qos(qos, 1));
        world.take(subscriber);
        world.acknowledge(subscriber, wrong, 1, 0);
        assert_eq!(world.take(subscriber), ["DISCONNECT 82", "closed"]);
        let subscriber = world.enter(&hello(V5, "s").lasting(60));
        assert_eq!(world.take(subscriber), [format!("PUBLISH t=1 q{qos} #1 dup")]);
    }
}

/// [MQTT-4.3.3-4] A repeated PUBREC is answered by PUBREL again; so is one for nothing, which would come for ever.
#[test]
fn pubrec_is_always_answered() {
    let (mut world, publisher, subscriber) = pair(V5, 2);
    world.publish(publisher, &message("t", "1").qos(2, 1));
    world.take(subscriber);
    for id in [1, 1, 9] {
        world.pubrec(subscriber, id);
    }
    assert_eq!(world.take(subscriber), ["PUBREL #1", "PUBREL #1", "PUBREL #9"]);
}

/// [MQTT-4.4.0-2] [MQTT-4.8.2-6] An acknowledgement of 0x80 or above is the end: no PUBREL, nothing again.
#[test]
fn a_negative_acknowledgement_ends_the_exchange() {
    for qos in [1, 2] {
        let (mut world, publisher, subscriber) = pair(V5, qos);
        world.publish(publisher, &message("t", "1").qos(qos, 1));
        world.take(subscriber);
        let packet = if qos == 1 { Packet::PubAck } else { Packet::PubRec };
        world.acknowledge(subscriber, packet, 1, 0x97);
        assert_eq!(world.take(subscriber), NOTHING);
        world.lose(subscriber);
        let subscriber = world.enter(&hello(V5, "s").lasting(60));
        assert_eq!(world.take(subscriber), NOTHING);
    }
}

/// [MQTT-3.3.1-3] [MQTT311-3.3.1-3] DUP is between two ends: the subscriber's says nothing of the publisher's.
#[test]
fn dup_is_not_passed_on() {
    let (mut world, publisher, subscriber) = pair(V311, 2);
    world.publish(publisher, &message("t", "1").qos(1, 1).dup());
    world.publish(publisher, &message("t", "2").qos(2, 2).dup());
    assert_eq!(world.take(subscriber), ["PUBLISH t=1 q1 #1", "PUBLISH t=2 q2 #2"]);
}

/// [MQTT-3.8.4-8] [MQTT311-3.8.4-6] The lower of what was published and what was granted.
#[test]
fn delivery_has_the_lower_qos_of_the_two() {
    for granted in 0..=2_u8 {
        for published in 0..=2_u8 {
            let (mut world, publisher, subscriber) = pair(V311, granted);
            world.publish(publisher, &message("t", "1").qos(published, 1));
            let expected = match granted.min(published) {
                0 => "PUBLISH t=1".to_owned(),
                qos => format!("PUBLISH t=1 q{qos} #1"),
            };
            assert_eq!(world.take(subscriber), [expected]);
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]
/// [MQTT311-4.6.0-4] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6] Everything in the order it came, in both directions.
#[test]
fn messages_and_acknowledgements_keep_their_order() {
    for version in [V31, V311, V5] {
        let (mut world, publisher, subscriber) = pair(version, 2);
        for id in [5, 3, 9, 1] {
            world.publish(publisher, &message("t", id.to_string()).qos(2, id));
        }
        assert_eq!(world.take(publisher), ["PUBREC #5", "PUBREC #3", "PUBREC #9", "PUBREC #1"]);
        let payloads: Vec<_> =
            world.read(subscriber).iter().map(|got| got.publish().payload.clone()).collect();
        assert_eq!(payloads, [b"5", b"3", b"9", b"1"]);
        for id in [3, 1, 4, 2] {
            world.pubrec(subscriber, id);
        }
        assert_eq!(world.take(subscriber), ["PUBREL #3", "PUBREL #1", "PUBREL #4", "PUBREL #2"]);
    }
}

/// Messages of each QoS overtake none of another while nothing holds them up.
#[test]
fn qos_0_does_not_wait_for_a_full_window() {
    let (mut world, publisher, _) = pair(V5, 2);
    let narrow = world.enter(&hello(V5, "narrow").receive_maximum(1));
    world.subscribe(narrow, "t", 2);
    for (payload, qos) in [("1", 1), ("2", 1), ("3", 0)] {
        world.publish(publisher, &message("t", payload).qos(qos, 1));
    }
    assert_eq!(world.take(narrow), ["PUBLISH t=1 q1 #1", "PUBLISH t=3"]);
}

/// [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] [MQTT-3.3.2-4] Handed on unaltered.
#[test]
fn properties_of_a_message_are_passed_on_unaltered() {
    let (mut world, publisher, subscriber) = pair(V5, 0);
    let mut sent = message("t", "1").alias(3);
    for property in [
        Property::UserProperty("z", "1"),
        Property::ContentType("text"),
        Property::UserProperty("a", ""),
        Property::ResponseTopic("r/ä"),
        Property::UserProperty("z", "1"),
        Property::CorrelationData(b"\0x"),
        Property::PayloadFormatIndicator(0),
    ] {
        sent = sent.property(property);
    }
    world.publish(publisher, &sent);
    let expected =
        "user=z:1, content_type=text, user=a:, response_topic=r/ä, user=z:1, correlation=\0x, format=0";
    assert_eq!(world.take(subscriber), [format!("PUBLISH t=1 [{expected}]")]);
    // A 3.1.1 subscriber gets the message and no properties.
    let old = world.connect(V311, "old");
    world.subscribe(old, "t", 0);
    world.publish(publisher, &sent);
    assert_eq!(world.take(old), ["PUBLISH t=1"]);
}

/// [MQTT311-3.3.5-2] 5.0 is told that nobody listens where that is wished for; 3.1.1 has no code for anything.
#[test]
fn a_message_without_subscribers_is_acknowledged() {
    for (tells, puback, pubrec) in [(true, "PUBACK #1 10", "PUBREC #2 10"), (false, "PUBACK #1", "PUBREC #2")]
    {
        let mut world = World::with(|settings| settings.protocol.no_matching_subscribers = tells);
        for (version, expected) in [(V5, [puback, pubrec]), (V311, ["PUBACK #1", "PUBREC #2"])] {
            let publisher = world.connect(version, "p");
            world.publish(publisher, &message("t", "1").qos(1, 1));
            world.publish(publisher, &message("t", "1").qos(2, 2));
            assert_eq!(world.take(publisher), expected);
        }
    }
}

/// [MQTT-3.3.4-6] A Client's PUBLISH carries no Subscription Identifier.
#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let (mut world, publisher, subscriber) = pair(V5, 0);
    let identifier = Property::SubscriptionIdentifier(dunlin_codec::VarInt::new(1).unwrap());
    world.publish(publisher, &message("t", "1").property(identifier));
    assert_eq!(world.take(publisher), ["DISCONNECT 82", "closed"]);
    assert_eq!(world.take(subscriber), NOTHING);
}

/// [MQTT-3.3.1-3] [MQTT311-3.3.1-3] [MQTT-3.3.2-17] Whoever publishes, in whatever version, with whatever flags: each subscriber gets
/// the message in its own version, with flags and an identifier of its own, and properties where there are any.
#[test]
fn every_kind_of_publisher_reaches_every_kind_of_subscriber() {
    const VERSIONS: [dunlin_codec::ProtocolVersion; 3] = [V31, V311, V5];
    for (from, published, dup, retain) in VERSIONS
        .into_iter()
        .flat_map(|from| [(0, false), (1, false), (1, true), (2, false), (2, true)].map(|it| (from, it)))
        .flat_map(|(from, (qos, dup))| [(from, qos, dup, false), (from, qos, dup, true)])
    {
        let mut world = World::new();
        let publisher = world.connect(from, "p");
        let to: Vec<_> = VERSIONS.iter().flat_map(|version| [0, 1, 2].map(|qos| (*version, qos))).collect();
        let links: Vec<Link> = (to.iter().enumerate())
            .map(|(n, (version, qos))| {
                let link = world.connect(*version, &format!("s{n}"));
                world.subscribe(link, "a/topic", *qos);
                // So that identifiers differ from the publisher's.
                (0..n).for_each(|_| world.publish(publisher, &message("a/topic", "").qos(1, 9)));
                world.acknowledge_all(link);
                link
            })
            .collect();
        links.iter().for_each(|link| drop(world.acknowledge_all(*link)));
        let properties = [Property::UserProperty("k", "v"), Property::ContentType("t")];
        for size in [0, 5, 100, 5_000] {
            let mut wanted = message("a/topic", vec![b'x'; size]).qos(published, 7);
            wanted = if dup { wanted.dup() } else { wanted };
            wanted = if retain { wanted.retain() } else { wanted };
            if from == V5 && size > 0 {
                wanted = properties.into_iter().fold(wanted, crate::hello::Message::property);
            }
            world.publish(publisher, &wanted);
            world.pubrel(publisher, 7);
            for ((version, granted), link) in to.iter().zip(&links) {
                let got = world.read(*link);
                let [Got::Publish(got)] = &got[..] else { panic!("{from:?} {version:?} {got:?}") };
                assert_eq!((got.topic.as_str(), got.payload.len()), ("a/topic", size));
                assert_eq!((got.qos as u8, got.dup, got.retain), (published.min(*granted), false, false));
                assert_eq!(got.id > 0, got.qos as u8 > 0);
                let kept = if from == V5 && *version == V5 && size > 0 { 2 } else { 0 };
                assert_eq!(got.properties.lines().len(), kept, "{version:?}");
                if got.qos as u8 == 1 {
                    world.puback(*link, got.id);
                } else if got.qos as u8 == 2 {
                    world.pubrec(*link, got.id);
                    world.pubcomp(*link, got.id);
                    assert_eq!(world.take(*link), [format!("PUBREL #{}", got.id)]);
                }
            }
        }
    }
}
