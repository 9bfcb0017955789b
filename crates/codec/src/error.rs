//! Why bytes are no Control Packet, and what the specification calls that.
//!
//! Spec:  MQTT 5.0 sections 1.2 (Malformed Packet, Protocol Error), 2.4 and 4.13.

use crate::{ReasonCode, Rule, TopicFilterError};

/// Why bytes are no Control Packet. The Network Connection is closed, to 5.0 after [`DecodeError::reason_code`]
/// [MQTT-4.13.1-1] [MQTT311-4.8.0-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fixed header and body together.
    #[error("packet of {size} bytes, maximum packet size is {limit}")]
    PacketTooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Bytes allowed.
        limit: u32,
    },
    /// The fourth byte has its continuation bit set (section 1.5.5).
    #[error("variable byte integer is longer than 4 bytes")]
    VariableByteIntegerTooLong,
    /// [MQTT-1.5.5-1]
    #[error("variable byte integer {value} takes {bytes} bytes, more than it needs")]
    VariableByteIntegerNotMinimal {
        /// The number.
        value: u32,
        /// Bytes it was written in.
        bytes: usize,
    },
    /// Packet type 0, and 15 before 5.0 (section 2.1.2).
    #[error("packet type {packet_type} is reserved")]
    PacketTypeReserved {
        /// Bits 7 to 4 of the first byte.
        packet_type: u8,
    },
    /// [MQTT-2.1.3-1] [MQTT311-2.2.2-2]
    #[error("fixed header flags of packet type {packet_type} are {flags:#06b}, not {expected:#06b}")]
    FixedHeaderFlags {
        /// Bits 7 to 4 of the first byte.
        packet_type: u8,
        /// Bits 3 to 0 of the first byte.
        flags: u8,
        /// As table 2-2 has them.
        expected: u8,
    },
    /// The packet ends inside a field.
    #[error("packet ends early: a field needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes of the field.
        needed: usize,
        /// Bytes left of the packet, or of its properties.
        left: usize,
    },
    /// Bytes after the last field.
    #[error("{count} bytes after the end of the packet")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// [MQTT-1.5.4-1] [MQTT311-1.5.3-1]
    #[error("string is not well-formed UTF-8 at byte {at}")]
    Utf8IllFormed {
        /// Byte of the string.
        at: usize,
    },
    /// [MQTT-1.5.4-2] [MQTT311-1.5.3-2]
    #[error("string holds U+0000 at byte {at}")]
    Utf8Null {
        /// Byte of the string.
        at: usize,
    },
    /// A control character or a non-character (section 1.5.4, SHOULD NOT).
    #[error("string holds U+{code_point:04X} at byte {at}")]
    Utf8Discouraged {
        /// The character.
        code_point: u32,
        /// Byte of the string.
        at: usize,
    },
    /// Neither `MQTT` nor `MQIsdp` [MQTT-3.1.2-1] [MQTT311-3.1.2-1].
    #[error("protocol name is unknown")]
    UnknownProtocolName,
    /// [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
    #[error("protocol version {level} is not supported under this protocol name")]
    UnsupportedProtocolVersion {
        /// The Protocol Version (Protocol Level in 3.1.1).
        level: u8,
    },
    /// [MQTT-3.1.2-3] [MQTT311-3.1.2-3]
    #[error("reserved bit of the connect flags is set")]
    ConnectFlagsReserved,
    /// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]
    #[error("will qos {qos} or will retain without the will flag")]
    WillFlagsWithoutWill {
        /// Will QoS.
        qos: u8,
    },
    /// [MQTT-3.1.2-12] [MQTT311-3.1.2-14] [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
    #[error("qos is 3, highest is 2")]
    InvalidQoS,
    /// [MQTT311-3.1.2-22]
    #[error("password without a user name")]
    PasswordWithoutUserName,
    /// 3.1: Identifier Rejected.
    #[error("client identifier of {characters} characters, 3.1 allows {limit}")]
    ClientIdTooLong {
        /// Characters it has.
        characters: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// [MQTT-3.3.1-2] [MQTT311-3.3.1-2]
    #[error("dup is set on a qos 0 publish")]
    DupAtQoS0,
    /// [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]
    #[error("packet identifier is 0")]
    PacketIdZero,
    /// Section 3.3.2.3.4.
    #[error("publish has neither a topic name nor a topic alias")]
    TopicMissing,
    /// Section 2.2.2.2.
    #[error("property {id:#04x} does not exist")]
    UnknownProperty {
        /// Property identifier.
        id: u32,
    },
    /// Section 2.2.2.2.
    #[error("property {id:#04x} is not allowed here")]
    PropertyNotAllowed {
        /// Property identifier.
        id: u8,
    },
    /// Chapter 3, at each property.
    #[error("property {id:#04x} is included more than once")]
    PropertyRepeated {
        /// Property identifier.
        id: u8,
    },
    /// Chapter 3, at each property; Topic Alias [MQTT-3.3.2-8].
    #[error("property {id:#04x} has the value {value}, which is not allowed")]
    InvalidPropertyValue {
        /// Property identifier.
        id: u8,
        /// The value.
        value: u32,
    },
    /// Sections 3.1.2.11.10 and 3.15.2.2.2.
    #[error("authentication data without an authentication method, or auth without one")]
    AuthenticationMethodMissing,
    /// [MQTT-3.3.2-14]
    #[error("response topic is no topic name")]
    InvalidResponseTopic,
    /// [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2]
    /// [MQTT-3.14.2-1] [MQTT-3.15.2-1] [MQTT311-3.9.3-2]
    #[error("packet type {packet_type} allows no reason code {code:#04x}")]
    ReasonCodeNotAllowed {
        /// Bits 7 to 4 of the first byte.
        packet_type: u8,
        /// Reason Code (3.x: Return Code).
        code: u8,
    },
    /// [MQTT-3.2.2-1]
    #[error("connect acknowledge flags are {flags:#010b}, only bit 0 may be set")]
    ConnAckFlagsReserved {
        /// The byte.
        flags: u8,
    },
    /// [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
    #[error("session present in a connack that refuses")]
    SessionPresentWithFailure,
    /// [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2]
    #[error("list of topic filters or reason codes is empty")]
    EmptyList,
    /// [MQTT-3.8.3-1] [MQTT-3.10.3-1] and section 4.7.
    #[error("{0}")]
    InvalidTopicFilter(TopicFilterError),
    /// [MQTT-3.8.3-5] [MQTT311-3.8.3-4]
    #[error("reserved bits of subscription options {options:#010b} are set")]
    SubscriptionOptionsReserved {
        /// The byte.
        options: u8,
    },
    /// Section 3.8.3.1.
    #[error("subscription asks for qos 3, highest is 2")]
    InvalidSubscriptionQoS,
    /// Section 3.8.3.1.
    #[error("retain handling is 3, highest is 2")]
    InvalidRetainHandling,
    /// [MQTT-3.8.3-4]
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
}

