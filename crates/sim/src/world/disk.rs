//! The log of the simulated Server: the real one, over a disk that loses, tears, fails and fills.
//!
//! In:    what shards write and release; when the disk gets to do something; when the process or the power goes.
//! Out:   what is written, what is safe, records; engines with all that is left.
//! Never: threads: each write, sync and chore is a step of its own, and the end may come before any of them.

use dunlin_engine::{Effects, Engine, JOURNAL_PARTITIONS, ShardMap, Time};
use dunlin_scribe::{Desk, Reader, Scribe, claim_all};
use dunlin_store::sim_disk::{Faults, SimDisk};
use dunlin_store::{
    Chore, Commit, Journal, Keyring, MasterKey, Notice, Options, PartitionId, ReadError, RecordNumber, Store,
    SyncPolicy, Unsynced, Writer,
};

use crate::model::{Broken, ensure};
use crate::rng::Rng;
use crate::scenario::Journaling;

/// Records of one append at most, so that a batch is torn between them now and then.
const RUN: usize = 24;

/// An engine that begins, and what it wants done.
pub(super) type Beginner = (Engine, Effects);

/// The log of all shards, and the disk below it.
pub(super) struct Disk {
    pub(super) device: SimDisk,
    pub(super) scribes: Vec<Scribe>,
    /// Shards whose engine knows that the log has no room for some shard.
    pub(super) short: Vec<bool>,
    options: Options,
    store: Store<SimDisk>,
    writers: Box<[Writer]>,
    commit: Option<Stage>,
    chore: Option<Chore<SimDisk>>,
    pub(super) commit_planned: bool,
    pub(super) chore_planned: bool,
    pub(super) idle_planned: bool,
}

/// How far a commit has come.
enum Stage {
    Begun(Commit<SimDisk>),
    Written(Unsynced<SimDisk>),
}

/// What a step of the log changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Nothing,
    Begun,
    Written,
    Synced,
}

impl Disk {
    pub(super) fn new(seed: u64, plan: &Journaling, syncs: bool, shards: usize) -> Self {
        let keys = Keyring::default().with(1, MasterKey::new([7; 32]));
        let options = Options {
            partitions: JOURNAL_PARTITIONS,
            segment_size: plan.segment,
            batch_max: plan.batch_max,
            keys: if plan.sealed { keys } else { Keyring::default() },
            sync: if syncs { SyncPolicy::Always } else { SyncPolicy::Never },
            ..Options::default()
        };
        let device = SimDisk::new(seed);
        let Ok(store) = Store::manual(device.clone(), options.clone()) else {
            unreachable!("a new disk has no faults")
        };
        let mut disk = Self {
            device,
            scribes: Vec::new(),
            short: Vec::new(),
            options,
            store,
            writers: Box::default(),
            commit: None,
            chore: None,
            commit_planned: false,
            chore_planned: false,
            idle_planned: false,
        };
        disk.begin_life(shards);
        disk.device.set_faults(plan.faults);
        disk
    }

    fn begin_life(&mut self, shards: usize) {
        self.scribes = (0..shards).map(|_| Scribe::new(RUN)).collect();
        self.short = vec![false; shards];
        let Ok(writers) = claim_all(&self.store) else { unreachable!("it was made with all partitions") };
        self.writers = writers;
        (self.commit, self.chore) = (None, None);
        (self.commit_planned, self.chore_planned, self.idle_planned) = (false, false, false);
    }

    /// The log and the shard's part in it.
    pub(super) fn desk(&mut self, shard: usize) -> (Desk<'_>, &mut Scribe) {
        (Desk { journal: &self.store, writers: &self.writers }, &mut self.scribes[shard])
    }

    /// Is everything safe that was handed over?
    pub(super) fn is_idle(&self) -> bool {
        self.scribes.iter().all(Scribe::is_idle) && self.is_synced()
    }

    /// Is everything safe that the log has?
    pub(super) fn is_synced(&self) -> bool {
        self.store.with(|log| log.progress().synced >= log.last_ticket())
    }

    pub(super) fn progress(&self) -> dunlin_store::Progress {
        self.store.progress()
    }

    /// Is a commit under way?
    pub(super) const fn commits(&self) -> bool {
        self.commit.is_some()
    }

    /// Begins a commit, writes it, or syncs it.
    pub(super) fn step_commit(&mut self) -> Moved {
        match self.commit.take() {
            None => {
                self.commit = self.store.with(dunlin_store::Log::flush).map(Stage::Begun);
                if self.commit.is_some() { Moved::Begun } else { Moved::Nothing }
            }
            Some(Stage::Begun(commit)) => {
                let unsynced = commit.write();
                if let Some(ticket) = unsynced.ticket() {
                    self.store.with(|log| log.wrote(ticket));
                }
                self.commit = Some(Stage::Written(unsynced));
                Moved::Written
            }
            Some(Stage::Written(unsynced)) => {
                let committed = unsynced.sync();
                self.store.with(|log| log.complete(committed));
                Moved::Synced
            }
        }
    }

