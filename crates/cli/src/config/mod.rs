//! The configuration file: TOML, checked key by key before it is used.
//!
//! In:    the text of a file.
//! Out:   a [`Config`] whose every value is allowed, or every fault that the file has, each with its place.
//! Never: a key that is not known, or a value that is quietly corrected.

mod access;
mod admission;
mod api;
mod authentication;
mod built;
mod catalogue;
mod chain;
mod check;
mod fault;
mod listener;
mod print;
mod relation;
mod telemetry;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dunlin_engine::{
    CheckpointRules, Durability, DurabilityRules, Limits, ListenerRules, Protocol, Settings, Strictness,
};
use serde::{Deserialize, Serialize};

pub(crate) use access::Access;
pub(crate) use admission::Admission;
pub(crate) use api::Api;
pub(crate) use authentication::{Authentication, Http, Jwt, Ldap};
pub(crate) use built::Part;
#[cfg(feature = "api")]
pub(crate) use chain::asks;
pub(crate) use chain::unused;
pub(crate) use fault::{Fault, Faults};
pub(crate) use listener::{ClientCertificate, Files, Listener, Proof, mode};
pub(crate) use print::default_file;
pub(crate) use telemetry::OpenTelemetry;

/// Everything that a configuration file can say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Threads that serve connections; 0: one for each core.
    pub(crate) shards: u16,
    /// `[[listener]]`
    pub(crate) listener: Vec<Listener>,
    /// `[storage]`
    pub(crate) storage: Storage,
    /// `[metrics]`
    pub(crate) metrics: Metrics,
    /// `[opentelemetry]`
    pub(crate) opentelemetry: OpenTelemetry,
    /// `[api]`
    pub(crate) api: Api,
    /// `[log]`
    pub(crate) log: Log,
    /// `[admission]`
    pub(crate) admission: Admission,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[strictness]`
    pub(crate) strictness: Strictness,
    /// `[protocol]`
    pub(crate) protocol: Protocol,
    /// `[authentication]`
    pub(crate) authentication: Authentication,
    /// `[access]`
    pub(crate) access: Access,
}

/// What survives the end of the process, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Storage {
    /// The directory; `None` where it is named by the command line, or nothing survives.
    pub(crate) data: Option<PathBuf>,
    /// Keys of encryption at rest.
    pub(crate) key_file: Option<PathBuf>,
    /// Bytes that the log may take; 0: as many as there are.
    pub(crate) quota_bytes: u64,
    /// Bytes of one of its files.
    pub(crate) segment_bytes: u64,
    /// What survives, where neither a topic nor a listener says.
    pub(crate) durability: Durability,
    /// `[[storage.topic]]`
    pub(crate) topic: Vec<TopicDurability>,
}

/// What survives of the messages of some topics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicDurability {
    /// Which topics.
    pub(crate) filter: String,
    /// What survives of them.
    #[serde(default)]
    pub(crate) durability: Durability,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: None,
            key_file: None,
            quota_bytes: 0,
            segment_bytes: 64 << 20,
            durability: Durability::Synced,
            topic: Vec::new(),
        }
    }
}

impl Storage {
    fn durability_rules(&self) -> DurabilityRules {
        let topics = self.topic.iter().map(|topic| (topic.filter.clone(), topic.durability)).collect();
        DurabilityRules { default: self.durability, topics }
    }
}

/// What the server says of itself, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Where Prometheus reads; `None`: nowhere.
    pub(crate) listen: Option<SocketAddr>,
    /// Seconds between two looks at what is published below `$SYS`; 0: nothing is.
    pub(crate) sys_interval_seconds: u32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: None, sys_interval_seconds: 10 }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// One line of text or one JSON object for each event.
    pub(crate) format: Format,
    /// For every area without a level of its own.
    pub(crate) level: Level,
    /// The areas that have one.
    pub(crate) areas: BTreeMap<Area, Level>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// Someone must act.
    Error,
    /// Degraded.
    Warn,
    /// The process.
    #[default]
    Info,
    /// A connection.
    Debug,
    /// A packet.
    Trace,
}

/// A part of the log with a level of its own: the targets that begin with `dunlin::` and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Area {
    /// Start, reload, end.
    Process,
    /// Addresses.
    Listener,
    /// Connections.
    Connection,
    /// Rules that Clients break.
    Protocol,
    /// Sessions.
    Session,
    /// The directory of the data.
    Journal,
    /// Who logs in, and who does not.
    Authentication,
    /// What clients want and may not have.
    Access,
    /// What was left out.
    Log,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}: {source}")]
    Read { file: String, source: io::Error },
    /// The file is not a configuration.
    #[error("{0}")]
    Invalid(Faults),
}

/// A configuration is a few KiB; what is larger is another file.
const LONGEST_FILE: u64 = 1024 * 1024;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, and with every fault in it.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = read_text(path).map_err(|source| ConfigError::Read { file: file.clone(), source })?;
        Self::parse(&text).map_err(|faults| ConfigError::Invalid(Faults { file, faults }))
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// With every fault in it, in the order of the file.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        check::config(text)
    }

    /// What the engines are configured with; `listeners` in the order of the server's.
    pub(crate) fn settings(&self, listeners: Vec<ListenerRules>) -> Settings {
        Settings {
            limits: self.limits.clone(),
            strictness: self.strictness.clone(),
            protocol: self.protocol.clone(),
            access: self.access.rules.clone(),
            listeners,
            durability: self.storage.durability_rules(),
            checkpoints: CheckpointRules::default(),
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
