//! A model of a Server for one client: keeps its Session, obeys the specification, loses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;

use dunlin_codec::{
    Ack, ConnAck, Frame, Framing, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion,
    Publish, QoS, ReasonCode, RuleSet, SubAck, Tolerance, UnsubAck,
};

/// Topic Aliases that it takes: fewer than there are topics.
const ALIASES: u16 = 3;

/// The topic of that payload: several, so that aliases change hands.
pub(crate) fn topic_of(payload: &[u8]) -> String {
    format!("up/{}", payload.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 5)
}

/// A message on its way to the client.
struct Outgoing {
    qos: QoS,
    payload: Vec<u8>,
    released: bool,
    sent_before: bool,
}

/// The Server, and its end of the connection.
pub(crate) struct Server {
    version: ProtocolVersion,
    receive_maximum: u16,
    input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) online: bool,
    has_session: bool,
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    received: BTreeSet<u16>,
    /// Payloads that it took, in the order of taking, with their QoS.
    pub(crate) taken: Vec<(QoS, Vec<u8>)>,
    waiting: VecDeque<(QoS, Vec<u8>)>,
    flight: BTreeMap<u16, Outgoing>,
    order: VecDeque<u16>,
    next: PacketId,
    /// What the client may have in flight to it.
    client_maximum: u16,
    unacknowledged: usize,
    /// What it has in flight on this connection: all of which PUBLISH was sent on it.
    counted: BTreeSet<u16>,
    subscribed: bool,
    /// Of this connection.
    aliases: BTreeMap<u16, String>,
    pub(crate) connects: usize,
    pub(crate) pings: usize,
    pub(crate) disconnected: Option<ReasonCode>,
    /// The next acknowledgements of PUBLISH are not sent.
    pub(crate) silent: bool,
}

impl Server {
    pub(crate) fn new(version: ProtocolVersion, receive_maximum: u16) -> Self {
        Self {
            version,
            receive_maximum,
            input: Vec::new(),
            output: Vec::new(),
            online: false,
            has_session: false,
            received: BTreeSet::new(),
            taken: Vec::new(),
            waiting: VecDeque::new(),
            flight: BTreeMap::new(),
            order: VecDeque::new(),
            next: PacketId::MIN,
            client_maximum: u16::MAX,
            unacknowledged: 0,
            counted: BTreeSet::new(),
            subscribed: false,
            aliases: BTreeMap::new(),
            connects: 0,
            pings: 0,
            disconnected: None,
            silent: false,
        }
    }

    /// The transport is gone, and what was in it.
    pub(crate) fn cut(&mut self) {
        self.online = false;
        self.aliases.clear();
        self.input.clear();
        self.output.clear();
        self.unacknowledged = 0;
        self.counted.clear();
    }

    /// It forgets the Session, as after a restart without a disk.
    pub(crate) fn forget(&mut self) {
        self.has_session = false;
        self.subscribed = false;
        self.received.clear();
        self.flight.clear();
        self.order.clear();
    }

    /// Somebody publishes what the client subscribed to.
    pub(crate) fn publish(&mut self, qos: QoS, payload: &[u8]) {
        self.waiting.push_back((qos, payload.to_vec()));
        self.pump();
    }

