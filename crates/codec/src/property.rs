//! Properties of 5.0 packets.
//!
//! In:    the bytes behind a Property Length, and which Properties that packet allows.
//! Out:   [`Properties`], checked as a whole, so that going through them cannot fail.
//! Never: copies a Property; interprets one.
//! Spec:  MQTT 5.0 section 2.2.2.

use std::num::{NonZeroU16, NonZeroU32};

use crate::{
    DecodeError, TopicName, VarInt,
    reader::{Judge, Reader},
};

/// One Property: identifier and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are table 2-4 of section 2.2.2.2")]
pub enum Property<'a> {
    /// 0: unspecified bytes, 1: UTF-8.
    PayloadFormatIndicator(u8),
    /// Seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// Never 0.
    SubscriptionIdentifier(VarInt),
    /// Seconds; 0xFFFFFFFF does not expire.
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// Seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    /// Seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(NonZeroU16),
    TopicAliasMaximum(u16),
    TopicAlias(NonZeroU16),
    /// 0 or 1.
    MaximumQoS(u8),
    RetainAvailable(bool),
    /// Name and value.
    UserProperty(&'a str, &'a str),
    /// Bytes of a whole packet.
    MaximumPacketSize(NonZeroU32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// Property identifiers (table 2-4); all below 64, so that a set of them is a `u64`.
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// The type of a Property's value (table 2-4).
#[derive(Clone, Copy)]
enum Kind {
    Byte,
    TwoBytes,
    FourBytes,
    VarInt,
    /// A UTF-8 Encoded String or Binary Data.
    Prefixed,
    /// A UTF-8 String Pair.
    Pair,
}

const fn kind(id: u8) -> Option<Kind> {
    Some(match id {
        id::PAYLOAD_FORMAT_INDICATOR
        | id::REQUEST_PROBLEM_INFORMATION
        | id::REQUEST_RESPONSE_INFORMATION
        | id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::WILDCARD_SUBSCRIPTION_AVAILABLE
        | id::SUBSCRIPTION_IDENTIFIER_AVAILABLE
        | id::SHARED_SUBSCRIPTION_AVAILABLE => Kind::Byte,
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
            Kind::TwoBytes
        }
        id::MESSAGE_EXPIRY_INTERVAL
        | id::SESSION_EXPIRY_INTERVAL
        | id::WILL_DELAY_INTERVAL
        | id::MAXIMUM_PACKET_SIZE => Kind::FourBytes,
        id::SUBSCRIPTION_IDENTIFIER => Kind::VarInt,
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::CORRELATION_DATA
        | id::ASSIGNED_CLIENT_IDENTIFIER
        | id::AUTHENTICATION_METHOD
        | id::AUTHENTICATION_DATA
        | id::RESPONSE_INFORMATION
        | id::SERVER_REFERENCE
        | id::REASON_STRING => Kind::Prefixed,
        id::USER_PROPERTY => Kind::Pair,
        _ => return None,
    })
}

/// One Property as it is on the wire.
pub(crate) struct Entry<'a> {
    pub(crate) id: u8,
    /// Identifier and value.
    pub(crate) bytes: &'a [u8],
    value: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Finds where it ends: that the identifier exists and that the value is whole.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = reader.rest;
        let number = reader.var_int()?.get();
        let unknown = DecodeError::UnknownProperty { id: number };
        let id = u8::try_from(number).map_err(|_| unknown)?;
        let before = reader.rest;
        match kind(id).ok_or(unknown)? {
            Kind::Byte => _ = reader.take(1)?,
            Kind::TwoBytes => _ = reader.take(2)?,
            Kind::FourBytes => _ = reader.take(4)?,
            Kind::VarInt => _ = reader.var_int()?,
            Kind::Prefixed => _ = reader.binary()?,
            Kind::Pair => {
                reader.binary()?;
                reader.binary()?;
            }
        }
        let left = reader.rest.len();
        Ok(Self { id, bytes: &start[..start.len() - left], value: &before[..before.len() - left] })
    }
}

