//! Listeners with settings of their own.

use std::io::{Read, Write};
use std::net::TcpStream;

use dunlin_tests::{Broker, Connect, DEADLINE, Version, Wire};

use crate::{TCP, peer};

fn address(broker: &Broker, listener: usize) -> std::net::SocketAddr {
    broker.urls("tcp")[listener].strip_prefix("tcp://").unwrap().parse().unwrap()
}

/// [MQTT-3.1.2-2] [MQTT311-3.1.2-2] Told in words that the client understands.
#[test]
fn a_version_that_a_listener_does_not_speak_is_refused() {
    let toml = format!("{TCP}[[listener]]\nurl = \"127.0.0.1:0\"\nversions = [\"3.1.1\"]\n");
    let broker = Broker::start_with_listeners(&toml, &["--shards", "3"]);
    for (version, code) in [(Version::V5, 0x84), (Version::V311, 0), (Version::V31, 1)] {
        for listener in [0, 1] {
            let mut wire = Wire::open(address(&broker, listener), version);
            wire.send(Connect::new(version, "client").bytes());
            let expected = if listener == 0 { 0 } else { code };
            assert_eq!(wire.expect_connack().code, expected, "{version:?} at {listener}");
        }
    }
}

#[test]
fn a_listener_takes_smaller_packets_than_another() {
    let toml = format!("{TCP}[[listener]]\nurl = \"127.0.0.1:0\"\nmaximum_packet_size = 2_000\n");
    let broker = Broker::start_with_listeners(&toml, &["--shards", "3"]);
    for (listener, expected) in [(0, 2_097_152), (1, 2_000_u32)] {
        let mut stream = TcpStream::connect(address(&broker, listener)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c").unwrap();
        let header = peer::take(&mut stream, 2);
        let connack = peer::take(&mut stream, header[1].into());
        let property = [&[0x27][..], &expected.to_be_bytes()].concat();
        assert!(connack.windows(5).any(|window| window == property), "{connack:?}");
        let mut packet = vec![0x30, 0x80 | 0x50, 0x17, 0, 1, b't', 0];
        packet.resize(3 + 0x50 + 0x17 * 128, 0);
        stream.write_all(&packet).unwrap();
        stream.write_all(&[0xc0, 0]).unwrap();
        let answer = peer::take(&mut stream, 2);
        assert_eq!(answer[0], if listener == 0 { 0xd0 } else { 0xe0 });
    }
}

#[test]
fn a_listener_has_bounds_for_its_newcomers() {
    let toml = format!(
        "{TCP}[[listener]]\nurl = \"127.0.0.1:0\"\nconnections_maximum = 2\n\
         [[listener]]\nurl = \"127.0.0.1:0\"\nconnections_per_second = 3\n"
    );
    let broker = Broker::start_with_listeners(&toml, &["--shards", "2"]);
    let closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = stream.write_all(&peer::connect_packet(""));
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).is_err()
    };
    let mut few: Vec<_> = (0..3).map(|_| TcpStream::connect(address(&broker, 1)).unwrap()).collect();
    assert_eq!(few.iter_mut().map(closed).filter(|closed| *closed).count(), 1);
    broker.logged("listener.connections_maximum");
    let mut fast: Vec<_> = (0..40).map(|_| TcpStream::connect(address(&broker, 2)).unwrap()).collect();
    let turned_away = fast.iter_mut().map(closed).filter(|closed| *closed).count();
    assert!((20..40).contains(&turned_away), "{turned_away}");
    broker.logged("listener.connections_per_second");
    assert!(!closed(&mut TcpStream::connect(address(&broker, 0)).unwrap()), "the first has no bounds");
}
