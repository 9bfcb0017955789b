//! A shard's part in the log: its batches on their way there, and what comes back.
//!
//! In:    batches of the engine; how far the log has come.
//! Out:   records appended in order; events that say when they are safe, or that there is no room.
//! Never: a wait. What the log does not take now is offered again when it has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use dunlin_engine::{Event, ShardId, Time};
use dunlin_scribe::{Desk, News, Scribe};
use dunlin_store::{AppendError, Journal, Progress, Ticket, Writer};
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

/// Records of one append at most.
const RUN: usize = 1024;
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

    fn desk(&self) -> Desk<'_> {
        Desk { journal: &*self.journal, writers: &self.writers }
    }

    /// What it took. It has no reason to refuse anything but one that passes; another is a fault of ours, which must be seen.
    fn expect_taken<T>(&self, taken: Result<T, AppendError>) -> Option<T> {
        taken.inspect_err(|error| error!(target: "dunlin::journal", %error, "the log takes no more")).ok()
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

/// A shard's part in the log.
#[derive(Debug)]
pub(crate) struct Part {
    scribe: Scribe,
    /// When the log was offered the batch for the first time.
    since: Time,
    /// The engine was told that the log has no room for some shard's.
    is_short: bool,
    releases: Vec<(u16, u64)>,
}

impl Default for Part {
    fn default() -> Self {
        Self { scribe: Scribe::new(RUN), since: Time::default(), is_short: false, releases: Vec::new() }
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
            if !due || !self.part.scribe.takes_more() {
                break;
            }
            self.write_batch(self.now);
        }
    }

    fn write_batch(&mut self, now: Time) {
        self.part.scribe.take(|batch| self.engine.write(now, batch));
        if self.part.scribe.is_stuck() {
            return self.relieve_log();
        }
        let began = clock::now();
        self.append_rest();
        self.part.since = clock::now();
        self.timing.append.record(self.part.since.since(began));
    }

    /// Appends what of the batch is not.
    fn append_rest(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let appended = self.part.scribe.append_rest(log.desk());
        if let Some(is_stuck) = log.expect_taken(appended).flatten() {
            self.room_changed(is_stuck);
        }
    }

    /// The log has no room for the batch any more, or has it again: the other shards are to know, as their messages may need room here.
    fn room_changed(&mut self, is_stuck: bool) {
        let Some(log) = self.shared.log.get() else { return };
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
        if std::mem::replace(&mut self.part.is_short, is_short) != is_short {
            self.handle(Event::JournalShort(is_short));
        }
    }

    /// While the log has no room, what lets it keep less goes there all the same, and what is not needed any more is given up.
    fn relieve_log(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let Part { scribe, releases, .. } = &mut self.part;
        if scribe.is_stuck() {
            self.engine.take_releases(releases);
        }
        log.expect_taken(scribe.relieve(log.desk(), releases));
    }

    /// Tells the engine what is safe.
    fn look_at_log(&mut self) {
        let Some(log) = self.shared.log.get() else { return };
        let waiting = &log.waiting[self.id().index()];
        let Part { scribe, since, .. } = &mut self.part;
        if !scribe.is_idle() {
            // Before the look: what moves after it wakes the shard.
            let waits = if log.writes && scribe.awaits_write() { WAITS_FOR_WRITE } else { WAITS };
            waiting.store(waits, Ordering::SeqCst);
        }
        let synced = Ticket(log.synced.load(Ordering::SeqCst));
        let written = Ticket(log.written.load(Ordering::SeqCst));
        match scribe.hear(synced, written, log.writes) {
            None => {}
            Some(News::Stored { relief_only }) => {
                if !relief_only {
                    self.timing.commit.record(clock::now().since(*since));
                }
                self.handle(Event::Stored { relief_only });
            }
            Some(News::Written) => {
                waiting.store(WAITS, Ordering::SeqCst);
                self.handle(Event::Written);
            }
        }
    }

    /// A checkpoint is safe: what it replaces may go.
    pub(crate) fn checkpointed(&mut self, partition: u16, upto: u64) {
        let Some(log) = self.shared.log.get() else { return };
        log.expect_taken(self.part.scribe.checkpointed(log.desk(), partition, upto));
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
            if !self.part.scribe.is_idle() || self.engine.write_deadline().is_none() {
                return;
            }
            self.write_batch(never);
        }
    }
}
