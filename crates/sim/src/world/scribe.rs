//! A shard's part in the log, as the runtime does it: batches on their way, relief that goes past a batch without room.
//!
//! In:    batches of an engine; how far the log has come.
//! Out:   records appended in order; what the engine is to be told.
//! Never: an answer before the log gave one.

use dunlin_engine::{JournalBatch, JournalCheckpoint};
use dunlin_store::{
    AppendError, Checkpoint, Journal, Purpose, RecordNumber, Store, Ticket, Writer, sim_disk::SimDisk,
};

use crate::model::{Broken, ensure};

/// Records of one append at most, so that a batch is torn between them now and then.
const RUN: usize = 24;

/// The log as a shard sees it.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) store: &'a Store<SimDisk>,
    pub(super) writers: &'a [Writer],
    /// Bytes of one append at most; a record by itself may have more.
    pub(super) run_bytes: usize,
}

/// What an engine is to be told of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Stored { relief_only: bool },
    Written,
}

/// A batch on its way.
#[derive(Debug, Default)]
struct Parcel {
    batch: JournalBatch,
    appended: usize,
    start: usize,
    ticket: Option<Ticket>,
    is_open: bool,
    is_written: bool,
}

/// Batches of one shard.
#[derive(Debug, Default)]
pub(super) struct Scribe {
    batch: Parcel,
    is_stuck: bool,
    /// The engine knows that the log has no room for some shard.
    pub(super) is_short: bool,
    relief: Parcel,
    /// Checkpoints that are being written, with the records that they make superfluous.
    checkpoints: Vec<(u16, u64, Vec<u64>)>,
}

impl Parcel {
    fn open(&mut self, batch: JournalBatch) {
        *self = Self { batch, is_open: true, ..Self::default() };
    }

    fn append(&mut self, log: Log<'_>) -> Option<AppendError> {
        while self.is_open && self.appended < self.batch.records.len() {
            match append_run(log, &self.batch, self.appended, self.start) {
                Ok((count, end, ticket)) => {
                    (self.appended, self.start, self.ticket) = (count, end, Some(ticket));
                }
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn is_done(&self, reached: Ticket) -> bool {
        let is_appended = self.appended == self.batch.records.len();
        !self.is_open || is_appended && self.ticket.is_none_or(|ticket| ticket <= reached)
    }

    fn is_relief_done(&self, synced: Ticket) -> bool {
        let is_appended = self.batch.records.get(self.appended).is_none_or(|record| !record.relief);
        is_appended && self.ticket.is_none_or(|ticket| ticket <= synced)
    }
}

impl Scribe {
    /// Is nothing on its way?
    pub(super) const fn is_idle(&self) -> bool {
        !self.batch.is_open && !self.relief.is_open
    }

    /// Has the log no room for the batch?
    pub(super) const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// May the engine hand over another batch?
    pub(super) const fn takes_more(&self) -> bool {
        !self.relief.is_open && (!self.batch.is_open || self.is_stuck)
    }

    /// Takes a batch; while the log has no room, one of relief.
    pub(super) fn take(&mut self, batch: JournalBatch) {
        if self.is_stuck { self.relief.open(batch) } else { self.batch.open(batch) }
    }

    /// Appends what of the batch is not. Whether the log has become full, or is no more.
    pub(super) fn append_rest(&mut self, log: Log<'_>) -> Result<Option<bool>, Broken> {
        if !self.batch.is_open {
            return Ok(None);
        }
        let refused = self.batch.append(log);
        let was_stuck = self.is_stuck;
        self.is_stuck = match refused {
            Some(AppendError::Full(_)) => true,
            Some(AppendError::Busy { .. }) => was_stuck,
            None => false,
            Some(error) => return refused_for_good(error),
        };
        if refused.is_none() {
            release(log, &mut self.batch.batch.releases)?;
            for JournalCheckpoint { partition, upto, state, releases } in
                self.batch.batch.checkpoints.drain(..)
            {
                let checkpoint = Checkpoint { upto: RecordNumber(upto), state };
                log.store.checkpoint(log.writers[usize::from(partition)], checkpoint).map_err(broken)?;
                self.checkpoints.push((partition, upto, releases));
            }
        } else if self.is_stuck && !was_stuck {
            release(log, &mut self.batch.batch.releases)?;
        }
        if self.is_stuck == was_stuck {
            return Ok(None);
        }
        if self.is_stuck && !self.relief.is_open {
            self.relief.open(JournalBatch::default());
        }
        Ok(Some(self.is_stuck))
    }

    /// While the log has no room, what lets it keep less goes there all the same.
    pub(super) fn relieve(&mut self, log: Log<'_>, releases: &mut Vec<(u16, u64)>) -> Result<(), Broken> {
        release(log, releases)?;
        let main = &self.batch;
        let is_next =
            !main.is_open || main.batch.records.get(main.appended).is_none_or(|record| !record.relief);
        if self.relief.is_open && is_next {
            release(log, &mut self.relief.batch.releases)?;
            match self.relief.append(log) {
                None | Some(AppendError::Full(_) | AppendError::Busy { .. }) => {}
                Some(error) => return refused_for_good(error),
            }
        }
        Ok(())
    }

    /// What has become safe. `writes`: somebody waits for what is written and no more.
    pub(super) fn hear(&mut self, synced: Ticket, written: Ticket, writes: bool) -> Option<News> {
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
    pub(super) fn checkpointed(&mut self, log: Log<'_>, partition: u16, upto: u64) -> Result<(), Broken> {
        let is_done = |of: u16, until: u64| of == partition && until <= upto;
        for (of, until, releases) in &mut self.checkpoints {
            if is_done(*of, *until) {
                release(log, &mut releases.drain(..).map(|number| (partition, number)).collect())?;
            }
        }
        self.checkpoints.retain(|(of, until, _)| !is_done(*of, *until));
        Ok(())
    }
}

fn refused_for_good<T>(error: AppendError) -> Result<T, Broken> {
    Err(broken(error))
}

fn broken(error: AppendError) -> Broken {
    Broken { rule: "the log takes no more", detail: error.to_string() }
}

fn append_run(
    log: Log<'_>,
    batch: &JournalBatch,
    from: usize,
    start: usize,
) -> Result<(usize, usize, Ticket), AppendError> {
    let first = batch.records[from];
    let (mut at, mut begin) = (from, start);
    let mut records: Vec<&[u8]> = Vec::new();
    while let Some(record) = batch.records.get(at)
        && record.partition == first.partition
        && records.len() < RUN
        && (records.is_empty() || record.end - start <= log.run_bytes)
    {
        records.push(&batch.bytes[begin..record.end]);
        begin = record.end;
        at += 1;
    }
    let purpose = if first.relief { Purpose::Relief } else { Purpose::Growth };
    let appended = log.store.append(log.writers[usize::from(first.partition)], purpose, &records)?;
    assert!(
        appended.first.0 == first.number,
        "record {} of partition {} became {}",
        first.number,
        first.partition,
        appended.first.0
    );
    Ok((at, begin, appended.ticket))
}

fn release(log: Log<'_>, releases: &mut Vec<(u16, u64)>) -> Result<(), Broken> {
    releases.sort_unstable();
    for run in releases.chunk_by(|a, b| a.0 == b.0) {
        let numbers: Vec<_> = run.iter().map(|(_, number)| RecordNumber(*number)).collect();
        let released = log.store.release(log.writers[usize::from(run[0].0)], &numbers);
        ensure(released.is_ok(), "records cannot be released", || format!("{released:?}"))?;
    }
    releases.clear();
    Ok(())
}
