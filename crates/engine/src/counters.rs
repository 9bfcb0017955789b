//! What an engine counts. Plain numbers: the runtime reads them between ticks.

use dunlin_codec::QoS;

use crate::histogram::Histogram;

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
    /// It would have been kept, and the process holds as much memory as it may.
    MemoryFull,
}

impl Drop {
    /// Every reason, in the order of [`Counters::dropped`].
    pub const ALL: [Self; 12] = [
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
        Self::MemoryFull,
    ];
}

/// Counters since the engine began, and a few gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control Packets received.
    pub packets_received: u64,
    /// Control Packets written to connections.
    pub packets_sent: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// The same by QoS.
    pub publish_received_by_qos: [u64; 3],
    /// Bytes of their payloads.
    pub payload_bytes_received: u64,
    /// PUBLISH packets written to connections.
    pub publish_sent: u64,
    /// The same by QoS.
    pub publish_sent_by_qos: [u64; 3],
    /// Bytes of their payloads.
    pub payload_bytes_sent: u64,
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
    /// Those of them that are not connected. This and the next four are of the last round through all Sessions.
    pub sessions_disconnected: u64,
    /// Subscriptions of now, shared ones included.
    pub subscriptions: u64,
    /// Messages of now in the queues of Sessions.
    pub queued_messages: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Messages of now that were sent and are not acknowledged, or wait for an earlier one to be.
    pub in_flight: u64,
    /// Topic Filters that somebody wants, here or in another shard.
    pub filters: u64,
    /// From a QoS 1 message to its PUBACK, where that waited for the log.
    pub acknowledge: Histogram,
    /// Retained messages of now in this shard, the Server's own left out.
    pub retained_messages: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Times that a publisher was slowed.
    pub publishers_slowed: u64,
    /// Messages and Wills that their Clients may not publish.
    pub publishes_denied: u64,
    /// Subscriptions that were refused, or taken away, for want of a right.
    pub subscriptions_denied: u64,
    /// Sessions and Subscriptions that were refused, and Clients that were disconnected, for want of memory.
    pub memory_refusals: u64,
    /// How often somebody was asked who a Client is, and it was admitted, refused, or has to say more.
    pub authentications: [u64; 3],
    /// Bytes of the routes that are kept.
    pub route_bytes: u64,
    /// What Clients did too often.
    pub excess: Excess,
}

/// What Clients did too often, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// Times that a Client met the bound of its rate, by [`crate::RateExceeded`].
    pub rates: [u64; 3],
    /// Connections ended because another came with their Client Identifier.
    pub takeovers: u64,
    /// CONNECTs that waited because their Client Identifier is fought over.
    pub takeovers_delayed: u64,
}

impl Excess {
    fn add(&mut self, other: &Self) {
        let Self { rates, takeovers, takeovers_delayed } = other;
        add_each(&mut self.rates, rates);
        self.takeovers += takeovers;
        self.takeovers_delayed += takeovers_delayed;
    }
}

impl Counters {
    /// Adds what another engine counted. Without `..`: a counter that is new must not be forgotten.
    pub fn add(&mut self, other: &Self) {
        let Self {
            packets_received,
            packets_sent,
            publish_received,
            publish_received_by_qos,
            payload_bytes_received,
            publish_sent,
            publish_sent_by_qos,
            payload_bytes_sent,
            dropped,
            rules_broken,
            unmatched,
            connects,
            connects_refused,
            connections,
            sessions,
            sessions_disconnected,
            subscriptions,
            queued_messages,
            queued_bytes,
            in_flight,
            filters,
            acknowledge,
            retained_messages,
            retained_bytes,
            publishers_slowed,
            publishes_denied,
            subscriptions_denied,
            memory_refusals,
            authentications,
            route_bytes,
            excess,
        } = other;
        add_each(&mut self.authentications, authentications);
        add_each(&mut self.publish_received_by_qos, publish_received_by_qos);
        add_each(&mut self.publish_sent_by_qos, publish_sent_by_qos);
        add_each(&mut self.dropped, dropped);
        add_each(&mut self.rules_broken, rules_broken);
        self.excess.add(excess);
        self.acknowledge.add(acknowledge);
        add_sums([
            (&mut self.packets_received, packets_received),
            (&mut self.packets_sent, packets_sent),
            (&mut self.publish_received, publish_received),
            (&mut self.payload_bytes_received, payload_bytes_received),
            (&mut self.publish_sent, publish_sent),
            (&mut self.payload_bytes_sent, payload_bytes_sent),
            (&mut self.unmatched, unmatched),
            (&mut self.connects, connects),
            (&mut self.connects_refused, connects_refused),
            (&mut self.connections, connections),
            (&mut self.sessions, sessions),
            (&mut self.sessions_disconnected, sessions_disconnected),
            (&mut self.subscriptions, subscriptions),
            (&mut self.queued_messages, queued_messages),
            (&mut self.queued_bytes, queued_bytes),
            (&mut self.in_flight, in_flight),
            (&mut self.filters, filters),
            (&mut self.retained_messages, retained_messages),
            (&mut self.retained_bytes, retained_bytes),
            (&mut self.publishers_slowed, publishers_slowed),
            (&mut self.publishes_denied, publishes_denied),
            (&mut self.subscriptions_denied, subscriptions_denied),
            (&mut self.memory_refusals, memory_refusals),
            (&mut self.route_bytes, route_bytes),
        ]);
    }

    pub(crate) fn published(&mut self, qos: QoS, payload: usize) {
        self.publish_received += 1;
        self.publish_received_by_qos[qos as usize] += 1;
        self.payload_bytes_received += payload as u64;
    }

    pub(crate) fn delivered(&mut self, qos: QoS, payload: usize) {
        self.packets_sent += 1;
        self.publish_sent += 1;
        self.publish_sent_by_qos[qos as usize] += 1;
        self.payload_bytes_sent += payload as u64;
    }

    pub(crate) fn drop(&mut self, reason: Drop) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&mut self, reason: Drop, count: u64) {
        self.dropped[reason as usize] += count;
    }
}

fn add_sums<const N: usize>(sums: [(&mut u64, &u64); N]) {
    for (sum, other) in sums {
        *sum += other;
    }
}

fn add_each(sums: &mut [u64], others: &[u64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}
