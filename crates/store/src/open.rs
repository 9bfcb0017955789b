//! Opening: a directory becomes a [`Log`], whatever the last one left there.
//!
//! In:    a disk; options with the keys.
//! Out:   a log that goes on in new segments, with notices for what was not whole.
//! Never: an append to a recovered segment: its end may hold torn bytes, and a nonce is used once.

use crate::batch::Batch;
use crate::checkpoint::{self, LoadFault, Snapshot};
use crate::disk::{Disk, DiskFile};
use crate::log::{Log, OpenError, Options, PartitionState, Role, Slot};
use crate::manifest::{Found, Manifest};
use crate::port::{Notice, PartitionId, Ticket, Writer};
use crate::recover::{Recovery, Unconfirmed, balance};
use crate::segment::{
    HeaderFault, KeyFault, Kind, START, Segment, SegmentInfo, file_number, quarantine, read_around,
    read_header,
};
use crate::sheet::{FORMAT, SheetError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

/// Bytes behind the last batch that are worth giving back.
const SLACK: u64 = 64 << 10;

type Segments<D> = Vec<(Arc<Segment<<D as Disk>::File>>, u64)>;

impl<D: Disk> Log<D> {
    /// Opens the log of a directory, or begins one.
    ///
    /// # Errors
    /// [`OpenError`]. Damage is none of them.
    pub fn open(disk: D, options: Options) -> Result<Self, OpenError> {
        let options = options.checked()?;
        let lock = disk.lock().map_err(locked)?;
        let files: BTreeMap<String, u64> =
            disk.list().map_err(failed("listing the files"))?.into_iter().collect();
        let mut notices = Vec::new();
        let found = Manifest::load(&disk).map_err(|fault| newer("the manifest", fault))?;
        let rebuilt = found.manifest.is_none();
        let manifest = manifest(&disk, &found, &files, &mut notices)?;
        if manifest.partitions.len() > usize::from(options.partitions) {
            let (found, partitions) = (manifest.partitions.len(), options.partitions);
            return Err(OpenError::Partitions { found, partitions });
        }
        let segments = segments(&disk, &manifest, &options, &mut notices)?;
        let mut partitions = partitions(&disk, &manifest, &options, &files, &mut notices)?;
        let mut recovery = Recovery::new(options.append_max(), &disk, &mut partitions, &mut notices);
        recovery.segments(&segments);
        let (last, seen) = ((recovery.last(), recovery.home), recovery.seen);
        let (ends, tails) = (std::mem::take(&mut recovery.ends), std::mem::take(&mut recovery.tails));
        let rewriting = recovery.rewriting();
        let unconfirmed = std::mem::take(&mut recovery.unconfirmed);
        if rebuilt && seen > 0 {
            notices.push(Notice::ManifestRebuilt);
        }
        let slots = slots(&segments, &partitions, (&ends, &tails), &rewriting, &files, &notices);
        let sealed = options.keys.current().is_some();
        let mut log = Self {
            disk,
            _lock: lock,
            options,
            id: manifest.log,
            partitions,
            next_id: next_id(&manifest),
            slots,
            free: Vec::new(),
            active: None,
            spare: None,
            queue: VecDeque::new(),
            open: Batch::new(seen + 1, sealed),
            inflight: None,
            last,
            synced: Ticket(seen),
            written: Ticket(seen),
            confirmed: true,
            paused: false,
            buffer: Vec::new(),
            shortage: None,
            generation: manifest.generation,
            manifest_first: found.first,
            attempt: None,
            chore_out: false,
            chores_paused: false,
            compaction: None,
            checkpoints: VecDeque::new(),
            notices: notices.into(),
            copies: 0,
            notices_dropped: 0,
            quarantined: 0,
            recount: false,
            frozen: false,
            rewriting: (rewriting, Ticket(0)),
            unsynced: None,
            avoided: BTreeSet::new(),
        };
        log.rewrite(unconfirmed);
        log.settle_in(&files, rebuilt);
        log.quarantined = log.disk.quarantined().unwrap_or(0);
        Ok(log)
    }

    /// Queues the batches that may not be safe. Where they lie now is left alone until they are.
    fn rewrite(&mut self, unconfirmed: Vec<Unconfirmed<D>>) {
        for (_, chunks) in unconfirmed {
            for chunk in &chunks {
                let (partition, epoch) = (chunk.head.partition, chunk.head.epoch);
                let Some(state) = self.partitions.get_mut(usize::from(partition.0)) else { continue };
                state.epoch = state.epoch.max(epoch);
                state.next = state.next.max(chunk.head.end());
                state.durable = state.durable.min(chunk.head.start);
                for (number, bytes) in chunk.records() {
                    if let Some(bytes) = bytes.filter(|_| number.0 >= state.low) {
                        self.open.push(Writer { partition, epoch }, number, bytes);
                    }
                }
            }
            if !self.open.is_empty() {
                self.rewriting.1 = self.open.ticket();
                self.close();
            }
        }
    }

    /// Makes safe what was found, which a process that was killed may have left unsynced, and only then
    /// removes what the manifest does not name.
    fn settle_in(&mut self, files: &BTreeMap<String, u64>, rebuilt: bool) {
        let stored = self.manifest(None, &[]).store(&self.disk, self.manifest_first);
        self.manifest_first = stored.first;
        let safe = stored.outcome.is_ok() && self.disk.sync_dir().is_ok() && !rebuilt;
        for name in files.keys() {
            let unnamed = file_number(name).filter(|number| !self.slots.contains_key(number));
            let unfinished = name.starts_with("checkpoint-") && name.ends_with(".new");
            let removed = safe && (unnamed.is_some() || unfinished) && self.disk.remove(name).is_ok();
            self.avoided.extend(unnamed.filter(|_| !removed));
        }
    }
}

pub(crate) fn locked(source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse,
        _ => OpenError::Io { call: "taking the lock", source },
    }
}

