//! Batches of one shard on their way to the log, and relief that goes past a batch without room.
//!
//! In:    batches of an engine; how far the log has come.
//! Out:   records appended in order; what the engine is to be told.
//! Never: a wait. What the log does not take now is offered again when it has moved.

use dunlin_engine::{JournalBatch, JournalCheckpoint};
use dunlin_store::{AppendError, Checkpoint, Journal, Purpose, RecordNumber, Ticket, Writer};
use smallvec::SmallVec;

/// Bytes of one append: a log takes some megabytes at a time.
const RUN_BYTES: usize = 1024 * 1024;

/// The log, and the right to write to it.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The log.
    pub journal: &'a dyn Journal,
    /// By partition.
    pub writers: &'a [Writer],
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("writers", &self.writers.len()).finish_non_exhaustive()
    }
}

/// What an engine is to be told of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// What it handed over is safe.
    Stored {
        /// Only what goes past a batch without room.
        relief_only: bool,
    },
    /// It is written, and outlives the process.
    Written,
}

/// A batch on its way.
#[derive(Debug, Default)]
struct Parcel {
    batch: JournalBatch,
    /// Records of it that are appended, and where the next begins in its bytes.
    appended: usize,
    start: usize,
    /// All that is appended is safe when the log has come so far.
    ticket: Option<Ticket>,
    is_open: bool,
    /// The engine was told that all of it is written.
    is_written: bool,
}

/// Batches of one shard.
#[derive(Debug)]
pub struct Scribe {
    /// Records of one append at most.
    run: usize,
    /// What happened. Until all of it is safe there is no other.
    batch: Parcel,
    /// The log has no room for the rest of it.
    is_stuck: bool,
    /// The progress of Sessions that goes past it. The engine counts what the stuck batch itself has of it as the first.
    relief: Parcel,
    /// Checkpoints that are being written, with the records that they make superfluous.
    checkpoints: Vec<(u16, u64, Vec<u64>)>,
}

impl Parcel {
    /// Takes another batch of the engine.
    fn open(&mut self, write: impl FnOnce(&mut JournalBatch)) {
        self.batch.clear();
        write(&mut self.batch);
        (self.appended, self.start, self.ticket) = (0, 0, None);
        (self.is_open, self.is_written) = (true, false);
    }

    /// Appends what is not, in order, as every record has its number already.
    fn append(&mut self, desk: Desk<'_>, most: usize) -> Result<(), AppendError> {
        while self.is_open && self.appended < self.batch.records.len() {
            self.append_run(desk, most)?;
        }
        Ok(())
    }

    /// Appends records of one partition and kind, as many as follow each other, and no more than `most`.
    fn append_run(&mut self, desk: Desk<'_>, most: usize) -> Result<(), AppendError> {
        let JournalBatch { records, bytes, .. } = &self.batch;
        let first = records[self.appended];
        let mut run = SmallVec::<[&[u8]; 64]>::new();
        let mut begin = self.start;
        for record in records[self.appended..].iter().take(most) {
            // One by itself may be larger.
            let is_too_much = !run.is_empty() && record.end - self.start > RUN_BYTES;
            if is_too_much || record.partition != first.partition {
                break;
            }
            run.push(&bytes[begin..record.end]);
            begin = record.end;
        }
        let purpose = if first.relief { Purpose::Relief } else { Purpose::Growth };
        let writer = desk.writers[usize::from(first.partition)];
        let appended = loop {
            match desk.journal.append(writer, purpose, &run) {
                // A log of small segments takes less at a time.
                Err(AppendError::TooLarge { .. }) if run.len() > 1 => run.truncate(run.len() / 2),
                done => break done?,
            }
        };
        assert!(
            appended.first.0 == first.number,
            "record {} of partition {} became {}",
            first.number,
            first.partition,
            appended.first.0
        );
        self.appended += run.len();
        self.start = records[self.appended - 1].end;
        self.ticket = Some(appended.ticket);
        Ok(())
    }

    /// Is nothing of it behind the Ticket?
    fn is_done(&self, reached: Ticket) -> bool {
        let is_appended = self.appended == self.batch.records.len();
        !self.is_open || is_appended && self.ticket.is_none_or(|ticket| ticket <= reached)
    }

    /// Is the next of it, if there is one, no relief? That comes first.
    fn is_relief_appended(&self) -> bool {
        self.batch.records.get(self.appended).is_none_or(|record| !record.relief)
    }

    /// Is all of it that relieves the log safe?
    fn is_relief_done(&self, synced: Ticket) -> bool {
        self.is_relief_appended() && self.ticket.is_none_or(|ticket| ticket <= synced)
    }
}

impl Scribe {
    /// One that has nothing yet and appends at most `run` records at a time, which is more than none; several make it cheaper.
    #[must_use]
    pub fn new(run: usize) -> Self {
        let (batch, relief) = (Parcel::default(), Parcel::default());
        Self { run: run.max(1), batch, is_stuck: false, relief, checkpoints: Vec::new() }
    }

