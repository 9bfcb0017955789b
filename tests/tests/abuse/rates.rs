//! What becomes of a Client that sends faster than it may, seen from outside.

use dunlin_tests::request::{PINGREQ, PUBACK};
use dunlin_tests::{Broker, Packet, Publish, Version};

fn broker(exceeded: &str) -> Broker {
    let limits = format!("[limits]\nmessages_per_second = 20\nrate_exceeded = '{exceeded}'\n");
    Broker::start_with_config(&limits, &["--shards", "2"])
}

fn forty(version: Version) -> Vec<u8> {
    (1..=40).flat_map(|id| Publish::new("t", id.to_string()).qos(1, id).bytes(version)).collect()
}

#[test]
fn a_client_that_is_slowed_loses_nothing() {
    let broker = broker("slow");
    for version in [Version::V311, Version::V5] {
        let mut client = broker.connect(version, "fast");
        client.send(forty(version));
        for id in 1..=40 {
            client.expect_ack(PUBACK, id);
        }
    }
    assert!(broker.logged("client sends faster than it may").contains("action=Slow"));
}

#[test]
fn a_5_0_client_is_told_that_its_message_is_refused() {
    let broker = broker("refuse");
    let mut client = broker.connect(Version::V5, "fast");
    client.send(forty(Version::V5));
    let codes: Vec<u8> = (1..=40).map(|id| client.expect_ack(PUBACK, id)).collect();
    assert!(codes.iter().take(20).all(|code| *code < 0x80), "{codes:02x?}");
    assert!(codes.contains(&0x97), "{codes:02x?}");
}

#[test]
fn a_client_is_disconnected_and_told_why() {
    let broker = broker("disconnect");
    let mut client = broker.connect(Version::V5, "fast");
    client.send_anyway(forty(Version::V5));
    loop {
        match client.packet() {
            Packet::PubAck(_) => {}
            Packet::Disconnect(code, _) => break assert_eq!(code, 0x96),
            other => panic!("{other:?}"),
        }
    }
}

/// The settings that change hold for those who are there.
#[test]
fn a_bound_can_be_lifted_while_somebody_waits() {
    let mut client;
    let broker = Broker::start_with_config("[limits]\nmessages_per_second = 1\n", &["--shards", "1"]);
    client = broker.connect(Version::V311, "fast");
    client.send(forty(Version::V311));
    client.send(PINGREQ);
    broker.logged("client sends faster than it may");
    broker.reload("[limits]\nmessages_per_second = 0\n");
    for id in 1..=40 {
        client.expect_ack(PUBACK, id);
    }
    assert_eq!(client.packet(), Packet::PingResp);
}
