//! The store: a [`Log`] with the threads that run its jobs.
//!
//! In:    the calls of the port from any thread.
//! Out:   the same log; progress told to watches.
//! Never: a decision. One thread commits, one keeps house, or the owner runs both step by step.

use crate::disk::Disk;
use crate::log::{Log, OpenError, Options, Stat};
use crate::port::{
    AppendError, Appended, Bounds, Checkpoint, Entry, Journal, Notice, PartitionId, Progress, Purpose,
    ReadError, RecordNumber, Shortage, Ticket, Watch, Writer,
};
use crate::read::Cache;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the log is idle before it confirms its last batch, and how often what failed is tried again.
const IDLE: Duration = Duration::from_millis(100);

pub(crate) struct Shared<D: Disk> {
    pub(crate) log: Mutex<Log<D>>,
    pub(crate) disk: D,
    pub(crate) caches: Vec<Mutex<Cache>>,
    /// There is something to commit.
    work: Condvar,
    /// There may be a chore.
    pub(crate) chores: Condvar,
    /// A commit or chore is done.
    pub(crate) done: Condvar,
    watches: Mutex<Vec<Watch>>,
    /// Records are read in the order of the disk: nothing may move meanwhile. Changed with the log locked.
    /// How many replays are under way.
    replaying: AtomicUsize,
    stop: AtomicBool,
    committed: AtomicBool,
}

/// A log over a [`Disk`]. Dropping it writes what waits, if the disk takes it.
pub struct Store<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
    threads: Vec<JoinHandle<()>>,
}

impl<D: Disk> std::fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl<D: Disk> Store<D> {
    /// Opens a log with its two threads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(disk: D, options: Options) -> Result<Self, OpenError> {
        let mut store = Self::manual(disk, options)?;
        store.start("log-commit", Shared::commit_loop)?;
        store.start("log-chores", Shared::chore_loop)?;
        Ok(store)
    }

    fn start(&mut self, name: &str, job: fn(&Shared<D>)) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || job(&shared));
        self.threads.push(thread.map_err(|source| OpenError::Io { call: "starting a thread", source })?);
        Ok(())
    }

    /// Opens a log without threads: [`Store::step`] does the work, one job at a time.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn manual(disk: D, options: Options) -> Result<Self, OpenError> {
        let log = Log::open(disk.clone(), options)?;
        let shared = Shared {
            caches: log.partitions.iter().map(|_| Mutex::default()).collect(),
            log: Mutex::new(log),
            disk,
            work: Condvar::new(),
            chores: Condvar::new(),
            done: Condvar::new(),
            watches: Mutex::new(Vec::new()),
            replaying: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            committed: AtomicBool::new(false),
        };
        // So that the first append finds room. Where there is none, the appends will say so.
        shared.chore_once();
        Ok(Self { shared: Arc::new(shared), threads: Vec::new() })
    }

    /// Runs one commit, or else one chore. Whether there was one.
    pub fn step(&self) -> bool {
        self.shared.commit_once(Log::flush) || self.shared.chore_once()
    }

    /// Tries again what failed, without waiting for the threads to do so.
    pub fn retry(&self) {
        guard(&self.shared.log).retry();
        self.shared.work.notify_one();
        self.shared.chores.notify_one();
    }

    /// Says on the disk what is synced, as the threads do when the log is idle.
    pub fn confirm(&self) {
        self.shared.commit_once(Log::confirm);
    }

    /// Figures for an operator.
    #[must_use]
    pub fn stat(&self) -> Stat {
        guard(&self.shared.log).stat()
    }

    /// Lends the state machine, for a simulation that runs the jobs itself.
    pub fn with<R>(&self, call: impl FnOnce(&mut Log<D>) -> R) -> R {
        call(&mut guard(&self.shared.log))
    }
}

impl<D: Disk> Shared<D> {
    fn tell(&self, progress: Progress) {
        for watch in guard(&self.watches).iter() {
            watch(progress);
        }
    }

    fn commit_once(&self, next: fn(&mut Log<D>) -> Option<crate::commit::Commit<D>>) -> bool {
        let commit = {
            let mut log = guard(&self.log);
            if self.is_replaying() { None } else { next(&mut log) }
        };
        let Some(commit) = commit else { return false };
        let committed = commit.run_and_tell(|ticket| {
            let progress = {
                let mut log = guard(&self.log);
                log.wrote(ticket);
                log.progress()
            };
            self.tell(progress);
        });
        let progress = {
            let mut log = guard(&self.log);
            log.complete(committed);
            log.progress()
        };
        self.done.notify_all();
        self.chores.notify_one();
        self.tell(progress);
        true
    }

    fn chore_once(&self) -> bool {
        let chore = {
            let mut log = guard(&self.log);
            if self.is_replaying() { None } else { log.chore() }
        };
        let Some(chore) = chore else { return false };
        let finished = chore.run();
        let progress = {
            let mut log = guard(&self.log);
            log.finish(finished);
            log.progress()
        };
        self.done.notify_all();
        self.work.notify_one();
        self.tell(progress);
        true
    }

    fn is_replaying(&self) -> bool {
        self.replaying.load(Ordering::Acquire) > 0
    }

