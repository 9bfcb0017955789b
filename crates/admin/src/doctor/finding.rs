//! What was found out about a Client, and how it is said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It costs more than it has to.
    Low,
    /// Messages are lost, or somebody else has to bear it.
    Medium,
    /// Somebody on the way reads or changes what is sent.
    High,
}

/// What is looked for. The names do not change: programs know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// QoS 0 where messages are being lost.
    Qos0Loss,
    /// QoS 2 for what may arrive twice.
    Qos2Unneeded,
    /// Published with a higher QoS than anybody who gets it asked for.
    QosAboveSubscribers,
    /// A new Client Identifier each time.
    RandomClientIds,
    /// A Session that is kept and not resumed.
    SessionNeverResumed,
    /// Keep Alive off, or out of proportion.
    KeepAlive,
    /// No Will where others would need one.
    NoWill,
    /// Connects again and again without waiting longer.
    NoBackoff,
    /// Two with the same Client Identifier.
    ClientIdFight,
    /// Payloads that would be half as long compressed.
    PayloadShrinks,
    /// RETAIN for what is no state.
    RetainedMisuse,
    /// Topics that are deep or inconsistent.
    TopicShape,
    /// No encryption on the way.
    PlainText,
}

impl Check {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Qos0Loss,
        Self::Qos2Unneeded,
        Self::QosAboveSubscribers,
        Self::RandomClientIds,
        Self::SessionNeverResumed,
        Self::KeepAlive,
        Self::NoWill,
        Self::NoBackoff,
        Self::ClientIdFight,
        Self::PayloadShrinks,
        Self::RetainedMisuse,
        Self::TopicShape,
        Self::PlainText,
    ];

    /// As in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qos0Loss => "qos0-loss",
            Self::Qos2Unneeded => "qos2-unneeded",
            Self::QosAboveSubscribers => "qos-above-subscribers",
            Self::RandomClientIds => "random-client-ids",
            Self::SessionNeverResumed => "session-never-resumed",
            Self::KeepAlive => "keep-alive",
            Self::NoWill => "no-will",
            Self::NoBackoff => "no-backoff",
            Self::ClientIdFight => "client-id-fight",
            Self::PayloadShrinks => "payload-shrinks",
            Self::RetainedMisuse => "retained-misuse",
            Self::TopicShape => "topic-shape",
            Self::PlainText => "plain-text",
        }
    }
}

/// What a change would have saved so far. Of packets and bytes, those of MQTT alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Saving {
    /// Messages that were lost, or kept for nobody.
    pub messages: u64,
    /// Control Packets.
    pub packets: u64,
    /// On the network, or in memory.
    pub bytes: u64,
    /// Sessions that are kept for nobody.
    pub sessions: u64,
}

/// One thing that is wrong with a Client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which.
    pub check: Check,
    /// Client Identifier, address or user, as `client pump-7`.
    pub who: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it did, with numbers.
    pub what: String,
    /// What to change.
    pub mend: String,
    /// What that would have saved.
    pub saves: Saving,
}

impl Saving {
    /// Control Packets and their bytes.
    pub(super) const fn traffic(packets: u64, bytes: u64) -> Self {
        Self { messages: 0, packets, bytes, sessions: 0 }
    }

    /// In words; empty where nothing can be said.
    #[must_use]
    pub fn words(&self) -> String {
        let counts = [
            (self.messages, "message", "messages"),
            (self.packets, "packet", "packets"),
            (self.sessions, "session", "sessions"),
            (self.bytes, "byte", "bytes"),
        ];
        let words = counts.into_iter().filter(|(count, ..)| *count > 0);
        words.map(|(count, one, many)| counted(count, one, many)).collect::<Vec<_>>().join(", ")
    }
}

/// `1 message`, `12,000 messages`
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for check in Check::ALL {
            assert_eq!(serde_json::to_value(check).unwrap(), check.name());
        }
    }

    #[test]
    fn savings_are_said_with_their_units() {
        let saving = Saving { messages: 1, packets: 12_345, bytes: 0, sessions: 0 };
        assert_eq!(saving.words(), "1 message, 12,345 packets");
        assert_eq!(Saving::default().words(), "");
        assert_eq!(counted(1_234_567, "byte", "bytes"), "1,234,567 bytes");
    }
}
