//! A log that no broker has open: looked at without touching it, or repaired.
//!
//! In:    a disk with a log, damaged or not; the keys.
//! Out:   what is in it; every fault with its place and its bytes; after a repair, a log without them.
//! Never: a change to the disk, except by [`repair`]. While another process has the log, nothing at all.

use crate::checkpoint;
use crate::crypt::Keyring;
use crate::disk::{Disk, read_full};
use crate::log::{OpenError, Options, Role};
use crate::manifest::Manifest;
use crate::open::newer;
use crate::overlay::Overlay;
use crate::port::{Entry, Journal, Notice, PartitionId, ReadError, RecordNumber};
use crate::segment::{Kind, file_number};
use crate::store::Store;
use std::ops::ControlFlow;

/// Damaged bytes that are shown.
const EXCERPT: usize = 256;
/// More than any log has: what a log without a manifest is opened with.
const PARTITIONS: u16 = 4096;

/// Something that was found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What and where.
    pub notice: Notice,
    /// The first of the damaged bytes, 256 at most; ciphertext in a sealed log.
    pub bytes: Vec<u8>,
}

impl Finding {
    /// Whether something that was safe is gone. A torn tail is not: nobody was told that it was safe.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        !matches!(self.notice, Notice::TornTail { .. } | Notice::Foreign { .. })
    }
}

/// A segment, as [`Offline::segments`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFigures {
    /// The file.
    pub file: String,
    /// Which life of the file.
    pub id: u64,
    /// Copied from others, or written by appends.
    pub copied: bool,
    /// The key that seals it.
    pub key: Option<u32>,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes that belong to the log.
    pub used: u64,
    /// Records that were not given up, as far as the log knows.
    pub live_records: u64,
    /// Their bytes, about.
    pub live_bytes: u64,
}

/// A checkpoint, as [`Offline::checkpoints`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointFigures {
    /// Whose.
    pub partition: PartitionId,
    /// The first record that it does not contain.
    pub upto: RecordNumber,
    /// Bytes of the owner's state; `None` if they are damaged.
    pub bytes: Option<u64>,
    /// The key that seals it.
    pub key: Option<u32>,
}

/// A log opened over an [`Overlay`]: nothing is written.
#[derive(Debug)]
pub struct Offline<D: Disk> {
    disk: D,
    store: Store<Overlay<D>>,
    over: Overlay<D>,
    partitions: u16,
    found: Vec<Finding>,
}

impl<D: Disk> Offline<D> {
    /// Opens the log and judges it as a start of the broker would.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Absent`] where there is no log.
    pub fn open(disk: D, keys: Keyring) -> Result<Self, OpenError> {
        let options = options(&disk, keys, PARTITIONS)?;
        let partitions = options.partitions;
        let over = Overlay::new(disk.clone());
        let store = Store::manual(over.clone(), options)?;
        let mut offline = Self { disk, store, over, partitions, found: Vec::new() };
        offline.collect();
        Ok(offline)
    }

    /// What opening found, and reading so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.found
    }

    /// Reads every record there is. Gives how many hold; what does not is among the findings.
    ///
    /// # Errors
    /// [`ReadError::Io`] where the device does not answer.
    pub fn check(&mut self) -> Result<u64, ReadError> {
        let mut records = 0;
        for partition in (0..self.partitions).map(PartitionId) {
            self.store.replay(partition, RecordNumber(0), &mut |entry| {
                records += u64::from(matches!(entry, Entry::Record { .. }));
                ControlFlow::Continue(())
            })?;
            self.collect();
        }
        Ok(records)
    }

    /// Visits the records: those of one partition in ascending order, or all of them in the order of the log.
    ///
    /// # Errors
    /// [`ReadError::Io`] where the device does not answer.
    pub fn records(
        &self,
        partition: Option<PartitionId>,
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) -> Result<(), ReadError> {
        match partition {
            None => self.store.replay_all(&|_| RecordNumber(0), visit),
            Some(partition) => self.store.replay(partition, RecordNumber(0), &mut |entry| {
                visit(partition, entry);
                ControlFlow::Continue(())
            }),
        }
    }

    /// The segments in the order of replay.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentFigures> {
        self.store.with(|log| {
            let mut slots: Vec<_> = log.slots.values().filter(|slot| slot.role == Role::Sealed).collect();
            slots.sort_by_key(|slot| slot.segment.info.order);
            let figures = slots.iter().map(|slot| SegmentFigures {
                file: slot.segment.info.name(),
                id: slot.segment.info.id,
                copied: slot.segment.info.kind == Kind::Copied,
                key: slot.segment.info.cipher.map(|(key, _)| key),
                length: slot.length,
                used: slot.used,
                live_records: slot.records,
                live_bytes: slot.bytes,
            });
            figures.collect()
        })
    }

    /// The checkpoints in the order of their partitions.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<CheckpointFigures> {
        let partitions = (0..self.partitions).map(PartitionId);
        let figures = partitions.filter_map(|partition| {
            let key = checkpoint::key_of(&self.disk, partition);
            match self.store.load(partition) {
                Ok(None) => None,
                Ok(Some(found)) => {
                    let bytes = Some(found.state.len() as u64);
                    Some(CheckpointFigures { partition, upto: found.upto, bytes, key })
                }
                Err(_) => Some(CheckpointFigures { partition, upto: RecordNumber(0), bytes: None, key }),
            }
        });
        figures.collect()
    }

    /// Partitions that have or had records, with their bounds.
    #[must_use]
    pub fn partitions(&self) -> Vec<(PartitionId, crate::port::Bounds)> {
        let partitions = (0..self.partitions).map(PartitionId);
        let bounds = partitions.map(|partition| (partition, self.store.bounds(partition)));
        bounds.filter(|(_, bounds)| bounds.next.0 > 0).collect()
    }

    /// Bytes in quarantine.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.disk.quarantined().unwrap_or(0)
    }

    fn collect(&mut self) {
        let notices = self.store.notices();
        self.found.extend(notices.into_iter().map(|notice| finding(&self.over, notice)));
    }
}

