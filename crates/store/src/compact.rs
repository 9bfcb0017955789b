//! Compaction: living records are copied out of mostly dead segments, so that these can be given back.
//!
//! In:    neighbouring sealed segments; the runs of the index that lie in them.
//! Out:   one segment in their place, complete and synced before the manifest names it.
//! Never: a state in which both count: the manifest names the sources or the copy.
//!
//! Each run is copied as a run, so the runs of a partition stay apart and in order. The copy takes the
//! place of its first source in the order of replay, which is why the sources must be neighbours.

use crate::batch::{Batch, BatchHead, HEAD, Placed};
use crate::chore::{FreeFile, create};
use crate::chunk::{Draft, RUN};
use crate::crypt::Keyring;
use crate::disk::{Disk, DiskFile};
use crate::index::{ChunkRef, Index};
use crate::log::{Log, Role, Slot};
use crate::port::{Notice, PartitionId, RecordNumber};
use crate::segment::{Kind, START, Segment, SegmentInfo, quarantine};
use crate::wire::small;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

/// Living bytes copied between two looks at what else there is to do.
const STEP: u64 = 1 << 20;
/// Numbers missing inside a chunk before another is begun: the index keeps a bit for each.
const GAP: u64 = 256;
/// Numbers that a chunk spans at most.
const SPAN: u64 = 4096;
/// Failures after which a segment is left until all of it is dead.
const FAILURES: u8 = 3;
/// A segment of less than one part in so many is small; so many of them are worth a copy.
const SMALL: u64 = 8;
/// How full a copy is meant to be, in percent: estimates may be off, and many small runs waste room.
const FILL: u64 = 70;

/// A compaction under way.
#[derive(Debug)]
pub(crate) struct Compaction<F> {
    pub(crate) sources: Vec<u32>,
    /// The runs that are left, by their first numbers.
    left: VecDeque<(PartitionId, u64, u32)>,
    info: SegmentInfo,
    recycled: bool,
    target: Option<Arc<Segment<F>>>,
    used: u64,
    seq: u64,
    copies: BTreeMap<PartitionId, Index>,
}

impl<F> Compaction<F> {
    pub(crate) fn file(&self) -> u32 {
        self.info.file
    }

    pub(crate) fn is_copied(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn target(&self) -> Option<(SegmentInfo, u64, Arc<Segment<F>>)> {
        Some((self.info.clone(), self.used, Arc::clone(self.target.as_ref()?)))
    }
}

#[derive(Debug)]
struct Source<F> {
    partition: PartitionId,
    segment: Arc<Segment<F>>,
    chunk: ChunkRef,
    living: Vec<u64>,
    /// The run starts with this chunk.
    first: bool,
}

/// A step of copying.
#[derive(Debug)]
pub(crate) struct Copying<D: Disk> {
    target: Option<Arc<Segment<D::File>>>,
    info: SegmentInfo,
    recycled: bool,
    sources: Vec<Source<D::File>>,
    offset: u64,
    seq: u64,
}

/// A step of copying that was done.
#[derive(Debug)]
pub(crate) struct Copied<D: Disk> {
    target: Arc<Segment<D::File>>,
    written: u64,
    placed: Vec<(Placed, Vec<u64>)>,
    lost: Vec<(PartitionId, u64)>,
    notices: Vec<Notice>,
    overflow: bool,
}

impl<D: Disk> Copying<D> {
    pub(crate) fn run(self, disk: &D, keys: &Keyring, log: [u8; 16], length: u64) -> io::Result<Copied<D>> {
        let (mut lost, mut notices) = (Vec::new(), Vec::new());
        let batch = self.read(disk, &mut lost, &mut notices)?;
        let target = match &self.target {
            Some(target) => Arc::clone(target),
            None => {
                let file = create(disk, &self.info.name(), self.recycled)?;
                let segment = Segment::begin(file, self.info.clone(), log, keys, length)?;
                disk.sync_dir()?;
                Arc::new(segment)
            }
        };
        let overflow = self.offset + batch.size() > length;
        let mut copied = Copied { target, written: 0, placed: Vec::new(), lost, notices, overflow };
        if overflow {
            return Ok(copied);
        }
        let head = BatchHead {
            segment: self.info.id,
            seq: self.seq,
            after: self.seq - 1,
            synced: self.seq - 1,
            length: small(HEAD),
            chunks: 0,
            offset: small(self.offset),
            flags: 0,
            previous: 0,
        };
        let mut buffer = Vec::new();
        let placed = batch.encode(head, copied.target.key.as_ref(), &mut buffer);
        copied.target.file.write_at(&buffer, self.offset)?;
        copied.target.file.sync()?;
        copied.written = buffer.len() as u64;
        let dead = batch.chunks.iter().map(|draft| {
            let mut numbers = draft.numbers().map(|number| number.0).peekable();
            let span = draft.start().unwrap_or_default().0..draft.end().unwrap_or_default().0;
            span.filter(|number| numbers.next_if_eq(number).is_none()).collect()
        });
        copied.placed = placed.into_iter().zip(dead).collect();
        Ok(copied)
    }

