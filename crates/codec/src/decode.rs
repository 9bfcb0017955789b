//! Bytes to packets.
//!
//! In:    a [`Frame`], the version of the connection, what is tolerated.
//! Out:   a [`Packet`] that borrows from it, and which tolerated rules it broke.
//! Never: allocates.
//! Spec:  MQTT 5.0 chapter 3.

mod connect;

use crate::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, FilterList, Frame, Packet, PacketId, Properties,
    ProtocolVersion, Publish, ReasonCode, RuleSet, SubAck, Subscribe, SubscribeList, Tolerance, UnsubAck,
    Unsubscribe,
    property::Allowed,
    reader::{Judge, Reader},
};

/// Control Packet types (table 2-1).
pub(crate) mod packet_type {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
    pub(crate) const AUTH: u8 = 15;
}

/// Reads the packets whose version is known: all but CONNECT and PUBLISH.
struct Decoder<'a, 'j> {
    packet_type: u8,
    reader: Reader<'a>,
    version: ProtocolVersion,
    judge: Judge<'j>,
}

impl<'a> Packet<'a> {
    /// Reads one packet. `version` is ignored for CONNECT, which carries its own.
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
        if frame.packet_type() == packet_type::PUBLISH {
            return Publish::decode(frame, version, tolerance, broken).map(Self::Publish);
        }
        Self::decode_other(frame, version, tolerance, broken)
    }

    fn decode_other(
        frame: Frame<'a>,
        version: ProtocolVersion,
        tolerance: Tolerance,
        broken: &mut RuleSet,
    ) -> Result<Self, DecodeError> {
        let mut judge = Judge { tolerance, broken };
        let reader = Reader::new(frame.body);
        let packet_type = frame.packet_type();
        if packet_type == packet_type::CONNECT {
            return Connect::decode(frame, judge).map(Self::Connect);
        }
        check_flags(frame, version, &mut judge)?;
        let decoder = Decoder { packet_type, reader, version, judge };
        match packet_type {
            packet_type::CONNACK => decoder.conn_ack().map(Self::ConnAck),
            packet_type::PUBACK => decoder.ack().map(Self::PubAck),
            packet_type::PUBREC => decoder.ack().map(Self::PubRec),
            packet_type::PUBREL => decoder.ack().map(Self::PubRel),
            packet_type::PUBCOMP => decoder.ack().map(Self::PubComp),
            packet_type::SUBSCRIBE => decoder.subscribe().map(Self::Subscribe),
            packet_type::SUBACK => decoder.sub_ack().map(Self::SubAck),
            packet_type::UNSUBSCRIBE => decoder.unsubscribe().map(Self::Unsubscribe),
            packet_type::UNSUBACK => decoder.unsub_ack().map(Self::UnsubAck),
            packet_type::PINGREQ => reader.finish().map(|()| Self::PingReq),
            packet_type::PINGRESP => reader.finish().map(|()| Self::PingResp),
            packet_type::DISCONNECT => decoder.disconnect().map(Self::Disconnect),
            packet_type::AUTH if version == ProtocolVersion::V5 => decoder.auth().map(Self::Auth),
            _ => Err(DecodeError::PacketTypeReserved { packet_type }),
        }
    }
}

/// [MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]
fn check_flags(frame: Frame<'_>, version: ProtocolVersion, judge: &mut Judge<'_>) -> Result<(), DecodeError> {
    let packet_type = frame.packet_type();
    let expected = match packet_type {
        // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT311-3.6.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1]
        packet_type::PUBREL | packet_type::SUBSCRIBE | packet_type::UNSUBSCRIBE => 0b0010,
        // [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT311-3.14.1-1]
        _ => 0,
    };
    let flags = frame.first & 0b1111;
    // 3.1 has DUP and QoS in every fixed header, used or not.
    if flags == expected || version == ProtocolVersion::V31 {
        return Ok(());
    }
    judge.excuse(DecodeError::FixedHeaderFlags { packet_type, flags, expected })
}

