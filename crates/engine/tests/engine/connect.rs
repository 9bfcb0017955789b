//! CONNECT and CONNACK: who is let in, as whom, and what is told.

use dunlin_codec::{Packet, Property};
use dunlin_engine::{DisconnectCause, Notice};

use crate::hello::{at, hello, message};
use crate::world::{V5, V31, V311, World};

/// [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT311-3.1.4-4] [MQTT311-3.2.0-1] One CONNACK, before all that waits.
#[test]
fn a_good_connect_is_answered_by_connack_before_anything_else() {
    for version in [V31, V311, V5] {
        let mut world = World::new();
        let client = world.enter(&hello(version, "c").lasting(60));
        world.subscribe(client, "t", 1);
        world.lose(client);
        let publisher = world.connect(version, "p");
        world.publish(publisher, &message("t", "1").qos(1, 1));

        let client = world.knock(&hello(version, "c").lasting(60));
        let present = if version == V31 { "" } else { " present" };
        assert_eq!(world.take(client), [format!("CONNACK 00{present}"), "PUBLISH t=1 q1 #1".into()]);
    }
}

/// [MQTT-3.1.0-1] [MQTT311-3.1.0-1] [MQTT-3.14.0-1] Closed without a word: nobody was greeted yet.
#[test]
fn what_begins_with_another_packet_is_closed_without_an_answer() {
    let mut world = World::new();
    for first in [&[0xc0, 0][..], &[0xe0, 0], &[0x30, 3, 0, 1, b'a'], &[0x82, 6, 0, 1, 0, 1, b'a', 0]] {
        let stranger = world.dial_at(0, V311);
        world.send_bytes(stranger, first);
        assert_eq!(world.take(stranger), ["closed"]);
    }
    assert_eq!(world.count(|counters| counters.connects_refused), 4);
}

/// [MQTT-3.1.0-2] [MQTT311-3.1.0-2] [MQTT-4.13.1-1]
#[test]
fn a_second_connect_ends_the_connection() {
    for (version, farewell) in
        [(V31, &["closed"][..]), (V311, &["closed"]), (V5, &["DISCONNECT 82", "closed"])]
    {
        let mut world = World::new();
        let client = world.connect(version, "c");
        world.send_bytes(client, &hello(version, "c").bytes());
        assert_eq!(world.take(client), farewell);
    }
}

/// [MQTT-3.1.4-6] Whatever follows a refused CONNECT is not looked at.
#[test]
fn what_comes_with_a_refused_connect_is_ignored() {
    let mut world = World::new();
    let watcher = world.connect(V5, "w");
    world.subscribe(watcher, "#", 0);

    let mut bytes = hello(V311, "").resume().bytes();
    bytes.extend(message("t", "1").bytes(V311));
    let stranger = world.dial_at(0, V311);
    world.send_bytes(stranger, &bytes);
    assert_eq!(world.take(stranger), ["CONNACK 85", "closed"]);
    assert!(world.take(watcher).is_empty());
}

/// What comes with a CONNECT that is accepted is not lost; [MQTT-3.1.2-22] a Client need not wait for CONNACK.
#[test]
fn packets_sent_before_connack_count() {
    for cut in 1..=2 {
        let mut world = World::new();
        let mut bytes = hello(V5, "c").bytes();
        bytes.extend(message("t", "1").qos(1, 9).bytes(V5));
        bytes.extend([0xc0, 0]);
        let client = world.dial_at(0, V5);
        for chunk in bytes.chunks(cut) {
            world.send_bytes(client, chunk);
        }
        assert_eq!(world.take(client), ["CONNACK 00", "PUBACK #9 10", "PINGRESP"]);
    }
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT311-3.1.3-6] [MQTT311-3.1.3-7] Everybody without a name gets one.
#[test]
fn an_empty_client_identifier_is_replaced_by_a_new_one() {
    for shards in [1, 3] {
        let mut world = World::sharded(shards);
        let (one, first) = world.enter_reading(&hello(V5, "").expiry(60));
        let (two, second) = world.enter_reading(&hello(V5, "").resume());
        let assigned = first.properties().value("assigned").unwrap();
        assert_ne!(Some(&assigned), second.properties().value("assigned").as_ref());
        world.connect(V311, "");
        assert!(world.is_open(one) && world.is_open(two));

        // It is the name of the Session.
        world.lose(one);
        let again = world.knock(&hello(V5, &assigned).resume());
        assert_eq!(world.take(again), ["CONNACK 00 present"]);
    }
}

/// [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT-3.1.3-8] A name is refused with the code for it, and closed.
#[test]
fn a_client_identifier_that_cannot_be_is_refused() {
    let mut world = World::with(|settings| settings.limits.client_id_length_maximum = 30);
    let long = "x".repeat(31);
    for refused in [hello(V311, "").resume(), hello(V31, ""), hello(V311, &long), hello(V5, &long)] {
        let stranger = world.knock(&refused);
        assert_eq!(world.take(stranger), ["CONNACK 85", "closed"], "{refused:?}");
    }
    world.connect(V311, &"x".repeat(30));
}

