//! Rules of the session, one by one, each refusal beside its acceptance.

use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_client::session::{Action, Event, Record, Remains};
use dunlin_client::{
    Disconnection, Keep, Message, PublishError, QoS, QueueLimits, Session, Status, SubscribeError, Version,
    WhenFull,
};
use dunlin_codec::{ConnAck, Disconnect, Packet, PacketId, Properties, Property, ReasonCode, VarInt};

use crate::talk::{Talk, message, settings};

const V5: Version = Version::V5;
const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

/// The Packet Identifier of the last packet that has one.
fn last_id(talk: &mut Talk) -> u16 {
    let mut last = None;
    talk.each(|packet| {
        last = match packet {
            Packet::Publish(publish) => publish.packet_id,
            Packet::Subscribe(subscribe) => Some(subscribe.packet_id),
            Packet::PubRel(ack) => Some(ack.packet_id),
            _ => None,
        }
        .or(last);
    });
    last.map(PacketId::get).unwrap()
}

/// [MQTT-3.1.2-20] [MQTT311-3.1.2-23] [MQTT-3.2.2-21]
#[test]
fn silence_is_broken_by_a_ping_and_an_answer_that_does_not_come_ends_the_connection() {
    let mut talk = Talk::greeting(settings(V5));
    talk.conn_ack(false, &[Property::ServerKeepAlive(20)]);
    talk.said();
    talk.pass(Duration::from_secs(14));
    assert_eq!(talk.said(), [""; 0]);
    talk.pass(Duration::from_secs(1));
    assert_eq!(talk.said(), ["PINGREQ"]);
    talk.hear(Packet::PingResp);
    talk.pass(Duration::from_secs(15));
    assert_eq!(talk.said(), ["PINGREQ"]);
    talk.actions();
    talk.pass(Duration::from_secs(10));
    assert!(matches!(
        &talk.actions()[..],
        [Action::Close, Action::Status(Status::Disconnected { why: Disconnection::Timeout("ping"), .. })]
    ));
}

/// A client that only sends would not notice that nobody hears it.
#[test]
fn sending_alone_does_not_replace_the_ping() {
    let mut talk = Talk::online(settings(V5));
    for _ in 0..9 {
        talk.pass(Duration::from_secs(5));
        talk.publish(1, message("m", QOS0));
    }
    assert!(talk.said().contains(&"PINGREQ".to_owned()));
}

#[test]
fn a_driver_that_does_not_read_misses_no_answer() {
    let mut talk = Talk::online(settings(V5));
    talk.event(Event::Paused(true));
    talk.pass(Duration::from_secs(50));
    assert_eq!(talk.said(), ["PINGREQ"]);
    talk.pass(Duration::from_secs(300));
    assert!(talk.session.is_online());
    talk.event(Event::Paused(false));
    talk.pass(Duration::from_secs(10));
    assert!(!talk.session.is_online());
}

/// [MQTT-3.1.0-1] [MQTT-3.2.0-1]
#[test]
fn connack_comes_first_and_in_time() {
    let mut talk = Talk::greeting(settings(V5));
    assert_eq!(talk.said(), ["CONNECT"]);
    talk.hear(Packet::PingResp);
    assert!(matches!(
        &talk.statuses()[..],
        [Status::Disconnected { why: Disconnection::Protocol("a packet before connack"), .. }]
    ));

    let mut talk = Talk::greeting(settings(V5));
    talk.pass(Duration::from_secs(10));
    assert!(matches!(
        &talk.statuses()[..],
        [Status::Disconnected { why: Disconnection::Timeout("connack"), .. }]
    ));
}

#[test]
fn a_refusal_is_tried_again_late_or_ends_the_session_if_so_told() {
    let refusal = |talk: &mut Talk| {
        let reason = ReasonCode::NotAuthorized;
        talk.hear(Packet::ConnAck(ConnAck { session_present: false, reason, properties: Properties::EMPTY }));
        talk.statuses()
    };
    let why = Disconnection::Refused { reason: ReasonCode::NotAuthorized, text: None };
    let mut talk = Talk::greeting(settings(V5));
    assert!(matches!(&refusal(&mut talk)[..], [Status::Disconnected { why: said, .. }] if *said == why));

    let mut strict = settings(V5);
    strict.retry.stop_when_refused = true;
    let mut talk = Talk::greeting(strict);
    talk.publish(7, message("m", QOS1));
    assert_eq!(refusal(&mut talk), [Status::Stopped(why)]);
    assert!(talk.session.is_stopped());
    talk.publish(8, message("m", QOS1));
    assert_eq!(talk.actions(), [Action::Published(8, Err(PublishError::Stopped))]);
}

