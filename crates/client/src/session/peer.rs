//! What the Server said about itself in its CONNACK.
//!
//! Spec:  MQTT 5.0 section 3.2.2.3.

use dunlin_codec::{ConnAck, Property, ProtocolVersion, QoS};

/// What the Server takes; of 3.1.1, everything.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) version: ProtocolVersion,
    pub(crate) receive_maximum: u16,
    pub(crate) maximum_qos: QoS,
    pub(crate) retain_available: bool,
    pub(crate) maximum_packet_size: u32,
    /// Seconds.
    pub(crate) keep_alive: u16,
    pub(crate) subscription_identifiers: bool,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) assigned_client_id: Option<String>,
}

impl Peer {
    pub(crate) fn new(version: ProtocolVersion, keep_alive: u16, ack: Option<&ConnAck<'_>>) -> Self {
        let mut peer = Self {
            version,
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: u32::MAX,
            keep_alive,
            subscription_identifiers: version == ProtocolVersion::V5,
            topic_alias_maximum: 0,
            assigned_client_id: None,
        };
        for property in ack.into_iter().flat_map(|ack| ack.properties.iter()) {
            match property {
                Property::ReceiveMaximum(value) => peer.receive_maximum = value.get(),
                Property::MaximumQoS(0) => peer.maximum_qos = QoS::AtMostOnce,
                Property::MaximumQoS(_) => peer.maximum_qos = QoS::AtLeastOnce,
                Property::RetainAvailable(value) => peer.retain_available = value,
                Property::MaximumPacketSize(value) => peer.maximum_packet_size = value.get(),
                // [MQTT-3.2.2-21]
                Property::ServerKeepAlive(value) => peer.keep_alive = value,
                Property::SubscriptionIdentifierAvailable(value) => peer.subscription_identifiers = value,
                Property::TopicAliasMaximum(value) => peer.topic_alias_maximum = value,
                Property::AssignedClientIdentifier(value) => peer.assigned_client_id = Some(value.to_owned()),
                _ => {}
            }
        }
        peer
    }
}
