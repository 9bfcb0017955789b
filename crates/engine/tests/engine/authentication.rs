//! Who a Client is: asked at CONNECT, by exchange where it takes one, and again while it is connected.

use std::time::Duration;

use dunlin_codec::{Auth, Packet, Property, PropertyBuf, ReasonCode};
use dunlin_engine::{Admission, Exchange, Notice, Outcome, Step};

use crate::hello::{Hello, at, hello, message};
use crate::rules::rules;
use crate::world::{Link, V5, V31, V311, World, admission};

const NOTHING: [&str; 0] = [];

fn guarded(shards: usize) -> World {
    let mut world = World::sharded(shards);
    world.guard();
    world
}

fn refused(reason: ReasonCode) -> Outcome {
    Outcome::Refused { reason, detail: "the reason for the log".into() }
}

fn go_on(data: &str, state: u32) -> Outcome {
    Outcome::Continue { data: data.as_bytes().into(), exchange: Exchange(Box::new(state)) }
}

fn scram(client_id: &str) -> Hello {
    hello(V5, client_id)
        .property(Property::AuthenticationMethod("SCRAM"))
        .property(Property::AuthenticationData(b"first"))
}

fn auth(world: &mut World, link: Link, reason: ReasonCode, method: &str, data: &str) {
    let mut properties = PropertyBuf::new();
    properties.push(Property::AuthenticationMethod(method));
    properties.push(Property::AuthenticationData(data.as_bytes()));
    world.send(link, &Packet::Auth(Auth { reason, properties: properties.as_properties() }));
}

type Act = fn(&mut World, Link);

/// The question names all that CONNECT said; nothing is read or written until it is answered.
#[test]
fn a_client_waits_until_somebody_knows_it() {
    for version in [V31, V311, V5] {
        let mut world = guarded(1);
        let mut bytes = hello(version, "c").user_name("joe").password("hunter2").bytes();
        bytes.extend([0xc0, 0]);
        let client = world.dial_at(0, version);
        world.send_bytes(client, &bytes);
        assert_eq!(world.take(client), NOTHING);
        assert_eq!(world.unread(client), 2);

        let asked = world.asked(client).unwrap();
        assert_eq!(
            (&*asked.client_id, asked.user_name.as_deref(), asked.version),
            ("c", Some("joe"), version)
        );
        assert_eq!(asked.password.as_ref().unwrap().expose(), b"hunter2");
        assert!(!format!("{asked:?}").contains("hunter2"));
        assert!(matches!(asked.step, Step::Connect));

        world.answer(client, Outcome::Admitted(admission("joe", None)));
        assert_eq!(world.take(client), ["CONNACK 00", "PINGRESP"]);
    }
}

/// [MQTT-4.12.0-4] [MQTT-3.1.4-2] [MQTT311-3.1.4-5] The log knows why, the stranger does not.
#[test]
fn a_client_that_nobody_knows_is_refused_without_a_word() {
    for (version, code) in [(V31, "86"), (V311, "86"), (V5, "86")] {
        let mut world = guarded(1);
        let client = world.knock(&hello(version, "c"));
        world.asked(client).unwrap();
        world.answer(client, refused(ReasonCode::BadUserNameOrPassword));
        let got = world.read(client);
        assert_eq!(got[0].to_string(), format!("CONNACK {code}"));
        assert!(got[0].properties().lines().is_empty());
        assert_eq!(got[1].to_string(), "closed");
        assert!(matches!(
            &world.notices[..],
            [Notice::Refused { client_id, detail, .. }] if &**client_id == "c" && &**detail == "the reason for the log"
        ));
    }
}

/// The time to connect covers the answer. That there is none is no fault of the Client, which is told so.
#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    for version in [V31, V311, V5] {
        let mut world = guarded(1);
        let client = world.knock(&hello(version, "c"));
        world.pass(Duration::from_millis(9_999));
        assert_eq!(world.take(client), NOTHING);
        world.pass(Duration::from_millis(2));
        assert_eq!(world.take(client), ["CONNACK 88", "closed"]);
    }
}