#[test]
fn a_new_session_is_subscribed_again_and_a_resumed_one_is_not() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "a/#");
    let id = last_id(&mut talk);
    talk.sub_ack(id, &[2]);
    assert_eq!(talk.actions(), [Action::Subscribed(1, Ok(vec![ReasonCode::GrantedQoS2]))]);

    talk.reconnect();
    talk.conn_ack(true, &[]);
    assert_eq!(talk.said(), [""; 0]);
    talk.reconnect();
    talk.conn_ack(false, &[]);
    assert_eq!(talk.said(), ["SUBSCRIBE a/#"]);
}

#[test]
fn a_subscription_is_refused_or_ended() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "a/#/b");
    assert!(matches!(&talk.actions()[..], [Action::Subscribed(1, Err(SubscribeError::Filter(_)))]));
    talk.subscribe(2, "a");
    let id = last_id(&mut talk);
    talk.sub_ack(id, &[0x87]);
    let refused = SubscribeError::Refused(ReasonCode::NotAuthorized);
    assert_eq!(talk.actions(), [Action::Subscribed(2, Err(refused))]);

    talk.subscribe(3, "b");
    talk.subscribe(4, "b");
    talk.said();
    // The Server knows one subscription for both.
    talk.event(Event::Unsubscribe { token: 3 });
    assert_eq!(talk.said(), [""; 0]);
    assert_eq!(talk.actions(), [Action::Unsubscribed(3)]);
    talk.event(Event::Unsubscribe { token: 4 });
    assert_eq!(talk.said(), ["UNSUBSCRIBE b"]);
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3]
#[test]
fn acknowledgements_leave_in_the_order_of_arrival() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "#");
    talk.said();
    for id in 1..=3 {
        talk.deliver("t", if id == 2 { QOS2 } else { QOS1 }, id, false);
    }
    let ids: Vec<_> = talk.deliveries().into_iter().filter_map(|delivery| delivery.id).collect();
    talk.event(Event::Acknowledge(ids[2]));
    talk.event(Event::Acknowledge(ids[1]));
    assert_eq!(talk.said(), [""; 0]);
    talk.event(Event::Acknowledge(ids[0]));
    assert_eq!(talk.said(), ["PUBACK 1", "PUBREC 2", "PUBACK 3"]);
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-11]
#[test]
fn a_repeated_qos_2_message_is_answered_and_not_delivered() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "#");
    talk.said();
    talk.deliver("t", QOS2, 9, false);
    let id = talk.deliveries()[0].id.unwrap();
    talk.event(Event::Acknowledge(id));
    talk.reconnect();
    talk.conn_ack(true, &[]);
    talk.deliver("t", QOS2, 9, true);
    assert!(talk.deliveries().is_empty());
    talk.ack(Packet::PubRel, 9, ReasonCode::Success);
    assert_eq!(talk.said(), ["SUBSCRIBE #", "PUBREC 9", "PUBCOMP 9"]);
    talk.deliver("t", QOS2, 9, false);
    assert_eq!(talk.deliveries().len(), 1);
}

/// [MQTT-3.3.4-9]
#[test]
fn a_server_beyond_our_receive_maximum_is_told() {
    let mut narrow = settings(V5);
    narrow.receive_maximum = NonZeroU16::new(2).unwrap();
    let mut talk = Talk::online(narrow);
    talk.subscribe(1, "#");
    talk.said();
    (1..=2).for_each(|id| talk.deliver("t", QOS1, id, false));
    assert!(talk.session.is_online());
    talk.deliver("t", QOS1, 3, false);
    assert_eq!(talk.said(), ["DISCONNECT ProtocolError"]);
}

/// [MQTT-4.9.0-1] A connection begins with the whole Receive Maximum; what waits for PUBREL since the last one is beside it.
#[test]
fn exchanges_of_a_former_connection_do_not_count() {
    let mut narrow = settings(V5);
    narrow.receive_maximum = NonZeroU16::new(2).unwrap();
    let mut talk = Talk::online(narrow);
    talk.subscribe(1, "#");
    (1..=2).for_each(|id| talk.deliver("t", QOS2, id, false));
    for delivery in talk.deliveries() {
        talk.event(Event::Acknowledge(delivery.id.unwrap()));
    }
    talk.reconnect();
    talk.conn_ack(true, &[]);
    (3..=4).for_each(|id| talk.deliver("t", QOS2, id, false));
    assert!(talk.session.is_online());
    // PUBREL of a former connection makes no room on this one.
    talk.ack(Packet::PubRel, 1, ReasonCode::Success);
    talk.deliver("t", QOS2, 5, false);
    assert!(!talk.session.is_online());
}

