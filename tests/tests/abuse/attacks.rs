//! Attacks on a broker, each from one thread and bounded by whoever starts it.
//!
//! In:    where the broker listens; a flag that says when it is enough.
//! Out:   load, and nothing else: what a broker makes of it is asked elsewhere.
//! Never: an address that is not of this machine. Addresses are told by headers of the PROXY protocol.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dunlin_tests::request::PINGREQ;
use dunlin_tests::{Connect, Publish, Subscribe, Version};

/// Connections that an attack holds at once.
const HELD: usize = 100;
const PATIENCE: Duration = Duration::from_millis(200);

/// What is attacked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// MQTT over TCP, where users are not asked for.
    pub(crate) tcp: SocketAddr,
    /// The same, behind a proxy, which is this machine.
    pub(crate) proxied: SocketAddr,
    /// The same, for clients whose rate is bounded.
    pub(crate) paced: SocketAddr,
    /// Over TLS.
    pub(crate) tls: SocketAddr,
    /// Over WebSocket.
    pub(crate) ws: SocketAddr,
}

/// One of them.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Target, &AtomicBool),
    /// Of the page of metrics, what lines begin with that say that a bound was met.
    pub(crate) bound: &'static str,
    /// What they come to at most, where the bound is one of how many there are.
    pub(crate) most: u64,
}

const fn attack(name: &'static str, run: fn(&Target, &AtomicBool), bound: &'static str) -> Attack {
    Attack { name, run, bound, most: u64::MAX }
}

