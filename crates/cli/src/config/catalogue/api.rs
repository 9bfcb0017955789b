//! `[api]`

use super::{Form, Key, Kind, Section};

pub(super) const API: Section = Section {
    name: "api",
    form: Form::Table,
    about: "The operator's API: HTTP, for those who have a token or are users of the groups viewers, operators or \
            administrators. `dunlin clients` and its like use it. docs/api.md says more. The owner of the data directory has it \
            on a Unix socket there, api.sock, whatever stands here.",
    keys: &[
        Key {
            name: "network",
            kind: Kind::Switch,
            reloads: false,
            about: "false: on that socket only.",
            example: None,
        },
        Key {
            name: "listen",
            kind: Kind::Address,
            reloads: false,
            about: "Where it is served. Without this key, on port 8885 of 127.0.0.1 where that is free; with --dev, nowhere. On an \
                    address that other machines reach it is encrypted, with the certificate of the built-in authority unless another \
                    one is named.",
            example: Some("\"127.0.0.1:8885\""),
        },
        Key {
            name: "certificate",
            kind: Kind::File,
            reloads: false,
            about: "PEM file: the certificate to show, and those that lead to its authority. It is read again when it changes.",
            example: Some("\"/etc/dunlin/api.crt\""),
        },
        Key {
            name: "key",
            kind: Kind::File,
            reloads: false,
            about: "PEM file: the key of the certificate.",
            example: Some("\"/etc/dunlin/api.key\""),
        },
    ],
};
