//! Peers that break off TLS where it hurts most. Whatever they do, others are served.

use std::io::{Read, Write};
use std::net::TcpStream;

use dunlin_tests::{Broker, DEADLINE, Version};
use rustls::version::{TLS12, TLS13};

use crate::certificates::Authority;
use crate::directory::Directory;
use crate::tls::listener;
use crate::{TCP, peer};

/// A record that holds the beginning of a handshake message: five bytes of a ClientHello of 256.
const PART: &[u8] = b"\x16\x03\x01\0\x05\x01\0\x01\0\x03";

#[track_caller]
fn is_alive(broker: &Broker) {
    for client in ["a", "b", "c", "d"] {
        broker.connect(Version::V311, client);
    }
}

/// Some clients send the answer to the request for a certificate and all that follows in one record. What follows is never
/// looked at when the answer is wrong.
#[test]
fn a_client_without_a_certificate_ends_only_itself() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let more = format!("client_ca = {:?}\n", authority.file);
    let broker = Broker::start_with_listeners(
        &format!("{TCP}{}", listener("tls://127.0.0.1:0", &server, &more)),
        &["--shards", "2"],
    );
    for version in [&TLS12, &TLS13] {
        let mut nobody = peer::open(broker.port("tls"), &peer::config(&authority.file, &[version]));
        // TLS 1.3 is done for the client before the server has looked.
        let _ = nobody.write_all(&peer::connect_packet("nobody"));
        let refused = nobody.read(&mut [0; 16]).unwrap_err().to_string();
        assert!(refused.contains("Certificate") || refused.contains("HandshakeFailure"), "{refused}");
        broker.logged("peer sent no certificates");
        is_alive(&broker);
    }
}

/// The server says goodbye to a peer of whose message it has a part.
#[test]
fn a_part_of_a_handshake_message_ends_only_itself() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let toml = format!(
        "{TCP}{}[admission]\nhandshake_timeout_ms = 200\n",
        listener("tls://127.0.0.1:0", &server, "")
    );
    let broker = Broker::start_with_listeners(&toml, &["--shards", "2"]);
    for _ in 0..2 {
        let mut stalled = TcpStream::connect(("127.0.0.1", broker.port("tls"))).unwrap();
        stalled.set_read_timeout(Some(DEADLINE)).unwrap();
        stalled.write_all(PART).unwrap();
        // Whether an alert comes first is the server's affair; the end comes.
        while stalled.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        is_alive(&broker);
    }
}
