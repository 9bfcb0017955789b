//! `dunlin trace`: lines, JSON, and captures that Wireshark's dissector reads.

use std::process::Command;

use dunlin_tests::prop::user;
use dunlin_tests::{Broker, Connect, Publish, Subscribe, Version, binary};
use serde_json::Value;

use crate::{Directory, Program};

fn start(data: &Directory) -> Broker {
    Broker::start(&["--data", data.path(), "--shards", "2"])
}

/// A trace that has begun.
fn trace(data: &Directory, arguments: &[&str]) -> Program {
    let program =
        Program::start(Command::new(binary()).args(["trace", "--data", data.path()]).args(arguments));
    assert_eq!(program.line(), "dunlin: tracing");
    program
}

/// A Client that connects, subscribes, publishes to itself and leaves: thirteen packets.
fn talk(broker: &Broker, client_id: &str) {
    let connect = Connect::new(Version::V5, client_id).user_name("u").password("s3cret!");
    let connect = connect.property(&user("x-token", "abcdef"));
    let mut wire = broker.connect_with(&connect);
    wire.send(Subscribe::new(1).filter("t/#", 2).bytes(Version::V5));
    wire.packet();
    wire.send(Publish::new("t/1", "hello").qos(1, 7).bytes(Version::V5));
    wire.packet();
    wire.packet();
    wire.send([0x40, 2, 0, 1]);
    wire.send(Publish::new("t/large", "x".repeat(100_000)).bytes(Version::V5));
    wire.packet();
    wire.send([0xc0, 0]);
    wire.packet();
    wire.send([0xe0, 0]);
}

const TYPES: [&str; 13] = [
    "CONNECT",
    "CONNACK",
    "SUBSCRIBE",
    "SUBACK",
    "PUBLISH",
    "PUBLISH",
    "PUBACK",
    "PUBACK",
    "PUBLISH",
    "PUBLISH",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
];

#[test]
fn a_line_for_each_packet_with_what_it_says_and_without_what_is_secret() {
    let data = Directory::new("lines");
    let broker = start(&data);
    let program = trace(&data, &["--client", "talk*", "--count", "13"]);
    talk(&broker, "other");
    talk(&broker, "talker");
    let lines = program.rest();
    assert_eq!(lines.len(), 13, "{lines:#?}");
    assert!(lines.iter().all(|line| line[15..].starts_with(" talker ")), "{lines:#?}");
    assert!(!lines.concat().contains("s3cret!") && !lines.concat().contains("abcdef"), "{lines:#?}");
    for (at, expected) in [
        (0, "-> CONNECT"),
        (0, "password=*******"),
        (1, "<- CONNACK"),
        (1, "Success"),
        (2, "t/# qos=2"),
        (3, "[Granted QoS 2]"),
        (4, "-> PUBLISH  t/1  qos=1  id=7  \"hello\""),
        (9, "(100014 bytes)"),
        (12, "Normal disconnection"),
    ] {
        assert!(lines[at].contains(expected), "{expected} is not in {}", lines[at]);
    }
}