/// An answer about a connection that is gone concerns nobody, not even whoever has its place now.
#[test]
fn a_late_answer_means_nothing() {
    let mut world = guarded(1);
    let first = world.knock(&hello(V5, "c"));
    world.lose(first);
    let second = world.knock(&hello(V5, "c"));
    world.answer_late(first, Outcome::Admitted(admission("joe", None)));
    assert_eq!(world.take(second), NOTHING);
    world.answer(second, Outcome::Admitted(admission("joe", None)));
    assert_eq!(world.take(second), ["CONNACK 00"]);
    // Nor does a second answer.
    world.answer(second, refused(ReasonCode::NotAuthorized));
    assert_eq!(world.take(second), NOTHING);
}

/// The home of the Session is that of the effective Client Identifier, and it does not ask again.
#[test]
fn a_session_has_its_home_by_the_name_that_it_is_given() {
    let mut world = guarded(3);
    for shard in 0..3 {
        let name = world.client_on(shard, 0);
        let client = world.dial_at(0, V5);
        let mut bytes = hello(V5, "whatever").expiry(60).bytes();
        bytes.extend(message("t", "1").qos(1, 9).bytes(V5));
        world.send_bytes(client, &bytes);
        world.asked(client).unwrap();
        let given = Admission { client_id: Some(name.as_str().into()), ..admission("joe", None) };
        world.answer(client, Outcome::Admitted(given));
        assert_eq!(world.take(client), ["CONNACK 00", "PUBACK #9 10"]);
        assert!(world.asked(client).is_none());
        assert!(
            matches!(world.notices.last(), Some(Notice::Connected { client_id, .. }) if **client_id == *name)
        );

        // It is the name of the Session.
        let again = world.knock(&hello(V5, "other").resume());
        let given = Admission { client_id: Some(name.as_str().into()), ..admission("joe", None) };
        world.answer(again, Outcome::Admitted(given));
        assert_eq!(world.take(again), ["CONNACK 00 present"]);
        assert_eq!(world.take(client), ["DISCONNECT 8e", "closed"]);
    }
    assert_eq!(world.pledges(), 4);
}

/// [MQTT-3.1.3-6] [MQTT-3.2.2-16] Whoever has no name is asked about under the one that it gets.
#[test]
fn an_assigned_name_is_known_to_whoever_is_asked() {
    for shards in [1, 3] {
        let mut world = guarded(shards);
        let client = world.knock(&hello(V5, ""));
        let asked = world.asked(client).unwrap();
        world.answer(client, Outcome::Admitted(admission("joe", None)));
        let connack = world.read(client).remove(0);
        assert_eq!(connack.properties().value("assigned").as_deref(), Some(&*asked.client_id));
    }
}

