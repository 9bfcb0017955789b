//! Recovery: what a crash left, judged.
//!
//! In:    the segments that the manifest names, in the order in which they were written.
//! Out:   the index of each partition; where the log goes on; a notice for everything that is not whole.
//! Never: silence about a record that was safe, or a start that fails for damage.
//!
//! A batch is confirmed when a later one says that it was synced. Damage in a confirmed batch is
//! quarantined and what holds around it is kept. Behind the last confirmed batch whole batches are kept up
//! to the first damaged one: that is the torn tail, which nobody was told of.

use crate::batch::CONFIRM;
use crate::chunk::Chunk;
use crate::disk::{Disk, DiskFile};
use crate::index::Index;
use crate::log::{Lost, PartitionState};
use crate::port::{Notice, PartitionId, RecordNumber};
use crate::scan::{self, Fault, Found, Part, Scanned};
use crate::segment::{Contents, Kind, START, Segment, quarantine, read_around, read_into};
use crate::wire::index;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

type Shared<D> = Arc<Segment<<D as Disk>::File>>;
/// The chunks of a batch and where it lies.
pub(crate) type Unconfirmed<D> = (Shared<D>, Vec<Chunk>);

/// A partition while it is being recovered.
#[derive(Debug, Default)]
struct Rebuilt {
    /// The first number that the next fresh chunk must account for, once that is known.
    cover: Option<u64>,
    /// The end of the last fresh chunk.
    end: u64,
}

pub(crate) struct Recovery<'a, D: Disk> {
    disk: &'a D,
    partitions: &'a mut [PartitionState],
    notices: &'a mut Vec<Notice>,
    rebuilt: Vec<Rebuilt>,
    pending: VecDeque<(Shared<D>, Scanned)>,
    confirmed: u64,
    /// The last batch that was accepted.
    last: u64,
    /// The last batch that was seen, kept or not.
    pub(crate) seen: u64,
    /// The fresh segment scanned before, with the end of its last batch.
    before: Option<(Shared<D>, u64)>,
    /// The segment that holds the last batch that was accepted.
    pub(crate) home: u64,
    /// Whole batches that no later one confirms. The process may have ended before they were synced, or
    /// after a sync that failed, and what the page cache shows proves nothing: they are written again.
    pub(crate) unconfirmed: Vec<Unconfirmed<D>>,
    /// Where those end in their files.
    pub(crate) tails: BTreeMap<u32, u64>,
    /// Files with batches that were written again, and as what.
    replaced: Vec<(u32, u64)>,
    /// Bytes of a batch at most that can be written again.
    limit: u64,
    /// The end of the batches of each file.
    pub(crate) ends: BTreeMap<u32, u64>,
    /// The bytes of a segment.
    contents: Contents,
}

impl<'a, D: Disk> Recovery<'a, D> {
    pub(crate) fn new(
        limit: u64,
        disk: &'a D,
        partitions: &'a mut [PartitionState],
        notices: &'a mut Vec<Notice>,
    ) -> Self {
        let rebuilt = partitions.iter().map(|_| Rebuilt::default()).collect();
        Self {
            disk,
            partitions,
            notices,
            rebuilt,
            pending: VecDeque::new(),
            confirmed: 0,
            last: 0,
            seen: 0,
            before: None,
            home: 0,
            unconfirmed: Vec::new(),
            tails: BTreeMap::new(),
            replaced: Vec::new(),
            limit,
            ends: BTreeMap::new(),
            contents: Contents::default(),
        }
    }

    /// Takes the segments: fresh ones by id, then copied ones.
    pub(crate) fn segments(&mut self, segments: &[(Shared<D>, u64)]) {
        let mut fresh: Vec<_> = segments.iter().filter(|(s, _)| s.info.kind == Kind::Fresh).collect();
        fresh.sort_by_key(|(segment, _)| segment.info.id);
        for (segment, used) in fresh {
            self.fresh(segment, *used);
        }
        self.tail();
        for (segment, used) in segments.iter().filter(|(s, _)| s.info.kind == Kind::Copied) {
            self.copied(segment, *used);
        }
        for (at, partition) in self.partitions.iter_mut().enumerate() {
            for (_, from, to) in partition.index.sort() {
                partition.lost.add(from, to);
                let partition = PartitionId(u16::try_from(at).unwrap_or(u16::MAX));
                let (from, to) = (RecordNumber(from), RecordNumber(to));
                self.notices.push(Notice::Missing { partition, from, to });
            }
            partition.index.trim(partition.low, &mut Vec::new());
            partition.next = partition.next.max(partition.low);
            partition.durable = partition.next;
            partition.cover = self.rebuilt.get(at).map_or(0, |rebuilt| rebuilt.end);
        }
    }