impl DecodeError {
    /// What CONNACK or DISCONNECT says to a 5.0 peer.
    #[must_use]
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnknownProtocolName | Self::UnsupportedProtocolVersion { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::ClientIdTooLong { .. } => ReasonCode::ClientIdentifierNotValid,
            // Parsed, and found to hold what the protocol does not allow (section 1.2).
            Self::PasswordWithoutUserName
            | Self::PacketIdZero
            | Self::TopicMissing
            | Self::PropertyRepeated { .. }
            | Self::InvalidPropertyValue { .. }
            | Self::AuthenticationMethodMissing
            | Self::InvalidResponseTopic
            | Self::ReasonCodeNotAllowed { .. }
            | Self::SessionPresentWithFailure
            | Self::EmptyList
            | Self::InvalidSubscriptionQoS
            | Self::InvalidRetainHandling
            | Self::NoLocalOnShared => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }

    /// The rule whose tolerance would have let the packet pass; of a packet that is too large, the rule it broke.
    #[must_use]
    pub const fn rule(self) -> Option<Rule> {
        match self {
            Self::PacketTooLarge { .. } => Some(Rule::PacketTooLarge),
            Self::FixedHeaderFlags { .. }
            | Self::ConnectFlagsReserved
            | Self::ConnAckFlagsReserved { .. }
            | Self::SubscriptionOptionsReserved { .. } => Some(Rule::ReservedBits),
            Self::Utf8Discouraged { .. } => Some(Rule::Utf8Discouraged),
            Self::DupAtQoS0 => Some(Rule::DupAtQoS0),
            Self::ClientIdTooLong { .. } => Some(Rule::ClientIdLength31),
            Self::PasswordWithoutUserName => Some(Rule::PasswordWithoutUserName),
            _ => None,
        }
    }
}
