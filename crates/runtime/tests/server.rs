//! A Server with real sockets: who gets in, who does not, and how it ends.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dunlin_engine::Settings;
use dunlin_runtime::{Listener, Place, Server, ServerOptions, StartError};

/// Nothing here takes this long, except where it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn options(shards: usize, settings: Settings) -> ServerOptions {
    ServerOptions {
        listeners: vec![Listener::tcp((Ipv4Addr::LOCALHOST, 0).into())],
        shards: Some(shards),
        settings: Arc::new(settings),
        seed: Some(1),
        authentication: None,
        on_failure: || {},
        journal: None,
    }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits for a condition on what the Server says of itself.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Reads to the end; a reset is an end too.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn port_zero_becomes_the_same_port_on_every_shard() {
    let server = Server::start(options(4, Settings::default())).unwrap();
    assert_ne!(server.addresses()[0].port(), 0);
    // Spread over the shards by the kernel: each of them must take its share.
    let clients: Vec<_> = (0..64).map(|_| connect(&server)).collect();
    wait_until("all are accepted", || server.traffic().accepted == clients.len() as u64);
}

#[test]
fn listeners_of_both_families_are_bound_in_the_order_given() {
    let mut options = options(2, Settings::default());
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    if TcpListener::bind(six).is_err() {
        return; // No IPv6 here.
    }
    options.listeners.push(Listener::tcp(six));
    let server = Server::start(options).unwrap();
    assert!(server.addresses()[0].is_ipv4());
    assert!(server.addresses()[1].is_ipv6());
    let _client = TcpStream::connect(server.addresses()[1]).unwrap();
    wait_until("it is accepted", || server.traffic().accepted == 1);
}

#[test]
fn a_port_in_use_is_refused_with_its_address() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut options = options(2, Settings::default());
    let taken = other.local_addr().unwrap();
    options.listeners = vec![Listener::tcp(taken)];
    let Err(StartError::Bind { place, source }) = Server::start(options) else { panic!("it started") };
    assert_eq!(place, Place::Tcp(taken));
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_port_that_another_server_shares_among_its_shards_is_refused() {
    let server = Server::start(options(2, Settings::default())).unwrap();
    let mut second = options(2, Settings::default());
    second.listeners = vec![Listener::tcp(server.addresses()[0])];
    assert!(matches!(Server::start(second), Err(StartError::Bind { .. })));
}

#[test]
fn numbers_of_shards_that_cannot_be_are_refused() {
    for wanted in [0, 65] {
        let result = Server::start(options(wanted, Settings::default()));
        assert!(matches!(result, Err(StartError::Shards { maximum: 64, .. })), "{wanted}");
    }
}

#[test]
fn connections_beyond_the_maximum_are_closed_at_once_and_counted() {
    let mut settings = Settings::default();
    settings.limits.connections_maximum = 3;
    let server = Server::start(options(2, settings.clone())).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| connect(&server)).collect();
    wait_until("three are in", || server.traffic().open == 3);

    assert!(is_closed(&mut connect(&server)));
    let traffic = server.traffic();
    assert_eq!((traffic.accepted, traffic.turned_away, traffic.open), (3, 1, 3));

    clients.pop();
    wait_until("one has left", || server.traffic().open == 2);
    clients.push(connect(&server));
    wait_until("another is in", || server.traffic().open == 3);

    settings.limits.connections_maximum = 4;
    server.reconfigure(Arc::new(settings));
    clients.push(connect(&server));
    wait_until("there is room for one more", || server.traffic().open == 4);
}

#[test]
fn a_server_that_is_shut_down_ends_and_its_port_is_free() {
    let server = Server::start(options(2, Settings::default())).unwrap();
    let address = server.addresses()[0];
    let mut clients: Vec<_> = (0..5).map(|_| connect(&server)).collect();
    wait_until("all are in", || server.traffic().open == 5);

    server.shut_down();
    server.shut_down();
    let summary = server.wait().unwrap();
    assert_eq!(summary.traffic.accepted, 5);
    for client in &mut clients {
        assert!(is_closed(client));
    }
    let mut again = options(2, Settings::default());
    again.listeners = vec![Listener::tcp(address)];
    Server::start(again).unwrap();
}

#[test]
fn a_server_that_is_dropped_leaves_no_thread_behind() {
    let server = Server::start(options(3, Settings::default())).unwrap();
    let mut client = connect(&server);
    wait_until("it is in", || server.traffic().open == 1);
    drop(server);
    assert!(is_closed(&mut client));
}

#[test]
fn a_visit_finds_its_shard_between_two_events_and_none_where_there_is_none() {
    let server = Server::start(options(3, Settings::default())).unwrap();
    let observer = server.observer();
    let _clients: Vec<_> = (0..12).map(|_| connect(&server)).collect();
    let opened = || {
        let visits = (0..observer.shards())
            .map(|shard| observer.visit(shard, |engine, _, _| engine.counters().connections))
            .collect::<Vec<_>>();
        visits.into_iter().map(|visit| visit.recv_timeout(PATIENCE).unwrap()).sum::<u64>()
    };
    wait_until("visits to all shards see all connections", || opened() == 12);
    assert!(observer.visit(3, |_, _, _| ()).recv_timeout(PATIENCE).is_err(), "there is no fourth shard");
    server.shut_down();
    server.wait().unwrap();
    assert!(observer.visit(0, |_, _, _| ()).recv_timeout(PATIENCE).is_err(), "the Server has ended");
}
