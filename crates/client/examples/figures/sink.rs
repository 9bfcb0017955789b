//! A server that does what the protocol asks and nothing else: acknowledges what comes, and sends what a task wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::thread;

use dunlin_codec::{
    Ack, ConnAck, Frame, Framing, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion,
    Publish, QoS, ReasonCode, RuleSet, SubAck, Tolerance,
};

use crate::{IN_FLIGHT, PAYLOAD, Task};

/// A server on a port of its own, until the process ends.
pub(crate) struct Sink {
    address: SocketAddr,
}

impl Sink {
    pub(crate) fn start(task: Task, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = Connection::new(stream.unwrap(), task, count);
                thread::Builder::new().stack_size(256 << 10).spawn(move || connection.serve()).unwrap();
            }
        });
        Self { address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

struct Connection {
    stream: TcpStream,
    qos: QoS,
    /// Messages that are still to be sent, once it has subscribed.
    left: usize,
    subscribed: bool,
    in_flight: u16,
    next: PacketId,
    out: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, task: Task, count: usize) -> Self {
        stream.set_nodelay(true).unwrap();
        let (qos, left) = if let Task::Receive(qos) = task { (qos, count) } else { (QoS::AtMostOnce, 0) };
        let next = PacketId::MIN;
        Self { stream, qos, left, subscribed: false, in_flight: 0, next, out: Vec::new() }
    }

    fn serve(mut self) {
        let mut input = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            let waits = !self.subscribed || self.left == 0 || self.in_flight >= IN_FLIGHT;
            if waits {
                let Ok(length @ 1..) = self.stream.read(&mut chunk) else { return };
                input.extend_from_slice(&chunk[..length]);
                let used = self.packets(&input);
                input.drain(..used);
            }
            self.send();
            if self.stream.write_all(&self.out).is_err() {
                return;
            }
            self.out.clear();
        }
    }

    fn packets(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Framing::Complete { frame, len } = Frame::split(&bytes[used..], 1 << 20).unwrap() {
            used += len;
            let mut broken = RuleSet::EMPTY;
            let packet =
                Packet::decode(frame, ProtocolVersion::V5, Tolerance::default(), &mut broken).unwrap();
            self.packet(&packet);
        }
        used
    }

    fn put(&mut self, packet: Packet<'_>) {
        packet.encode(ProtocolVersion::V5, &mut self.out);
    }

    fn ack(&mut self, kind: fn(Ack<'static>) -> Packet<'static>, packet_id: PacketId) {
        self.put(kind(Ack { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY }));
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(_) => {
                let mut properties = PropertyBuf::new();
                properties.push(Property::ReceiveMaximum(NonZeroU16::new(IN_FLIGHT).unwrap()));
                let properties = properties.as_properties();
                let reason = ReasonCode::Success;
                self.put(Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
            }
            Packet::Publish(Publish { packet_id: Some(id), qos: QoS::AtLeastOnce, .. }) => {
                self.ack(Packet::PubAck, *id);
            }
            Packet::Publish(Publish { packet_id: Some(id), .. }) => self.ack(Packet::PubRec, *id),
            Packet::PubRel(ack) => self.ack(Packet::PubComp, ack.packet_id),
            Packet::PubRec(ack) => self.ack(Packet::PubRel, ack.packet_id),
            Packet::PubAck(_) | Packet::PubComp(_) => self.in_flight -= 1,
            Packet::Subscribe(subscribe) => {
                self.subscribed = true;
                let packet_id = subscribe.packet_id;
                let properties = Properties::EMPTY;
                self.put(Packet::SubAck(SubAck { packet_id, properties, reasons: &[self.qos as u8] }));
            }
            Packet::PingReq => self.put(Packet::PingResp),
            _ => {}
        }
    }

    fn send(&mut self) {
        while self.subscribed && self.left > 0 && self.in_flight < IN_FLIGHT && self.out.len() < 64 << 10 {
            self.left -= 1;
            let packet_id = (self.qos != QoS::AtMostOnce).then_some(self.next);
            if packet_id.is_some() {
                self.next = self.next.next();
                self.in_flight += 1;
            }
            let qos = self.qos;
            let (topic, properties, payload) = ("figures/topic", Properties::EMPTY, &[b'x'; PAYLOAD]);
            let publish = Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload };
            self.put(Packet::Publish(publish));
        }
    }
}
