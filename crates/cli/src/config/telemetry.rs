//! `[opentelemetry]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where spans and metrics are sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OpenTelemetry {
    /// A collector's URL; `None`: nothing is sent, and no message is followed.
    pub(crate) endpoint: Option<String>,
    /// Its first line is sent as the header `Authorization`.
    pub(crate) authorization_file: Option<PathBuf>,
    /// Of a million messages that say nothing of a trace, so many are followed.
    pub(crate) sampled_per_million: u32,
    /// Seconds between two times that metrics are sent; 0: never.
    pub(crate) metrics_interval_seconds: u32,
}

impl Default for OpenTelemetry {
    fn default() -> Self {
        Self {
            endpoint: None,
            authorization_file: None,
            sampled_per_million: 0,
            metrics_interval_seconds: 60,
        }
    }
}
