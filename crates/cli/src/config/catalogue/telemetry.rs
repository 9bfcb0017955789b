//! `[opentelemetry]`

use super::{Form, Key, Kind, Section};

pub(super) const TELEMETRY: Section = Section {
    name: "opentelemetry",
    form: Form::Table,
    about: "The way of single messages through the server, as spans, and the metrics, sent to a collector by OTLP over HTTP \
            in JSON. docs/monitoring.md says more.",
    keys: &[
        Key {
            name: "endpoint",
            kind: Kind::Text { most: 2048 },
            reloads: false,
            about: "The collector, without /v1/traces. Names of clients and topics go there: take https for other machines. Without \
                    this key nothing is sent, and no message is followed.",
            example: Some("\"http://127.0.0.1:4318\""),
        },
        Key {
            name: "authorization_file",
            kind: Kind::File,
            reloads: false,
            about: "The first line of this file is sent as the header Authorization.",
            example: Some("\"/etc/dunlin/collector\""),
        },
        Key {
            name: "sampled_per_million",
            kind: Kind::Integer { least: 0, most: 1_000_000, unit: "messages" },
            reloads: false,
            about: "Of a million messages without a traceparent, so many are followed. Whether one with a traceparent is, says its \
                    publisher. 0: those alone.",
            example: None,
        },
        Key {
            name: "metrics_interval_seconds",
            kind: Kind::Integer { least: 0, most: 86_400, unit: "seconds" },
            reloads: false,
            about: "How often the metrics are sent, those that Prometheus would read. A minute is what collectors are used to. 0: \
                    never.",
            example: None,
        },
    ],
};
