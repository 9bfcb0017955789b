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
            name: "certificate",
            kind: Kind::File,
            reloads: false,
            about: "Of tls and wss, and needed there: PEM file with the server's certificate and those that lead to its \
                    authority. The file is read again when it changes and on SIGHUP; connections stay. A file that \
                    cannot be used changes nothing and is logged.",
            example: Some("\"/etc/dunlin/server.crt\""),
        },
        Key {
            name: "key",
            kind: Kind::File,
            reloads: false,
            about: "Of tls and wss, and needed there: PEM file with the private key of the certificate, not encrypted. Read \
                    again as the certificate is.",
            example: Some("\"/etc/dunlin/server.key\""),
        },
        Key {
            name: "client_ca",
            kind: Kind::File,
            reloads: false,
            about: "Of tls and wss: PEM file with the authorities whose clients are let in. Not set: no client is asked for a \
                    certificate. Read again as the certificate is; a session that was verified by other authorities \
                    is not resumed afterwards.",
            example: Some("\"/etc/dunlin/clients.crt\""),
        },
        Key {
            name: "client_certificate",
            kind: Kind::Choice(&["required", "optional"]),
            reloads: false,
            about: "Of tls and wss with client_ca. required, as if not set: a client without a certificate is refused. \
                    optional: it is let in, and one with a wrong certificate is not.",
            example: Some("\"required\""),
        },
        Key {
            name: "path",
            kind: Kind::Path,
            reloads: false,
            about: "Of ws and wss: where connections begin. Not set: /mqtt, which is what clients ask for unless told \
                    otherwise.",
            example: Some("\"/mqtt\""),
        },
        Key {
            name: "origins",
            kind: Kind::Texts,
            reloads: false,
            about: "Of ws and wss: where the pages may come from whose scripts connect, as \
                    [\"https://example.org\"]; \"*\" is from anywhere. Not set: from the host and port that they \
                    connect to only, else any page that somebody opens could speak for that person's machine. \
                    Programs that are no pages name no origin and may always connect.",
            example: Some("[\"https://example.org\"]"),
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
