//! A packet as JSON: every field under the name that the specification gives it, Reason Codes by name; beside a topic or filter the whole
//! name, where the Client says another.
//!
//! In:    bytes of a packet, perhaps not all of them.
//! Out:   its type and its fields.
//! Never: fails: what cannot be read is said to be so.
//! Spec:  MQTT 5.0 chapter 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_codec::{
    Ack, Connect, Frame, Framing, Packet, Properties, Property, ProtocolVersion, Publish, ReasonCode, Rule,
    RuleSet, Subscribe, Tolerance, TopicFilter, Unsubscribe, VarInt,
};
use dunlin_engine::Mount;
use serde_json::{Map, Value, json};

/// Names of the packet types, in the order of section 2.1.2.
pub(crate) const TYPES: [&str; 16] = [
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// A packet's fields.
type Fields = Map<String, Value>;

/// What the broker calls what the packet names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names<'a> {
    /// The topic of a PUBLISH, where that in the packet is another.
    pub(super) topic: Option<&'a str>,
    /// What comes before other names.
    pub(super) mount: Option<&'a Mount>,
}

/// The type of a packet and its fields. `payload_maximum`: bytes of a payload that are shown.
pub(super) fn describe(
    bytes: &[u8],
    version: ProtocolVersion,
    payload_maximum: usize,
    names: Names<'_>,
) -> (&'static str, Fields) {
    let mut fields = Fields::new();
    let Some((frame, is_whole)) = frame(bytes) else { return (TYPES[0], fields) };
    let name = TYPES[usize::from(frame.packet_type())];
    let shown = Shown { payload_maximum, is_whole, version, names };
    match Packet::decode(frame, version, tolerant(), &mut RuleSet::default()) {
        Ok(packet) => shown.packet(&packet, &mut fields),
        Err(_) if !is_whole => put(&mut fields, "truncated", true),
        Err(error) => put(&mut fields, "malformed", error.to_string()),
    }
    (name, fields)
}

/// The packet that `bytes` begin with, and whether all of it is there.
fn frame(bytes: &[u8]) -> Option<(Frame<'_>, bool)> {
    if let Ok(Framing::Complete { frame, .. }) = Frame::split(bytes, u32::MAX) {
        return Some((frame, true));
    }
    let (first, rest) = bytes.split_first()?;
    let (_, length) = VarInt::decode(rest).ok()??;
    Some((Frame { first: *first, body: &rest[length..] }, false))
}

fn tolerant() -> Tolerance {
    let mut rules = RuleSet::EMPTY;
    Rule::ALL.into_iter().for_each(|rule| rules.insert(rule));
    Tolerance(rules)
}

fn put(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

/// Where there is one.
fn put_whole(fields: &mut Fields, name: &str, whole: Option<impl Into<Value>>) {
    if let Some(whole) = whole {
        put(fields, name, whole);
    }
}

struct Shown<'a> {
    payload_maximum: usize,
    is_whole: bool,
    version: ProtocolVersion,
    names: Names<'a>,
}