impl<'a> Property<'a> {
    fn parse(entry: &Entry<'a>) -> Result<Self, DecodeError> {
        let id = entry.id;
        let mut value = Reader::new(entry.value);
        Ok(match id {
            id::PAYLOAD_FORMAT_INDICATOR => Self::PayloadFormatIndicator(bit(id, &mut value)?),
            id::MESSAGE_EXPIRY_INTERVAL => Self::MessageExpiryInterval(value.u32()?),
            // [MQTT-3.3.2-19]
            id::CONTENT_TYPE => Self::ContentType(value.raw_text()?),
            // [MQTT-3.3.2-13]
            id::RESPONSE_TOPIC => Self::ResponseTopic(value.raw_text()?),
            id::CORRELATION_DATA => Self::CorrelationData(value.binary()?),
            id::SUBSCRIPTION_IDENTIFIER => match value.var_int()? {
                // A Protocol Error (section 3.8.2.1.2).
                zero if zero.get() == 0 => return Err(DecodeError::InvalidPropertyValue { id, value: 0 }),
                identifier => Self::SubscriptionIdentifier(identifier),
            },
            id::SESSION_EXPIRY_INTERVAL => Self::SessionExpiryInterval(value.u32()?),
            id::ASSIGNED_CLIENT_IDENTIFIER => Self::AssignedClientIdentifier(value.raw_text()?),
            id::SERVER_KEEP_ALIVE => Self::ServerKeepAlive(value.u16()?),
            id::AUTHENTICATION_METHOD => Self::AuthenticationMethod(value.raw_text()?),
            id::AUTHENTICATION_DATA => Self::AuthenticationData(value.binary()?),
            id::REQUEST_PROBLEM_INFORMATION => Self::RequestProblemInformation(flag(id, &mut value)?),
            id::WILL_DELAY_INTERVAL => Self::WillDelayInterval(value.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => Self::RequestResponseInformation(flag(id, &mut value)?),
            id::RESPONSE_INFORMATION => Self::ResponseInformation(value.raw_text()?),
            id::SERVER_REFERENCE => Self::ServerReference(value.raw_text()?),
            id::REASON_STRING => Self::ReasonString(value.raw_text()?),
            id::RECEIVE_MAXIMUM => Self::ReceiveMaximum(positive(id, &mut value)?),
            id::TOPIC_ALIAS_MAXIMUM => Self::TopicAliasMaximum(value.u16()?),
            // [MQTT-3.3.2-8]
            id::TOPIC_ALIAS => Self::TopicAlias(positive(id, &mut value)?),
            id::MAXIMUM_QOS => Self::MaximumQoS(bit(id, &mut value)?),
            id::RETAIN_AVAILABLE => Self::RetainAvailable(flag(id, &mut value)?),
            // [MQTT-1.5.7-1]
            id::USER_PROPERTY => Self::UserProperty(value.raw_text()?, value.raw_text()?),
            id::MAXIMUM_PACKET_SIZE => Self::MaximumPacketSize(
                NonZeroU32::new(value.u32()?).ok_or(DecodeError::InvalidPropertyValue { id, value: 0 })?,
            ),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => Self::WildcardSubscriptionAvailable(flag(id, &mut value)?),
            id::SUBSCRIPTION_IDENTIFIER_AVAILABLE => {
                Self::SubscriptionIdentifierAvailable(flag(id, &mut value)?)
            }
            id::SHARED_SUBSCRIPTION_AVAILABLE => Self::SharedSubscriptionAvailable(flag(id, &mut value)?),
            _ => return Err(DecodeError::UnknownProperty { id: u32::from(id) }),
        })
    }

    /// What table 2-4 does not say: U+0000 and discouraged characters, and wildcards in a Response Topic.
    fn check_text(self, judge: &mut Judge<'_>) -> Result<(), DecodeError> {
        match self {
            Self::ContentType(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => judge.text(text),
            Self::UserProperty(name, value) => {
                judge.text(name)?;
                judge.text(value)
            }
            Self::ResponseTopic(text) => {
                judge.text(text)?;
                // [MQTT-3.3.2-14]
                TopicName::parse(text).map(|_| ()).map_err(|_| DecodeError::InvalidResponseTopic)
            }
            _ => Ok(()),
        }
    }
}

/// 0 or 1; everything else is a Protocol Error.
fn bit(id: u8, value: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match value.u8()? {
        bit @ 0..=1 => Ok(bit),
        other => Err(DecodeError::InvalidPropertyValue { id, value: u32::from(other) }),
    }
}

fn flag(id: u8, value: &mut Reader<'_>) -> Result<bool, DecodeError> {
    bit(id, value).map(|bit| bit == 1)
}

/// 0 is a Protocol Error.
fn positive(id: u8, value: &mut Reader<'_>) -> Result<NonZeroU16, DecodeError> {
    NonZeroU16::new(value.u16()?).ok_or(DecodeError::InvalidPropertyValue { id, value: 0 })
}

/// Which Properties one kind of packet allows.
#[derive(Clone, Copy)]
pub(crate) struct Allowed {
    once: u64,
    often: u64,
    /// Authentication Data needs an Authentication Method.
    authentication: bool,
}

const fn set(ids: &[u8]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < ids.len() {
        bits |= 1 << ids[at];
        at += 1;
    }
    bits
}

impl Allowed {
    const fn new(once: &[u8]) -> Self {
        Self { once: set(once), often: set(&[id::USER_PROPERTY]), authentication: false }
    }

    const fn and_authentication(mut self) -> Self {
        self.once |= set(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA]);
        self.authentication = true;
        self
    }

    pub(crate) const CONNECT: Self = Self::new(&[
        id::SESSION_EXPIRY_INTERVAL,
        id::RECEIVE_MAXIMUM,
        id::MAXIMUM_PACKET_SIZE,
        id::TOPIC_ALIAS_MAXIMUM,
        id::REQUEST_RESPONSE_INFORMATION,
        id::REQUEST_PROBLEM_INFORMATION,
    ])
    .and_authentication();
    pub(crate) const WILL: Self = Self::new(&[
        id::WILL_DELAY_INTERVAL,
        id::PAYLOAD_FORMAT_INDICATOR,
        id::MESSAGE_EXPIRY_INTERVAL,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION_DATA,
    ]);
    pub(crate) const CONNACK: Self = Self::new(&[
        id::SESSION_EXPIRY_INTERVAL,
        id::RECEIVE_MAXIMUM,
        id::MAXIMUM_QOS,
        id::RETAIN_AVAILABLE,
        id::MAXIMUM_PACKET_SIZE,
        id::ASSIGNED_CLIENT_IDENTIFIER,
        id::TOPIC_ALIAS_MAXIMUM,
        id::REASON_STRING,
        id::WILDCARD_SUBSCRIPTION_AVAILABLE,
        id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
        id::SHARED_SUBSCRIPTION_AVAILABLE,
        id::SERVER_KEEP_ALIVE,
        id::RESPONSE_INFORMATION,
        id::SERVER_REFERENCE,
    ])
    .and_authentication();
    /// Several Subscription Identifiers where several Subscriptions matched (section 3.3.2.3.8). That a Client sends none
    /// [MQTT-3.3.4-6] is for the Server to check.
    pub(crate) const PUBLISH: Self = Self {
        often: set(&[id::USER_PROPERTY, id::SUBSCRIPTION_IDENTIFIER]),
        ..Self::new(&[
            id::PAYLOAD_FORMAT_INDICATOR,
            id::MESSAGE_EXPIRY_INTERVAL,
            id::TOPIC_ALIAS,
            id::RESPONSE_TOPIC,
            id::CORRELATION_DATA,
            id::CONTENT_TYPE,
        ])
    };
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    pub(crate) const ACK: Self = Self::new(&[id::REASON_STRING]);
    pub(crate) const SUBSCRIBE: Self = Self::new(&[id::SUBSCRIPTION_IDENTIFIER]);
    pub(crate) const UNSUBSCRIBE: Self = Self::new(&[]);
    pub(crate) const DISCONNECT: Self =
        Self::new(&[id::SESSION_EXPIRY_INTERVAL, id::REASON_STRING, id::SERVER_REFERENCE]);
    pub(crate) const AUTH: Self = Self::new(&[id::REASON_STRING]).and_authentication();
}

/// The Properties of a packet, checked when they were decoded: allowed there, not repeated unless they may be, values in
/// range. Going through them cannot fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// None.
    pub const EMPTY: Self = Self { raw: &[] };

