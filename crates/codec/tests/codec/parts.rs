//! Any packet, in parts that own what a packet borrows.

use std::num::{NonZeroU16, NonZeroU32};

use dunlin_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, FilterBuf, Packet, PacketId, Properties, Property, PropertyBuf,
    ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeBuf,
    SubscriptionOptions, TopicFilter, UnsubAck, Unsubscribe, VarInt, Will,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::notation::{ALL, V5, V31};

const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18];
const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27];
const CONNACK: &[u8] =
    &[0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A];
const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23];
const DISCONNECT: &[u8] = &[0x11, 0x1C, 0x1F];

/// What any kind of packet can be built from.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) version: ProtocolVersion,
    /// 1 to 15: the packet type.
    kind: u8,
    number: u16,
    qos: QoS,
    flags: [bool; 4],
    text: String,
    topic: String,
    payload: Vec<u8>,
    picks: Vec<u8>,
    options: Vec<(String, SubscriptionOptions)>,
    /// Of the packet, and of a Will.
    properties: PropertyBuf,
    will: PropertyBuf,
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é漢😀]{0,12}"
}

fn property(id: u8, number: u32, text: &str) -> Property<'_> {
    let half = (number & 0xFFFF) as u16;
    let odd = number & 1 == 1;
    match id {
        0x01 => Property::PayloadFormatIndicator(u8::from(odd)),
        0x02 => Property::MessageExpiryInterval(number),
        0x03 => Property::ContentType(text),
        0x08 => Property::ResponseTopic("response/topic"),
        0x09 => Property::CorrelationData(text.as_bytes()),
        0x0B => Property::SubscriptionIdentifier(VarInt::new(number % 268_435_455 + 1).unwrap()),
        0x11 => Property::SessionExpiryInterval(number),
        0x12 => Property::AssignedClientIdentifier(text),
        0x13 => Property::ServerKeepAlive(half),
        0x15 => Property::AuthenticationMethod(text),
        0x16 => Property::AuthenticationData(text.as_bytes()),
        0x17 => Property::RequestProblemInformation(odd),
        0x18 => Property::WillDelayInterval(number),
        0x19 => Property::RequestResponseInformation(odd),
        0x1A => Property::ResponseInformation(text),
        0x1C => Property::ServerReference(text),
        0x1F => Property::ReasonString(text),
        0x21 => Property::ReceiveMaximum(NonZeroU16::new(half | 1).unwrap()),
        0x22 => Property::TopicAliasMaximum(half),
        0x23 => Property::TopicAlias(NonZeroU16::new(half | 1).unwrap()),
        0x24 => Property::MaximumQoS(u8::from(odd)),
        0x25 => Property::RetainAvailable(odd),
        0x26 => Property::UserProperty(text, "value"),
        0x27 => Property::MaximumPacketSize(NonZeroU32::new(number | 1).unwrap()),
        0x28 => Property::WildcardSubscriptionAvailable(odd),
        0x29 => Property::SubscriptionIdentifierAvailable(odd),
        0x2A => Property::SharedSubscriptionAvailable(odd),
        _ => panic!("no property {id:#x}"),
    }
}

/// Properties that this packet type has at most once, and others that it has as often as it likes.
const fn allowed(kind: u8) -> (&'static [u8], &'static [u8]) {
    match kind {
        1 => (CONNECT, &[0x26]),
        2 => (CONNACK, &[0x26]),
        3 => (PUBLISH, &[0x26, 0x0B]),
        4..=7 | 9 | 11 => (&[0x1F], &[0x26]),
        8 => (&[0x0B], &[0x26]),
        14 => (DISCONNECT, &[0x26]),
        15 => (&[0x15, 0x16, 0x1F], &[0x26]),
        _ => (&[], &[0x26]),
    }
}

/// Some of `once`, each once, mixed with any number of `often`.
fn properties((once, often): (&'static [u8], &'static [u8])) -> impl Strategy<Value = PropertyBuf> {
    let ids = (proptest::sample::subsequence(once, 0..=once.len()), vec(select(often), 0..3));
    let ids = ids.prop_map(|(once, often)| [once, often].concat()).prop_shuffle();
    (ids, any::<[u32; 4]>(), [text(), text()]).prop_map(|(ids, numbers, texts)| {
        let mut buffer = PropertyBuf::new();
        let has_method = ids.contains(&0x15);
        for (at, id) in ids.into_iter().enumerate() {
            if id != 0x16 || has_method {
                buffer.push(property(id, numbers[at % 4], &texts[at % 2]));
            }
        }
        buffer
    })
}

fn options() -> impl Strategy<Value = Vec<(String, SubscriptionOptions)>> {
    let handling = select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    let filter = "(\\$share/[a-z]{1,3}/)?([a-z]{0,3}|\\+)(/([a-z]{0,3}|\\+)){0,3}(/#)?";
    let one = (filter, qos(), any::<bool>(), any::<bool>(), handling).prop_filter_map(
        "a well-formed filter",
        |(text, qos, no_local, retain_as_published, retain_handling)| {
            let filter = TopicFilter::parse(&text).ok()?;
            let no_local = no_local && filter.shared().is_none();
            Some((text, SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }))
        },
    );
    vec(one, 1..5)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// Any packet of any version.
