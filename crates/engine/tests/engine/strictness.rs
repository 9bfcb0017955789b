//! Rules that Clients in the field break: rejected, let pass and told of, or let pass.

use dunlin_codec::{ProtocolVersion, Rule};
use dunlin_engine::{Notice, Strict, Strictness};

use crate::hello::{hello, message};
use crate::world::{Link, V5, V31, V311, World};

/// Breaks one rule on a connection; what the Server is told about it by which bytes.
struct Breach {
    rule: Rule,
    version: ProtocolVersion,
    set: fn(&mut Strictness) -> &mut Strict,
    /// What the Client does, once connected.
    breaks: fn(&mut World, Link),
    rejected: &'static [&'static str],
    tolerated: &'static [&'static str],
}

const BREACHES: [Breach; 9] = [
    Breach {
        rule: Rule::ReservedBits,
        version: V5,
        set: |strictness| &mut strictness.reserved_bits,
        breaks: |world, link| world.send_bytes(link, &[0xc1, 0]),
        rejected: &["DISCONNECT 81", "closed"],
        tolerated: &["PINGRESP"],
    },
    Breach {
        rule: Rule::Utf8Discouraged,
        version: V311,
        set: |strictness| &mut strictness.utf8_discouraged,
        breaks: |world, link| world.publish(link, &message("a\u{1}", "x").qos(1, 1)),
        rejected: &["closed"],
        tolerated: &["PUBLISH a\u{1}=x", "PUBACK #1"],
    },
    Breach {
        rule: Rule::DupAtQoS0,
        version: V5,
        set: |strictness| &mut strictness.dup_at_qos0,
        breaks: |world, link| world.publish(link, &message("t", "x").dup()),
        rejected: &["DISCONNECT 81", "closed"],
        tolerated: &["PUBLISH t=x"],
    },
    Breach {
        rule: Rule::ReceiveMaximumExceeded,
        version: V5,
        set: |strictness| &mut strictness.receive_maximum_exceeded,
        breaks: |world, link| {
            for id in 1..=2 {
                world.publish(link, &message("$x", "x").qos(2, id));
            }
        },
        rejected: &["PUBREC #1 10", "DISCONNECT 93", "closed"],
        tolerated: &["PUBREC #1 10", "PUBREC #2 10"],
    },
    Breach {
        rule: Rule::PacketTooLarge,
        version: V311,
        set: |strictness| &mut strictness.packet_too_large,
        breaks: |world, link| world.publish(link, &message("t", vec![b'x'; 500])),
        rejected: &["closed"],
        tolerated: &["PUBLISH t=(500 bytes)"],
    },
    Breach {
        rule: Rule::TopicAliasInvalid,
        version: V5,
        set: |strictness| &mut strictness.topic_alias_invalid,
        breaks: |world, link| {
            world.publish(link, &message("t", "x").alias(1000));
            world.publish(link, &message("", "x").qos(1, 1).alias(5));
        },
        rejected: &["DISCONNECT 94", "closed"],
        tolerated: &["PUBLISH t=x", "PUBACK #1 90"],
    },
    Breach {
        rule: Rule::TopicNameInvalid,
        version: V5,
        set: |strictness| &mut strictness.topic_name_invalid,
        breaks: |world, link| world.publish(link, &message("a/#", "x").qos(1, 1)),
        rejected: &["DISCONNECT 90", "closed"],
        tolerated: &["PUBACK #1 90"],
    },
    Breach {
        rule: Rule::UnknownPacketId,
        version: V311,
        set: |strictness| &mut strictness.unknown_packet_id,
        breaks: |world, link| world.puback(link, 9),
        rejected: &["closed"],
        tolerated: &[],
    },
    Breach {
        rule: Rule::PacketIdReused,
        version: V5,
        set: |strictness| &mut strictness.packet_id_reused,
        breaks: |world, link| {
            for _ in 0..2 {
                world.publish(link, &message("$x", "x").qos(2, 1));
            }
        },
        rejected: &["PUBREC #1 10", "DISCONNECT 82", "closed"],
        tolerated: &["PUBREC #1 10", "PUBREC #1"],
    },
];

fn broken(world: &mut World, rule: Rule) -> u64 {
    world.count(|counters| counters.rules_broken[rule as usize])
}

fn told(world: &World, wanted: Rule) -> usize {
    let is_it = |notice: &&Notice| matches!(notice, Notice::RuleBroken { rule, .. } if *rule == wanted);
    world.notices.iter().filter(is_it).count()
}

