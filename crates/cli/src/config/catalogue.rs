//! Every key of the configuration file: what it takes, in which unit, and the reason for its default.
//!
//! The defaults themselves are those of the structs. Error messages, `dunlin config default` and docs/configuration.md
//! come from this list; tests hold it against the structs.

mod access;
mod admission;
mod api;
mod authentication;
mod limits;
mod listener;
mod log;
mod metrics;
mod protocol;
mod storage;
mod strictness;
mod telemetry;

use dunlin_engine::ShardMap;

/// A table of the file, or the keys before the first table.
#[derive(Debug)]
pub(super) struct Section {
    /// As it stands in the brackets; empty before the first table.
    pub(super) name: &'static str,
    /// How it is written.
    pub(super) form: Form,
    /// What it is about.
    pub(super) about: &'static str,
    /// What may stand in it.
    pub(super) keys: &'static [Key],
}

/// How a section is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `[name]`, once.
    Table,
    /// `[[name]]`, any number of times; the first key must stand in each block.
    Blocks,
    /// `[[name]]`, any number of times; each key has a default or may be left out.
    OptionalBlocks,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// As it stands before the equals sign.
    pub(super) name: &'static str,
    /// What may stand after it.
    pub(super) kind: Kind,
    /// Does a change take effect at a reload?
    pub(super) reloads: bool,
    /// What it is, and the reason for its default.
    pub(super) about: &'static str,
    /// For a key without a default: a value, as it is written.
    pub(super) example: Option<&'static str>,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An integer within bounds, both included.
    Integer { least: u64, most: u64, unit: &'static str },
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A string of so many bytes without control characters.
    Text { most: usize },
    /// A listener.
    Url,
    /// An IP address and a port.
    Address,
    /// The name of a file.
    File,
    /// A path of HTTP.
    Path,
    /// A Topic Filter.
    Filter,
    /// A list of strings.
    Texts,
    /// The mode of a file.
    Mode,
    /// The name of a file, or a list of names.
    Files,
    /// A list of some of these strings, at least one.
    Choices(&'static [&'static str]),
    /// A list of addresses and networks.
    Networks,
    /// A list of addresses.
    Addresses,
    /// The URL of a service, with one of these schemes.
    Service(&'static [&'static str]),
    /// The beginning of Topic Names: levels, with a `/` after each.
    Mount,
}

/// All of them, in the order in which they are printed.
pub(super) static SECTIONS: [Section; 21] = [
    Section {
        name: "",
        form: Form::Table,
        about: "",
        keys: &[Key {
            name: "shards",
            kind: Kind::Integer { least: 0, most: ShardMap::MAX as u64, unit: "threads" },
            reloads: false,
            about: "Threads that serve connections, each with its own sessions. 0: one for each core that the process \
                    may use, so that no core idles while another is overloaded.",
            example: None,
        }],
    },
    listener::LISTENER,
    storage::STORAGE,
    storage::TOPICS,
    metrics::METRICS,
    telemetry::TELEMETRY,
    api::API,
    log::LOG,
    log::AREAS,
    admission::ADMISSION,
    limits::LIMITS,
    strictness::STRICTNESS,
    protocol::PROTOCOL,
    authentication::AUTHENTICATION,
    authentication::FAILURES,
    authentication::PASSWORD,
    authentication::CERTIFICATE,
    authentication::JWT,
    authentication::HTTP,
    authentication::LDAP,
    access::ACCESS,
];

impl Section {
    /// Written `[[name]]`?
    pub(super) fn is_repeated(&self) -> bool {
        self.form != Form::Table
    }

    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key's name from the root of the file.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// The section of that name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

impl Kind {
    /// What it takes, in words.
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Integer { least, most, unit } => format!("{least} to {most} ({unit})"),
            Self::Choice(choices) => {
                choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(", ")
            }
            Self::Switch => "true, false".to_owned(),
            Self::Text { most } => format!("up to {most} bytes without control characters"),
            Self::Url => crate::listen::ALLOWED.to_owned(),
            Self::Address => "an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464".to_owned(),
            Self::File => {
                "the name of a file, absolute or from the directory that the process runs in".to_owned()
            }
            Self::Filter => "a topic filter that is not shared".to_owned(),
            Self::Path => "a path that begins with / and has no spaces, ? or #".to_owned(),
            Self::Files => "the name of a file, or a list of names".to_owned(),
            Self::Choices(choices) => format!("a list with some of {}", Self::Choice(choices).allowed()),
            Self::Networks => {
                "a list of addresses and networks, as [\"192.0.2.1\", \"10.0.0.0/8\"]".to_owned()
            }
            Self::Addresses => "a list of addresses, as [\"192.0.2.1\", \"2001:db8::1\"]".to_owned(),
            Self::Service(schemes) => {
                let urls: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://HOST...")).collect();
                urls.join(" or ")
            }
            Self::Mount => format!(
                "levels of a topic name, each with a / behind it, not beginning with $, up to {} bytes",
                super::listener::MOUNT_MAXIMUM
            ),
            Self::Texts => "a list of strings".to_owned(),
            Self::Mode => "three octal digits in quotes".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