fn failed(call: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { call, source }
}

pub(crate) fn newer(file: &str, fault: SheetError) -> OpenError {
    let file = file.to_owned();
    match fault {
        SheetError::Newer { format } => OpenError::Newer { file, format, newest: FORMAT },
        SheetError::UnknownField { tag } => OpenError::UnknownField { file, tag },
        SheetError::Damaged => OpenError::Io { call: "reading", source: io::ErrorKind::InvalidData.into() },
    }
}

fn next_id(manifest: &Manifest) -> u64 {
    let last = manifest.segments.iter().map(|(info, _)| info.id).max().unwrap_or(0);
    manifest.next_id.max(last + 1)
}

/// The manifest, or what the segments' headers say where both copies are gone.
fn manifest<D: Disk>(
    disk: &D,
    found: &Found,
    files: &BTreeMap<String, u64>,
    notices: &mut Vec<Notice>,
) -> Result<Manifest, OpenError> {
    if let Some(manifest) = &found.manifest {
        return Ok(manifest.clone());
    }
    let mut manifest = Manifest::default();
    let mut headers = Vec::new();
    for name in files.keys() {
        let Some(number) = file_number(name) else { continue };
        let file = disk.open(name).map_err(failed("opening a segment"))?;
        match read_header(&file, number) {
            Ok((log, info, _)) => headers.push((log, info, files.get(name).copied().unwrap_or(0))),
            Err(HeaderFault::Sheet(SheetError::Damaged)) => {
                if files.get(name).is_some_and(|length| *length > 0) {
                    notices.push(Notice::Foreign { file: name.clone() });
                }
            }
            Err(HeaderFault::Sheet(fault)) => return Err(newer(name, fault)),
            Err(HeaderFault::Io(e)) => return Err(failed("reading a segment")(e)),
        }
    }
    headers.sort_by_key(|(_, info, _)| info.id);
    match headers.last() {
        Some((log, _, _)) => manifest.log = *log,
        None => manifest.log.copy_from_slice(&disk.entropy().map_err(failed("asking for randomness"))?[..16]),
    }
    for (log, info, length) in headers {
        if log == manifest.log {
            let used = if info.kind == Kind::Copied { length } else { 0 };
            manifest.segments.push((info, used));
        } else {
            notices.push(Notice::Foreign { file: info.name() });
        }
    }
    manifest.next_id = 1;
    Ok(manifest)
}

fn segments<D: Disk>(
    disk: &D,
    manifest: &Manifest,
    options: &Options,
    notices: &mut Vec<Notice>,
) -> Result<Segments<D>, OpenError> {
    let mut segments = Vec::new();
    for (info, used) in &manifest.segments {
        let file = match disk.open(&info.name()) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                notices.push(gone(info));
                continue;
            }
            Err(e) => return Err(failed("opening a segment")(e)),
        };
        let segment = Segment::open(file, info.clone(), &options.keys);
        segments.push((Arc::new(segment.map_err(|fault| key_fault(info.name(), fault))?), *used));
    }
    Ok(segments)
}

