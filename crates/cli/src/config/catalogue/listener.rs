//! `[[listener]]`

use super::{Form, Key, Kind, Section};

const U32: u64 = u32::MAX as u64;

pub(super) const LISTENER: Section = Section {
    name: "listener",
    form: Form::Blocks,
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
            kind: Kind::Files,
            reloads: false,
            about: "Of tls, wss and quic: PEM file with the server's certificate and those that lead to its authority. Not \
                    set: that of the built-in authority, whose are client_ca and client_crl then, too; not with --dev. Of several, a client gets the one that is made out to the name it asks for (SNI), \
                    else the first. The files are read again when they change and on SIGHUP; connections stay. A file \
                    that cannot be used changes nothing and is logged.",
            example: Some("\"/etc/dunlin/server.crt\""),
        },
        Key {
            name: "key",
            kind: Kind::Files,
            reloads: false,
            about: "Of tls, wss and quic, and needed with certificate: PEM file with its private key, not encrypted; as many as there are certificates, in the same order. Read again as the certificate is.",
            example: Some("\"/etc/dunlin/server.key\""),
        },
        Key {
            name: "ocsp",
            kind: Kind::Files,
            reloads: false,
            about: "Of tls, wss and quic: DER file with the answer of the authority that the certificate is not revoked, \
                    for clients that ask for it (OCSP stapling); several go with the certificates in the same order. \
                    Something else fetches it, as `openssl ocsp -respout`. Read again as the certificate is.",
            example: Some("\"/etc/dunlin/server.ocsp\""),
        },
        Key {
            name: "alpn",
            kind: Kind::Texts,
            reloads: false,
            about: "Of tls, wss and quic: protocols that clients may ask for by name. Not set: mqtt, of wss http/1.1. Over \
                    TLS, clients that ask for nothing are let in, over QUIC they are not.",
            example: Some("[\"mqtt\"]"),
        },
        Key {
            name: "client_ca",
            kind: Kind::File,
            reloads: false,
            about: "Of tls, wss and quic: PEM file with the authorities whose clients are let in. Not set: no client is \
                    asked for a certificate. Read again as the certificate is; a session that was verified by other \
                    authorities is not resumed afterwards.",
            example: Some("\"/etc/dunlin/clients.crt\""),
        },
        Key {
            name: "client_crl",
            kind: Kind::File,
            reloads: false,
            about: "Of tls, wss and quic with client_ca: PEM file with the revocation lists of those authorities, one for \
                    each that issues certificates; a client whose certificate is revoked, or is from an authority \
                    without a list, is refused. A list that is past its next update still holds. Read again as \
                    client_ca is.",
            example: Some("\"/etc/dunlin/clients.crl\""),
        },
        Key {
            name: "client_certificate",
            kind: Kind::Choice(&["required", "optional"]),
            reloads: false,
            about: "Of tls, wss and quic with client_ca. required, as if not set: a client without a certificate is refused. \
                    optional, as if not set with the built-in authority: it may show something else, and one with a wrong \
                    certificate is refused.",
            example: Some("\"required\""),
        },
        Key {
            name: "authentication",
            kind: Kind::Choices(super::authentication::PROOFS),
            reloads: true,
            about: "What clients are let in by here, asked in this order, in place of authentication.chain; not with --dev.",
            example: Some("[\"certificate\", \"password\", \"scram\"]"),
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
        Key {
            name: "proxies",
            kind: Kind::Networks,
            reloads: false,
            about: "Of tcp, tls, ws and wss: the load balancers in front of this listener. Only they may connect, and each \
                    connection must begin with a header of the PROXY protocol, version 1 or 2; the address in it is the \
                    client's. Not set: anybody connects, and sends no header. Never list addresses that clients connect \
                    from: they could name any other.",
            example: Some("[\"10.0.0.0/8\"]"),
        },
        Key {
            name: "mount_point",
            kind: Kind::Mount,
            reloads: false,
            about: "What comes before every topic of the clients of this listener: with site1/, a client publishes a and \
                    everybody else sees site1/a; it subscribes to a/# and receives a/b as what others call site1/a/b. \
                    Topics that begin with $ are not mounted. The access rules are asked about the whole name. Not set: \
                    nothing.",
            example: Some("\"site1/\""),
        },
        Key {
            name: "versions",
            kind: Kind::Choices(&["3.1", "3.1.1", "5.0"]),
            reloads: false,
            about: "Versions of MQTT that are let in; others are answered with 0x84 (3.x: 1). Not set: all.",
            example: Some("[\"5.0\"]"),
        },
        Key {
            name: "maximum_packet_size",
            kind: Kind::Integer { least: 1024, most: 268_435_460, unit: "bytes" },
            reloads: false,
            about: "In place of limits.maximum_packet_size, and not more than that.",
            example: Some("65_536"),
        },
        Key {
            name: "connections_maximum",
            kind: Kind::Integer { least: 0, most: U32, unit: "connections" },
            reloads: false,
            about: "Connections that this listener may have; what comes beyond is closed at once and counted. Not set, or 0: \
                    as many as limits.connections_maximum allows.",
            example: Some("1_000"),
        },
        Key {
            name: "connections_per_second",
            kind: Kind::Integer { least: 0, most: 1_000_000, unit: "connections a second" },
            reloads: false,
            about: "Connections that this listener takes in a second in the long run, and as many at once; what comes \
                    beyond is closed at once and counted. Not set, or 0: any number, because what a machine can take \
                    is for its owner to say.",
            example: Some("2_000"),
        },
        Key {
            name: "messages_per_second",
            kind: Kind::Integer { least: 0, most: 4_294_967_295, unit: "packets a second" },
            reloads: false,
            about: "In place of limits.messages_per_second, for the clients of this listener; 0: any number.",
            example: Some("500"),
        },
        Key {
            name: "bytes_per_second",
            kind: Kind::Integer { least: 0, most: 4_294_967_295, unit: "bytes a second" },
            reloads: false,
            about: "In place of limits.bytes_per_second; 0: any number.",
            example: Some("1_048_576"),
        },
        Key {
            name: "rate_exceeded",
            kind: Kind::Choice(&super::limits::RATE_EXCEEDED),
            reloads: false,
            about: "In place of limits.rate_exceeded.",
            example: Some("\"disconnect\""),
        },
        Key {
            name: "durability",
            kind: Kind::Choice(&super::storage::DURABILITIES),
            reloads: false,
            about: "What survives of the sessions that begin here and of the messages that come by here, unless a \
                    storage.topic says otherwise. Not set: as storage.durability.",
            example: Some("\"written\""),
        },
    ],
};
