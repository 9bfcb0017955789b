//! No Subscription matches, and which comes nearest.

use dunlin_tests::Publish;

use crate::scene::{Scene, qos1};

/// A Client with these filters, a message of the topic, and why it did not get it.
#[track_caller]
fn unmatched(scene: &Scene, name: &str, filters: &[&str], topic: &str, cause: &str, words: &[&str]) {
    let mut client = scene.client(name);
    for filter in filters {
        client.subscribe(filter, 1);
    }
    scene.publish(&format!("publisher of {name}"), &qos1(topic));
    scene.explains(name, topic, cause, words);
}

#[test]
fn a_client_that_never_subscribed() {
    let scene = Scene::new("");
    unmatched(
        &scene,
        "idle",
        &[],
        "plant/a",
        "never_subscribed",
        &["no subscription at all", "subscribe to plant/a"],
    );
}

#[test]
fn the_nearest_subscription_is_named_with_the_level_at_which_it_differs() {
    let scene = Scene::new("");
    let filters = ["office/#", "plant/line2/temp", "plant/+/humidity/today"];
    let words = [
        "nearest is plant/line2/temp",
        "level 2 is \"line2\" there and \"line1\" in the topic",
        "Subscribe to plant/line1/temp",
    ];
    unmatched(&scene, "level", &filters, "plant/line1/temp", "other_level", &words);
}

#[test]
fn upper_and_lower_case_spaces_and_slashes_count() {
    let scene = Scene::new("");
    let case = ["level 2 is \"Temp\" there and \"temp\"", "Subscribe to hall/temp"];
    unmatched(&scene, "case", &["hall/Temp"], "hall/temp", "case_differs", &case);
    unmatched(
        &scene,
        "space",
        &["roof/temp "],
        "roof/temp",
        "space_differs",
        &["level 2", "Subscribe to roof/temp"],
    );
    let trailing = ["the topic has a slash at level 3", "Subscribe to yard/temp/"];
    unmatched(&scene, "trailing", &["yard/temp"], "yard/temp/", "slash_differs", &trailing);
    let leading = ["the topic has a slash at level 1", "Subscribe to /gate/temp"];
    unmatched(&scene, "leading", &["gate/temp"], "/gate/temp", "slash_differs", &leading);
}

#[test]
fn a_plus_is_one_level_and_a_hash_is_all() {
    let scene = Scene::new("");
    let plus = ["goes on at level 3", "+ stands for one level only", "Subscribe to cellar/#"];
    unmatched(&scene, "plus", &["cellar/+"], "cellar/pump/state", "topic_is_longer", &plus);
    unmatched(
        &scene,
        "short",
        &["attic/+/state"],
        "attic/lamp",
        "topic_is_shorter",
        &["before level 3", "Subscribe to"],
    );
}

#[test]
fn wildcards_at_the_first_level_leave_topics_with_a_dollar_out() {
    let scene = Scene::new("");
    let words = ["does not match topics that begin with $", "Subscribe to $SYS/#"];
    unmatched(&scene, "all", &["#"], "$SYS/broker/uptime", "publish_refused", &["nobody publishes to $SYS"]);
    let fresh = Scene::new("");
    let mut client = fresh.client("all");
    client.subscribe("#", 0);
    fresh.explains("all", "$SYS/broker/uptime", "dollar_topic", &words);
    unmatched(&fresh, "other", &["+/x"], "$device/x", "dollar_topic", &["Subscribe to $device/#"]);
}

#[test]
fn a_message_before_the_subscription() {
    let scene = Scene::new("");
    scene.publish("early", &qos1("door/state"));
    let mut client = scene.client("late");
    client.subscribe("door/#", 1);
    scene.explains(
        "late",
        "door/state",
        "subscribed_later",
        &["after the message was published by early", "RETAIN"],
    );
}

#[test]
fn a_client_that_unsubscribed_before() {
    let scene = Scene::new("");
    let mut client = scene.client("fickle");
    client.subscribe("window/+", 1);
    client.subscribe("other", 1);
    client.unsubscribe("window/+");
    scene.publish("publisher", &qos1("window/state"));
    scene.explains(
        "fickle",
        "window/state",
        "unsubscribed",
        &["unsubscribed from window/+", "subscribe to window/+ again"],
    );
}

#[test]
fn nobody_published_or_to_a_topic_that_is_spelled_otherwise() {
    let scene = Scene::new("");
    let mut client = scene.client("listener");
    client.subscribe("kitchen/#", 1);
    scene.explains(
        "listener",
        "kitchen/temperature",
        "never_published",
        &["Nobody published to kitchen/temperature", "Check that the publisher is connected"],
    );
    scene.publish("cook", &qos1("kitchen/temprature"));
    scene.publish("guest", &Publish::new("garden", "far away"));
    scene.explains(
        "listener",
        "kitchen/temperature",
        "other_spelling",
        &[
            "\"kitchen/temprature\", which is spelled otherwise",
            "published by cook",
            "Publish to \"kitchen/temperature\", or subscribe to \"kitchen/temprature\"",
        ],
    );
}

#[test]
fn a_client_that_nobody_knows_and_one_that_is_spelled_otherwise() {
    let scene = Scene::new("");
    scene.explains(
        "pump-7",
        "t",
        "unknown_client",
        &["No client \"pump-7\" is known", "Check the client identifier"],
    );
    let _pump = scene.client("Pump-7");
    scene.explains("pump-7", "t", "unknown_client", &["There is a client \"Pump-7\""]);
}
