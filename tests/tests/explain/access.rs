//! Messages that a rule kept away; the rule is named with its file and line.

use std::fs;

use crate::scene::{Guarded, qos1};

const RULES: &str = "\
[[rule]]
name = \"all of the plant\"
allow = [\"publish\", \"subscribe\"]
topics = \"plant/#\"

[[rule]]
name = \"keys are secret\"
deny = [\"publish\", \"subscribe\", \"receive\"]
topics = \"plant/key\"
";

#[test]
fn a_publisher_that_may_not() {
    let server = Guarded::new(RULES, "");
    let mut client = server.client("listener");
    client.subscribe("plant/pump", 1);
    let mut publisher = server.client("publisher");
    assert_eq!(publisher.publish(&qos1("plant/key")), 0x87);
    let words = [
        "publisher published to plant/key",
        "is not allowed to",
        "access.toml:6 \"keys are secret\"",
        "Allow publisher to publish",
    ];
    server.explains("listener", "plant/key", "publish_denied", &words);
    assert_eq!(publisher.publish(&qos1("office")), 0x87);
    server.explains("listener", "office", "publish_denied", &["no rule allows it"]);
}

#[test]
fn a_subscriber_that_may_not() {
    let server = Guarded::new(RULES, "");
    let mut client = server.client("curious");
    assert_eq!(client.subscribe("plant/key", 1), 0x87);
    let words = [
        "curious asked for plant/key",
        "not allowed to subscribe",
        "access.toml:6 \"keys are secret\"",
        "Allow curious to subscribe",
    ];
    server.explains("curious", "plant/key", "subscribe_denied", &words);
}

#[test]
fn a_wide_subscription_that_is_filtered() {
    let rules = RULES.replace("\"publish\", \"subscribe\", \"receive\"", "\"receive\"");
    let server = Guarded::new(&rules, "[access]\nwide_subscriptions = \"filter\"\n");
    let mut client = server.client("wide");
    assert_eq!(client.subscribe("plant/#", 1), 1);
    let mut publisher = server.client("publisher");
    publisher.publish(&qos1("plant/key"));
    let words = [
        "wide subscribed to plant/#",
        "not allowed to receive plant/key",
        "access.toml:6 \"keys are secret\"",
        "Allow wide to receive",
    ];
    server.explains("wide", "plant/key", "receive_denied", &words);
}

#[test]
fn a_subscription_that_was_taken_away_later() {
    let server = Guarded::new(RULES, "");
    let mut client = server.client("trusted");
    assert_eq!(client.subscribe("plant/pump", 1), 1);
    fs::write(server.data.join("access.toml"), RULES.replace("plant/key", "plant/pump")).unwrap();
    let words = ["was taken away", "when its rights changed", "access.toml:6 \"keys are secret\""];
    server.explains("trusted", "plant/pump", "subscription_withdrawn", &words);
}
