//! `dunlin torture`: it passes a broker that keeps its word, and finds out one that does not.

use std::env;
use std::path::Path;

use crate::process::{TemporaryFile, fails, run};

fn dunlin(more: &str) -> String {
    format!("{} serve --dev --listen 127.0.0.1:{{port}} {more}", env!("CARGO_BIN_EXE_dunlin"))
}

/// The verdict, after this exit code.
#[track_caller]
fn verdict(code: i32, arguments: &[&str]) -> String {
    let output = run(&[&["torture", "--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}\n{error}");
    text
}

fn count(verdict: &str, name: &str) -> u64 {
    let (_, after) = verdict.split_once(&format!("\"{name}\":")).expect(verdict);
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn remove_remains(verdict: &str) {
    if let Some((_, after)) = verdict.split_once("\"kept\":\"") {
        let path = after.split('"').next().unwrap();
        assert!(Path::new(path).starts_with(env::temp_dir()));
        std::fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn a_broker_that_is_not_killed_passes() {
    let verdict = verdict(0, &["--start", &dunlin(""), "--kills", "0", "--seed", "1"]);
    assert!(verdict.contains("\"passed\":true") && verdict.contains("\"kept\":null"), "{verdict}");
    assert!(count(&verdict, "acknowledged") > 50 && count(&verdict, "delivered") > 50, "{verdict}");
}

#[test]
fn a_broker_that_keeps_everything_in_memory_is_found_out() {
    let verdict = verdict(1, &["--start", &dunlin(""), "--kills", "3", "--seed", "2"]);
    assert!(verdict.contains("\"passed\":false"), "{verdict}");
    assert!(count(&verdict, "lost") > 0 && count(&verdict, "session_forgotten") > 0, "{verdict}");
    assert_eq!(
        count(&verdict, "protocol") + count(&verdict, "changed") + count(&verdict, "down"),
        0,
        "{verdict}"
    );
    remove_remains(&verdict);
}

/// Ten kills, or `DUNLIN_KILLS`.
#[test]
fn dunlin_with_a_data_directory_keeps_its_word() {
    let kills = env::var("DUNLIN_KILLS").unwrap_or_else(|_| "10".to_owned());
    verdict(0, &["--start", &dunlin("--data {data}"), "--kills", &kills]);
}

/// What is only written outlives the process, killed at any moment; the same broker told to keep all in memory is found out.
#[test]
fn a_broker_that_only_writes_keeps_its_word_when_it_is_killed() {
    let with = |durability: &str| {
        let file = TemporaryFile::new(&format!("[storage]\ndurability = \"{durability}\"\n"));
        let start = dunlin(&format!("--data {{data}} --config {}", file.path()));
        (file, start)
    };
    let (_file, start) = with("written");
    verdict(0, &["--start", &start, "--kills", "5", "--seed", "3"]);
    let (_file, start) = with("memory");
    let verdict = verdict(1, &["--start", &start, "--kills", "2", "--seed", "4"]);
    assert!(count(&verdict, "session_forgotten") > 0, "{verdict}");
    remove_remains(&verdict);
}

#[test]
fn a_command_that_is_none_is_2_and_one_that_starts_nothing_is_4() {
    assert!(fails(2, &["torture", "--start", "a 'b"]).contains("a quotation mark is missing"));
    assert!(fails(2, &["torture", "--start", "a {config}"]).contains("{config} needs --config"));
    assert!(fails(4, &["torture", "--start", "/nonexistent/broker {port}"]).contains("/nonexistent/broker"));
    let error = fails(4, &["torture", "--start", "true"]);
    assert!(error.contains("the broker ended by itself (exit code 0)"), "{error}");
}
