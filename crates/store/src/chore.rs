//! Chores: what keeps a log going besides commits, one at a time.
//!
//! In:    the state of the [`Log`]; the outcome of the last chore.
//! Out:   one [`Chore`] at a time: a spare segment, dead segments given back, a checkpoint, copies.
//! Never: the reuse of a file that some manifest on the disk may still name.

use crate::checkpoint::Snapshot;
use crate::commit::shortage;
use crate::compact::{Copied, Copying};
use crate::crypt::Keyring;
use crate::disk::{Disk, DiskFile};
use crate::log::{Log, Role, Slot};
use crate::manifest::{Manifest, Standing, Stored};
use crate::port::{Notice, PartitionId, RecordNumber, Shortage};
use crate::segment::{Kind, START, Segment, SegmentInfo, file_name};
use crate::wire::round_up;
use std::io;
use std::sync::Arc;

/// Free files that are kept for the next spare, while segments are in use.
const FREE_KEPT: usize = 1;

/// A file that no manifest names.
#[derive(Debug)]
pub(crate) struct FreeFile<F> {
    pub(crate) file: u32,
    pub(crate) length: u64,
    /// Readers that found a record there before it moved still hold it.
    pub(crate) readers: Option<Arc<Segment<F>>>,
}

impl<F> FreeFile<F> {
    fn is_unread(&self) -> bool {
        self.readers.as_ref().is_none_or(|segment| Arc::strong_count(segment) == 1)
    }
}

/// A spare that is being made. After a failure the same one is made again: the manifest on the disk may
/// name it already.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    info: SegmentInfo,
    recycled: bool,
    /// There is nothing else to write to: a smaller one is better than none.
    is_only: bool,
}

/// Work to be done away from the [`Log`].
#[derive(Debug)]
pub struct Chore<D: Disk> {
    disk: D,
    pub(crate) keys: Keyring,
    log: [u8; 16],
    pub(crate) segment_size: u64,
    work: Work<D>,
}

#[derive(Debug)]
enum Work<D: Disk> {
    Prepare { attempt: Attempt, manifest: Manifest, first: usize, doomed: Vec<u32> },
    Retire { manifest: Manifest, first: usize, doomed: Vec<u32> },
    Checkpoint { snapshot: Snapshot },
    Copy { copying: Copying<D> },
    Switch { target: Arc<Segment<D::File>>, used: u64, manifest: Manifest, first: usize },
    Discard { file: u32 },
    Recount,
}

/// A [`Chore`] that was done or failed.
#[derive(Debug)]
pub struct Finished<D: Disk> {
    result: Result<Done<D>, (&'static str, io::Error)>,
    first: Option<usize>,
    work: Outcome,
}

#[derive(Debug)]
enum Done<D: Disk> {
    /// With its length in bytes.
    Prepared(Arc<Segment<D::File>>, u64),
    Copied(Copied<D>),
    Bytes(u64),
    Nothing,
}

/// What the log must know of the work whatever came of it.
#[derive(Debug)]
enum Outcome {
    Prepare { doomed: Vec<u32> },
    Retire { doomed: Vec<u32> },
    Checkpoint { partition: PartitionId, upto: RecordNumber },
    Copy,
    Switch { used: u64 },
    Discard { file: u32 },
    Recount,
}

impl<D: Disk> Chore<D> {
    /// Does it. Blocks on the disk.
    #[must_use]
    pub fn run(self) -> Finished<D> {
        let (disk, keys) = (&self.disk, &self.keys);
        let mut written = None;
        let mut store = |manifest: &Manifest, first: usize| {
            let Stored { outcome, first } = manifest.store(disk, first);
            written = Some(first);
            outcome
        };
        let (name, result, work) = match self.work {
            Work::Prepare { attempt, manifest, first, doomed } => {
                let made = prepare(disk, keys, self.log, self.segment_size, &attempt);
                let made = made.and_then(|(segment, length)| {
                    store(&manifest, first).map(|()| Done::Prepared(Arc::new(segment), length))
                });
                ("making a spare segment", made, Outcome::Prepare { doomed })
            }
            Work::Retire { manifest, first, doomed } => {
                let stored = store(&manifest, first).map(|()| Done::Nothing);
                ("giving back segments", stored, Outcome::Retire { doomed })
            }
            Work::Checkpoint { snapshot } => {
                let (partition, upto) = (snapshot.partition, snapshot.checkpoint.upto);
                let stored = snapshot.store(disk, keys).map(Done::Bytes);
                ("writing a checkpoint", stored, Outcome::Checkpoint { partition, upto })
            }
            Work::Copy { copying } => {
                let copied = copying.run(disk, keys, self.log, self.segment_size).map(Done::Copied);
                ("copying living records", copied, Outcome::Copy)
            }
            Work::Switch { target, used, manifest, first } => {
                let cut = target.file.truncate(used).and_then(|()| target.file.sync());
                let stored = cut.and_then(|()| store(&manifest, first)).map(|()| Done::Nothing);
                ("replacing segments by their copy", stored, Outcome::Switch { used })
            }
            Work::Discard { file } => {
                let removed = match disk.remove(&file_name(file)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                    _ => Ok(Done::Nothing),
                };
                ("removing a file", removed, Outcome::Discard { file })
            }
            Work::Recount => {
                ("counting quarantined bytes", disk.quarantined().map(Done::Bytes), Outcome::Recount)
            }
        };
        Finished { result: result.map_err(|e| (name, e)), first: written, work }
    }
}

/// A new segment with its length, which is shorter only where it is the only one and the disk has no room for more: still one
/// that takes the largest append.
fn prepare<D: Disk>(
    disk: &D,
    keys: &Keyring,
    log: [u8; 16],
    size: u64,
    attempt: &Attempt,
) -> io::Result<(Segment<D::File>, u64)> {
    let quarter = round_up(START + size / 4, 4096);
    let shorter = [(size / 2) & !4095, quarter].into_iter().filter(|_| attempt.is_only);
    let mut made = prepare_of(disk, keys, log, size, attempt);
    for length in shorter.filter(|length| *length < size) {
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            made = prepare_of(disk, keys, log, length, attempt);
        }
    }
    made
}

