//! What an engine counts. Plain numbers: the runtime reads them between ticks.

/// Why a message was not delivered to somebody who had a claim to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Drop {
    /// QoS 0 beyond the output bound of a slow connection.
    OutputFull,
    /// The queue of the Session was full.
    QueueFull,
    /// Message Expiry Interval passed.
    Expired,
    /// Larger than the Maximum Packet Size of the Client.
    TooLarge,
    /// QoS 0 for a Session without a connection.
    Offline,
    /// A dealt QoS 2 message whose member's Session ended [MQTT-4.8.2-5].
    MemberLost,
    /// A retained message beyond the bounds of the store.
    RetainedFull,
    /// A Session ended with messages waiting.
    SessionEnded,
    /// The journal could not read it back: it is damaged.
    Damaged,
    /// Published while the journal had no room.
    JournalFull,
    /// It waited for a Session that may not receive it any more, or for a shared group none of whose members may.
    Denied,
}

impl Drop {
    /// Every reason, in the order of [`Counters::dropped`].
    pub const ALL: [Self; 11] = [
        Self::OutputFull,
        Self::QueueFull,
        Self::Expired,
        Self::TooLarge,
        Self::Offline,
        Self::MemberLost,
        Self::RetainedFull,
        Self::SessionEnded,
        Self::Damaged,
        Self::JournalFull,
        Self::Denied,
    ];
}

/// Counters since the engine began, and a few gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control Packets received.
    pub packets_received: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// PUBLISH packets written to connections.
    pub publish_sent: u64,
    /// Messages dropped, by [`Drop`].
    pub dropped: [u64; Drop::ALL.len()],
    /// Broken rules that were tolerated, by [`dunlin_codec::Rule`].
    pub rules_broken: [u64; dunlin_codec::Rule::ALL.len()],
    /// Published messages that no one had a Subscription for.
    pub unmatched: u64,
    /// CONNECTs accepted.
    pub connects: u64,
    /// CONNECTs refused, and connections that ended before one.
    pub connects_refused: u64,
    /// Connections of now.
    pub connections: u64,
    /// Sessions of now.
    pub sessions: u64,
    /// Retained messages of now in this shard.
    pub retained_messages: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Times that a publisher was slowed.
    pub publishers_slowed: u64,
    /// Messages and Wills that their Clients may not publish.
    pub publishes_denied: u64,
    /// Subscriptions that were refused, or taken away, for want of a right.
    pub subscriptions_denied: u64,
}

impl Counters {
    pub(crate) fn drop(&mut self, reason: Drop) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&mut self, reason: Drop, count: u64) {
        self.dropped[reason as usize] += count;
    }
}
