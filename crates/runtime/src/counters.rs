//! What shards counted, summed up for those outside.

use std::sync::{Mutex, PoisonError};

use dunlin_engine::Counters;

use crate::admissions::Refusal;

/// Bytes that went through the connections, and the connections themselves; since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Newcomers closed before they could say a word of MQTT.
    pub turned_away: u64,
    /// The same by reason, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Connections of now, those included that are being closed.
    pub open: u64,
}

/// What one shard last published.
#[derive(Debug, Default)]
pub(crate) struct Snapshot(Mutex<(Counters, Traffic)>);

impl Snapshot {
    pub(crate) fn publish(&self, counters: &Counters, traffic: Traffic) {
        let mut snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.0.clone_from(counters);
        snapshot.1 = traffic;
    }

    /// Adds what was published to the sums.
    pub(crate) fn add_to(&self, counters: &mut Counters, traffic: &mut Traffic) {
        let snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        add(counters, &snapshot.0);
        traffic.bytes_received += snapshot.1.bytes_received;
        traffic.bytes_sent += snapshot.1.bytes_sent;
    }
}

/// Without `..`: a counter that is new must not be forgotten.
fn add(sum: &mut Counters, other: &Counters) {
    let Counters {
        packets_received,
        publish_received,
        publish_sent,
        dropped,
        rules_broken,
        unmatched,
        connects,
        connects_refused,
        connections,
        sessions,
        retained_messages,
        retained_bytes,
        publishers_slowed,
        publishes_denied,
        subscriptions_denied,
    } = other;
    sum.packets_received += packets_received;
    sum.publish_received += publish_received;
    sum.publish_sent += publish_sent;
    for (sum, other) in sum.dropped.iter_mut().zip(dropped) {
        *sum += other;
    }
    for (sum, other) in sum.rules_broken.iter_mut().zip(rules_broken) {
        *sum += other;
    }
    sum.unmatched += unmatched;
    sum.connects += connects;
    sum.connects_refused += connects_refused;
    sum.connections += connections;
    sum.sessions += sessions;
    sum.retained_messages += retained_messages;
    sum.retained_bytes += retained_bytes;
    sum.publishers_slowed += publishers_slowed;
    sum.publishes_denied += publishes_denied;
    sum.subscriptions_denied += subscriptions_denied;
}