fn prepare_of<D: Disk>(
    disk: &D,
    keys: &Keyring,
    log: [u8; 16],
    length: u64,
    attempt: &Attempt,
) -> io::Result<(Segment<D::File>, u64)> {
    let name = attempt.info.name();
    let made = create(disk, &name, attempt.recycled).and_then(|file| {
        let segment = Segment::begin(file, attempt.info.clone(), log, keys, length)?;
        segment.file.sync()?;
        disk.sync_dir()?;
        Ok((segment, length))
    });
    if made.is_err()
        && let Ok(file) = disk.open(&name)
    {
        // What a full disk gave of it is of no use.
        let _ = file.truncate(0);
    }
    made
}

/// A new file, or one that is used again: writing to blocks that the file has already costs the file
/// system no transaction.
pub(crate) fn create<D: Disk>(disk: &D, name: &str, recycled: bool) -> io::Result<D::File> {
    if recycled && let Ok(file) = disk.open(name) {
        return Ok(file);
    }
    disk.create(name)
}

impl<D: Disk> Log<D> {
    /// The next chore, if there is one and none is under way.
    pub fn chore(&mut self) -> Option<Chore<D>> {
        if self.chore_out || self.chores_paused || self.frozen {
            return None;
        }
        let work = self.next_work()?;
        self.chore_out = true;
        let segment_size = self.options.segment_size;
        Some(Chore {
            disk: self.disk.clone(),
            keys: self.options.keys.clone(),
            log: self.id,
            segment_size,
            work,
        })
    }

    fn next_work(&mut self) -> Option<Work<D>> {
        if std::mem::take(&mut self.recount) {
            return Some(Work::Recount);
        }
        if self.shortage.is_some()
            && let Some(work) = self.retire()
        {
            return Some(work);
        }
        if self.spare.is_none()
            && let Some(work) = self.prepare()
        {
            return Some(work);
        }
        if let Some(snapshot) = self.due_checkpoint() {
            return Some(Work::Checkpoint { snapshot });
        }
        if let Some(work) = self.retire() {
            return Some(work);
        }
        if let Some(work) = self.switch() {
            return Some(work);
        }
        if let Some(copying) = self.copying() {
            return Some(Work::Copy { copying });
        }
        self.discard()
    }

    fn prepare(&mut self) -> Option<Work<D>> {
        if self.attempt.is_none() {
            match self.new_segment(Kind::Fresh, None) {
                Ok((info, recycled)) => {
                    self.attempt = Some(Attempt { info, recycled, is_only: false });
                }
                Err(shortage) => {
                    self.shortage = Some(shortage);
                    return None;
                }
            }
        }
        let attempt = Attempt { is_only: self.active.is_none(), ..self.attempt.clone()? };
        let doomed = self.doomed();
        let manifest = self.manifest(Some((attempt.info.clone(), 0)), &doomed);
        Some(Work::Prepare { attempt, manifest, first: self.manifest_first, doomed })
    }

