//! Packets to bytes.
//!
//! In:    a [`Packet`] and the version of the connection.
//! Out:   its bytes, appended to a buffer, in the shortest form the specification allows.
//! Never: writes to a 3.x peer what 3.x lacks.
//! Spec:  MQTT 5.0 chapter 3.

use crate::{
    Auth, ConnAck, Connect, Packet, PacketId, Properties, ProtocolVersion, ReasonCode, SubAck, VarInt,
    decode::packet_type,
};

/// Remaining Length.
#[inline]
fn remaining_length(body_len: usize) -> VarInt {
    let Some(length) = u32::try_from(body_len).ok().and_then(VarInt::new) else {
        unreachable!("a packet of {body_len} bytes is longer than 268435455");
    };
    length
}

/// Bytes of a packet with this many after the fixed header.
#[inline]
pub(crate) fn packet_len(body_len: usize) -> usize {
    1 + remaining_length(body_len).encoded_len() + body_len
}

/// Appends a fixed header.
#[inline]
pub(crate) fn put_header(first: u8, body_len: usize, out: &mut Vec<u8>) {
    match u8::try_from(body_len) {
        Ok(short @ ..0x80) => out.extend_from_slice(&[first, short]),
        _ => put_long_header(first, body_len, out),
    }
}

fn put_long_header(first: u8, body_len: usize, out: &mut Vec<u8>) {
    out.push(first);
    remaining_length(body_len).encode(out);
}

