//! WebSocket, over TCP and over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use dunlin_tests::{Broker, DEADLINE};
use rustls::version::TLS13;

use crate::certificates::Authority;
use crate::directory::Directory;
use crate::peer::{self, connect_packet, take};
use crate::{TCP, tls};

const BINARY: u8 = 0x82;
const PONG: u8 = 0x8a;

fn start(more: &str, shards: &str) -> Broker {
    let toml = format!("{TCP}[[listener]]\nurl = \"ws://127.0.0.1:0\"\n{more}\n");
    Broker::start_with_listeners(&toml, &["--shards", shards])
}

fn open(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", broker.port("ws"))).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The head of the answer.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(take(stream, 1));
    }
    String::from_utf8(head).unwrap()
}

/// An open WebSocket connection.
fn upgrade(broker: &Broker) -> TcpStream {
    let mut stream = open(broker);
    stream.write_all(request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n").as_bytes()).unwrap();
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{head}");
    stream
}

/// A frame of a client, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 77, 177, 255];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ ..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The next frame of the server.
fn next(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let header = take(stream, 2);
    let length = match header[1] {
        126 => take(stream, 2).iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        127 => take(stream, 8).iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    (header[0], take(stream, length))
}

/// [MQTT-6.0.0-2] [MQTT311-6.0.0-2] [MQTT-6.0.0-4] [MQTT311-6.0.0-4]
#[test]
fn packets_and_frames_begin_and_end_independently() {
    for shards in ["1", "4"] {
        let broker = start("", shards);
        let mut stream = upgrade(&broker);
        let connect = connect_packet("pieces");
        // One packet in three frames, a control frame between them, everything a byte at a time.
        let wire = [
            frame(2, &connect[..1]),
            frame(0, &connect[1..9]),
            frame(0x89, b"between"),
            frame(0x80, &connect[9..]),
        ];
        for byte in wire.concat() {
            stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(next(&mut stream), (PONG, b"between".to_vec()));
        assert_eq!(next(&mut stream), (BINARY, vec![0x20, 2, 0, 0]));

        // Many packets in one frame, many frames in one write.
        stream.write_all(&frame(BINARY, &[0xc0, 0, 0xc0, 0])).unwrap();
        assert_eq!(next(&mut stream), (BINARY, vec![0xd0, 0, 0xd0, 0]));
        stream.write_all(&frame(BINARY, &[0x82, 6, 0, 1, 0, 1, b't', 0])).unwrap();
        assert_eq!(next(&mut stream), (BINARY, vec![0x90, 3, 0, 1, 0]));

        let publish = [&[0x30, 0xab, 4, 0, 1, b't'][..], &[b'x'; 552]].concat();
        stream.write_all(&[frame(BINARY, &publish[..300]), frame(BINARY, &publish[300..])].concat()).unwrap();
        let (first, payload) = next(&mut stream);
        assert_eq!((first, payload == publish), (BINARY, true));

        stream.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap();
        assert_eq!(next(&mut stream), (0x88, 1000_u16.to_be_bytes().to_vec()));
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

/// [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
#[test]
fn a_text_frame_closes_the_connection() {
    let broker = start("", "2");
    for first in [0x81, 0x83] {
        let mut stream = upgrade(&broker);
        stream.write_all(&frame(BINARY, &connect_packet("text"))).unwrap();
        assert_eq!(next(&mut stream), (BINARY, vec![0x20, 2, 0, 0]));
        stream.write_all(&frame(first, b"hello")).unwrap();
        let status = if first == 0x81 { 1003_u16 } else { 1002 };
        assert_eq!(next(&mut stream), (0x88, status.to_be_bytes().to_vec()));
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    broker.logged("a text frame; MQTT travels in binary ones");
}

#[test]
fn a_request_that_is_not_granted_is_told_why() {
    let broker = start("path = \"/here\"\norigins = [\"https://friend.example\"]", "2");
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    let from = |origin: &str| format!("{mqtt}Origin: {origin}\r\n");
    for (request, status, reason) in [
        (request("/mqtt", mqtt), "404 Not Found", "connections begin at /here"),
        (request("/here", ""), "400 Bad Request", "must offer the WebSocket subprotocol mqtt"),
        (request("/here", "Sec-WebSocket-Protocol: chat\r\n"), "400 Bad Request", "subprotocol mqtt"),
        (request("/here", &from("https://foe.example")), "403 Forbidden", "listener.origins says which may"),
        ("GET /here HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426 Upgrade Required", "MQTT over WebSocket"),
        (format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(9000)), "431 ", "longer than 8 KiB"),
    ] {
        let mut stream = open(&broker);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("Content-Type: text/plain") && answer.contains(reason), "{answer}");
    }
    let mut stream = open(&broker);
    stream.write_all(request("/here?x=1", &from("https://friend.example")).as_bytes()).unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));

    let mut plain = open(&broker);
    plain.write_all(&connect_packet("plain")).unwrap();
    assert_eq!(plain.read(&mut [0; 64]).unwrap_or(0), 0);
    broker.logged("speaks MQTT without WebSocket on a WebSocket port");
}

/// What a peer does not read waits, over both, and comes complete and in order; and it is not buried in answers.
#[test]
fn a_slow_reader_gets_everything() {
    const COUNT: u8 = 110;
    const PAYLOAD: usize = 64 * 1024;
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let wss = tls::listener("wss://127.0.0.1:0", &authority.server(&directory, "server"), "");
    let broker = start(&format!("{wss}[limits]\noutput_bytes_maximum = 8_388_608"), "2");
    let config = peer::config_of(&authority.file, &[&TLS13], b"http/1.1");
    let mut over_tls = peer::open(broker.port("wss"), &config);
    over_tls.write_all(request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n").as_bytes()).unwrap();
    assert!(head(&mut over_tls).starts_with("HTTP/1.1 101 "));
    slowly(&broker, &mut over_tls, COUNT, PAYLOAD);
    slowly(&broker, &mut upgrade(&broker), COUNT, PAYLOAD);
}

fn slowly(broker: &Broker, slow: &mut (impl Read + Write), count: u8, payload: usize) {
    slow.write_all(&frame(BINARY, &connect_packet("slow"))).unwrap();
    assert_eq!(next(slow), (BINARY, vec![0x20, 2, 0, 0]));
    slow.write_all(&frame(BINARY, &[0x82, 6, 0, 1, 0, 1, b't', 0])).unwrap();
    assert_eq!(next(slow), (BINARY, vec![0x90, 3, 0, 1, 0]));
    let message = |number: u8| {
        let mut packet = vec![0x30, 0x83, 0x80, 0x04, 0, 1, b't'];
        packet.resize(packet.len() + payload, number);
        packet
    };
    let mut publisher = TcpStream::connect(broker.address()).unwrap();
    publisher.set_read_timeout(Some(DEADLINE)).unwrap();
    publisher.write_all(&connect_packet("publisher")).unwrap();
    assert_eq!(take(&mut publisher, 4), [0x20, 2, 0, 0]);
    for number in 0..count {
        publisher.write_all(&message(number)).unwrap();
    }
    peer::ping(&mut publisher);
    for _ in 0..100 {
        slow.write_all(&frame(0x89, b"still there?")).unwrap();
    }
    let (mut got, expected): (Vec<u8>, Vec<u8>) = (Vec::new(), (0..count).flat_map(message).collect());
    while got.len() < expected.len() {
        let (first, payload) = next(slow);
        match first {
            BINARY => got.extend(payload),
            PONG => assert_eq!(payload, b"still there?"),
            other => panic!("a frame of kind {other:x}"),
        }
    }
    assert!(got == expected);
}

/// Runs one scenario of a driver over ws and over wss.
fn over_both(mut driver: impl FnMut() -> Command, versions: &[&str]) {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let wss = tls::listener("wss://127.0.0.1:0", &authority.server(&directory, "server"), "");
    for scheme in ["ws", "wss"] {
        for version in versions {
            let broker = start(&wss, "4");
            for scenario in ["qos0", "qos1", "qos2", "retained", "will", "session", "big"] {
                let mut command = driver();
                command.args(["localhost", &broker.port(scheme).to_string(), version, scenario]);
                command.env("TRANSPORT", scheme).env("CA_FILE", &authority.file).stdin(Stdio::null());
                let output = command.output().unwrap_or_else(|error| {
                    panic!("{command:?} cannot be run ({error}): run make setup-tests")
                });
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{scheme} {version} {scenario}: {said}\n{}", broker.log());
            }
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout")
}

#[test]
fn mqtt_js_comes_over_both() {
    let driver = || {
        let mut command = Command::new("node");
        command.arg(root().join("tests/clients/js/driver.js"));
        command
    };
    over_both(driver, &["311", "5"]);
}

#[test]
fn paho_python_comes_over_both() {
    let driver = || {
        let mut command = Command::new(root().join(".venv/bin/python"));
        command.arg(root().join("tests/clients/python/driver.py"));
        command
    };
    over_both(driver, &["311", "5"]);
}
