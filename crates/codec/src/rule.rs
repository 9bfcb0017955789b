//! The rules of MQTT that clients in the field break, each of which a Server may tolerate.
//!
//! In:    which rules to tolerate ([`Tolerance`]).
//! Out:   which of them a packet broke ([`RuleSet`]).

/// A rule that can be rejected, warned of or allowed (configuration `[strictness]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// Reserved flags of a fixed header, of CONNECT, CONNACK or of Subscription Options are zero or as listed [MQTT-2.1.3-1].
    ReservedBits,
    /// Strings hold no control characters (U+0001..U+001F, U+007F..U+009F) and no non-characters (section 1.5.4, SHOULD NOT).
    Utf8Discouraged,
    /// DUP is 0 for QoS 0 [MQTT-3.3.1-2].
    DupAtQoS0,
    /// A 3.1 Client Identifier has at most 23 characters.
    ClientIdLength31,
    /// 3.1.1: no Password without a User Name [MQTT311-3.1.2-22].
    PasswordWithoutUserName,
    /// No more unacknowledged PUBLISH than the Receive Maximum [MQTT-3.3.4-7].
    ReceiveMaximumExceeded,
    /// No packet beyond the Maximum Packet Size [MQTT-3.2.2-15].
    PacketTooLarge,
    /// No Topic Alias beyond the Topic Alias Maximum [MQTT-3.3.2-9].
    TopicAliasInvalid,
    /// No PUBLISH to a wildcard or otherwise ill-formed Topic Name [MQTT-3.3.2-2].
    TopicNameInvalid,
    /// Acknowledgements name an exchange that is under way.
    UnknownPacketId,
    /// A second use of a Packet Identifier that is still in use for QoS 2 carries DUP.
    PacketIdReused,
}

/// A set of [`Rule`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(u32);

/// Which rules the decoder tolerates; the others make it fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance(pub RuleSet);

impl RuleSet {
    /// No rule.
    pub const EMPTY: Self = Self(0);

    /// Adds one.
    pub const fn insert(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    /// Is it in the set?
    #[must_use]
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Rule {
    /// Every rule, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::ReservedBits,
        Self::Utf8Discouraged,
        Self::DupAtQoS0,
        Self::ClientIdLength31,
        Self::PasswordWithoutUserName,
        Self::ReceiveMaximumExceeded,
        Self::PacketTooLarge,
        Self::TopicAliasInvalid,
        Self::TopicNameInvalid,
        Self::UnknownPacketId,
        Self::PacketIdReused,
    ];
}