/// All but those that need users.
pub(crate) const ALL: &[Attack] = &[
    attack("connect flood", connect_flood, r#"mqtt_connections_turned_away_total{reason="address_rate"}"#),
    attack(
        "half-open TLS",
        half_open_tls,
        r#"mqtt_connections_turned_away_total{reason="handshake_timeout"}"#,
    ),
    attack("CONNECT never sent", no_connect, "mqtt_connects_refused_total"),
    attack(
        "slow WebSocket request",
        slow_request,
        r#"mqtt_connections_turned_away_total{reason="handshake_timeout"}"#,
    ),
    attack(
        "garbage for the PROXY protocol",
        proxy_garbage,
        r#"mqtt_connections_turned_away_total{reason="handshake"}"#,
    ),
    attack("slow readers", slow_readers, "mqtt_messages_dropped_total"),
    attack("message flood", message_flood, r#"mqtt_rates_exceeded_total{action="slow"}"#),
    attack("retained bomb", retained_bomb, r#"mqtt_messages_dropped_total{reason="retained_full"}"#),
    attack("payload bomb", payload_bomb, "mqtt_connections_accepted_total"),
    attack("property bomb", property_bomb, "mqtt_connects_refused_total"),
    // A hundred of each, the pair's, and those that come and go.
    Attack { most: 20 * 100 + 10, ..attack("wildcard bomb", wildcard_bomb, "mqtt_subscriptions ") },
    attack("QoS 2 never released", never_released, "mqtt_connects_total"),
    attack("client identifier fight", fight, "mqtt_takeovers_delayed_total"),
];

fn open(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

fn goes_on(stop: &AtomicBool) -> bool {
    !stop.load(Ordering::Acquire)
}

/// What has come, whatever it is; false at the end.
fn discard(stream: &mut TcpStream) -> bool {
    let mut chunk = [0; 64 * 1024];
    matches!(stream.read(&mut chunk), Ok(1..))
}

fn header(number: usize) -> String {
    let (high, low) = (number / 250 % 4, number % 250 + 1);
    format!("PROXY TCP4 192.0.{high}.{low} 192.0.2.1 4711 1883\r\n")
}

/// A connected Client that has read its CONNACK.
fn client(address: SocketAddr, connect: &Connect) -> Option<TcpStream> {
    let mut stream = open(address)?;
    stream.write_all(&connect.bytes()).ok()?;
    discard(&mut stream).then_some(stream)
}

/// From one address as fast as it goes.
fn connect_flood(target: &Target, stop: &AtomicBool) {
    while goes_on(stop) {
        if let Some(mut stream) = open(target.proxied) {
            drop(stream.write_all(header(7).as_bytes()));
            drop(stream.write_all(&Connect::new(Version::V311, "flood").bytes()));
        }
    }
}

/// Holds connections on each of which something was sent once, and opens others for those that are closed.
fn hold(address: SocketAddr, stop: &AtomicBool, first: &[u8], again: Option<u8>) {
    let mut held = Vec::new();
    while goes_on(stop) {
        if held.len() < HELD
            && let Some(mut stream) = open(address)
            && stream.write_all(first).is_ok()
            && stream.set_nonblocking(true).is_ok()
        {
            held.push(stream);
        }
        if held.len() == HELD {
            thread::park_timeout(Duration::from_millis(5));
        }
        held.retain_mut(|stream| {
            let closed = matches!(stream.read(&mut [0; 512]), Ok(0))
                || again.is_some_and(|byte| stream.write_all(&[byte]).is_err());
            !closed
        });
    }
}

/// The beginning of a ClientHello.
fn half_open_tls(target: &Target, stop: &AtomicBool) {
    hold(target.tls, stop, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01], None);
}

fn no_connect(target: &Target, stop: &AtomicBool) {
    hold(target.tcp, stop, &[], None);
}

/// A header that grows by a byte now and then.
fn slow_request(target: &Target, stop: &AtomicBool) {
    hold(target.ws, stop, b"GET /mqtt HTTP/1.1\r\nHost: a\r\nX: ", Some(b'x'));
}

fn proxy_garbage(target: &Target, stop: &AtomicBool) {
    let mut round = 0_u8;
    while goes_on(stop) {
        round = round.wrapping_add(1);
        if let Some(mut stream) = open(target.proxied) {
            let version = b"\r\n\r\n\0\r\nQUIT\n";
            let garbage: &[u8] = match round % 4 {
                0 => b"PROXY TCP4 999.1.1.1 1.1.1.1 1 1\r\n",
                1 => &[version, &[0x21, 0x11, 0xff, 0xff][..]].concat(),
                2 => &[round; 4_096],
                _ => b"GET / HTTP/1.1\r\n\r\n",
            };
            drop(stream.write_all(garbage));
            drop(stream.shutdown(Shutdown::Write));
            discard(&mut stream);
        }
    }
}

/// Subscribers that read nothing, of somebody who publishes a lot.
fn slow_readers(target: &Target, stop: &AtomicBool) {
    let reader = |number: usize| {
        let mut stream = client(target.tcp, &Connect::new(Version::V311, format!("slow-{number}")))?;
        stream.write_all(&Subscribe::new(1).filter("fan", 0).bytes(Version::V311)).ok()?;
        Some(stream)
    };
    let held: Vec<_> = (0..HELD).filter_map(reader).collect();
    let burst = Publish::new("fan", [7; 1_000]).bytes(Version::V311).repeat(60);
    repeat(target.tcp, stop, |_| burst.clone());
    drop(held);
}

/// One Client that sends the same kind of thing again and again, and reads what it is answered.
fn repeat(address: SocketAddr, stop: &AtomicBool, make: impl Fn(usize) -> Vec<u8>) {
    let mut round = 0;
    while goes_on(stop) {
        let connect = Connect::new(Version::V311, format!("attacker-{round}"));
        let Some(mut stream) = client(address, &connect) else { continue };
        let Ok(mut reader) = stream.try_clone() else { continue };
        let reading = thread::spawn(move || while matches!(reader.read(&mut [0; 65_536]), Ok(1..)) {});
        while goes_on(stop) {
            round += 1;
            if stream.write_all(&make(round)).is_err() {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Both));
        drop(reading.join());
        round += 1;
    }
}

fn message_flood(target: &Target, stop: &AtomicBool) {
    let burst = Publish::new("flood", [7; 100]).bytes(Version::V311).repeat(100);
    repeat(target.paced, stop, |_| burst.clone());
}

fn retained_bomb(target: &Target, stop: &AtomicBool) {
    repeat(target.tcp, stop, |round| {
        let one =
            |at: usize| Publish::new(format!("r/{round}/{at}"), [7; 1_000]).retain().bytes(Version::V311);
        (0..50).flat_map(one).collect()
    });
}

/// Packets that are announced larger than allowed, and packets that never end.
fn payload_bomb(target: &Target, stop: &AtomicBool) {
    let mut held = Vec::new();
    let mut round = 0;
    while goes_on(stop) {
        round += 1;
        let Some(mut stream) = client(target.tcp, &Connect::new(Version::V5, format!("bomb-{round}"))) else {
            continue;
        };
        if round % 2 == 0 {
            drop(stream.write_all(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't']));
            discard(&mut stream);
        } else {
            // 200,000 bytes of 262,144.
            drop(stream.write_all(&[0x30, 0x80, 0x80, 0x0e, 0, 1, b't']));
            drop(stream.write_all(&[7; 200_000]));
            held.push(stream);
            held.truncate(HELD);
        }
    }
}

/// User Properties without end, in CONNECT and in PUBLISH.
fn property_bomb(target: &Target, stop: &AtomicBool) {
    let pair = b"\x26\x00\x01a\x00\x01b";
    let mut round = 0;
    while goes_on(stop) {
        round += 1;
        let connect = Connect::new(Version::V5, format!("properties-{round}"));
        if round % 2 == 0 {
            let mut large = connect;
            for _ in 0..45_000 {
                large = large.property(pair);
            }
            if let Some(mut stream) = open(target.tcp) {
                drop(stream.write_all(&large.bytes()));
                discard(&mut stream);
            }
        } else if let Some(mut stream) = client(target.tcp, &connect) {
            let properties = pair.repeat(30_000);
            drop(stream.write_all(&Publish::new("p", b"1").property(&properties).bytes(Version::V5)));
            drop(stream.write_all(&PINGREQ));
            discard(&mut stream);
        }
    }
}

/// As many filters as may be that match everything, and others that come and go.
fn wildcard_bomb(target: &Target, stop: &AtomicBool) {
    let mut held = Vec::new();
    for number in 0..20_usize {
        let Some(mut stream) = client(target.tcp, &Connect::new(Version::V311, format!("wild-{number}")))
        else {
            continue;
        };
        for id in 1..=300_u16 {
            let levels = (0..10).map(|level| if id >> level & 1 == 1 { "+" } else { "healthy" });
            let filter = format!("{}/#", levels.collect::<Vec<_>>().join("/"));
            drop(stream.write_all(&Subscribe::new(id).filter(filter, 0).bytes(Version::V311)));
        }
        discard(&mut stream);
        held.push(stream);
    }
    repeat(target.tcp, stop, |round| {
        let filter = format!("come/{}/+/#", round % 50);
        let unsubscribe = dunlin_tests::request::unsubscribe(Version::V311, 2, &[&filter]);
        [Subscribe::new(1).filter(&filter, 0).bytes(Version::V311), unsubscribe].concat()
    });
}

/// QoS 2 messages, and PUBREL for none.
fn never_released(target: &Target, stop: &AtomicBool) {
    let mut round = 0_u32;
    while goes_on(stop) {
        round += 1;
        let connect = Connect::new(Version::V5, format!("unreleased-{}", round % 50)).lasting(60);
        let Some(mut stream) = client(target.tcp, &connect) else { continue };
        for id in 1..=2_000 {
            if stream.write_all(&Publish::new("q", [7; 100]).qos(2, id).bytes(Version::V5)).is_err() {
                break;
            }
        }
        while discard(&mut stream) {}
    }
}

/// Three that want to be the same.
fn fight(target: &Target, stop: &AtomicBool) {
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while goes_on(stop) {
                    if let Some(mut stream) = client(target.tcp, &Connect::new(Version::V5, "the-one")) {
                        while goes_on(stop) && !matches!(stream.read(&mut [0; 512]), Ok(0)) {}
                    }
                }
            });
        }
    });
}
