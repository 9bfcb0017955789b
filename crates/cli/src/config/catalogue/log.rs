//! `[log]` and `[log.areas]`

use super::{Form, Key, Kind, Section};

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub(super) const LOG: Section = Section {
    name: "log",
    form: Form::Table,
    about: "What is logged, on standard error.",
    keys: &[
        Key {
            name: "format",
            kind: Kind::Choice(&["text", "json"]),
            reloads: false,
            about: "One line of text for each event, for people; or one JSON object on a line, for programs.",
            example: None,
        },
        Key {
            name: "level",
            kind: Kind::Choice(LEVELS),
            reloads: true,
            about: "error: someone must act. warn: something is degraded. info: what the process does. debug: what \
                    a connection does. trace: what a packet does. Payloads are never logged. info is a few lines a \
                    day; debug grows with the number of connections.",
            example: None,
        },
    ],
};

pub(super) const AREAS: Section = Section {
    name: "log.areas",
    form: Form::Table,
    about: "Areas with a level of their own. The area is the part of a line's target after `dunlin::`.",
    keys: &[
        area("process", "Start, configuration, signals, end."),
        area("listener", "Addresses that are listened on or not."),
        area(
            "connection",
            "Connections: from CONNECT to the cause of the end, and those that were turned away.",
        ),
        area("protocol", "Rules that clients break, as [strictness] tells to report them."),
        area("session", "Sessions and what is dropped from their queues."),
        area("journal", "The directory of the data: reading it at the start, damage, no room."),
        area(
            "authentication",
            "Who is banned after failed log-ins, services that give no answer, files of users and keys that were read again.",
        ),
        area("access", "What clients want and may not have."),
        area("log", "The log itself: how many warnings of a kind, and how many lines, were left out."),
    ],
};

const fn area(name: &'static str, about: &'static str) -> Key {
    Key { name, kind: Kind::Choice(LEVELS), reloads: true, about, example: Some("\"debug\"") }
}