/// [MQTT-3.3.4-7] [MQTT-4.9.0-2]
#[test]
fn no_more_in_flight_than_the_servers_receive_maximum() {
    let mut talk = Talk::greeting(settings(V5));
    talk.said();
    talk.conn_ack(false, &[Property::ReceiveMaximum(NonZeroU16::new(2).unwrap())]);
    for token in 0..3 {
        talk.publish(token, message("m", QOS2));
    }
    let mut ids = Vec::new();
    talk.each(|packet| {
        if let Packet::Publish(publish) = packet {
            ids.push(publish.packet_id.unwrap().get());
        }
    });
    assert_eq!(ids.len(), 2);
    talk.ack(Packet::PubRec, ids[0], ReasonCode::Success);
    assert_eq!(talk.said(), ["PUBREL"]);
    talk.ack(Packet::PubComp, ids[0], ReasonCode::Success);
    assert_eq!(talk.said(), ["PUBLISH qos2 m"]);
}

/// [MQTT-4.3.3-6]
#[test]
fn after_pubrec_only_pubrel_is_sent_again() {
    let mut talk = Talk::online(settings(V5));
    talk.publish(1, message("a", QOS2));
    talk.publish(2, message("b", QOS1));
    let id = last_id(&mut talk) - 1;
    talk.ack(Packet::PubRec, id, ReasonCode::Success);
    talk.reconnect();
    talk.conn_ack(true, &[]);
    assert_eq!(talk.said(), ["PUBREL", "PUBLISH dup qos1 b"]);
}

#[test]
fn what_the_server_refuses_is_told() {
    let mut talk = Talk::online(settings(V5));
    for (token, qos, kind) in [(1, QOS1, Packet::PubAck as fn(_) -> _), (2, QOS2, Packet::PubRec)] {
        talk.publish(token, message("m", qos));
        let id = last_id(&mut talk);
        talk.ack(kind, id, ReasonCode::QuotaExceeded);
        let error = PublishError::Refused(ReasonCode::QuotaExceeded);
        assert_eq!(talk.actions(), [Action::Published(token, Err(error))]);
    }
    assert_eq!(talk.session.queued(), 0);
}

/// [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]
#[test]
fn what_the_server_does_not_support_is_not_sent() {
    let mut talk = Talk::greeting(settings(V5));
    talk.said();
    let limit = std::num::NonZeroU32::new(100).unwrap();
    talk.conn_ack(
        false,
        &[Property::MaximumQoS(1), Property::RetainAvailable(false), Property::MaximumPacketSize(limit)],
    );
    talk.actions();
    talk.publish(1, message("m", QOS2));
    talk.publish(2, message("m", QOS1).retain(true));
    talk.publish(3, message(&"m".repeat(100), QOS1));
    let errors = [
        PublishError::Unsupported("qos 2"),
        PublishError::Unsupported("retained messages"),
        PublishError::TooLarge { size: 108, limit: 100 },
    ];
    let told = talk.actions();
    let expected: Vec<_> = (1..).zip(errors).map(|(token, e)| Action::Published(token, Err(e))).collect();
    assert_eq!(told, expected);
    assert_eq!(talk.said(), [""; 0]);
}

#[test]
fn what_waits_expires_and_what_is_sent_says_how_long_it_has_left() {
    let mut talk = Talk::idle(settings(V5));
    let expires = |payload, seconds| message(payload, QOS1).expires_after(Duration::from_secs(seconds));
    talk.publish(1, expires("short", 5));
    talk.publish(2, expires("long", 60));
    assert_eq!(talk.session.next_deadline(), Some(talk.now.after(Duration::from_secs(5))));
    talk.pass(Duration::from_secs(20));
    assert_eq!(talk.actions(), [Action::Published(1, Err(PublishError::Expired))]);
    talk.event(Event::Start);
    talk.event(Event::Dialled);
    talk.said();
    talk.conn_ack(false, &[]);
    let mut left = None;
    talk.each(|packet| {
        if let Packet::Publish(publish) = packet {
            left = publish.properties.message_expiry_interval();
        }
    });
    assert_eq!(left, Some(40));
}

