//! A packet as one line for people.

use serde_json::{Map, Value};

use crate::operate::plain;

/// Fields that have a place of their own, or say nothing where they are false.
const ELSEWHERE: [&str; 23] = [
    "time",
    "direction",
    "client",
    "address",
    "listener",
    "connection",
    "version",
    "type",
    "bytes",
    "packet",
    "topic",
    "whole_topic",
    "qos",
    "packet_id",
    "payload",
    "payload_base64",
    "payload_bytes",
    "payload_truncated",
    "reason_code",
    "properties",
    "filters",
    "reasons",
    "will",
];

/// Time, Client, direction, type, size, fields.
pub(super) fn line(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let time = text("time").split_once('T').map_or("", |(_, time)| time.trim_end_matches('Z'));
    let who = event["client"].as_str().or_else(|| event["address"].as_str()).unwrap_or("?");
    let arrow = if text("direction") == "sent" { "<-" } else { "->" };
    let mut words = vec![format!("{time} {} {arrow} {}", plain(who), text("type"))];
    if let Some(fields) = event.as_object() {
        known(fields, &mut words);
        for (name, value) in fields.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
            word(name, value, &mut words);
        }
        if let Some(will) = fields.get("will").and_then(Value::as_object) {
            let mut of_will = Vec::new();
            known(will, &mut of_will);
            words.push(format!("will: {}", of_will.join(" ")));
        }
    }
    words.push(format!("({} bytes)", event["bytes"]));
    plain(&words.join("  "))
}

/// What most packets are about.
fn known(fields: &Map<String, Value>, words: &mut Vec<String>) {
    if let Some(topic) = fields.get("topic").and_then(Value::as_str) {
        words.push(both(topic, fields.get("whole_topic")));
    }
    for (name, short) in [("qos", "qos"), ("packet_id", "id")] {
        if let Some(value) = fields.get(name) {
            words.push(format!("{short}={value}"));
        }
    }
    for filter in fields.get("filters").and_then(Value::as_array).into_iter().flatten() {
        words.push(subscribed(filter));
    }
    let reasons = fields.get("reasons").and_then(Value::as_array).into_iter().flatten();
    words.extend(reasons.filter_map(Value::as_str).map(|reason| format!("[{reason}]")));
    for (name, value) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        word(name, value, words);
    }
    if let Some(payload) = fields.get("payload").and_then(Value::as_str) {
        let cut = if fields.contains_key("payload_truncated") { "..." } else { "" };
        words.push(format!("{payload:?}{cut}"));
    } else if let Some(payload) = fields.get("payload_base64").and_then(Value::as_str) {
        words.push(format!("base64:{payload}"));
    }
}

/// The name that the broker knows, and what the packet has instead.
fn both(said: &str, whole: Option<&Value>) -> String {
    match (said, whole.and_then(Value::as_str)) {
        (said, None) => said.to_owned(),
        // Behind an alias.
        ("", Some(whole)) => whole.to_owned(),
        (said, Some(whole)) => format!("{whole} (as {said})"),
    }
}

fn subscribed(filter: &Value) -> String {
    let mut text = both(filter["filter"].as_str().unwrap_or_default(), filter.get("whole_filter"));
    if let Some(qos) = filter["qos"].as_u64() {
        text.push_str(&format!(" qos={qos}"));
    }
    for flag in ["no_local", "retain_as_published"] {
        if filter[flag] == true {
            text.push_str(&format!(" {flag}"));
        }
    }
    match filter["retain_handling"].as_u64() {
        None | Some(0) => {}
        Some(handling) => text.push_str(&format!(" retain_handling={handling}")),
    }
    text
}

/// A flag by its name, a text or number behind it; what is false is left out.
fn word(name: &str, value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Bool(false) | Value::Null => {}
        Value::Bool(true) => words.push(name.to_owned()),
        Value::String(text) if name == "reason" => words.push(text.clone()),
        Value::String(text) => words.push(format!("{name}={text}")),
        other => words.push(format!("{name}={other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_packet_is_one_line() {
        let publish = json!({
            "time": "2026-11-21T16:39:17.123456Z", "direction": "received", "client": "pump-7", "type": "PUBLISH",
            "bytes": 23, "topic": "t/1", "qos": 1, "packet_id": 5, "retain": true, "dup": false,
            "payload": "a\nb", "payload_bytes": 3, "properties": {"content_type": "text"},
        });
        let expected = "16:39:17.123456 pump-7 -> PUBLISH  t/1  qos=1  id=5  content_type=text  \"a\\nb\"  retain  (23 bytes)";
        assert_eq!(line(&publish), expected);
        let refused = json!({
            "time": "2026-11-21T16:39:17.123456Z", "direction": "sent", "client": null, "address": "192.0.2.1:7",
            "type": "CONNACK", "bytes": 5, "reason": "Not authorized", "reason_code": 135, "session_present": false,
        });
        assert_eq!(line(&refused), "16:39:17.123456 192.0.2.1:7 <- CONNACK  Not authorized  (5 bytes)");
    }

    #[test]
    fn nothing_of_a_client_moves_the_cursor() {
        let event = json!({ "client": "\u{1b}[2J", "topic": "a\rb", "type": "PUBLISH" });
        assert!(!line(&event).contains(|character: char| character.is_control()));
    }
}
