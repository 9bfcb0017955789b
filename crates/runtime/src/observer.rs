//! A running Server as others see it: its figures, and what it says of itself.
//!
//! In:    what shards published; messages of the Server itself.
//! Out:   sums; the same messages, to the first shard.
//! Never: keeps the Server alive, or makes a shard wait.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Weak};

use dunlin_engine::{Counters, Effects, Engine, ShardId, Time};

use crate::counters::{Timing, Traffic};
use crate::post::{Item, Visit};
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

    /// How many shards there are; 0 when the Server has ended.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.0.upgrade().map_or(0, |shared| shared.post.map().count())
    }

    /// Has a shard do something with its engine, between two events, and answers with what came of it. It does nothing else
    /// meanwhile: a visit looks at some thousand things at most, and whoever has more to ask comes again. The answer never
    /// comes (the receiver is disconnected) where there is no such shard, or the Server ends.
    pub fn visit<T: Send + 'static>(
        &self,
        shard: usize,
        visit: impl FnOnce(&mut Engine, Time, &mut Effects) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (answer, receiver) = sync_channel(1);
        let visit = move |engine: &mut Engine, now, effects: &mut Effects| {
            // Whoever asked may have gone.
            let _ = answer.try_send(visit(engine, now, effects));
        };
        if let Some(shared) = self.0.upgrade()
            && let Some(shard) = shared.post.map().iter().nth(shard)
        {
            shared.post.push(shard, Item::Visit(Visit(Box::new(visit))));
        }
        receiver
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
