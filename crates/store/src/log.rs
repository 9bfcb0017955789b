//! The log: a state machine that takes records and gives jobs for a disk.
//!
//! In:    appends, releases, trims, checkpoints; the outcomes of the jobs it gave.
//! Out:   record numbers and tickets; [`Commit`](crate::commit::Commit)s and
//!        [`Chore`](crate::chore::Chore)s, whose `run` does the I/O; places to read from.
//! Never: waits, threads, clocks. I/O only in `open`; everything else is done by whoever runs the jobs.

use crate::batch::Batch;
use crate::chore::{Attempt, FreeFile};
use crate::compact::Compaction;
use crate::crypt::Keyring;
use crate::disk::Disk;
use crate::index::{ChunkRef, Index, Loss};
use crate::port::{
    AppendError, Appended, Bounds, Checkpoint, Epoch, Notice, PartitionId, Progress, Purpose, ReadError,
    RecordNumber, Shortage, Ticket, Writer,
};
use crate::segment::{START, Segment};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

/// Notices that wait for somebody to take them.
const NOTICES: usize = 1024;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Partitions; more than before is fine, fewer is refused when the others have records.
    pub partitions: u16,
    /// Bytes of a segment, from 64 KiB to 1 GiB. New segments take a new value.
    pub segment_size: u64,
    /// Bytes that the directory may take, quarantined files included, at least four segments. One segment of it is kept for
    /// copying.
    pub quota: u64,
    /// Bytes that wait to be written at most, at most a quarter of a segment.
    pub pending_max: u64,
    /// Bytes written with one sync where single appends are not larger, at most a quarter of a segment.
    pub batch_max: u64,
    /// Bytes kept for [`Purpose::Relief`] when there is no room for more, at most a quarter of a segment.
    pub reserve: u64,
    /// A segment with less than this share alive, in percent, is copied to be given back.
    pub reclaim_percent: u64,
    /// When what is written is synced.
    pub sync: SyncPolicy,
    /// The keys of encryption at rest; empty for none.
    pub keys: Keyring,
}

/// When what is written is synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Each batch, before its Ticket is [`Progress::synced`].
    #[default]
    Always,
    /// No batch: a Ticket counts as synced when it is written, which outlives the process and not the machine. Only a confirmation
    /// syncs, when the log is idle and when it is closed; and whatever gives room back.
    Never,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 256,
            segment_size: 64 << 20,
            quota: u64::MAX,
            pending_max: 16 << 20,
            batch_max: 4 << 20,
            reserve: 16 << 20,
            reclaim_percent: 50,
            sync: SyncPolicy::Always,
            keys: Keyring::default(),
        }
    }
}

impl Options {
    /// Bytes of an append at most, with its overhead.
    #[must_use]
    pub const fn append_max(&self) -> u64 {
        (self.segment_size - START) / 4 - crate::batch::HEAD - crate::batch::ALIGN
    }

