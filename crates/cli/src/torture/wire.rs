//! A connection to the broker under test: packets over a socket, and nothing clever.
//!
//! In:    packets to send.
//! Out:   packets as they came; why the connection ended.
//! Never: reconnects, repeats, acknowledges. State lives in whoever holds the connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use dunlin_codec::{
    Ack, ConnAck, Connect, Disconnect, Frame, Framing, Packet, PacketId, Properties, Property, PropertyBuf,
    ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling, RuleSet, Subscribe, SubscribeBuf,
    SubscriptionOptions, Tolerance, TopicFilter,
};

/// How long a broker may take to answer a CONNECT or a SUBSCRIBE.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// Largest packet taken; the messages are far smaller.
const PACKET_MAX: u32 = 1 << 20;

/// Why a connection is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Closed, refused, silent: what a broker that is killed does.
    Gone,
    /// The broker says no; with what.
    Refused(ReasonCode),
    /// The broker does what MQTT forbids.
    Protocol(String),
}

/// A packet that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// PUBLISH.
    Publish(Received),
    /// PUBACK.
    Acknowledged(PacketId, ReasonCode),
    /// PUBREC.
    Taken(PacketId, ReasonCode),
    /// PUBREL.
    Release(PacketId),
    /// PUBCOMP, for whatever reason.
    Complete(PacketId),
    /// SUBACK with its codes.
    Subscribed(Vec<u8>),
    /// PINGRESP.
    Pong,
}

/// A PUBLISH that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) id: Option<PacketId>,
    pub(crate) qos: QoS,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// Who connects.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: String,
    pub(crate) version: ProtocolVersion,
    /// The Session is to outlive the connection.
    pub(crate) durable: bool,
}

/// What the broker said to a CONNECT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Welcome {
    pub(crate) session_present: bool,
    pub(crate) receive_maximum: u16,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    version: ProtocolVersion,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection {
    /// Connects, and waits for CONNACK.
    pub(crate) fn open(port: u16, who: &Identity) -> Result<(Self, Welcome), Lost> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, ANSWER).map_err(|_| Lost::Gone)?;
        stream.set_nodelay(true).map_err(|_| Lost::Gone)?;
        let mut connection = Self { stream, version: who.version, input: Vec::new(), output: Vec::new() };
        let mut properties = PropertyBuf::new();
        if who.durable && who.version == ProtocolVersion::V5 {
            properties.push(Property::SessionExpiryInterval(u32::MAX));
        }
        connection.send(&Packet::Connect(Connect {
            version: who.version,
            clean_start: !who.durable,
            keep_alive: 0,
            properties: properties.as_properties(),
            client_id: &who.client_id,
            will: None,
            user_name: None,
            password: None,
        }))?;
        let until = Instant::now() + ANSWER;
        loop {
            let welcome = connection.take(|packet| match packet {
                Packet::ConnAck(ack) => welcome(ack),
                other => Err(Lost::Protocol(format!("{} before CONNACK", other.name()))),
            })?;
            match welcome {
                Some(welcome) => return Ok((connection, welcome)),
                None if Instant::now() > until => return Err(Lost::Gone),
                None => connection.fill(Duration::from_millis(100))?,
            }
        }
    }

    /// Writes a packet.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Result<(), Lost> {
        self.output.clear();
        packet.encode(self.version, &mut self.output);
        self.stream.write_all(&self.output).map_err(|_| Lost::Gone)
    }

    /// PUBLISH.
    pub(crate) fn publish(&mut self, publish: &Publish<'_>) -> Result<(), Lost> {
        self.send(&Packet::Publish(*publish))
    }

    /// PUBACK, PUBREC, PUBREL, PUBCOMP: `kind` makes the packet.
    pub(crate) fn answer(
        &mut self,
        kind: fn(Ack<'static>) -> Packet<'static>,
        id: PacketId,
    ) -> Result<(), Lost> {
        let ack = Ack { packet_id: id, reason: ReasonCode::Success, properties: Properties::EMPTY };
        self.send(&kind(ack))
    }

    /// SUBSCRIBE to one filter.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<(), Lost> {
        let mut filters = SubscribeBuf::new(self.version);
        let Ok(filter) = TopicFilter::parse(filter) else { unreachable!("{filter} is well-formed") };
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        filters.push(filter, options);
        let packet_id = PacketId::MIN;
        let filters = filters.as_list();
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }))
    }

    /// PINGREQ.
    pub(crate) fn ping(&mut self) -> Result<(), Lost> {
        self.send(&Packet::PingReq)
    }

    /// DISCONNECT; the Session stays.
    pub(crate) fn disconnect(mut self) {
        let properties = Properties::EMPTY;
        let _ = self.send(&Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties }));
    }

    /// The next packet, if one comes in time.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Result<Option<Incoming>, Lost> {
        if let Some(packet) = self.take(incoming)? {
            return Ok(Some(packet));
        }
        self.fill(timeout)?;
        self.take(incoming)
    }

    /// Reads what is there, or waits for it.
    fn fill(&mut self, timeout: Duration) -> Result<(), Lost> {
        let timeout = timeout.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(timeout)).map_err(|_| Lost::Gone)?;
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(Lost::Gone),
            Ok(n) => {
                self.input.extend_from_slice(&bytes[..n]);
                Ok(())
            }
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(Lost::Gone),
            },
        }
    }

    /// Takes a packet out of what was read, if one is there as a whole.
    fn take<T>(&mut self, read: impl FnOnce(Packet<'_>) -> Result<T, Lost>) -> Result<Option<T>, Lost> {
        let wrong =
            |error: dunlin_codec::DecodeError| Lost::Protocol(format!("a packet is malformed: {error}"));
        let (result, length) = match Frame::split(&self.input, PACKET_MAX).map_err(wrong)? {
            Framing::Incomplete { .. } => return Ok(None),
            Framing::Complete { frame, len } => {
                let mut broken = RuleSet::EMPTY;
                let packet = Packet::decode(frame, self.version, Tolerance::default(), &mut broken);
                (read(packet.map_err(wrong)?)?, len)
            }
        };
        self.input.drain(..length);
        Ok(Some(result))
    }
}

fn welcome(ack: ConnAck<'_>) -> Result<Welcome, Lost> {
    if ack.reason != ReasonCode::Success {
        return Err(Lost::Refused(ack.reason));
    }
    let receive_maximum = ack.properties.iter().find_map(|property| match property {
        Property::ReceiveMaximum(maximum) => Some(maximum.get()),
        _ => None,
    });
    let receive_maximum = receive_maximum.unwrap_or(u16::MAX);
    Ok(Welcome { session_present: ack.session_present, receive_maximum })
}

fn incoming(packet: Packet<'_>) -> Result<Incoming, Lost> {
    Ok(match packet {
        Packet::Publish(publish) => Incoming::Publish(Received {
            id: publish.packet_id,
            qos: publish.qos,
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_owned(),
        }),
        Packet::PubAck(ack) => Incoming::Acknowledged(ack.packet_id, ack.reason),
        Packet::PubRec(ack) => Incoming::Taken(ack.packet_id, ack.reason),
        Packet::PubRel(ack) => Incoming::Release(ack.packet_id),
        Packet::PubComp(ack) => Incoming::Complete(ack.packet_id),
        Packet::SubAck(ack) => Incoming::Subscribed(ack.reasons.to_owned()),
        Packet::PingResp => Incoming::Pong,
        // The broker is free to end a connection.
        Packet::Disconnect(_) => return Err(Lost::Gone),
        other => return Err(Lost::Protocol(format!("{} from a broker", other.name()))),
    })
}