impl Shown<'_> {
    fn packet(&self, packet: &Packet<'_>, fields: &mut Fields) {
        match packet {
            Packet::Connect(connect) => self.connect(connect, fields),
            Packet::ConnAck(ack) => {
                put(fields, "session_present", ack.session_present);
                reason(fields, ack.reason, "Success");
                properties(fields, ack.properties);
            }
            Packet::Publish(publish) => self.publish(publish, fields),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                self.ack(ack, fields);
            }
            Packet::Subscribe(packet) => self.subscribe(packet, fields),
            Packet::SubAck(ack) => {
                put(fields, "packet_id", ack.packet_id.get());
                put(fields, "reasons", granted(ack.reasons));
                properties(fields, ack.properties);
            }
            Packet::Unsubscribe(packet) => self.unsubscribe(packet, fields),
            Packet::UnsubAck(ack) => {
                put(fields, "packet_id", ack.packet_id.get());
                if self.version == ProtocolVersion::V5 {
                    let names = ack.reasons.iter().map(|code| name_of(*code, "Success"));
                    put(fields, "reasons", names.collect::<Vec<_>>());
                }
                properties(fields, ack.properties);
            }
            Packet::PingReq | Packet::PingResp => {}
            Packet::Disconnect(disconnect) => {
                reason(fields, disconnect.reason, "Normal disconnection");
                properties(fields, disconnect.properties);
            }
            Packet::Auth(auth) => {
                reason(fields, auth.reason, "Success");
                properties(fields, auth.properties);
            }
        }
    }

    fn connect(&self, connect: &Connect<'_>, fields: &mut Fields) {
        put(fields, "protocol", version_name(connect.version));
        put(fields, "client_id", connect.client_id);
        put(fields, "clean_start", connect.clean_start);
        put(fields, "keep_alive", connect.keep_alive);
        if let Some(name) = connect.user_name {
            put(fields, "user_name", name);
        }
        if let Some(password) = connect.password {
            put(fields, "password", text_or_base64(password));
        }
        properties(fields, connect.properties);
        if let Some(will) = &connect.will {
            let mut of_will = Fields::new();
            put(&mut of_will, "topic", will.topic);
            let whole = self.names.mount.map(|mount| mount.topic(will.topic));
            put_whole(&mut of_will, "whole_topic", whole.filter(|whole| whole != will.topic));
            put(&mut of_will, "qos", will.qos as u8);
            put(&mut of_will, "retain", will.retain);
            self.payload(will.payload, &mut of_will);
            properties(&mut of_will, will.properties);
            put(fields, "will", of_will);
        }
    }

    fn publish(&self, publish: &Publish<'_>, fields: &mut Fields) {
        put(fields, "topic", publish.topic);
        put_whole(fields, "whole_topic", self.names.topic);
        put(fields, "qos", publish.qos as u8);
        if let Some(id) = publish.packet_id {
            put(fields, "packet_id", id.get());
        }
        put(fields, "retain", publish.retain);
        put(fields, "dup", publish.dup);
        properties(fields, publish.properties);
        self.payload(publish.payload, fields);
    }

    fn subscribe(&self, packet: &Subscribe<'_>, fields: &mut Fields) {
        put(fields, "packet_id", packet.packet_id.get());
        let filters = packet.filters.iter().map(|(filter, options)| {
            let mut of_one = self.filter(filter);
            put(&mut of_one, "qos", options.qos as u8);
            put(&mut of_one, "no_local", options.no_local);
            put(&mut of_one, "retain_as_published", options.retain_as_published);
            put(&mut of_one, "retain_handling", options.retain_handling as u8);
            of_one
        });
        put(fields, "filters", filters.map(Value::from).collect::<Vec<_>>());
        properties(fields, packet.properties);
    }

    fn unsubscribe(&self, packet: &Unsubscribe<'_>, fields: &mut Fields) {
        put(fields, "packet_id", packet.packet_id.get());
        let filters = packet.filters.iter().map(|filter| Value::from(self.filter(filter)));
        put(fields, "filters", filters.collect::<Vec<_>>());
        properties(fields, packet.properties);
    }

    fn filter(&self, filter: TopicFilter<'_>) -> Fields {
        let mut fields = Fields::new();
        put(&mut fields, "filter", filter.as_str());
        let whole = self.names.mount.map(|mount| mount.filter(filter));
        put_whole(&mut fields, "whole_filter", whole.filter(|whole| whole != filter.as_str()));
        fields
    }

    fn ack(&self, ack: &Ack<'_>, fields: &mut Fields) {
        put(fields, "packet_id", ack.packet_id.get());
        if self.version == ProtocolVersion::V5 {
            reason(fields, ack.reason, "Success");
        }
        properties(fields, ack.properties);
    }

    /// As much as is wanted: as text where it is text, else in Base64.
    fn payload(&self, payload: &[u8], fields: &mut Fields) {
        let shown = &payload[..payload.len().min(self.payload_maximum)];
        let is_cut = shown.len() < payload.len() || !self.is_whole;
        // A cut through a character is no reason to call a text none.
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            Err(error) if is_cut && error.error_len().is_none() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        match text {
            Some(text) => put(fields, "payload", text),
            None => put(fields, "payload_base64", STANDARD.encode(shown)),
        }
        if is_cut {
            put(fields, "payload_truncated", true);
        }
        if self.is_whole {
            put(fields, "payload_bytes", payload.len());
        }
    }
}

fn granted(codes: &[u8]) -> Vec<String> {
    codes.iter().map(|code| name_of(*code, "Granted QoS 0")).collect()
}

fn reason(fields: &mut Fields, reason: ReasonCode, of_zero: &str) {
    put(fields, "reason", name_of(reason as u8, of_zero));
    put(fields, "reason_code", reason as u8);
}

/// As section 2.4 writes it, about: `Not authorized`.
fn name_of(code: u8, of_zero: &str) -> String {
    let Some(reason) = ReasonCode::from_u8(code) else { return format!("0x{code:02X}") };
    if code == 0 {
        return of_zero.to_owned();
    }
    let variant = format!("{reason:?}").replace("QoS", " Qos").replace("ReAuthenticate", "Re-authenticate");
    let mut name = String::new();
    for letter in variant.trim_start().chars() {
        if (letter.is_ascii_uppercase() || letter.is_ascii_digit())
            && !name.is_empty()
            && !name.ends_with(' ')
        {
            name.push(' ');
        }
        name.push(if name.is_empty() { letter } else { letter.to_ascii_lowercase() });
    }
    name.replace("qos", "QoS").replace("Qos", "QoS")
}

/// `3.1`, `3.1.1` or `5.0`.
pub(super) const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V31 => "3.1",
        ProtocolVersion::V311 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}

fn text_or_base64(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("base64:{}", STANDARD.encode(bytes)), str::to_owned)
}

