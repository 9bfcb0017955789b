//! `[admission]`

use std::time::Duration;

use dunlin_runtime::AdmissionLimits;
use serde::{Deserialize, Serialize};

/// What newcomers are held to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    /// For all that comes before MQTT.
    pub(crate) handshake_timeout_ms: u32,
    /// Connections that one address may have; 0: any number.
    pub(crate) connections_per_address: u32,
    /// Connections that one address may make in a second; 0: any number.
    pub(crate) connections_per_second_per_address: u32,
}

impl Default for Admission {
    fn default() -> Self {
        let limits = AdmissionLimits::default();
        Self {
            handshake_timeout_ms: u32::try_from(limits.handshake_timeout.as_millis()).unwrap_or(u32::MAX),
            connections_per_address: limits.connections_per_address,
            connections_per_second_per_address: limits.connections_per_second_per_address,
        }
    }
}

impl Admission {
    /// For the server.
    pub(crate) fn limits(&self) -> AdmissionLimits {
        AdmissionLimits {
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms.into()),
            connections_per_address: self.connections_per_address,
            connections_per_second_per_address: self.connections_per_second_per_address,
        }
    }
}
