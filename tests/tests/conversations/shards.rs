//! Clients whose sessions live on different shards notice nothing of it.

use dunlin_tests::request::{PUBACK, Publish, Subscribe};
use dunlin_tests::{Broker, Connect, Packet, Version, Wire};

use Version::{V5, V311};

fn sharded() -> Broker {
    Broker::start(&["--shards", "4"])
}

fn crowd(broker: &Broker, version: Version, count: usize) -> Vec<Wire> {
    (0..count).map(|number| broker.connect(version, &format!("client-{number}"))).collect()
}

/// [MQTT-4.5.0-1] [MQTT311-4.5.0-1]
#[test]
fn every_client_reaches_every_other() {
    let broker = sharded();
    for version in [V311, V5] {
        let mut clients = crowd(&broker, version, 16);
        for (number, client) in clients.iter_mut().enumerate() {
            client.subscribe(&format!("to/{number}"), 1);
        }
        for from in 0..16 {
            for to in 0..16 {
                let publish = Publish::new(format!("to/{to}"), from.to_string()).qos(1, 1);
                clients[from].send(publish.bytes(version));
            }
            collect(&mut clients, from);
        }
    }
}

/// The sender gets sixteen PUBACKs and one message, every other one message.
fn collect(clients: &mut [Wire], from: usize) {
    for (number, client) in clients.iter_mut().enumerate() {
        let mut acknowledged = if number == from { 16 } else { 0 };
        let mut received = 0;
        while acknowledged > 0 || received == 0 {
            match client.packet() {
                Packet::PubAck(_) => acknowledged -= 1,
                Packet::Publish(publish) => {
                    assert_eq!(publish.text(), from.to_string());
                    client.ack(PUBACK, publish.id);
                    received += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(received, 1);
    }
}

/// [MQTT-3.8.4-1] [MQTT311-3.8.4-1] A message published after a SUBACK was received is delivered.
#[test]
fn a_subscription_counts_from_its_suback_on_every_shard() {
    let broker = sharded();
    let mut publishers = crowd(&broker, V5, 8);
    for round in 0..40 {
        let mut subscriber = broker.connect(V5, &format!("s{round}"));
        let topic = format!("t/{round}");
        subscriber.subscribe(&topic, 0);
        for (number, publisher) in publishers.iter_mut().enumerate() {
            publisher.publish(&Publish::new(&topic, number.to_string()));
        }
        let mut seen: Vec<_> = (0..8).map(|_| subscriber.expect_any_publish().text()).collect();
        seen.sort();
        assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] Order of each publisher, for each subscriber.
#[test]
fn order_holds_from_each_publisher_to_each_subscriber() {
    const EACH: usize = 100;
    let broker = sharded();
    let mut subscribers: Vec<_> = (0..6).map(|number| broker.connect(V5, &format!("s{number}"))).collect();
    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        subscriber.subscribe("o/#", u8::from(number % 2 == 0));
    }
    let mut publishers: Vec<_> = (0..6).map(|number| broker.connect(V311, &format!("p{number}"))).collect();
    for number in 0..EACH {
        for (publisher, wire) in publishers.iter_mut().enumerate() {
            let id = u16::try_from(number + 1).unwrap();
            wire.send(Publish::new(format!("o/{publisher}"), number.to_string()).qos(1, id).bytes(V311));
        }
    }
    for wire in &mut publishers {
        for number in 0..EACH {
            wire.expect_ack(PUBACK, u16::try_from(number + 1).unwrap());
        }
    }
    for subscriber in &mut subscribers {
        let mut next = [0_usize; 6];
        for publish in subscriber.take_all(6 * EACH) {
            let publisher: usize = publish.topic["o/".len()..].parse().unwrap();
            assert_eq!(publish.text(), next[publisher].to_string(), "{publish:?}");
            next[publisher] += 1;
        }
    }
}

/// [MQTT-3.3.1-9] [MQTT311-3.3.1-6] Retained messages are the whole broker's.
#[test]
fn retained_messages_are_seen_from_every_shard() {
    let broker = sharded();
    for (number, publisher) in crowd(&broker, V5, 16).iter_mut().enumerate() {
        publisher.publish(&Publish::new(format!("r/{number}"), "m").qos(1, 1).retain());
    }
    for reader in 0..8 {
        let mut reader = broker.connect(V311, &format!("reader{reader}"));
        reader.subscribe("r/+", 0);
        let mut topics: Vec<_> = (0..16).map(|_| reader.expect_any_publish().topic).collect();
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), 16);
    }
}

/// [MQTT-4.8.2-1] A group spans the shards.
#[test]
fn a_shared_group_spans_shards() {
    let broker = sharded();
    let mut members = crowd(&broker, V5, 8);
    for member in &mut members {
        member.subscribe("$share/g/work", 1);
    }
    let mut publisher = broker.connect(V5, "p");
    for number in 1..=80_u16 {
        publisher.publish(&Publish::new("work", number.to_string()).qos(1, number));
    }
    let mut all = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        let end = format!("end/{number}");
        member.send(Subscribe::new(1).filter(&end, 1).bytes(V5));
        loop {
            match member.packet() {
                Packet::SubAck(_) => {
                    publisher.publish(&Publish::new(&end, "").qos(1, 1));
                }
                Packet::Publish(publish) => {
                    member.ack(PUBACK, publish.id);
                    if publish.topic == end {
                        break;
                    }
                    all.push(publish.text().parse::<u16>().unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    all.sort_unstable();
    assert_eq!(all, (1..=80).collect::<Vec<_>>());
}

/// [MQTT-3.1.2-5] [MQTT311-3.1.2-4] Wherever a connection lands, it finds its Session.
#[test]
fn a_client_finds_its_session_however_often_it_comes_back() {
    let broker = sharded();
    for version in [V311, V5] {
        for number in 0..16 {
            let lasting = Connect::new(version, format!("s{number}")).lasting(100);
            let mut client = broker.connect_with(&lasting);
            client.subscribe("all", 1);
            client.disconnect();
        }
        let mut publisher = broker.connect(version, "p");
        for round in 1..=3_u16 {
            publisher.publish(&Publish::new("all", round.to_string()).qos(1, round));
            for number in 0..16 {
                let lasting = Connect::new(version, format!("s{number}")).lasting(100);
                let mut back = broker.connect_with(&lasting);
                assert!(back.connack.clone().unwrap().session_present);
                back.take("all", &round.to_string());
                back.ping();
                back.disconnect();
            }
        }
        for number in 0..16 {
            broker.connect(version, &format!("s{number}")).disconnect();
        }
    }
}

/// [MQTT-3.1.2-8] [MQTT311-3.1.2-8] Wills cross shards.
#[test]
fn a_will_reaches_subscribers_on_every_shard() {
    let broker = sharded();
    let mut watchers = crowd(&broker, V5, 8);
    for watcher in &mut watchers {
        watcher.subscribe("will", 1);
    }
    for number in 0..4 {
        let payload = number.to_string();
        let will = Publish::new("will", &payload).qos(1, 0);
        broker.connect_with(&Connect::new(V311, format!("dying{number}")).will(will)).cut();
        for watcher in &mut watchers {
            watcher.take("will", &payload);
        }
    }
}

/// [MQTT-4.3.3-8] [MQTT311-4.3.3-2] Two clients that flood each other do not deadlock.
#[test]
fn two_clients_that_publish_to_each_other_both_finish() {
    let broker = sharded();
    for (one, other) in [("a", "b"), ("c", "h"), ("e", "z")] {
        let pair = [(one, other), (other, one)].map(|(own, to)| {
            let mut client = broker.connect(V311, own);
            client.subscribe(&format!("to/{own}"), 1);
            (client, format!("to/{to}"))
        });
        let threads = pair.map(|(mut client, to)| {
            std::thread::spawn(move || {
                let mut incoming = 0;
                let mut acknowledged = 0;
                for id in 1..=2000_u16 {
                    client.send(Publish::new(&to, "x".repeat(200)).qos(1, id).bytes(V311));
                    while id - acknowledged > 50 {
                        step(&mut client, &mut incoming, &mut acknowledged);
                    }
                }
                while incoming < 2000 || acknowledged < 2000 {
                    step(&mut client, &mut incoming, &mut acknowledged);
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

fn step(client: &mut Wire, incoming: &mut u16, acknowledged: &mut u16) {
    match client.packet() {
        Packet::PubAck(_) => *acknowledged += 1,
        Packet::Publish(publish) => {
            client.ack(PUBACK, publish.id);
            *incoming += 1;
        }
        other => panic!("{other:?}"),
    }
}