    /// Calls `read` while records stay where they are: no batch is written and nothing is copied.
    pub(crate) fn while_nothing_moves<R>(&self, read: impl FnOnce() -> R) -> R {
        let mut log = guard(&self.log);
        self.replaying.fetch_add(1, Ordering::AcqRel);
        while log.inflight.is_some() || log.chore_out {
            log = self.done.wait(log).unwrap_or_else(PoisonError::into_inner);
        }
        drop(log);
        let result = read();
        self.replaying.fetch_sub(1, Ordering::AcqRel);
        self.work.notify_one();
        self.chores.notify_one();
        result
    }

    fn commit_loop(&self) {
        loop {
            while self.commit_once(Log::flush) {}
            let log = guard(&self.log);
            let (synced, wanted) = (log.progress().synced, log.last_ticket());
            if self.stop.load(Ordering::Acquire) && (synced >= wanted || log.stalled().is_some()) {
                break;
            }
            if synced < wanted && !log.waits_for_room() && !self.is_replaying() {
                continue;
            }
            let (mut log, timeout) =
                self.work.wait_timeout(log, IDLE).unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                log.retry();
                drop(log);
                self.commit_once(Log::confirm);
            }
        }
        self.commit_once(Log::confirm);
        self.committed.store(true, Ordering::Release);
        self.chores.notify_one();
    }

    fn chore_loop(&self) {
        loop {
            while self.chore_once() {}
            let log = guard(&self.log);
            if self.committed.load(Ordering::Acquire) {
                return;
            }
            let (mut log, timeout) =
                self.chores.wait_timeout(log, IDLE).unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                log.retry();
            }
        }
    }
}

impl<D: Disk> Log<D> {
    /// Whether what waits has nowhere to go until a chore or a retry.
    fn waits_for_room(&self) -> bool {
        let size = self.queue.front().map_or_else(|| self.open.size(), |batch| batch.size());
        let room = self.active.is_some_and(|file| self.remaining(file) >= size) || self.spare.is_some();
        self.inflight.is_some() || self.paused || !room
    }

    /// The shortage that keeps what waits from being written.
    pub(crate) fn stalled(&self) -> Option<Shortage> {
        let stuck = self.inflight.is_none() && !self.chore_out && self.waits_for_room();
        self.shortage.filter(|_| stuck)
    }
}

impl<D: Disk> Drop for Store<D> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.work.notify_one();
        for thread in self.threads.drain(..) {
            // A thread of ours that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl<D: Disk> Journal for Store<D> {
    fn partitions(&self) -> u16 {
        self.with(|log| log.options.partitions)
    }

    fn claim(&self, partition: PartitionId) -> Result<Writer, AppendError> {
        self.with(|log| log.claim(partition))
    }

    fn append(&self, writer: Writer, purpose: Purpose, records: &[&[u8]]) -> Result<Appended, AppendError> {
        let appended = self.with(|log| log.append(writer, purpose, records))?;
        self.shared.work.notify_one();
        Ok(appended)
    }

    fn progress(&self) -> Progress {
        self.with(|log| log.progress())
    }

    fn watch(&self, watch: Watch) {
        guard(&self.shared.watches).push(watch);
    }

    fn sync(&self) -> Result<Ticket, Shortage> {
        let wanted = self.with(|log| log.last_ticket());
        while self.threads.is_empty() && self.step() {}
        loop {
            let log = guard(&self.shared.log);
            if log.progress().synced >= wanted {
                return Ok(wanted);
            }
            if let Some(shortage) = log.stalled() {
                return Err(shortage);
            }
            if self.threads.is_empty() {
                return Err(log.progress().shortage.unwrap_or(Shortage::Io));
            }
            drop(self.shared.done.wait_timeout(log, IDLE).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn read(
        &self,
        partition: PartitionId,
        number: RecordNumber,
        into: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        self.shared.read(partition, number, into)
    }

    fn replay(
        &self,
        partition: PartitionId,
        from: RecordNumber,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.shared.replay(partition, from, visit)
    }

    fn replay_all(
        &self,
        from: &dyn Fn(PartitionId) -> RecordNumber,
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) -> Result<(), ReadError> {
        self.shared.while_nothing_moves(|| self.shared.replay_all(from, visit))
    }

    fn bounds(&self, partition: PartitionId) -> Bounds {
        self.with(|log| log.bounds(partition))
    }

    fn trim(&self, writer: Writer, below: RecordNumber) -> Result<(), AppendError> {
        self.with(|log| log.trim(writer, below))?;
        self.shared.chores.notify_one();
        Ok(())
    }

    fn release(&self, writer: Writer, numbers: &[RecordNumber]) -> Result<(), AppendError> {
        self.with(|log| log.release(writer, numbers))?;
        self.shared.chores.notify_one();
        Ok(())
    }

    fn retain(
        &self,
        writer: Writer,
        below: RecordNumber,
        live: &mut dyn Iterator<Item = RecordNumber>,
    ) -> Result<(), AppendError> {
        self.with(|log| log.retain(writer, below, live))?;
        self.shared.chores.notify_one();
        Ok(())
    }

    fn checkpoint(&self, writer: Writer, checkpoint: Checkpoint) -> Result<(), AppendError> {
        self.with(|log| log.checkpoint(writer, checkpoint))?;
        self.shared.chores.notify_one();
        Ok(())
    }

    fn load(&self, partition: PartitionId) -> Result<Option<Checkpoint>, ReadError> {
        self.shared.load(partition)
    }

    fn notices(&self) -> Vec<Notice> {
        self.with(Log::take_notices)
    }
}

pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
