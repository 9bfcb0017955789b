//! The topics below `$SYS`.

use std::collections::BTreeSet;

use dunlin_tests::{Broker, Packet, Version, everywhere};

/// What an explorer reads.
const READ: [&str; 9] = [
    "version",
    "clients/total",
    "subscriptions/count",
    "messages/received",
    "messages/sent",
    "load/messages/received/5min",
    "load/messages/sent/5min",
    "heap/current",
    "heap/maximum",
];

#[test]
fn whoever_subscribes_finds_what_tools_read() {
    everywhere(|broker, version| {
        for name in READ {
            let topic = format!("$SYS/broker/{name}");
            let mut client = broker.connect(version, "tool");
            client.subscribe(&topic, 0);
            let found = client.expect_any_publish();
            assert_eq!(found.topic, topic);
            assert!(found.retain && !found.payload.is_empty(), "{found:?}");
        }
    });
}

#[test]
fn values_change_while_clients_come() {
    for shards in ["1", "4"] {
        let broker = Broker::start_with_config("[metrics]\nsys_interval_seconds = 1", &["--shards", shards]);
        let mut tool = broker.connect(Version::V5, "tool");
        tool.subscribe("$SYS/broker/clients/connected", 0);
        let _others = [broker.connect(Version::V311, "a"), broker.connect(Version::V5, "b")];
        let mut seen = BTreeSet::new();
        while !seen.contains("3") {
            seen.insert(String::from_utf8(tool.expect_any_publish().payload).unwrap());
        }
    }
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn nobody_gets_them_unasked() {
    let broker = Broker::start_with_config("[metrics]\nsys_interval_seconds = 1", &[]);
    let mut client = broker.connect(Version::V5, "c");
    for filter in ["#", "+/broker/uptime", "+/#"] {
        client.subscribe(filter, 0);
    }
    broker.pass_a_moment();
    client.ping();
}

#[test]
fn zero_seconds_switch_them_off() {
    let broker = Broker::start_with_config("[metrics]\nsys_interval_seconds = 0", &[]);
    let mut client = broker.connect(Version::V5, "c");
    client.subscribe("$SYS/#", 0);
    client.ping();
}

#[test]
fn the_bounds_of_retained_messages_are_the_clients() {
    let broker = Broker::start_with_config(
        "[metrics]\nsys_interval_seconds = 1\n[limits]\nretained_messages_maximum = 1",
        &["--shards", "1"],
    );
    let mut client = broker.connect(Version::V5, "c");
    client.publish(&dunlin_tests::request::Publish::new("t", "kept").retain());
    client.subscribe("t", 0);
    assert!(matches!(client.packet(), Packet::Publish(_)));
    client.subscribe("$SYS/broker/uptime", 0);
    assert_eq!(client.expect_any_publish().topic, "$SYS/broker/uptime");
}
