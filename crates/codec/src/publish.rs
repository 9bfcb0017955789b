//! PUBLISH: an Application Message on its way.
//!
//! Spec:  MQTT 5.0 section 3.3.

use crate::{PacketId, Properties};

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
