//! What a connection costs over each transport: processor time of the broker up to CONNACK, its memory while nothing happens,
//! and the round trip of a PINGREQ.
//!
//! `cargo run --release -p dunlin-tests --example transports -- PID SCHEME PORT AUTHORITY [COUNT [CERTIFICATE KEY]]`, where
//! PID is the broker's, SCHEME is `tcp`, `tls12`, `tls13` or `quic`, and AUTHORITY a PEM file; the certificate is a
//! client's. Over TLS, full handshakes first and resumed ones then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use tokio::runtime::Runtime;

const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
const PINGS: usize = 5_000;
/// Connections that do nothing, for their memory.
const IDLE: usize = 1_000;

/// An open connection, to be written to and read from.
trait Line {
    fn send(&mut self, bytes: &[u8]);
    fn take(&mut self, bytes: &mut [u8]);
}

impl<T: Read + Write> Line for T {
    fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).unwrap();
    }

    fn take(&mut self, bytes: &mut [u8]) {
        self.read_exact(bytes).unwrap();
    }
}

struct Quic<'a> {
    runtime: &'a Runtime,
    /// Ends with it.
    _connection: quinn::Connection,
    stream: (quinn::SendStream, quinn::RecvStream),
}

impl Line for Quic<'_> {
    fn send(&mut self, bytes: &[u8]) {
        self.runtime.block_on(self.stream.0.write_all(bytes)).unwrap();
    }

    fn take(&mut self, bytes: &mut [u8]) {
        self.runtime.block_on(self.stream.1.read_exact(bytes)).unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pid, scheme, port, authority, more @ ..] = arguments.as_slice() else {
        panic!("PID SCHEME PORT AUTHORITY")
    };
    let count = more.first().map_or(2_000, |count| count.parse().unwrap());
    let port: u16 = port.parse().unwrap();
    let identity = more.get(1).zip(more.get(2));
    let config = |resumption| Arc::new(client(authority, scheme, identity, resumption));
    match scheme.as_str() {
        "tcp" => measure(pid, "tcp", count, || Box::new(TcpStream::connect(("127.0.0.1", port)).unwrap())),
        "tls12" | "tls13" => {
            let full = config(Resumption::disabled());
            measure(pid, "full", count, || Box::new(tls(port, &full)));
            let resumed = config(Resumption::default());
            measure(pid, "resumed", count, || Box::new(tls(port, &resumed)));
        }
        "quic" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let crypto = QuicClientConfig::try_from(config(Resumption::disabled())).unwrap();
            let config = quinn::ClientConfig::new(Arc::new(crypto));
            let endpoint =
                runtime.block_on(async { quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap() });
            measure(pid, "quic", count, || Box::new(quic(&runtime, &endpoint, &config, port)));
        }
        other => panic!("{other} is not measured"),
    }
}

fn measure<'a>(pid: &str, what: &str, count: u32, open: impl Fn() -> Box<dyn Line + 'a>) {
    let connect = || {
        let mut line = open();
        line.send(CONNECT);
        line.take(&mut [0; 4]);
        line
    };
    // The first has no ticket, and tables are empty.
    for _ in 0..20 {
        drop(connect());
    }
    let before = processor_time(pid);
    for _ in 0..count {
        drop(connect());
    }
    let each = (processor_time(pid) - before) / count;
    let empty = resident(pid);
    let idle: Vec<_> = (0..IDLE).map(|_| connect()).collect();
    let memory = resident(pid).saturating_sub(empty) / IDLE;
    drop(idle);
    let mut line = connect();
    let mut trips: Vec<Duration> = (0..PINGS)
        .map(|_| {
            let start = Instant::now();
            line.send(&[0xc0, 0]);
            line.take(&mut [0; 2]);
            start.elapsed()
        })
        .collect();
    trips.sort_unstable();
    println!(
        "{what}: {each:?} of the broker's processor time a connection, {memory} bytes of its memory; round trip {:?} in the middle, {:?} at 99 %",
        trips[PINGS / 2],
        trips[PINGS * 99 / 100]
    );
}

/// Of all its threads, in steps of 10 ms.
fn processor_time(pid: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Bytes of it in memory.
fn resident(pid: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn client(
    authority: &str,
    scheme: &str,
    identity: Option<(&String, &String)>,
    resumption: Resumption,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let versions: &[_] = if scheme == "tls12" { &[&version::TLS12] } else { &[&version::TLS13] };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.resumption = resumption;
    config
}

fn tls(port: u16, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket)
}

fn quic<'a>(
    runtime: &'a Runtime,
    endpoint: &quinn::Endpoint,
    config: &quinn::ClientConfig,
    port: u16,
) -> Quic<'a> {
    runtime.block_on(async {
        let connecting = endpoint.connect_with(config.clone(), ([127, 0, 0, 1], port).into(), "localhost");
        let connection = connecting.unwrap().await.unwrap();
        let stream = connection.open_bi().await.unwrap();
        Quic { runtime, _connection: connection, stream }
    })
}
