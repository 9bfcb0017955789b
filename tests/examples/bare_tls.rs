//! A server that does nothing but TLS: what a handshake costs where nobody asks for more, to hold the broker against.
//!
//! `cargo run --release -p dunlin-tests --example bare_tls -- PORT CERTIFICATE KEY`, then the example `transports` with its PID.
//!
//! In:    connections on the loopback address; CONNECT and PINGREQ, of which only the first byte is looked at.
//! Out:   CONNACK and PINGRESP. One thread with one poll, as a broker of one shard has; the settings of TLS are the broker's.
//! Never: a bound on anything, a time limit, a line of a log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

struct Peer {
    socket: TcpStream,
    tls: ServerConnection,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, certificate, key] = arguments.as_slice() else { panic!("PORT CERTIFICATE KEY") };
    let config = config(certificate, key);
    let address = ([127, 0, 0, 1], port.parse().unwrap()).into();
    let mut listener = TcpListener::bind(address).unwrap();
    let mut poll = Poll::new().unwrap();
    poll.registry().register(&mut listener, Token(0), Interest::READABLE).unwrap();
    println!("{}", std::process::id());
    let (mut events, mut peers, mut next) = (Events::with_capacity(1024), HashMap::new(), 1);
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == Token(0) {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true).unwrap();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(next), interest).unwrap();
                    let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                    peers.insert(next, Peer { socket, tls });
                    next += 1;
                }
            } else if let Some(peer) = peers.get_mut(&event.token().0)
                && !turn(peer)
            {
                peers.remove(&event.token().0);
            }
        }
    }
}

/// Reads and writes what there is. False where the peer is gone.
fn turn(Peer { socket, tls }: &mut Peer) -> bool {
    let mut plaintext = [0; 1024];
    loop {
        match tls.read_tls(socket) {
            Ok(0) => return false,
            Ok(_) if tls.process_new_packets().is_err() => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return false,
        }
        if tls.reader().read(&mut plaintext).is_ok_and(|count| count > 0) {
            let answer = if plaintext[0] == 0x10 { CONNACK } else { PINGRESP };
            tls.writer().write_all(answer).unwrap();
        }
    }
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

fn config(certificate: &str, key: &str) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.ticketer = Ticketer::new().unwrap();
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}
