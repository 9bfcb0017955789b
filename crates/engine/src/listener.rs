//! What holds at one listener only.

use std::num::NonZeroU32;
use std::sync::Arc;

use dunlin_codec::ProtocolVersion;

use crate::durability::Durability;
use crate::settings::{RateExceeded, Settings};

/// What the Clients of a listener are held to, beside what all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerRules {
    /// Versions of the protocol that are let in; `None` for all.
    pub versions: Option<Versions>,
    /// Largest packet taken, in bytes, fixed header included; `None` for [`crate::Limits::maximum_packet_size`].
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Packets a second of one Client, 0 for any number; `None` for [`crate::Limits::messages_per_second`].
    pub messages_per_second: Option<u32>,
    /// Bytes a second of one Client, 0 for any number; `None` for [`crate::Limits::bytes_per_second`].
    pub bytes_per_second: Option<u32>,
    /// What becomes of what comes faster; `None` for [`crate::Limits::rate_exceeded`].
    pub rate_exceeded: Option<RateExceeded>,
    /// What is kept of its Clients; `None` for [`crate::DurabilityRules::default`].
    pub durability: Option<Durability>,
    /// What comes before every topic of its Clients, with a `/` at its end; `None`: nothing. The rest of a topic is what they see.
    pub mount_point: Option<Arc<str>>,
}

/// Some versions of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions(u8);

impl Versions {
    /// These, and the version.
    #[must_use]
    pub const fn with(self, version: ProtocolVersion) -> Self {
        Self(self.0 | 1 << version as u8)
    }

    /// Is it one of them?
    #[must_use]
    pub const fn contains(self, version: ProtocolVersion) -> bool {
        self.0 & 1 << version as u8 != 0
    }
}

impl Settings {
    /// What holds at a listener.
    #[must_use]
    pub fn of_listener(&self, listener: u16) -> Option<&ListenerRules> {
        self.listeners.get(usize::from(listener))
    }

    /// Has a listener a mount point?
    pub(crate) fn has_mounts(&self) -> bool {
        self.listeners.iter().any(|rules| rules.mount_point.is_some())
    }

    /// What comes before every topic of the Clients of a listener.
    #[must_use]
    pub fn mount_point_at(&self, listener: u16) -> Option<Arc<str>> {
        self.of_listener(listener)?.mount_point.clone()
    }

    /// Largest packet that a listener takes.
    #[must_use]
    pub fn packet_limit(&self, listener: u16) -> NonZeroU32 {
        let own = self.of_listener(listener).and_then(|rules| rules.maximum_packet_size);
        own.unwrap_or(self.limits.maximum_packet_size)
    }

    /// What is kept of the Clients of a listener.
    #[must_use]
    pub fn durability_at(&self, listener: u16) -> Durability {
        let own = self.of_listener(listener).and_then(|rules| rules.durability);
        own.unwrap_or(self.durability.default)
    }

    /// Is the version let in at a listener?
    #[must_use]
    pub fn lets_in(&self, listener: u16, version: ProtocolVersion) -> bool {
        let own = self.of_listener(listener).and_then(|rules| rules.versions);
        own.is_none_or(|versions| versions.contains(version))
    }
}