/// [MQTT-3.1.3-5] [MQTT311-3.1.3-5] 1 to 23 letters and digits; and more than that.
#[test]
fn client_identifiers_may_be_long_and_hold_any_character() {
    let mut world = World::new();
    for client_id in ["a", "0123456789abcdefghijklm", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Größe/+#", "$SYS"] {
        for version in [V31, V311, V5] {
            world.connect(version, client_id);
        }
    }
}

/// [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT311-3.1.2-1] [MQTT311-3.1.2-2] [MQTT-3.2.2-7] [MQTT311-3.2.2-5] Told in words that
/// whoever speaks such a version understands; another protocol is told nothing.
#[test]
fn a_version_that_is_not_spoken_is_refused() {
    let mut world = World::new();
    let connect =
        |name: &[u8; 4], level| [&[0x10, 14, 0, 4], &name[..], &[level, 2, 0, 0, 0, 0, 1, b'c']].concat();
    for (name, level, reads, answer) in [
        (b"MQTT", 6, V5, &["CONNACK 84", "closed"][..]),
        (b"MQTT", 3, V311, &["CONNACK 84", "closed"]),
        (b"MQTX", 4, V311, &["closed"]),
    ] {
        let stranger = world.dial_at(0, reads);
        world.send_bytes(stranger, &connect(name, level));
        assert_eq!(world.take(stranger), answer);
    }
}

/// [MQTT-3.1.4-1] [MQTT311-3.1.4-1] [MQTT311-3.2.2-6] [MQTT311-4.8.0-1] No CONNACK for what is no CONNECT; 5.0 has a code for
/// one that asks for two things at once, 3.1.1 has none.
#[test]
fn a_connect_against_the_rules_is_closed() {
    let mut world = World::new();
    for version in [V311, V5] {
        let mut with_reserved_flag = hello(version, "c").bytes();
        with_reserved_flag[9] |= 1;
        let stranger = world.dial_at(0, version);
        world.send_bytes(stranger, &with_reserved_flag);
        assert_eq!(world.take(stranger), ["closed"]);
    }
    let stranger = world.knock(&hello(V5, "c").expiry(1).expiry(2));
    assert_eq!(world.take(stranger), ["CONNACK 82", "closed"]);
}

/// [MQTT-4.12.0-1] [MQTT-3.1.4-2] No method is offered, so none is accepted.
#[test]
fn an_authentication_method_is_refused() {
    let mut world = World::new();
    let stranger = world.knock(&hello(V5, "c").property(Property::AuthenticationMethod("SCRAM-SHA-256")));
    assert_eq!(world.take(stranger), ["CONNACK 8c", "closed"]);
}

/// [MQTT-4.12.0-6] [MQTT-4.12.0-7] [MQTT-4.12.1-1]
#[test]
fn auth_without_an_authentication_method_ends_the_connection() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    // Re-authenticate with a method that CONNECT did not name.
    world.send_bytes(client, &[0xf0, 6, 0x19, 4, 0x15, 0, 1, b'm']);
    assert_eq!(world.take(client), ["DISCONNECT 8c", "closed"]);
}

/// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT311-3.1.2-22] A Password alone is for 5.0.
#[test]
fn a_password_without_a_user_name_is_for_5_0_alone() {
    let mut world = World::new();
    world.enter(&hello(V5, "c").password("p"));
    world.enter(&hello(V311, "c").user_name("u").password("p"));
    let stranger = world.knock(&hello(V311, "c").password("p"));
    assert_eq!(world.take(stranger), ["closed"]);
}

/// [MQTT-3.2.2-21] [MQTT-3.2.2-22] What is granted otherwise than asked for is told.
#[test]
fn connack_tells_what_was_not_granted_as_asked() {
    let mut world = World::with(|settings| {
        settings.limits.session_expiry_interval_maximum = 100;
        settings.limits.keep_alive_maximum = 30;
    });
    let (_, connack) = world.enter_reading(&hello(V5, "a").expiry(100).keep_alive(30));
    let told = connack.properties();
    assert_eq!((told.value("session_expiry"), told.value("server_keep_alive")), (None, None));

    for keep_alive in [0, 31] {
        let (_, connack) = world.enter_reading(&hello(V5, "b").expiry(u32::MAX).keep_alive(keep_alive));
        assert!(connack.properties().has("session_expiry=100"));
        assert!(connack.properties().has("server_keep_alive=30"));
    }
    // A 3.1.1 Client cannot be told, so its own counts.
    let old = world.enter(&hello(V311, "c").keep_alive(60));
    world.seconds(80);
    assert!(world.is_open(old));
}

/// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-12] The limits of the Server, each with its property.
#[test]
fn connack_announces_the_limits() {
    let mut world = World::new();
    let (_, connack) = world.enter_reading(&hello(V5, "a"));
    for line in ["receive_maximum=256", "maximum_packet_size=2097152", "topic_alias_maximum=10"] {
        assert!(connack.properties().has(line), "{line}");
    }
    let mut world = World::with(|settings| settings.limits.topic_alias_maximum = 0);
    let (_, connack) = world.enter_reading(&hello(V5, "a"));
    assert_eq!(connack.properties().value("topic_alias_maximum"), None);
}

/// [MQTT-3.1.2-28] Response Information for those who ask, and for nobody else.
#[test]
fn response_information_is_given_to_those_who_ask() {
    let mut world = World::with(|settings| settings.protocol.response_information = "answers/%c".to_owned());
    let (_, connack) = world.enter_reading(&hello(V5, "a"));
    assert_eq!(connack.properties().value("response_information"), None);
    let asking = |wanted| hello(V5, "b").property(Property::RequestResponseInformation(wanted));
    let (_, connack) = world.enter_reading(&asking(false));
    assert_eq!(connack.properties().value("response_information"), None);
    let (_, connack) = world.enter_reading(&asking(true));
    assert!(connack.properties().has("response_information=answers/b"));
}

/// [MQTT-3.1.2-29] Reason String only where the Client did not turn it off, or where it is allowed all the same.
#[test]
fn without_problem_information_only_codes_are_sent() {
    for wanted in [true, false] {
        let mut world = World::new();
        let client = world.enter(&hello(V5, "c").property(Property::RequestProblemInformation(wanted)));
        world.publish(client, &message("$SYS/x", "1").qos(1, 1));
        world.ask(client, &[("a/b", at(0))], 0);
        world.unsubscribe(client, &["a/b", "c"]);
        assert_eq!(world.take(client), ["PUBACK #1 87", "SUBACK #1 [00]", "UNSUBACK #2 [00, 11]"]);
        world.send(client, &Packet::PingResp);
        let farewell = world.read(client);
        assert_eq!(farewell[0].properties().value("reason").is_some(), wanted);
    }
}

/// [MQTT-3.2.2-19] [MQTT-3.1.2-24] The reason is left out where it would be too much for the Client.
#[test]
fn a_refusal_fits_the_maximum_packet_size_of_the_client() {
    let mut world = World::with(|settings| settings.limits.client_id_length_maximum = 3);
    let stranger = world.knock(&hello(V5, "long").maximum_packet_size(1000));
    assert!(world.read(stranger)[0].properties().value("reason").is_some());
    let stranger = world.knock(&hello(V5, "long").maximum_packet_size(10));
    let refusal = world.read(stranger);
    assert_eq!(refusal[0].to_string(), "CONNACK 85");
    assert_eq!(refusal[0].properties().value("reason"), None);
}

/// [MQTT-3.2.0-1] [MQTT-3.1.2-24] One that takes no CONNACK cannot be told that it is connected, and is not.
#[test]
fn a_client_that_takes_no_connack_is_not_connected() {
    let mut world = World::new();
    let stays = world.connect(V5, "c");
    let stranger = world.knock(&hello(V5, "c").maximum_packet_size(10));
    assert_eq!(world.take(stranger), ["closed"]);
    assert!(world.is_open(stays), "the connection it would have replaced goes on");
    world.enter(&hello(V5, "c").maximum_packet_size(100));
}

/// A Will that could never be published refuses the connection.
#[test]
fn a_will_to_no_topic_name_is_refused() {
    let mut world = World::with(|settings| settings.limits.topic_levels_maximum = 3);
    for topic in ["a/+", "#", "$SYS/x", "a/b/c/d"] {
        let stranger = world.knock(&hello(V5, "c").will(message(topic, "gone")));
        assert_eq!(world.take(stranger), ["CONNACK 90", "closed"], "{topic}");
        let stranger = world.knock(&hello(V311, "c").will(message(topic, "gone")));
        assert_eq!(world.take(stranger).last().unwrap(), "closed", "{topic}");
    }
    world.enter(&hello(V5, "c").will(message("a/b/c", "gone")));
}

/// [MQTT-4.13.2-1] Coming and going is told to whoever runs the Server.
#[test]
fn every_coming_and_going_has_a_notice() {
    let mut world = World::new();
    let client = world.connect(V5, "c");
    world.send(client, &Packet::PingResp);
    world.knock(&hello(V31, ""));
    let kinds: Vec<&str> = world
        .notices
        .iter()
        .map(|notice| match notice {
            Notice::Connected { resumed: false, version: 5, .. } => "connected",
            Notice::Disconnected { cause: DisconnectCause::ByServer { .. }, .. } => "disconnected",
            Notice::Refused { .. } => "refused",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["connected", "disconnected", "refused"]);
}
