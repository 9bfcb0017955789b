//! OTLP, the protocol of OpenTelemetry, in its JSON encoding.
//!
//! In:    spans; the samples of the catalogue.
//! Out:   bodies for `/v1/traces` and `/v1/metrics`.
//! Never: sends them.
//! Spec:  OTLP 1.5, section JSON Protobuf Encoding: identifiers in hexadecimal digits, 64-bit integers as strings,
//!        enums as numbers.

mod points;
mod spans;

pub use points::Points;
pub use spans::{Attribute, Span, SpanKind, traces};

use serde_json::{Value, json};

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Of the program.
    pub version: String,
    /// Tells processes apart, also after a restart.
    pub instance: String,
}

impl Resource {
    fn value(&self) -> Value {
        json!({ "attributes": [
            text("service.name", "dunlin"),
            text("service.version", &self.version),
            text("service.instance.id", &self.instance),
        ] })
    }

    fn scope(&self) -> Value {
        json!({ "name": "dunlin", "version": self.version })
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn integer(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
