//! Commits: one write and one sync for everything that came while the last one ran.
//!
//! In:    the batches that wait; the outcome of the last commit.
//! Out:   one [`Commit`] at a time; tickets in order.
//! Never: a second chance for a segment that failed. After a failed write or sync nothing says what the
//!        disk has, so the batch is written again to another segment before its ticket completes.

use crate::batch::{Batch, BatchHead, CONFIRM, HEAD, Placed};
use crate::disk::{Disk, DiskFile};
use crate::log::{Log, Role, SyncPolicy};
use crate::port::{Notice, PartitionId, Shortage, Ticket};
use crate::segment::{START, Segment};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// A write and a sync to be done away from the [`Log`].
#[derive(Debug)]
pub struct Commit<D: Disk> {
    segment: Arc<Segment<D::File>>,
    batch: Arc<Batch>,
    head: BatchHead,
    buffer: Vec<u8>,
    sync: SyncPolicy,
}

/// A [`Commit`] that is written, or failed to be, and not synced.
#[derive(Debug)]
pub struct Unsynced<D: Disk> {
    segment: Arc<Segment<D::File>>,
    outcome: io::Result<Vec<Placed>>,
    buffer: Vec<u8>,
    ticket: Ticket,
    confirms: bool,
    sync: SyncPolicy,
}

/// A [`Commit`] that was done or failed.
#[derive(Debug)]
pub struct Committed {
    outcome: io::Result<Vec<Placed>>,
    buffer: Vec<u8>,
    written: u64,
    confirms: bool,
    /// It was written; whether it was synced, the outcome says.
    is_written: bool,
}

impl<D: Disk> Commit<D> {
    /// Does it. Blocks on the disk.
    #[must_use]
    pub fn run(self) -> Committed {
        self.run_and_tell(|_| ())
    }

    /// The same; `tell` hears of the Ticket that is written while its sync is still to come.
    #[must_use]
    pub fn run_and_tell(self, tell: impl FnOnce(Ticket)) -> Committed {
        let unsynced = self.write();
        if let Some(ticket) = unsynced.ticket() {
            tell(ticket);
        }
        unsynced.sync()
    }

    /// Its first half: writes, and leaves the sync to be done. Blocks on the disk.
    #[must_use]
    pub fn write(self) -> Unsynced<D> {
        let mut buffer = self.buffer;
        let placed = self.batch.encode(self.head, self.segment.key.as_ref(), &mut buffer);
        let confirms = self.head.flags & CONFIRM != 0;
        // Where batches are not synced, what a confirmation says has to become true first.
        let syncs_before = confirms && self.sync == SyncPolicy::Never;
        let mut outcome = if syncs_before { self.segment.file.sync() } else { Ok(()) };
        if outcome.is_ok() {
            outcome = self.segment.file.write_at(&buffer, u64::from(self.head.offset));
        }
        let (segment, ticket) = (self.segment, self.batch.ticket());
        Unsynced { segment, outcome: outcome.map(|()| placed), buffer, ticket, confirms, sync: self.sync }
    }
}

impl<D: Disk> Unsynced<D> {
    /// What is written, where that is news: a sync is still to come.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        (self.outcome.is_ok() && self.is_to_be_synced()).then_some(self.ticket)
    }

    fn is_to_be_synced(&self) -> bool {
        !self.confirms && self.sync == SyncPolicy::Always
    }

    /// Syncs, where that is to be done. Blocks on the disk.
    #[must_use]
    pub fn sync(self) -> Committed {
        let is_to_be_synced = self.is_to_be_synced();
        let Self { segment, mut outcome, buffer, confirms, .. } = self;
        let is_written = outcome.is_ok();
        if is_to_be_synced && is_written {
            outcome = segment.file.sync().and(outcome);
        }
        let written = buffer.len() as u64;
        Committed { outcome, buffer, written, confirms, is_written }
    }
}

impl<D: Disk> Log<D> {
    /// The next commit, if there is something to write, somewhere to write it, and none under way.
    pub fn flush(&mut self) -> Option<Commit<D>> {
        if self.inflight.is_some() || self.paused {
            return None;
        }
        loop {
            if self.queue.is_empty() && !self.open.is_empty() {
                self.close();
            }
            let batch = Arc::get_mut(self.queue.front_mut()?);
            let Some(batch) = batch else { unreachable!("a batch that waits is in one place") };
            batch.drop_released();
            if !batch.is_empty() {
                break;
            }
            // Everything in it was given up before it was written: nothing has to be safe any more.
            let batch = self.queue.pop_front()?;
            self.conclude(&batch);
        }
        let size = self.queue.front()?.size();
        let file = self.home_for(size)?;
        let mut batch = self.queue.pop_front()?;
        if let Some(batch) = Arc::get_mut(&mut batch) {
            self.account(batch);
        }
        self.inflight = Some(Arc::clone(&batch));
        self.commit(file, batch, 0)
    }

    /// Says on the disk that the last batch was synced, so that damage to it is told from a torn write.
    /// Costs one write, and a sync only where batches are not synced; worth it when the log is idle, and before it is closed.
    pub fn confirm(&mut self) -> Option<Commit<D>> {
        let idle = self.inflight.is_none() && self.queue.is_empty() && self.open.is_empty();
        let file = self.active?;
        if self.confirmed || !idle || self.paused || self.remaining(file) < crate::batch::ALIGN {
            return None;
        }
        let batch = Arc::new(Batch::new(self.last.0, false));
        self.inflight = Some(Arc::clone(&batch));
        self.commit(file, batch, CONFIRM)
    }