impl<'a> Decoder<'a, '_> {
    const fn v5(&self) -> bool {
        matches!(self.version, ProtocolVersion::V5)
    }

    /// None on the wire before 5.0.
    fn properties(&mut self, allowed: Allowed) -> Result<Properties<'a>, DecodeError> {
        if self.v5() {
            Properties::decode(&mut self.reader, allowed, &mut self.judge)
        } else {
            Ok(Properties::EMPTY)
        }
    }

    /// One that this packet type allows.
    fn reason(&mut self) -> Result<ReasonCode, DecodeError> {
        let code = self.reader.u8()?;
        self.check_reason(code)
    }

    fn check_reason(&self, code: u8) -> Result<ReasonCode, DecodeError> {
        match ReasonCode::from_u8(code) {
            Some(reason) if reason.is_allowed_in(self.packet_type) => Ok(reason),
            _ => Err(DecodeError::ReasonCodeNotAllowed { packet_type: self.packet_type, code }),
        }
    }

    fn conn_ack(mut self) -> Result<ConnAck<'a>, DecodeError> {
        let flags = self.reader.u8()?;
        // 3.1: the byte is reserved.
        let flags = if self.version == ProtocolVersion::V31 { 0 } else { flags };
        if flags > 1 {
            // [MQTT-3.2.2-1]
            self.judge.excuse(DecodeError::ConnAckFlagsReserved { flags })?;
        }
        let session_present = flags & 1 != 0;
        let reason = if self.v5() {
            // [MQTT-3.2.2-8]
            self.reason()?
        } else {
            let code = self.reader.u8()?;
            let packet_type = self.packet_type;
            ReasonCode::from_return_code(code)
                .ok_or(DecodeError::ReasonCodeNotAllowed { packet_type, code })?
        };
        if session_present && reason.is_failure() {
            // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
            return Err(DecodeError::SessionPresentWithFailure);
        }
        let properties = self.properties(Allowed::CONNACK)?;
        self.reader.finish()?;
        Ok(ConnAck { session_present, reason, properties })
    }

    fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        self.reader.packet_id()
    }

    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    fn ack(mut self) -> Result<Ack<'a>, DecodeError> {
        let packet_id = self.packet_id()?;
        let (reason, properties) = self.optional_reason(Allowed::ACK)?;
        Ok(Ack { packet_id, reason, properties })
    }

    /// The Reason Code and Properties at the end of a packet, both of which may be left out (section 3.4.2.1).
    fn optional_reason(mut self, allowed: Allowed) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
        if !self.v5() || self.reader.rest.is_empty() {
            return self.reader.finish().map(|()| (ReasonCode::Success, Properties::EMPTY));
        }
        // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.14.2-1]
        let reason = self.reason()?;
        if self.reader.rest.is_empty() {
            return Ok((reason, Properties::EMPTY));
        }
        let properties = self.properties(allowed)?;
        self.reader.finish()?;
        Ok((reason, properties))
    }

    fn subscribe(mut self) -> Result<Subscribe<'a>, DecodeError> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(Allowed::SUBSCRIBE)?;
        let filters = SubscribeList::decode(self.reader, self.version, &mut self.judge)?;
        Ok(Subscribe { packet_id, properties, filters })
    }

    fn unsubscribe(mut self) -> Result<Unsubscribe<'a>, DecodeError> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(Allowed::UNSUBSCRIBE)?;
        let filters = FilterList::decode(self.reader, &mut self.judge)?;
        Ok(Unsubscribe { packet_id, properties, filters })
    }

    /// The rest of the packet: one Reason Code for each Topic Filter.
    fn reasons(&self) -> Result<&'a [u8], DecodeError> {
        let codes = self.reader.rest;
        if codes.is_empty() {
            return Err(DecodeError::EmptyList);
        }
        for &code in codes {
            // [MQTT311-3.9.3-2]
            if !self.v5() && !matches!(code, 0..=2 | 0x80) {
                return Err(DecodeError::ReasonCodeNotAllowed { packet_type: self.packet_type, code });
            }
            // [MQTT-3.9.3-2] [MQTT-3.11.3-2]
            self.check_reason(code)?;
        }
        Ok(codes)
    }

    fn sub_ack(mut self) -> Result<SubAck<'a>, DecodeError> {
        let packet_id = self.packet_id()?;
        let properties = self.properties(Allowed::ACK)?;
        Ok(SubAck { packet_id, properties, reasons: self.reasons()? })
    }

    fn unsub_ack(mut self) -> Result<UnsubAck<'a>, DecodeError> {
        let packet_id = self.packet_id()?;
        if !self.v5() {
            self.reader.finish()?;
            return Ok(UnsubAck { packet_id, properties: Properties::EMPTY, reasons: &[] });
        }
        let properties = self.properties(Allowed::ACK)?;
        Ok(UnsubAck { packet_id, properties, reasons: self.reasons()? })
    }

    fn disconnect(self) -> Result<Disconnect<'a>, DecodeError> {
        let (reason, properties) = self.optional_reason(Allowed::DISCONNECT)?;
        Ok(Disconnect { reason, properties })
    }

    fn auth(mut self) -> Result<Auth<'a>, DecodeError> {
        // Section 3.15.2.1: both left out only together.
        if self.reader.rest.is_empty() {
            return Ok(Auth { reason: ReasonCode::Success, properties: Properties::EMPTY });
        }
        // [MQTT-3.15.2-1]
        let reason = self.reason()?;
        let properties = self.properties(Allowed::AUTH)?;
        self.reader.finish()?;
        if !properties.has_authentication_method() {
            // A Protocol Error (section 3.15.2.2.2).
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(Auth { reason, properties })
    }
}