    /// A file and an id for a segment, if the quota has room for it.
    pub(crate) fn new_segment(
        &mut self,
        kind: Kind,
        order: Option<u64>,
    ) -> Result<(SegmentInfo, bool), Shortage> {
        let size = self.options.segment_size;
        let unread = self.free.iter().enumerate().filter(|(_, free)| free.is_unread());
        let free = unread.max_by_key(|(_, free)| free.length).map(|(at, _)| at);
        let growth = size - free.map_or(0, |at| self.free[at].length.min(size));
        // One segment is kept for copying, without which nothing partly dead would ever be given back. But without any to write to
        // nothing would: after a start the last one is not written to any more.
        let kept = if kind == Kind::Fresh && self.active.is_some() { size } else { 0 };
        if self.allocated() + growth + kept > self.options.quota {
            return Err(Shortage::Quota);
        }
        let cipher = match self.options.keys.current() {
            Some(key) => Some((key, self.disk.entropy().map_err(|e| shortage(&e))?)),
            None => None,
        };
        let (file, recycled) = match free {
            Some(at) => (self.free.swap_remove(at).file, true),
            None => (self.unused_file(), false),
        };
        let id = self.next_id;
        self.next_id += 1;
        Ok((SegmentInfo { file, id, order: order.unwrap_or(id), kind, cipher }, recycled))
    }

    fn unused_file(&self) -> u32 {
        let target = self.compaction.iter().map(crate::compact::Compaction::file);
        let used = self.slots.keys().copied().chain(self.free.iter().map(|free| free.file)).chain(target);
        let used: std::collections::BTreeSet<u32> = used.chain(self.avoided.iter().copied()).collect();
        (1..u32::MAX).find(|file| !used.contains(file)).unwrap_or(u32::MAX)
    }

    /// Segments without a living record.
    fn doomed(&self) -> Vec<u32> {
        let copied = self.compaction.as_ref().map_or(&[][..], |compaction| &compaction.sources);
        let dead = self.slots.iter().filter(|(file, slot)| {
            let needed = copied.contains(file) || self.is_rewriting(**file);
            slot.role == Role::Sealed && slot.records == 0 && !needed
        });
        dead.map(|(file, _)| *file).collect()
    }

    /// Whether a file holds batches that are not yet safe elsewhere.
    fn is_rewriting(&self, file: u32) -> bool {
        let (files, until) = &self.rewriting;
        self.synced < *until && files.contains(&file)
            || self.unsynced.is_some_and(|(of, until)| of == file && self.synced < until)
    }

    /// Whether there is any such file.
    pub(crate) fn rewrites(&self) -> bool {
        self.synced < self.rewriting.1 || self.unsynced.is_some_and(|(_, until)| self.synced < until)
    }

    pub(crate) fn manifest(&mut self, extra: Option<(SegmentInfo, u64)>, without: &[u32]) -> Manifest {
        self.generation += 1;
        let kept = self.slots.iter().filter(|(file, _)| !without.contains(file));
        let segments = kept.map(|(_, slot)| {
            let open = slot.role != Role::Sealed || self.is_rewriting(slot.segment.info.file);
            (slot.segment.info.clone(), if open { 0 } else { slot.safe })
        });
        let partitions = self.partitions.iter().map(|state| Standing {
            next: state.durable,
            low: state.low.min(state.durable),
            epoch: state.epoch,
        });
        Manifest {
            generation: self.generation,
            log: self.id,
            segment_size: self.options.segment_size,
            next_id: self.next_id,
            segments: segments.chain(extra).collect(),
            partitions: partitions.collect(),
        }
    }

    fn retire(&mut self) -> Option<Work<D>> {
        let doomed = self.doomed();
        (!doomed.is_empty()).then(|| {
            let manifest = self.manifest(None, &doomed);
            Work::Retire { manifest, first: self.manifest_first, doomed }
        })
    }

    fn due_checkpoint(&mut self) -> Option<Snapshot> {
        let due = |partition: &PartitionId| {
            let state = self.partition(*partition);
            state.is_some_and(|state| state.wanted.as_ref().is_some_and(|c| c.upto.0 <= state.durable))
        };
        let at = self.checkpoints.iter().position(due)?;
        let partition = self.checkpoints.remove(at)?;
        let log = self.id;
        let state = self.partitions.get_mut(usize::from(partition.0))?;
        let checkpoint = state.wanted.take()?;
        Some(Snapshot { log, partition, epoch: state.epoch, low: state.low.min(state.durable), checkpoint })
    }

