//! PUBLISH: an Application Message on its way.
//!
//! Spec:  MQTT 5.0 section 3.3.

use crate::{
    DecodeError, Frame, PacketId, Properties, ProtocolVersion, RuleSet, Tolerance,
    encode::{packet_len, properties_len, put_binary, put_header, put_packet_id, put_properties},
    property::Allowed,
    reader::{Judge, Reader},
    utf8,
};

/// Quality of Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

/// A PUBLISH packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, perhaps [MQTT-3.3.1-1].
    pub dup: bool,
    /// Quality of Service of this delivery.
    pub qos: QoS,
    /// To be stored by a Server, or sent from its store.
    pub retain: bool,
    /// Well-formed UTF-8; empty where a Topic Alias stands for it. Wildcards and other rules of a Topic Name are NOT yet
    /// checked: the Server does that once for each topic, with [`crate::TopicName::parse`].
    pub topic: &'a str,
    /// Present exactly when `qos` is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// Empty for 3.x.
    pub properties: Properties<'a>,
    /// The Application Message, opaque.
    pub payload: &'a [u8],
}

impl QoS {
    /// `None` for 3 and above.
    #[inline]
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

impl<'a> Publish<'a> {
    /// Reads a PUBLISH; `frame` is one. Of the Topic Name only that it is well-formed UTF-8 is checked.
    ///
    /// # Errors
    /// What makes it none, and rules that `tolerance` lacks; tolerated ones go into `broken`.
    #[inline]
    pub fn decode(
        frame: Frame<'a>,
        version: ProtocolVersion,
        tolerance: Tolerance,
        broken: &mut RuleSet,
    ) -> Result<Self, DecodeError> {
        Self::decode_like(frame, version, tolerance, broken, "")
    }

    /// The same where `likely` may be its topic: one that is equal need not be checked again, and is given back.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[inline]
    pub fn decode_like(
        frame: Frame<'a>,
        version: ProtocolVersion,
        tolerance: Tolerance,
        broken: &mut RuleSet,
        likely: &'a str,
    ) -> Result<Self, DecodeError> {
        let mut judge = Judge { tolerance, broken };
        // [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
        let qos = QoS::from_u8(frame.first >> 1 & 0b11).ok_or(DecodeError::InvalidQoS)?;
        let mut dup = frame.first & 0b1000 != 0;
        if dup && qos == QoS::AtMostOnce {
            // [MQTT-3.3.1-2] [MQTT311-3.3.1-2]
            judge.excuse(DecodeError::DupAtQoS0)?;
            dup = false;
        }
        let mut reader = Reader::new(frame.body);
        // The first field, and UTF-8 [MQTT-3.3.2-1] [MQTT311-3.3.2-1].
        let topic = reader.binary()?;
        let topic = if topic == likely.as_bytes() { likely } else { utf8::parse(topic)? };
        // [MQTT-2.2.1-2] [MQTT311-2.3.1-5]
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let mut properties = Properties::EMPTY;
        if version == ProtocolVersion::V5 {
            properties = Properties::decode(&mut reader, Allowed::PUBLISH, &mut judge)?;
            if topic.is_empty() && properties.topic_alias().is_none() {
                // A Protocol Error (section 3.3.2.3.4).
                return Err(DecodeError::TopicMissing);
            }
        }
        let retain = frame.first & 0b1 != 0;
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: reader.rest })
    }

    pub(crate) fn body_len(&self, version: ProtocolVersion) -> usize {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        2 + self.topic.len() + packet_id + properties_len(self.properties, version) + self.payload.len()
    }

    /// Bytes of the whole packet.
    ///
    /// # Panics
    /// More than Remaining Length can say: 268,435,455 bytes after the fixed header.
    #[must_use]
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        packet_len(self.body_len(version))
    }

    /// Appends it to `out`.
    ///
    /// # Panics
    /// Where [`Publish::encoded_len`] does, a Topic Name beyond 65,535 bytes, QoS above 0 without a Packet Identifier.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        out.reserve(packet_len(body_len));
        self.put_head(body_len, version, out);
        out.extend_from_slice(self.payload);
    }

    /// Appends all but the payload, which must follow: for payloads that are shared, not copied.
    ///
    /// # Panics
    /// Where [`Publish::encode`] does.
    #[inline]
    pub fn encode_head(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        // No room for the payload: it goes elsewhere, and can be large.
        out.reserve(packet_len(body_len) - self.payload.len());
        self.put_head(body_len, version, out);
    }

    #[inline]
    fn put_head(&self, body_len: usize, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_header(Frame::of_publish(self.dup, self.qos, self.retain, &[]).first, body_len, out);
        put_binary(self.topic.as_bytes(), out);
        // [MQTT-2.2.1-2] [MQTT-2.2.1-4]
        if self.qos != QoS::AtMostOnce {
            let Some(packet_id) = self.packet_id else {
                unreachable!("a publish above qos 0 has a packet identifier");
            };
            put_packet_id(packet_id, out);
        }
        put_properties(self.properties, version, out);
    }
}
