//! TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use dunlin_tests::{Broker, DEADLINE};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::certificates::{Authority, Identity};
use crate::directory::Directory;
use crate::peer;
use crate::{TCP, mosquitto};

/// A listener with these files.
pub(crate) fn listener(url: &str, server: &Identity, more: &str) -> String {
    let (certificate, key) = (server.certificate.display(), server.key.display());
    format!("[[listener]]\nurl = \"{url}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{more}\n")
}

/// A broker on a TLS port.
fn start(server: &Identity, more: &str, shards: &str) -> Broker {
    let toml = format!("{TCP}{}", listener("tls://127.0.0.1:0", server, more));
    Broker::start_with_listeners(&toml, &["--shards", shards])
}

fn options<'a>(port: &'a str, authority: &'a Authority, more: &[&'a str]) -> Vec<&'a str> {
    [&["-h", "localhost", "-p", port, "--cafile", text(&authority.file)], more].concat()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn mosquitto_clients_come_over_either_version() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    for shards in ["1", "4"] {
        let broker = start(&server, "", shards);
        let port = broker.port("tls").to_string();
        for version in ["tlsv1.2", "tlsv1.3"] {
            // Identifiers at home on every shard: the connection moves, and its keys with it.
            for client in ["one", "two", "three", "four"] {
                let options = options(&port, &authority, &["--tls-version", version, "-i", client]);
                mosquitto::round_trip(&options, client);
            }
        }
        mosquitto::reaches_tcp(&broker, &options(&port, &authority, &["--tls-alpn", "mqtt"]), "across");
    }
}

#[test]
fn clients_show_the_certificates_that_they_are_asked_for() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let stranger = Authority::new(&directory, "stranger");
    let server = authority.server(&directory, "server");
    let friend = authority.client(&directory, "friend");
    let foe = stranger.client(&directory, "foe");
    for (setting, lets_nobody_in) in [("required", true), ("optional", false)] {
        let more = format!("client_ca = {:?}\nclient_certificate = \"{setting}\"", authority.file);
        let broker = start(&server, &more, "2");
        let port = broker.port("tls").to_string();
        let with = |who: &Identity| {
            let more = ["--cert", text(&who.certificate), "--key", text(&who.key)];
            mosquitto::publish(&options(&port, &authority, &more), "t", "hello")
        };
        assert!(with(&friend).status.success(), "{setting}");
        assert!(!with(&foe).status.success(), "{setting}");
        broker.logged("invalid peer certificate");
        let nobody = mosquitto::publish(&options(&port, &authority, &[]), "t", "hello");
        assert_eq!(nobody.status.success(), !lets_nobody_in, "{setting}: {}", mosquitto::text(&nobody));
    }
}

#[test]
fn sessions_are_resumed_and_by_another_shard_too() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let broker = start(&authority.server(&directory, "server"), "", "4");
    for version in [&TLS12, &TLS13] {
        let config = peer::config(&authority.file, &[version]);
        let mut first = peer::connect(broker.port("tls"), &config, "first");
        assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(first.conn.protocol_version(), Some(version.version));
        assert_eq!(first.conn.alpn_protocol(), Some(&b"mqtt"[..]));
        peer::ping(&mut first);
        for client in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let mut next = peer::connect(broker.port("tls"), &config, client);
            assert_eq!(next.conn.handshake_kind(), Some(HandshakeKind::Resumed), "{client}");
            peer::ping(&mut next);
        }
    }
}

