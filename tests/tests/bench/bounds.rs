//! What cannot be measured is refused, in words that name the value and the limit.

use std::net::{SocketAddr, TcpListener};

use dunlin_tests::Broker;

use crate::bench;

#[test]
fn a_bound_is_named_before_anything_is_connected() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    for (arguments, expected) in [
        ("fan-in -s 23", "size of the payload is 23, allowed are 24 to 16777216"),
        ("idle --connections 2000000", "connections is 2000000, allowed are 1 to 1000000"),
        (
            "fan-in --publishers 100000 --subscribers 1000",
            "publishers times subscribers is 100000000, allowed are 0 to 20000000",
        ),
        ("fan-in --threads 0", "threads is 0, allowed are 1 to 256"),
        ("fan-in -r 0", "rate is 0 a second"),
        ("fan-in -r nan", "rate is NaN"),
        ("fan-in -t 0.001", "duration in milliseconds is 1, allowed are 10 to 86400000"),
        ("fan-in --time=-1", "--time: -1 is no time in seconds"),
        ("backlog -q 0", "it needs QoS 1 or 2, not 0"),
        ("backlog -r 5", "it has no fixed rate"),
        ("connect -n 5", "it ends after a time"),
        ("pairs --publishers 2 --subscribers 3", "as many publishers as subscribers"),
        ("wildcards --topics 5", "a topic for each publisher"),
        ("fan-in -M 0", "invalid value '0'"),
        ("fan-in -M 65536", "invalid value '65536'"),
        ("fan-in --vs nothing", "it is NAME=HOST:PORT"),
        ("fan-in --cafile /nowhere/ca.pem", "/nowhere/ca.pem"),
        ("sideways", "invalid value 'sideways'"),
    ] {
        let output = bench(nobody, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(expected), "{arguments}: {said}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

/// Each connection is a file, and this process may open few.
#[test]
fn more_connections_than_files_are_refused() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let binary = crate::binary();
    let script = format!(
        "ulimit -n 200; exec {} bench idle -h 127.0.0.1 -p {} --connections 500",
        binary.display(),
        nobody.port()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("500 connections need 564 files, and this process may open 200"), "{said}");
}

#[test]
fn nobody_there_is_said_with_the_reason() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let output = bench(address, "fan-in");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("0 of 51 connections were made") && said.contains("refused"), "{said}");
}

#[test]
fn a_broker_with_too_few_places_is_named_with_its_reason() {
    let broker = Broker::start_with_config("[limits]\nconnections_maximum = 10\n", &[]);
    let output = bench(broker.address(), "idle --connections 20");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("of 20 connections were made"), "{said}");
}

/// Progress is for terminals: a log has none of it.
#[test]
fn what_is_no_terminal_sees_no_progress() {
    let broker = Broker::start(&[]);
    let output = bench(broker.address(), "fan-in -n 100");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\nlost "));
}
