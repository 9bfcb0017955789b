//! Messages that never came in.

use dunlin_tests::request::PUBREC;
use dunlin_tests::{Publish, Version, prop};

use crate::scene::{Scene, qos1};

#[test]
fn a_topic_that_is_deeper_than_allowed() {
    let scene = Scene::new("[limits]\ntopic_levels_maximum = 8\n");
    let mut client = scene.client("listener");
    client.subscribe("deep/#", 1);
    let topic = "deep/2/3/4/5/6/7/8/9";
    let mut publisher = scene.client("publisher");
    assert_eq!(publisher.publish(&qos1(topic)), 0x90);
    let words = ["publisher published to", "refused with 0x90", "limits.topic_levels_maximum"];
    scene.explains("listener", topic, "publish_refused", &words);
}

#[test]
fn a_topic_of_the_server() {
    let scene = Scene::new("");
    let mut client = scene.client("listener");
    client.subscribe("$SYS/mine", 1);
    let mut publisher = scene.client("publisher");
    assert_eq!(publisher.publish(&qos1("$SYS/mine")), 0x87);
    let words = ["nobody publishes to $SYS and $share topics", "does not begin with $SYS/"];
    scene.explains("listener", "$SYS/mine", "publish_refused", &words);
}

#[test]
fn a_publisher_that_was_disconnected_for_its_topic_alias() {
    let scene = Scene::new("[limits]\ntopic_alias_maximum = 2\n");
    let mut client = scene.client("listener");
    client.subscribe("a", 1);
    let mut publisher = scene.client("wrong");
    publisher
        .send(Publish::new("a", "message").property(&prop::u16(prop::TOPIC_ALIAS, 5)).bytes(Version::V5));
    publisher.expect_disconnect(0x94);
    let words = [
        "wrong was disconnected by the broker",
        "0x94",
        "topic alias 5: too large, the maximum is 2",
        "If wrong is the publisher",
    ];
    scene.explains("listener", "a", "publisher_in_trouble", &words);
}

#[test]
fn a_publisher_with_too_many_unacknowledged_messages() {
    let scene = Scene::new("[limits]\nreceive_maximum = 2\n");
    let mut client = scene.client("listener");
    client.subscribe("third", 1);
    let mut publisher = scene.client("hasty");
    for (topic, id) in [("first", 1), ("second", 2), ("third", 3)] {
        publisher.send(Publish::new(topic, "message").qos(2, id).bytes(Version::V5));
    }
    publisher.expect_ack(PUBREC, 1);
    publisher.expect_ack(PUBREC, 2);
    publisher.expect_disconnect(0x93);
    let words = ["hasty was disconnected by the broker", "0x93", "more than 2 unacknowledged messages"];
    scene.explains("listener", "third", "publisher_in_trouble", &words);
}
