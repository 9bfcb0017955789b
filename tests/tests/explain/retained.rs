//! Retained messages that were not sent.

use dunlin_tests::Publish;
use dunlin_tests::request::RETAIN_NEVER;

use crate::scene::{Scene, qos1};

#[test]
fn a_subscription_that_asks_for_no_retained_messages() {
    let scene = Scene::new("");
    scene.publish("publisher", &qos1("state").retain());
    let mut client = scene.client("uninterested");
    client.subscribe("state", 1 | RETAIN_NEVER);
    let words = ["has a retained message", "Retain Handling 2", "Subscribe with Retain Handling 0"];
    scene.explains("uninterested", "state", "retain_handling", &words);
}

#[test]
fn a_retained_message_that_was_cleared() {
    let scene = Scene::new("");
    scene.publish("publisher", &qos1("state").retain());
    scene.publish("cleaner", &Publish::new("state", "").qos(1, 1).retain());
    let mut client = scene.client("late");
    client.subscribe("state", 1);
    let words = ["was cleared", "by an empty message with RETAIN", "Publish the value again"];
    scene.explains("late", "state", "retained_cleared", &words);
}

#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let scene = Scene::new("");
    scene.publish("publisher", &qos1("state").retain());
    let mut client = scene.client("worker");
    client.subscribe("$share/workers/state", 1);
    let words = ["only the Shared Subscription $share/workers/state", "Subscribe without $share"];
    scene.explains("worker", "state", "retained_not_shared", &words);
}

#[test]
fn a_store_that_has_no_room_for_another() {
    let scene = Scene::on("[limits]\nretained_messages_maximum = 1\n", "1");
    scene.publish("publisher", &qos1("first").retain());
    scene.publish("publisher", &qos1("second").retain());
    let mut client = scene.client("late");
    client.subscribe("second", 1);
    let words =
        ["store of retained messages is full", "limits.retained_messages_maximum = 1", "Raise these limits"];
    scene.explains("late", "second", "retained_full", &words);
}
