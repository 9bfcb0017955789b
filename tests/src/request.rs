//! Packets as a Client sends them, built by hand, in each of the three protocol levels.

use crate::prop::{self, prefixed, variable};

/// A protocol level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1, level 3, `MQIsdp`
    V31,
    /// MQTT 3.1.1, level 4
    V311,
    /// MQTT 5.0, level 5
    V5,
}

/// Fixed Header and body.
///
/// # Panics
/// When the body is longer than a packet can be.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a packet's length");
    [&[first][..], &variable(length), body].concat()
}

/// Properties with their length before them; nothing at all for 3.x.
fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    if version != Version::V5 {
        assert!(properties.is_empty(), "3.x has no properties");
        return Vec::new();
    }
    [&variable(u32::try_from(properties.len()).unwrap())[..], properties].concat()
}

/// A CONNECT.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The protocol level that it speaks
    pub version: Version,
    /// Replaces the computed Connect Flags where set
    pub flags: Option<u8>,
    client_id: Vec<u8>,
    clean: bool,
    keep_alive: u16,
    properties: Vec<u8>,
    will: Option<Will>,
    user_name: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Will {
    properties: Vec<u8>,
    message: Publish,
}

impl Connect {
    /// Clean Start (Clean Session), no Keep Alive, no Will.
    pub fn new(version: Version, client_id: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            flags: None,
            client_id: client_id.as_ref().to_vec(),
            clean: true,
            keep_alive: 0,
            properties: Vec::new(),
            will: None,
            user_name: None,
            password: None,
        }
    }

    /// Clean Start 0, and a Session that outlives the connection by `seconds` (in 3.x: without end).
    #[must_use]
    pub fn lasting(self, seconds: u32) -> Self {
        Self { clean: false, ..self.expiring(seconds) }
    }

    /// A Session Expiry Interval; nothing in 3.x.
    #[must_use]
    pub fn expiring(self, seconds: u32) -> Self {
        if self.version == Version::V5 {
            self.property(&prop::u32(prop::SESSION_EXPIRY, seconds))
        } else {
            self
        }
    }

    /// Clean Start (Clean Session) as told.
    #[must_use]
    pub fn clean(self, clean: bool) -> Self {
        Self { clean, ..self }
    }

    /// Keep Alive in seconds.
    #[must_use]
    pub fn keep_alive(self, keep_alive: u16) -> Self {
        Self { keep_alive, ..self }
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, property: &[u8]) -> Self {
        self.properties.extend_from_slice(property);
        self
    }

    /// A Will; properties of `message` become Will Properties.
    #[must_use]
    pub fn will(self, message: Publish) -> Self {
        Self { will: Some(Will { properties: message.properties.clone(), message }), ..self }
    }

    /// Replaces the Connect Flags by a value that the fields do not give.
    #[must_use]
    pub fn flags(self, flags: u8) -> Self {
        Self { flags: Some(flags), ..self }
    }

    /// A User Name.
    #[must_use]
    pub fn user_name(self, name: impl AsRef<[u8]>) -> Self {
        Self { user_name: Some(name.as_ref().to_vec()), ..self }
    }

    /// A Password.
    #[must_use]
    pub fn password(self, password: impl AsRef<[u8]>) -> Self {
        Self { password: Some(password.as_ref().to_vec()), ..self }
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        let (name, level) = match self.version {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        let mut body = prefixed(name);
        body.extend([level, self.flags.unwrap_or_else(|| self.own_flags())]);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(properties(self.version, &self.properties));
        body.extend(prefixed(&self.client_id));
        if let Some(Will { properties: will, message }) = &self.will {
            body.extend(properties(self.version, will));
            body.extend(prefixed(&message.topic));
            body.extend(prefixed(&message.payload));
        }
        for field in [&self.user_name, &self.password].into_iter().flatten() {
            body.extend(prefixed(field));
        }
        packet(0x10, &body)
    }

    fn own_flags(&self) -> u8 {
        let will = self
            .will
            .as_ref()
            .map_or(0, |will| 0x04 | will.message.qos << 3 | u8::from(will.message.retain) << 5);
        u8::from(self.clean) << 1
            | will
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7
    }
}

