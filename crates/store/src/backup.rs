//! Backups: a copy of a log at one moment, taken while it is written, and the way back.
//!
//! In:    a running [`Store`] and an empty disk; later that disk and another empty one.
//! Out:   a log that holds exactly what was safe at that moment, in all partitions.
//! Never: a copy that opens before it is complete: the manifest comes last.
//!
//! Segments only grow at their end, so a prefix that was safe stays as it is, and a segment that somebody reads is neither
//! removed nor used again. So only the moment itself holds up the chores; the copy holds up nothing.

use crate::checkpoint;
use crate::crypt::Keyring;
use crate::disk::{Disk, DiskFile, read_full};
use crate::log::{Log, OpenError, Role};
use crate::manifest::Manifest;
use crate::offline::Offline;
use crate::open::locked;
use crate::port::{Journal, ReadError, Shortage, Ticket};
use crate::segment::{START, Segment, file_number};
use crate::store::{Store, guard};
use crate::wire::index;
use std::io;
use std::sync::{Arc, PoisonError};

/// Bytes copied with one read.
const STEP: u64 = 256 << 10;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Everything with a Ticket up to this one is in the copy, and nothing else.
    pub upto: Ticket,
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Segments.
    pub segments: u64,
    /// Records that were read and hold.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Copies go to empty directories.
    #[error("the target is not empty: it has {file}")]
    NotEmpty {
        /// A file that is there.
        file: String,
    },
    /// The log cannot make safe what it has.
    #[error("the log cannot be synced ({0:?})")]
    Shortage(Shortage),
    /// The source has no manifest: a backup that was not finished, or none.
    #[error("there is no complete backup: no manifest can be read")]
    Incomplete,
    /// The source is damaged.
    #[error("the backup is damaged in {faults} places; `check` names them")]
    Damaged {
        /// How many.
        faults: usize,
    },
    /// The source cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Records cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The source or the target does not answer.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &str) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::Io { what: what.to_owned(), source }
}

/// The moment of a backup. Checkpoints are files that are open: who replaces them changes nothing here.
struct Moment<F> {
    manifest: Manifest,
    segments: Vec<(Arc<Segment<F>>, u64)>,
    checkpoints: Vec<Open<F>>,
    upto: Ticket,
}

/// A file, its name and its bytes.
type Open<F> = (F, String, u64);

impl<D: Disk> Log<D> {
    /// What is safe now, as a log of its own.
    fn moment(&mut self, checkpoints: Vec<Open<D::File>>) -> Moment<D::File> {
        let mut manifest = self.manifest(None, &[]);
        let mut segments = Vec::new();
        manifest.segments.clear();
        for slot in self.slots.values().filter(|slot| slot.role != Role::Spare && slot.safe > START) {
            manifest.segments.push((slot.segment.info.clone(), slot.safe));
            segments.push((Arc::clone(&slot.segment), slot.safe));
        }
        Moment { manifest, segments, checkpoints, upto: self.synced }
    }
}

impl<D: Disk> Store<D> {
    /// Copies everything that is safe now to an empty disk, while the log goes on. What is given up meanwhile takes room until
    /// it is done. Blocks on both disks.
    ///
    /// # Errors
    /// [`BackupError`]. What was copied until then is not a log: it has no manifest.
    pub fn backup<T: Disk>(&self, target: &T) -> Result<Backup, BackupError> {
        let _lock = empty(target)?;
        // Batches that a crash left unconfirmed are written again first: only one place of them counts then.
        self.sync().map_err(BackupError::Shortage)?;
        let moment = {
            let _frozen = Frozen::new(self);
            let checkpoints = checkpoints(&self.shared.disk)?;
            self.with(|log| log.moment(checkpoints))
        };
        let mut bytes = copy_all(&moment.checkpoints, target)?;
        for (segment, used) in &moment.segments {
            bytes += copy(&segment.file, target, &segment.info.name(), *used)?;
        }
        finish(target, &moment.manifest)?;
        Ok(Backup { upto: moment.upto, segments: moment.segments.len() as u64, bytes })
    }
}

/// Holds up the chores until it is dropped.
struct Frozen<'a, D: Disk>(&'a Store<D>);

