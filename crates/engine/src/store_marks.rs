//! How far retained values have come on their way to their homes, so that no query is answered from before that.
//!
//! In:    values sent to their homes, and received; how many each shard had sent when it saw this shard's interest, or when
//!        this shard got one of them live.
//! Out:   with a query, what its home must have received first; queries that wait for that.
//! Never: a query answered without a value that was published before its Subscription: mail between two shards keeps its
//!        order, mail between three does not.

use crate::partition::{ShardId, ShardMap};
use crate::session::SessionId;

/// Counts of retained values between shards; each shard has its own.
#[derive(Debug)]
pub(crate) struct StoreMarks {
    /// To each home.
    sent: Vec<u64>,
    /// From each shard.
    received: Vec<u64>,
    /// What each shard is known to have sent to each home.
    known: Vec<Vec<u64>>,
    parked: Vec<ParkedQuery>,
}

/// A query that came before values which it must see.
#[derive(Debug)]
pub(crate) struct ParkedQuery {
    pub(crate) from: ShardId,
    pub(crate) session: SessionId,
    pub(crate) query: u32,
    pub(crate) filter: Box<str>,
    pub(crate) needed: Box<[u64]>,
}

impl StoreMarks {
    pub(crate) fn new(map: ShardMap) -> Self {
        let none = vec![0; map.count()];
        Self {
            sent: none.clone(),
            received: none.clone(),
            known: vec![none; map.count()],
            parked: Vec::new(),
        }
    }

    /// Counts a value on its way to its home: its mark.
    pub(crate) fn send(&mut self, home: ShardId) -> u64 {
        self.sent[home.index()] += 1;
        self.sent[home.index()]
    }

    /// What was sent to each home so far.
    pub(crate) fn sent(&self) -> Box<[u64]> {
        self.sent.as_slice().into()
    }

    /// A value arrived at home, here.
    pub(crate) fn receive(&mut self, from: ShardId, mark: u64) {
        self.received[from.index()] = mark;
    }

    /// Another shard had sent so many to each home.
    pub(crate) fn learn_all(&mut self, of: ShardId, sent: &[u64]) {
        for (known, sent) in self.known[of.index()].iter_mut().zip(sent) {
            *known = (*known).max(*sent);
        }
    }

    /// Another shard had sent so many to one home.
    pub(crate) fn learn(&mut self, of: ShardId, home: ShardId, mark: u64) {
        let known = &mut self.known[of.index()][home.index()];
        *known = (*known).max(mark);
    }

    /// What a home must have received from each shard before it answers a query of this one; empty: nothing.
    pub(crate) fn needed(&self, home: ShardId) -> Box<[u64]> {
        if self.known.iter().all(|known| known[home.index()] == 0) {
            return Box::default();
        }
        self.known.iter().map(|known| known[home.index()]).collect()
    }

    /// Has that arrived?
    pub(crate) fn has(&self, needed: &[u64]) -> bool {
        needed.iter().zip(&self.received).all(|(needed, received)| received >= needed)
    }

    pub(crate) fn park(&mut self, query: ParkedQuery) {
        self.parked.push(query);
    }

    /// Queries that need not wait any longer.
    pub(crate) fn take_ready(&mut self) -> Vec<ParkedQuery> {
        if self.parked.is_empty() {
            return Vec::new();
        }
        let (ready, parked) =
            std::mem::take(&mut self.parked).into_iter().partition(|query| self.has(&query.needed));
        self.parked = parked;
        ready
    }
}