#[test]
fn a_full_queue_refuses_or_drops_the_oldest() {
    for (when_full, lost) in [(WhenFull::Refuse, 3), (WhenFull::DropOldest, 1)] {
        let mut small = settings(V5);
        small.queue = QueueLimits { messages: 2, when_full, ..QueueLimits::default() };
        let mut talk = Talk::idle(small);
        (1..=3).for_each(|token| talk.publish(token, message("m", QOS1)));
        assert_eq!(talk.actions(), [Action::Published(lost, Err(PublishError::QueueFull))]);
        assert_eq!(talk.session.queued(), 2);
        assert!(!talk.session.has_room());
    }
}

#[test]
fn qos_0_is_queued_while_offline_unless_told_otherwise() {
    let mut talk = Talk::idle(settings(V5));
    talk.publish(1, message("m", QOS0));
    assert_eq!(talk.actions(), []);
    assert!(talk.records.is_empty(), "no restart is promised to qos 0");
    let mut not = settings(V5);
    not.queue.qos0_while_offline = false;
    let mut talk = Talk::idle(not);
    talk.publish(1, message("m", QOS0));
    assert_eq!(talk.actions(), [Action::Published(1, Err(PublishError::Offline))]);
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27]
#[test]
fn topic_aliases_stand_for_topics_of_this_connection_only() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "#");
    talk.said();
    let alias = |n| [Property::TopicAlias(NonZeroU16::new(n).unwrap())];
    talk.deliver_with("long/name", QOS0, 0, false, &alias(32));
    talk.deliver_with("", QOS0, 0, false, &alias(32));
    let topics: Vec<_> = talk.deliveries().iter().map(|d| d.message.topic().to_owned()).collect();
    assert_eq!(topics, ["long/name", "long/name"]);
    talk.reconnect();
    talk.conn_ack(true, &[]);
    talk.deliver_with("", QOS0, 0, false, &alias(32));
    assert!(!talk.session.is_online());

    let mut talk = Talk::online(settings(V5));
    talk.deliver_with("name", QOS0, 0, false, &alias(33));
    assert!(!talk.session.is_online(), "33 is beyond the maximum");
}

#[test]
fn subscriptions_with_a_common_message_share_it_by_identifier() {
    let mut talk = Talk::online(settings(V5));
    talk.subscribe(1, "a/#");
    talk.subscribe(2, "a/+");
    talk.said();
    let named = |n| [Property::SubscriptionIdentifier(VarInt::new(n).unwrap())];
    talk.deliver_with("a/b", QOS0, 0, false, &named(2));
    talk.deliver("a/b", QOS0, 0, false);
    talk.deliver_with("a/b", QOS0, 0, false, &named(77));
    let to: Vec<_> = talk.deliveries().into_iter().map(|delivery| delivery.to).collect();
    assert_eq!(to, [vec![2], vec![1, 2], vec![1, 2]]);
}

#[test]
fn what_came_before_its_subscription_waits_for_it_unacknowledged() {
    let mut few = settings(V5);
    few.receive_maximum = NonZeroU16::new(3).unwrap();
    let mut talk = Talk::greeting(few);
    talk.said();
    talk.conn_ack(true, &[]);
    (1..=3).for_each(|id| talk.deliver("t", QOS1, id, false));
    assert_eq!(talk.deliveries().len(), 0);
    // The third has no place. Its acknowledgement waits for those before it.
    talk.subscribe(1, "t");
    let deliveries = talk.deliveries();
    assert_eq!(deliveries.len(), 2);
    talk.said();
    deliveries.into_iter().for_each(|delivery| talk.event(Event::Acknowledge(delivery.id.unwrap())));
    assert_eq!(talk.said(), ["PUBACK 1", "PUBACK 2", "PUBACK 3"]);
}

#[test]
fn shutdown_waits_for_the_queue_but_not_for_ever() {
    for acknowledged in [true, false] {
        let mut talk = Talk::online(settings(V5));
        talk.publish(1, message("m", QOS1));
        let id = last_id(&mut talk);
        let within = talk.now.after(Duration::from_secs(5));
        talk.event(Event::Stop { within, reason: ReasonCode::Success });
        assert_eq!(talk.said(), [""; 0]);
        if acknowledged {
            talk.ack(Packet::PubAck, id, ReasonCode::Success);
        } else {
            talk.pass(Duration::from_secs(5));
        }
        assert_eq!(talk.said(), ["DISCONNECT Success"]);
        talk.event(Event::Closed);
        let result = if acknowledged { Ok(ReasonCode::Success) } else { Err(PublishError::Stopped) };
        let actions = talk.actions();
        assert!(actions.contains(&Action::Published(1, result)), "{actions:?}");
        assert!(actions.contains(&Action::Status(Status::Stopped(Disconnection::Asked))));
    }
}

