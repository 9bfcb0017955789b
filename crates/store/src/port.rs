//! The port: what the rest of Dunlin knows of a log, whichever log it is.
//!
//! In:    records of partitions, each from the one Writer of its partition; what is no longer needed.
//! Out:   record numbers at once, durability later as [`Progress`]; records, checkpoints, [`Notice`]s.
//! Never: files, offsets, MQTT. Nothing here says where a record lies, or that it lies in one place.
//!
//! A record number is logical: it counts the records of one partition, never changes and is never given
//! to another record that somebody may remember. A [`Ticket`] says when a record is safe.

use std::io;
use std::ops::ControlFlow;

/// A logical partition: one order of records with one Writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

/// The number of a record in its partition, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordNumber(pub u64);

/// Counts the claims of a partition; only the newest one writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// A place in the order of durability: what carries a Ticket of at most [`Progress::synced`] is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The right to write to a partition until somebody claims it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Whose right.
    pub partition: PartitionId,
    /// Which claim.
    pub epoch: Epoch,
}

/// What an append gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The number of the first record; the others follow without a gap.
    pub first: RecordNumber,
    /// When all of them are safe. They become so together or not at all.
    pub ticket: Ticket,
}

/// Which part of the room an append may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Adds to what the log must keep. Refused while only the reserve is left.
    Growth,
    /// Lets the log keep less afterwards (an acknowledgement, an end of a Session). May use the reserve, so
    /// that a full log can be emptied.
    Relief,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The device or file system is full.
    NoSpace,
    /// The quota is used up.
    Quota,
    /// Writing or syncing fails.
    Io,
}

/// How far durability has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything with a Ticket up to this one is safe.
    pub synced: Ticket,
    /// Everything with a Ticket up to this one outlives this process, though perhaps not the machine. Never behind `synced`.
    pub written: Ticket,
    /// Set while no more room can be made. What was accepted stays accepted and is tried again.
    pub shortage: Option<Shortage>,
    /// No more room can be made and little is left: enough for what is under way to owners that begin nothing new.
    pub is_low: bool,
}

/// Told after every change of [`Progress`], from a thread of the log: it must not block or call back.
pub type Watch = Box<dyn Fn(Progress) + Send + Sync>;

/// The state of a partition up to a record, in the owner's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first record that the state does not contain.
    pub upto: RecordNumber,
    /// The owner's bytes.
    pub state: Vec<u8>,
}

/// The numbers of a partition that the log still may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Everything below is trimmed.
    pub low: RecordNumber,
    /// What the next record gets.
    pub next: RecordNumber,
}

/// What a replay meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A record.
    Record {
        /// Its number.
        number: RecordNumber,
        /// Its bytes, as they were appended.
        bytes: &'a [u8],
    },
    /// Records that were safe and are damaged. Some of them may have been released before.
    Lost {
        /// The first of them.
        from: RecordNumber,
        /// The first after them.
        to: RecordNumber,
    },
}

/// Why nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Another Writer has claimed the partition.
    #[error("partition {} was claimed again: epoch {} is over, {} writes", .partition.0, .epoch.0, .now.0)]
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// The claim that is over.
        epoch: Epoch,
        /// The claim that writes.
        now: Epoch,
    },
    /// The log has no such partition.
    #[error("partition {} is not below {partitions}", .partition.0)]
    NoPartition {
        /// The partition asked for.
        partition: PartitionId,
        /// How many there are.
        partitions: u16,
    },
    /// Too much waits to be written: try again after the next change of [`Progress`].
    #[error("{waiting} bytes wait to be written, the bound is {limit}")]
    Busy {
        /// Bytes that wait.
        waiting: u64,
        /// The bound.
        limit: u64,
    },
    /// There is no room, and none can be made now.
    #[error("the log has no room ({0:?})")]
    Full(Shortage),
    /// The append can never fit.
    #[error("an append of {bytes} bytes is beyond the bound of {limit}")]
    TooLarge {
        /// Bytes of the append with its overhead.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Never appended, or trimmed, or released.
    #[error("there is no such record")]
    Absent,
    /// It was safe and is damaged; a [`Notice`] says where.
    #[error("the record is damaged")]
    Lost,
    /// The device did not answer. It may do so later.
    #[error("reading failed ({0})")]
    Io(io::ErrorKind),
}

