//! What peers send and get through the whole loop: pieces, hand-overs, large packets, slow readers, last words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dunlin_engine::Settings;
use dunlin_runtime::{Listener, Server, ServerOptions};

/// Nothing here takes this long, except where it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than any test has shards.
const CLIENTS: usize = 24;

fn start(shards: usize) -> Server {
    Server::start(ServerOptions {
        listeners: vec![Listener::tcp((Ipv4Addr::LOCALHOST, 0).into())],
        shards: Some(shards),
        settings: Arc::new(Settings::default()),
        seed: Some(1),
        authentication: None,
        on_failure: || {},
        journal: None,
    })
    .unwrap()
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut packet = vec![first];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        packet.push(digit | if rest > 0 { 128 } else { 0 });
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// 5.0, Clean Start, no Keep Alive.
fn connect(client_id: &str) -> Vec<u8> {
    packet(0x10, &[&string("MQTT"), &[5, 2, 0, 0, 0], &string(client_id)])
}

fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1, 0], &string(filter), &[qos]])
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&string(topic), &[0], payload])
}

fn publish_qos1(topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    packet(0x32, &[&string(topic), &id.to_be_bytes(), &[0], payload])
}

/// A packet as it came: first byte and body.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    first: u8,
    body: Vec<u8>,
}

impl Packet {
    /// Of a PUBLISH to a topic whose name has `topic` bytes, without properties.
    fn payload(&self, topic: usize) -> &[u8] {
        assert_eq!(self.first >> 4, 3, "{self:?} is no PUBLISH");
        let id = if self.first & 6 == 0 { 0 } else { 2 };
        &self.body[2 + topic + id + 1..]
    }
}

struct Client(TcpStream);

impl Client {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn connected(server: &Server, client_id: &str) -> Self {
        let mut client = Self::open(server);
        client.send(&connect(client_id));
        assert_eq!(client.receive().first, 0x20);
        client
    }

