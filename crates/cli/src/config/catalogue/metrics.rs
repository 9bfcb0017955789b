//! `[metrics]`

use super::{Form, Key, Kind, Section};

pub(super) const METRICS: Section = Section {
    name: "metrics",
    form: Form::Table,
    about: "What the server says of itself. docs/monitoring.md says how to use it.",
    keys: &[
        Key {
            name: "listen",
            kind: Kind::Address,
            reloads: false,
            about: "Where Prometheus finds the metrics: http://ADDRESS/metrics. Whoever reaches it may read it, and nothing is \
                    encrypted; there are no names of clients or topics in it. Without this key there is no such port.",
            example: Some("\"127.0.0.1:9464\""),
        },
        Key {
            name: "sys_interval_seconds",
            kind: Kind::Integer { least: 0, most: 86_400, unit: "seconds" },
            reloads: false,
            about: "How often the topics below $SYS/broker are brought up to date, those whose value has changed. Ten seconds \
                    are what tools that read them are used to. 0: there are none.",
            example: None,
        },
    ],
};