    /// Refuses what has no sense and brings the rest to a quarter of a segment.
    pub(crate) fn checked(mut self) -> Result<Self, OpenError> {
        let checks = [
            ("partitions", u64::from(self.partitions), 1, 4096),
            ("segment_size", self.segment_size, 64 << 10, 1 << 30),
            ("quota", self.quota, self.segment_size.saturating_mul(4), u64::MAX),
            ("reclaim_percent", self.reclaim_percent, 0, 90),
        ];
        for (option, value, least, most) in checks {
            if !(least..=most).contains(&value) {
                return Err(OpenError::Option { option, value, least, most });
            }
        }
        self.segment_size &= !4095;
        let quarter = (self.segment_size - START) / 4;
        for bytes in [&mut self.pending_max, &mut self.batch_max, &mut self.reserve] {
            *bytes = (*bytes).min(quarter);
        }
        Ok(self)
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option has no sense.
    #[error("{option} = {value} is not in {least}..={most}")]
    Option {
        /// Which.
        option: &'static str,
        /// Its value.
        value: u64,
        /// The least that works.
        least: u64,
        /// The most that works.
        most: u64,
    },
    /// There is no log.
    #[error("there is no log")]
    Absent,
    /// Another process has the directory.
    #[error("the log is in use by another process")]
    InUse,
    /// A newer version wrote the log.
    #[error("{file} has format {format}, this version reads up to {newest}")]
    Newer {
        /// Which file says so.
        file: String,
        /// Its format.
        format: u16,
        /// The newest that this version knows.
        newest: u16,
    },
    /// A newer version wrote something that this one must understand and does not.
    #[error("{file} has the field {tag:#06x}, which this version does not know")]
    UnknownField {
        /// Which file says so.
        file: String,
        /// The field.
        tag: u16,
    },
    /// A file is sealed with a key that was not given.
    #[error("{file} is sealed with key {key}, which was not given")]
    KeyMissing {
        /// Which file.
        file: String,
        /// The id of the key.
        key: u32,
    },
    /// A file is sealed with another key of the same id.
    #[error("{file} is not sealed with the key given as {key}")]
    KeyWrong {
        /// Which file.
        file: String,
        /// The id of the key.
        key: u32,
    },
    /// A partition beyond [`Options::partitions`] has records.
    #[error("the log has records of {found} partitions, the configuration says {partitions}")]
    Partitions {
        /// Partitions on the disk.
        found: usize,
        /// Partitions asked for.
        partitions: u16,
    },
    /// The disk does not answer.
    #[error("{call} failed")]
    Io {
        /// What was tried.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Numbers that are gone, as ascending ranges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// A partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionState {
    pub(crate) epoch: Epoch,
    pub(crate) next: u64,
    pub(crate) low: u64,
    /// Numbers below are safe, or were left out.
    pub(crate) durable: u64,
    /// The end of the last chunk that was written.
    pub(crate) cover: u64,
    pub(crate) index: Index,
    /// Numbers released while they were being written.
    pub(crate) early: Vec<u64>,
    pub(crate) lost: Lost,
    pub(crate) wanted: Option<Checkpoint>,
    /// Bytes of the checkpoint's file.
    pub(crate) checkpoint: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Active,
    Spare,
    Sealed,
}

/// A segment that the manifest names.
#[derive(Debug)]
pub(crate) struct Slot<F> {
    pub(crate) segment: Arc<Segment<F>>,
    pub(crate) role: Role,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Where the next batch goes.
    pub(crate) used: u64,
    /// The end of the last batch that is safe; a confirmation may lie behind it.
    pub(crate) safe: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// How often copying it failed.
    pub(crate) failures: u8,
    /// Damaged, and to be replaced by a copy of what holds.
    pub(crate) condemned: bool,
}

/// Where a record can be read.
#[derive(Debug)]
pub(crate) enum Place<F> {
    Memory(Vec<u8>),
    Disk(Arc<Segment<F>>, ChunkRef),
}

/// Figures of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Segments, the one being written and the spare included.
    pub segments: u64,
    /// Bytes of all files, the quarantined ones included.
    pub bytes: u64,
    /// Bytes of the quarantined files.
    pub quarantined_bytes: u64,
    /// Bytes of living records, about.
    pub live_bytes: u64,
    /// Living records that are safe.
    pub live_records: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Segments that were replaced by a copy of what lived in them, since the log was opened.
    pub copies: u64,
    /// Notices that nobody took in time.
    pub notices_dropped: u64,
}

/// The log of the partitions of a node.
#[derive(Debug)]
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) _lock: D::Lock,
    pub(crate) options: Options,
    pub(crate) id: [u8; 16],
    pub(crate) partitions: Vec<PartitionState>,
    pub(crate) slots: BTreeMap<u32, Slot<D::File>>,
    pub(crate) free: Vec<FreeFile<D::File>>,
    pub(crate) active: Option<u32>,
    pub(crate) spare: Option<u32>,
    pub(crate) queue: VecDeque<Arc<Batch>>,
    pub(crate) open: Batch,
    pub(crate) inflight: Option<Arc<Batch>>,
    /// The last batch that is in the log, and the life of the segment that holds it.
    pub(crate) last: (u64, u64),
    pub(crate) synced: Ticket,
    pub(crate) written: Ticket,
    /// The last batch is confirmed on the disk.
    pub(crate) confirmed: bool,
    pub(crate) paused: bool,
    pub(crate) buffer: Vec<u8>,
    pub(crate) shortage: Option<Shortage>,
    pub(crate) generation: u64,
    pub(crate) manifest_first: usize,
    pub(crate) next_id: u64,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) chore_out: bool,
    pub(crate) chores_paused: bool,
    pub(crate) compaction: Option<Compaction<D::File>>,
    pub(crate) checkpoints: VecDeque<PartitionId>,
    pub(crate) notices: VecDeque<Notice>,
    pub(crate) copies: u64,
    pub(crate) notices_dropped: u64,
    /// Bytes of the quarantined files, which count for the quota.
    pub(crate) quarantined: u64,
    /// They have to be counted again: somebody may have removed some.
    pub(crate) recount: bool,
    /// A backup is finding out what there is: no chore begins.
    pub(crate) frozen: bool,
    /// Files with batches that are being written again, and when that is done.
    pub(crate) rewriting: (BTreeSet<u32>, Ticket),
    /// The file where a batch was written last whose sync failed, which is being written again, and when that is done.
    pub(crate) unsynced: Option<(u32, Ticket)>,
    /// Numbers of files that are not ours to write to.
    pub(crate) avoided: BTreeSet<u32>,
}