/// A PUBLISH.
#[derive(Clone, Debug)]
pub struct Publish {
    topic: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    id: u16,
    dup: bool,
    retain: bool,
    properties: Vec<u8>,
}

impl Publish {
    /// QoS 0, not retained.
    pub fn new(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            qos: 0,
            id: 0,
            dup: false,
            retain: false,
            properties: Vec::new(),
        }
    }

    /// A QoS above 0 and the Packet Identifier that goes with it.
    #[must_use]
    pub fn qos(self, qos: u8, id: u16) -> Self {
        Self { qos, id, ..self }
    }

    /// DUP
    #[must_use]
    pub fn dup(self) -> Self {
        Self { dup: true, ..self }
    }

    /// RETAIN
    #[must_use]
    pub fn retain(self) -> Self {
        Self { retain: true, ..self }
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, property: &[u8]) -> Self {
        self.properties.extend_from_slice(property);
        self
    }

    /// The QoS that it asks for.
    pub fn quality(&self) -> u8 {
        self.qos
    }

    /// The Packet Identifier.
    pub fn identifier(&self) -> u16 {
        self.id
    }

    /// The packet.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = prefixed(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(properties(version, &self.properties));
        body.extend(&self.payload);
        packet(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }
}

/// A SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct Subscribe {
    id: u16,
    filters: Vec<(Vec<u8>, u8)>,
    properties: Vec<u8>,
}

/// Subscription Option: No Local.
pub const NO_LOCAL: u8 = 0x04;
/// Subscription Option: Retain As Published.
pub const RETAIN_AS_PUBLISHED: u8 = 0x08;
/// Subscription Option: retained messages only for a new subscription.
pub const RETAIN_IF_NEW: u8 = 0x10;
/// Subscription Option: no retained messages.
pub const RETAIN_NEVER: u8 = 0x20;

impl Subscribe {
    /// Without a Topic Filter yet.
    pub fn new(id: u16) -> Self {
        Self { id, filters: Vec::new(), properties: Vec::new() }
    }

    /// Adds a Topic Filter with its Subscription Options (in 3.x: the requested QoS).
    #[must_use]
    pub fn filter(mut self, filter: impl AsRef<[u8]>, options: u8) -> Self {
        self.filters.push((filter.as_ref().to_vec(), options));
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, property: &[u8]) -> Self {
        self.properties.extend_from_slice(property);
        self
    }

    /// The packet.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        body.extend(properties(version, &self.properties));
        for (filter, options) in &self.filters {
            body.extend(prefixed(filter));
            body.push(*options);
        }
        packet(0x82, &body)
    }
}

/// An UNSUBSCRIBE.
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    body.extend(filters.iter().flat_map(prefixed));
    packet(0xa2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (`first` 0x40, 0x50, 0x62, 0x70) that says success.
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

/// The same with a Reason Code, 5.0 only.
pub fn ack_with(first: u8, id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    packet(first, &[high, low, code])
}

/// DISCONNECT of 5.0 with a Reason Code and properties.
pub fn disconnect(code: u8, own: &[u8]) -> Vec<u8> {
    packet(0xe0, &[&[code][..], &properties(Version::V5, own)].concat())
}

/// PINGREQ
pub const PINGREQ: [u8; 2] = [0xc0, 0];
/// PINGRESP
pub const PINGRESP: [u8; 2] = [0xd0, 0];
/// DISCONNECT without a Reason Code.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];
/// First byte of a PUBACK.
pub const PUBACK: u8 = 0x40;
/// First byte of a PUBREC.
pub const PUBREC: u8 = 0x50;
/// First byte of a PUBREL.
pub const PUBREL: u8 = 0x62;
/// First byte of a PUBCOMP.
pub const PUBCOMP: u8 = 0x70;