    fn read(
        &self,
        disk: &D,
        lost: &mut Vec<(PartitionId, u64)>,
        notices: &mut Vec<Notice>,
    ) -> io::Result<Batch> {
        let mut batch = Batch::new(self.seq, self.target_sealed());
        let mut draft: Option<Draft> = None;
        let mut begins = false;
        for source in &self.sources {
            begins |= source.first;
            if source.first
                && let Some(full) = draft.take()
            {
                batch.push_draft(full);
            }
            let chunk = source.segment.chunk(source.chunk.offset, source.chunk.size)?;
            let Some(chunk) = chunk else {
                notices.push(damage(disk, source, None));
                lost.extend(source.living.iter().map(|number| (source.partition, *number)));
                continue;
            };
            for number in &source.living {
                let Some(Some(bytes)) = chunk.record(RecordNumber(*number)) else {
                    notices.push(damage(disk, source, Some(RecordNumber(*number))));
                    lost.push((source.partition, *number));
                    continue;
                };
                let near = |draft: &Draft| {
                    let span = draft.start().map_or(0, |start| number - start.0);
                    span <= SPAN && draft.end().is_some_and(|end| number - end.0 <= GAP)
                };
                if draft.as_ref().is_some_and(|draft| !draft.has_room(bytes.len()) || !near(draft))
                    && let Some(full) = draft.take()
                {
                    batch.push_draft(full);
                }
                let draft = draft.get_or_insert_with(|| {
                    let flags = if std::mem::take(&mut begins) { RUN } else { 0 };
                    Draft::new(source.partition, chunk.head.epoch, flags)
                });
                draft.push(RecordNumber(*number), bytes);
            }
        }
        if let Some(full) = draft {
            batch.push_draft(full);
        }
        Ok(batch)
    }

    fn target_sealed(&self) -> bool {
        self.info.cipher.is_some()
    }
}

fn damage<D: Disk>(disk: &D, source: &Source<D::File>, number: Option<RecordNumber>) -> Notice {
    let file = source.segment.info.name();
    let (offset, length) = (source.chunk.offset, source.chunk.size);
    let contents = crate::segment::read_around(&source.segment.file, offset, length);
    let quarantined = quarantine(disk, &file, source.segment.info.id, offset, &contents.bytes);
    Notice::Damage { file, offset, length, quarantined, partition: Some(source.partition), number }
}

impl<D: Disk> Log<D> {
    /// The next step of copying; begins a compaction where one is worth it.
    pub(crate) fn copying(&mut self) -> Option<Copying<D>> {
        if self.compaction.is_none() {
            self.begin_compaction()?;
        }
        let mut compaction = self.compaction.take()?;
        let mut sources = Vec::new();
        let mut bytes = 0;
        while bytes < STEP
            && let Some((partition, start, file)) = compaction.left.pop_front()
        {
            let Some(state) = self.partition(partition) else { continue };
            // A trim may have taken the run, and its successor may lie elsewhere.
            let chunks = state.index.living_chunks(start).into_iter().filter(|(chunk, _)| chunk.file == file);
            for (at, (chunk, living)) in chunks.enumerate() {
                let Some(slot) = self.slots.get(&file) else { continue };
                bytes += chunk.size;
                let segment = Arc::clone(&slot.segment);
                sources.push(Source { partition, segment, chunk, living, first: at == 0 });
            }
        }
        let copying = Copying {
            target: compaction.target.clone(),
            info: compaction.info.clone(),
            recycled: compaction.recycled,
            sources,
            offset: compaction.used,
            seq: compaction.seq,
        };
        self.compaction = Some(compaction);
        Some(copying)
    }

    /// Has a damaged segment replaced by a copy of what holds in it.
    pub(crate) fn condemn(&mut self, file: &str) {
        let slot = self.slots.values_mut().find(|slot| slot.segment.info.name() == file);
        if let Some(slot) = slot.filter(|slot| slot.role == Role::Sealed) {
            slot.condemned = true;
        }
    }

    /// The segments that are still to be replaced.
    pub(crate) fn condemned(&self) -> Vec<String> {
        let slots = self.slots.values().filter(|slot| slot.condemned);
        slots.map(|slot| slot.segment.info.name()).collect()
    }

