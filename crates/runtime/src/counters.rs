//! What shards counted, for those outside.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dunlin_engine::{Counters, Histogram};

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
    /// Bytes of now that wait for connections, but for payloads that are shared.
    pub output_bytes: u64,
}

/// How long a shard took for what, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Time spent in ticks, thus not asleep.
    pub busy: Duration,
    /// Ticks.
    pub tick: Histogram,
    /// From the tick that read a message, in whichever shard, to the end of the tick that wrote it to a Client. What waited in a
    /// queue counts from when it left it.
    pub deliver: Histogram,
    /// Until the log had taken a batch.
    pub append: Histogram,
    /// From then until the batch was safe.
    pub commit: Histogram,
}

impl Timing {
    /// Adds what another shard took.
    pub fn add(&mut self, other: &Self) {
        let Self { busy, tick, deliver, append, commit } = other;
        self.busy += *busy;
        self.tick.add(tick);
        self.deliver.add(deliver);
        self.append.add(append);
        self.commit.add(commit);
    }
}

/// What one shard last published.
#[derive(Debug, Default)]
pub(crate) struct Snapshot(Mutex<(Counters, Traffic, Timing)>);

impl Snapshot {
    pub(crate) fn publish(&self, counters: &Counters, traffic: Traffic, timing: &Timing) {
        let mut snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.0.clone_from(counters);
        snapshot.1 = traffic;
        snapshot.2.clone_from(timing);
    }

    /// Adds what was published to the sums.
    pub(crate) fn add_to(&self, counters: &mut Counters, traffic: &mut Traffic) {
        let snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.add(&snapshot.0);
        traffic.bytes_received += snapshot.1.bytes_received;
        traffic.bytes_sent += snapshot.1.bytes_sent;
        traffic.output_bytes += snapshot.1.output_bytes;
    }

    pub(crate) fn timing(&self) -> Timing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).2.clone()
    }
}
