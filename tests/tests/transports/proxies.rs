//! Behind a load balancer: the PROXY protocol, as haproxy sends it and as nobody may.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use dunlin_tests::{Broker, DEADLINE};
use rustls::version::TLS13;

use crate::certificates::Authority;
use crate::directory::Directory;
use crate::tls::listener;
use crate::{TCP, mosquitto, peer};

const PROXIES: &str = "proxies = [\"127.0.0.0/8\"]\n";
/// Logs who connects.
const LOG: &str = "[log.areas]\nconnection = \"debug\"\n";

fn start(listeners: &str, shards: &str) -> Broker {
    Broker::start_with_listeners(&format!("{TCP}{listeners}"), &["--shards", shards])
}

fn open(broker: &Broker, scheme: &str, header: &[u8]) -> TcpStream {
    // The first listener is the one that the harness asks about.
    let url = broker.urls(scheme).pop().unwrap();
    let mut stream = TcpStream::connect(url.rsplit('/').next().unwrap()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(header).unwrap();
    stream
}

/// haproxy in front of ports; ended by its own process id.
struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    fn start(directory: &Directory, to: u16, option: &str) -> Self {
        let port = free_port();
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n\
             listen mqtt\n bind 127.0.0.1:{port}\n server broker 127.0.0.1:{to} {option}\n"
        );
        let file = directory.write(&format!("haproxy-{port}.cfg"), &text);
        let haproxy = ["haproxy", "/usr/sbin/haproxy"].into_iter().find_map(|program| {
            let mut command = Command::new(program);
            command
                .args(["-db", "-f"])
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn().ok()
        });
        let child = haproxy.expect("haproxy cannot be run: run make setup-tests");
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "haproxy does not listen");
            std::thread::yield_now();
        }
        Self { child, port }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn clients_come_through_haproxy_over_everything() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    for shards in ["1", "3"] {
        let plain = format!("[[listener]]\nurl = \"127.0.0.1:0\"\n{PROXIES}");
        let tls = listener("tls://127.0.0.1:0", &server, PROXIES);
        let broker = start(&format!("{plain}{tls}{LOG}"), shards);
        let port_of =
            |scheme: &str| broker.urls(scheme).pop().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2 check", "send-proxy-v2-ssl-cn"] {
            let front = Haproxy::start(&directory, port_of("tcp"), option);
            let port = front.port.to_string();
            for client in ["one", "two", "three"] {
                mosquitto::round_trip(&["-h", "127.0.0.1", "-p", &port, "-i", client], client);
            }
            let front = Haproxy::start(&directory, port_of("tls"), option);
            let port = front.port.to_string();
            let ca = authority.file.to_str().unwrap();
            mosquitto::round_trip(&["-h", "localhost", "-p", &port, "--cafile", ca], "tls");
        }
    }
}