impl<'a, D: Disk> Frozen<'a, D> {
    /// Waits for the chore that is under way, and for another backup's moment.
    fn new(store: &'a Store<D>) -> Self {
        let shared = &store.shared;
        let mut log = guard(&shared.log);
        while log.frozen || log.chore_out {
            log = shared.done.wait(log).unwrap_or_else(PoisonError::into_inner);
        }
        log.frozen = true;
        Self(store)
    }
}

impl<D: Disk> Drop for Frozen<'_, D> {
    fn drop(&mut self) {
        self.0.with(|log| log.frozen = false);
        self.0.shared.done.notify_all();
        self.0.shared.chores.notify_one();
    }
}

/// Takes the target, if nothing is there.
fn empty<T: Disk>(target: &T) -> Result<T::Lock, BackupError> {
    let lock = target.lock().map_err(locked)?;
    match target.list().map_err(failed("the target"))?.into_iter().next() {
        Some((file, _)) => Err(BackupError::NotEmpty { file }),
        None => Ok(lock),
    }
}

/// Opens the checkpoints.
fn checkpoints<S: Disk>(source: &S) -> Result<Vec<Open<S::File>>, BackupError> {
    let files = source.list().map_err(failed("listing the files"))?;
    let named = files.into_iter().filter(|(name, _)| checkpoint::is_file(name));
    named.map(|(name, length)| Ok((source.open(&name).map_err(failed(&name))?, name, length))).collect()
}

fn copy_all<F: DiskFile, T: Disk>(files: &[Open<F>], target: &T) -> Result<u64, BackupError> {
    files.iter().try_fold(0, |bytes, (file, name, length)| Ok(bytes + copy(file, target, name, *length)?))
}

/// Copies a file, but not the zeros that nothing was written over yet; gives the bytes that were written.
fn copy<F: DiskFile, T: Disk>(from: &F, target: &T, name: &str, length: u64) -> Result<u64, BackupError> {
    let failed = |e| failed(name)(e);
    let to = target.create(name).map_err(failed)?;
    let mut buffer = vec![0; index(STEP.min(length))];
    let (mut at, mut written) = (0, 0);
    while at < length {
        let step = index(STEP.min(length - at));
        let got = read_full(from, &mut buffer[..step], at).map_err(failed)?;
        if got == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if buffer[..got].iter().any(|byte| *byte != 0) {
            to.write_at(&buffer[..got], at).map_err(failed)?;
            written += got as u64;
        }
        at += got as u64;
    }
    to.truncate(length).map_err(failed)?;
    to.sync().map_err(failed)?;
    Ok(written)
}

fn finish<T: Disk>(target: &T, manifest: &Manifest) -> Result<(), BackupError> {
    target.sync_dir().map_err(failed("the target"))?;
    manifest.store(target, 0).outcome.map_err(failed("the manifest"))?;
    target.sync_dir().map_err(failed("the target"))
}

/// Copies a backup, or any log that no process has open, to an empty disk. All of it is read and checked before: a damaged one
/// is refused, unless `damaged` says to take what there is.
///
/// # Errors
/// [`BackupError`].
pub fn restore<S: Disk, T: Disk>(
    source: &S,
    target: &T,
    keys: Keyring,
    damaged: bool,
) -> Result<Restored, BackupError> {
    let _lock = empty(target)?;
    let found = Manifest::load(source).ok().and_then(|found| found.manifest);
    let manifest = found.ok_or(BackupError::Incomplete)?;
    let mut offline = Offline::open(source.clone(), keys)?;
    let records = offline.check()?;
    let faults = offline.findings().iter().filter(|finding| finding.is_damage()).count();
    if faults > 0 && !damaged {
        return Err(BackupError::Damaged { faults });
    }
    let mut bytes = copy_all(&checkpoints(source)?, target)?;
    let files = source.list().map_err(failed("listing the files"))?;
    let named = |name: &str| {
        let number = file_number(name);
        manifest.segments.iter().any(|(info, _)| Some(info.file) == number)
    };
    let mut segments = 0;
    for (name, length) in files.iter().filter(|(name, _)| named(name)) {
        let file = source.open(name).map_err(failed(name))?;
        bytes += copy(&file, target, name, *length)?;
        segments += 1;
    }
    finish(target, &manifest)?;
    Ok(Restored { segments, records, bytes })
}
