//! SUBSCRIBE and its Subscription Options.
//!
//! Spec:  MQTT 5.0 section 3.8.

use crate::{DecodeError, PacketId, Properties, ProtocolVersion, QoS, SubscribeList, reader::Judge};

/// SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Of the exchange.
    pub packet_id: PacketId,
    /// Subscription Identifier and User Properties.
    pub properties: Properties<'a>,
    /// At least one [MQTT-3.8.3-2].
    pub filters: SubscribeList<'a>,
}

/// Subscription Options. For 3.x only `qos` is on the wire; the rest is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Maximum QoS of deliveries.
    pub qos: QoS,
    /// Not to the connection that published [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Keep the RETAIN flag of the publisher [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Which retained messages a SUBSCRIBE fetches.
    pub retain_handling: RetainHandling,
}

/// Retain Handling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE.
    #[default]
    Send = 0,
    /// 1: only where the Subscription is new.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

impl RetainHandling {
    /// `None` for values above 2.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Send),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }
}

impl SubscriptionOptions {
    /// Bits of the byte that are not reserved (section 3.8.3.1; MQTT 3.1.1 section 3.8.3).
    pub(crate) const fn known_bits(version: ProtocolVersion) -> u8 {
        match version {
            ProtocolVersion::V5 => 0b0011_1111,
            ProtocolVersion::V311 | ProtocolVersion::V31 => 0b0000_0011,
        }
    }

    /// The byte as `version` reads it.
    pub(crate) fn from_byte(
        byte: u8,
        version: ProtocolVersion,
        judge: &mut Judge<'_>,
    ) -> Result<Self, DecodeError> {
        let known = Self::known_bits(version);
        // [MQTT-3.8.3-5] [MQTT311-3.8.3-4]; 3.1 only says that they are not used.
        if byte & !known != 0 && version != ProtocolVersion::V31 {
            judge.excuse(DecodeError::SubscriptionOptionsReserved { options: byte })?;
        }
        Self::from_known_bits(byte & known)
    }

    pub(crate) fn from_known_bits(byte: u8) -> Result<Self, DecodeError> {
        Ok(Self {
            qos: QoS::from_u8(byte & 0b11).ok_or(DecodeError::InvalidSubscriptionQoS)?,
            no_local: byte & 0b100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling: RetainHandling::from_u8(byte >> 4 & 0b11)
                .ok_or(DecodeError::InvalidRetainHandling)?,
        })
    }

    /// The byte of 5.0, for keeping.
    #[must_use]
    pub const fn to_bits(self) -> u8 {
        self.to_byte(ProtocolVersion::V5)
    }

    /// What [`Self::to_bits`] gave; `None` for any other byte.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Self::from_known_bits(bits).ok().filter(|options| options.to_bits() == bits)
    }

    pub(crate) const fn to_byte(self, version: ProtocolVersion) -> u8 {
        let byte = self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4;
        byte & Self::known_bits(version)
    }
}
