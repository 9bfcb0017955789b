//! Why a command failed, in words for the person who gave it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dunlin_runtime::{IdentityError, ShardFailed, StartError};
use dunlin_security::authority::AuthorityError;
use dunlin_security::identity::password::UserFileError;

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::journal::KeyFileError;
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
    /// A listener over which passwords would travel in clear.
    #[error(
        "refusing to start: {url} is not encrypted, and other machines could reach it: whoever listens in would read\n\
         passwords and messages. Use tls:// or wss://, or a loopback address; behind a proxy that ends TLS, name it in\n\
         `proxies` of the [[listener]]. `dunlin serve --dev` lets anybody in, from this machine only"
    )]
    Plain { url: ListenUrl },
    /// Users, devices or access rules.
    #[error("{0}")]
    Entrance(String),
    /// The directory of the data.
    #[error("cannot use {} for data: {why}", path.display())]
    Data { path: PathBuf, why: String },
    /// The keys of encryption at rest.
    #[error("storage.key_file: {0}")]
    Keys(#[from] KeyFileError),
    /// A packet that is let in would not fit into the log.
    #[error(
        "limits.maximum_packet_size = {packet} is more than storage.segment_bytes = {segment} allows, which is {most}: \
         a quarter of a segment must hold the largest packet"
    )]
    Segment { packet: u64, segment: u64, most: u64 },
    /// No place for a data directory.
    #[error("no data directory: name one with --data DIR or in DUNLIN_DATA (HOME is not set)")]
    NoDirectory,
    /// The certificate authority.
    #[error("{error}{}", advice(.error))]
    Authority { error: AuthorityError },
    /// A file that a command needs.
    #[error("cannot read {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// A file that a command makes.
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
    /// A file of a password without one.
    #[error("{path:?} has no password on its first line")]
    EmptyPassword { path: PathBuf },
    /// The file of users.
    #[error(transparent)]
    Users(#[from] UserFileError),
    /// Nobody to ask.
    #[error(
        "there is no terminal to ask for a password: --password-file FILE reads one, --generate makes one up"
    )]
    NoTerminal,
    /// Asked in vain.
    #[error("the password was not typed the same twice")]
    Mistyped,
    /// `--connect` that cannot be.
    #[error("{0}")]
    Doctor(String),
    /// `--dev` for other machines.
    #[error(
        "{url} is not a loopback address{}: other machines could reach it, and --dev lets anybody in,\n\
         without a password and without encryption. Listen on 127.0.0.1 or [::1], and let clients on other machines\n\
         come through an encrypted tunnel, for example `ssh -L 1883:127.0.0.1:1883 THIS-MACHINE`, or serve other\n\
         machines with TLS and certificates: `dunlin serve` without --dev",
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
    /// Somebody else has the port of the metrics, and the like.
    #[error("cannot listen on {address} for metrics: {}", bind_reason(.error))]
    Metrics { address: SocketAddr, error: io::Error },
    /// An OpenTelemetry collector that cannot be one.
    #[error("opentelemetry.endpoint: {0}")]
    Telemetry(String),
    /// Somebody else has the port of the API, and the like.
    #[error("cannot listen on {address} for the API: {}; api.listen takes another one", .error)]
    Api { address: SocketAddr, error: io::Error },
    /// The API where it cannot be.
    #[error("api.listen = \"{address}\": {why}")]
    ApiAddress { address: SocketAddr, why: &'static str },
    /// Tokens of the API that cannot be used.
    #[error("{0}")]
    Tokens(String),
    /// A broker that was asked.
    #[error("{0}")]
    Ask(String),
    /// The server did not start.
    #[error("{0}")]
    Start(StartError),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// Standard output.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// A shard failed.
    #[error("{0}")]
    Shard(#[from] ShardFailed),
}

impl Failure {
    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Listen { error: ListenUrlError::NotAvailable { .. }, .. }
            | Self::Plain { .. }
            | Self::Data { .. }
            | Self::Segment { .. }
            | Self::ApiAddress { .. }
            | Self::NotLoopback { .. } => Exit::Refused,
            Self::Listen { .. } | Self::NoFiles { .. } => Exit::Usage,
            Self::Config(_)
            | Self::Identity(_)
            | Self::NoDirectory
            | Self::Keys(_)
            | Self::Entrance(_)
            | Self::Authority { error: AuthorityError::Unusable { .. } | AuthorityError::Missing { .. } } => {
                Exit::Configuration
            }
            Self::Tokens(_)
            | Self::Telemetry(_)
            | Self::Ask(_)
            | Self::Users(_)
            | Self::Write { .. }
            | Self::NoTerminal
            | Self::Mistyped => Exit::Failed,
            Self::Authority { .. } | Self::Read { .. } | Self::EmptyPassword { .. } | Self::Doctor(_) => {
                Exit::Failed
            }
            Self::Resolve { .. }
            | Self::NoAddress { .. }
            | Self::Bind { .. }
            | Self::Metrics { .. }
            | Self::Api { .. } => Exit::Bind,
            Self::Start(_) | Self::Signals(_) | Self::Shard(_) | Self::Output(_) => Exit::Failed,
        }
    }
}

impl Failure {
    /// A file that could not be read.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// A file that could not be written.
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        Self::Authority { error }
    }
}

/// What to do about it.
fn advice(error: &AuthorityError) -> &'static str {
    match error {
        AuthorityError::Missing { .. } => {
            "; `dunlin serve` makes one at its first start, `dunlin ca init` without a start. \
             --data names another directory"
        }
        AuthorityError::NameTaken { .. } => {
            "; `dunlin device remove NAME` takes it back, `dunlin ca renew NAME` issues another beside it"
        }
        AuthorityError::Expired { .. } => "; `dunlin ca renew --authority` gives it another ten years",
        _ => "",
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
