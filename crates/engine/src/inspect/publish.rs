//! Messages that an operator publishes, and retained ones that it takes away.

use std::time::Duration;

use dunlin_codec::{Property, PropertyBuf, QoS};

use crate::connect::is_refused;
use crate::durability::Durability;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::hub::Cx;
use crate::journal::MESSAGE_MAXIMUM;
use crate::message::MessageView;
use crate::time::Time;

/// Longest string and longest binary data of a property, in bytes.
const TEXT_MAXIMUM: usize = u16::MAX as usize;

/// A message of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorMessage {
    /// Topic Name.
    pub topic: String,
    /// Anything.
    pub payload: Vec<u8>,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// Message Expiry Interval, to the second.
    pub expiry: Option<Duration>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties.
    pub user_properties: Vec<(String, String)>,
}

/// Why a message is not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPublished {
    /// The Topic Name is none, or beyond a limit.
    #[error("{0}")]
    Topic(String),
    /// The Server's own.
    #[error("{0:?} is a topic of the broker itself")]
    Reserved(String),
    /// A property cannot be encoded.
    #[error("a property is longer than {TEXT_MAXIMUM} bytes, or holds a null character")]
    Property,
    /// Larger than a PUBLISH may be.
    #[error("a message of {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// It has.
        bytes: usize,
        /// It may have.
        limit: usize,
    },
    /// The log is full.
    #[error("the log is full")]
    NoRoom,
}

impl OperatorMessage {
    fn properties(&self) -> Result<PropertyBuf, NotPublished> {
        let mut properties = PropertyBuf::new();
        let text = |text: &str| text.len() <= TEXT_MAXIMUM && !text.contains('\0');
        let texts = [self.content_type.as_deref(), self.response_topic.as_deref()];
        let pairs = self.user_properties.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let is_well = texts.into_iter().flatten().chain(pairs).all(text)
            && self.correlation_data.as_ref().is_none_or(|data| data.len() <= TEXT_MAXIMUM);
        if !is_well {
            return Err(NotPublished::Property);
        }
        let content_type = self.content_type.as_deref().map(Property::ContentType);
        let response_topic = self.response_topic.as_deref().map(Property::ResponseTopic);
        let correlation_data = self.correlation_data.as_deref().map(Property::CorrelationData);
        let pairs = self.user_properties.iter().map(|(name, value)| Property::UserProperty(name, value));
        for property in [content_type, response_topic, correlation_data].into_iter().flatten().chain(pairs) {
            properties.push(property);
        }
        Ok(properties)
    }
}

impl Engine {
    /// Publishes a message of an operator, as if a Client that may do everything had sent it; in any shard. It is taken then; when
    /// it is safe nobody says. True where somebody wants it.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub fn publish_for_operator(
        &mut self,
        now: Time,
        effects: &mut Effects,
        message: &OperatorMessage,
    ) -> Result<bool, NotPublished> {
        let cx = &mut Cx { now, fx: effects };
        if is_refused(&message.topic) {
            return Err(NotPublished::Reserved(message.topic.clone()));
        }
        let properties = message.properties()?;
        let mut view = MessageView {
            topic: &message.topic,
            properties: properties.as_properties().as_bytes(),
            payload: &message.payload,
            qos: message.qos,
            retain: message.retain,
            expires_at: message.expiry.map(|expiry| now.after(expiry)),
            origin: None,
            exchange: None,
            durability: Durability::Synced,
            number: 0,
            sent: None,
        };
        let limit = (self.hub.settings.limits.maximum_packet_size.get() as usize).min(MESSAGE_MAXIMUM);
        if view.weight() > limit {
            return Err(NotPublished::TooLarge { bytes: view.weight(), limit });
        }
        let route = self.router.route(view.topic, &self.hub.sessions);
        let id = route.map_err(|error| NotPublished::Topic(error.to_string()))?;
        let route = self.router.get_mut(id);
        self.hub.follow(now, route, &mut view);
        let (is_wanted, of_topic) = (!route.is_empty(), route.durability);
        if self.hub.journal.enabled {
            view.durability = of_topic.unwrap_or(self.hub.settings.durability.default);
            if self.hub.journal.has_no_room()
                && view.durability != Durability::Memory
                && (view.retain || is_wanted)
            {
                return Err(NotPublished::NoRoom);
            }
        }
        // It has a route.
        let _ = self.publish(cx, &view, Some(id));
        self.settle(cx);
        Ok(is_wanted)
    }

    /// Takes the retained message of a topic away; whoever subscribed is told, as when a Client does so. False where there is none
    /// in this shard.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub fn clear_retained(
        &mut self,
        now: Time,
        effects: &mut Effects,
        topic: &str,
    ) -> Result<bool, NotPublished> {
        if self.retained.get(topic).is_none() {
            return Ok(false);
        }
        let empty = OperatorMessage { topic: topic.to_owned(), retain: true, ..OperatorMessage::default() };
        self.publish_for_operator(now, effects, &empty).map(|_| true)
    }
}