impl<D: Disk> Log<D> {
    pub(crate) fn sealed(&self) -> bool {
        self.options.keys.current().is_some()
    }

    /// Bytes of batches that a segment can hold.
    pub(crate) fn capacity(&self) -> u64 {
        self.options.segment_size - START
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> Option<&PartitionState> {
        self.partitions.get(usize::from(partition.0))
    }

    fn writer(&mut self, writer: Writer) -> Result<&mut PartitionState, AppendError> {
        let Writer { partition, epoch } = writer;
        let partitions = self.options.partitions;
        let state = self.partitions.get_mut(usize::from(partition.0));
        let state = state.ok_or(AppendError::NoPartition { partition, partitions })?;
        if state.epoch == epoch {
            Ok(state)
        } else {
            Err(AppendError::Fenced { partition, epoch, now: state.epoch })
        }
    }

    /// Becomes the Writer of a partition.
    ///
    /// # Errors
    /// [`AppendError::NoPartition`].
    pub fn claim(&mut self, partition: PartitionId) -> Result<Writer, AppendError> {
        let partitions = self.options.partitions;
        let state = self.partitions.get_mut(usize::from(partition.0));
        let state = state.ok_or(AppendError::NoPartition { partition, partitions })?;
        state.epoch = Epoch(state.epoch.0 + 1);
        Ok(Writer { partition, epoch: state.epoch })
    }

    /// Takes records; see [`Journal::append`](crate::Journal::append).
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append(
        &mut self,
        writer: Writer,
        purpose: Purpose,
        records: &[&[u8]],
    ) -> Result<Appended, AppendError> {
        let first = self.writer(writer)?.next;
        if records.is_empty() {
            return Ok(Appended { first: RecordNumber(first), ticket: self.last_ticket() });
        }
        let cost = Batch::cost(records, self.sealed());
        self.admit(purpose, cost)?;
        if !self.open.is_empty() && self.open.size() + cost > self.options.batch_max {
            self.close();
        }
        for (number, record) in (first..).zip(records) {
            self.open.push(writer, RecordNumber(number), record);
        }
        self.writer(writer)?.next = first + records.len() as u64;
        Ok(Appended { first: RecordNumber(first), ticket: self.open.ticket() })
    }

    /// Puts the open batch in the queue.
    pub(crate) fn close(&mut self) {
        let next = Batch::new(self.open.seq + 1, self.sealed());
        self.queue.push_back(Arc::new(std::mem::replace(&mut self.open, next)));
    }

    fn admit(&self, purpose: Purpose, cost: u64) -> Result<(), AppendError> {
        let limit = self.options.append_max();
        if cost > limit {
            return Err(AppendError::TooLarge { bytes: cost, limit });
        }
        let inflight = self.inflight.as_ref().map_or(0, |batch| batch.size());
        let queued = self.queue.iter().map(|batch| batch.size()).sum::<u64>();
        let waiting = queued + self.open.size() + cost;
        let waits = queued > 0 || !self.open.is_empty() || inflight > 0;
        if waits && waiting + inflight > self.options.pending_max {
            return Err(AppendError::Busy { waiting, limit: self.options.pending_max });
        }
        let reserve = if purpose == Purpose::Growth { self.options.reserve } else { 0 };
        // What waits may have to go to the spare as a whole; each batch ends in at most one step of padding.
        let need = waiting + reserve + crate::batch::ALIGN * (self.queue.len() as u64 + 2);
        let active = self.active.map_or(0, |file| self.remaining(file)).saturating_sub(inflight);
        let spare = self.spare.map_or(0, |file| self.remaining(file));
        if need <= active || need <= spare {
            return Ok(());
        }
        match self.shortage {
            Some(shortage) => Err(AppendError::Full(shortage)),
            None => Err(AppendError::Busy { waiting, limit: self.options.pending_max }),
        }
    }

    pub(crate) fn remaining(&self, file: u32) -> u64 {
        self.slots.get(&file).map_or(0, |slot| slot.length.saturating_sub(slot.used))
    }

    /// The Ticket of everything that was appended so far.
    #[must_use]
    pub fn last_ticket(&self) -> Ticket {
        if self.open.is_empty() { Ticket(self.open.seq - 1) } else { self.open.ticket() }
    }

    /// How far durability has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let Self { synced, written, shortage, .. } = *self;
        Progress { synced, written, shortage, is_low: shortage.is_some() && self.is_low() }
    }

