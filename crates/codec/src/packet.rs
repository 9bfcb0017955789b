//! The packet model: one set of types for the three versions.
//!
//! Spec:  MQTT 5.0 chapter 3.

use crate::{FilterList, Frame, PacketId, Properties, Publish, QoS, ReasonCode, Subscribe};

/// Which MQTT a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ProtocolVersion {
    /// `MQIsdp`, level 3.
    V31 = 3,
    /// `MQTT`, level 4.
    V311 = 4,
    /// `MQTT`, level 5.
    V5 = 5,
}

/// A Control Packet; borrows from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the packet types of section 2.1.2")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// From Protocol Name and Protocol Version.
    pub version: ProtocolVersion,
    /// Clean Start (5.0), Clean Session (3.x).
    pub clean_start: bool,
    /// Seconds; 0 turns the mechanism off.
    pub keep_alive: u16,
    /// Empty for 3.x.
    pub properties: Properties<'a>,
    /// Zero bytes long when the Client asks for one.
    pub client_id: &'a str,
    /// The Will Message.
    pub will: Option<Will<'a>>,
    /// User Name.
    pub user_name: Option<&'a str>,
    /// Password; without a User Name in 5.0 only [MQTT311-3.1.2-22].
    pub password: Option<&'a [u8]>,
}

/// The Will of a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Properties; empty for 3.x.
    pub properties: Properties<'a>,
    /// Will Topic: well-formed UTF-8; not yet checked as a Topic Name.
    pub topic: &'a str,
    /// Will Payload.
    pub payload: &'a [u8],
}

/// CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Session Present.
    pub session_present: bool,
    /// Encoded to 3.x as the Return Code nearest to it.
    pub reason: ReasonCode,
    /// Not encoded to 3.x.
    pub properties: Properties<'a>,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Of the exchange.
    pub packet_id: PacketId,
    /// Success when absent from the wire.
    pub reason: ReasonCode,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

impl Ack<'static> {
    /// Reads a packet that says nothing but that all is well, as most do. `None` where it says more, or is wrong: that is for
    /// [`Packet::decode`] to find out.
    #[inline]
    #[must_use]
    pub fn decode_plain(frame: Frame<'_>) -> Option<Self> {
        let (0x40 | 0x50 | 0x62 | 0x70, [high, low]) = (frame.first, frame.body) else { return None };
        let packet_id = PacketId::new(u16::from_be_bytes([*high, *low]))?;
        Some(Self { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY })
    }
}

/// SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Not encoded to 3.x.
    pub properties: Properties<'a>,
    /// One for each Topic Filter, as on the wire (any failure is 0x80 to 3.x: the encoder maps).
    pub reasons: &'a [u8],
}

/// UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Of the exchange.
    pub packet_id: PacketId,
    /// User Properties.
    pub properties: Properties<'a>,
    /// At least one [MQTT-3.10.3-2].
    pub filters: FilterList<'a>,
}

/// UNSUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Not encoded to 3.x.
    pub properties: Properties<'a>,
    /// One for each Topic Filter; not encoded to 3.x.
    pub reasons: &'a [u8],
}

/// DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Success (Normal disconnection) when absent from the wire.
    pub reason: ReasonCode,
    /// Empty for 3.x.
    pub properties: Properties<'a>,
}

/// AUTH (5.0 only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method and Data.
    pub properties: Properties<'a>,
}
