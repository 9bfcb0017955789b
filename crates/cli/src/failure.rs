//! Why a command failed, in words for the person who gave it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use dunlin_runtime::{IdentityError, ShardFailed, StartError};

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::listen::{self, ListenUrl, ListenUrlError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `--listen` names no listener.
    #[error("--listen {text}: {error}; allowed: {}", listen::ALLOWED)]
    Listen { text: String, error: ListenUrlError },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Neither users nor `--dev`.
    #[error(
        "refusing to start: this version knows no users, so every client would be anonymous.\n\
         `dunlin serve --dev` accepts that, for clients on this machine only (loopback addresses)"
    )]
    Anonymous,
    /// The directory of the data.
    #[error("cannot use {} for data: {why}", path.display())]
    Data { path: PathBuf, why: String },
    /// A packet that is let in would not fit into the log.
    #[error(
        "limits.maximum_packet_size = {packet} is more than storage.segment_bytes = {segment} allows, which is {most}: \
         a quarter of a segment must hold the largest packet"
    )]
    Segment { packet: u64, segment: u64, most: u64 },
    /// `--dev` for other machines.
    #[error(
        "{url} is not a loopback address{}: other machines could reach it, and --dev lets anybody in,\n\
         without a password and without encryption. Listen on 127.0.0.1 or [::1], and let clients on other machines\n\
         come through an encrypted tunnel, for example `ssh -L 1883:127.0.0.1:1883 THIS-MACHINE`. Serving other\n\
         machines needs users, which this version does not have",
        resolved(.url, .address)
    )]
    NotLoopback { url: ListenUrl, address: SocketAddr },
    /// No such host.
    #[error("cannot resolve {url}: {error}")]
    Resolve { url: ListenUrl, error: io::Error },
    /// The addresses of a name, or the default ones, are of families that this machine lacks.
    #[error("cannot listen on {urls}: this machine has no such address")]
    NoAddress { urls: String },
    /// TLS from the command line.
    #[error(
        "--listen {url}: TLS needs a certificate and its key, and those stand in a configuration file:\n\
         [[listener]]\n\
         url = \"{url}\"\n\
         certificate = \"server.crt\"\n\
         key = \"server.key\""
    )]
    NoFiles { url: ListenUrl },
    /// Files of TLS that cannot be used.
    #[error("listener.{0}")]
    Identity(#[from] IdentityError),
    /// Somebody else has the port, and the like.
    #[error("cannot listen on {url}: {}", bind_reason(.error))]
    Bind { url: String, error: io::Error },
    /// The server did not start.
    #[error("{0}")]
    Start(StartError),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// Completions or manual pages cannot be written.
    #[error("{what}: {source}")]
    Write { what: String, source: io::Error },
    /// A shard failed.
    #[error("{0}")]
    Shard(#[from] ShardFailed),
}

impl Failure {
    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Listen { error: ListenUrlError::NotAvailable { .. }, .. }
            | Self::Anonymous
            | Self::Data { .. }
            | Self::Segment { .. }
            | Self::NotLoopback { .. } => Exit::Refused,
            Self::Listen { .. } | Self::NoFiles { .. } => Exit::Usage,
            Self::Config(_) | Self::Identity(_) => Exit::Configuration,
            Self::Resolve { .. } | Self::NoAddress { .. } | Self::Bind { .. } => Exit::Bind,
            Self::Start(_) | Self::Signals(_) | Self::Shard(_) | Self::Write { .. } => Exit::Failed,
        }
    }
}

fn resolved(url: &ListenUrl, address: &SocketAddr) -> String {
    if url.names_an_address() { String::new() } else { format!(" (it is {})", address.ip()) }
}

fn bind_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use (another broker?); --listen HOST:PORT takes another one".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}