/// What one Client left behind is not for another that has its identifier.
#[test]
fn a_session_is_resumed_only_by_the_name_that_began_it() {
    let mut world = guarded(1);
    let knock = |world: &mut World, name: &str| {
        let client = world.knock(&hello(V5, "c").lasting(60));
        world.answer(client, Outcome::Admitted(admission(name, None)));
        client
    };
    let client = knock(&mut world, "joe");
    assert_eq!(world.take(client), ["CONNACK 00"]);
    world.subscribe(client, "t", 1);
    world.lose(client);
    let client = knock(&mut world, "joe");
    assert_eq!(world.take(client), ["CONNACK 00 present"]);
    world.lose(client);
    let client = knock(&mut world, "eve");
    assert_eq!(world.take(client), ["CONNACK 00"]);
    world.unguard();
    let publisher = world.connect(V5, "p");
    world.publish(publisher, &message("t", "1"));
    assert_eq!(world.take(client), NOTHING);
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] AUTH to and fro, each with the method; CONNACK has it too, with the last data.
#[test]
fn an_exchange_goes_on_until_somebody_knows_enough() {
    for shards in [1, 3] {
        let mut world = guarded(shards);
        let name = world.client_on(shards - 1, 0);
        let client = world.knock(&scram(&name).user_name("joe"));
        let asked = world.asked(client).unwrap();
        assert_eq!(
            (asked.method.as_deref(), asked.data.as_ref().unwrap().expose()),
            (Some("SCRAM"), &b"first"[..])
        );

        world.answer(client, go_on("challenge", 7));
        assert_eq!(world.take(client), ["AUTH 18 [method=SCRAM, data=challenge]"]);
        auth(&mut world, client, ReasonCode::ContinueAuthentication, "SCRAM", "proof");
        let asked = world.asked(client).unwrap();
        assert_eq!(
            (asked.user_name.as_deref(), asked.data.as_ref().unwrap().expose()),
            (Some("joe"), &b"proof"[..])
        );
        let Step::Continue(Exchange(state)) = asked.step else { panic!("{:?}", asked.step) };
        assert_eq!(*state.downcast::<u32>().unwrap(), 7);

        let last = Admission { data: Some(b"signature".as_slice().into()), ..admission("joe", None) };
        world.answer(client, Outcome::Admitted(last));
        let connack = world.read(client).remove(0);
        assert_eq!(connack.to_string(), "CONNACK 00");
        assert!(connack.properties().has("method=SCRAM") && connack.properties().has("data=signature"));
    }
}

/// [MQTT-3.1.2-30] [MQTT-4.12.0-5] Before CONNACK only AUTH and DISCONNECT, in turn and by the method of CONNECT.
#[test]
fn an_exchange_that_is_not_kept_to_ends() {
    let publish: Act = |world, link| world.publish(link, &message("t", "1"));
    let other: Act = |world, link| auth(world, link, ReasonCode::ContinueAuthentication, "OTHER", "");
    let again: Act = |world, link| auth(world, link, ReasonCode::ReAuthenticate, "SCRAM", "");
    let garbage: Act = |world, link| world.send_bytes(link, &[0xf1, 0]);
    for (act, code) in [(publish, "82"), (other, "82"), (again, "82"), (garbage, "81")] {
        let mut world = guarded(1);
        let client = world.knock(&scram("c"));
        world.answer(client, go_on("challenge", 7));
        world.take(client);
        act(&mut world, client);
        assert_eq!(world.take(client), [format!("CONNACK {code}"), "closed".to_owned()]);
    }
    let mut world = guarded(1);
    let client = world.knock(&scram("c"));
    world.answer(client, go_on("challenge", 7));
    world.take(client);
    world.leave_with(client, 0, None);
    assert_eq!(world.take(client), ["closed"]);
}

/// [MQTT-4.12.0-6] Nobody who named no method is sent AUTH.
#[test]
fn a_client_without_a_method_is_never_sent_auth() {
    for version in [V311, V5] {
        let mut world = guarded(1);
        let client = world.knock(&hello(version, "c"));
        world.answer(client, go_on("challenge", 7));
        assert_eq!(world.take(client), ["CONNACK 87", "closed"]);
    }
}

/// [MQTT-4.12.0-1] A method that nobody offers.
#[test]
fn a_method_that_nobody_offers_is_refused() {
    let mut world = guarded(1);
    let client = world.knock(&scram("c"));
    world.answer(client, refused(ReasonCode::BadAuthenticationMethod));
    assert_eq!(world.take(client), ["CONNACK 8c", "closed"]);
}

fn let_in(world: &mut World) -> Link {
    let client = world.knock(&scram("c"));
    world.asked(client).unwrap();
    world.answer(client, Outcome::Admitted(admission("c", Some(rules(&["a"], &["#"])))));
    assert_eq!(world.take(client), ["CONNACK 00"]);
    client
}

