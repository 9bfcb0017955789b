//! QUIC, by a client of another library: quinn.

use std::io;
use std::path::Path;
use std::sync::Arc;

use dunlin_tests::{Broker, DEADLINE, Version};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::version::TLS13;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::certificates::Authority;
use crate::directory::Directory;
use crate::tls::listener;
use crate::{TCP, peer};

/// A client with its own thread's worth of runtime.
struct Client {
    runtime: Runtime,
    _endpoint: Endpoint,
    connection: Connection,
    stream: Option<(SendStream, RecvStream)>,
}

impl Client {
    fn open(port: u16, tls: &Arc<rustls::ClientConfig>) -> Result<Self, String> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let opened = runtime.block_on(async {
            let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
            let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(Arc::clone(tls)).unwrap()));
            let connecting =
                endpoint.connect_with(config, ([127, 0, 0, 1], port).into(), "localhost").unwrap();
            let connection =
                timeout(DEADLINE, connecting).await.expect("an answer").map_err(|error| error.to_string())?;
            Ok::<_, String>((endpoint, connection))
        });
        let (endpoint, connection) = opened?;
        Ok(Self { runtime, _endpoint: endpoint, connection, stream: None })
    }

    /// A 3.1.1 client with Clean Session and no Keep Alive, connected.
    #[track_caller]
    fn connect(port: u16, tls: &Arc<rustls::ClientConfig>, client_id: &str) -> Self {
        let mut client = Self::open(port, tls).unwrap();
        client.send(&peer::connect_packet(client_id));
        assert_eq!(client.take(4), [0x20, 2, 0, 0]);
        client
    }

    fn stream(&mut self) -> &mut (SendStream, RecvStream) {
        let open = || self.runtime.block_on(self.connection.open_bi()).unwrap();
        self.stream.get_or_insert_with(open)
    }

    #[track_caller]
    fn send(&mut self, bytes: &[u8]) {
        self.stream();
        let (send, _) = self.stream.as_mut().unwrap();
        self.runtime.block_on(async { timeout(DEADLINE, send.write_all(bytes)).await }).unwrap().unwrap();
    }

    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<u8> {
        self.read(count).unwrap()
    }

    fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.stream();
        let (_, receive) = self.stream.as_mut().unwrap();
        let mut bytes = vec![0; count];
        let read = self.runtime.block_on(async { timeout(DEADLINE, receive.read_exact(&mut bytes)).await });
        read.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(bytes)
    }

    #[track_caller]
    fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        assert_eq!(self.take(2), [0xd0, 0]);
    }

    /// Why the server closed.
    #[track_caller]
    fn closed(&self) -> String {
        self.runtime
            .block_on(async { timeout(DEADLINE, self.connection.closed()).await })
            .unwrap()
            .to_string()
    }
}

struct Fixture {
    directory: Directory,
    authority: Authority,
    broker: Broker,
}

impl Fixture {
    fn start(more: &str, shards: &str) -> Self {
        let directory = Directory::new();
        let authority = Authority::new(&directory, "authority");
        let server = authority.server(&directory, "server");
        let toml = format!("{TCP}{}", listener("quic://127.0.0.1:0", &server, more));
        let broker = Broker::start_with_listeners(&toml, &["--shards", shards]);
        Self { directory, authority, broker }
    }

    fn port(&self) -> u16 {
        self.broker.port("quic")
    }

    fn config(&self) -> Arc<rustls::ClientConfig> {
        peer::config(&self.authority.file, &[&TLS13])
    }
}

fn publish(topic: u8, payload: &[u8]) -> Vec<u8> {
    let mut length = payload.len() + 3;
    let mut packet = vec![0x30];
    while length > 127 {
        packet.push(0x80 | u8::try_from(length & 127).unwrap());
        length >>= 7;
    }
    packet.push(u8::try_from(length).unwrap());
    packet.extend([0, 1, topic]);
    packet.extend(payload);
    packet
}

#[test]
fn clients_over_quic_and_tcp_see_each_other() {
    for shards in ["1", "4"] {
        let fixture = Fixture::start("[log.areas]\nconnection = \"debug\"", shards);
        let mut tcp = fixture.broker.connect(Version::V5, "tcp");
        tcp.subscribe("q", 0);
        let config = fixture.config();
        // Identifiers at home on every shard: the connection moves.
        for name in ["one", "two", "three", "four", "five"] {
            let mut client = Client::connect(fixture.port(), &config, name);
            client.send(&publish(b'q', name.as_bytes()));
            tcp.expect_publish("q", name);
            client.ping();
            let line = fixture.broker.logged(&format!("client_id={name}"));
            assert!(line.contains("address=127.0.0.1:"), "{line}");
        }
    }
}