    fn commit(&mut self, file: u32, batch: Arc<Batch>, flags: u32) -> Option<Commit<D>> {
        let slot = self.slots.get(&file)?;
        let head = BatchHead {
            segment: slot.segment.info.id,
            seq: batch.seq,
            after: self.last.0,
            synced: self.last.0,
            length: crate::wire::small(HEAD),
            chunks: 0,
            offset: crate::wire::small(slot.used),
            flags,
            previous: self.last.1,
        };
        let buffer = std::mem::take(&mut self.buffer);
        Some(Commit { segment: Arc::clone(&slot.segment), batch, head, buffer, sync: self.options.sync })
    }

    /// The segment that takes the next batch: the active one, or the spare where that is full.
    pub(crate) fn home_for(&mut self, size: u64) -> Option<u32> {
        if let Some(file) = self.active
            && self.remaining(file) >= size
        {
            return Some(file);
        }
        let next = self.spare.take()?;
        for (file, role) in [(self.active, Role::Sealed), (Some(next), Role::Active)] {
            if let Some(slot) = file.and_then(|file| self.slots.get_mut(&file)) {
                slot.role = role;
            }
        }
        self.active = Some(next);
        Some(next)
    }

    /// Tells each chunk which numbers before it were left out.
    fn account(&self, batch: &mut Batch) {
        let mut ends: HashMap<PartitionId, u64> = HashMap::new();
        for draft in &mut batch.chunks {
            let cover = self.partition(draft.partition).map_or(0, |state| state.cover);
            let cover = *ends.get(&draft.partition).unwrap_or(&cover);
            let (Some(start), Some(end)) = (draft.start(), draft.end()) else { continue };
            // A segment that was meddled with may have told of an end behind it.
            draft.before = u32::try_from(start.0.saturating_sub(cover)).unwrap_or(u32::MAX);
            ends.insert(draft.partition, end.0);
        }
    }

    /// A commit under way has written so far, and syncs now.
    pub fn wrote(&mut self, ticket: Ticket) {
        self.written = self.written.max(ticket);
    }

    /// Takes the outcome of a commit.
    pub fn complete(&mut self, mut committed: Committed) {
        self.buffer = std::mem::take(&mut committed.buffer);
        let (Some(batch), Some(file)) = (self.inflight.take(), self.active) else {
            unreachable!("a commit completes once, in the segment it was made for");
        };
        match &committed.outcome {
            Ok(placed) => {
                self.confirmed = committed.confirms;
                self.advance(file, &committed);
                if !committed.confirms {
                    self.settle(file, &batch, placed);
                }
            }
            Err(e) => {
                if !committed.confirms {
                    if committed.is_written {
                        // Somebody was told: until it is safe elsewhere, the next process has to find it here.
                        self.unsynced = Some((file, batch.ticket()));
                    }
                    self.queue.push_front(batch);
                }
                self.abandon(file, e);
            }
        }
    }

    fn advance(&mut self, file: u32, committed: &Committed) {
        if let Some(slot) = self.slots.get_mut(&file) {
            slot.used += committed.written;
            if !committed.confirms {
                slot.safe = slot.used;
            }
        }
    }

    fn settle(&mut self, file: u32, batch: &Batch, placed: &[Placed]) {
        for (draft, placed) in batch.chunks.iter().zip(placed) {
            let Some(state) = self.partitions.get_mut(usize::from(draft.partition.0)) else { continue };
            let mut numbers = draft.numbers().map(|number| number.0).peekable();
            let dead = (placed.head.start..placed.head.end()).filter(|number| {
                let written = numbers.next_if_eq(number).is_some();
                !written || *number < state.low || state.early.contains(number)
            });
            let gain = state.index.push(file, &placed.head, placed.offset, dead);
            state.cover = placed.head.end();
            if let Some(slot) = self.slots.get_mut(&file) {
                slot.records += gain.records;
                slot.bytes += gain.bytes;
            }
        }
        let life = self.slots.get(&file).map_or(0, |slot| slot.segment.info.id);
        self.last = (batch.seq, life);
        self.conclude(batch);
        if self.spare.is_some() {
            self.shortage = None;
        }
    }

    fn conclude(&mut self, batch: &Batch) {
        for (partition, end) in batch.ends() {
            if let Some(state) = self.partitions.get_mut(usize::from(partition.0)) {
                state.durable = state.durable.max(end.0);
                state.early.retain(|number| *number >= end.0);
            }
        }
        self.synced = batch.ticket();
        self.written = self.written.max(self.synced);
        if self.inflight.is_none() && self.queue.is_empty() && self.open.is_empty() {
            // The last numbers may have been left out.
            self.partitions.iter_mut().for_each(|state| state.durable = state.next);
        }
    }

    fn abandon(&mut self, file: u32, error: &io::Error) {
        self.active = None;
        self.paused = true;
        self.shortage = Some(shortage(error));
        if let Some(slot) = self.slots.get_mut(&file) {
            slot.role = Role::Sealed;
            // Nothing more goes there, and a torn batch may lie behind the end.
            assert!(slot.used >= START, "a segment starts behind its header");
            let file = slot.segment.info.name();
            self.notice(Notice::SegmentAbandoned { file, cause: error.kind() });
        }
    }
}

pub(crate) fn shortage(error: &io::Error) -> Shortage {
    match error.kind() {
        ErrorKind::StorageFull => Shortage::NoSpace,
        ErrorKind::QuotaExceeded => Shortage::Quota,
        _ => Shortage::Io,
    }
}
