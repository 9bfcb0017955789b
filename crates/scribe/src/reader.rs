//! The log, as engines read it at the start.
//!
//! In:    an opened log.
//! Out:   what engines ask for, and how much of it is lost.
//! Never: a start that fails for damage: what cannot be read is left out and counted.

use dunlin_engine::{JOURNAL_PARTITIONS, JournalSource};
use dunlin_store::{AppendError, Checkpoint, Entry, Journal, PartitionId, ReadError, RecordNumber, Writer};

use crate::scribe::Desk;

/// Why a start cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The device does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log does not let go of what is not needed.
    #[error(transparent)]
    Release(#[from] AppendError),
}

/// The log, as one engine after the other reads it.
#[derive(Debug)]
pub struct Reader<'a> {
    desk: Desk<'a>,
    /// Records that were read.
    pub records: u64,
    /// Records that were safe and are damaged.
    pub lost: u64,
    /// Partitions whose checkpoint cannot be read, and why.
    pub checkpoints_lost: Vec<(u16, ReadError)>,
}

impl<'a> Reader<'a> {
    /// One that has read nothing yet.
    #[must_use]
    pub const fn new(desk: Desk<'a>) -> Self {
        Self { desk, records: 0, lost: 0, checkpoints_lost: Vec::new() }
    }
}

impl JournalSource for Reader<'_> {
    type Error = RestoreError;

    fn records(
        &mut self,
        is_wanted: &dyn Fn(u16) -> bool,
        give: &mut dyn FnMut(u16, u64, &[u8]),
    ) -> Result<(), RestoreError> {
        let from = |PartitionId(partition): PartitionId| {
            RecordNumber(if is_wanted(partition) { 0 } else { u64::MAX })
        };
        let Self { desk, records, lost, .. } = self;
        desk.journal.replay_all(&from, &mut |PartitionId(partition), entry| match entry {
            Entry::Record { number, bytes } => {
                *records += 1;
                give(partition, number.0, bytes);
            }
            Entry::Lost { from, to } => *lost += to.0 - from.0,
        })?;
        Ok(())
    }

    fn checkpoint(&mut self, partition: u16) -> Result<Option<(u64, Vec<u8>)>, RestoreError> {
        match self.desk.journal.load(PartitionId(partition)) {
            Ok(found) => Ok(found.map(|Checkpoint { upto, state }| (upto.0, state))),
            Err(error) => {
                self.checkpoints_lost.push((partition, error));
                Ok(None)
            }
        }
    }

    fn next(&mut self, partition: u16) -> u64 {
        self.desk.journal.bounds(PartitionId(partition)).next.0
    }

    fn retain(
        &mut self,
        partition: u16,
        next: u64,
        live: &mut dyn Iterator<Item = u64>,
    ) -> Result<(), RestoreError> {
        let writer = self.desk.writers[usize::from(partition)];
        Ok(self.desk.journal.retain(writer, RecordNumber(next), &mut live.map(RecordNumber))?)
    }
}

/// Becomes the Writer of every partition.
///
/// # Errors
/// Where the log has fewer partitions than are needed.
pub fn claim_all(journal: &dyn Journal) -> Result<Box<[Writer]>, AppendError> {
    (0..JOURNAL_PARTITIONS).map(|partition| journal.claim(PartitionId(partition))).collect()
}
