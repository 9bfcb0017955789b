//! What 5.0 adds for few: enhanced authentication, Topic Aliases towards the Server, servers that send clients elsewhere.

use std::sync::Arc;
use std::time::Duration;

use dunlin_client::session::{Action, Event, Redirection};
use dunlin_client::{
    AuthenticationExchange, AuthenticationMethod, Disconnection, QoS, ReauthenticateError, Settings,
    SettingsError, Status, Version,
};
use dunlin_codec::{Auth, ConnAck, Disconnect, Packet, Property, PropertyBuf, ReasonCode};

use crate::talk::{Talk, message, settings};

const V5: Version = Version::V5;
const QOS0: QoS = QoS::AtMostOnce;

/// Says what it was asked, and believes a Server that says `yes`.
#[derive(Debug)]
struct Echo;

struct Echoing(u64);

impl AuthenticationMethod for Echo {
    fn name(&self) -> &'static str {
        "ECHO"
    }

    fn begin(&self, number: u64) -> Box<dyn AuthenticationExchange> {
        Box::new(Echoing(number))
    }
}

impl AuthenticationExchange for Echoing {
    fn first(&mut self) -> Option<Vec<u8>> {
        Some(format!("hello {}", self.0).into_bytes())
    }

    fn answer(&mut self, data: &[u8]) -> Result<Vec<u8>, String> {
        if data == b"?" { Ok(b"?".to_vec()) } else { Err("not a question".to_owned()) }
    }

    fn accepted(&mut self, data: Option<&[u8]>) -> Result<(), String> {
        if data == Some(b"yes") { Ok(()) } else { Err("no proof".to_owned()) }
    }
}

fn with_echo() -> Settings {
    let mut settings = settings(V5);
    settings.authentication = Some(Arc::new(Echo));
    settings
}

/// Method and data of the CONNECT and AUTH that were sent.
fn offered(talk: &mut Talk) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    talk.each(|packet| {
        let properties = match &packet {
            Packet::Connect(connect) => connect.properties,
            Packet::Auth(auth) => auth.properties,
            _ => return,
        };
        let (mut method, mut data) = (String::new(), String::new());
        for property in properties {
            match property {
                Property::AuthenticationMethod(text) => method = text.to_owned(),
                Property::AuthenticationData(bytes) => data = String::from_utf8_lossy(bytes).into_owned(),
                _ => {}
            }
        }
        all.push((packet.name().to_owned(), method, data));
    });
    all
}

fn said(name: &str, data: &str) -> (String, String, String) {
    (name.to_owned(), "ECHO".to_owned(), data.to_owned())
}

fn auth(talk: &mut Talk, reason: ReasonCode, method: &str, data: &[u8]) {
    let mut all = PropertyBuf::new();
    all.push(Property::AuthenticationMethod(method));
    all.push(Property::AuthenticationData(data));
    talk.hear(Packet::Auth(Auth { reason, properties: all.as_properties() }));
}

