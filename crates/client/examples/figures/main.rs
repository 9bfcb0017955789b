//! What the client costs, beside rumqttc and Paho C: messages a second and a CPU second, memory of an idle client, and how
//! a thousand clients come back after they lost the same server.
//!
//! `cargo run --release -p dunlin-client --example figures [ROUNDS]`; Paho C needs `cc` and libpaho-mqtt, and is left out
//! without them.
//!
//! Each client runs in a process of its own, against a server in this one that does what the protocol asks and nothing
//! else, so that the figures are those of the client. All speak MQTT 5, have 100 messages in flight and one thread of
//! their own to run on, where they can choose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a tool for those who develop the library"
)]

mod cost;
mod dunlin;
mod paho;
mod rumqtt;
mod sink;
mod storm;

use std::net::SocketAddr;
use std::process::Command;

use cost::Cost;
use dunlin_client::QoS;
use sink::Sink;

/// Bytes of a payload.
const PAYLOAD: usize = 64;
/// Messages in flight, either way.
const IN_FLIGHT: u16 = 100;
/// Clients that are connected and silent.
const IDLE: usize = 1_000;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Publish(QoS),
    Receive(QoS),
    Idle,
}

const TASKS: [(&str, Task, usize); 7] = [
    ("publish-0", Task::Publish(QoS::AtMostOnce), 1_000_000),
    ("publish-1", Task::Publish(QoS::AtLeastOnce), 500_000),
    ("publish-2", Task::Publish(QoS::ExactlyOnce), 250_000),
    ("receive-0", Task::Receive(QoS::AtMostOnce), 1_000_000),
    ("receive-1", Task::Receive(QoS::AtLeastOnce), 500_000),
    ("receive-2", Task::Receive(QoS::ExactlyOnce), 250_000),
    ("idle", Task::Idle, IDLE),
];

const CLIENTS: [&str; 3] = ["dunlin", "rumqttc", "paho-c"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [client, task, count, to] => child(client, task, count.parse().unwrap(), to.parse().unwrap()),
        ["storm"] => storm::report(),
        [] => report(3, ""),
        [rounds] => report(rounds.parse().expect("the number of rounds"), ""),
        [rounds, task] => report(rounds.parse().expect("the number of rounds"), task),
        _ => eprintln!("figures [ROUNDS [TASK] | storm]"),
    }
}

/// One client, in its own process.
fn child(client: &str, task: &str, count: usize, to: SocketAddr) {
    let task = TASKS.iter().find(|(name, ..)| *name == task).expect("a task").1;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cost = match client {
        "dunlin" => runtime.block_on(dunlin::run(task, count, to)),
        "rumqttc" => runtime.block_on(rumqtt::run(task, count, to)),
        other => panic!("{other} is no client"),
    };
    println!("{cost}");
}

/// All tasks whose names begin so.
fn report(rounds: usize, only: &str) {
    let paho = paho::build();
    println!("{PAYLOAD} bytes, {IN_FLIGHT} in flight, MQTT 5; median of {rounds} rounds, taken in turn\n");
    println!("| task | client | messages/s | messages/CPU s | spread |\n|---|---|---:|---:|---|");
    for (name, task, count) in TASKS.into_iter().filter(|(name, ..)| name.starts_with(only)) {
        let clients: Vec<&str> =
            CLIENTS.into_iter().filter(|name| *name != "paho-c" || paho.is_some()).collect();
        let mut costs = vec![Vec::new(); clients.len()];
        for _ in 0..rounds {
            for (client, costs) in clients.iter().zip(&mut costs) {
                // It needs twenty times as long.
                let count = if *client == "paho-c" { count / 20 } else { count };
                let sink = Sink::start(task, count);
                let to = sink.address().to_string();
                let mut command = match (*client, &paho) {
                    ("paho-c", Some(paho)) => Command::new(paho),
                    _ => Command::new(std::env::current_exe().unwrap()),
                };
                if *client != "paho-c" {
                    command.arg(client);
                }
                let output = command.args([name, &count.to_string(), &to]).output().unwrap();
                assert!(output.status.success(), "{client}: {}", String::from_utf8_lossy(&output.stderr));
                costs.push(Cost::parse(count, &String::from_utf8_lossy(&output.stdout)).expect("a cost"));
            }
        }
        for (client, costs) in clients.iter().zip(&mut costs) {
            println!("| {name} | {client} | {}", cost::row(task, costs));
        }
    }
    if only.is_empty() {
        println!();
        storm::report();
    }
}
