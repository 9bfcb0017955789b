//! A session and the other end of its wire, for tests that say what goes over it.

use std::time::Duration;

use dunlin_client::session::{Action, Delivery, Effects, Event, Filter, Record, Token};
use dunlin_client::{Message, QoS, Session, Settings, Status, SubscriptionOptions, Time, Version};
use dunlin_codec::{
    Ack, ConnAck, Frame, Framing, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion,
    Publish, ReasonCode, RuleSet, SubAck, Tolerance,
};

pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) now: Time,
    effects: Effects,
    version: ProtocolVersion,
    pub(crate) actions: Vec<Action>,
    pub(crate) records: Vec<Record>,
}

pub(crate) fn settings(version: Version) -> Settings {
    let mut settings = Settings::new("talk");
    settings.version = version;
    settings
}

pub(crate) fn message(payload: &str, qos: QoS) -> Message {
    Message::new("t", payload.to_owned()).unwrap().qos(qos)
}

impl Talk {
    /// Not started.
    pub(crate) fn idle(settings: Settings) -> Self {
        Self {
            version: if settings.version == Version::V5 {
                ProtocolVersion::V5
            } else {
                ProtocolVersion::V311
            },
            session: Session::new(settings),
            now: Time::from_millis(5_000_000),
            effects: Effects::default(),
            actions: Vec::new(),
            records: Vec::new(),
        }
    }

    /// CONNECT is out.
    pub(crate) fn greeting(settings: Settings) -> Self {
        let mut talk = Self::idle(settings);
        talk.event(Event::Start);
        assert_eq!(talk.actions(), [Action::Dial]);
        talk.event(Event::Dialled);
        talk
    }

    /// CONNACK came, without a Session.
    pub(crate) fn online(settings: Settings) -> Self {
        let mut talk = Self::greeting(settings);
        talk.said();
        talk.conn_ack(false, &[]);
        talk.actions();
        talk
    }

    pub(crate) fn event(&mut self, event: Event<'_>) {
        self.session.handle(self.now, event, &mut self.effects);
        self.actions.append(&mut self.effects.actions);
        self.records.append(&mut self.effects.records);
    }

    /// What there is to do, taken.
    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The messages among them.
    pub(crate) fn deliveries(&mut self) -> Vec<Delivery> {
        let actions = self.actions().into_iter();
        actions.filter_map(|action| if let Action::Deliver(d) = action { Some(d) } else { None }).collect()
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.event(Event::Timer);
    }

    pub(crate) fn publish(&mut self, token: Token, message: Message) {
        self.event(Event::Publish { token, message });
    }

    pub(crate) fn subscribe(&mut self, token: Token, filter: &str) {
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        self.event(Event::Subscribe { token, filters: vec![Filter { filter: filter.into(), options }] });
    }

    /// What the session has sent since, as the packets' names and identifiers, `PUBLISH dup 1 a` for example.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        self.each(|packet| said.push(line(&packet)));
        said
    }

    pub(crate) fn each(&mut self, mut see: impl FnMut(Packet<'_>)) {
        let output = std::mem::take(&mut self.effects.output);
        let mut at = 0;
        while let Framing::Complete { frame, len } = Frame::split(&output[at..], u32::MAX).unwrap() {
            at += len;
            let mut broken = RuleSet::EMPTY;
            see(Packet::decode(frame, self.version, Tolerance::default(), &mut broken).unwrap());
        }
        assert_eq!(at, output.len());
        self.event(Event::Flushed);
    }

    pub(crate) fn hear(&mut self, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.event(Event::Received(&bytes));
    }

    pub(crate) fn conn_ack(&mut self, session_present: bool, properties: &[Property<'_>]) {
        let mut all = PropertyBuf::new();
        properties.iter().for_each(|property| all.push(*property));
        let reason = ReasonCode::Success;
        self.hear(Packet::ConnAck(ConnAck { session_present, reason, properties: all.as_properties() }));
    }

    pub(crate) fn ack(&mut self, kind: fn(Ack<'static>) -> Packet<'static>, id: u16, reason: ReasonCode) {
        self.hear(kind(Ack { packet_id: PacketId::new(id).unwrap(), reason, properties: Properties::EMPTY }));
    }

    pub(crate) fn sub_ack(&mut self, id: u16, reasons: &[u8]) {
        let packet_id = PacketId::new(id).unwrap();
        self.hear(Packet::SubAck(SubAck { packet_id, properties: Properties::EMPTY, reasons }));
    }

    pub(crate) fn deliver(&mut self, topic: &str, qos: QoS, id: u16, dup: bool) {
        self.deliver_with(topic, qos, id, dup, &[]);
    }

    pub(crate) fn deliver_with(&mut self, topic: &str, qos: QoS, id: u16, dup: bool, about: &[Property<'_>]) {
        let mut all = PropertyBuf::new();
        about.iter().for_each(|property| all.push(*property));
        let packet_id = PacketId::new(id).filter(|_| qos != QoS::AtMostOnce);
        let properties = all.as_properties();
        self.hear(Packet::Publish(Publish {
            dup,
            qos,
            retain: false,
            topic,
            packet_id,
            properties,
            payload: b"x",
        }));
    }

    /// The connection is lost, and the next one stands; CONNECT is out.
    pub(crate) fn reconnect(&mut self) {
        self.event(Event::Lost(String::new()));
        self.pass(Duration::from_secs(60));
        assert!(self.actions().contains(&Action::Dial));
        self.event(Event::Dialled);
        self.said();
    }

    pub(crate) fn statuses(&mut self) -> Vec<Status> {
        let actions = self.actions().into_iter();
        actions.filter_map(|action| if let Action::Status(s) = action { Some(s) } else { None }).collect()
    }
}

fn line(packet: &Packet<'_>) -> String {
    let name = packet.name();
    match packet {
        Packet::Publish(publish) => {
            let dup = if publish.dup { "dup " } else { "" };
            let id = publish.packet_id.map_or_else(String::new, |_| format!("qos{} ", publish.qos as u8));
            format!("{name} {dup}{id}{}", String::from_utf8_lossy(publish.payload))
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<&str> = subscribe.filters.iter().map(|(filter, _)| filter.as_str()).collect();
            format!("{name} {}", filters.join(" "))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&str> = unsubscribe.filters.iter().map(|filter| filter.as_str()).collect();
            format!("{name} {}", filters.join(" "))
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => {
            format!("{name} {}", ack.packet_id.get())
        }
        Packet::Disconnect(disconnect) => format!("{name} {:?}", disconnect.reason),
        _ => name.to_owned(),
    }
}
