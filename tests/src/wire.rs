//! One raw conversation: bytes out, bytes in, each expectation with a deadline and a readable failure.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::packet::{Ack, Codes, ConnAck, Packet, Received};
use crate::request::{self, PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL};
use crate::{DEADLINE, Publish, Subscribe, Version};

/// A TCP connection to the broker.
#[derive(Debug)]
pub struct Wire {
    /// The CONNACK that accepted it, where [`crate::Broker::connect_with`] did
    pub connack: Option<ConnAck>,
    version: Version,
    stream: TcpStream,
    unread: Vec<u8>,
    next_id: u16,
    largest: usize,
}

impl Wire {
    /// Connects, and says nothing yet.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the broker accepts connections");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_write_timeout(Some(DEADLINE)).expect("a write timeout");
        Self { connack: None, version, stream, unread: Vec::new(), next_id: 1000, largest: 0 }
    }

    /// Bytes of the largest packet that was read so far.
    pub fn largest_packet(&self) -> usize {
        self.largest
    }

    /// The level that it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the broker takes none of them for the length of the deadline.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the broker reads");
    }

    /// Sends bytes to a broker that may close meanwhile.
    pub fn send_anyway(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// The next packet.
    ///
    /// # Panics
    /// When the deadline passes, or the connection closes, before it is complete.
    #[track_caller]
    pub fn packet(&mut self) -> Packet {
        self.packet_within(DEADLINE)
    }

    /// The next packet, which may take as long as `limit`.
    ///
    /// # Panics
    /// As [`Wire::packet`].
    #[track_caller]
    pub fn packet_within(&mut self, limit: Duration) -> Packet {
        let bytes = self.frame(limit);
        let header = 1 + bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        Packet::read(self.version, bytes[0], &bytes[header..])
    }

    #[track_caller]
    fn frame(&mut self, limit: Duration) -> Vec<u8> {
        let until = Instant::now() + limit;
        loop {
            if let Some(length) = complete(&self.unread) {
                self.largest = self.largest.max(length);
                return self.unread.drain(..length).collect();
            }
            match self.fill(until) {
                Ok(0) => panic!("the broker closed where a packet was expected{}", self.pending()),
                Ok(_) => {}
                Err(error) => panic!("no packet within {limit:?} ({error}){}", self.pending()),
            }
        }
    }

    fn pending(&self) -> String {
        if self.unread.is_empty() {
            String::new()
        } else {
            format!("; so far {:02x?}", &self.unread[..self.unread.len().min(64)])
        }
    }

    fn fill(&mut self, until: Instant) -> std::io::Result<usize> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = vec![0; 64 * 1024];
        let length = match self.stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.unread.extend_from_slice(&chunk[..length]);
        Ok(length)
    }

    /// Exactly these bytes come next.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let until = Instant::now() + DEADLINE;
        while self.unread.len() < bytes.len() && bytes.starts_with(&self.unread) {
            let read = self.fill(until);
            assert!(matches!(read, Ok(1..)), "expected {bytes:02x?}, got {:02x?} ({read:?})", self.unread);
        }
        let got = &self.unread[..self.unread.len().min(bytes.len())];
        assert_eq!(got, bytes, "expected {bytes:02x?}, got {got:02x?}");
        self.unread.drain(..bytes.len());
    }

    /// The broker closes, and sends nothing before.
    ///
    /// # Panics
    /// When it sends something, or stays.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        self.expect_closed_within(DEADLINE);
    }

    /// As [`Wire::expect_closed`] with a limit of its own.
    ///
    /// # Panics
    /// When the broker sends something, or stays.
    #[track_caller]
    pub fn expect_closed_within(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        if self.unread.is_empty() {
            match self.fill(until) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => panic!("the broker did not close within {limit:?} ({error})"),
            }
        }
        let said = self.unread.clone();
        panic!("expected the connection to close, got {:02x?}", &said[..said.len().min(64)]);
    }

    /// Whether the broker ends the connection before `limit` has passed; what it says meanwhile is left out.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            match self.fill(until) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Everything that the broker still sends before it closes.
    ///
    /// # Panics
    /// When it stays.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.fill(until) {
                Ok(0) => return std::mem::take(&mut self.unread),
                Ok(_) => {}
                Err(error) => {
                    panic!("the broker did not close within {DEADLINE:?} ({error}){}", self.pending())
                }
            }
        }
    }

    /// The next packet, or `None` when the broker closes instead.
    ///
    /// # Panics
    /// When neither happens.
    #[track_caller]
    pub fn packet_or_end(&mut self) -> Option<Packet> {
        let until = Instant::now() + DEADLINE;
        while complete(&self.unread).is_none() {
            match self.fill(until) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => panic!("neither a packet nor the end within {DEADLINE:?} ({error})"),
            }
        }
        Some(self.packet())
    }

    /// The broker closes; a 5.0 Client is told one of `codes` first, an older one nothing.
    ///
    /// # Panics
    /// When it does otherwise.
    #[track_caller]
    pub fn expect_disconnect_among(&mut self, codes: &[u8]) {
        if self.version == Version::V5 {
            match self.packet() {
                Packet::Disconnect(code, _) => {
                    assert!(codes.contains(&code), "DISCONNECT {code:#04x}, not one of {codes:02x?}");
                }
                other => panic!("expected DISCONNECT {codes:02x?}, got {other:?}"),
            }
        }
        self.expect_closed();
    }

    /// The broker closes; a 5.0 Client is told `code` first, an older one nothing.
    ///
    /// # Panics
    /// When it does otherwise.
    #[track_caller]
    pub fn expect_disconnect(&mut self, code: u8) {
        self.expect_disconnect_among(&[code]);
    }

    /// Next comes a CONNACK.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_connack(&mut self) -> ConnAck {
        match self.packet() {
            Packet::ConnAck(connack) => connack,
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// Next comes a PUBLISH.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_any_publish(&mut self) -> Received {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    /// Next comes a PUBLISH with this Topic Name and payload.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_publish(&mut self, topic: &str, payload: &str) -> Received {
        let publish = self.expect_any_publish();
        assert_eq!((publish.topic.as_str(), publish.text().as_str()), (topic, payload), "{publish:?}");
        publish
    }

    /// Next comes PUBACK, PUBREC, PUBREL or PUBCOMP as `first` says, for `id`; its Reason Code.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_ack(&mut self, first: u8, id: u16) -> u8 {
        let packet = self.packet();
        let ack = match (&packet, first) {
            (Packet::PubAck(ack), PUBACK)
            | (Packet::PubRec(ack), PUBREC)
            | (Packet::PubRel(ack), PUBREL)
            | (Packet::PubComp(ack), PUBCOMP) => ack,
            _ => panic!("expected {first:#04x} for {id}, got {packet:?}"),
        };
        let Ack { id: found, code, .. } = ack;
        assert_eq!(*found, id, "{packet:?}");
        *code
    }

    /// Sends a PUBLISH and, above QoS 0, awaits the handshake; the first answer's Reason Code.
    #[track_caller]
    pub fn publish(&mut self, publish: &Publish) -> u8 {
        self.send(publish.bytes(self.version));
        let id = publish.identifier();
        match publish.quality() {
            0 => 0,
            1 => self.expect_ack(PUBACK, id),
            _ => {
                let code = self.expect_ack(PUBREC, id);
                if code < 0x80 {
                    self.send(request::ack(PUBREL, id));
                    self.expect_ack(PUBCOMP, id);
                }
                code
            }
        }
    }

    /// Next comes a SUBACK for `id`; its codes.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_suback(&mut self, id: u16) -> Vec<u8> {
        match self.packet() {
            Packet::SubAck(Codes { id: found, codes, .. }) if found == id => codes,
            other => panic!("expected SUBACK {id}, got {other:?}"),
        }
    }

    /// Next comes an UNSUBACK for `id`; its codes.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_unsuback(&mut self, id: u16) -> Vec<u8> {
        match self.packet() {
            Packet::UnsubAck(Codes { id: found, codes, .. }) if found == id => codes,
            other => panic!("expected UNSUBACK {id}, got {other:?}"),
        }
    }

    /// Subscribes to one filter and returns the code that the SUBACK gives.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        let id = self.fresh_id();
        self.send(Subscribe::new(id).filter(filter, options).bytes(self.version));
        let codes = self.expect_suback(id);
        assert_eq!(codes.len(), 1, "one filter, {codes:?}");
        codes[0]
    }

    /// Unsubscribes from one filter and returns the code that the UNSUBACK gives, 0 in 3.x.
    #[track_caller]
    pub fn unsubscribe(&mut self, filter: &str) -> u8 {
        let id = self.fresh_id();
        self.send(request::unsubscribe(self.version, id, &[filter]));
        self.expect_unsuback(id).first().copied().unwrap_or_default()
    }

    /// Acknowledges with success.
    pub fn ack(&mut self, first: u8, id: u16) {
        self.send(request::ack(first, id));
    }

    /// Takes a QoS 0, 1 or 2 message with this topic and payload and completes its handshake.
    #[track_caller]
    pub fn take(&mut self, topic: &str, payload: &str) -> Received {
        let publish = self.expect_publish(topic, payload);
        match publish.qos {
            0 => {}
            1 => self.ack(PUBACK, publish.id),
            _ => {
                self.ack(PUBREC, publish.id);
                self.expect_ack(PUBREL, publish.id);
                self.ack(PUBCOMP, publish.id);
            }
        }
        publish
    }

    /// Takes `count` messages, whose handshakes may overlap, and completes them all; in order of arrival.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn take_all(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        let mut unreleased = 0_usize;
        while taken.len() < count || unreleased > 0 {
            match self.packet() {
                Packet::Publish(publish) => {
                    match publish.qos {
                        0 => {}
                        1 => self.ack(PUBACK, publish.id),
                        _ => {
                            unreleased += 1;
                            self.ack(PUBREC, publish.id);
                        }
                    }
                    taken.push(publish);
                }
                Packet::PubRel(ack) if unreleased > 0 => {
                    unreleased -= 1;
                    self.ack(PUBCOMP, ack.id);
                }
                other => panic!("expected PUBLISH or PUBREL, got {other:?} after {taken:?}"),
            }
        }
        taken
    }

    /// PINGREQ is answered, and nothing comes before the answer.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(PINGREQ);
        let packet = self.packet();
        assert_eq!(packet, Packet::PingResp, "expected nothing but PINGRESP");
    }

    /// Nothing that `publisher` has sent so far is on its way to this Client: a marker that
    /// `publisher` sends behind it arrives first.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_nothing_from(&mut self, publisher: &mut Wire) {
        let topic = format!("marker/{}/{}", self.local_port(), self.next_id);
        self.subscribe(&topic, 0);
        publisher.publish(&Publish::new(&topic, "marker"));
        self.expect_publish(&topic, "marker");
        let id = self.fresh_id();
        self.send(request::unsubscribe(self.version, id, &[&topic]));
        loop {
            match self.packet() {
                Packet::UnsubAck(_) => return,
                // A second copy, where another subscription matches the marker too.
                Packet::Publish(publish) if publish.topic == topic => {}
                other => panic!("expected UNSUBACK {id}, got {other:?}"),
            }
        }
    }

    /// DISCONNECT, and the broker closes.
    pub fn disconnect(mut self) {
        self.send(request::DISCONNECT);
        self.expect_closed();
    }

    /// Ends the connection without a DISCONNECT.
    pub fn cut(self) {
        drop(self.stream.shutdown(Shutdown::Both));
    }

    /// The connection itself, for whoever has read every packet.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Says that no more bytes will come, and still listens.
    ///
    /// # Panics
    /// When the socket is already gone.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("an open socket");
    }

    fn fresh_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    fn local_port(&self) -> u16 {
        self.stream.local_addr().map(|address| address.port()).unwrap_or_default()
    }
}

/// The length of the packet that `bytes` starts with, once all of it is there.
fn complete(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (at, byte) in bytes.iter().skip(1).enumerate() {
        assert!(at < 4, "no Remaining Length: {:02x?}", &bytes[..5]);
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let total = 2 + at + length;
            return (bytes.len() >= total).then_some(total);
        }
    }
    None
}
