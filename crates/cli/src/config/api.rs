//! `[api]`

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where operators and their tools are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    /// On a port at all, or only on the socket of the data directory.
    pub(crate) network: bool,
    /// The port; `None`: the usual one, where it is free.
    pub(crate) listen: Option<SocketAddr>,
    /// PEM file: the certificate, and those that lead to its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file: its key.
    pub(crate) key: Option<PathBuf>,
}

impl Default for Api {
    fn default() -> Self {
        Self { network: true, listen: None, certificate: None, key: None }
    }
}