/// [MQTT-4.12.1-1] The Client goes on meanwhile with the rights that it had, and has others afterwards.
#[test]
fn a_client_shows_again_who_it_is_while_it_is_connected() {
    let mut world = guarded(1);
    let client = let_in(&mut world);
    world.subscribe_as(client, "t", at(0), 0);
    auth(&mut world, client, ReasonCode::ReAuthenticate, "SCRAM", "first");
    let asked = world.asked(client).unwrap();
    assert!(matches!(&asked.step, Step::Again(identity) if &*identity.name == "c"));
    world.answer(client, go_on("challenge", 8));
    world.publish(client, &message("a", "1").qos(1, 1));
    world.publish(client, &message("b", "1").qos(1, 2));
    assert_eq!(
        world.take(client),
        ["AUTH 18 [method=SCRAM, data=challenge]", "PUBACK #1 10", "PUBACK #2 87"]
    );
    auth(&mut world, client, ReasonCode::ContinueAuthentication, "SCRAM", "proof");
    let asked = world.asked(client).unwrap();
    assert_eq!((&*asked.client_id, asked.user_name.as_deref()), ("c", Some("c")));
    world.answer(client, Outcome::Admitted(admission("c", Some(rules(&["b"], &["#"])))));
    world.publish(client, &message("a", "1").qos(1, 3));
    world.publish(client, &message("b", "1").qos(1, 4));
    assert_eq!(world.take(client), ["AUTH 00 [method=SCRAM]", "PUBACK #3 87", "PUBACK #4 10"]);
}

/// [MQTT-4.12.1-2] A Reason Code of CONNACK alone is not told in DISCONNECT.
#[test]
fn a_client_that_fails_to_show_again_who_it_is_is_disconnected() {
    for (reason, code) in [(ReasonCode::BadUserNameOrPassword, "87"), (ReasonCode::ServerBusy, "89")] {
        let mut world = guarded(1);
        let client = let_in(&mut world);
        auth(&mut world, client, ReasonCode::ReAuthenticate, "SCRAM", "first");
        world.answer(client, refused(reason));
        assert_eq!(world.take(client), [format!("DISCONNECT {code}"), "closed".to_owned()]);
    }
    // Nor may it turn out to be somebody else.
    let mut world = guarded(1);
    let client = let_in(&mut world);
    auth(&mut world, client, ReasonCode::ReAuthenticate, "SCRAM", "first");
    world.answer(client, Outcome::Admitted(admission("eve", None)));
    assert_eq!(world.take(client), ["DISCONNECT 87", "closed"]);
}

/// [MQTT-4.12.1-1] [MQTT-4.12.0-5]
#[test]
fn auth_out_of_turn_ends_the_connection() {
    let cases = [
        (ReasonCode::ReAuthenticate, "OTHER", "DISCONNECT 82"),
        (ReasonCode::ContinueAuthentication, "SCRAM", "DISCONNECT 82"),
        (ReasonCode::Success, "SCRAM", "DISCONNECT 82"),
    ];
    for (reason, method, farewell) in cases {
        let mut world = guarded(1);
        let client = let_in(&mut world);
        auth(&mut world, client, reason, method, "");
        assert_eq!(world.take(client), [farewell, "closed"]);
    }
    // [MQTT-4.12.0-7]
    let mut world = guarded(1);
    let client = world.enter_with(&hello(V5, "c"), rules(&[], &[]));
    auth(&mut world, client, ReasonCode::ReAuthenticate, "SCRAM", "");
    assert_eq!(world.take(client), ["DISCONNECT 8c", "closed"]);
}

/// [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-24] Nothing that could be left out is in it; one that is too large all the same is
/// not sent.
#[test]
fn an_auth_that_the_client_does_not_take_is_not_sent() {
    let mut world = guarded(1);
    let client = world.knock(&scram("c").maximum_packet_size(60));
    world.answer(client, go_on(&"x".repeat(60), 7));
    assert_eq!(world.take(client), ["CONNACK 95", "closed"]);
}

/// A listener that asks nobody has no methods, and asks nobody.
#[test]
fn nobody_is_asked_where_everybody_is_let_in() {
    let mut world = World::new();
    let client = world.knock(&scram("c"));
    assert!(world.asked(client).is_none());
    assert_eq!(world.take(client), ["CONNACK 8c", "closed"]);
}
