//! `dunlin doctor clients`: bad clients are found, each for what is bad about it, and good ones are left alone.
//!
//! Every fixture is a client or a few, behind a proxy that says where they come from, and its name says which it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

mod bad;
mod good;
mod stage;

use std::collections::BTreeSet;

use stage::Stage;

#[test]
fn bad_clients_are_found_among_good_ones() {
    for shards in ["1", "4"] {
        let mut stage = Stage::new(shards);
        for (fixture, (play, _)) in (1..).zip(bad::FIXTURES) {
            stage.play(&format!("198.51.100.{fixture}"), play);
        }
        for (fixture, play) in (1..).zip(good::FIXTURES) {
            stage.play(&format!("203.0.113.{fixture}"), play);
        }
        let (code, report) = stage.examine(&["--fail-on", "medium"]);
        let found: Vec<(String, String)> =
            report["findings"].as_array().unwrap().iter().map(stage::told).collect();
        let at_bad: BTreeSet<(&str, &str)> = found
            .iter()
            .map(|(who, check)| (who.as_str(), check.as_str()))
            .filter(|(who, _)| who.contains("bad-"))
            .collect();
        let wanted: BTreeSet<(&str, &str)> = bad::FIXTURES.iter().map(|(_, wanted)| *wanted).collect();
        assert_eq!(at_bad, wanted, "with {shards} shards: {report:#}");
        let others: Vec<_> = found.iter().filter(|(who, _)| !who.contains("bad-")).collect();
        // That they all come through a proxy is said once.
        assert!(
            matches!(others[..], [(who, check)] if who.starts_with("listener ") && check == "plain-text"),
            "{others:?}"
        );
        assert_eq!(code, 6);
    }
}

#[test]
fn good_clients_alone_are_no_reason_to_fail() {
    let mut stage = Stage::new("2");
    for (fixture, play) in (1..).zip(good::FIXTURES) {
        stage.play(&format!("203.0.113.{fixture}"), play);
    }
    let (code, report) = stage.examine(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["clients"].as_u64().unwrap() > good::FIXTURES.len() as u64, "{report:#}");
}

#[test]
fn one_client_is_looked_at_and_told_of_in_words() {
    let mut stage = Stage::new("2");
    stage.play("198.51.100.1", bad::keep_alive_off);
    stage.play("198.51.100.2", bad::fight);
    let (_, report) = stage.examine(&["--client", "bad-keep-alive"]);
    assert_eq!(report["findings"].as_array().unwrap().len(), 2, "it and the proxy: {report:#}");
    let (code, text) = stage.doctor(&["--client", "bad-fight"]);
    assert_eq!(code, 6);
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("medium: client bad-fight (") && first.ends_with("[client-id-fight]"),
        "{text}"
    );
    assert!(
        text.contains("\n  mend: ") && text.contains("\n  saves: ") && text.contains("198.51.100.2"),
        "{text}"
    );
    let (code, text) = stage.doctor(&["--client", "nobody"]);
    assert_eq!((code, &*text), (0, "dunlin: looked at 0 clients: nothing found\n"));
}

#[test]
fn without_a_broker_there_is_nobody_to_ask() {
    let directory = stage::Directory::new();
    let output = stage::dunlin(&directory, &["doctor", "clients"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no broker is running on"), "{output:?}");
}
