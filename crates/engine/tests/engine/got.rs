//! What a Client read: each packet as one line, which tests compare, and its parts where they look closer.

use std::fmt::{self, Display, Formatter};

use dunlin_codec::{Ack, Packet, Properties, Property, Publish, QoS};

/// A packet that the Server sent, or the end of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    ConnAck {
        session_present: bool,
        code: u8,
        properties: Props,
    },
    Publish(Received),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack {
        name: &'static str,
        id: u16,
        code: u8,
    },
    /// SUBACK, UNSUBACK.
    Acks {
        name: &'static str,
        id: u16,
        codes: Vec<u8>,
    },
    PingResp,
    Auth {
        code: u8,
        properties: Props,
    },
    Disconnect {
        code: u8,
        properties: Props,
    },
    Closed,
}

/// A PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0: none.
    pub(crate) id: u16,
    pub(crate) properties: Props,
}

/// Properties, kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Props(Vec<u8>);

impl Props {
    fn of(properties: Properties<'_>) -> Self {
        Self(properties.as_bytes().to_vec())
    }

    /// Each as a line of its own.
    pub(crate) fn lines(&self) -> Vec<String> {
        Properties::from_trusted(&self.0).iter().map(line).collect()
    }

    /// Is there one that reads like this?
    pub(crate) fn has(&self, wanted: &str) -> bool {
        self.lines().iter().any(|line| line == wanted)
    }

    /// The value of the first with this name.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.lines().iter().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }
}

fn line(property: Property<'_>) -> String {
    match property {
        Property::MessageExpiryInterval(seconds) => format!("expiry={seconds}"),
        Property::SubscriptionIdentifier(identifier) => format!("subscription={}", identifier.get()),
        Property::TopicAlias(alias) => format!("alias={alias}"),
        Property::PayloadFormatIndicator(value) => format!("format={value}"),
        Property::ContentType(text) => format!("content_type={text}"),
        Property::ResponseTopic(text) => format!("response_topic={text}"),
        Property::CorrelationData(data) => format!("correlation={}", String::from_utf8_lossy(data)),
        Property::UserProperty(name, value) => format!("user={name}:{value}"),
        Property::ReasonString(text) => format!("reason={text}"),
        Property::SessionExpiryInterval(seconds) => format!("session_expiry={seconds}"),
        Property::ReceiveMaximum(maximum) => format!("receive_maximum={maximum}"),
        Property::MaximumPacketSize(bytes) => format!("maximum_packet_size={bytes}"),
        Property::TopicAliasMaximum(maximum) => format!("topic_alias_maximum={maximum}"),
        Property::AssignedClientIdentifier(text) => format!("assigned={text}"),
        Property::ServerKeepAlive(seconds) => format!("server_keep_alive={seconds}"),
        Property::ResponseInformation(text) => format!("response_information={text}"),
        Property::AuthenticationMethod(method) => format!("method={method}"),
        Property::AuthenticationData(data) => format!("data={}", String::from_utf8_lossy(data)),
        other => format!("{other:?}"),
    }
}

impl Got {
    /// A packet of the Server.
    pub(crate) fn of(packet: &Packet<'_>) -> Self {
        let ack = |name, ack: &Ack<'_>| Self::Ack { name, id: ack.packet_id.get(), code: ack.reason as u8 };
        match packet {
            Packet::ConnAck(connack) => Self::ConnAck {
                session_present: connack.session_present,
                code: connack.reason as u8,
                properties: Props::of(connack.properties),
            },
            Packet::Publish(publish) => Self::Publish(Received::of(publish)),
            Packet::PubAck(puback) => ack("PUBACK", puback),
            Packet::PubRec(pubrec) => ack("PUBREC", pubrec),
            Packet::PubRel(pubrel) => ack("PUBREL", pubrel),
            Packet::PubComp(pubcomp) => ack("PUBCOMP", pubcomp),
            Packet::SubAck(suback) => {
                Self::Acks { name: "SUBACK", id: suback.packet_id.get(), codes: suback.reasons.to_vec() }
            }
            Packet::UnsubAck(unsuback) => Self::Acks {
                name: "UNSUBACK",
                id: unsuback.packet_id.get(),
                codes: unsuback.reasons.to_vec(),
            },
            Packet::PingResp => Self::PingResp,
            Packet::Auth(auth) => {
                Self::Auth { code: auth.reason as u8, properties: Props::of(auth.properties) }
            }
            Packet::Disconnect(disconnect) => Self::Disconnect {
                code: disconnect.reason as u8,
                properties: Props::of(disconnect.properties),
            },
            other => panic!("a Server sends no {}", other.name()),
        }
    }

    /// The PUBLISH that it is.
    pub(crate) fn publish(&self) -> &Received {
        match self {
            Self::Publish(received) => received,
            other => panic!("no PUBLISH: {other}"),
        }
    }

    /// The Properties of a CONNACK or DISCONNECT.
    pub(crate) fn properties(&self) -> &Props {
        match self {
            Self::ConnAck { properties, .. } | Self::Disconnect { properties, .. } => properties,
            Self::Publish(received) => &received.properties,
            other => panic!("no properties: {other}"),
        }
    }
}

impl Received {
    fn of(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map_or(0, dunlin_codec::PacketId::get),
            properties: Props::of(publish.properties),
        }
    }
}

/// `PUBLISH t=payload q1 #7 dup retain [expiry=5]`, `PUBACK #7`, `PUBACK #7 10`, `SUBACK #1 [01, 80]`, `DISCONNECT 8e`.
impl Display for Got {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnAck { session_present, code, .. } => {
                write!(out, "CONNACK {code:02x}{}", if *session_present { " present" } else { "" })
            }
            Self::Publish(received) => received.fmt(out),
            Self::Ack { name, id, code: 0 } => write!(out, "{name} #{id}"),
            Self::Ack { name, id, code } => write!(out, "{name} #{id} {code:02x}"),
            Self::Acks { name, id, codes } if codes.is_empty() => write!(out, "{name} #{id}"),
            Self::Acks { name, id, codes } => write!(out, "{name} #{id} {codes:02x?}"),
            Self::PingResp => out.write_str("PINGRESP"),
            Self::Auth { code, properties } => {
                write!(out, "AUTH {code:02x} [{}]", properties.lines().join(", "))
            }
            Self::Disconnect { code, .. } => write!(out, "DISCONNECT {code:02x}"),
            Self::Closed => out.write_str("closed"),
        }
    }
}

impl Display for Received {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let payload = String::from_utf8_lossy(&self.payload);
        let payload = if payload.len() > 40 { format!("({} bytes)", payload.len()) } else { payload.into() };
        write!(out, "PUBLISH {}={payload}", self.topic)?;
        if self.qos != QoS::AtMostOnce {
            write!(out, " q{} #{}", self.qos as u8, self.id)?;
        }
        for (is_set, name) in [(self.dup, " dup"), (self.retain, " retain")] {
            out.write_str(if is_set { name } else { "" })?;
        }
        let properties = self.properties.lines();
        if properties.is_empty() { Ok(()) } else { write!(out, " [{}]", properties.join(", ")) }
    }
}