    /// Takes a chore, or does the one that was taken. Whether something was done.
    pub(super) fn step_chore(&mut self) -> Moved {
        match self.chore.take() {
            None => {
                self.chore = self.store.with(dunlin_store::Log::chore);
                if self.chore.is_some() { Moved::Begun } else { Moved::Nothing }
            }
            Some(chore) => {
                let finished = chore.run();
                self.store.with(|log| log.finish(finished));
                Moved::Synced
            }
        }
    }

    /// Some time has passed: what failed is tried again, and what is safe is said to be so.
    pub(super) fn idle(&mut self) {
        self.store.retry();
        if self.commit.is_none() {
            self.store.confirm();
        }
    }

    /// A record, `None` where it is gone: whoever wanted it may have released it since. An error where the device does not answer.
    pub(super) fn read(&self, partition: u16, number: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bytes = Vec::new();
        match self.store.read(PartitionId(partition), RecordNumber(number), &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(ReadError::Absent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Partitions whose checkpoint is safe, and up to which record. Nothing may be damaged.
    pub(super) fn listen(&self) -> Result<Vec<(u16, u64)>, Broken> {
        let mut safe = Vec::new();
        for notice in self.store.notices() {
            match notice {
                Notice::Checkpointed { partition, upto } => safe.push((partition.0, upto.0)),
                Notice::TornTail { .. }
                | Notice::SegmentAbandoned { .. }
                | Notice::CheckpointFailed { .. }
                | Notice::ChoreFailed { .. } => {}
                other => {
                    return Err(Broken { rule: "the log is damaged", detail: format!("{other:?}") });
                }
            }
        }
        Ok(safe)
    }

    /// Nothing fails any more, and there is room.
    pub(super) fn heal(&self) {
        self.device.set_faults(Faults { short_read: 100, ..Faults::default() });
        self.device.set_capacity(u64::MAX);
    }

    /// The end of the process, with or without that of the power; and of the next ones, which may end while they begin. What is left
    /// goes to new engines.
    pub(super) fn restart(
        &mut self,
        map: ShardMap,
        now: Time,
        rng: &mut Rng,
        kills_only: bool,
        mut engines: impl FnMut() -> Vec<Beginner>,
    ) -> Result<Vec<Beginner>, Broken> {
        let faults = Faults { short_read: 100, ..Faults::default() };
        self.device.set_faults(faults);
        loop {
            // Whoever has the device open has it no more.
            (self.commit, self.chore) = (None, None);
            if kills_only || rng.percent(30) {
                self.device.kill()
            } else {
                self.device.crash()
            }
            if rng.percent(25) {
                self.device.cut_power_after(rng.below(60) as u64);
            }
            match Store::manual(self.device.clone(), self.options.clone()) {
                Ok(store) => self.store = store,
                Err(_) if self.device.is_off() => continue,
                Err(error) => {
                    return Err(Broken { rule: "the log does not open", detail: format!("{error:?}") });
                }
            }
            self.begin_life(map.count());
            let mut beginners = engines();
            match self.restore(now, &mut beginners) {
                Ok(()) => {}
                Err(_) if self.device.is_off() => continue,
                Err(broken) => return Err(broken),
            }
            // What was replayed may have been in the page cache only.
            match self.store.sync() {
                Ok(_) if !self.device.is_off() => return Ok(beginners),
                Ok(_) => {}
                Err(_) if self.device.is_off() => {}
                Err(_) => self.device.set_capacity(u64::MAX),
            }
        }
    }

    /// Gives new engines what the log has.
    fn restore(&mut self, now: Time, beginners: &mut [Beginner]) -> Result<(), Broken> {
        let mut reader = Reader::new(Desk { journal: &self.store, writers: &self.writers });
        for (engine, effects) in beginners {
            let restored = engine.restore_from(now, &mut reader, effects);
            let unread = restored.map_err(|error| unreadable(&error))?;
            ensure(unread == 0, "a record cannot be read", || format!("{unread} of them"))?;
        }
        if let Some((_, error)) = reader.checkpoints_lost.first() {
            return Err(unreadable(error));
        }
        ensure(reader.lost == 0, "records that were safe are lost", || format!("{} of them", reader.lost))
    }
}

fn unreadable(error: &dyn std::error::Error) -> Broken {
    Broken { rule: "the log cannot be read", detail: error.to_string() }
}
