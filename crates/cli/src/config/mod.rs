//! The configuration file: TOML, checked key by key before it is used.
//!
//! In:    the text of a file.
//! Out:   a [`Config`] whose every value is allowed, or every fault that the file has, each with its place.
//! Never: a key that is not known, or a value that is quietly corrected.

mod catalogue;
mod check;
mod fault;
mod listener;
mod print;
mod relation;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dunlin_engine::{Limits, Protocol, Settings, Strictness};
use dunlin_runtime::{TlsFiles, WebSocketRules};
use serde::{Deserialize, Serialize};

pub(crate) use fault::{Fault, Faults};
pub(crate) use listener::mode;
pub(crate) use print::default_file;

use crate::listen::ListenUrl;

/// Everything that a configuration file can say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Threads that serve connections; 0: one for each core.
    pub(crate) shards: u16,
    /// `[[listener]]`
    pub(crate) listener: Vec<Listener>,
    /// `[log]`
    pub(crate) log: Log,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[strictness]`
    pub(crate) strictness: Strictness,
    /// `[protocol]`
    pub(crate) protocol: Protocol,
}

/// One address that Clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where.
    pub(crate) url: ListenUrl,
    /// PEM file: the server's certificate and those that lead to its authority.
    #[serde(default)]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file: the key of the certificate.
    #[serde(default)]
    pub(crate) key: Option<PathBuf>,
    /// PEM file: the authorities of clients.
    #[serde(default)]
    pub(crate) client_ca: Option<PathBuf>,
    /// Must a Client have a certificate, where there is `client_ca`?
    #[serde(default)]
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// Where WebSocket connections begin.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Where pages may come from that begin WebSocket connections.
    #[serde(default)]
    pub(crate) origins: Option<Vec<String>>,
    /// Who may connect to a Unix socket: the mode of its file, in octal digits.
    #[serde(default)]
    pub(crate) permissions: Option<String>,
}

impl Listener {
    /// One whose every key but the URL has its default.
    pub(crate) const fn new(url: ListenUrl) -> Self {
        Self {
            url,
            certificate: None,
            key: None,
            client_ca: None,
            client_certificate: None,
            path: None,
            origins: None,
            permissions: None,
        }
    }

    /// What is asked of WebSocket connections.
    pub(crate) fn websocket_rules(&self) -> WebSocketRules {
        WebSocketRules {
            path: self.path.clone().unwrap_or_else(|| "/mqtt".to_owned()),
            origins: self.origins.clone().unwrap_or_default(),
        }
    }

    /// What TLS needs, where everything is there.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            client_ca: self.client_ca.clone(),
            client_certificate: match self.client_certificate {
                Some(ClientCertificate::Optional) => dunlin_runtime::ClientCertificate::Optional,
                Some(ClientCertificate::Required) | None => dunlin_runtime::ClientCertificate::Required,
            },
        })
    }
}

/// What a Client without a certificate gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientCertificate {
    /// Its handshake fails.
    Required,
    /// It is let in.
    Optional,
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

    /// What the engines are configured with.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            limits: self.limits.clone(),
            strictness: self.strictness.clone(),
            protocol: self.protocol.clone(),
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