const PROVED: [Property<'static>; 2] =
    [Property::AuthenticationMethod("ECHO"), Property::AuthenticationData(b"yes")];

/// [MQTT-4.12.0-3]
#[test]
fn an_exchange_comes_before_connack_and_begins_anew_with_each_connection() {
    let mut talk = Talk::greeting(with_echo());
    assert_eq!(offered(&mut talk), [said("CONNECT", "hello 1")]);
    auth(&mut talk, ReasonCode::ContinueAuthentication, "ECHO", b"?");
    assert_eq!(offered(&mut talk), [said("AUTH", "?")]);
    talk.conn_ack(false, &PROVED);
    assert!(talk.session.is_online());

    talk.event(Event::Lost(String::new()));
    talk.pass(Duration::from_secs(60));
    talk.event(Event::Dialled);
    assert_eq!(offered(&mut talk), [said("CONNECT", "hello 2")]);
}

#[test]
fn a_server_that_does_not_prove_itself_gets_nothing() {
    let proofs: [&[Property<'_>]; 3] = [
        &[],
        &[Property::AuthenticationMethod("ECHO")],
        &[Property::AuthenticationMethod("OTHER"), Property::AuthenticationData(b"yes")],
    ];
    for proof in proofs {
        let mut talk = Talk::greeting(with_echo());
        talk.publish(1, message("secret", QOS0));
        talk.said();
        talk.conn_ack(false, proof);
        assert!(!talk.session.is_online());
        assert_eq!(talk.said(), [""; 0], "{proof:?}");
    }
    for (method, data) in [("OTHER", b"?"), ("ECHO", b"!")] {
        let mut talk = Talk::greeting(with_echo());
        talk.said();
        auth(&mut talk, ReasonCode::ContinueAuthentication, method, data);
        assert_eq!(talk.said(), [""; 0]);
        assert!(matches!(&talk.statuses()[..], [Status::Disconnected { .. }]));
    }
    // Section 4.12: only who was asked for a method speaks of one.
    let mut talk = Talk::greeting(settings(V5));
    auth(&mut talk, ReasonCode::ContinueAuthentication, "ECHO", b"?");
    assert!(matches!(
        &talk.statuses()[..],
        [Status::Disconnected { why: Disconnection::Protocol("auth without an authentication method"), .. }]
    ));
}

/// [MQTT-4.12.1-1]
#[test]
fn the_application_authenticates_again() {
    let mut talk = Talk::greeting(with_echo());
    talk.event(Event::Reauthenticate);
    assert_eq!(talk.actions(), [Action::Reauthenticated(Err(ReauthenticateError::Offline))]);
    talk.conn_ack(false, &PROVED);
    talk.said();
    talk.actions();
    talk.event(Event::Reauthenticate);
    assert_eq!(offered(&mut talk), [said("AUTH", "hello 2")]);
    talk.event(Event::Reauthenticate);
    assert_eq!(talk.actions(), [Action::Reauthenticated(Err(ReauthenticateError::Impossible))]);
    auth(&mut talk, ReasonCode::ContinueAuthentication, "ECHO", b"?");
    assert_eq!(offered(&mut talk), [said("AUTH", "?")]);
    auth(&mut talk, ReasonCode::Success, "ECHO", b"yes");
    assert_eq!(talk.actions(), [Action::Reauthenticated(Ok(()))]);

    // One that is not answered, and one that is answered by somebody else.
    talk.event(Event::Reauthenticate);
    talk.pass(Duration::from_secs(10));
    let actions = talk.actions();
    assert!(actions.contains(&Action::Reauthenticated(Err(ReauthenticateError::Offline))), "{actions:?}");
    assert!(!talk.session.is_online());
    talk.reconnect();
    talk.conn_ack(true, &PROVED);
    talk.event(Event::Reauthenticate);
    auth(&mut talk, ReasonCode::Success, "ECHO", b"no");
    assert!(talk.said().contains(&"DISCONNECT NotAuthorized".to_owned()));
}

#[test]
fn enhanced_authentication_is_of_mqtt_5() {
    let mut old = settings(Version::V311);
    old.authentication = Some(Arc::new(Echo));
    assert_eq!(old.check(), Err(SettingsError::AuthenticationMethod));
    assert_eq!(with_echo().check(), Ok(()));
}

/// Topic and alias of what was published.
fn published(talk: &mut Talk) -> Vec<(String, Option<u16>)> {
    let mut all = Vec::new();
    talk.each(|packet| {
        if let Packet::Publish(publish) = packet {
            let alias = publish.properties.topic_alias();
            all.push((publish.topic.to_owned(), alias.map(std::num::NonZeroU16::get)));
        }
    });
    all
}

/// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-7]
#[test]
fn topics_are_sent_once_where_the_server_takes_aliases() {
    let topic = |number| dunlin_client::Message::new("long/topic", "m").unwrap().qos(number);
    for (version, maximum, expected) in [(V5, 5, Some(1)), (V5, 0, None)] {
        let mut talk = Talk::greeting(settings(version));
        talk.said();
        let aliases = [Property::TopicAliasMaximum(maximum)];
        talk.conn_ack(false, if maximum > 0 { &aliases } else { &[] });
        talk.publish(1, topic(QoS::AtLeastOnce));
        talk.publish(2, topic(QOS0));
        let second = if expected.is_some() { "" } else { "long/topic" };
        assert_eq!(published(&mut talk), [("long/topic".into(), expected), (second.into(), expected)]);

        // The next connection knows none of them: what is repeated brings its topic again.
        talk.event(Event::Lost(String::new()));
        talk.pass(Duration::from_secs(60));
        talk.event(Event::Dialled);
        talk.said();
        talk.conn_ack(true, if maximum > 0 { &aliases } else { &[] });
        assert_eq!(published(&mut talk), [("long/topic".into(), expected)]);
    }
}

fn elsewhere(talk: &mut Talk, reason: ReasonCode, reference: &str) -> Vec<Action> {
    let mut all = PropertyBuf::new();
    all.push(Property::ServerReference(reference));
    let properties = all.as_properties();
    talk.actions();
    if talk.session.is_online() {
        talk.hear(Packet::Disconnect(Disconnect { reason, properties }));
    } else {
        talk.hear(Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
    }
    talk.actions()
}

fn to(lasting: bool) -> Action {
    Action::Redirect(Redirection::To { reference: "other:1883".to_owned(), lasting })
}

fn follows() -> Settings {
    let mut settings = settings(V5);
    settings.follow_redirections = true;
    settings
}

#[test]
fn a_server_may_send_its_clients_elsewhere_if_they_are_told_to_follow() {
    let mut talk = Talk::greeting(follows());
    let actions = elsewhere(&mut talk, ReasonCode::UseAnotherServer, "other:1883");
    assert!(actions.ends_with(&[to(false), Action::Dial]), "{actions:?}");
    talk.event(Event::Dialled);
    talk.conn_ack(false, &[]);
    let actions = elsewhere(&mut talk, ReasonCode::ServerMoved, "other:1883");
    assert!(actions.ends_with(&[to(true), Action::Dial]), "{actions:?}");
    // One that cannot be reached is no place to stay.
    talk.event(Event::Lost(String::new()));
    assert!(talk.actions().contains(&Action::Redirect(Redirection::Home)));

    let mut talk = Talk::greeting(settings(V5));
    let actions = elsewhere(&mut talk, ReasonCode::UseAnotherServer, "other:1883");
    assert!(!actions.contains(&to(false)) && !actions.contains(&Action::Dial), "{actions:?}");
}

#[test]
fn a_ring_of_servers_is_left() {
    let mut talk = Talk::greeting(follows());
    for _ in 0..5 {
        let actions = elsewhere(&mut talk, ReasonCode::UseAnotherServer, "other:1883");
        assert!(actions.contains(&Action::Dial));
        talk.event(Event::Dialled);
    }
    let actions = elsewhere(&mut talk, ReasonCode::UseAnotherServer, "other:1883");
    assert!(actions.contains(&Action::Redirect(Redirection::Home)), "{actions:?}");
    assert!(!actions.contains(&Action::Dial));
}

/// [MQTT-4.13.1-1] A Server that sends CONNECT is told with a Reason Code that DISCONNECT may have.
#[test]
fn a_connect_of_the_server_is_a_protocol_error() {
    let mut talk = Talk::greeting(follows());
    talk.conn_ack(false, &[]);
    talk.said();
    talk.event(Event::Received(&[0x10, 7, 0, 4, b'M', b'Q', b'T', b'T', 9]));
    let said = talk.said();
    assert!(said.iter().any(|packet| packet.starts_with("DISCONNECT")), "{said:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    /// Whatever a Server sends, the session goes on or comes back.
    #[test]
    fn whatever_comes_is_survived(
        packets in proptest::collection::vec((0..16_u8, proptest::collection::vec(proptest::num::u8::ANY, 0..24)), 0..40),
        known in proptest::bool::ANY,
    ) {
        let mut settings = if known { with_echo() } else { follows() };
        settings.follow_redirections = true;
        let mut talk = Talk::greeting(settings);
        talk.subscribe(1, "#");
        for (kind, body) in packets {
            if !talk.session.is_online() {
                talk.event(Event::Lost(String::new()));
                talk.pass(Duration::from_secs(60));
                talk.event(Event::Dialled);
                talk.conn_ack(true, if known { &PROVED } else { &[] });
            }
            talk.publish(2, message("m", QoS::ExactlyOnce));
            talk.event(Event::Reauthenticate);
            let length = u8::try_from(body.len()).unwrap();
            talk.event(Event::Received(&[&[kind << 4 | if kind == 6 { 2 } else { 0 }, length][..], &body].concat()));
            talk.said();
        }
        talk.event(Event::Stop { within: talk.now, reason: ReasonCode::Success });
        talk.pass(Duration::from_secs(60));
        assert!(talk.session.is_stopped());
    }
}
