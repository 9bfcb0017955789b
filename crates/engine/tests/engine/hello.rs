//! What a Client sends: CONNECT and Application Messages, built step by step.

use std::num::{NonZeroU16, NonZeroU32};

use dunlin_codec::{
    Connect, Packet, PacketId, Property, PropertyBuf, ProtocolVersion, Publish, QoS, SubscriptionOptions,
    Will,
};

/// A CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) version: ProtocolVersion,
    client_id: String,
    clean: bool,
    keep_alive: u16,
    properties: PropertyBuf,
    will: Option<Message>,
    user_name: Option<String>,
    password: Option<String>,
}

/// An Application Message, in a PUBLISH or as a Will.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    id: u16,
    retain: bool,
    dup: bool,
    properties: PropertyBuf,
}

/// Clean Start, no Keep Alive, nothing else.
pub(crate) fn hello(version: ProtocolVersion, client_id: &str) -> Hello {
    Hello {
        version,
        client_id: client_id.to_owned(),
        clean: true,
        keep_alive: 0,
        properties: PropertyBuf::new(),
        will: None,
        user_name: None,
        password: None,
    }
}

/// QoS 0, not retained.
pub(crate) fn message(topic: &str, payload: impl AsRef<[u8]>) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.as_ref().to_vec(),
        qos: QoS::AtMostOnce,
        id: 0,
        retain: false,
        dup: false,
        properties: PropertyBuf::new(),
    }
}

/// Subscription Options with this QoS.
pub(crate) fn at(qos: u8) -> SubscriptionOptions {
    SubscriptionOptions { qos: QoS::from_u8(qos).unwrap(), ..SubscriptionOptions::default() }
}

impl Hello {
    /// Clean Start 0 (Clean Session 0).
    pub(crate) fn resume(mut self) -> Self {
        self.clean = false;
        self
    }

    /// Clean Start 0 and a Session that outlives the connection for so many seconds.
    pub(crate) fn lasting(self, seconds: u32) -> Self {
        let lasting = self.resume();
        if lasting.version == ProtocolVersion::V5 { lasting.expiry(seconds) } else { lasting }
    }

    /// Session Expiry Interval.
    pub(crate) fn expiry(self, seconds: u32) -> Self {
        self.property(Property::SessionExpiryInterval(seconds))
    }

    /// Receive Maximum.
    pub(crate) fn receive_maximum(self, maximum: u16) -> Self {
        self.property(Property::ReceiveMaximum(NonZeroU16::new(maximum).unwrap()))
    }

    /// Maximum Packet Size.
    pub(crate) fn maximum_packet_size(self, bytes: u32) -> Self {
        self.property(Property::MaximumPacketSize(NonZeroU32::new(bytes).unwrap()))
    }

    /// Topic Alias Maximum.
    pub(crate) fn aliases(self, maximum: u16) -> Self {
        self.property(Property::TopicAliasMaximum(maximum))
    }

    pub(crate) fn property(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    pub(crate) fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub(crate) fn will(mut self, will: Message) -> Self {
        self.will = Some(will);
        self
    }

    pub(crate) fn user_name(mut self, name: &str) -> Self {
        self.user_name = Some(name.to_owned());
        self
    }

    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The CONNECT.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let connect = Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive: self.keep_alive,
            properties: self.properties.as_properties(),
            client_id: &self.client_id,
            will: self.will.as_ref().map(|will| Will {
                qos: will.qos,
                retain: will.retain,
                properties: will.properties.as_properties(),
                topic: &will.topic,
                payload: &will.payload,
            }),
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
        };
        let mut bytes = Vec::new();
        Packet::Connect(connect).encode(self.version, &mut bytes);
        bytes
    }
}

impl Message {
    /// With a Packet Identifier; a Will needs none and gives 0.
    pub(crate) fn qos(mut self, qos: u8, id: u16) -> Self {
        self.qos = QoS::from_u8(qos).unwrap();
        self.id = id;
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// Message Expiry Interval.
    pub(crate) fn expiry(self, seconds: u32) -> Self {
        self.property(Property::MessageExpiryInterval(seconds))
    }

    /// Will Delay Interval.
    pub(crate) fn delay(self, seconds: u32) -> Self {
        self.property(Property::WillDelayInterval(seconds))
    }

    /// Topic Alias.
    pub(crate) fn alias(self, alias: u16) -> Self {
        self.property(Property::TopicAlias(NonZeroU16::new(alias).unwrap()))
    }

    pub(crate) fn property(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    /// The PUBLISH.
    pub(crate) fn bytes(&self, version: ProtocolVersion) -> Vec<u8> {
        let publish = Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: PacketId::new(self.id),
            properties: self.properties.as_properties(),
            payload: &self.payload,
        };
        let mut bytes = Vec::new();
        publish.encode(version, &mut bytes);
        bytes
    }
}
