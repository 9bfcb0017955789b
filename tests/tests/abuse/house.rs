//! A broker with narrow bounds and a listener of each kind, and a healthy pair beside an attack.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dunlin_tests::{Broker, Publish, Version, Wire};
use rcgen::{CertificateParams, KeyPair};

use crate::attacks::Target;

/// What the broker may hold.
pub(crate) const CEILING: u64 = 150 * 1024 * 1024;

/// The broker.
pub(crate) struct House {
    pub(crate) broker: Broker,
    pub(crate) target: Target,
    folder: PathBuf,
}

impl House {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dunlin-abuse-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (pem, secret) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let toml = format!(
            "[metrics]\nlisten = '127.0.0.1:0'\nsys_interval_seconds = 0\n\
             [admission]\nhandshake_timeout_ms = 500\nconnections_per_second_per_address = 20\n\
             [limits]\nconnect_timeout_ms = 500\nmemory_bytes_maximum = {CEILING}\nmaximum_packet_size = 262_144\nwildcard_subscriptions_per_client = 100\n\
             retained_messages_maximum = 2_000\noutput_bytes_maximum = 1_048_576\n\
             [[listener]]\nurl = 'tcp://127.0.0.1:0'\n\
             [[listener]]\nurl = 'tcp://127.0.0.1:0'\nproxies = ['127.0.0.1']\n\
             [[listener]]\nurl = 'tcp://127.0.0.1:0'\nmessages_per_second = 1_000\n\
             [[listener]]\nurl = 'tls://127.0.0.1:0'\ncertificate = {pem:?}\nkey = {secret:?}\n\
             [[listener]]\nurl = 'ws://127.0.0.1:0'\n"
        );
        let broker = Broker::start_with_listeners(&toml, &["--shards", "2"]);
        let address = |url: &str| url.rsplit('/').next().unwrap().parse::<SocketAddr>().unwrap();
        let tcp: Vec<_> = broker.urls("tcp").iter().map(|url| address(url)).collect();
        let local = |scheme| SocketAddr::from(([127, 0, 0, 1], broker.port(scheme)));
        let target =
            Target { tcp: tcp[0], proxied: tcp[1], paced: tcp[2], tls: local("tls"), ws: local("ws") };
        Self { broker, target, folder }
    }

    /// The sum of the values of the page of metrics whose lines begin so.
    pub(crate) fn count(&self, line: &str) -> u64 {
        let page = page(self.broker.metrics().unwrap());
        let values = page.lines().filter(|found| found.starts_with(line)).filter_map(|found| {
            let value = found.rsplit(' ').next()?.parse::<f64>().ok()?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            Some(value as u64)
        });
        values.sum()
    }

    /// Bytes that the broker has in memory.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.broker.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Two that do nobody any harm.
pub(crate) struct Pair {
    publisher: Wire,
    subscriber: Wire,
    sent: u16,
}

impl Pair {
    pub(crate) fn new(broker: &Broker) -> Self {
        let mut subscriber = broker.connect(Version::V5, "healthy-subscriber");
        assert_eq!(subscriber.subscribe("healthy/pair", 1), 1);
        Self { publisher: broker.connect(Version::V5, "healthy-publisher"), subscriber, sent: 0 }
    }

    /// A message of QoS 1 there and an acknowledgement back: how long it took. It must be the one that was sent.
    #[track_caller]
    pub(crate) fn trip(&mut self) -> Duration {
        self.sent = self.sent % 60_000 + 1;
        let (began, text) = (Instant::now(), self.sent.to_string());
        assert_eq!(self.publisher.publish(&Publish::new("healthy/pair", &text).qos(1, self.sent)), 0);
        self.subscriber.take("healthy/pair", &text);
        began.elapsed()
    }
}
