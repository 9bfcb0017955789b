//! As much of a 3.1.1 client as these tests need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client without a keep alive.
pub(crate) struct Client(TcpStream);

impl Client {
    /// Connects with Clean Session 1.
    pub(crate) fn connect(address: SocketAddr, name: &str) -> Self {
        Self::connect_with(address, name, 0x02)
    }

    /// Connects to a Session that stays.
    pub(crate) fn connect_to_stay(address: SocketAddr, name: &str) -> Self {
        Self::connect_with(address, name, 0x00)
    }

    fn connect_with(address: SocketAddr, name: &str, flags: u8) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = u16::try_from(name.len()).unwrap();
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0];
        body.extend(length.to_be_bytes());
        body.extend(name.as_bytes());
        let mut packet = vec![0x10];
        let digit = |shift: u32| u8::try_from((body.len() >> shift) & 0x7f).unwrap();
        match body.len() {
            0..0x80 => packet.push(digit(0)),
            0x80..0x4000 => packet.extend([digit(0) | 0x80, digit(7)]),
            _ => packet.extend([digit(0) | 0x80, digit(7) | 0x80, digit(14)]),
        }
        packet.extend(body);
        let mut client = Self(stream);
        client.exchange(&packet, &[0x20, 2, 0, 0]);
        client
    }

    /// Subscribes to `t` with QoS 0.
    pub(crate) fn subscribe(&mut self) {
        self.exchange(&[0x82, 6, 0, 1, 0, 1, b't', 0], &[0x90, 3, 0, 1, 0]);
    }

    /// Sends this packet and takes this answer.
    #[track_caller]
    pub(crate) fn exchange(&mut self, packet: &[u8], answer: &[u8]) {
        self.0.write_all(packet).unwrap();
        assert_eq!(self.read(answer.len()), answer);
    }

    /// Sends DISCONNECT and waits until the server has closed the connection.
    pub(crate) fn disconnect(mut self) {
        self.0.write_all(&[0xe0, 0]).unwrap();
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0);
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// A client that is subscribed to `t` with QoS 0.
pub(crate) struct Subscriber(Client);

impl Subscriber {
    pub(crate) fn connect(address: SocketAddr, name: &str) -> Self {
        let mut client = Client::connect(address, name);
        client.subscribe();
        Self(client)
    }

    /// Publishes to `t`, QoS 0; the packet is of 1 MiB.
    pub(crate) fn publish_a_mebibyte(&mut self) {
        self.0.0.write_all(&mebibyte()).unwrap();
    }

    /// Takes what [`Self::publish_a_mebibyte`] sent.
    pub(crate) fn receive_a_mebibyte(&mut self) {
        let expected = mebibyte();
        assert!(self.0.read(expected.len()) == expected);
    }
}

fn mebibyte() -> Vec<u8> {
    // The Remaining Length is 0x10_0000 - 4.
    let mut packet = vec![0x30, 0xfc, 0xff, 0x3f, 0, 1, b't'];
    packet.resize(1024 * 1024, b'x');
    packet
}
