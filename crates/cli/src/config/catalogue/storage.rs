//! `[storage]`

use super::{Form, Key, Kind, Section};

pub(super) const DURABILITIES: [&str; 3] = ["synced", "written", "memory"];

pub(super) const STORAGE: Section = Section {
    name: "storage",
    form: Form::Table,
    about: "What survives the end of the process: sessions, queues, retained messages and wills, in a log on disk.",
    keys: &[
        Key {
            name: "data",
            kind: Kind::File,
            reloads: false,
            about: "Directory for it; made if it is not there, readable by the owner alone, used by one process at a \
                    time. --data beats it. Without either, DUNLIN_DATA and the usual places; with --dev, everything is kept in memory \
                    and ends with the process.",
            example: Some("\"/var/lib/dunlin\""),
        },
        Key {
            name: "key_file",
            kind: Kind::File,
            reloads: false,
            about: "Keys of encryption at rest, made by `dunlin journal key`; readable by the owner alone. Without it, the \
                    log is not encrypted: what protects it then is what protects the disk.",
            example: Some("\"/etc/dunlin/journal.keys\""),
        },
        Key {
            name: "quota_bytes",
            kind: Kind::Integer { least: 0, most: i64::MAX as u64, unit: "bytes" },
            reloads: false,
            about: "Bytes that the log may take, at least four segments. Where it is full, messages that would need it \
                    are refused with 0x97 Quota exceeded (5.0) or the connection is closed (3.x), and all goes on when \
                    there is room. 0: until the disk is full, which is treated alike.",
            example: None,
        },
        Key {
            name: "segment_bytes",
            kind: Kind::Integer { least: 1 << 20, most: 1 << 30, unit: "bytes" },
            reloads: false,
            about: "Bytes of one file of the log, taken at once. A quarter of it must hold the largest packet. Smaller \
                    ones give room back sooner, larger ones are switched less often: 64 MiB is a second of heavy load.",
            example: None,
        },
        Key {
            name: "durability",
            kind: Kind::Choice(&DURABILITIES),
            reloads: false,
            about: "What a message has survived when its publisher gets PUBACK or PUBREC, unless its listener or a \
                    storage.topic says otherwise. synced: the end of the machine, which is what the words of the \
                    protocol promise. written: the end of the process at any moment, but not a power cut. memory: \
                    nothing; its sessions and messages end with the process. docs/durability.md says what waits for \
                    what. Without a directory everything is memory.",
            example: None,
        },
    ],
};

pub(super) const TOPICS: Section = Section {
    name: "storage.topic",
    form: Form::Blocks,
    about: "Topics whose messages survive more, or less, than their listener says. The first block whose filter matches \
            decides.",
    keys: &[
        Key {
            name: "filter",
            kind: Kind::Filter,
            reloads: false,
            about: "Which topics.",
            example: Some("\"telemetry/#\""),
        },
        Key {
            name: "durability",
            kind: Kind::Choice(&DURABILITIES),
            reloads: false,
            about: "What survives of their messages, retained ones too. Not set: synced.",
            example: Some("\"memory\""),
        },
    ],
};
