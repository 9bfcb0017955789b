//! A log in memory, as bad as a log may be: what is not stored may be lost or not, and what was released may come back.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::{
    Effects, Engine, JOURNAL_PARTITIONS, JournalBatch, JournalLive, ShardId, ShardMap, Time,
};

use crate::rng::Rng;

/// The log of all shards.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// For each partition, by number: what is appended, stored or not.
    records: Vec<BTreeMap<u64, Vec<u8>>>,
    released: BTreeSet<(u16, u64)>,
    checkpoints: BTreeMap<u16, (u64, Vec<u8>)>,
    /// Handed over by each shard and not stored.
    unstored: BTreeMap<usize, JournalBatch>,
    /// The number of the next record of each partition.
    next: Vec<u64>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            records: vec![BTreeMap::new(); JOURNAL_PARTITIONS.into()],
            next: vec![0; JOURNAL_PARTITIONS.into()],
            ..Self::default()
        }
    }

    /// Is everything stored that was handed over?
    pub(super) fn is_idle(&self) -> bool {
        self.unstored.is_empty()
    }

    /// Is a batch of this shard on its way?
    pub(super) fn is_busy(&self, shard: usize) -> bool {
        self.unstored.contains_key(&shard)
    }

    /// Takes a batch of a shard, whose records can be read at once.
    pub(super) fn append(&mut self, shard: usize, batch: JournalBatch) {
        let mut start = 0;
        for record in &batch.records {
            let next = &mut self.next[usize::from(record.partition)];
            assert!(record.number == *next, "records are numbered without a gap");
            *next += 1;
            let bytes = batch.bytes[start..record.end].to_vec();
            start = record.end;
            self.records[usize::from(record.partition)].insert(record.number, bytes);
        }
        self.released.extend(&batch.releases);
        let old = self.unstored.insert(shard, batch);
        assert!(old.is_none(), "one batch at a time");
    }

    /// Stores what a shard handed over.
    pub(super) fn store(&mut self, shard: usize) {
        let Some(batch) = self.unstored.remove(&shard) else { return };
        for checkpoint in batch.checkpoints {
            let of = checkpoint.partition;
            self.released.extend(checkpoint.releases.iter().map(|number| (of, *number)));
            self.checkpoints.insert(of, (checkpoint.upto, checkpoint.state));
        }
    }

    pub(super) fn read(&self, partition: u16, number: u64) -> Option<Vec<u8>> {
        self.records[usize::from(partition)].get(&number).cloned()
    }

    /// The process is gone. Of what a shard handed over last the first records may be there, or all; what was released may be
    /// gone for good, or not.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let mut lost = Vec::new();
        for batch in std::mem::take(&mut self.unstored).into_values() {
            let kept = match rng.below(4) {
                0 => batch.records.len(),
                1 => rng.between(0, batch.records.len()),
                _ => 0,
            };
            for record in &batch.records[kept..] {
                self.records[usize::from(record.partition)].remove(&record.number);
                lost.push((record.partition, record.number));
            }
        }
        for (partition, number) in std::mem::take(&mut self.released) {
            if rng.percent(50) {
                self.records[usize::from(partition)].remove(&number);
            }
        }
        // Numbers of stored records are never used again, even where the records are gone.
        for (partition, number) in lost {
            let next = &mut self.next[usize::from(partition)];
            *next = (*next).min(number);
        }
    }

    /// Restores the state of a shard.
    pub(super) fn restore(
        &mut self,
        map: ShardMap,
        shard: ShardId,
        engine: &mut Engine,
        now: Time,
        effects: &mut Effects,
    ) -> u64 {
        let home = |partition: u16| map.home_of_log(partition) == shard;
        let partitions: Vec<u16> = (0..JOURNAL_PARTITIONS).filter(|partition| home(*partition)).collect();
        let (events, first): (Vec<u16>, Vec<u16>) =
            partitions.iter().partition(|partition| **partition < Engine::RESTORED_FIRST);
        let replay = |engine: &mut Engine, partitions: &[u16]| {
            for partition in partitions {
                for (number, bytes) in &self.records[usize::from(*partition)] {
                    engine.restore_record(*partition, *number, bytes);
                }
            }
        };
        replay(engine, &first);
        for (partition, (upto, state)) in self.checkpoints.iter().filter(|(partition, _)| home(**partition)) {
            engine.restore_checkpoint(*partition, *upto, state);
        }
        replay(engine, &events);
        let next: Vec<_> =
            partitions.iter().map(|partition| (*partition, self.next[usize::from(*partition)])).collect();
        let (live, unreadable) = engine.restored(now, &next, effects);
        for JournalLive { partition, records: live } in live {
            let records = &self.records[usize::from(partition)];
            let dead = records.keys().filter(|number| live.binary_search(number).is_err());
            self.released.extend(dead.map(|number| (partition, *number)));
        }
        unreadable
    }
}
