//! The page of metrics.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use dunlin_tests::request::Publish;
use dunlin_tests::{Broker, DEADLINE, Version};

/// A configuration with metrics and a listener for TLS whose certificate ends on 2031-02-03.
pub(crate) fn full_configuration(directory: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let (certificate, key_file) = (directory.join("server.crt"), directory.join("server.key"));
    std::fs::write(&certificate, parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    format!(
        "[metrics]\nlisten = \"127.0.0.1:0\"\nsys_interval_seconds = 1\n\
         [[listener]]\nurl = \"tcp://127.0.0.1:0\"\n\
         [[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key_file:?}\n"
    )
}

/// A directory of a test's own, removed when this is dropped.
pub(crate) struct Directory(pub(crate) std::path::PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dunlin-monitoring-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn get(address: &str, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn body(broker: &Broker, headers: &str) -> String {
    let answer = get(broker.metrics().unwrap(), "/metrics", headers);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Waits until a line of the page is there.
#[track_caller]
fn shows(broker: &Broker, line: &str) {
    let until = Instant::now() + DEADLINE;
    let mut page = body(broker, "");
    while !page.lines().any(|found| found == line) {
        assert!(Instant::now() < until, "{line} is not in\n{page}");
        std::thread::yield_now();
        page = body(broker, "");
    }
}

/// Names and kinds of docs/metrics.md.
pub(crate) fn catalogue() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    cells.map(|cells| (cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned())).collect()
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool cannot be run: run make setup-tests");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{input}");
}

#[test]
fn every_metric_of_the_catalogue_is_shown_and_promtool_has_nothing_against_it() {
    let directory = Directory::new("page");
    let data = directory.0.join("data");
    let broker = Broker::start_with_listeners(
        &full_configuration(&directory.0),
        &["--shards", "2", "--data", data.to_str().unwrap()],
    );
    let page = body(&broker, "");
    let catalogue = catalogue();
    assert!(catalogue.len() > 40, "{catalogue:?}");
    for (name, kind) in catalogue {
        assert!(page.contains(&format!("\n# TYPE {name} {kind}\n")), "{name} is not in\n{page}");
    }
    assert!(
        page.contains("\ntls_certificate_expiry_timestamp_seconds{listener=\"0\"} 1927843200\n"),
        "{page}"
    );
    promtool(&["check", "metrics"], &page);
    assert!(body(&broker, "Accept: application/openmetrics-text\r\n").ends_with("# EOF\n"));
}

#[test]
fn what_clients_do_is_counted() {
    for shards in ["1", "3"] {
        let broker = Broker::start_with_config("[metrics]\nlisten = \"127.0.0.1:0\"", &["--shards", shards]);
        let mut subscriber = broker.connect(Version::V5, "s");
        subscriber.subscribe("t", 1);
        let mut publisher = broker.connect(Version::V311, "p");
        publisher.publish(&Publish::new("t", "four"));
        subscriber.expect_publish("t", "four");
        publisher.publish(&Publish::new("t", "five5").qos(1, 1));
        subscriber.take("t", "five5");
        publisher.publish(&Publish::new("nobody", "r").qos(1, 2).retain());
        for line in [
            "mqtt_connections 2",
            "mqtt_connects_total 2",
            "mqtt_sessions 2",
            "mqtt_subscriptions 1",
            "mqtt_publish_received_total{qos=\"0\"} 1",
            "mqtt_publish_received_total{qos=\"1\"} 2",
            "mqtt_publish_sent_total{qos=\"0\"} 1",
            "mqtt_publish_sent_total{qos=\"1\"} 1",
            "mqtt_payload_received_bytes_total 10",
            "mqtt_payload_sent_bytes_total 9",
            "mqtt_retained_messages 1",
            "mqtt_publish_unmatched_total 1",
            "mqtt_publish_deliver_seconds_count 2",
        ] {
            shows(&broker, line);
        }
    }
}

#[test]
fn what_waits_and_what_is_lost_is_counted() {
    let broker = Broker::start_with_config(
        "[metrics]\nlisten = \"127.0.0.1:0\"\n[limits]\nqueue_messages_maximum = 3",
        &[],
    );
    let mut away = broker.connect_with(&dunlin_tests::Connect::new(Version::V311, "away").clean(false));
    away.subscribe("t", 1);
    away.disconnect();
    let mut publisher = broker.connect(Version::V311, "p");
    for id in 1..=5 {
        publisher.publish(&Publish::new("t", "x").qos(1, id));
    }
    publisher.publish(&Publish::new("t", "x"));
    shows(&broker, "mqtt_queued_messages 3");
    shows(&broker, "mqtt_sessions_disconnected 1");
    shows(&broker, "mqtt_messages_dropped_total{reason=\"queue_full\"} 2");
    shows(&broker, "mqtt_messages_dropped_total{reason=\"offline\"} 1");
}

#[test]
fn how_long_the_log_took_is_measured() {
    let directory = Directory::new("log");
    let broker = Broker::start_with_config(
        "[metrics]\nlisten = \"127.0.0.1:0\"",
        &["--shards", "1", "--data", directory.0.to_str().unwrap()],
    );
    let mut publisher = broker.connect(Version::V5, "p");
    publisher.publish(&Publish::new("t", "x").qos(1, 1).retain());
    shows(&broker, "mqtt_publish_acknowledge_seconds_count 1");
    let page = body(&broker, "");
    for name in ["store_append_seconds_count", "store_commit_seconds_count"] {
        assert!(!page.lines().any(|line| line == format!("{name} 0")), "{page}");
    }
}

#[test]
fn nothing_is_shown_that_is_not_asked_for() {
    let broker = Broker::start(&[]);
    assert_eq!(broker.metrics(), None);
    let broker = Broker::start_with_config("[metrics]\nlisten = \"127.0.0.1:0\"", &[]);
    let answer = get(broker.metrics().unwrap(), "/", "");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// Text for a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        let _ = write!(url, "%{byte:02x}");
        url
    })
}