#[test]
fn a_lost_connection_and_one_that_leaves_are_told_apart() {
    let fixture = Fixture::start("", "2");
    let config = fixture.config();
    let mut watcher = fixture.broker.connect(Version::V311, "watcher");
    watcher.subscribe("will", 0);
    let with_will = |name: u8| {
        let packet = b"\x10\x19\x00\x04MQTT\x04\x06\x00\x00\x00\x01n\x00\x04will\x00\x04gone";
        let mut packet = packet.to_vec();
        packet[14] = name;
        packet
    };
    let mut leaver = Client::open(fixture.port(), &config).unwrap();
    leaver.send(&with_will(b'l'));
    assert_eq!(leaver.take(4), [0x20, 2, 0, 0]);
    leaver.send(&[0xe0, 0]);
    leaver.closed();

    let mut lost = Client::open(fixture.port(), &config).unwrap();
    lost.send(&with_will(b'x'));
    assert_eq!(lost.take(4), [0x20, 2, 0, 0]);
    lost.connection.close(7_u32.into(), b"");
    watcher.expect_publish("will", "gone");
}

#[test]
fn what_the_server_says_last_arrives() {
    let mut fixture = Fixture::start("", "2");
    let config = fixture.config();
    // Malformed: a second CONNECT, to which 5.0 gets an answer.
    let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c";
    let mut twice = Client::open(fixture.port(), &config).unwrap();
    twice.send(connect);
    let header = twice.take(2);
    twice.take(header[1].into());
    twice.send(connect);
    assert_eq!(twice.take(1), [0xe0]);
    twice.closed();

    let mut there = Client::open(fixture.port(), &config).unwrap();
    there.send(connect);
    let header = there.take(2);
    there.take(header[1].into());
    fixture.broker.signal("TERM");
    assert_eq!(there.take(3)[0], 0xe0);
    there.closed();
    assert!(fixture.broker.wait().success());
}

#[test]
fn a_slow_reader_gets_everything() {
    const COUNT: u8 = 120;
    const PAYLOAD: usize = 64 * 1024;
    let fixture = Fixture::start("[limits]\noutput_bytes_maximum = 8_388_608", "2");
    let config = fixture.config();
    let mut slow = Client::connect(fixture.port(), &config, "slow");
    slow.send(&[0x82, 6, 0, 1, 0, 1, b't', 0]);
    assert_eq!(slow.take(5), [0x90, 3, 0, 1, 0]);
    let mut publisher = Client::connect(fixture.port(), &config, "publisher");
    for number in 0..COUNT {
        publisher.send(&publish(b't', &[number; PAYLOAD]));
    }
    publisher.ping();
    for number in 0..COUNT {
        let expected = publish(b't', &[number; PAYLOAD]);
        assert!(slow.take(expected.len()) == expected, "message {number}");
    }
    slow.ping();
}

#[test]
fn certificates_are_asked_for_checked_and_replaced() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "clients");
    let list = directory.write("clients.crl", &authority.revocations(&[8]));
    let fixture = Fixture::start(&format!("client_ca = {:?}\nclient_crl = {list:?}", authority.file), "2");
    let trusted: &Path = &fixture.authority.file;
    let comes_in = |tls: &Arc<rustls::ClientConfig>| {
        // The client's own handshake is done before the server has seen its certificate.
        let Ok(mut client) = Client::open(fixture.port(), tls) else { return false };
        let stream = client.runtime.block_on(client.connection.open_bi());
        let Ok((mut send, receive)) = stream else { return false };
        if client.runtime.block_on(send.write_all(&peer::connect_packet("c"))).is_err() {
            return false;
        }
        client.stream = Some((send, receive));
        client.read(4).is_ok()
    };
    let good = authority.client_numbered(&directory, "good", 7);
    let lost = authority.client_numbered(&directory, "lost", 8);
    assert!(comes_in(&peer::with_identity(trusted, &[&TLS13], &good)));
    assert!(!comes_in(&peer::with_identity(trusted, &[&TLS13], &lost)));
    assert!(!comes_in(&fixture.config()));
    fixture.broker.logged("connection closed by its transport");

    let new = Authority::new(&fixture.directory, "new");
    new.server(&fixture.directory, "server");
    fixture.broker.logged("certificates reloaded");
    assert!(comes_in(&peer::with_identity(&new.file, &[&TLS13], &good)));
    assert!(!comes_in(&peer::with_identity(trusted, &[&TLS13], &good)));
}

#[test]
fn another_protocol_is_refused_and_a_silent_peer_given_up() {
    let fixture = Fixture::start("[admission]\nhandshake_timeout_ms = 300", "1");
    let other = peer::config_of(&fixture.authority.file, &[&TLS13], b"h3");
    assert!(Client::open(fixture.port(), &other).is_err());

    let silent = Client::open(fixture.port(), &fixture.config()).unwrap();
    silent.closed();
    fixture.broker.logged("admission.handshake_timeout_ms");

    // What is no QUIC at all is not answered, and harms nobody.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in [&b"\x10\x0c\x00\x04MQTT"[..], &[0xff; 1_400], &[0xc0, 0, 0, 0, 1, 8, 0, 0], b""] {
        socket.send_to(bytes, ("127.0.0.1", fixture.port())).unwrap();
    }
    Client::connect(fixture.port(), &fixture.config(), "after").ping();
}
