//! `[access]`

use super::{Form, Key, Kind, Section};

pub(super) const ACCESS: Section = Section {
    name: "access",
    form: Form::Table,
    about: "What clients are told that want what they may not have. Each time is counted and logged (area `access`).",
    keys: &[
        Key {
            name: "policy",
            kind: Kind::File,
            reloads: true,
            about: "The file of rules, in place of `access.toml` in the data directory; not with --dev. It must be there. Read \
                    again within a second of a change; one with a fault changes nothing. docs/access.md says what can stand \
                    in it.",
            example: Some("\"/etc/dunlin/access.toml\""),
        },
        Key {
            name: "denied_publish_v3",
            kind: Kind::Choice(&["acknowledge", "disconnect"]),
            reloads: true,
            about: "A PUBLISH of a 3.x client that it may not send; 3.x has no code for it. acknowledge: as if all were \
                    well, and discarded. disconnect: the connection is closed. A client that is disconnected comes back \
                    and sends the same again.",
            example: None,
        },
        Key {
            name: "denied_publish_qos0",
            kind: Kind::Choice(&["acknowledge", "disconnect"]),
            reloads: true,
            about: "A QoS 0 PUBLISH of a 5.0 client that it may not send; there is no answer to it, and acknowledge \
                    discards it without one. QoS 1 and 2 are answered with 0x87 Not authorized. disconnect: the \
                    connection is closed with 0x87.",
            example: None,
        },
        Key {
            name: "wide_subscriptions",
            kind: Kind::Choice(&["refuse", "filter"]),
            reloads: true,
            about: "A subscription some of whose messages the client may not receive. refuse: 0x87 Not authorized. \
                    filter: granted, and what it may not receive is left out, which tools that subscribe to # want. \
                    A client that hears less than it asked for should know.",
            example: None,
        },
    ],
};
