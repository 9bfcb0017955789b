//! A running Server as others see it: its figures, and what it says of itself.
//!
//! In:    what shards published; messages of the Server itself.
//! Out:   sums; the same messages, to the first shard.
//! Never: keeps the Server alive, or makes a shard wait.

use std::sync::{Arc, Weak};

use dunlin_engine::{Counters, ShardId};

use crate::counters::{Timing, Traffic};
use crate::post::Item;
use crate::shard::Shared;

/// Looks at a [`crate::Server`], from any thread.
#[derive(Clone, Debug)]
pub struct Observer(Weak<Shared>);

impl Observer {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// What all shards counted, at most about a second ago; bytes and connections. `None` when the Server has ended.
    #[must_use]
    pub fn sums(&self) -> Option<(Counters, Traffic)> {
        self.0.upgrade().map(|shared| sums(&shared))
    }

    /// How long each shard took for what. Empty when the Server has ended.
    #[must_use]
    pub fn timings(&self) -> Vec<Timing> {
        let timings =
            |shared: Arc<Shared>| shared.snapshots.iter().map(|snapshot| snapshot.timing()).collect();
        self.0.upgrade().map_or_else(Vec::new, timings)
    }

    /// Publishes a retained message of QoS 0 below `$SYS/`, soon. False when the Server has ended.
    #[must_use]
    pub fn publish(&self, topic: String, payload: Vec<u8>) -> bool {
        let (Some(shared), Some(first)) = (self.0.upgrade(), ShardId::new(0)) else { return false };
        shared.post.push(first, Item::Publish { topic, payload });
        true
    }
}

pub(crate) fn sums(shared: &Shared) -> (Counters, Traffic) {
    let admissions = &shared.admissions;
    let mut counters = Counters::default();
    let mut traffic = Traffic {
        accepted: admissions.accepted(),
        turned_away: admissions.refused().iter().sum(),
        refused: admissions.refused(),
        open: admissions.open() as u64,
        ..Traffic::default()
    };
    for snapshot in &shared.snapshots {
        snapshot.add_to(&mut counters, &mut traffic);
    }
    (counters, traffic)
}
