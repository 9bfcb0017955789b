//! OpenTelemetry: what a collector gets that knows the official definitions.

use std::path::Path;
use std::process::Command;

use dunlin_tests::prop::user;
use dunlin_tests::{Broker, Publish, Subscribe, Version};
use serde_json::Value;

use crate::{Directory, Program};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector, and its port.
fn collector() -> (Program, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = root.join("tests/clients/python/collector.py");
    let collector = Program::start(Command::new(root.join(".venv/bin/python")).arg(script));
    let port = collector.line();
    assert!(port.parse::<u16>().is_ok(), "{port}: run make setup-tests");
    (collector, port)
}

fn next(collector: &Program, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let found: Value = serde_json::from_str(&collector.line()).unwrap();
        assert!(found.get("error").is_none(), "{found}");
        if wanted(&found) {
            return found;
        }
    }
}

#[test]
fn a_message_is_followed_from_its_publisher_to_every_acknowledgement() {
    let data = Directory::new("otlp");
    let token = data.0.join("token");
    std::fs::write(&token, "Bearer abc\n").unwrap();
    let (collector, port) = collector();
    let toml = format!(
        "[opentelemetry]\nendpoint = \"http://127.0.0.1:{port}\"\nauthorization_file = {token:?}\n\
         metrics_interval_seconds = 1\n"
    );
    let broker = Broker::start_with_config(&toml, &["--shards", "2"]);
    let mut subscriber = broker.connect(Version::V5, "subscriber");
    subscriber.send(Subscribe::new(1).filter("t", 1).bytes(Version::V5));
    subscriber.packet();
    let mut publisher = broker.connect(Version::V5, "publisher");
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let publish = Publish::new("t", "1").qos(1, 5).property(&user("traceparent", &parent));
    publisher.send(publish.bytes(Version::V5));
    publisher.packet();
    subscriber.packet();
    subscriber.send([0x40, 2, 0, 1]);

    let mut spans = Vec::new();
    while spans.len() < 4 {
        spans.push(next(&collector, |found| found.get("span").is_some()));
    }
    let named =
        |name: &str| spans.iter().find(|span| span["span"] == name).unwrap_or_else(|| panic!("{spans:#?}"));
    let (publish, route) = (named("publish"), named("route"));
    let (deliver, acknowledge) = (named("deliver"), named("acknowledge"));
    for span in &spans {
        assert_eq!((&span["trace"], &span["service"]), (&TRACE.into(), &"dunlin".into()), "{span}");
        assert_eq!(span["attributes"]["messaging.destination.name"], "t");
        assert_eq!(span["authorization"], "Bearer abc");
        assert!(span["took"].as_i64().unwrap() >= 0 && span["failed"] == false, "{span}");
    }
    assert_eq!(publish["parent"], PARENT);
    assert_eq!(publish["attributes"]["messaging.client.id"], "publisher");
    assert_eq!(route["parent"], publish["id"]);
    assert_eq!(deliver["parent"], route["id"]);
    assert_eq!(deliver["attributes"]["messaging.client.id"], "subscriber");
    assert_eq!(acknowledge["parent"], deliver["id"]);

    let connections = next(&collector, |found| found["metric"] == "mqtt_connections");
    assert_eq!((&connections["kind"], &connections["points"]), (&"gauge".into(), &1.into()));
    next(&collector, |found| found["metric"] == "runtime_tick_seconds" && found["kind"] == "histogram");
    let published = next(&collector, |found| found["metric"] == "mqtt_publish_received");
    assert_eq!((&published["kind"], &published["points"]), (&"sum".into(), &3.into()));
}

#[test]
fn a_collector_that_is_away_holds_up_nobody() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = format!("[opentelemetry]\nendpoint = \"http://{free}\"\nsampled_per_million = 1000000\n");
    let broker = Broker::start_with_config(&toml, &[]);
    let mut client = broker.connect(Version::V311, "c");
    for id in 1..=200 {
        client.send(Publish::new("t", "1").qos(1, id).bytes(Version::V311));
        client.packet();
    }
    broker.logged("the collector cannot be reached");
}