    /// Nothing is left for the client.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_empty() && self.received.is_empty()
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut used = 0;
        while let Framing::Complete { frame, len } = Frame::split(&input[used..], 1 << 20).unwrap() {
            used += len;
            let mut broken = RuleSet::EMPTY;
            let packet = Packet::decode(frame, self.version, Tolerance::default(), &mut broken).unwrap();
            self.packet(packet);
        }
        self.input = input[used..].to_vec();
        self.pump();
    }

    fn send(&mut self, packet: Packet<'_>) {
        packet.encode(self.version, &mut self.output);
    }

    fn ack(&mut self, kind: fn(Ack<'static>) -> Packet<'static>, packet_id: PacketId) {
        let reason = ReasonCode::Success;
        self.send(kind(Ack { packet_id, reason, properties: Properties::EMPTY }));
    }

    fn packet(&mut self, packet: Packet<'_>) {
        assert!(self.online || matches!(packet, Packet::Connect(_)), "the first packet is connect");
        match packet {
            Packet::Connect(connect) => self.connect(&connect),
            Packet::Publish(publish) => self.take(&publish),
            Packet::PubRel(ack) => {
                if self.received.remove(&ack.packet_id.get()) {
                    self.unacknowledged = self.unacknowledged.saturating_sub(1);
                }
                self.ack(Packet::PubComp, ack.packet_id);
            }
            Packet::PubAck(ack) => self.acknowledged(ack.packet_id, QoS::AtLeastOnce),
            Packet::PubRec(ack) => {
                if let Some(outgoing) = self.flight.get_mut(&ack.packet_id.get()) {
                    assert_eq!(outgoing.qos, QoS::ExactlyOnce);
                    outgoing.released = true;
                }
                self.ack(Packet::PubRel, ack.packet_id);
            }
            Packet::PubComp(ack) => self.acknowledged(ack.packet_id, QoS::ExactlyOnce),
            Packet::Subscribe(subscribe) => {
                self.subscribed = true;
                let reasons: Vec<u8> = subscribe.filters.iter().map(|(_, o)| o.qos as u8).collect();
                let packet_id = subscribe.packet_id;
                let ack = SubAck { packet_id, properties: Properties::EMPTY, reasons: &reasons };
                self.send(Packet::SubAck(ack));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let reasons = vec![0; unsubscribe.filters.len()];
                let packet_id = unsubscribe.packet_id;
                let ack = UnsubAck { packet_id, properties: Properties::EMPTY, reasons: &reasons };
                self.send(Packet::UnsubAck(ack));
            }
            Packet::PingReq => {
                self.pings += 1;
                self.send(Packet::PingResp);
            }
            Packet::Disconnect(disconnect) => self.disconnected = Some(disconnect.reason),
            other => panic!("a client does not send {other:?}"),
        }
    }

    fn connect(&mut self, connect: &dunlin_codec::Connect<'_>) {
        assert!(!self.online, "a second connect");
        self.online = true;
        self.connects += 1;
        if connect.clean_start {
            self.forget();
        }
        self.client_maximum = u16::MAX;
        for property in connect.properties {
            if let Property::ReceiveMaximum(value) = property {
                self.client_maximum = value.get();
            }
        }
        let session_present = std::mem::replace(&mut self.has_session, true);
        let mut properties = PropertyBuf::new();
        properties.push(Property::ReceiveMaximum(NonZeroU16::new(self.receive_maximum).unwrap()));
        properties.push(Property::TopicAliasMaximum(ALIASES));
        let reason = ReasonCode::Success;
        let v5 = self.version == ProtocolVersion::V5;
        let all = if v5 { properties.as_properties() } else { Properties::EMPTY };
        self.send(Packet::ConnAck(ConnAck { session_present, reason, properties: all }));
        for id in self.order.clone() {
            self.deliver(id);
        }
    }

    /// [MQTT-3.3.2-8] [MQTT-3.3.2-12]: the topic, from its alias where it has one.
    fn check_topic(&mut self, publish: &Publish<'_>) {
        let alias = publish.properties.topic_alias().map(NonZeroU16::get);
        if let Some(alias) = alias {
            assert!(alias <= ALIASES, "beyond the topic alias maximum");
            if !publish.topic.is_empty() {
                self.aliases.insert(alias, publish.topic.to_owned());
            }
        }
        let known = alias.and_then(|alias| self.aliases.get(&alias));
        let topic = known.map_or(publish.topic, String::as_str);
        assert_eq!(topic, topic_of(publish.payload));
    }

    fn take(&mut self, publish: &Publish<'_>) {
        self.check_topic(publish);
        let Some(id) = publish.packet_id else {
            return self.taken.push((publish.qos, publish.payload.to_vec()));
        };
        if publish.qos == QoS::AtLeastOnce {
            self.taken.push((publish.qos, publish.payload.to_vec()));
            if !self.silent {
                self.ack(Packet::PubAck, id);
            }
            return;
        }
        if self.received.insert(id.get()) {
            self.taken.push((publish.qos, publish.payload.to_vec()));
            self.unacknowledged += 1;
            assert!(
                self.unacknowledged <= usize::from(self.receive_maximum)
                    || self.version != ProtocolVersion::V5,
                "beyond the receive maximum"
            );
        }
        if !self.silent {
            self.ack(Packet::PubRec, id);
        }
    }

    fn acknowledged(&mut self, id: PacketId, qos: QoS) {
        if self.flight.get(&id.get()).is_some_and(|outgoing| outgoing.qos == qos) {
            self.flight.remove(&id.get());
            self.counted.remove(&id.get());
            self.order.retain(|other| *other != id.get());
        }
    }

    /// Sends what waits, as far as the client's Receive Maximum lets it.
    fn pump(&mut self) {
        // [MQTT-4.9.0-1] [MQTT-4.9.0-2]: what waits for PUBCOMP since a former connection does not count.
        while self.online && self.subscribed && self.counted.len() < usize::from(self.client_maximum.min(20))
        {
            let Some((qos, payload)) = self.waiting.pop_front() else { return };
            while self.flight.contains_key(&self.next.get()) {
                self.next = self.next.next();
            }
            let id = self.next.get();
            self.next = self.next.next();
            self.flight.insert(id, Outgoing { qos, payload, released: false, sent_before: false });
            self.order.push_back(id);
            self.deliver(id);
        }
    }

    fn deliver(&mut self, id: u16) {
        let Some(outgoing) = self.flight.get_mut(&id) else { return };
        let packet_id = PacketId::new(id);
        if outgoing.released {
            return self.ack(Packet::PubRel, packet_id.unwrap());
        }
        self.counted.insert(id);
        let dup = std::mem::replace(&mut outgoing.sent_before, true);
        let (qos, payload) = (outgoing.qos, outgoing.payload.clone());
        let publish = Publish {
            dup,
            qos,
            retain: false,
            topic: "down",
            packet_id,
            properties: Properties::EMPTY,
            payload: &payload,
        };
        self.send(Packet::Publish(publish));
    }
}