#[test]
fn certificates_change_without_a_connection_dropped() {
    let directory = Directory::new();
    let old = Authority::new(&directory, "old");
    let new = Authority::new(&directory, "new");
    let server = old.server(&directory, "server");
    let broker = start(&server, "", "2");
    let port = broker.port("tls");
    let (trusts_old, trusts_new) = (peer::config(&old.file, &[&TLS13]), peer::config(&new.file, &[&TLS13]));
    let mut connected = peer::connect(port, &trusts_old, "connected");

    new.server(&directory, "server"); // The same files.
    broker.logged("certificates reloaded");
    peer::ping(&mut connected);
    peer::ping(&mut peer::connect(port, &trusts_new, "new"));

    std::fs::write(&server.certificate, "nonsense").unwrap();
    let line = broker.logged("certificates not reloaded");
    for part in ["ERROR", "server.crt", "has no certificate in it", "expected: a PEM file"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    peer::ping(&mut connected);
    peer::ping(&mut peer::connect(port, &trusts_new, "still new"));
}

#[test]
fn what_is_no_tls_is_closed_and_named() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let broker = start(&authority.server(&directory, "server"), "", "2");
    let requests: [(&[u8], &str); 3] = [
        (&peer::connect_packet("plain"), "speaks MQTT without TLS on a TLS port"),
        (b"GET / HTTP/1.1\r\n\r\n", "speaks HTTP without TLS on a TLS port"),
        (b"\0\0\0\0", "speaks something else without TLS on a TLS port"),
    ];
    for (bytes, reason) in requests {
        let mut plain = TcpStream::connect(("127.0.0.1", broker.port("tls"))).unwrap();
        plain.set_read_timeout(Some(DEADLINE)).unwrap();
        plain.write_all(bytes).unwrap();
        assert_eq!(plain.read(&mut [0; 64]).unwrap_or(0), 0);
        assert!(broker.logged(reason).contains("connection closed by its transport"));
    }
}

/// A handshake that is not finished holds no place for longer than it may take.
#[test]
fn a_handshake_has_a_time_limit() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let broker =
        start(&authority.server(&directory, "server"), "[admission]\nhandshake_timeout_ms = 200", "1");
    let mut silent = TcpStream::connect(("127.0.0.1", broker.port("tls"))).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    silent.write_all(&[22, 3, 1, 0, 200, 1]).unwrap();
    assert_eq!(silent.read(&mut [0; 64]).unwrap_or(0), 0);
    broker.logged("admission.handshake_timeout_ms");
}

#[test]
fn the_end_is_announced() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let broker = start(&authority.server(&directory, "server"), "", "2");
    let config = peer::config(&authority.file, &[&TLS12, &TLS13]);
    // A second CONNECT is a Protocol Error: closed by the server.
    let mut peer = peer::connect(broker.port("tls"), &config, "twice");
    peer.write_all(&peer::connect_packet("twice")).unwrap();
    // rustls answers a stream that is cut with an error.
    assert_eq!(peer.read(&mut [0; 64]).unwrap(), 0);

    let mut leaver = peer::connect(broker.port("tls"), &config, "leaver");
    leaver.write_all(&[0xe0, 0]).unwrap();
    assert_eq!(leaver.read(&mut [0; 64]).unwrap(), 0);
}

/// What a peer does not read waits, and comes complete and in order.
#[test]
fn a_slow_reader_gets_everything() {
    const COUNT: u8 = 120;
    const PAYLOAD: usize = 64 * 1024;
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let more = "[limits]\noutput_bytes_maximum = 8_388_608";
    for version in [&TLS12, &TLS13] {
        let broker = start(&authority.server(&directory, "server"), more, "2");
        let config = peer::config(&authority.file, &[version]);
        let mut slow = peer::connect(broker.port("tls"), &config, "slow");
        slow.write_all(&[0x82, 6, 0, 1, 0, 1, b't', 0]).unwrap();
        assert_eq!(peer::take(&mut slow, 5), [0x90, 3, 0, 1, 0]);

        let mut publisher = peer::connect(broker.port("tls"), &config, "publisher");
        let message = |number: u8| {
            let mut packet = vec![0x30, 0x83, 0x80, 0x04, 0, 1, b't'];
            packet.resize(packet.len() + PAYLOAD, number);
            packet
        };
        for number in 0..COUNT {
            publisher.write_all(&message(number)).unwrap();
        }
        peer::ping(&mut publisher);
        for number in 0..COUNT {
            let expected = message(number);
            assert!(peer::take(&mut slow, expected.len()) == expected, "message {number}");
        }
        peer::ping(&mut slow);
    }
}