/// [MQTT-2.1.3-1] [MQTT-3.3.1-2] [MQTT-3.3.2-2] [MQTT-3.3.2-9] [MQTT-3.3.4-7] [MQTT-3.2.2-15] [MQTT311-2.2.2-2]
/// [MQTT311-3.3.1-2] Each rule: the connection ends; or it is counted and told; or it is counted.
#[test]
fn every_rule_is_rejected_warned_of_or_allowed() {
    for breach in BREACHES {
        for strict in [Strict::Reject, Strict::Warn, Strict::Allow] {
            let mut world = World::with(|settings| {
                settings.limits.maximum_packet_size = std::num::NonZeroU32::new(400).unwrap();
                if breach.rule == Rule::ReceiveMaximumExceeded {
                    settings.limits.receive_maximum = std::num::NonZeroU16::MIN;
                }
                *(breach.set)(&mut settings.strictness) = strict;
            });
            let client = world.connect(breach.version, "c");
            world.subscribe(client, "#", 0);
            (breach.breaks)(&mut world, client);
            let rule = breach.rule;
            if strict == Strict::Reject {
                assert_eq!(world.take(client), breach.rejected, "{rule:?}");
                assert_eq!((broken(&mut world, rule), told(&world, rule)), (0, 0), "{rule:?}");
                continue;
            }
            assert_eq!(world.take(client), breach.tolerated, "{rule:?} {strict:?}");
            let counted = broken(&mut world, rule);
            assert!(counted > 0 && world.is_open(client), "{rule:?}");
            assert_eq!(told(&world, rule) > 0, strict == Strict::Warn, "{rule:?}");
        }
    }
}

/// [MQTT311-3.1.2-22] And the two rules of CONNECT.
#[test]
fn the_rules_of_connect_are_rejected_warned_of_or_allowed() {
    for strict in [Strict::Reject, Strict::Warn, Strict::Allow] {
        let mut world = World::with(|settings| {
            settings.strictness.client_id_length_v31 = strict;
            settings.strictness.password_without_user_name = strict;
        });
        let long = world.knock(&hello(V31, "a-name-of-twenty-four-ch"));
        let exact = world.knock(&hello(V31, "a-name-of-twenty-three-c"[1..].as_ref()));
        let without = world.knock(&hello(V311, "c").password("p"));
        assert!(world.is_open(exact));
        let is_rejected = strict == Strict::Reject;
        assert_eq!(
            world.take(long),
            if is_rejected { vec!["CONNACK 85", "closed"] } else { vec!["CONNACK 00"] }
        );
        assert_eq!(world.take(without), if is_rejected { vec!["closed"] } else { vec!["CONNACK 00"] });
        for rule in [Rule::ClientIdLength31, Rule::PasswordWithoutUserName] {
            assert_eq!(broken(&mut world, rule), u64::from(!is_rejected));
            assert_eq!(told(&world, rule), usize::from(strict == Strict::Warn));
        }
    }
}

/// 5.0 is told of identifiers that are not known where that is a breach worth telling.
#[test]
fn unknown_identifiers_are_named_where_they_are_warned_of() {
    for (strict, pubcomp, pubrel) in
        [(Strict::Allow, "PUBCOMP #9", "PUBREL #8"), (Strict::Warn, "PUBCOMP #9 92", "PUBREL #8 92")]
    {
        let mut world = World::with(|settings| settings.strictness.unknown_packet_id = strict);
        let client = world.connect(V5, "c");
        world.pubrel(client, 9);
        world.pubrec(client, 8);
        world.pubcomp(client, 7);
        assert_eq!(world.take(client), [pubcomp, pubrel]);
        assert_eq!(broken(&mut world, Rule::UnknownPacketId), 3);
    }
}

/// Settings that change hold for connections that are there.
#[test]
fn a_rule_may_become_strict_while_clients_are_connected() {
    let mut world = World::with(|settings| settings.strictness.reserved_bits = Strict::Allow);
    let client = world.connect(V311, "c");
    world.send_bytes(client, &[0xc1, 0]);
    assert_eq!(world.take(client), ["PINGRESP"]);
    world.reconfigure(&dunlin_engine::Settings::default());
    world.send_bytes(client, &[0xc1, 0]);
    assert_eq!(world.take(client), ["closed"]);
}
