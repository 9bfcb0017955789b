//! Spans as the body of a request.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Resource, integer, text};

/// Which side of a message a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the broker.
    Internal,
    /// It sends a message on.
    Producer,
    /// It takes a message.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Characters.
    Text(String),
    /// A number.
    Integer(i64),
}

/// Something that took a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Few different ones.
    pub name: &'static str,
    /// Which side.
    pub kind: SpanKind,
    /// Of all that belongs together.
    pub trace_id: [u8; 16],
    /// Its own.
    pub span_id: [u8; 8],
    /// What it is part of.
    pub parent: Option<[u8; 8]>,
    /// W3C `tracestate`.
    pub state: Option<String>,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// By the names of the semantic conventions where they have one.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

impl Span {
    fn value(&self) -> Value {
        let kind = match self.kind {
            SpanKind::Internal => 1,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        };
        let attributes = self.attributes.iter().map(|(key, value)| match value {
            Attribute::Text(value) => text(key, value),
            Attribute::Integer(value) => integer(key, *value),
        });
        let mut span = json!({
            "traceId": hex(&self.trace_id),
            "spanId": hex(&self.span_id),
            "name": self.name,
            "kind": kind,
            "startTimeUnixNano": self.start.to_string(),
            "endTimeUnixNano": self.end.to_string(),
            "attributes": attributes.collect::<Vec<_>>(),
        });
        if let Some(parent) = &self.parent {
            span["parentSpanId"] = hex(parent).into();
        }
        if let Some(state) = &self.state {
            span["traceState"] = state.as_str().into();
        }
        if let Some(failure) = &self.failure {
            span["status"] = json!({ "code": 2, "message": failure });
        }
        span
    }
}

/// The body of a request to `/v1/traces`.
#[must_use]
pub fn traces(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<_> = spans.iter().map(Span::value).collect();
    let body = json!({ "resourceSpans": [{
        "resource": resource.value(),
        "scopeSpans": [{ "scope": resource.scope(), "spans": spans }],
    }] });
    body.to_string().into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_hexadecimal_and_times_are_strings() {
        let span = Span {
            name: "publish",
            kind: SpanKind::Consumer,
            trace_id: [0xab; 16],
            span_id: [1; 8],
            parent: None,
            state: None,
            start: u64::MAX,
            end: 7,
            attributes: vec![("qos", Attribute::Integer(1)), ("topic", Attribute::Text("t".to_owned()))],
            failure: Some("Not authorized".to_owned()),
        };
        let resource = Resource { version: "1".to_owned(), instance: "i".to_owned() };
        let body: Value = serde_json::from_slice(&traces(&resource, &[span])).unwrap();
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "ab".repeat(16));
        assert_eq!(span["startTimeUnixNano"], "18446744073709551615");
        assert_eq!(span["attributes"][0]["value"]["intValue"], "1");
        assert_eq!(span["status"]["code"], 2);
        assert!(span.get("parentSpanId").is_none());
    }
}
