//! `dunlin explain` and its routes: a broker that is found by its URL, a watch that goes on, and what is refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{ON_A_PORT, Server};
use crate::secured::Directory;

const DEADLINE: Duration = Duration::from_secs(20);

/// It has no data directory, and anybody of this machine may ask it.
fn without_directory(directory: &Directory) -> Server {
    Server::launch(directory, ON_A_PORT, &["--dev"])
}

fn publish(directory: &Directory, server: &Server, topic: &str) {
    directory.run(&["pub", "-h", "127.0.0.1", "-p", &server.port, "-i", "sensor", "-t", topic, "-m", "21"]);
}

#[test]
fn a_broker_without_a_data_directory_is_asked_by_its_url() {
    let directory = Directory::new();
    let server = without_directory(&directory);
    let question = ["explain", "--api", &server.api, "--client", "display", "--topic", "a/b"];
    let answer = directory.run(&[&question[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["cause"], &answer["evidence"]), (&json!("unknown_client"), &json!([])), "{answer:#}");
    publish(&directory, &server, "a/b");
    let text = directory.run(&question);
    assert!(text.contains("  sensor published to a/b with QoS 0, 0 receivers\n"), "{text}");
    assert!(text.starts_with("No client \"display\" is known"), "{text}");

    // There is nothing in its data directory, as it has none.
    let nobody = directory.fails(1, &["explain", "--client", "display", "--topic", "a/b"]);
    assert!(nobody.contains("no broker is running on"), "{nobody}");
}

#[test]
fn a_watch_prints_steps_while_it_goes_on_and_the_verdict_at_its_end() {
    let directory = Directory::new();
    let server = without_directory(&directory);
    let question = ["explain", "--api", &server.api, "--client", "display", "--topic", "a/b"];
    let mut command = directory.dunlin(&[&question[..], &["--watch", "1h"]].concat());
    let mut long = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(long.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut known = String::new();
    while !known.contains("a/b") {
        publish(&directory, &server, "a/b");
        known = lines.next().unwrap();
    }
    assert!(known.ends_with("  sensor published to a/b with QoS 0, 0 receivers"), "{known}");
    long.kill().unwrap();
    long.wait().unwrap();

    let text = directory.run(&[&question[..], &["--watch", "1s"]].concat());
    let verdict =
        text.lines().position(|line| line.starts_with("No client \"display\" is known")).unwrap_or(0);
    assert!(verdict > 0 && text.lines().nth(verdict - 1).unwrap().contains("sensor published"), "{text}");
    let json = directory.run(&[&question[..], &["--watch", "1s", "--json"]].concat());
    assert!(serde_json::from_str::<Value>(&json).unwrap()["evidence"][0]["what"].is_string(), "{json}");
}

/// A stream that has begun, and what it begins with.
fn watch(server: &Server, topic: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.api.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let target = format!("/api/v1/explain/watch?client=c&topic={topic}");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut begin, mut byte) = (Vec::new(), [0]);
    while !begin.ends_with(b"}") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&begin));
        begin.push(byte[0]);
    }
    (stream, String::from_utf8(begin).unwrap())
}

#[test]
fn watches_are_bounded_and_end_with_whoever_asked_for_them() {
    let directory = Directory::new();
    let server = without_directory(&directory);
    let all: Vec<_> = (0..64).map(|number| watch(&server, &format!("t{number}"))).collect();
    for (_, begin) in &all {
        assert!(begin.contains("text/event-stream") && begin.contains("event: begin"), "{begin}");
    }
    let (_, refused) = watch(&server, "one-more");
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    // A second one of the same takes no room.
    assert!(watch(&server, "t0").1.contains("event: begin"));
    drop(all);
    let until = Instant::now() + DEADLINE;
    while !watch(&server, "one-more").1.contains("event: begin") {
        assert!(Instant::now() < until, "watches of those who went go on");
    }
}

#[test]
fn what_is_no_question_is_refused_with_what_would_be_one() {
    let directory = Directory::new();
    let server = without_directory(&directory);
    for (target, name) in [
        ("explain?client=c&topic=a/%23", Some("topic")),
        ("explain?client=c&topic=", Some("topic")),
        ("explain?client=c&topic=a&at=later", Some("at")),
        ("explain?client=c", None),
        ("explain?client=c&topic=a&seconds=1", None),
        ("explain/watch?client=c&topic=a/%2B", Some("topic")),
        ("explain/watch?client=c&topic=a&seconds=0", Some("seconds")),
        ("explain/watch?client=c&topic=a&seconds=86401", Some("seconds")),
    ] {
        let (status, problem, _) = server.ask("GET", &format!("/api/v1/{target}"), "", "");
        assert_eq!((status, problem["name"].as_str()), (400, name), "{target}: {problem}");
        assert!(name.is_none() || problem["allowed"].is_string(), "{problem}");
    }
}