    /// Is nothing on its way?
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        !self.batch.is_open && !self.relief.is_open
    }

    /// Has the log no room for the batch?
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// May the engine hand over another batch?
    #[must_use]
    pub const fn takes_more(&self) -> bool {
        !self.relief.is_open && (!self.batch.is_open || self.is_stuck)
    }

    /// Is something on its way of which the engine does not know that it is written?
    #[must_use]
    pub const fn awaits_write(&self) -> bool {
        self.batch.is_open && !self.batch.is_written
    }

    /// Takes a batch; while the log has no room, one of relief. Only where it [takes more](Self::takes_more).
    pub fn take(&mut self, write: impl FnOnce(&mut JournalBatch)) {
        if self.is_stuck { self.relief.open(write) } else { self.batch.open(write) }
    }

    /// Appends what of the batch is not. `Some` where that tells whether the log has room for it, and it was otherwise before.
    ///
    /// # Errors
    /// Those that waiting does not mend.
    pub fn append_rest(&mut self, desk: Desk<'_>) -> Result<Option<bool>, AppendError> {
        if !self.batch.is_open {
            return Ok(None);
        }
        let was_stuck = self.is_stuck;
        match self.batch.append(desk, self.run) {
            Ok(()) => {
                self.is_stuck = false;
                release(desk, &mut self.batch.batch.releases)?;
                self.begin_checkpoints(desk)?;
            }
            Err(AppendError::Full(_)) => {
                self.is_stuck = true;
                if !was_stuck {
                    release(desk, &mut self.batch.batch.releases)?;
                    // What the batch itself has of relief is the first.
                    if !self.relief.is_open {
                        self.relief.open(|_| ());
                    }
                }
            }
            // While too much waits to be written, nobody knows whether there will be room.
            Err(AppendError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok((self.is_stuck != was_stuck).then_some(self.is_stuck))
    }

    fn begin_checkpoints(&mut self, desk: Desk<'_>) -> Result<(), AppendError> {
        for JournalCheckpoint { partition, upto, state, releases } in self.batch.batch.checkpoints.drain(..) {
            let checkpoint = Checkpoint { upto: RecordNumber(upto), state };
            desk.journal.checkpoint(desk.writers[usize::from(partition)], checkpoint)?;
            self.checkpoints.push((partition, upto, releases));
        }
        Ok(())
    }

    /// What lets the log keep less goes there though it has no room for the batch, and `releases` are given up. Where even the reserve
    /// is used up, relief waits, as the records have their numbers.
    ///
    /// # Errors
    /// Those that waiting does not mend.
    pub fn relieve(&mut self, desk: Desk<'_>, releases: &mut Vec<(u16, u64)>) -> Result<(), AppendError> {
        release(desk, releases)?;
        if self.relief.is_open && (!self.batch.is_open || self.batch.is_relief_appended()) {
            release(desk, &mut self.relief.batch.releases)?;
            match self.relief.append(desk, self.run) {
                Ok(()) | Err(AppendError::Full(_) | AppendError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the engine has to hear, now that the log has come so far. `writes`: somebody waits for what is written and no more.
    pub fn hear(&mut self, synced: Ticket, written: Ticket, writes: bool) -> Option<News> {
        let Self { batch, relief, .. } = self;
        if batch.is_open && batch.is_done(synced) && relief.is_done(synced) {
            (batch.is_open, relief.is_open) = (false, false);
            Some(News::Stored { relief_only: false })
        } else if relief.is_open && batch.is_relief_done(synced) && relief.is_done(synced) {
            relief.is_open = false;
            Some(News::Stored { relief_only: true })
        } else if writes && batch.is_open && !batch.is_written && batch.is_done(written) {
            batch.is_written = true;
            Some(News::Written)
        } else {
            None
        }
    }

    /// A checkpoint is safe: what it replaces may go.
    ///
    /// # Errors
    /// Where the log does not let go of it.
    pub fn checkpointed(&mut self, desk: Desk<'_>, partition: u16, upto: u64) -> Result<(), AppendError> {
        let mut replaced = Vec::new();
        self.checkpoints.retain_mut(|(of, until, releases)| {
            let is_done = *of == partition && *until <= upto;
            if is_done {
                replaced.extend(releases.drain(..).map(|number| (partition, number)));
            }
            !is_done
        });
        release(desk, &mut replaced)
    }
}

/// Gives up records; by partition, as the log wants it.
fn release(desk: Desk<'_>, releases: &mut Vec<(u16, u64)>) -> Result<(), AppendError> {
    releases.sort_unstable();
    for run in releases.chunk_by(|a, b| a.0 == b.0) {
        let numbers: Vec<_> = run.iter().map(|(_, number)| RecordNumber(*number)).collect();
        desk.journal.release(desk.writers[usize::from(run[0].0)], &numbers)?;
    }
    releases.clear();
    Ok(())
}