    fn subscribed(server: &Server, client_id: &str, filter: &str, qos: u8) -> Self {
        let mut client = Self::connected(server, client_id);
        client.send(&subscribe(filter, qos));
        assert_eq!(client.receive().body.last(), Some(&qos));
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn receive(&mut self) -> Packet {
        let mut first = [0];
        self.0.read_exact(&mut first).unwrap();
        let (mut len, mut shift) = (0_usize, 0);
        loop {
            let mut digit = [0];
            self.0.read_exact(&mut digit).unwrap();
            len |= usize::from(digit[0] & 127) << shift;
            shift += 7;
            if digit[0] < 128 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        Packet { first: first[0], body }
    }

    /// The peer closed its end in good order: not by a reset.
    fn is_at_end(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

#[test]
fn clients_find_their_session_on_whatever_shard_they_arrive() {
    let server = start(4);
    let mut clients: Vec<_> = (0..CLIENTS).map(|n| Client::connected(&server, &format!("c{n}"))).collect();
    for client in &mut clients {
        client.send(&[0xC0, 0]);
        assert_eq!(client.receive().first, 0xD0);
    }
}

/// The bytes behind CONNECT move with the connection.
#[test]
fn a_client_that_does_not_wait_for_connack_is_served_as_if_it_had() {
    let server = start(4);
    for n in 0..CLIENTS {
        let mut client = Client::open(&server);
        let topic = format!("t/{n}");
        client.send(&[connect(&format!("c{n}")), subscribe(&topic, 0), publish(&topic, b"hello")].concat());
        assert_eq!(client.receive().first, 0x20);
        let (second, third) = (client.receive(), client.receive());
        // The message may overtake SUBACK.
        let message = if second.first == 0x90 { third } else { second };
        assert_eq!(message.payload(topic.len()), b"hello");
    }
}

#[test]
fn packets_may_come_a_byte_at_a_time() {
    let server = start(2);
    for n in 0..4 {
        let mut client = Client::open(&server);
        for byte in [connect(&format!("c{n}")), vec![0xC0, 0]].concat() {
            client.send(&[byte]);
        }
        assert_eq!(client.receive().first, 0x20);
        assert_eq!(client.receive().first, 0xD0);
    }
}

#[test]
fn large_packets_come_through_in_pieces_of_any_size() {
    let server = start(2);
    let payload: Vec<u8> = (0..1_500_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for (n, piece) in [1_448, 5_000, 65_536, 200_000, 1_600_000].into_iter().enumerate() {
        let topic = format!("large/{n}");
        let mut subscriber = Client::subscribed(&server, &format!("s{n}"), &topic, 0);
        let mut publisher = Client::connected(&server, &format!("p{n}"));
        for piece in [publish(&topic, &payload), publish(&topic, b"next")].concat().chunks(piece) {
            publisher.send(piece);
        }
        assert!(subscriber.receive().payload(topic.len()) == payload, "pieces of {piece}");
        assert_eq!(subscriber.receive().payload(topic.len()), b"next");
    }
}

/// More than the sockets hold: the loop must notice that there is room again, and the engine that output was drained.
#[test]
fn a_subscriber_that_reads_late_gets_everything_in_order() {
    const COUNT: u32 = 3_000;
    let server = start(3);
    for n in 0..4 {
        let topic = format!("late/{n}");
        let mut subscriber = Client::subscribed(&server, &format!("s{n}"), &topic, 1);
        let mut publisher = Client::connected(&server, &format!("p{n}"));
        let mut payload = vec![0; 8 * 1024];
        for number in 0..COUNT {
            payload[..4].copy_from_slice(&number.to_be_bytes());
            let id = u16::try_from(number + 1).unwrap();
            publisher.send(&publish_qos1(&topic, id, &payload));
            assert_eq!(publisher.receive().first, 0x40);
        }
        for number in 0..COUNT {
            let message = subscriber.receive();
            assert_eq!(message.payload(topic.len())[..4], number.to_be_bytes());
            let id = 2 + topic.len();
            subscriber.send(&packet(0x40, &[&message.body[id..id + 2]]));
        }
    }
}

#[test]
fn every_subscriber_on_every_shard_gets_the_messages_of_every_publisher_in_order() {
    const COUNT: u32 = 2_000;
    let server = start(4);
    let subscribers: Vec<_> =
        (0..CLIENTS).map(|n| Client::subscribed(&server, &format!("s{n}"), "all/+", 0)).collect();
    let publishers: Vec<_> = (0..4).map(|n| Client::connected(&server, &format!("p{n}"))).collect();
    let readers: Vec<_> = subscribers
        .into_iter()
        .map(|mut subscriber| {
            std::thread::spawn(move || {
                let mut next = [0_u32; 4];
                for _ in 0..COUNT * 4 {
                    let message = subscriber.receive();
                    let from = usize::from(message.body[2 + 4] - b'0');
                    assert_eq!(message.payload(5), next[from].to_be_bytes());
                    next[from] += 1;
                }
            })
        })
        .collect();
    let writers: Vec<_> = publishers
        .into_iter()
        .enumerate()
        .map(|(n, mut publisher)| {
            std::thread::spawn(move || {
                let messages = (0..COUNT).map(|number| publish(&format!("all/{n}"), &number.to_be_bytes()));
                publisher.send(&messages.collect::<Vec<_>>().concat());
            })
        })
        .collect();
    for thread in writers.into_iter().chain(readers) {
        thread.join().unwrap();
    }
}

/// What the peer went on sending must not make the kernel destroy the DISCONNECT that says why.
#[test]
fn a_client_that_is_disconnected_while_it_sends_reads_why() {
    let server = start(2);
    for n in 0..8 {
        let mut client = Client::connected(&server, &format!("c{n}"));
        let second_connect = connect("again");
        client.send(&[second_connect, vec![0; 100_000]].concat());
        let disconnect = client.receive();
        assert_eq!((disconnect.first, disconnect.body[0]), (0xE0, 0x82));
        assert!(client.is_at_end());
    }
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answers() {
    let server = start(2);
    for n in 0..8 {
        let mut client = Client::open(&server);
        client.send(&[connect(&format!("c{n}")), vec![0xC0, 0]].concat());
        client.0.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.receive().first, 0x20);
        assert_eq!(client.receive().first, 0xD0);
        assert!(client.is_at_end());
    }
}

#[test]
fn a_client_that_says_goodbye_sees_the_connection_closed() {
    let server = start(2);
    let mut client = Client::connected(&server, "c");
    client.send(&[0xE0, 0]);
    assert!(client.is_at_end());
}

#[test]
fn clients_are_told_that_the_server_shuts_down_and_those_that_close_do_not_delay_it() {
    let server = start(2);
    let mut clients: Vec<_> = (0..CLIENTS).map(|n| Client::connected(&server, &format!("c{n}"))).collect();
    server.shut_down();
    for client in &mut clients {
        let disconnect = client.receive();
        assert_eq!((disconnect.first, disconnect.body[0]), (0xE0, 0x8B));
        assert!(client.is_at_end());
    }
    drop(clients);
    let summary = server.wait().unwrap();
    assert_eq!((summary.counters.connects, summary.traffic.open), (CLIENTS as u64, 0));
}
