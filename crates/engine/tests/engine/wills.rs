//! The Will: when it goes out, as what, and what takes it back.

use dunlin_codec::Property;

use crate::hello::{Hello, hello, message};
use crate::world::{Link, V5, V31, V311, World};

fn with_watcher() -> (World, Link) {
    let mut world = World::new();
    let watcher = world.connect(V5, "watcher");
    world.subscribe(watcher, "#", 2);
    (world, watcher)
}

fn delayed(expiry: u32, delay: u32) -> Hello {
    hello(V5, "c").expiry(expiry).will(message("w", "gone").delay(delay))
}

const GONE: [&str; 1] = ["PUBLISH w=gone"];
const NOTHING: [&str; 0] = [];

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT311-3.1.2-8] [MQTT311-3.1.2-12] Lost: the Will goes out; where there is none, nothing does.
#[test]
fn a_lost_connection_publishes_the_will() {
    for version in [V31, V311, V5] {
        let (mut world, watcher) = with_watcher();
        let client = world.enter(&hello(version, "c").will(message("w", "gone")));
        world.lose(client);
        assert_eq!(world.take(watcher), GONE);
        let client = world.enter(&hello(version, "c"));
        world.lose(client);
        assert_eq!(world.take(watcher), NOTHING);
    }
}

/// [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.1.2-10] [MQTT311-3.14.4-3]
#[test]
fn a_normal_disconnect_takes_the_will_back() {
    for version in [V31, V311, V5] {
        let (mut world, watcher) = with_watcher();
        let client = world.enter(&hello(version, "c").will(message("w", "gone")));
        world.leave(client);
        assert_eq!(world.take(watcher), NOTHING);
    }
}

/// [MQTT-3.14.4-3] Only Normal disconnection does: 0x04 asks for the Will, and so does every failure.
#[test]
fn a_disconnect_with_another_reason_publishes_the_will() {
    for code in [0x04, 0x80, 0x98] {
        let (mut world, watcher) = with_watcher();
        let client = world.enter(&hello(V5, "c").will(message("w", "gone")));
        world.leave_with(client, code, None);
        assert_eq!(world.take(watcher), GONE, "{code:#x}");
        assert_eq!(world.take(client), ["closed"]);
    }
}

/// [MQTT-3.1.2-8] The Server ends the connection: the Client has not taken its Will back.
#[test]
fn a_connection_that_the_server_ends_publishes_the_will() {
    let (mut world, watcher) = with_watcher();
    let silent = world.enter(&hello(V311, "silent").keep_alive(10).will(message("w", "silent")));
    let wrong = world.enter(&hello(V5, "wrong").will(message("w", "wrong")));
    world.send_bytes(wrong, &[0xc1, 0]);
    world.seconds(15);
    assert_eq!(world.take(watcher), ["PUBLISH w=wrong", "PUBLISH w=silent"]);
    assert!(!world.is_open(silent));
}

/// [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT311-3.1.2-16] [MQTT311-3.1.2-17] As it was asked for: QoS, and retained or not.
#[test]
fn the_will_goes_out_as_the_message_that_it_is() {
    for version in [V31, V311, V5] {
        let (mut world, watcher) = with_watcher();
        for (qos, is_retained) in [(0, false), (1, true), (2, false)] {
            let will = message("w", "gone").qos(qos, 0);
            let will = if is_retained { will.retain() } else { will };
            let client = world.enter(&hello(version, "c").will(will));
            world.lose(client);
        }
        let wills = world.take(watcher);
        assert_eq!(wills, ["PUBLISH w=gone", "PUBLISH w=gone q1 #1", "PUBLISH w=gone q2 #2"]);
        let late = world.connect(version, "late");
        world.subscribe(late, "w", 1);
        assert_eq!(world.take(late), ["PUBLISH w=gone q1 #1 retain"]);
    }
}