pub(crate) fn any_packet() -> impl Strategy<Value = Parts> {
    (select(ALL.to_vec()), 1..=15_u8).prop_flat_map(|(version, kind)| {
        let plain = (
            1..=u16::MAX,
            qos(),
            any::<[bool; 4]>(),
            text(),
            "[a-z/$é]{1,12}",
            vec(any::<u8>(), 0..200),
            vec(any::<u8>(), 1..6),
            options(),
        );
        // AUTH exists in 5.0 only.
        let version = if kind == 15 { V5 } else { version };
        (plain, properties(allowed(kind)), properties((WILL, &[0x26]))).prop_map(
            move |((number, qos, flags, text, topic, payload, picks, options), properties, will)| Parts {
                version,
                kind,
                number,
                qos,
                flags,
                text,
                topic,
                payload,
                picks,
                options,
                properties,
                will,
            },
        )
    })
}

impl Parts {
    /// Hands the packet that the parts make to `then`.
    pub(crate) fn with<T>(&self, then: impl FnOnce(Packet<'_>) -> T) -> T {
        let packet_id = PacketId::new(self.number).unwrap();
        let mut subscribe = SubscribeBuf::new(self.version);
        let mut unsubscribe = FilterBuf::new();
        for (text, options) in &self.options {
            subscribe.push(TopicFilter::parse(text).unwrap(), *options);
            unsubscribe.push(TopicFilter::parse(text).unwrap());
        }
        let reasons = self.reasons();
        then(match self.kind {
            1 => Packet::Connect(self.connect()),
            2 => Packet::ConnAck(self.conn_ack()),
            3 => Packet::Publish(self.publish()),
            4 => Packet::PubAck(self.ack(&[0, 0x10, 0x80, 0x99])),
            5 => Packet::PubRec(self.ack(&[0, 0x10, 0x80, 0x99])),
            6 => Packet::PubRel(self.ack(&[0, 0x92])),
            7 => Packet::PubComp(self.ack(&[0, 0x92])),
            8 => Packet::Subscribe(Subscribe {
                packet_id,
                properties: self.properties(),
                filters: subscribe.as_list(),
            }),
            9 => Packet::SubAck(SubAck { packet_id, properties: self.properties(), reasons: &reasons }),
            10 => Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties: self.properties(),
                filters: unsubscribe.as_list(),
            }),
            11 => Packet::UnsubAck(UnsubAck { packet_id, properties: self.properties(), reasons: &reasons }),
            12 => Packet::PingReq,
            13 => Packet::PingResp,
            14 => Packet::Disconnect(Disconnect {
                reason: self.reason(&[0, 4, 0x82, 0x8E]),
                properties: self.properties(),
            }),
            _ => Packet::Auth(self.auth()),
        })
    }

    /// The packet's bytes.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.with(|packet| packet.encode(self.version, &mut out));
        out
    }

    fn properties(&self) -> Properties<'_> {
        if self.version == V5 { self.properties.as_properties() } else { Properties::EMPTY }
    }

    /// Success before 5.0.
    fn reason(&self, allowed: &[u8]) -> ReasonCode {
        let code = if self.version == V5 { allowed[usize::from(self.picks[0]) % allowed.len()] } else { 0 };
        ReasonCode::from_u8(code).unwrap()
    }

    fn reasons(&self) -> Vec<u8> {
        let allowed: &[u8] = match (self.kind, self.version) {
            (11, V5) => &[0x00, 0x11, 0x80, 0x91],
            (11, _) => return Vec::new(),
            (_, V5) => &[0x00, 0x01, 0x02, 0x80, 0x87, 0xA2],
            _ => &[0x00, 0x01, 0x02, 0x80],
        };
        self.picks.iter().map(|&pick| allowed[usize::from(pick) % allowed.len()]).collect()
    }

    fn connect(&self) -> Connect<'_> {
        let [clean_start, has_will, has_user_name, has_password] = self.flags;
        let will = Will {
            qos: self.qos,
            retain: self.picks[0] & 1 == 1,
            properties: if self.version == V5 { self.will.as_properties() } else { Properties::EMPTY },
            topic: &self.topic,
            payload: &self.payload,
        };
        Connect {
            version: self.version,
            clean_start,
            keep_alive: self.number,
            properties: self.properties(),
            client_id: &self.text,
            will: has_will.then_some(will),
            user_name: has_user_name.then_some(&self.topic),
            password: (has_password && (has_user_name || self.version == V5)).then_some(&self.payload),
        }
    }

    fn conn_ack(&self) -> ConnAck<'_> {
        let known = [0x00, 0x84, 0x85, 0x86, 0x87, 0x88];
        let reason = ReasonCode::from_u8(known[usize::from(self.picks[0]) % known.len()]).unwrap();
        ConnAck {
            session_present: self.flags[0] && !reason.is_failure() && self.version != V31,
            reason,
            properties: self.properties(),
        }
    }

    fn publish(&self) -> Publish<'_> {
        Publish {
            dup: self.flags[0] && self.qos != QoS::AtMostOnce,
            qos: self.qos,
            retain: self.flags[1],
            topic: &self.topic,
            packet_id: (self.qos != QoS::AtMostOnce).then_some(PacketId::new(self.number).unwrap()),
            properties: self.properties(),
            payload: &self.payload,
        }
    }

    fn ack(&self, allowed: &[u8]) -> Ack<'_> {
        Ack {
            packet_id: PacketId::new(self.number).unwrap(),
            reason: self.reason(allowed),
            properties: self.properties(),
        }
    }

    /// With a method, or bare.
    fn auth(&self) -> Auth<'_> {
        let properties = self.properties();
        if properties.iter().any(|property| matches!(property, Property::AuthenticationMethod(_))) {
            Auth { reason: self.reason(&[0, 0x18, 0x19]), properties }
        } else {
            Auth { reason: ReasonCode::Success, properties: Properties::EMPTY }
        }
    }
}