fn properties(fields: &mut Fields, properties: Properties<'_>) {
    let mut found = Fields::new();
    let mut pairs = Vec::new();
    let mut identifiers = Vec::new();
    for property in properties {
        match property {
            Property::UserProperty(name, value) => pairs.push(json!([name, value])),
            Property::SubscriptionIdentifier(identifier) => identifiers.push(identifier.get()),
            other => {
                let (name, value) = one(other);
                found.insert(name.to_owned(), value);
            }
        }
    }
    if !identifiers.is_empty() {
        put(&mut found, "subscription_identifiers", identifiers);
    }
    if !pairs.is_empty() {
        put(&mut found, "user_properties", pairs);
    }
    if !found.is_empty() {
        put(fields, "properties", found);
    }
}

fn one(property: Property<'_>) -> (&'static str, Value) {
    match property {
        Property::PayloadFormatIndicator(value) => ("payload_format_indicator", value.into()),
        Property::MessageExpiryInterval(value) => ("message_expiry_interval", value.into()),
        Property::ContentType(value) => ("content_type", value.into()),
        Property::ResponseTopic(value) => ("response_topic", value.into()),
        Property::CorrelationData(value) => ("correlation_data", text_or_base64(value).into()),
        Property::SubscriptionIdentifier(value) => ("subscription_identifiers", value.get().into()),
        Property::SessionExpiryInterval(value) => ("session_expiry_interval", value.into()),
        Property::AssignedClientIdentifier(value) => ("assigned_client_identifier", value.into()),
        Property::ServerKeepAlive(value) => ("server_keep_alive", value.into()),
        Property::AuthenticationMethod(value) => ("authentication_method", value.into()),
        Property::AuthenticationData(value) => ("authentication_data", text_or_base64(value).into()),
        Property::RequestProblemInformation(value) => ("request_problem_information", value.into()),
        Property::WillDelayInterval(value) => ("will_delay_interval", value.into()),
        Property::RequestResponseInformation(value) => ("request_response_information", value.into()),
        Property::ResponseInformation(value) => ("response_information", value.into()),
        Property::ServerReference(value) => ("server_reference", value.into()),
        Property::ReasonString(value) => ("reason_string", value.into()),
        Property::ReceiveMaximum(value) => ("receive_maximum", value.get().into()),
        Property::TopicAliasMaximum(value) => ("topic_alias_maximum", value.into()),
        Property::TopicAlias(value) => ("topic_alias", value.get().into()),
        Property::MaximumQoS(value) => ("maximum_qos", value.into()),
        Property::RetainAvailable(value) => ("retain_available", value.into()),
        Property::UserProperty(name, value) => ("user_properties", json!([name, value])),
        Property::MaximumPacketSize(value) => ("maximum_packet_size", value.get().into()),
        Property::WildcardSubscriptionAvailable(value) => ("wildcard_subscription_available", value.into()),
        Property::SubscriptionIdentifierAvailable(value) => {
            ("subscription_identifier_available", value.into())
        }
        Property::SharedSubscriptionAvailable(value) => ("shared_subscription_available", value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_names_of_the_specification() {
        assert_eq!(name_of(0x87, ""), "Not authorized");
        assert_eq!(name_of(0x02, ""), "Granted QoS 2");
        assert_eq!(name_of(0x9B, ""), "QoS not supported");
        assert_eq!(name_of(0x8E, ""), "Session taken over");
        assert_eq!(name_of(0x19, ""), "Re-authenticate");
        assert_eq!(name_of(0, "Granted QoS 0"), "Granted QoS 0");
        assert_eq!(name_of(0x42, ""), "0x42");
    }

    fn shown(packet: &Packet<'_>, cut: usize) -> Fields {
        let mut bytes = Vec::new();
        packet.encode(ProtocolVersion::V5, &mut bytes);
        bytes.truncate(cut);
        describe(&bytes, ProtocolVersion::V5, 16, Names::default()).1
    }

    #[test]
    fn a_payload_is_text_where_it_is_one_and_cut_where_it_is_long() {
        let publish = Publish {
            dup: false,
            qos: dunlin_codec::QoS::AtMostOnce,
            retain: true,
            topic: "t",
            packet_id: None,
            properties: Properties::EMPTY,
            payload: "123456789012345ä".as_bytes(),
        };
        let long = shown(&Packet::Publish(publish), usize::MAX);
        assert_eq!((&long["payload"], &long["payload_bytes"]), (&json!("123456789012345"), &json!(17)));
        assert_eq!(long["payload_truncated"], true);
        let binary = shown(&Packet::Publish(Publish { payload: b"\xff\x00", ..publish }), usize::MAX);
        assert_eq!(binary["payload_base64"], "/wA=");
        let cut = shown(&Packet::Publish(publish), 10);
        assert_eq!((&cut["payload"], cut.get("payload_bytes")), (&json!("1234"), None));
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_so() {
        let (name, fields) = describe(&[0x82, 1, 0], ProtocolVersion::V5, 16, Names::default());
        assert_eq!(name, "SUBSCRIBE");
        assert!(fields["malformed"].is_string(), "{fields:?}");
        assert_eq!(describe(&[], ProtocolVersion::V5, 16, Names::default()).0, "RESERVED");
    }
}