    /// The last batch that was kept.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// A segment whose end the manifest knows was safe up to there, and what lies behind was superseded.
    fn fresh(&mut self, segment: &Shared<D>, used: u64) {
        let limit = if used == 0 { u64::from(u32::MAX) } else { used.saturating_sub(START) };
        let (parts, end) = self.scan(segment, limit);
        let mut holes = Vec::new();
        let mut first = true;
        for part in parts {
            match part {
                Part::Hole { offset, length } => holes.push((offset, length)),
                Part::Batch(batch) if batch.head.flags & CONFIRM != 0 => {
                    self.confirm(batch.head.synced);
                    if self.last < batch.head.synced {
                        holes.iter().for_each(|(offset, length)| self.hole(segment, *offset, *length));
                        self.last = batch.head.synced;
                    }
                    holes.clear();
                }
                Part::Batch(batch) => {
                    self.batch(segment, batch, first, &holes);
                    holes.clear();
                    first = false;
                }
            }
        }
        if used > 0 {
            let mut own = self.pending.iter().rev().filter(|(pending, _)| pending.info.id == segment.info.id);
            let last = own.next().map_or(0, |(_, batch)| batch.head.seq);
            self.confirm(last);
            if end < used {
                self.hole(segment, end, used - end);
            }
        }
        if !first || end > START {
            self.before = Some((Arc::clone(segment), end.max(used)));
        }
    }

    fn scan(&mut self, segment: &Segment<D::File>, limit: u64) -> (Vec<Part>, u64) {
        read_into(&segment.file, START, limit, &mut self.contents);
        scan::segment(&self.contents.bytes, segment.info.id)
    }

    fn batch(&mut self, segment: &Shared<D>, batch: Scanned, first: bool, holes: &[(u64, u64)]) {
        let head = batch.head;
        self.seen = self.seen.max(head.seq);
        // Written again here, or cut off by an earlier recovery. A torn copy does not make the original
        // worse, and an original that is torn was cut off.
        let whole = batch.is_whole();
        while let Some((original, pending)) = self.pending.back()
            && pending.head.seq > head.after
            && (whole || !pending.is_whole())
        {
            self.replaced.push((original.info.file, head.seq));
            self.pending.pop_back();
        }
        self.confirm(head.synced);
        let known = self.pending.back().map_or(self.last, |(_, pending)| pending.head.seq);
        if head.after > known {
            let follows = self.before.as_ref().is_some_and(|(before, _)| before.info.id == head.previous);
            if first && !follows {
                // What lay between was given back long ago.
                self.rebuilt.iter_mut().for_each(|partition| partition.cover = None);
            } else if first && let Some((before, end)) = self.before.clone() {
                let length = (u64::from(u32::MAX)).saturating_sub(end);
                self.hole(&before, end, length);
            }
            for (offset, length) in holes {
                self.hole(segment, *offset, *length);
            }
        }
        self.pending.push_back((Arc::clone(segment), batch));
    }

    fn confirm(&mut self, synced: u64) {
        self.confirmed = self.confirmed.max(synced);
        self.seen = self.seen.max(synced);
        while self.pending.front().is_some_and(|(_, batch)| batch.head.seq <= self.confirmed) {
            if let Some((segment, batch)) = self.pending.pop_front() {
                self.accept(&segment, batch);
            }
        }
    }

    /// Keeps the whole batches behind the last confirmed one, to be written again.
    fn tail(&mut self) {
        while let Some((segment, batch)) = self.pending.pop_front() {
            if batch.is_whole() {
                if u64::from(batch.head.length) > self.limit {
                    // Segments were larger then. It stays where it is.
                    self.accept(&segment, batch);
                    continue;
                }
                if let Some(chunks) = opened(&segment, &batch) {
                    self.tails.insert(segment.info.file, u64::from(batch.head.offset) + batch.head.padded());
                    self.unconfirmed.push((segment, chunks));
                    continue;
                }
            }
            let cut = self.pending.drain(..).collect::<Vec<_>>();
            for (segment, batch) in std::iter::once((segment, batch)).chain(cut) {
                self.notices.push(Notice::TornTail {
                    file: segment.info.name(),
                    offset: u64::from(batch.head.offset),
                    length: batch.head.padded(),
                });
            }
            return;
        }
    }

    /// The files whose last batches must stay until they are safe elsewhere.
    pub(crate) fn rewriting(&self) -> BTreeSet<u32> {
        let replaced = self.replaced.iter().filter(|(_, by)| *by > self.confirmed).map(|(file, _)| *file);
        self.unconfirmed.iter().map(|(segment, _)| segment.info.file).chain(replaced).collect()
    }

    fn copied(&mut self, segment: &Shared<D>, used: u64) {
        let (parts, end) = self.scan(segment, used.saturating_sub(START));
        for part in parts {
            match part {
                Part::Hole { offset, length } => self.hole(segment, offset, length),
                Part::Batch(batch) => self.accept(segment, batch),
            }
        }
        if end < used {
            self.hole(segment, end, used - end);
        }
        self.reaches(segment, used);
    }

    /// What lies before this offset belongs to the log.
    fn reaches(&mut self, segment: &Segment<D::File>, end: u64) {
        let known = self.ends.entry(segment.info.file).or_insert(START);
        *known = end.max(*known);
    }

