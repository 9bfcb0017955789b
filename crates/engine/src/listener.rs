//! What holds at one listener only.

use std::num::NonZeroU32;

use dunlin_codec::ProtocolVersion;

use crate::durability::Durability;
use crate::settings::Settings;

/// What the Clients of a listener are held to, beside what all are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerRules {
    /// Versions of the protocol that are let in; `None` for all.
    pub versions: Option<Versions>,
    /// Largest packet taken, in bytes, fixed header included; `None` for [`crate::Limits::maximum_packet_size`].
    pub maximum_packet_size: Option<NonZeroU32>,
    /// What is kept of its Clients; `None` for [`crate::DurabilityRules::default`].
    pub durability: Option<Durability>,
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
    pub fn of_listener(&self, listener: u16) -> ListenerRules {
        self.listeners.get(usize::from(listener)).copied().unwrap_or_default()
    }

    /// Largest packet that a listener takes.
    #[must_use]
    pub fn packet_limit(&self, listener: u16) -> NonZeroU32 {
        self.of_listener(listener).maximum_packet_size.unwrap_or(self.limits.maximum_packet_size)
    }

    /// What is kept of the Clients of a listener.
    #[must_use]
    pub fn durability_at(&self, listener: u16) -> Durability {
        self.of_listener(listener).durability.unwrap_or(self.durability.default)
    }

    /// Is the version let in at a listener?
    #[must_use]
    pub fn lets_in(&self, listener: u16, version: ProtocolVersion) -> bool {
        self.of_listener(listener).versions.is_none_or(|versions| versions.contains(version))
    }
}