#[test]
fn json_has_every_field_and_secrets_where_they_are_asked_for() {
    let data = Directory::new("json");
    let broker = start(&data);
    let program = trace(&data, &["--json", "--secrets", "--packet-type", "connect", "--count", "1"]);
    talk(&broker, "c");
    let line = program.rest().concat();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["password"], "s3cret!");
    assert_eq!(record["properties"]["user_properties"][0][1], "abcdef");
    assert_eq!((&record["type"], &record["direction"]), (&"CONNECT".into(), &"received".into()));
    assert!(record["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
}

#[test]
fn topics_are_followed_to_their_acknowledgements() {
    let data = Directory::new("topics");
    let broker = start(&data);
    let program = trace(&data, &["--json", "--topic", "t/1", "--count", "6"]);
    talk(&broker, "c");
    let lines = program.rest();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let types: Vec<_> = records.map(|record| record["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types[..2], ["SUBSCRIBE", "SUBACK"]);
    assert_eq!(types.iter().filter(|name| *name == "PUBLISH").count(), 2);
    assert_eq!(types.iter().filter(|name| *name == "PUBACK").count(), 2);
}

#[test]
fn with_a_mount_point_both_names_are_shown() {
    let data = Directory::new("mounted");
    let listener = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nmount_point = \"site1/\"\n";
    let broker = Broker::start_with_listeners(listener, &["--data", data.path()]);
    let lines = trace(&data, &["--topic", "site1/t/1", "--count", "6"]);
    let json = trace(&data, &["--json", "--topic", "site1/#", "--packet-type", "subscribe", "--count", "1"]);
    let short = trace(&data, &["--topic", "t/#", "--for", "1"]);
    talk(&broker, "c");
    let lines = lines.rest();
    for (at, expected) in [(0, "  site1/t/# (as t/#) qos=2  "), (2, "  site1/t/1 (as t/1)  qos=1  ")] {
        assert!(lines[at].contains(expected), "{expected} is not in {}", lines[at]);
    }
    let record: Value = serde_json::from_str(&json.rest().concat()).unwrap();
    let filter = &record["filters"][0];
    assert_eq!((&filter["filter"], &filter["whole_filter"]), (&"t/#".into(), &"site1/t/#".into()));
    assert_eq!(short.rest(), [""; 0], "nobody but the client knows it by that name");
}

#[test]
fn what_is_no_topic_filter_is_refused() {
    let data = Directory::new("refused");
    let _broker = start(&data);
    let output =
        Command::new(binary()).args(["trace", "--data", data.path(), "--topic", "a/#/b"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("topic"), "{output:?}");
}

/// The dissector's fields of each frame that is MQTT.
fn dissected(capture: &str, fields: &[&str], filter: &str) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-r", capture, "-Y", filter, "-T", "fields", "-E", "separator=;"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark cannot be run: run make setup-tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn wireshark_reads_a_capture() {
    let data = Directory::new("capture");
    let broker = start(&data);
    let mut before = broker.connect(Version::V5, "before");
    let capture = data.0.join("trace.pcapng");
    let capture = capture.to_str().unwrap();
    let program = trace(&data, &["--pcapng", capture, "--count", "15"]);
    before.send(Publish::new("t/2", "1").qos(1, 3).bytes(Version::V5));
    before.packet();
    talk(&broker, "talker");
    program.rest();
    let wrong = dissected(
        capture,
        &["frame.number"],
        "_ws.malformed or tcp.analysis.flags or tcp.checksum.status == 0",
    );
    assert_eq!(wrong, [""; 0]);
    let types = dissected(capture, &["mqtt.msgtype"], "mqtt");
    // The connection that was there gets a CONNECT that says which version it speaks.
    let named: Vec<_> =
        TYPES.iter().map(|name| NAMES.iter().position(|known| known == name).unwrap().to_string()).collect();
    let mut expected: Vec<_> = ["1", "3", "4"].map(str::to_owned).to_vec();
    expected.extend(named);
    let (mut found, mut wanted) = (types.clone(), expected.clone());
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{types:?}");
    let published = dissected(capture, &["mqtt.topic", "mqtt.qos"], "mqtt.msgtype == 3 and mqtt.qos == 1");
    assert!(
        published.contains(&"t/1;1".to_owned()) && published.contains(&"t/2;1".to_owned()),
        "{published:?}"
    );
    let versions = dissected(capture, &["mqtt.clientid", "mqtt.ver"], "mqtt.msgtype == 1");
    assert_eq!(versions, ["before;5", "talker;5"]);
    let passwords = dissected(capture, &["mqtt.passwd"], "mqtt.passwd");
    assert_eq!(passwords, ["*******"]);
}

const NAMES: [&str; 16] = [
    "",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];
