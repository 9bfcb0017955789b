//! Sessions that ended, and Clients that are away or another.

use dunlin_tests::request::DISCONNECT;
use dunlin_tests::{Connect, Publish, Version};

use crate::scene::{Scene, lasting, qos1};

#[test]
fn a_session_that_expired() {
    let scene = Scene::new("");
    let connect = Connect::new(Version::V5, "brief").lasting(1);
    let mut client = scene.broker.connect_with(&connect);
    client.subscribe("a", 1);
    client.disconnect();
    scene.broker.pass_a_moment();
    scene.publish("publisher", &qos1("a"));
    let words = ["it expired", "Session Expiry Interval", "limits.session_expiry_interval_maximum = 604800"];
    scene.explains("brief", "a", "session_expired", &words);
}

#[test]
fn a_session_that_ended_with_its_connection() {
    let scene = Scene::new("");
    let mut client = scene.client("clean");
    client.subscribe("a", 1);
    client.disconnect();
    scene.publish("publisher", &qos1("a"));
    let words = ["ended with its connection", "Connect without clean session"];
    scene.explains("clean", "a", "session_ended_with_connection", &words);
}

#[test]
fn a_clean_start_that_wiped_the_subscriptions() {
    let scene = Scene::new("");
    scene.away("forgetful", "a/+", 1);
    let _again = scene.client("forgetful");
    scene.publish("publisher", &qos1("a/b"));
    let words = ["a clean start replaced it", "Connect without clean start"];
    scene.explains("forgetful", "a/b", "clean_start", &words);
}

#[test]
fn messages_that_went_with_the_session() {
    let scene = Scene::new("");
    scene.away("wiped", "a", 1);
    scene.publish("publisher", &qos1("a"));
    scene.explains("wiped", "a", "waits_for_client", &["waits in the queue of wiped", "without clean start"]);
    let mut again = scene.client("wiped");
    again.subscribe("a", 1);
    scene.explains("wiped", "a", "clean_start", &["1 waiting or unacknowledged messages went with it"]);
}

#[test]
fn qos_0_for_a_client_that_is_away() {
    let scene = Scene::new("");
    scene.away("away", "a", 1);
    scene.publish("publisher", &Publish::new("a", "now or never"));
    let words = ["QoS 0 and away was not connected", "Publish with QoS 1 and subscribe with QoS 1"];
    scene.explains("away", "a", "offline_qos0", &words);
}

#[test]
fn a_subscription_with_a_lower_qos_than_the_message() {
    let scene = Scene::new("");
    scene.away("modest", "a", 0);
    scene.publish("publisher", &qos1("a"));
    let words = ["its subscription has QoS 0", "published with QoS 1", "Subscribe with QoS 1 instead of 0"];
    scene.explains("modest", "a", "qos_downgraded", &words);
}

#[test]
fn a_client_that_another_connection_took_over() {
    let scene = Scene::new("");
    let mut first = scene.broker.connect_with(&lasting("twin"));
    first.subscribe("a", 0);
    let mut second = scene.broker.connect_with(&lasting("twin"));
    first.expect_disconnect(0x8e);
    scene.publish("publisher", &Publish::new("a", "message"));
    second.take("a", "message");
    let words = [
        "took the client identifier twin over",
        "two clients use one identifier",
        "an identifier of its own",
    ];
    scene.explains("twin", "a", "taken_over", &words);
}

#[test]
fn a_client_that_could_not_connect() {
    let scene = Scene::new("[limits]\nclient_id_length_maximum = 64\n");
    let name = "x".repeat(65);
    assert_eq!(scene.broker.refused(&Connect::new(Version::V5, &name).bytes(), Version::V5), 0x85);
    scene.explains(&name, "a", "connect_refused", &["could not connect", "0x85", "the limit is 64"]);
}

#[test]
fn a_will_that_is_delayed_forgone_or_taken_back() {
    let scene = Scene::new("");
    let mut heir = scene.client("heir");
    heir.subscribe("will/+", 1);
    let mortal = |name: &str, delay| {
        let will = Publish::new(format!("will/{name}"), "gone");
        let will = will.property(&dunlin_tests::prop::u32(dunlin_tests::prop::WILL_DELAY, delay));
        lasting(name).will(will)
    };
    scene.broker.connect_with(&mortal("slow", 500)).cut();
    let words = ["slow lost its connection", "goes out 500 s after", "Will Delay Interval"];
    scene.explains("heir", "will/slow", "will_delayed", &words);

    scene.broker.connect_with(&mortal("back", 500)).cut();
    scene.explains("heir", "will/back", "will_delayed", &["500 s"]);
    let _back = scene.broker.connect_with(&lasting("back"));
    scene.explains("heir", "will/back", "will_forgone", &["back came back", "Lower the Will Delay Interval"]);

    let mut polite = scene.broker.connect_with(&mortal("polite", 0));
    polite.send(DISCONNECT);
    polite.expect_closed();
    let words = ["takes its will for will/polite back", "DISCONNECT with 0x04"];
    scene.explains("heir", "will/polite", "will_taken_back", &words);
}
