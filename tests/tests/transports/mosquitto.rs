//! mosquitto_pub and mosquitto_sub.

use std::process::{Command, Output, Stdio};

use dunlin_tests::{Broker, Version};

/// Publishes a retained message to `topic`, and reads it back over the same transport.
#[track_caller]
pub(crate) fn round_trip(options: &[&str], topic: &str) {
    let said = publish(options, topic, "hello");
    assert!(said.status.success(), "mosquitto_pub: {}", text(&said));
    let read = run("mosquitto_sub", options, &["-t", topic, "-C", "1", "-W", "10"]);
    assert!(read.status.success(), "mosquitto_sub: {}", text(&read));
    assert_eq!(String::from_utf8_lossy(&read.stdout), "hello\n");
}

/// Publishes a retained message with QoS 1.
pub(crate) fn publish(options: &[&str], topic: &str, payload: &str) -> Output {
    run("mosquitto_pub", options, &["-t", topic, "-m", payload, "-q", "1", "-r"])
}

/// Publishes and expects a client over TCP to get it.
#[track_caller]
pub(crate) fn reaches_tcp(broker: &Broker, options: &[&str], topic: &str) {
    let mut subscriber = broker.connect(Version::V5, "tcp");
    subscriber.subscribe(topic, 0);
    let said = publish(options, topic, "across");
    assert!(said.status.success(), "mosquitto_pub: {}", text(&said));
    subscriber.expect_publish(topic, "across");
}

fn run(tool: &str, options: &[&str], more: &[&str]) -> Output {
    let mut command = Command::new(tool);
    command.args(options).args(more).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{tool} cannot be run ({error}): run make setup-tests"))
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