    /// Is so little left before [`Self::admit`] refuses that it should be kept for what is under way?
    fn is_low(&self) -> bool {
        let needed = self.options.reserve + self.options.batch_max;
        self.spare.is_none() && self.active.is_none_or(|file| self.remaining(file) < needed)
    }

    /// The numbers that the log may have.
    #[must_use]
    pub fn bounds(&self, partition: PartitionId) -> Bounds {
        let state = self.partition(partition);
        let (low, next) = state.map_or((0, 0), |state| (state.low, state.next));
        Bounds { low: RecordNumber(low), next: RecordNumber(next) }
    }

    pub(crate) fn place(
        &self,
        partition: PartitionId,
        number: RecordNumber,
    ) -> Result<Place<D::File>, ReadError> {
        let state = self.partition(partition).ok_or(ReadError::Absent)?;
        if number.0 < state.low || number.0 >= state.next || state.early.contains(&number.0) {
            return Err(ReadError::Absent);
        }
        if number.0 >= state.durable {
            let draft = self.in_memory().find_map(|batch| batch.find(partition, number));
            let bytes = draft.and_then(|draft| draft.record(number)).ok_or(ReadError::Absent)?;
            return Ok(Place::Memory(bytes.to_vec()));
        }
        match state.index.find(number.0).and_then(|chunk| Some((self.slots.get(&chunk.file)?, chunk))) {
            Some((slot, chunk)) => Ok(Place::Disk(Arc::clone(&slot.segment), chunk)),
            None if state.lost.contains(number.0) => Err(ReadError::Lost),
            None => Err(ReadError::Absent),
        }
    }

