//! Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use dunlin_tests::Broker;

use crate::directory::Directory;
use crate::{TCP, mosquitto};

fn start(path: &Path, more: &str, shards: &str) -> Broker {
    let toml = format!("{TCP}[[listener]]\nurl = \"unix:{}\"\n{more}", path.display());
    Broker::start_with_listeners(&toml, &["--shards", shards])
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn mosquitto_clients_come_through_the_file() {
    for shards in ["1", "4"] {
        let directory = Directory::new();
        let path = directory.file("mqtt.sock");
        let broker = start(&path, "", shards);
        let options = ["--unix", path.to_str().unwrap()];
        // Identifiers at home on every shard: the connection moves.
        for client in ["one", "two", "three", "four", "five"] {
            mosquitto::round_trip(&[&options[..], &["-i", client]].concat(), client);
        }
        mosquitto::reaches_tcp(&broker, &options, "across");
    }
}

#[test]
fn the_file_has_its_mode_and_goes_at_the_end() {
    let directory = Directory::new();
    let path = directory.file("mqtt.sock");
    let mut broker = start(&path, "", "1");
    assert_eq!(mode(&path), 0o660);
    broker.signal("TERM");
    assert!(broker.wait().success());
    assert!(!path.exists());

    let _broker = start(&path, "permissions = \"600\"", "2");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_file_left_behind_by_a_killed_process_is_replaced() {
    let directory = Directory::new();
    let path = directory.file("mqtt.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves it behind");
    let _broker = start(&path, "", "1");
    mosquitto::round_trip(&["--unix", path.to_str().unwrap()], "t");
}
