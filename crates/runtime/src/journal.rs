//! A shard's part in the log: its batches on their way there, and what comes back.
//!
//! In:    batches of the engine; how far the log has come.
//! Out:   records appended in order; events that say when they are safe, or that there is no room.
//! Never: a wait. What the log does not take now is offered again when it has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use dunlin_engine::{Event, JOURNAL_PARTITIONS, JournalBatch, JournalCheckpoint, ShardId, Time};
use dunlin_store::{
    AppendError, Checkpoint, Journal, PartitionId, Progress, Purpose, RecordNumber, Ticket, Writer,
};
use tracing::{error, warn};

use crate::clock;
use crate::shard::Shard;

/// The log, and how far it has come, for all shards.
pub(crate) struct Log {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) writers: Box<[Writer]>,
    synced: AtomicU64,
    written: AtomicU64,
    /// Somebody waits for what is written only.
    writes: bool,
    /// Shards whose batch it has no room for.
    stuck: AtomicUsize,
    /// It will soon have none.
    is_low: AtomicBool,
    /// Shards that want to be woken when it moves: [`WAITS`], or as soon as it has written [`WAITS_FOR_WRITE`].
    waiting: Box<[AtomicU8]>,
}

const WAITS: u8 = 1;
const WAITS_FOR_WRITE: u8 = 2;

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("synced", &self.synced).finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        writers: Box<[Writer]>,
        shards: usize,
        writes: bool,
    ) -> Self {
        let Progress { synced, written, is_low, .. } = journal.progress();
        let (synced, written) = (AtomicU64::new(synced.0), AtomicU64::new(written.0));
        let waiting = (0..shards).map(|_| AtomicU8::new(0)).collect();
        let (stuck, is_low) = (AtomicUsize::new(0), AtomicBool::new(is_low));
        Self { journal, writers, synced, written, writes, stuck, is_low, waiting }
    }

    /// Has it no room for somebody's batch, or only for what is under way? Then there is none for what comes now, whoever brings it.
    fn is_short(&self) -> bool {
        self.is_low.load(Ordering::SeqCst) || self.stuck.load(Ordering::SeqCst) > 0
    }

    /// A shard's batch has found no room, or has found it. True where all shards are to hear of it.
    fn set_stuck(&self, is_stuck: bool) -> bool {
        if is_stuck {
            self.stuck.fetch_add(1, Ordering::SeqCst) == 0
        } else {
            self.stuck.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// What it says of its room. True where that is news.
    fn set_low(&self, progress: &Progress) -> bool {
        let is_news = self.is_low.swap(progress.is_low, Ordering::SeqCst) != progress.is_low;
        match progress.shortage.filter(|_| progress.is_low) {
            _ if !is_news => {}
            Some(shortage) => {
                warn!(target: "dunlin::journal", ?shortage, "the log has no room: what would need it is refused");
            }
            None => warn!(target: "dunlin::journal", "the log has room again"),
        }
        is_news
    }

    /// The log has moved. Which shards are to be woken.
    pub(crate) fn moved(&self, progress: Progress) -> impl Iterator<Item = ShardId> {
        let wrote = self.written.fetch_max(progress.written.0, Ordering::SeqCst) < progress.written.0;
        let synced = self.synced.fetch_max(progress.synced.0, Ordering::SeqCst) < progress.synced.0;
        // Half a commit is news only to those who wait for no more; the other half follows. How much room there is concerns all.
        let has_turned = self.set_low(&progress);
        let least = if wrote && !synced { WAITS_FOR_WRITE } else { WAITS };
        let is_woken = move |waiting: &AtomicU8| {
            let waits = waiting.load(Ordering::SeqCst) >= least && waiting.swap(0, Ordering::SeqCst) > 0;
            waits || has_turned
        };
        let woken = self.waiting.iter().enumerate().filter(move |(_, waiting)| is_woken(waiting));
        woken.filter_map(|(index, _)| ShardId::new(index))
    }
}

/// A batch on its way to the log.
#[derive(Debug, Default)]
struct Parcel {
    batch: JournalBatch,
    /// Records of it that are appended, and where the next begins in its bytes.
    appended: usize,
    start: usize,
    /// When the log was offered all of it for the first time.
    since: Time,
    /// All that is appended is safe when the log has come so far.
    ticket: Option<Ticket>,
    is_open: bool,
    /// The engine was told that all of it is written.
    is_written: bool,
}

/// Batches of one shard on their way to the log.
#[derive(Debug, Default)]
pub(crate) struct Scribe {
    /// What happened. Until all of it is safe there is no other.
    batch: Parcel,
    /// The log has no room for the rest of it.
    is_stuck: bool,
    /// The engine was told that it has none for some shard's.
    is_short: bool,
    /// The progress of Sessions that goes past it. The engine counts what the stuck batch itself has of it as the first.
    relief: Parcel,
    releases: Vec<(u16, u64)>,
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
    fn append(&mut self, log: &Log) -> Option<AppendError> {
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

    /// Is nothing of it unsafe?
    fn is_done(&self, synced: Ticket) -> bool {
        let is_appended = self.appended == self.batch.records.len();
        !self.is_open || is_appended && self.ticket.is_none_or(|ticket| ticket <= synced)
    }

    /// Is all of it that relieves the log safe? It comes first.
    fn is_relief_done(&self, synced: Ticket) -> bool {
        let is_appended = self.batch.records.get(self.appended).is_none_or(|record| !record.relief);
        is_appended && self.ticket.is_none_or(|ticket| ticket <= synced)
    }
}

impl Shard {
    /// Tells the engine what has become safe and takes what is to be written.
    pub(crate) fn turn_journal(&mut self) {
        if self.shared.log.get().is_none() {
            return;
        }
        self.look_for_room();
        // Once more where something was stored: its end may have been waited for to begin the next.
        for _ in 0..2 {
            self.append_rest();
            self.relieve_log();
            self.look_at_log();
            let due = self.engine.write_deadline().is_some_and(|at| at <= self.now);
            let Scribe { batch, relief, is_stuck, .. } = &self.scribe;
            if !due || relief.is_open || batch.is_open && !is_stuck {
                break;
            }
            if *is_stuck {
                self.scribe.relief.open(|batch| self.engine.write(self.now, batch));
                self.relieve_log();
            } else {
                self.write_batch(self.now);
            }
        }
    }

    fn write_batch(&mut self, now: Time) {
        self.scribe.batch.open(|batch| self.engine.write(now, batch));
        let began = clock::now();
        self.append_rest();
        self.scribe.batch.since = clock::now();
        self.timing.append.record(self.scribe.batch.since.since(began));
    }

    /// Appends what of the batch is not.
    fn append_rest(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let scribe = &mut self.scribe;
        if !scribe.batch.is_open {
            return;
        }
        let refused = scribe.batch.append(log);
        let was_stuck = scribe.is_stuck;
        // While too much waits to be written, nobody knows whether there will be room.
        scribe.is_stuck = match refused {
            Some(AppendError::Full(_)) => true,
            Some(AppendError::Busy { .. }) => was_stuck,
            _ => false,
        };
        match refused {
            None => {
                release(log, &mut scribe.batch.batch.releases);
                for JournalCheckpoint { partition, upto, state, releases } in
                    scribe.batch.batch.checkpoints.drain(..)
                {
                    begin_checkpoint(log, partition, upto, state);
                    scribe.checkpoints.push((partition, upto, releases));
                }
            }
            Some(AppendError::Full(_)) if !was_stuck => {
                release(log, &mut scribe.batch.batch.releases);
                if !scribe.relief.is_open {
                    scribe.relief.open(|_| ());
                }
            }
            Some(AppendError::Full(_) | AppendError::Busy { .. }) => {}
            Some(error) => error!(target: "dunlin::journal", %error, "the log takes no more"),
        }
        if scribe.is_stuck != was_stuck {
            self.room_changed();
        }
    }

    /// The log has no room for the batch any more, or has it again: the other shards are to know, as their messages may need room here.
    fn room_changed(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let is_stuck = self.scribe.is_stuck;
        if log.set_stuck(is_stuck) {
            let post = &self.shared.post;
            post.map().iter().filter(|shard| *shard != self.id()).for_each(|shard| post.inbox(shard).nudge());
        }
        self.handle(Event::JournalFull(is_stuck));
        self.look_for_room();
    }

    /// Tells the engine whether the log has room for what others hand over.
    fn look_for_room(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        if log.is_low.load(Ordering::SeqCst) {
            // Two threads of the log may have told what they know in the wrong order.
            log.set_low(&log.journal.progress());
        }
        let is_short = log.is_short();
        if std::mem::replace(&mut self.scribe.is_short, is_short) != is_short {
            self.handle(Event::JournalShort(is_short));
        }
    }

    /// While the log has no room, what lets it keep less goes there all the same. Where even the reserve is used up, it waits, as
    /// the records have their numbers; but what is not needed any more is given up in any case.
    fn relieve_log(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let scribe = &mut self.scribe;
        if scribe.is_stuck {
            self.engine.take_releases(&mut scribe.releases);
            release(log, &mut scribe.releases);
        }
        let main = &scribe.batch;
        let is_next =
            !main.is_open || main.batch.records.get(main.appended).is_none_or(|record| !record.relief);
        if scribe.relief.is_open && is_next {
            release(log, &mut scribe.relief.batch.releases);
            match scribe.relief.append(log) {
                None | Some(AppendError::Full(_) | AppendError::Busy { .. }) => {}
                Some(error) => error!(target: "dunlin::journal", %error, "the log takes no more"),
            }
        }
    }

    /// Tells the engine what is safe.
    fn look_at_log(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let shard = self.id().index();
        let Scribe { batch, relief, .. } = &mut self.scribe;
        if batch.is_open || relief.is_open {
            // Before the look: what moves after it wakes the shard.
            let waits_for_write = log.writes && batch.is_open && !batch.is_written;
            let waits = if waits_for_write { WAITS_FOR_WRITE } else { WAITS };
            log.waiting[shard].store(waits, Ordering::SeqCst);
        }
        let synced = Ticket(log.synced.load(Ordering::SeqCst));
        if batch.is_open && batch.is_done(synced) && relief.is_done(synced) {
            (batch.is_open, relief.is_open) = (false, false);
            self.timing.commit.record(clock::now().since(batch.since));
            self.handle(Event::Stored { relief_only: false });
        } else if relief.is_open && batch.is_relief_done(synced) && relief.is_done(synced) {
            relief.is_open = false;
            self.handle(Event::Stored { relief_only: true });
        } else if log.writes
            && batch.is_open
            && !batch.is_written
            && batch.is_done(Ticket(log.written.load(Ordering::SeqCst)))
        {
            batch.is_written = true;
            log.waiting[shard].store(WAITS, Ordering::SeqCst);
            self.handle(Event::Written);
        }
    }

    /// A checkpoint is safe: what it replaces may go.
    pub(crate) fn checkpointed(&mut self, partition: u16, upto: u64) {
        let Some(log) = self.shared.log.get() else { return };
        self.scribe.checkpoints.retain_mut(|(of, until, releases)| {
            let is_done = *of == partition && *until <= upto;
            if is_done {
                release(log, &mut releases.drain(..).map(|number| (partition, number)).collect());
            }
            !is_done
        });
    }

    /// At the end: everything that happened goes to the log. What it does not take is lost, and was promised to nobody.
    pub(crate) fn finish_journal(&mut self) {
        if self.shared.log.get().is_none() {
            return;
        }
        let never = Time::from_micros(u64::MAX);
        for _ in 0..8 {
            self.append_rest();
            self.relieve_log();
            if let Some(log) = self.shared.log.get()
                && log.journal.sync().is_ok()
            {
                log.moved(log.journal.progress()).for_each(drop);
            }
            self.look_at_log();
            if self.scribe.batch.is_open || self.engine.write_deadline().is_none() {
                return;
            }
            self.write_batch(never);
        }
    }
}

/// Appends records of one partition and kind, as many as follow each other. How many of the batch are appended then, where the next
/// begins, and when they are safe.
fn append_run(
    log: &Log,
    batch: &JournalBatch,
    from: usize,
    start: usize,
) -> Result<(usize, usize, Ticket), AppendError> {
    /// Records of one append; several make it cheaper.
    const RUN: usize = 1024;
    /// Their bytes: a log takes some megabytes at a time.
    const RUN_BYTES: usize = 1024 * 1024;
    let first = batch.records[from];
    let (mut at, mut begin) = (from, start);
    let mut records: smallvec::SmallVec<[&[u8]; 64]> = smallvec::SmallVec::new();
    while let Some(record) = batch.records.get(at)
        && record.partition == first.partition
        && records.len() < RUN
        // One by itself may be larger.
        && (records.is_empty() || record.end - start <= RUN_BYTES)
    {
        records.push(&batch.bytes[begin..record.end]);
        begin = record.end;
        at += 1;
    }
    let purpose = if first.relief { Purpose::Relief } else { Purpose::Growth };
    let writer = log.writers[usize::from(first.partition)];
    let appended = log.journal.append(writer, purpose, &records)?;
    assert!(
        appended.first.0 == first.number,
        "record {} of partition {} became {}",
        first.number,
        first.partition,
        appended.first.0
    );
    Ok((at, begin, appended.ticket))
}

/// Gives up records; by partition, as the log wants it.
fn release(log: &Log, releases: &mut Vec<(u16, u64)>) {
    releases.sort_unstable();
    for run in releases.chunk_by(|a, b| a.0 == b.0) {
        let numbers: Vec<_> = run.iter().map(|(_, number)| RecordNumber(*number)).collect();
        if let Err(error) = log.journal.release(log.writers[usize::from(run[0].0)], &numbers) {
            error!(target: "dunlin::journal", %error, "records cannot be released");
        }
    }
    releases.clear();
}

fn begin_checkpoint(log: &Log, partition: u16, upto: u64, state: Vec<u8>) {
    let checkpoint = Checkpoint { upto: RecordNumber(upto), state };
    if let Err(error) = log.journal.checkpoint(log.writers[usize::from(partition)], checkpoint) {
        error!(target: "dunlin::journal", %error, "no checkpoint can be written");
    }
}

/// Becomes the writer of every partition.
///
/// # Errors
/// Where the log has fewer partitions than are needed.
pub(crate) fn claim_all(journal: &dyn Journal) -> Result<Box<[Writer]>, AppendError> {
    (0..JOURNAL_PARTITIONS).map(|partition| journal.claim(PartitionId(partition))).collect()
}