fn finding<D: Disk>(disk: &D, notice: Notice) -> Finding {
    let mut bytes = Vec::new();
    if let Notice::Damage { quarantined: Some(copy), .. } = &notice
        && let Ok(copy) = disk.open(copy)
    {
        bytes.resize(EXCERPT, 0);
        let got = read_full(&copy, &mut bytes, 0).unwrap_or(0);
        bytes.truncate(got);
    }
    Finding { notice, bytes }
}

/// Options that open what is there, whatever it was made with.
fn options<D: Disk>(disk: &D, keys: Keyring, partitions: u16) -> Result<Options, OpenError> {
    let mut options = Options { partitions, keys, ..Options::default() };
    let found = Manifest::load(disk).map_err(|fault| newer("the manifest", fault))?;
    let files = disk.list().map_err(|source| OpenError::Io { call: "listing the files", source })?;
    if !found.any && !files.iter().any(|(name, _)| file_number(name).is_some()) {
        return Err(OpenError::Absent);
    }
    if let Some(manifest) = found.manifest {
        options.segment_size = manifest.segment_size;
        options.partitions = u16::try_from(manifest.partitions.len()).unwrap_or(PARTITIONS).max(1);
    }
    Ok(options)
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// What was wrong. The damaged bytes are in `quarantine/`.
    pub findings: Vec<Finding>,
    /// Files that are still damaged: what held in them could not be copied.
    pub left: Vec<String>,
}

/// Moves what is damaged to `quarantine/`, so that the rest opens without a complaint: segments with damage are replaced by
/// copies of what holds in them, damaged checkpoints are removed, a manifest is made if there is none.
///
/// What is lost is afterwards missing without a trace but the findings and the quarantined files: a replay no longer says
/// [`Entry::Lost`]. `partitions` is for a log without a manifest.
///
/// # Errors
/// [`OpenError`]: what no repair helps against, such as a missing key or a format of a newer version.
pub fn repair<D: Disk>(disk: &D, keys: Keyring, partitions: u16) -> Result<Repaired, OpenError> {
    let options = options(disk, keys.clone(), partitions)?;
    let known = Offline::open(disk.clone(), keys)?.partitions();
    let most = known.last().map_or(0, |(partition, _)| partition.0 + 1);
    let options = Options { partitions: options.partitions.max(most), ..options };
    let partitions = options.partitions;
    let store = Store::manual(disk.clone(), options)?;
    let mut findings = Vec::new();
    let mut collect = || {
        let found: Vec<_> = store.notices().into_iter().map(|notice| finding(disk, notice)).collect();
        for name in found.iter().filter_map(Finding::damaged_file) {
            store.with(|log| log.condemn(name));
        }
        findings.extend(found);
    };
    collect();
    for partition in (0..partitions).map(PartitionId) {
        // What cannot be read now is left as it is, and shows among the files that are left.
        let _ = store.replay(partition, RecordNumber(0), &mut |_| ControlFlow::Continue(()));
        collect();
    }
    let _ = store.sync();
    while store.step() {}
    store.confirm();
    collect();
    let mut left = store.with(|log| log.condemned());
    drop(store);
    for name in findings.iter().filter_map(Finding::damaged_file).filter(|name| checkpoint::is_file(name)) {
        if disk.remove(name).and_then(|()| disk.sync_dir()).is_err() {
            left.push(name.to_owned());
        }
    }
    Ok(Repaired { findings, left })
}

impl Finding {
    /// The file whose damaged bytes are safe in quarantine.
    fn damaged_file(&self) -> Option<&str> {
        match &self.notice {
            Notice::Damage { file, quarantined: Some(_), .. } => Some(file),
            _ => None,
        }
    }
}
