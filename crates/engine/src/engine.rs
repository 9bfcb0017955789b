//! One shard's engine.

use std::sync::Arc;

use crate::{Counters, Effects, Event, Settings, ShardId, ShardMap, Time};

/// The state machine of one shard.
#[derive(Debug)]
pub struct Engine {
    counters: Counters,
}

impl Engine {
    /// An engine without connections. `seed` feeds identifiers and hashes: random in production, fixed in tests.
    #[must_use]
    pub fn new(shard: ShardId, map: ShardMap, settings: Arc<Settings>, seed: u64) -> Self {
        let _ = (shard, map, settings, seed);
        Self { counters: Counters::default() }
    }

    /// Takes one event; what it brings about is added to `effects`.
    pub fn handle(&mut self, now: Time, event: Event<'_>, effects: &mut Effects) {
        let _ = (now, event, effects);
    }

    /// When [`Event::Timer`] is due, unless an event comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