#[test]
fn the_address_in_the_header_is_the_clients() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let listeners = ["ws://127.0.0.1:0", "127.0.0.1:0"]
        .map(|url| format!("[[listener]]\nurl = \"{url}\"\n{PROXIES}"))
        .join("");
    let broker = start(&format!("{listeners}{}{LOG}", listener("tls://127.0.0.1:0", &server, PROXIES)), "2");

    // With the CONNECT behind it in one piece, and in pieces.
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n";
    let mut plain = open(&broker, "tcp", &[&line[..], &peer::connect_packet("first")].concat());
    assert_eq!(peer::take(&mut plain, 4), [0x20, 2, 0, 0]);
    assert!(broker.logged("client_id=first").contains("address=192.0.2.7:4711"));

    let mut pieces = open(&broker, "tcp", b"");
    for byte in [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"[..],
        &[0x20, 1, 0xd, 0xb8],
        &[0; 11],
        &[9],
        &[0; 16],
        &[0, 7, 0, 1],
    ]
    .concat()
    {
        pieces.write_all(&[byte]).unwrap();
    }
    pieces.write_all(&peer::connect_packet("second")).unwrap();
    assert_eq!(peer::take(&mut pieces, 4), [0x20, 2, 0, 0]);
    assert!(broker.logged("client_id=second").contains("address=[2001:db8::9]:7"));

    // The proxy for itself: a connection like any other, and one that only looks whether somebody is there.
    let mut own = open(&broker, "tcp", &[&b"PROXY UNKNOWN\r\n"[..], &peer::connect_packet("third")].concat());
    assert_eq!(peer::take(&mut own, 4), [0x20, 2, 0, 0]);
    assert!(broker.logged("client_id=third").contains("address=127.0.0.1:"));
    drop(open(&broker, "tcp", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"));

    let stream = open(&broker, "tls", line);
    let mut tls = peer::over(stream, &peer::config(&authority.file, &[&TLS13]));
    tls.write_all(&peer::connect_packet("fourth")).unwrap();
    assert_eq!(peer::take(&mut tls, 4), [0x20, 2, 0, 0]);
    assert!(broker.logged("client_id=fourth").contains("address=192.0.2.7:4711"));

    let mut page = open(&broker, "ws", &[&line[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
    let mut answer = String::new();
    page.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn without_a_header_or_from_elsewhere_nobody_comes_in() {
    let listeners = format!(
        "[[listener]]\nurl = \"127.0.0.1:0\"\n{PROXIES}[[listener]]\nurl = \"ws://127.0.0.1:0\"\nproxies = [\"192.0.2.1\"]\n"
    );
    let broker = start(&listeners, "2");
    let mut bomb = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    bomb.resize(70_000, 0);
    for (bytes, reason) in [
        (peer::connect_packet("plain"), "does not begin with a PROXY header"),
        (b"\x16\x03\x01\x02\x00".to_vec(), "does not begin with a PROXY header"),
        (b"PROXY TCP4 300.0.2.7 192.0.2.1 4711 1883\r\n".to_vec(), "the line is not PROXY"),
        ([b"PROXY UNKNOWN ".to_vec(), vec![b' '; 200]].concat(), "the line is longer than 107 bytes"),
        (bomb, "65535 bytes follow the fixed header"),
    ] {
        let mut stream = open(&broker, "tcp", b"");
        // It may be closed before all is sent.
        let _ = stream.write_all(&bytes);
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0);
        assert!(broker.logged(reason).contains("connection closed by its transport"));
    }
    let mut stranger = open(&broker, "ws", b"");
    assert_eq!(stranger.read(&mut [0; 64]).unwrap_or(0), 0);
    assert!(broker.logged("listener.proxies").contains("connection turned away"));
}

#[test]
fn each_client_behind_a_proxy_has_its_own_bounds() {
    let listeners = format!(
        "[[listener]]\nurl = \"127.0.0.1:0\"\n{PROXIES}\
         [admission]\nconnections_per_address = 2\nconnections_per_second_per_address = 1\nhandshake_timeout_ms = 300\n"
    );
    let broker = start(&listeners, "2");
    let from = |host: u8, client: &str| {
        let line = format!("PROXY TCP4 192.0.2.{host} 192.0.2.1 4711 1883\r\n");
        let mut stream = open(&broker, "tcp", line.as_bytes());
        let _ = stream.write_all(&peer::connect_packet(client));
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).is_ok().then_some(stream)
    };
    let (first, second) = (from(1, "a"), from(1, "b"));
    assert!(first.is_some() && second.is_some());
    assert!(from(1, "c").is_none());
    assert!(broker.logged("connections_per_address").contains("address=192.0.2.1:4711"));
    assert!(from(2, "d").is_some(), "another has its own");
    drop((first, second));
    let until = Instant::now() + DEADLINE;
    while from(1, "e").is_none() {
        assert!(Instant::now() < until, "a place that is free again is used");
        if broker.log().contains("connections_per_second_per_address") {
            break;
        }
    }
    while !broker.log().contains("connections_per_second_per_address") {
        assert!(Instant::now() < until, "ten at once, then one a second");
        drop(from(3, "f"));
    }

    let mut silent = open(&broker, "tcp", b"PROXY TC");
    assert_eq!(silent.read(&mut [0; 64]).unwrap_or(0), 0);
    broker.logged("admission.handshake_timeout_ms");
}