/// [MQTT-3.1.3-10] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20] Its properties go along, User Properties in their order.
#[test]
fn the_will_keeps_its_properties() {
    let (mut world, watcher) = with_watcher();
    let mut will = message("w", "gone").delay(1).expiry(30);
    for property in [
        Property::PayloadFormatIndicator(1),
        Property::ContentType("text"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(b"x"),
        Property::UserProperty("b", "1"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("b", "1"),
    ] {
        will = will.property(property);
    }
    let client = world.enter(&hello(V5, "c").expiry(10).will(will));
    world.lose(client);
    world.seconds(1);
    let properties =
        "format=1, content_type=text, response_topic=r, correlation=x, user=b:1, user=a:2, user=b:1";
    assert_eq!(world.take(watcher), [format!("PUBLISH w=gone [{properties}, expiry=30]")]);
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9] Will Delay Interval and Session Expiry Interval: whichever ends first.
#[test]
fn the_will_waits_for_its_delay_or_the_end_of_the_session() {
    for (expiry, delay, due) in [(100, 10, 10), (10, 100, 10), (10, 10, 10), (100, 0, 0), (0, 100, 0)] {
        let (mut world, watcher) = with_watcher();
        let client = world.enter(&delayed(expiry, delay));
        world.lose(client);
        if due > 0 {
            world.seconds(due - 1);
            assert_eq!(world.take(watcher), NOTHING, "{expiry} {delay}");
            world.seconds(1);
        }
        assert_eq!(world.take(watcher), GONE, "{expiry} {delay}");
        world.seconds(1000);
        assert_eq!(world.take(watcher), NOTHING, "once");
    }
}

/// [MQTT-3.1.3-9] The Client is back in time: nothing goes out, then or later.
#[test]
fn a_reconnection_within_the_delay_takes_the_will_back() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&delayed(100, 10));
    world.lose(client);
    world.seconds(9);
    world.enter(&hello(V5, "c").lasting(100));
    world.seconds(1000);
    assert_eq!(world.take(watcher), NOTHING);
}

/// [MQTT-3.1.3-9] The new connection brings a Will of its own, which has its own delay.
#[test]
fn a_reconnection_replaces_the_will() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&delayed(100, 10));
    world.lose(client);
    world.seconds(9);
    let client = world.enter(&hello(V5, "c").lasting(100).will(message("w", "new").delay(5)));
    world.seconds(20);
    assert_eq!(world.take(watcher), NOTHING);
    world.lose(client);
    world.seconds(5);
    assert_eq!(world.take(watcher), ["PUBLISH w=new"]);
}

/// [MQTT-3.1.2-8] Clean Start ends the old Session, and with it the wait.
#[test]
fn a_clean_start_within_the_delay_publishes_the_will() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&delayed(100, 10));
    world.lose(client);
    world.seconds(5);
    world.connect(V5, "c");
    assert_eq!(world.take(watcher), GONE);
    world.seconds(1000);
    assert_eq!(world.take(watcher), NOTHING);
}

/// [MQTT-3.1.2-8] [MQTT-3.1.4-3] Taken over: without delay the Will goes out; with one the Client is back in time.
#[test]
fn a_takeover_publishes_a_will_without_delay_only() {
    for (delay, resumes, expected) in
        [(0, true, &GONE[..]), (10, true, &NOTHING), (10, false, &GONE), (0, false, &GONE)]
    {
        let (mut world, watcher) = with_watcher();
        world.enter(&delayed(100, delay));
        let next = hello(V5, "c").expiry(100);
        world.enter(&if resumes { next.resume() } else { next });
        world.seconds(1000);
        assert_eq!(world.take(watcher), expected, "delay {delay}, resumes {resumes}");
    }
}

/// [MQTT-3.1.2-8] A Session of expiry 0 ends with the takeover, delay or not.
#[test]
fn a_takeover_of_a_session_that_ends_publishes_the_will() {
    let (mut world, watcher) = with_watcher();
    world.enter(&delayed(0, 10));
    world.enter(&hello(V5, "c").resume());
    assert_eq!(world.take(watcher), GONE);
}

/// [MQTT-3.1.2-8] DISCONNECT 0x04 with a delay waits like a lost connection; the interval in it counts.
#[test]
fn disconnect_with_will_waits_for_the_delay() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&delayed(100, 10));
    world.leave_with(client, 4, None);
    assert_eq!(world.take(watcher), NOTHING);
    world.seconds(10);
    assert_eq!(world.take(watcher), GONE);

    let client = world.enter(&delayed(100, 10));
    world.leave_with(client, 4, Some(0));
    assert_eq!(world.take(watcher), GONE, "the session ends at once");
}

/// The Message Expiry Interval of a Will counts from its publication.
#[test]
fn the_expiry_of_a_will_begins_with_its_publication() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&hello(V5, "c").expiry(100).will(message("w", "gone").delay(50).expiry(5)));
    world.lose(client);
    world.seconds(50);
    assert_eq!(world.take(watcher), ["PUBLISH w=gone [expiry=5]"]);
}

/// [MQTT-3.8.3-3] A Client that comes back may find its own Will, like any other message, unless it asked not to.
#[test]
fn ones_own_will_is_delivered_like_any_other_message() {
    let (mut world, watcher) = with_watcher();
    let client = world.enter(&hello(V5, "c").lasting(100).will(message("w", "gone").qos(1, 0)));
    world.subscribe(client, "w", 1);
    world.lose(client);
    world.take(watcher);
    let client = world.enter(&hello(V5, "c").lasting(100));
    assert_eq!(world.take(client), ["PUBLISH w=gone q1 #1"]);
}
