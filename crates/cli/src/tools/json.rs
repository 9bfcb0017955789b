//! Messages as JSON objects, one a line.

use std::fmt::Write;

use dunlin_client::Message;

use super::format::Moment;

/// A JSON string.
pub(crate) fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Is it JSON? Then it can stand in JSON as it is.
pub(crate) fn is_json(payload: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok()
}

/// JSON with each value on a line of its own, those within others further to the right.
pub(crate) fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut last = ' ';
    for character in text.chars() {
        if quoted {
            out.push(character);
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        depth -= usize::from(closes);
        let empty = closes && matches!(last, '{' | '[');
        if (closes && !empty) || (matches!(last, '{' | '[' | ',') && !closes) {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
        out.push(character);
        if character == ':' {
            out.push(' ');
        }
        depth += usize::from(matches!(character, '{' | '['));
        quoted = character == '"';
        last = character;
    }
    out
}

/// The message; `plain`: the payload is JSON and stands in it as such.
pub(crate) fn object(received: &Message, now: Moment, plain: bool) -> String {
    let mut out = String::from("{\"tst\":");
    string(&now.iso8601(), &mut out);
    out.push_str(",\"topic\":");
    string(received.topic(), &mut out);
    let _ = write!(
        out,
        ",\"qos\":{},\"retain\":{},\"payloadlen\":{}",
        received.quality() as u8,
        u8::from(received.is_retained()),
        received.payload().len()
    );
    properties(received, &mut out);
    out.push_str(",\"payload\":");
    let text = String::from_utf8_lossy(received.payload());
    if plain && is_json(received.payload()) {
        out.push_str(&text);
    } else {
        string(&text, &mut out);
    }
    out.push('}');
    out
}

fn properties(received: &Message, out: &mut String) {
    let Some(about) = received.about() else { return };
    let mut fields: Vec<(&str, String)> = Vec::new();
    let mut text = |name, value: &str| {
        let mut quoted = String::new();
        string(value, &mut quoted);
        fields.push((name, quoted));
    };
    if let Some(value) = &about.content_type {
        text("content-type", value);
    }
    if let Some(value) = &about.response_topic {
        text("response-topic", value);
    }
    if let Some(value) = &about.correlation {
        text("correlation-data", &String::from_utf8_lossy(value));
    }
    if let Some(value) = about.utf8 {
        fields.push(("payload-format-indicator", u8::from(value).to_string()));
    }
    if let Some(value) = about.expiry {
        fields.push(("message-expiry-interval", value.to_string()));
    }
    if !about.user.is_empty() {
        let mut user = String::from("{");
        for (at, (name, value)) in about.user.iter().enumerate() {
            if at > 0 {
                user.push(',');
            }
            string(name, &mut user);
            user.push(':');
            string(value, &mut user);
        }
        user.push('}');
        fields.push(("user-properties", user));
    }
    if fields.is_empty() {
        return;
    }
    out.push_str(",\"properties\":{");
    for (at, (name, value)) in fields.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{name}\":{value}");
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_stand_on_lines_of_their_own() {
        let text = r#"{"a": [1,{"b,\"}":"x [y"}],"c":{},"d":[ ]}"#;
        let pretty = super::pretty(text);
        let expected = "{\n  \"a\": [\n    1,\n    {\n      \"b,\\\"}\": \"x [y\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}";
        assert_eq!(pretty, expected);
    }

    #[test]
    fn strings_are_escaped_as_json_wants() {
        let mut out = String::new();
        super::string("a\"\\\n\u{1}é", &mut out);
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"");
        let back: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(back, "a\"\\\n\u{1}é");
    }
}
