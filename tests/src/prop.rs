//! Properties of MQTT 5.0 as bytes: identifiers, encoders, and the list that a received packet holds.

/// Payload Format Indicator, a byte.
pub const PAYLOAD_FORMAT: u8 = 0x01;
/// Message Expiry Interval in seconds, four bytes.
pub const MESSAGE_EXPIRY: u8 = 0x02;
/// Content Type, a string.
pub const CONTENT_TYPE: u8 = 0x03;
/// Response Topic, a string.
pub const RESPONSE_TOPIC: u8 = 0x08;
/// Correlation Data, binary.
pub const CORRELATION_DATA: u8 = 0x09;
/// Subscription Identifier, a Variable Byte Integer.
pub const SUBSCRIPTION_ID: u8 = 0x0b;
/// Session Expiry Interval in seconds, four bytes.
pub const SESSION_EXPIRY: u8 = 0x11;
/// Assigned Client Identifier, a string.
pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
/// Server Keep Alive in seconds, two bytes.
pub const SERVER_KEEP_ALIVE: u8 = 0x13;
/// Authentication Method, a string.
pub const AUTH_METHOD: u8 = 0x15;
/// Authentication Data, binary.
pub const AUTH_DATA: u8 = 0x16;
/// Request Problem Information, a byte.
pub const REQUEST_PROBLEM: u8 = 0x17;
/// Will Delay Interval in seconds, four bytes.
pub const WILL_DELAY: u8 = 0x18;
/// Request Response Information, a byte.
pub const REQUEST_RESPONSE: u8 = 0x19;
/// Response Information, a string.
pub const RESPONSE_INFORMATION: u8 = 0x1a;
/// Server Reference, a string.
pub const SERVER_REFERENCE: u8 = 0x1c;
/// Reason String, a string.
pub const REASON_STRING: u8 = 0x1f;
/// Receive Maximum, two bytes.
pub const RECEIVE_MAXIMUM: u8 = 0x21;
/// Topic Alias Maximum, two bytes.
pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
/// Topic Alias, two bytes.
pub const TOPIC_ALIAS: u8 = 0x23;
/// Maximum QoS, a byte.
pub const MAXIMUM_QOS: u8 = 0x24;
/// Retain Available, a byte.
pub const RETAIN_AVAILABLE: u8 = 0x25;
/// User Property, a pair of strings.
pub const USER: u8 = 0x26;
/// Maximum Packet Size in bytes, four bytes.
pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
/// Wildcard Subscription Available, a byte.
pub const WILDCARD_AVAILABLE: u8 = 0x28;
/// Subscription Identifier Available, a byte.
pub const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
/// Shared Subscription Available, a byte.
pub const SHARED_AVAILABLE: u8 = 0x2a;

/// A property of one byte.
pub fn u8(id: u8, value: u8) -> Vec<u8> {
    vec![id, value]
}

/// A property of two bytes.
pub fn u16(id: u8, value: u16) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

/// A property of four bytes.
pub fn u32(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

/// A property that is a Variable Byte Integer.
pub fn varint(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &variable(value)].concat()
}

/// A property that is a UTF-8 string or Binary Data.
pub fn string(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&[id][..], &prefixed(value)].concat()
}

/// A User Property.
pub fn user(name: &str, value: &str) -> Vec<u8> {
    [&[USER][..], &prefixed(name), &prefixed(value)].concat()
}

/// Bytes with their length, two bytes, before them.
///
/// # Panics
/// Above 65,535 bytes.
pub fn prefixed(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u16::try_from(value.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes()[..], value].concat()
}

/// A Variable Byte Integer in its shortest form.
pub fn variable(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = (value % 128).to_le_bytes();
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The properties of a received packet, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(pub Vec<(u8, Vec<u8>)>);

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let readable = self.0.iter().map(|(id, value)| format!("{id:#04x}={}", value.escape_ascii()));
        f.debug_list().entries(readable).finish()
    }
}

impl Properties {
    /// Reads the list that starts at `bytes`, and what follows it.
    ///
    /// # Panics
    /// When the list is not well-formed: the broker's fault.
    pub fn read(bytes: &[u8]) -> (Self, &[u8]) {
        let (length, rest) = read_variable(bytes);
        let (mut list, after) = rest.split_at(usize::try_from(length).unwrap());
        let mut found = Vec::new();
        while let [id, value @ ..] = list {
            let length = value_length(*id, value);
            found.push((*id, value[..length].to_vec()));
            list = &value[length..];
        }
        (Self(found), after)
    }

    /// The raw value of the property, which must not occur twice.
    ///
    /// # Panics
    /// When it occurs twice.
    pub fn get(&self, id: u8) -> Option<&[u8]> {
        let mut values = self.0.iter().filter(|(found, _)| *found == id).map(|(_, value)| &value[..]);
        let first = values.next();
        assert!(values.next().is_none(), "property {id:#04x} occurs twice in {self:?}");
        first
    }

    /// The value of a property of one, two or four bytes.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.get(id).map(|value| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// The value of a property that is a string or binary, without its length.
    pub fn text(&self, id: u8) -> Option<String> {
        self.get(id).map(|value| String::from_utf8_lossy(&value[2..]).into_owned())
    }

    /// The Subscription Identifiers, ascending.
    pub fn subscription_ids(&self) -> Vec<u32> {
        let own = self.0.iter().filter(|(id, _)| *id == SUBSCRIPTION_ID);
        let mut ids: Vec<u32> = own.map(|(_, value)| read_variable(value).0).collect();
        ids.sort_unstable();
        ids
    }

    /// The User Properties in order.
    pub fn user(&self) -> Vec<(String, String)> {
        let own = self.0.iter().filter(|(id, _)| *id == USER);
        own.map(|(_, value)| {
            let name = 2 + usize::from(u16::from_be_bytes([value[0], value[1]]));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&value[2..name]), text(&value[name + 2..]))
        })
        .collect()
    }
}

fn read_variable(bytes: &[u8]) -> (u32, &[u8]) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (value, &bytes[at + 1..]);
        }
    }
    panic!("no Variable Byte Integer: {}", bytes.escape_ascii());
}

fn value_length(id: u8, value: &[u8]) -> usize {
    let prefixed = |at: usize| 2 + usize::from(u16::from_be_bytes([value[at], value[at + 1]]));
    match id {
        PAYLOAD_FORMAT
        | REQUEST_PROBLEM
        | REQUEST_RESPONSE
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARD_AVAILABLE
        | SUBSCRIPTION_ID_AVAILABLE
        | SHARED_AVAILABLE => 1,
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => 2,
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => 4,
        CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION_DATA | ASSIGNED_CLIENT_ID | AUTH_METHOD | AUTH_DATA
        | RESPONSE_INFORMATION | SERVER_REFERENCE | REASON_STRING => prefixed(0),
        SUBSCRIPTION_ID => value.len() - read_variable(value).1.len(),
        USER => prefixed(0) + prefixed(prefixed(0)),
        _ => panic!("the broker sent property {id:#04x}, which 5.0 does not know"),
    }
}