    fn switch(&mut self) -> Option<Work<D>> {
        let (info, used, target) = self.compaction.as_ref().filter(|c| c.is_copied())?.target()?;
        let sources = self.compaction.as_ref().map(|c| c.sources.clone()).unwrap_or_default();
        let manifest = self.manifest(Some((info, used)), &sources);
        Some(Work::Switch { target, used, manifest, first: self.manifest_first })
    }

    fn discard(&mut self) -> Option<Work<D>> {
        let in_use = self.slots.values().filter(|slot| slot.role == Role::Sealed).count();
        let kept = if in_use > 1 && self.shortage.is_none() { FREE_KEPT } else { 0 };
        if self.free.len() <= kept {
            return None;
        }
        let at = self.free.iter().position(FreeFile::is_unread)?;
        let file = self.free.swap_remove(at).file;
        Some(Work::Discard { file })
    }

    /// Takes the outcome of a chore.
    pub fn finish(&mut self, finished: Finished<D>) {
        self.chore_out = false;
        self.manifest_first = finished.first.unwrap_or(self.manifest_first);
        match finished.result {
            Ok(done) => self.finish_well(done, finished.work),
            Err((chore, e)) => self.finish_badly(chore, &e, &finished.work),
        }
    }

    fn finish_well(&mut self, done: Done<D>, work: Outcome) {
        match (done, work) {
            (Done::Prepared(segment, length), Outcome::Prepare { doomed }) => {
                self.free_up(&doomed);
                self.attempt = None;
                let file = segment.info.file;
                self.spare = Some(file);
                self.slots.insert(file, Slot::new(segment, Role::Spare, length, START));
                if length < self.options.segment_size {
                    // The reserve alone may want all of it: it is written to, and a whole one is made as soon as there is room.
                    self.home_for(0);
                }
                if self.paused {
                    return;
                }
                self.shortage = None;
            }
            (Done::Nothing, Outcome::Retire { doomed }) => {
                self.free_up(&doomed);
                self.give_up_attempt();
            }
            (Done::Bytes(bytes), Outcome::Checkpoint { partition, upto }) => {
                if let Some(state) = self.partitions.get_mut(usize::from(partition.0)) {
                    state.checkpoint = bytes;
                }
                self.notice(Notice::Checkpointed { partition, upto });
            }
            (Done::Copied(copied), Outcome::Copy) => self.copied(copied),
            (Done::Nothing, Outcome::Switch { used }) => {
                self.switched(used);
                self.give_up_attempt();
            }
            (Done::Nothing, Outcome::Discard { .. }) => {}
            (Done::Bytes(bytes), Outcome::Recount) => {
                // Whether that is enough shows when the next segment is made.
                self.quarantined = bytes;
            }
            _ => unreachable!("a chore gives what belongs to it"),
        }
    }

    fn finish_badly(&mut self, chore: &'static str, error: &io::Error, work: &Outcome) {
        let cause = error.kind();
        match work {
            Outcome::Checkpoint { partition, .. } => {
                self.notice(Notice::CheckpointFailed { partition: *partition, cause });
                return;
            }
            Outcome::Discard { file } => {
                self.free.push(FreeFile { file: *file, length: 0, readers: None });
            }
            Outcome::Copy => self.abort_compaction(cause != io::ErrorKind::StorageFull),
            Outcome::Prepare { .. } => self.shortage = Some(shortage(error)),
            Outcome::Retire { .. } | Outcome::Switch { .. } | Outcome::Recount => {}
        }
        self.chores_paused = true;
        self.notice(Notice::ChoreFailed { chore, cause });
    }

    /// No manifest names a spare that could not be made any more; the next may be made from another file.
    fn give_up_attempt(&mut self) {
        let attempt = self.attempt.take();
        self.free.extend(attempt.map(|a| FreeFile { file: a.info.file, length: 0, readers: None }));
    }

    /// Takes segments out of the log whose manifest no longer names them.
    pub(crate) fn free_up(&mut self, files: &[u32]) {
        for file in files {
            if let Some(slot) = self.slots.remove(file) {
                let length = slot.length;
                self.free.push(FreeFile { file: *file, length, readers: Some(slot.segment) });
            }
        }
        if !files.is_empty() && self.shortage == Some(Shortage::Quota) {
            self.shortage = None;
        }
    }
}

impl<F> Slot<F> {
    pub(crate) fn new(segment: Arc<Segment<F>>, role: Role, length: u64, used: u64) -> Self {
        Self { segment, role, length, used, safe: used, records: 0, bytes: 0, failures: 0, condemned: false }
    }
}