    /// Reads Property Length and Properties.
    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        allowed: Allowed,
        judge: &mut Judge<'_>,
    ) -> Result<Self, DecodeError> {
        // [MQTT-2.2.2-1]
        if let [0, rest @ ..] = reader.rest {
            reader.rest = rest;
            return Ok(Self::EMPTY);
        }
        Self::decode_some(reader, allowed, judge)
    }

    fn decode_some(
        reader: &mut Reader<'a>,
        allowed: Allowed,
        judge: &mut Judge<'_>,
    ) -> Result<Self, DecodeError> {
        let length = reader.var_int()?.get();
        let raw = reader.take(length as usize)?;
        let mut properties = Reader::new(raw);
        let mut seen = 0_u64;
        while !properties.rest.is_empty() {
            let entry = Entry::read(&mut properties)?;
            let bit = 1 << entry.id;
            if (allowed.once | allowed.often) & bit == 0 {
                // Malformed, says section 2.2.2.2.
                return Err(DecodeError::PropertyNotAllowed { id: entry.id });
            }
            if seen & bit & !allowed.often != 0 {
                return Err(DecodeError::PropertyRepeated { id: entry.id });
            }
            seen |= bit;
            Property::parse(&entry)?.check_text(judge)?;
        }
        let data_alone =
            seen & set(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA]) == 1 << id::AUTHENTICATION_DATA;
        if allowed.authentication && data_alone {
            // A Protocol Error (section 3.1.2.11.10).
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(Self { raw })
    }

    /// Takes bytes that [`Properties::as_bytes`] gave before; they are not checked again.
    #[inline]
    #[must_use]
    pub fn from_trusted(raw: &'a [u8]) -> Self {
        let properties = Self { raw };
        debug_assert!(properties.is_well_formed(), "bytes that are no properties were trusted");
        properties
    }

    fn is_well_formed(self) -> bool {
        let mut reader = Reader::new(self.raw);
        while !reader.rest.is_empty() {
            if Entry::read(&mut reader).and_then(|entry| Property::parse(&entry)).is_err() {
                return false;
            }
        }
        true
    }

    /// Are there none?
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// As on the wire, without the Property Length.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.raw
    }

    /// In the order of the wire.
    #[must_use]
    pub const fn iter(self) -> PropertiesIter<'a> {
        PropertiesIter { entries: self.entries() }
    }

    pub(crate) const fn entries(self) -> Entries<'a> {
        Entries { reader: Reader::new(self.raw) }
    }

    #[inline]
    fn find(self, id: u8) -> Option<&'a [u8]> {
        if self.raw.is_empty() {
            return None;
        }
        self.entries().find(|entry| entry.id == id).map(|entry| entry.value)
    }

    /// Topic Alias.
    #[inline]
    #[must_use]
    pub fn topic_alias(self) -> Option<NonZeroU16> {
        let value = self.find(id::TOPIC_ALIAS)?;
        NonZeroU16::new(u16::from_be_bytes(value.try_into().ok()?))
    }

    /// Message Expiry Interval, in seconds.
    #[inline]
    #[must_use]
    pub fn message_expiry_interval(self) -> Option<u32> {
        let value = self.find(id::MESSAGE_EXPIRY_INTERVAL)?;
        Some(u32::from_be_bytes(value.try_into().ok()?))
    }

    /// Is there a Subscription Identifier?
    #[inline]
    #[must_use]
    pub fn has_subscription_identifier(self) -> bool {
        self.find(id::SUBSCRIPTION_IDENTIFIER).is_some()
    }

    pub(crate) fn has_authentication_method(self) -> bool {
        self.find(id::AUTHENTICATION_METHOD).is_some()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertiesIter<'a>;

    fn into_iter(self) -> PropertiesIter<'a> {
        self.iter()
    }
}

/// Goes through [`Properties`] without looking at values.
pub(crate) struct Entries<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if self.reader.rest.is_empty() {
            return None;
        }
        let Ok(entry) = Entry::read(&mut self.reader) else {
            unreachable!("properties were checked when they were decoded");
        };
        Some(entry)
    }
}

/// Goes through [`Properties`].
pub struct PropertiesIter<'a> {
    entries: Entries<'a>,
}

impl<'a> Iterator for PropertiesIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let entry = self.entries.next()?;
        let Ok(property) = Property::parse(&entry) else {
            unreachable!("properties were checked when they were decoded");
        };
        Some(property)
    }
}