#[test]
fn shutdown_waits_until_qos_0_has_left() {
    let mut talk = Talk::online(settings(V5));
    talk.publish(1, message("m", QOS0));
    talk.event(Event::Stop { within: talk.now.after(Duration::from_secs(5)), reason: ReasonCode::Success });
    assert_eq!(talk.said(), ["PUBLISH m"]);
    assert_eq!(talk.said(), ["DISCONNECT Success"]);
}

/// Otherwise a message that takes a minute to send would end the connection each time.
#[test]
fn a_ping_behind_much_output_is_given_its_time() {
    let mut talk = Talk::online(settings(V5));
    talk.pass(Duration::from_secs(45));
    for _ in 0..10 {
        talk.pass(Duration::from_secs(8));
        talk.event(Event::Progress);
    }
    assert!(talk.session.is_online());
    talk.pass(Duration::from_secs(10));
    assert!(!talk.session.is_online());
}

/// A Session that was kept for lost connections only ends with the shutdown.
#[test]
fn a_fresh_session_begins_clean_survives_cuts_and_ends() {
    let mut fresh = settings(V5);
    fresh.keep = Keep::Fresh;
    let mut talk = Talk::greeting(fresh);
    let clean = |talk: &mut Talk| {
        let mut clean = None;
        talk.each(|packet| {
            if let Packet::Connect(connect) = packet {
                clean = Some(connect.clean_start);
            }
        });
        clean.unwrap()
    };
    assert!(clean(&mut talk));
    talk.conn_ack(false, &[]);
    talk.event(Event::Lost(String::new()));
    talk.pass(Duration::from_secs(60));
    talk.event(Event::Dialled);
    assert!(!clean(&mut talk));
    talk.conn_ack(true, &[]);
    talk.event(Event::Stop { within: talk.now, reason: ReasonCode::Success });
    let mut expiry = None;
    talk.each(|packet| {
        if let Packet::Disconnect(disconnect) = packet {
            expiry = disconnect.properties.iter().next().map(|property| format!("{property:?}"));
        }
    });
    assert_eq!(expiry.as_deref(), Some("SessionExpiryInterval(0)"));
}

#[test]
fn a_client_whose_session_was_taken_over_does_not_come_back_at_once() {
    let mut waits = 0;
    for seed in 0..20 {
        let mut settings = settings(V5);
        settings.seed = seed;
        let mut talk = Talk::online(settings);
        let reason = ReasonCode::SessionTakenOver;
        talk.hear(Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
        let Some(Status::Disconnected { retry_at, .. }) = talk.statuses().pop() else { panic!() };
        waits += retry_at.as_millis() - talk.now.as_millis();
    }
    assert!(waits / 20 > 20_000, "{} ms on average", waits / 20);
}

/// [MQTT-4.1.0-1]
#[test]
fn a_restored_session_repeats_qos_2_under_its_identifier() {
    let mut talk = Talk::online(settings(V5));
    talk.publish(1, message("m", QOS2));
    let id = last_id(&mut talk);
    let [.., Record::Queued { key, message, .. }, Record::Sent { packet_id, .. }] = &talk.records[..] else {
        panic!("{:?}", talk.records)
    };
    let left = dunlin_client::session::Left {
        key: *key,
        expires_at: None,
        message: message.clone(),
        packet_id: Some(*packet_id),
        released: false,
    };
    let session = Session::restore(settings(V5), Remains { messages: vec![left], taken: vec![] });
    let mut talk = Talk::idle(settings(V5));
    talk.session = session;
    talk.event(Event::Start);
    talk.event(Event::Dialled);
    talk.said();
    talk.conn_ack(true, &[]);
    assert_eq!(last_id(&mut talk), id);
}

#[test]
fn messages_and_settings_that_no_packet_can_hold_are_refused() {
    assert!(Message::new("a/+", "").is_err());
    let mut talk = Talk::idle(settings(V5));
    let mut long = message("m", QOS1);
    long.about_mut().content_type = Some("x".repeat(65_536));
    talk.publish(1, long);
    assert!(matches!(&talk.actions()[..], [Action::Published(1, Err(PublishError::Message(_)))]));

    let mut alone = settings(Version::V311);
    alone.password = Some("secret".into());
    assert!(!format!("{alone:?}").contains("secret"));
    assert!(alone.check().is_err());
    alone.version = V5;
    assert!(alone.check().is_ok());
    alone.client_id = "x".repeat(65_536);
    assert!(alone.check().is_err());
}