/// Appends Binary Data or a UTF-8 Encoded String.
#[inline]
pub(crate) fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(bytes.len()) else {
        unreachable!("a field of {} bytes is longer than 65535", bytes.len());
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes of Property Length and Properties.
#[inline]
pub(crate) fn properties_len(properties: Properties<'_>, version: ProtocolVersion) -> usize {
    if version != ProtocolVersion::V5 {
        return 0;
    }
    let length = properties.as_bytes().len();
    remaining_length(length).encoded_len() + length
}

/// Appends Property Length and Properties; a Property Length of zero where there are none [MQTT-2.2.2-1].
#[inline]
pub(crate) fn put_properties(properties: Properties<'_>, version: ProtocolVersion, out: &mut Vec<u8>) {
    if version != ProtocolVersion::V5 {
        return;
    }
    let bytes = properties.as_bytes();
    remaining_length(bytes.len()).encode(out);
    out.extend_from_slice(bytes);
}

impl Packet<'_> {
    /// The packet's name as the specification writes it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "CONNECT",
            Self::ConnAck(_) => "CONNACK",
            Self::Publish(_) => "PUBLISH",
            Self::PubAck(_) => "PUBACK",
            Self::PubRec(_) => "PUBREC",
            Self::PubRel(_) => "PUBREL",
            Self::PubComp(_) => "PUBCOMP",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::SubAck(_) => "SUBACK",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::UnsubAck(_) => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect(_) => "DISCONNECT",
            Self::Auth(_) => "AUTH",
        }
    }

    /// Bytes of the whole packet.
    ///
    /// # Panics
    /// More than Remaining Length can say: 268,435,455 bytes after the fixed header.
    #[must_use]
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        packet_len(self.body_len(version))
    }

    /// Appends it to `out`. A CONNECT is written in its own version.
    ///
    /// # Panics
    /// Where [`Packet::encoded_len`] does, a string or Binary Data beyond 65,535 bytes, QoS above 0 without a Packet
    /// Identifier, AUTH before 5.0.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Publish(publish) => publish.encode(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack)
                if reason_len(ack.reason, ack.properties, version) == 0 =>
            {
                let [high, low] = ack.packet_id.get().to_be_bytes();
                out.extend_from_slice(&[self.first_byte(), 2, high, low]);
            }
            _ => self.encode_long(version, out),
        }
    }

    fn encode_long(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        let start = out.len();
        out.reserve(packet_len(body_len));
        put_header(self.first_byte(), body_len, out);
        self.put_body(version, out);
        debug_assert_eq!(out.len() - start, packet_len(body_len), "length of {}", self.name());
    }

    /// Packet type and flags [MQTT-2.1.3-1]; PUBLISH writes its own.
    #[inline]
    const fn first_byte(&self) -> u8 {
        match self {
            Self::Connect(_) => packet_type::CONNECT << 4,
            Self::ConnAck(_) => packet_type::CONNACK << 4,
            Self::Publish(_) => packet_type::PUBLISH << 4,
            Self::PubAck(_) => packet_type::PUBACK << 4,
            Self::PubRec(_) => packet_type::PUBREC << 4,
            Self::PubRel(_) => packet_type::PUBREL << 4 | 0b0010,
            Self::PubComp(_) => packet_type::PUBCOMP << 4,
            Self::Subscribe(_) => packet_type::SUBSCRIBE << 4 | 0b0010,
            Self::SubAck(_) => packet_type::SUBACK << 4,
            Self::Unsubscribe(_) => packet_type::UNSUBSCRIBE << 4 | 0b0010,
            Self::UnsubAck(_) => packet_type::UNSUBACK << 4,
            Self::PingReq => packet_type::PINGREQ << 4,
            Self::PingResp => packet_type::PINGRESP << 4,
            Self::Disconnect(_) => packet_type::DISCONNECT << 4,
            Self::Auth(_) => packet_type::AUTH << 4,
        }
    }

    /// What Remaining Length counts.
    fn body_len(&self, version: ProtocolVersion) -> usize {
        match self {
            Self::Connect(connect) => connect.body_len(),
            Self::ConnAck(ack) => 2 + properties_len(ack.properties, version),
            Self::Publish(publish) => publish.body_len(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                2 + reason_len(ack.reason, ack.properties, version)
            }
            Self::Subscribe(subscribe) => {
                2 + properties_len(subscribe.properties, version) + subscribe.filters.encoded_len()
            }
            Self::SubAck(ack) => 2 + properties_len(ack.properties, version) + ack.reasons.len(),
            Self::Unsubscribe(unsubscribe) => {
                2 + properties_len(unsubscribe.properties, version) + unsubscribe.filters.as_bytes().len()
            }
            Self::UnsubAck(ack) if version == ProtocolVersion::V5 => {
                2 + properties_len(ack.properties, version) + ack.reasons.len()
            }
            Self::UnsubAck(_) => 2,
            Self::PingReq | Self::PingResp => 0,
            Self::Disconnect(disconnect) => reason_len(disconnect.reason, disconnect.properties, version),
            Self::Auth(auth) => {
                assert!(version == ProtocolVersion::V5, "AUTH exists in 5.0 only");
                if auth.is_bare() { 0 } else { 1 + properties_len(auth.properties, version) }
            }
        }
    }

    fn put_body(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Connect(connect) => connect.put_body(out),
            Self::ConnAck(ack) => ack.put_body(version, out),
            Self::Publish(_) => unreachable!("PUBLISH writes itself"),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                put_packet_id(ack.packet_id, out);
                put_reason(ack.reason, ack.properties, version, out);
            }
            Self::Subscribe(subscribe) => {
                put_packet_id(subscribe.packet_id, out);
                put_properties(subscribe.properties, version, out);
                subscribe.filters.encode(version, out);
            }
            Self::SubAck(ack) => ack.put_body(version, out),
            Self::Unsubscribe(unsubscribe) => {
                put_packet_id(unsubscribe.packet_id, out);
                put_properties(unsubscribe.properties, version, out);
                out.extend_from_slice(unsubscribe.filters.as_bytes());
            }
            Self::UnsubAck(ack) => {
                put_packet_id(ack.packet_id, out);
                if version == ProtocolVersion::V5 {
                    put_properties(ack.properties, version, out);
                    out.extend_from_slice(ack.reasons);
                }
            }
            Self::PingReq | Self::PingResp => {}
            Self::Disconnect(disconnect) => {
                put_reason(disconnect.reason, disconnect.properties, version, out)
            }
            Self::Auth(auth) => {
                if !auth.is_bare() {
                    out.push(auth.reason as u8);
                    put_properties(auth.properties, version, out);
                }
            }
        }
    }
}

