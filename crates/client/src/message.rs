//! An Application Message, as the application gives it and as it gets it.
//!
//! In:    a topic that is checked once, a payload, and what 5.0 lets a message say about itself.
//! Out:   what goes into a PUBLISH; what came in one.
//! Never: copied by cloning: topic and payload are shared.
//! Spec:  MQTT 5.0 section 3.3.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_codec::{Properties, Property, PropertyBuf, QoS, TopicName, TopicNameError};

/// Bytes of the longest string or Binary Data that a packet can hold.
const FIELD_MAX: usize = 65_535;

/// A message. Cloning it shares topic and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    topic: Arc<str>,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    about: Option<Box<About>>,
}

/// What a 5.0 message says about itself; 3.1.1 cannot carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The payload is UTF-8 (Payload Format Indicator).
    pub utf8: Option<bool>,
    /// Seconds until nobody wants it any more (Message Expiry Interval). It runs while the message waits here, too.
    pub expiry: Option<u32>,
    /// What the payload is (Content Type).
    pub content_type: Option<String>,
    /// Where an answer goes (Response Topic).
    pub response_topic: Option<String>,
    /// What the answer has to bring along (Correlation Data).
    pub correlation: Option<Bytes>,
    /// Names and values (User Property), order kept.
    pub user: Vec<(String, String)>,
    /// Of a message that came: Subscription Identifiers.
    pub subscriptions: Vec<u32>,
}

/// Why a message cannot be sent, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The response topic is no Topic Name [MQTT-3.3.2-14].
    #[error("response topic: {0}")]
    ResponseTopic(TopicNameError),
    /// A string or the correlation data does not fit into a packet, or holds U+0000.
    #[error("{field} of {bytes} bytes, longest is 65535, and U+0000 is not allowed")]
    Field {
        /// Which.
        field: &'static str,
        /// Bytes it has.
        bytes: usize,
    },
}

impl Message {
    /// A message of QoS 1, not retained.
    ///
    /// # Errors
    /// What is no Topic Name.
    pub fn new(topic: &str, payload: impl Into<Bytes>) -> Result<Self, TopicNameError> {
        TopicName::parse(topic)?;
        Ok(Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            about: None,
        })
    }

    /// One that came in a PUBLISH, whose topic was checked.
    pub(crate) fn received(topic: Arc<str>, payload: Bytes, qos: QoS, retain: bool) -> Self {
        Self { topic, payload, qos, retain, about: None }
    }

    /// The same with another payload.
    #[must_use]
    pub fn with_payload(&self, payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..self.clone() }
    }

    /// With this Quality of Service.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// To be kept by the Server for those who come later; an empty payload removes it there.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Nobody wants it after that time, in whole seconds, rounded up.
    #[must_use]
    pub fn expires_after(mut self, span: Duration) -> Self {
        let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
        self.about_mut().expiry = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// What 5.0 lets it say about itself, to be changed.
    pub fn about_mut(&mut self) -> &mut About {
        self.about.get_or_insert_default()
    }

    /// What it says about itself, if anything.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_deref()
    }

    /// Topic Name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) const fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Quality of Service.
    #[must_use]
    pub fn quality(&self) -> QoS {
        self.qos
    }

    /// The RETAIN flag.
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.retain
    }

    /// Memory that it holds, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let about = self.about.as_ref().map_or(0, |about| {
            let user: usize = about.user.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
            size_of::<About>() + user + about.correlation.as_ref().map_or(0, Bytes::len)
        });
        size_of::<Self>() + self.topic.len() + self.payload.len() + about
    }

    /// Does it fit into a packet?
    pub(crate) fn check(&self) -> Result<(), MessageError> {
        let Some(about) = &self.about else { return Ok(()) };
        let text = |field, text: &str| {
            let bytes = text.len();
            if bytes > FIELD_MAX || text.contains('\0') {
                return Err(MessageError::Field { field, bytes });
            }
            Ok(())
        };
        if let Some(topic) = &about.response_topic {
            TopicName::parse(topic).map_err(MessageError::ResponseTopic)?;
        }
        text("content type", about.content_type.as_deref().unwrap_or_default())?;
        for (name, value) in &about.user {
            text("name of a user property", name)?;
            text("value of a user property", value)?;
        }
        let correlation = about.correlation.as_ref().map_or(0, Bytes::len);
        if correlation > FIELD_MAX {
            return Err(MessageError::Field { field: "correlation data", bytes: correlation });
        }
        Ok(())
    }

    /// Its Properties, with `expiry` seconds left.
    pub(crate) fn put_properties(&self, expiry: Option<u32>, out: &mut PropertyBuf) {
        let Some(about) = &self.about else { return };
        if let Some(utf8) = about.utf8 {
            out.push(Property::PayloadFormatIndicator(u8::from(utf8)));
        }
        if let Some(expiry) = expiry {
            out.push(Property::MessageExpiryInterval(expiry));
        }
        if let Some(text) = &about.content_type {
            out.push(Property::ContentType(text));
        }
        if let Some(topic) = &about.response_topic {
            out.push(Property::ResponseTopic(topic));
        }
        if let Some(data) = &about.correlation {
            out.push(Property::CorrelationData(data));
        }
        for (name, value) in &about.user {
            out.push(Property::UserProperty(name, value));
        }
    }

    /// Reads what a PUBLISH says about its message.
    pub(crate) fn read_properties(&mut self, properties: Properties<'_>) {
        for property in properties {
            match property {
                Property::PayloadFormatIndicator(value) => self.about_mut().utf8 = Some(value == 1),
                Property::MessageExpiryInterval(value) => self.about_mut().expiry = Some(value),
                Property::ContentType(text) => self.about_mut().content_type = Some(text.to_owned()),
                Property::ResponseTopic(text) => self.about_mut().response_topic = Some(text.to_owned()),
                Property::CorrelationData(data) => {
                    self.about_mut().correlation = Some(Bytes::copy_from_slice(data));
                }
                Property::SubscriptionIdentifier(id) => self.about_mut().subscriptions.push(id.get()),
                Property::UserProperty(name, value) => {
                    self.about_mut().user.push((name.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
    }
}
