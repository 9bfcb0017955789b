//! A Prometheus that scrapes a broker, with the alert rules and the queries of the dashboard that the project ships.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_tests::Broker;
use dunlin_tests::request::Publish;

use crate::page::{Directory, catalogue, full_configuration, get, percent_encoded};

/// Rates need two scrapes, a second apart.
const PATIENCE: Duration = Duration::from_secs(60);

fn contributed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(name).canonicalize().unwrap()
}

/// A running Prometheus; dropping it ends it.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(directory: &Path, target: &str) -> Self {
        let configuration = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n\
             rule_files: [{:?}]\n\
             scrape_configs:\n- job_name: dunlin\n  static_configs:\n  - targets: [{target:?}]\n",
            contributed("prometheus/alerts.yml")
        );
        let file = directory.join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus cannot be run: run make setup-tests");
        let address = free.to_string();
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "prometheus does not listen on {address}");
            std::thread::yield_now();
        }
        Self { child, address }
    }

    fn ask(&self, target: &str) -> String {
        get(&self.address, target, "")
    }

    fn query(&self, query: &str) -> String {
        self.ask(&format!("/api/v1/query?query={}", percent_encoded(query)))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The queries of the dashboard, with its variables filled in.
fn queries() -> Vec<String> {
    let dashboard = std::fs::read_to_string(contributed("grafana/dunlin.json")).unwrap();
    let lines = dashboard.lines().filter_map(|line| line.trim().strip_prefix("\"expr\": \""));
    let expressions =
        lines.map(|line| line.trim_end_matches(',').trim_end_matches('"').replace("\\\"", "\""));
    expressions
        .map(|expression| {
            let expression = expression.replace("$__rate_interval", "5s");
            expression.replace("$job", "dunlin").replace("$instance", ".+")
        })
        .collect()
}

#[test]
fn every_query_of_the_dashboard_has_data_and_every_rule_is_healthy() {
    let directory = Directory::new("prometheus");
    let data = directory.0.join("data");
    let broker = Broker::start_with_listeners(
        &full_configuration(&directory.0),
        &["--shards", "2", "--data", data.to_str().unwrap()],
    );
    let mut client = broker.connect(dunlin_tests::Version::V5, "c");
    client.subscribe("t", 0);
    client.publish(&Publish::new("t", "x"));
    let prometheus = Prometheus::start(&directory.0, broker.metrics().unwrap());
    let queries = queries();
    assert!(queries.len() > 50, "{queries:?}");
    let until = Instant::now() + PATIENCE;
    for query in &queries {
        let mut answer = prometheus.query(query);
        while !answer.contains("\"result\":[{") {
            assert!(Instant::now() < until, "no data for {query}: {answer}");
            std::thread::yield_now();
            answer = prometheus.query(query);
        }
    }
    let mut rules = prometheus.ask("/api/v1/rules");
    while rules.contains("\"health\":\"unknown\"") {
        assert!(Instant::now() < until, "{rules}");
        std::thread::yield_now();
        rules = prometheus.ask("/api/v1/rules");
    }
    assert!(rules.contains("DunlinDown") && !rules.contains("\"health\":\"err\""), "{rules}");
}

#[test]
fn dashboard_and_rules_name_metrics_that_there_are() {
    let mut texts = queries();
    let rules = std::fs::read_to_string(contributed("prometheus/alerts.yml")).unwrap();
    texts.extend(rules.lines().filter_map(|line| Some(line.trim().strip_prefix("expr: ")?.to_owned())));
    let mut used = Vec::new();
    for text in &texts {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let is_ours = |word: &&str| {
            ["mqtt_", "store_", "runtime_", "tls_", "process_", "dunlin_", "otlp_"]
                .iter()
                .any(|area| word.starts_with(area))
        };
        used.extend(words.filter(is_ours).map(|word| word.trim_end_matches("_bucket")));
    }
    let catalogue = catalogue();
    let known = |name: &str| catalogue.iter().any(|(known, _)| known == name);
    assert!(
        used.iter().all(|name| known(name)),
        "{:?}",
        used.iter().filter(|name| !known(name)).collect::<Vec<_>>()
    );
    // And the dashboard leaves none out.
    let missing: Vec<_> = catalogue.iter().filter(|(name, _)| !used.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