    fn begin_compaction(&mut self) -> Option<()> {
        let sources = self.worth_copying();
        let order = self.slots.get(sources.first()?)?.segment.info.order;
        let mut left = VecDeque::new();
        for file in &sources {
            for (at, state) in self.partitions.iter().enumerate() {
                let partition = PartitionId(u16::try_from(at).unwrap_or(u16::MAX));
                left.extend(state.index.runs_in(*file).map(|start| (partition, start, *file)));
            }
        }
        let (info, recycled) = self.new_segment(Kind::Copied, Some(order)).ok()?;
        self.compaction = Some(Compaction {
            sources,
            left,
            info,
            recycled,
            target: None,
            used: START,
            seq: 1,
            copies: BTreeMap::new(),
        });
        Some(())
    }

    /// Neighbours in the order of replay that are mostly dead and fit one segment together.
    fn worth_copying(&self) -> Vec<u32> {
        let percent = if self.shortage.is_some() { 90 } else { self.options.reclaim_percent };
        let mut sealed: Vec<(&u32, &Slot<D::File>)> =
            self.slots.iter().filter(|(_, slot)| slot.role == Role::Sealed && slot.records > 0).collect();
        if self.rewrites() {
            sealed.clear();
        }
        sealed.sort_by_key(|(_, slot)| slot.segment.info.order);
        let size = self.options.segment_size;
        let worth = |slot: &Slot<D::File>| {
            let room = slot.length.saturating_sub(START).max(1);
            let sparse = slot.bytes * 100 < room * percent || slot.length < size / SMALL;
            slot.failures < FAILURES && (sparse || slot.condemned)
        };
        let first = sealed.iter().position(|(_, slot)| worth(slot));
        let mut sources = Vec::new();
        let (mut bytes, mut gain) = (0, 0);
        for (file, slot) in
            sealed.iter().skip(first.unwrap_or(sealed.len())).take_while(|(_, slot)| worth(slot))
        {
            bytes += slot.bytes;
            if !sources.is_empty() && bytes * 100 > self.capacity() * FILL {
                break;
            }
            gain += slot.length.saturating_sub(slot.bytes);
            sources.push(**file);
        }
        // What was copied once is small and sparse for ever; only company makes it worth another copy.
        let condemned = |file: &u32| self.slots.get(file).is_some_and(|slot| slot.condemned);
        if !sources.iter().any(condemned) && gain < size / 4 && (sources.len() as u64) < SMALL {
            sources.clear();
        }
        sources
    }

    pub(crate) fn copied(&mut self, copied: Copied<D>) {
        for notice in copied.notices {
            self.notice(notice);
        }
        for (partition, number) in copied.lost {
            if let Some(state) = self.partitions.get_mut(usize::from(partition.0)) {
                state.lost.add(number, number + 1);
            }
        }
        let Some(compaction) = &mut self.compaction else { return };
        compaction.target = Some(copied.target);
        if copied.overflow {
            self.abort_compaction(true);
            return;
        }
        compaction.used += copied.written;
        compaction.seq += 1;
        let file = compaction.info.file;
        for (placed, dead) in copied.placed {
            let copies = compaction.copies.entry(placed.head.partition).or_default();
            copies.push(file, &placed.head, placed.offset, dead.into_iter());
        }
    }

    /// Gives up a compaction: its file is free. Its sources may be `to_blame`.
    pub(crate) fn abort_compaction(&mut self, to_blame: bool) {
        let Some(compaction) = self.compaction.take() else { return };
        for file in &compaction.sources {
            if let Some(slot) = self.slots.get_mut(file) {
                slot.failures += u8::from(to_blame);
            }
        }
        let (file, length) = (compaction.info.file, self.options.segment_size);
        self.free.push(FreeFile { file, length, readers: compaction.target });
    }

    pub(crate) fn switched(&mut self, used: u64) {
        let Some(compaction) = self.compaction.take() else { return };
        let Some(target) = compaction.target else { return };
        let file = compaction.info.file;
        let mut slot = Slot::new(target, Role::Sealed, used, used);
        let mut copies = compaction.copies;
        for (at, state) in self.partitions.iter_mut().enumerate() {
            let partition = PartitionId(u16::try_from(at).unwrap_or(u16::MAX));
            let gain =
                state.index.replace(&compaction.sources, copies.remove(&partition).unwrap_or_default());
            slot.records += gain.records;
            slot.bytes += gain.bytes;
        }
        self.slots.insert(file, slot);
        self.copies += compaction.sources.len() as u64;
        self.free_up(&compaction.sources);
    }
}
