//! `[[listener]]`

use super::{Key, Kind, Section};

pub(super) const LISTENER: Section = Section {
    name: "listener",
    repeated: true,
    about: "Where clients connect; one block for each address. Without any, and without --listen, `--dev` listens on \
            port 1883 of 127.0.0.1 and ::1. --listen replaces all of them. docs/transports.md has examples.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Url,
            reloads: false,
            about: "Where, and what is spoken there. IPv6 addresses are written in brackets; a name is resolved when \
                    the process starts, and each of its addresses is used; port 0 takes a free port. unix:PATH is a \
                    Unix socket; a file that a process left there when it was killed is replaced.",
            example: Some("\"tcp://127.0.0.1:1883\""),
        },
        Key {
            name: "permissions",
            kind: Kind::Mode,
            reloads: false,
            about: "Of unix: who may connect, as the mode of the socket's file; whoever may write to it may connect. \
                    Not set: 660, the user and the group of the process.",
            example: Some("\"600\""),
        },
    ],
};