/// Something an operator should hear of. Nothing of this stops the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The last write before a crash was not finished, and nobody was told that it was. It is cut off.
    TornTail {
        /// Where.
        file: String,
        /// Offset of the cut, in bytes.
        offset: u64,
        /// Bytes cut.
        length: u64,
    },
    /// Bytes that were safe are damaged.
    Damage {
        /// Where.
        file: String,
        /// Offset in bytes.
        offset: u64,
        /// Bytes.
        length: u64,
        /// The file with a copy of them, where one could be made.
        quarantined: Option<String>,
        /// The partition, where that can be told.
        partition: Option<PartitionId>,
        /// The damaged record, where that can be told.
        number: Option<RecordNumber>,
    },
    /// Records that were safe are gone. Some of them may have been released before.
    Missing {
        /// Whose.
        partition: PartitionId,
        /// The first of them.
        from: RecordNumber,
        /// The first after them.
        to: RecordNumber,
    },
    /// A checkpoint is safe: what it makes superfluous may be trimmed and released.
    Checkpointed {
        /// Whose.
        partition: PartitionId,
        /// Up to which record.
        upto: RecordNumber,
    },
    /// A checkpoint could not be written; the one before it holds.
    CheckpointFailed {
        /// Whose.
        partition: PartitionId,
        /// Why.
        cause: io::ErrorKind,
    },
    /// A segment took a failed write or sync and is written no more; its unsynced part is written again.
    SegmentAbandoned {
        /// Which.
        file: String,
        /// Why.
        cause: io::ErrorKind,
    },
    /// Housekeeping failed; it is tried again.
    ChoreFailed {
        /// What it was doing.
        chore: &'static str,
        /// Why.
        cause: io::ErrorKind,
    },
    /// Both copies of the manifest were unreadable; it was made again from the segments' headers.
    ManifestRebuilt,
    /// A file is there that cannot belong to this log; it is left alone.
    Foreign {
        /// Which.
        file: String,
    },
}

/// A log of partitions. One value serves all threads.
pub trait Journal: Send + Sync {
    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// Becomes the Writer of a partition and fences the one before.
    ///
    /// # Errors
    /// [`AppendError::NoPartition`].
    fn claim(&self, partition: PartitionId) -> Result<Writer, AppendError>;

    /// Takes records and returns at once; they are safe when [`Progress::synced`] reaches the Ticket.
    /// What was accepted is never refused later: while the disk fails it waits.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended then, and no number was used.
    fn append(&self, writer: Writer, purpose: Purpose, records: &[&[u8]]) -> Result<Appended, AppendError>;

    /// How far durability has come.
    fn progress(&self) -> Progress;

    /// Tells `watch` after each change of [`Progress`]. Watches stay as long as the log.
    fn watch(&self, watch: Watch);

    /// Blocks until everything appended before is safe, or a shortage stops that.
    ///
    /// # Errors
    /// The [`Shortage`]; the log goes on trying.
    fn sync(&self) -> Result<Ticket, Shortage>;

    /// Puts a record's bytes in place of what `into` holds. What is appended can be read at once.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&self, partition: PartitionId, number: RecordNumber, into: &mut Vec<u8>)
    -> Result<(), ReadError>;

    /// Visits the records from a number on in ascending order, until `visit` breaks or there are no more.
    /// Records released or trimmed before a crash may come back. After opening, the newest of them may have
    /// to be made safe again: an owner calls [`Journal::sync`] before it acts on what it replayed.
    ///
    /// # Errors
    /// [`ReadError::Io`] where the device does not answer; damage is an [`Entry::Lost`].
    fn replay(
        &self,
        partition: PartitionId,
        from: RecordNumber,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;

    /// Visits the records of all partitions, each partition's in ascending order from `from(partition)`
    /// on, in the order that costs least.
    ///
    /// # Errors
    /// As [`Journal::replay`].
    fn replay_all(
        &self,
        from: &dyn Fn(PartitionId) -> RecordNumber,
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) -> Result<(), ReadError> {
        for partition in (0..self.partitions()).map(PartitionId) {
            self.replay(partition, from(partition), &mut |entry| {
                visit(partition, entry);
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    /// The numbers that the log may have.
    fn bounds(&self, partition: PartitionId) -> Bounds;

    /// Gives up all records below a number. A crash may bring them back, except below a checkpoint's trim.
    ///
    /// # Errors
    /// [`AppendError::Fenced`], [`AppendError::NoPartition`].
    fn trim(&self, writer: Writer, below: RecordNumber) -> Result<(), AppendError>;

    /// Gives up single records. One that is not written yet is left out, one that is written costs its
    /// room until its surroundings are copied. A crash may bring them back.
    ///
    /// # Errors
    /// As [`Journal::trim`].
    fn release(&self, writer: Writer, numbers: &[RecordNumber]) -> Result<(), AppendError>;

    /// Releases everything below `below` that is not in `live`, which ascends: what an owner says once
    /// after a restart, when it has loaded its state.
    ///
    /// # Errors
    /// As [`Journal::trim`].
    fn retain(
        &self,
        writer: Writer,
        below: RecordNumber,
        live: &mut dyn Iterator<Item = RecordNumber>,
    ) -> Result<(), AppendError>;

    /// Keeps the owner's state in place of the checkpoint before, atomically, once all records below `upto`
    /// are safe. [`Notice::Checkpointed`] says when that has happened.
    ///
    /// # Errors
    /// As [`Journal::trim`].
    fn checkpoint(&self, writer: Writer, checkpoint: Checkpoint) -> Result<(), AppendError>;

    /// The newest checkpoint, if there is one.
    ///
    /// # Errors
    /// [`ReadError::Lost`] if it is damaged.
    fn load(&self, partition: PartitionId) -> Result<Option<Checkpoint>, ReadError>;

    /// Takes what an operator should hear of, oldest first. At most 1,024 wait; more are dropped and counted
    /// by `Store::stat`.
    fn notices(&self) -> Vec<Notice>;
}
