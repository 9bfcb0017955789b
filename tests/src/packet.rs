//! Packets as the broker sends them, read without the project's codec.

use crate::Version;
use crate::prop::Properties;

/// A packet from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// CONNACK
    ConnAck(ConnAck),
    /// PUBLISH
    Publish(Received),
    /// PUBACK
    PubAck(Ack),
    /// PUBREC
    PubRec(Ack),
    /// PUBREL
    PubRel(Ack),
    /// PUBCOMP
    PubComp(Ack),
    /// SUBACK
    SubAck(Codes),
    /// UNSUBACK
    UnsubAck(Codes),
    /// PINGRESP
    PingResp,
    /// DISCONNECT: Reason Code and properties
    Disconnect(u8, Properties),
    /// AUTH: Reason Code and properties
    Auth(u8, Properties),
}

/// A CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Session Present
    pub session_present: bool,
    /// Reason Code, or return code of 3.x
    pub code: u8,
    /// Empty for 3.x
    pub properties: Properties,
}

/// A PUBLISH from the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// The Topic Name; empty where an alias stands for it
    pub topic: String,
    /// What was published
    pub payload: Vec<u8>,
    /// 0, 1 or 2
    pub qos: u8,
    /// DUP
    pub dup: bool,
    /// RETAIN
    pub retain: bool,
    /// The Packet Identifier, 0 at QoS 0
    pub id: u16,
    /// Empty for 3.x
    pub properties: Properties,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(40)];
        write!(f, "Publish {{ {:?} {:?}", self.topic, shown.escape_ascii().to_string())?;
        if shown.len() < self.payload.len() {
            write!(f, "... {} bytes", self.payload.len())?;
        }
        write!(f, " qos {} id {} dup {} retain {} ", self.qos, self.id, self.dup, self.retain)?;
        write!(f, "{:?} }}", self.properties)
    }
}

impl Received {
    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The Packet Identifier
    pub id: u16,
    /// The Reason Code, 0 for 3.x
    pub code: u8,
    /// Empty for 3.x
    pub properties: Properties,
}

/// A SUBACK or UNSUBACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The Packet Identifier
    pub id: u16,
    /// Empty for 3.x
    pub properties: Properties,
    /// One for each Topic Filter; none in an UNSUBACK of 3.x
    pub codes: Vec<u8>,
}

impl Packet {
    /// Reads what follows the Fixed Header.
    ///
    /// # Panics
    /// When the packet is malformed, or one that a Server must not send: the broker's fault.
    pub fn read(version: Version, first: u8, body: &[u8]) -> Self {
        if first >> 4 == 3 {
            return Self::Publish(read_publish(version, first, body));
        }
        let flags = if first >> 4 == 6 { 0x02 } else { 0x00 };
        assert_eq!(first & 0x0f, flags, "reserved flags of {first:#04x} {}", body.escape_ascii());
        match first >> 4 {
            2 => Self::ConnAck(read_connack(version, body)),
            4 => Self::PubAck(read_ack(version, body)),
            5 => Self::PubRec(read_ack(version, body)),
            6 => Self::PubRel(read_ack(version, body)),
            7 => Self::PubComp(read_ack(version, body)),
            9 => Self::SubAck(read_codes(version, body)),
            11 => Self::UnsubAck(read_codes(version, body)),
            13 if body.is_empty() => Self::PingResp,
            14 if version == Version::V5 => {
                let (code, properties) = read_reason(body);
                Self::Disconnect(code, properties)
            }
            15 if version == Version::V5 => {
                let (code, properties) = read_reason(body);
                Self::Auth(code, properties)
            }
            _ => panic!("the broker sent {first:#04x} to a client of {version:?}: {}", body.escape_ascii()),
        }
    }
}

fn read_connack(version: Version, body: &[u8]) -> ConnAck {
    let [flags, code, rest @ ..] = body else { panic!("short CONNACK {}", body.escape_ascii()) };
    assert_eq!(flags & 0xfe, 0, "reserved Connect Acknowledge Flags");
    let (properties, rest) = properties(version, rest);
    assert!(rest.is_empty(), "bytes after a CONNACK: {}", rest.escape_ascii());
    ConnAck { session_present: flags & 1 == 1, code: *code, properties }
}

fn read_publish(version: Version, first: u8, body: &[u8]) -> Received {
    let qos = first >> 1 & 3;
    assert!(qos < 3, "the broker sent QoS 3");
    let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
    let (id, rest) = if qos == 0 { (0, rest) } else { read_id(rest) };
    assert!(qos == 0 || id != 0, "the broker sent Packet Identifier 0");
    let (properties, payload) = properties(version, rest);
    Received {
        topic: String::from_utf8(topic.to_vec()).expect("the Topic Name is UTF-8"),
        payload: payload.to_vec(),
        qos,
        dup: first & 8 != 0,
        retain: first & 1 != 0,
        id,
        properties,
    }
}

fn read_ack(version: Version, body: &[u8]) -> Ack {
    let (id, rest) = read_id(body);
    assert!(version == Version::V5 || rest.is_empty(), "a 3.x acknowledgement of {} bytes", body.len());
    let (code, properties) = read_reason(rest);
    Ack { id, code, properties }
}

fn read_codes(version: Version, body: &[u8]) -> Codes {
    let (id, rest) = read_id(body);
    let (properties, codes) = properties(version, rest);
    Codes { id, properties, codes: codes.to_vec() }
}

/// Reason Code and properties, either of which may be left out when it says nothing.
fn read_reason(body: &[u8]) -> (u8, Properties) {
    match body {
        [] => (0, Properties::default()),
        [code] => (*code, Properties::default()),
        [code, rest @ ..] => {
            let (properties, rest) = Properties::read(rest);
            assert!(rest.is_empty(), "bytes after the properties: {}", rest.escape_ascii());
            (*code, properties)
        }
    }
}

fn read_id(body: &[u8]) -> (u16, &[u8]) {
    let [high, low, rest @ ..] = body else { panic!("no Packet Identifier in {}", body.escape_ascii()) };
    (u16::from_be_bytes([*high, *low]), rest)
}

fn properties(version: Version, bytes: &[u8]) -> (Properties, &[u8]) {
    if version == Version::V5 { Properties::read(bytes) } else { (Properties::default(), bytes) }
}