fn key_fault(file: String, fault: KeyFault) -> OpenError {
    match fault {
        KeyFault::Missing(key) => OpenError::KeyMissing { file, key },
        KeyFault::Wrong(key) => OpenError::KeyWrong { file, key },
    }
}

fn gone(info: &SegmentInfo) -> Notice {
    Notice::Damage {
        file: info.name(),
        offset: 0,
        length: 0,
        quarantined: None,
        partition: None,
        number: None,
    }
}

fn partitions<D: Disk>(
    disk: &D,
    manifest: &Manifest,
    options: &Options,
    files: &BTreeMap<String, u64>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<PartitionState>, OpenError> {
    let mut partitions = Vec::new();
    for number in 0..options.partitions {
        let partition = PartitionId(number);
        let mut state = PartitionState::default();
        if let Some(standing) = manifest.partitions.get(usize::from(number)) {
            (state.next, state.low, state.epoch) = (standing.next, standing.low, standing.epoch);
        }
        let file = checkpoint::file_name(partition);
        if let Some(length) = files.get(&file) {
            state.checkpoint = *length;
            match Snapshot::load(disk, &options.keys, manifest.log, partition) {
                Ok(None) => {}
                Ok(Some(snapshot)) => {
                    state.next = state.next.max(snapshot.checkpoint.upto.0);
                    state.low = state.low.max(snapshot.low);
                    state.epoch = state.epoch.max(snapshot.epoch);
                }
                Err(LoadFault::Damaged | LoadFault::Io(_)) => {
                    notices.push(damaged_checkpoint(disk, file, *length, partition));
                }
                Err(LoadFault::Foreign) => notices.push(Notice::Foreign { file }),
                Err(LoadFault::Newer(fault)) => return Err(newer(&file, fault)),
                Err(LoadFault::Key(key)) if options.keys.has(key) => {
                    return Err(OpenError::KeyWrong { file, key });
                }
                Err(LoadFault::Key(key)) => return Err(OpenError::KeyMissing { file, key }),
            }
        }
        partitions.push(state);
    }
    Ok(partitions)
}

fn damaged_checkpoint<D: Disk>(disk: &D, file: String, length: u64, partition: PartitionId) -> Notice {
    let copy = disk.open(&file).ok().map(|open| read_around(&open, 0, length).bytes);
    let quarantined = copy.and_then(|bytes| quarantine(disk, &file, 0, 0, &bytes));
    Notice::Damage { file, offset: 0, length, quarantined, partition: Some(partition), number: None }
}

/// The segments as the log knows them, cut behind their last batch.
fn slots<F: DiskFile>(
    segments: &[(Arc<Segment<F>>, u64)],
    partitions: &[PartitionState],
    (ends, tails): (&BTreeMap<u32, u64>, &BTreeMap<u32, u64>),
    rewriting: &BTreeSet<u32>,
    files: &BTreeMap<String, u64>,
    notices: &[Notice],
) -> BTreeMap<u32, Slot<F>> {
    let balance = balance(partitions.iter().map(|state| &state.index));
    let mut slots = BTreeMap::new();
    for (segment, _) in segments {
        let number = segment.info.file;
        let name = segment.info.name();
        let mut length = files.get(&name).copied().unwrap_or(0);
        let used = ends.get(&number).copied().unwrap_or(START);
        // What could not be put into quarantine stays where it is, and what is not yet written again.
        let needed = if rewriting.contains(&number) { tails.get(&number).copied() } else { Some(used) };
        let needed = needed.map(|end| end.max(used)).filter(|_| {
            let is_kept =
                |n: &Notice| matches!(n, Notice::Damage { file, quarantined: None, .. } if *file == name);
            !notices.iter().any(is_kept)
        });
        if let Some(end) = needed
            && length > end + SLACK
            && segment.file.truncate(end).is_ok()
        {
            length = end;
        }
        let mut slot = Slot::new(Arc::clone(segment), Role::Sealed, length, used);
        (slot.records, slot.bytes) = balance.get(&number).copied().unwrap_or_default();
        slots.insert(number, slot);
    }
    slots
}
