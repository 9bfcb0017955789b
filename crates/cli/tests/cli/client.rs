//! As much of a 3.1.1 client as these tests need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client without a keep alive, subscribed to `t` with QoS 0.
pub(crate) struct Subscriber(TcpStream);

impl Subscriber {
    pub(crate) fn connect(address: SocketAddr, client_id: u8) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, client_id]).unwrap();
        stream.write_all(&[0x82, 6, 0, 1, 0, 1, b't', 0]).unwrap();
        let mut subscriber = Self(stream);
        assert_eq!(subscriber.read(4), [0x20, 2, 0, 0]);
        assert_eq!(subscriber.read(5), [0x90, 3, 0, 1, 0]);
        subscriber
    }

    /// Publishes to `t`, QoS 0; the packet is of 1 MiB.
    pub(crate) fn publish_a_mebibyte(&mut self) {
        self.0.write_all(&mebibyte()).unwrap();
    }

    /// Takes what [`Self::publish_a_mebibyte`] sent.
    pub(crate) fn receive_a_mebibyte(&mut self) {
        let expected = mebibyte();
        assert!(self.read(expected.len()) == expected);
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

fn mebibyte() -> Vec<u8> {
    // The Remaining Length is 0x10_0000 - 4.
    let mut packet = vec![0x30, 0xfc, 0xff, 0x3f, 0, 1, b't'];
    packet.resize(1024 * 1024, b'x');
    packet
}
