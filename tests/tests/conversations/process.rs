//! The process itself: it begins, it ends, it tells its Clients.

use dunlin_tests::request::Publish;
use dunlin_tests::{Broker, Connect, Version};

use Version::{V5, V31, V311};

/// [MQTT-3.14.4-2] [MQTT-4.13.2-1] SIGTERM and SIGINT: DISCONNECT 0x8B to 5.0, exit status 0.
#[test]
fn a_signal_ends_it_cleanly_and_tells_the_clients() {
    for signal in ["TERM", "INT"] {
        for shards in ["1", "4"] {
            let mut broker = Broker::start(&["--shards", shards]);
            let mut new: Vec<_> = (0..6).map(|number| broker.connect(V5, &format!("n{number}"))).collect();
            let mut old = [broker.connect(V311, "o1"), broker.connect(V31, "o2")];
            broker.signal(signal);
            for client in &mut new {
                client.expect_disconnect(0x8b);
            }
            for client in &mut old {
                client.expect_closed();
            }
            assert!(broker.wait().success());
        }
    }
}

/// A signal reaches an idle broker as well.
#[test]
fn an_idle_broker_ends_at_a_signal() {
    let mut broker = Broker::start(&[]);
    broker.signal("TERM");
    assert!(broker.wait().success());
}

/// [MQTT-4.2.0-1] More clients than anybody has looked at, all at once.
#[test]
fn five_hundred_clients_are_served() {
    let broker = Broker::start(&["--shards", "4"]);
    let mut clients: Vec<_> = (0..500).map(|number| broker.connect(V311, &format!("c{number}"))).collect();
    for client in &mut clients {
        client.subscribe("all", 0);
    }
    clients[0].send(Publish::new("all", "m").bytes(V311));
    for client in &mut clients {
        client.expect_publish("all", "m");
    }
}

/// [MQTT-4.1.0-2] Connections that come and go leave nothing behind that hinders.
#[test]
fn connections_that_come_and_go_leave_room() {
    let broker = Broker::start(&["--shards", "4"]);
    for number in 0..1500 {
        let client = broker.connect_with(&Connect::new(V5, format!("c{}", number % 50)));
        if number % 2 == 0 {
            client.cut();
        } else {
            client.disconnect();
        }
    }
    broker.connect(V5, "last").ping();
}

/// [MQTT-3.1.4-1] A half-closed connection is over.
#[test]
fn a_client_that_half_closes_is_closed() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect(V311, "x");
    client.half_close();
    client.expect_closed();
}