    /// The batches that are not safe yet, in order.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Batch> {
        let waiting = self.inflight.iter().chain(&self.queue).map(Arc::as_ref);
        waiting.chain(std::iter::once(&self.open))
    }

    /// Gives up records; see [`Journal::trim`](crate::Journal::trim).
    ///
    /// # Errors
    /// As the port says.
    pub fn trim(&mut self, writer: Writer, below: RecordNumber) -> Result<(), AppendError> {
        let state = self.writer(writer)?;
        let below = below.0.min(state.next);
        state.low = state.low.max(below);
        let mut losses = Vec::new();
        state.index.trim(below, &mut losses);
        self.lose(&losses);
        Ok(())
    }

    /// Gives up single records; see [`Journal::release`](crate::Journal::release).
    ///
    /// # Errors
    /// As the port says.
    pub fn release(&mut self, writer: Writer, numbers: &[RecordNumber]) -> Result<(), AppendError> {
        let durable = self.writer(writer)?.durable;
        let mut losses = Vec::new();
        for number in numbers.iter().filter(|number| number.0 >= durable) {
            self.release_early(writer, *number);
        }
        let safe = numbers.iter().map(|number| number.0).filter(|number| *number < durable);
        self.writer(writer)?.index.release(safe, &mut losses);
        self.lose(&losses);
        Ok(())
    }

    fn release_early(&mut self, writer: Writer, number: RecordNumber) {
        let partition = writer.partition;
        if self.inflight.as_ref().is_some_and(|batch| batch.find(partition, number).is_some()) {
            let early = self.partitions.get_mut(usize::from(partition.0)).map(|state| &mut state.early);
            if let Some(early) = early.filter(|early| !early.contains(&number.0)) {
                early.push(number.0);
            }
            return;
        }
        for batch in &mut self.queue {
            if let Some(batch) = Arc::get_mut(batch) {
                batch.release(partition, number);
            }
        }
        self.open.release(partition, number);
    }

    /// Releases what is not in `live`; see [`Journal::retain`](crate::Journal::retain).
    ///
    /// # Errors
    /// As the port says.
    pub fn retain(
        &mut self,
        writer: Writer,
        below: RecordNumber,
        live: &mut dyn Iterator<Item = RecordNumber>,
    ) -> Result<(), AppendError> {
        let mut losses = Vec::new();
        self.writer(writer)?.index.retain(below.0, &mut live.map(|number| number.0), &mut losses);
        self.lose(&losses);
        Ok(())
    }

    pub(crate) fn lose(&mut self, losses: &[Loss]) {
        for loss in losses {
            if let Some(slot) = self.slots.get_mut(&loss.file) {
                slot.records = slot.records.saturating_sub(loss.records);
                slot.bytes = slot.bytes.saturating_sub(loss.bytes);
            }
        }
    }

    /// Keeps a checkpoint; see [`Journal::checkpoint`](crate::Journal::checkpoint).
    ///
    /// # Errors
    /// As the port says.
    pub fn checkpoint(&mut self, writer: Writer, checkpoint: Checkpoint) -> Result<(), AppendError> {
        let state = self.writer(writer)?;
        assert!(checkpoint.upto.0 <= state.next, "a checkpoint speaks of records that exist");
        if state.wanted.replace(checkpoint).is_none() {
            self.checkpoints.push_back(writer.partition);
        }
        Ok(())
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        if let Notice::Damage { quarantined: Some(_), length, .. } = &notice {
            self.quarantined += length;
        }
        if self.notices.len() < NOTICES {
            self.notices.push_back(notice);
        } else {
            self.notices_dropped += 1;
        }
    }

    /// Takes the notices, oldest first.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.drain(..).collect()
    }

    /// Tries again what failed: call it when time has passed or room was made.
    pub fn retry(&mut self) {
        self.paused = false;
        self.chores_paused = false;
        self.recount = self.quarantined > 0 && self.shortage == Some(Shortage::Quota);
    }

    /// Bytes of all files that the log knows of.
    pub(crate) fn allocated(&self) -> u64 {
        let slots: u64 = self.slots.values().map(|slot| slot.length).sum();
        let free: u64 = self.free.iter().map(|file| file.length).sum();
        let target = if self.compaction.is_some() { self.options.segment_size } else { 0 };
        slots
            + free
            + target
            + self.quarantined
            + self.partitions.iter().map(|state| state.checkpoint).sum::<u64>()
    }

    /// Figures for an operator.
    #[must_use]
    pub fn stat(&self) -> Stat {
        Stat {
            segments: self.slots.len() as u64,
            bytes: self.allocated(),
            quarantined_bytes: self.quarantined,
            live_bytes: self.slots.values().map(|slot| slot.bytes).sum(),
            live_records: self.slots.values().map(|slot| slot.records).sum(),
            index_bytes: self.partitions.iter().map(|state| state.index.memory() as u64).sum(),
            copies: self.copies,
            notices_dropped: self.notices_dropped,
        }
    }
}