    /// Bytes that held batches that were safe: keeps the chunks that still hold.
    fn hole(&mut self, segment: &Shared<D>, offset: u64, length: u64) {
        let contents = read_around(&segment.file, START, u64::from(u32::MAX));
        let bytes = &contents.bytes;
        let from = offset - START;
        let mut to = (from + length).min(bytes.len() as u64);
        let is_zero = |at: u64| bytes[index(at)..index(at + 8)].iter().all(|byte| *byte == 0);
        while to >= from + 8 && is_zero(to - 8) {
            to -= 8;
        }
        let (mut chunks, mut faults) = (Vec::new(), Vec::new());
        scan::range(bytes, segment.info.id, from, to, &mut chunks, &mut faults);
        if faults.is_empty() {
            // Only zeros are left of what was there.
            faults.push(Fault { offset, length: to.saturating_sub(from).max(8), record: None });
        }
        for found in &chunks {
            self.chunk(segment, found);
        }
        self.faults(segment, &faults);
        self.reaches(segment, START + to.max(from));
    }

    fn accept(&mut self, segment: &Shared<D>, batch: Scanned) {
        for found in &batch.chunks {
            self.chunk(segment, found);
        }
        self.faults(segment, &batch.faults);
        if segment.info.kind == Kind::Fresh {
            self.last = batch.head.seq;
            self.home = segment.info.id;
            self.reaches(segment, u64::from(batch.head.offset) + batch.head.padded());
        }
    }

    fn chunk(&mut self, segment: &Shared<D>, found: &Found) {
        let head = &found.head;
        let at = usize::from(head.partition.0);
        let (Some(partition), Some(rebuilt)) = (self.partitions.get_mut(at), self.rebuilt.get_mut(at)) else {
            return;
        };
        let fresh = segment.info.kind == Kind::Fresh;
        if fresh {
            if head.start < rebuilt.end {
                return;
            }
            let missing = rebuilt.cover.filter(|cover| *cover < head.accounts_from());
            if let Some(from) = missing.map(|from| from.max(partition.low)).filter(|from| *from < head.start)
            {
                let to = head.accounts_from().max(from);
                partition.lost.add(from, to);
                let (from, to) = (RecordNumber(from), RecordNumber(to));
                self.notices.push(Notice::Missing { partition: head.partition, from, to });
            }
            rebuilt.cover = Some(head.end());
            rebuilt.end = head.end();
        }
        for number in &found.lost {
            partition.lost.add(number.0, number.0 + 1);
        }
        partition.epoch = partition.epoch.max(head.epoch);
        partition.next = partition.next.max(head.end());
        partition.index.push(segment.info.file, head, found.offset, found.dead.iter().copied());
    }

    fn faults(&mut self, segment: &Shared<D>, faults: &[Fault]) {
        for fault in faults {
            let file = segment.info.name();
            let contents = read_around(&segment.file, fault.offset, fault.length);
            let quarantined = quarantine(self.disk, &file, segment.info.id, fault.offset, &contents.bytes);
            self.notices.push(Notice::Damage {
                file,
                offset: fault.offset,
                length: fault.length,
                quarantined,
                partition: fault.record.map(|(partition, _)| partition),
                number: fault.record.map(|(_, number)| number),
            });
        }
    }
}

/// The chunks of a batch, if all of them can be read.
fn opened<F: DiskFile>(segment: &Segment<F>, batch: &Scanned) -> Option<Vec<Chunk>> {
    let chunks =
        batch.chunks.iter().map(|found| segment.chunk(found.offset, found.head.size()).ok().flatten());
    let chunks: Vec<Chunk> = chunks.collect::<Option<_>>()?;
    let whole = chunks.iter().all(|chunk| chunk.records().all(|(_, bytes)| bytes.is_some()));
    whole.then_some(chunks)
}

impl Lost {
    /// Adds numbers that are gone.
    pub(crate) fn add(&mut self, from: u64, to: u64) {
        /// Ranges that are told apart; beyond that neighbours melt together.
        const RANGES: usize = 4096;
        if from >= to {
            return;
        }
        self.ranges.push((from, to));
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, last| {
            let meets = next.0 <= last.1;
            if meets {
                last.1 = last.1.max(next.1);
            }
            meets
        });
        if self.ranges.len() > RANGES {
            let last = self.ranges.len() - 1;
            self.ranges[last - 1].1 = self.ranges[last].1;
            self.ranges.truncate(last);
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|(_, to)| *to <= number);
        self.ranges.get(at).is_some_and(|(from, _)| *from <= number)
    }
}

/// The balance of what lives in each file.
pub(crate) fn balance<'a>(indexes: impl Iterator<Item = &'a Index>) -> BTreeMap<u32, (u64, u64)> {
    let mut files = BTreeMap::new();
    for index in indexes {
        index.balance(&mut files);
    }
    files
}