#[inline]
pub(crate) fn put_packet_id(packet_id: PacketId, out: &mut Vec<u8>) {
    out.extend_from_slice(&packet_id.get().to_be_bytes());
}

/// Bytes of a Reason Code and Properties that can be left out (section 3.4.2.1).
#[inline]
fn reason_len(reason: ReasonCode, properties: Properties<'_>, version: ProtocolVersion) -> usize {
    match (version, reason, properties.is_empty()) {
        (ProtocolVersion::V31 | ProtocolVersion::V311, _, _) | (_, ReasonCode::Success, true) => 0,
        (_, _, true) => 1,
        _ => 1 + properties_len(properties, version),
    }
}

fn put_reason(reason: ReasonCode, properties: Properties<'_>, version: ProtocolVersion, out: &mut Vec<u8>) {
    let len = reason_len(reason, properties, version);
    if len > 0 {
        out.push(reason as u8);
    }
    if len > 1 {
        put_properties(properties, version, out);
    }
}

impl Connect<'_> {
    fn body_len(&self) -> usize {
        let field = |bytes: &[u8]| 2 + bytes.len();
        let will = self.will.map_or(0, |will| {
            properties_len(will.properties, self.version) + field(will.topic.as_bytes()) + field(will.payload)
        });
        // Protocol Version, Connect Flags and Keep Alive take 4.
        field(self.protocol_name())
            + 4
            + properties_len(self.properties, self.version)
            + field(self.client_id.as_bytes())
            + will
            + self.user_name.map_or(0, |name| field(name.as_bytes()))
            + self.password.map_or(0, field)
    }

    const fn protocol_name(&self) -> &'static [u8] {
        match self.version {
            ProtocolVersion::V31 => b"MQIsdp",
            ProtocolVersion::V311 | ProtocolVersion::V5 => b"MQTT",
        }
    }

    /// Section 3.1.2.3.
    fn flags(&self) -> u8 {
        let will = self.will.map_or(0, |will| 0b100 | (will.qos as u8) << 3 | u8::from(will.retain) << 5);
        u8::from(self.clean_start) << 1
            | will
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        put_binary(self.protocol_name(), out);
        out.extend_from_slice(&[self.version as u8, self.flags()]);
        out.extend_from_slice(&self.keep_alive.to_be_bytes());
        put_properties(self.properties, self.version, out);
        put_binary(self.client_id.as_bytes(), out);
        if let Some(will) = self.will {
            put_properties(will.properties, self.version, out);
            put_binary(will.topic.as_bytes(), out);
            put_binary(will.payload, out);
        }
        if let Some(user_name) = self.user_name {
            put_binary(user_name.as_bytes(), out);
        }
        if let Some(password) = self.password {
            put_binary(password, out);
        }
    }
}

impl ConnAck<'_> {
    fn put_body(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]; 3.1 has no Session Present.
        let session_present =
            self.session_present && !self.reason.is_failure() && version != ProtocolVersion::V31;
        let reason = match version {
            ProtocolVersion::V5 => self.reason as u8,
            ProtocolVersion::V311 | ProtocolVersion::V31 => self.reason.to_return_code(),
        };
        out.extend_from_slice(&[u8::from(session_present), reason]);
        put_properties(self.properties, version, out);
    }
}

impl SubAck<'_> {
    fn put_body(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        put_packet_id(self.packet_id, out);
        put_properties(self.properties, version, out);
        if version == ProtocolVersion::V5 {
            out.extend_from_slice(self.reasons);
        } else {
            // [MQTT311-3.9.3-2]
            out.extend(self.reasons.iter().map(|&code| code.min(0x80)));
        }
    }
}

impl Auth<'_> {
    /// Reason Code and Property Length can be left out together (section 3.15.2.1).
    fn is_bare(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.is_empty()
    }
}
