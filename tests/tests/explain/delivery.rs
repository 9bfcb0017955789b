//! Messages that arrived, that wait, or that a rule of the protocol kept away.

use dunlin_tests::request::{NO_LOCAL, PUBACK};
use dunlin_tests::{Connect, Publish, Version, prop};

use crate::scene::{Scene, qos1};

#[test]
fn messages_that_did_arrive() {
    let scene = Scene::new("");
    let mut client = scene.client("well");
    client.subscribe("zero", 0);
    client.subscribe("one", 1);
    scene.publish("publisher", &Publish::new("zero", "message"));
    client.take("zero", "message");
    scene.explains("well", "zero", "written", &["sent to well", "QoS 0"]);

    scene.publish("publisher", &qos1("one"));
    let received = client.expect_publish("one", "message");
    let words = ["is not acknowledged", "why the client does not acknowledge"];
    scene.explains("well", "one", "not_acknowledged", &words);
    client.ack(PUBACK, received.id);
    client.ping();
    let answer = scene.explains(
        "well",
        "one",
        "acknowledged",
        &["It did arrive", "look at what the application does"],
    );
    let evidence = answer["evidence"].to_string();
    for step in [
        "well subscribed to one with QoS 1",
        "publisher published to one",
        "sent to well",
        "acknowledged by well",
    ] {
        assert!(evidence.contains(step), "{step} in {answer:#}");
    }
}

#[test]
fn a_client_that_does_not_acknowledge_holds_up_the_rest() {
    let scene = Scene::new("");
    let connect = Connect::new(Version::V5, "stalled").property(&prop::u16(prop::RECEIVE_MAXIMUM, 1));
    let mut client = scene.broker.connect_with(&connect);
    client.subscribe("stall/+", 1);
    for topic in ["stall/1", "stall/2", "stall/3"] {
        scene.publish("publisher", &qos1(topic));
    }
    client.expect_publish("stall/1", "message");
    let words =
        ["1 messages were sent and not acknowledged", "Receive Maximum", "limits.inflight_maximum = 1024"];
    scene.explains("stalled", "stall/3", "waits_for_acknowledgements", &words);
}

#[test]
fn ones_own_message_with_no_local() {
    let scene = Scene::new("");
    let mut client = scene.client("narcissus");
    client.subscribe("pool", 1 | NO_LOCAL);
    client.publish(&qos1("pool"));
    let words = ["published it itself", "No Local", "Subscribe without No Local"];
    scene.explains("narcissus", "pool", "no_local", &words);
}

#[test]
fn a_message_that_expired_in_the_queue() {
    let scene = Scene::new("");
    scene.away("slow", "news", 1);
    scene.publish("publisher", &qos1("news").property(&prop::u32(prop::MESSAGE_EXPIRY, 1)));
    scene.broker.pass_a_moment();
    let _back = scene.lasting("slow");
    let words = ["Message Expiry Interval passed", "Raise the Message Expiry Interval"];
    scene.explains("slow", "news", "expired", &words);
}

#[test]
fn a_message_that_is_larger_than_the_client_takes() {
    let scene = Scene::new("");
    let connect = Connect::new(Version::V5, "small").property(&prop::u32(prop::MAXIMUM_PACKET_SIZE, 64));
    let mut client = scene.broker.connect_with(&connect);
    client.subscribe("picture", 1);
    scene.publish("publisher", &Publish::new("picture", "x".repeat(200)).qos(1, 1));
    let words = ["Maximum Packet Size of small, 64 bytes", "Raise the Maximum Packet Size"];
    scene.explains("small", "picture", "too_large_for_client", &words);
}

#[test]
fn a_shared_message_that_another_member_got() {
    let scene = Scene::new("");
    let (mut one, mut other) = (scene.client("one"), scene.client("other"));
    for member in [&mut one, &mut other] {
        member.subscribe("$share/workers/job", 1);
    }
    scene.publish("publisher", &qos1("job"));
    // It is the turn of whoever came first.
    one.take("job", "message");
    let words =
        ["$share/workers/job has 2 members", "went to one, another member", "Subscribe without $share"];
    scene.explains("other", "job", "shared_to_another", &words);
}

#[test]
fn a_shared_message_with_no_member_there() {
    let scene = Scene::new("");
    scene.away("worker", "$share/workers/job", 1);
    scene.publish("publisher", &Publish::new("job", "message"));
    let words = ["shared group of $share/workers/job", "no member was connected", "Publish with QoS 1"];
    scene.explains("worker", "job", "shared_offline", &words);
}

#[test]
fn what_is_printed_and_what_is_followed_under_watch() {
    let scene = Scene::new("");
    let mut client = scene.client("seen");
    client.subscribe("watched", 0);
    scene.publish("publisher", &Publish::new("watched", "message"));
    client.take("watched", "message");
    let printed = scene.prints(&["--client", "seen", "--topic", "watched", "--last"]);
    assert!(printed.contains("It was sent to seen"), "{printed}");
    assert!(printed.contains("publisher published to watched with QoS 0"), "{printed}");
    let printed = scene.prints(&["--client", "seen", "--topic", "watched", "--watch", "1s"]);
    assert!(printed.contains("sent to seen with QoS 0"), "{printed}");
    let refused = scene.prints(&["--client", "seen", "--topic", "watched/#"]);
    assert!(refused.contains("no wildcard"), "{refused}");
}
