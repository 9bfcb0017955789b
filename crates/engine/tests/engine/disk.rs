//! A log in memory that can lose what it has not stored, and that gives back what was released.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::{
    Effects, Engine, JOURNAL_PARTITIONS, JournalBatch, JournalSource, ShardId, ShardMap, Time,
};

/// The log of all shards.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What is stored, for each partition by number.
    records: Vec<BTreeMap<u64, Vec<u8>>>,
    /// Released, but a crash brings it back.
    released: Vec<(u16, u64)>,
    checkpoints: BTreeMap<u16, (u64, Vec<u8>)>,
    /// Handed over by each shard and not stored.
    unstored: BTreeMap<usize, JournalBatch>,
    /// Shards whose batch is written: a crash of the process leaves it.
    written: BTreeSet<usize>,
    /// The number of the next record of each partition.
    next: Vec<u64>,
    /// What is not stored cannot be read either: the log had no room to take it.
    pub(crate) hides_unstored: bool,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            records: vec![BTreeMap::new(); JOURNAL_PARTITIONS.into()],
            next: vec![0; JOURNAL_PARTITIONS.into()],
            ..Self::default()
        }
    }

    /// Takes a batch of a shard. Its records can be read at once, and are lost in a crash until they are stored.
    pub(crate) fn append(&mut self, shard: ShardId, batch: JournalBatch) {
        for record in &batch.records {
            let next = &mut self.next[usize::from(record.partition)];
            assert_eq!(record.number, *next, "records are numbered without a gap");
            *next += 1;
        }
        let old = self.unstored.insert(shard.index(), batch);
        assert!(old.is_none(), "one batch at a time");
    }

    /// Writes what a shard handed over. False where there is nothing.
    pub(crate) fn write(&mut self, shard: ShardId) -> bool {
        self.unstored.contains_key(&shard.index()) && self.written.insert(shard.index())
    }

    /// Stores what a shard handed over. False where there is nothing.
    pub(crate) fn store(&mut self, shard: ShardId) -> bool {
        self.written.remove(&shard.index());
        let Some(batch) = self.unstored.remove(&shard.index()) else { return false };
        let mut start = 0;
        for record in &batch.records {
            let bytes = batch.bytes[start..record.end].to_vec();
            start = record.end;
            self.records[usize::from(record.partition)].insert(record.number, bytes);
        }
        for checkpoint in batch.checkpoints {
            self.released.extend(checkpoint.releases.iter().map(|number| (checkpoint.partition, *number)));
            self.checkpoints.insert(checkpoint.partition, (checkpoint.upto, checkpoint.state));
        }
        self.released.extend(batch.releases);
        true
    }

    /// Stores of a batch what relieves the log. True where the rest has to wait; then there are only such until it is stored.
    pub(crate) fn relieve(&mut self, shard: ShardId, batch: JournalBatch) -> bool {
        let mut start = 0;
        for record in &batch.records {
            let bytes = batch.bytes[start..record.end].to_vec();
            start = record.end;
            let next = &mut self.next[usize::from(record.partition)];
            assert_eq!(record.number, *next, "records are numbered without a gap");
            *next += 1;
            if record.relief {
                self.records[usize::from(record.partition)].insert(record.number, bytes);
            }
        }
        self.released.extend(&batch.releases);
        if self.unstored.contains_key(&shard.index()) {
            assert!(batch.records.iter().all(|record| record.relief), "only relief goes past what waits");
            return false;
        }
        self.unstored.insert(shard.index(), JournalBatch { releases: Vec::new(), ..batch });
        true
    }

    pub(crate) fn read(&self, partition: u16, number: u64) -> Option<Vec<u8>> {
        if let Some(bytes) = self.records[usize::from(partition)].get(&number) {
            return Some(bytes.clone());
        }
        if self.hides_unstored {
            return None;
        }
        self.unstored.values().find_map(|batch| {
            let at = batch
                .records
                .iter()
                .position(|record| (record.partition, record.number) == (partition, number))?;
            let start = at.checked_sub(1).map_or(0, |before| batch.records[before].end);
            Some(batch.bytes[start..batch.records[at].end].to_vec())
        })
    }

    /// Loses the records that end with these bytes.
    pub(crate) fn damage(&mut self, end: &[u8]) {
        self.records.iter_mut().for_each(|records| records.retain(|_, bytes| !bytes.ends_with(end)));
    }

    /// Records that nobody has released.
    pub(crate) fn live(&self) -> usize {
        let all: usize = self.records.iter().map(BTreeMap::len).sum();
        all - self
            .released
            .iter()
            .filter(|(partition, number)| self.records[usize::from(*partition)].contains_key(number))
            .count()
    }

    /// The process is gone, and what was not even written.
    pub(crate) fn crash(&mut self) {
        for shard in std::mem::take(&mut self.written).into_iter().filter_map(ShardId::new) {
            self.store(shard);
        }
        self.unstored.clear();
        for (records, next) in self.records.iter().zip(&mut self.next) {
            *next = records.last_key_value().map_or(0, |(number, _)| number + 1);
        }
        for (partition, (upto, _)) in &self.checkpoints {
            let next = &mut self.next[usize::from(*partition)];
            *next = (*next).max(*upto);
        }
    }

    /// Fills an engine that has just begun.
    pub(crate) fn restore(
        &mut self,
        map: ShardMap,
        shard: ShardId,
        engine: &mut Engine,
        now: Time,
        effects: &mut Effects,
    ) {
        let Ok(unreadable) = engine.restore_from(now, self, effects);
        assert_eq!(unreadable, 0, "every record can be read");
        self.released.retain(|(partition, _)| map.home_of_log(*partition) != shard);
    }
}

impl JournalSource for Disk {
    type Error = std::convert::Infallible;

    fn records(
        &mut self,
        is_wanted: &dyn Fn(u16) -> bool,
        give: &mut dyn FnMut(u16, u64, &[u8]),
    ) -> Result<(), Self::Error> {
        for (partition, records) in (0..).zip(&self.records).filter(|(partition, _)| is_wanted(*partition)) {
            records.iter().for_each(|(number, bytes)| give(partition, *number, bytes));
        }
        Ok(())
    }

    fn checkpoint(&mut self, partition: u16) -> Result<Option<(u64, Vec<u8>)>, Self::Error> {
        Ok(self.checkpoints.get(&partition).cloned())
    }

    fn next(&mut self, partition: u16) -> u64 {
        self.next[usize::from(partition)]
    }

    fn retain(
        &mut self,
        partition: u16,
        _: u64,
        live: &mut dyn Iterator<Item = u64>,
    ) -> Result<(), Self::Error> {
        let live: BTreeSet<u64> = live.collect();
        self.records[usize::from(partition)].retain(|number, _| live.contains(number));
        Ok(())
    }
}
