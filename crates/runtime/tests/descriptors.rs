//! A Server whose process may open no more files. A process of its own, as the limit holds for all of its threads.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dunlin_engine::Settings;
use dunlin_runtime::{Listener, Server, ServerOptions};
use rustix::process::{Resource, Rlimit, setrlimit};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn newcomers_are_closed_at_once_while_no_descriptor_is_left_and_welcome_again_afterwards() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: Some(200) }).unwrap();
    let server = Server::start(ServerOptions {
        listeners: vec![Listener::tcp((Ipv4Addr::LOCALHOST, 0).into())],
        shards: Some(1),
        settings: Arc::new(Settings::default()),
        seed: Some(1),
        authentication: None,
        on_failure: || {},
        journal: None,
    })
    .unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }

    for turned_away in 1..=5 {
        files.pop(); // For the client's own end.
        let mut client = TcpStream::connect(server.addresses()[0]).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed, without a word");
        wait_until("it is counted", || server.traffic().turned_away == turned_away);
        drop(client);
        files.extend(File::open("/dev/null"));
    }
    assert_eq!(server.traffic().accepted, 0);

    drop(files);
    let _client = TcpStream::connect(server.addresses()[0]).unwrap();
    wait_until("somebody is accepted", || server.traffic().accepted == 1);
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}
