//! Properties in the making.
//!
//! In:    Properties, one after another, or those of another packet.
//! Out:   [`Properties`] to encode.
//! Never: checks which packet allows them: what builds a packet knows.
//! Spec:  MQTT 5.0 section 2.2.2.

use crate::{Properties, Property, encode::put_binary, property::id};

/// A buffer of encoded Properties.
#[derive(Clone, Debug, Default)]
pub struct PropertyBuf {
    bytes: Vec<u8>,
}

impl PropertyBuf {
    /// An empty one, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Takes bytes that [`Properties::as_bytes`] gave before; they are not checked again.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { bytes: Properties::from_trusted(bytes).as_bytes().to_vec() }
    }

    /// Forgets the Properties, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes, without the Property Length.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was pushed.
    #[must_use]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties::from_trusted(&self.bytes)
    }

    /// Appends all of them, order kept.
    pub fn extend(&mut self, properties: Properties<'_>) {
        self.bytes.extend_from_slice(properties.as_bytes());
    }

    /// Appends what a Server hands on unaltered, order kept [MQTT-3.3.2-17] [MQTT-3.3.2-18]: all but Topic Alias, Message
    /// Expiry Interval and Subscription Identifier.
    pub fn extend_forwarded(&mut self, properties: Properties<'_>) {
        for entry in properties.entries() {
            let ours = matches!(
                entry.id,
                id::TOPIC_ALIAS | id::MESSAGE_EXPIRY_INTERVAL | id::SUBSCRIPTION_IDENTIFIER
            );
            if !ours {
                self.bytes.extend_from_slice(entry.bytes);
            }
        }
    }

    /// Appends one.
    ///
    /// # Panics
    /// A string or Binary Data beyond 65,535 bytes, a Subscription Identifier of 0, a Payload Format Indicator or Maximum
    /// QoS above 1: what builds packets must not make them.
    pub fn push(&mut self, property: Property<'_>) {
        match property {
            Property::PayloadFormatIndicator(value) => self.bit(id::PAYLOAD_FORMAT_INDICATOR, value),
            Property::MessageExpiryInterval(value) => self.four(id::MESSAGE_EXPIRY_INTERVAL, value),
            Property::ContentType(value) => self.text(id::CONTENT_TYPE, value),
            Property::ResponseTopic(value) => self.text(id::RESPONSE_TOPIC, value),
            Property::CorrelationData(value) => self.binary(id::CORRELATION_DATA, value),
            Property::SubscriptionIdentifier(value) => {
                assert!(value.get() != 0, "a subscription identifier is never 0");
                self.bytes.push(id::SUBSCRIPTION_IDENTIFIER);
                value.encode(&mut self.bytes);
            }
            Property::SessionExpiryInterval(value) => self.four(id::SESSION_EXPIRY_INTERVAL, value),
            Property::AssignedClientIdentifier(value) => self.text(id::ASSIGNED_CLIENT_IDENTIFIER, value),
            Property::ServerKeepAlive(value) => self.two(id::SERVER_KEEP_ALIVE, value),
            Property::AuthenticationMethod(value) => self.text(id::AUTHENTICATION_METHOD, value),
            Property::AuthenticationData(value) => self.binary(id::AUTHENTICATION_DATA, value),
            Property::RequestProblemInformation(value) => self.flag(id::REQUEST_PROBLEM_INFORMATION, value),
            Property::WillDelayInterval(value) => self.four(id::WILL_DELAY_INTERVAL, value),
            Property::RequestResponseInformation(value) => self.flag(id::REQUEST_RESPONSE_INFORMATION, value),
            Property::ResponseInformation(value) => self.text(id::RESPONSE_INFORMATION, value),
            Property::ServerReference(value) => self.text(id::SERVER_REFERENCE, value),
            Property::ReasonString(value) => self.text(id::REASON_STRING, value),
            Property::ReceiveMaximum(value) => self.two(id::RECEIVE_MAXIMUM, value.get()),
            Property::TopicAliasMaximum(value) => self.two(id::TOPIC_ALIAS_MAXIMUM, value),
            Property::TopicAlias(value) => self.two(id::TOPIC_ALIAS, value.get()),
            Property::MaximumQoS(value) => self.bit(id::MAXIMUM_QOS, value),
            Property::RetainAvailable(value) => self.flag(id::RETAIN_AVAILABLE, value),
            Property::UserProperty(name, value) => {
                self.text(id::USER_PROPERTY, name);
                put_binary(value.as_bytes(), &mut self.bytes);
            }
            Property::MaximumPacketSize(value) => self.four(id::MAXIMUM_PACKET_SIZE, value.get()),
            Property::WildcardSubscriptionAvailable(value) => {
                self.flag(id::WILDCARD_SUBSCRIPTION_AVAILABLE, value);
            }
            Property::SubscriptionIdentifierAvailable(value) => {
                self.flag(id::SUBSCRIPTION_IDENTIFIER_AVAILABLE, value);
            }
            Property::SharedSubscriptionAvailable(value) => {
                self.flag(id::SHARED_SUBSCRIPTION_AVAILABLE, value)
            }
        }
    }

    fn flag(&mut self, id: u8, value: bool) {
        self.bytes.extend_from_slice(&[id, u8::from(value)]);
    }

    fn bit(&mut self, id: u8, value: u8) {
        assert!(value <= 1, "property {id:#04x} is 0 or 1, not {value}");
        self.bytes.extend_from_slice(&[id, value]);
    }

    fn two(&mut self, id: u8, value: u16) {
        self.bytes.push(id);
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn four(&mut self, id: u8, value: u32) {
        self.bytes.push(id);
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, id: u8, value: &str) {
        self.binary(id, value.as_bytes());
    }

    fn binary(&mut self, id: u8, value: &[u8]) {
        self.bytes.push(id);
        put_binary(value, &mut self.bytes);
    }
}
