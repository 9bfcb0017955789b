//! Reading: records, replays and checkpoints, with the log locked only to look up places.
//!
//! In:    partitions and record numbers.
//! Out:   bytes whose checksums hold; damage as a value and a notice.
//! Never: I/O under the lock.

use crate::checkpoint::{LoadFault, Snapshot};
use crate::chunk::Chunk;
use crate::disk::Disk;
use crate::index::ChunkRef;
use crate::log::{Log, Place};
use crate::port::{Checkpoint, Entry, Notice, PartitionId, ReadError, RecordNumber};
use crate::segment::{Segment, quarantine, read_around};
use crate::store::{Shared, guard};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// Chunks above this are not kept after a read, in bytes.
const CACHED: u64 = 8192;

/// The chunk that a partition's last read opened: the next read is likely to want its neighbour.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    place: (u64, u64),
    chunk: Option<Arc<Chunk>>,
}

/// What comes next in a replay.
enum Next<F> {
    Lost(u64, u64),
    Chunk { segment: Arc<Segment<F>>, chunk: ChunkRef, living: Vec<u64>, until: u64 },
    Memory(Vec<(RecordNumber, Vec<u8>)>),
}

impl<D: Disk> Log<D> {
    fn next_from(&self, partition: PartitionId, from: u64) -> Next<D::File> {
        let Some(state) = self.partition(partition) else { return Next::Memory(Vec::new()) };
        let from = from.max(state.low);
        let chunk =
            state.index.next_chunk(from).and_then(|chunk| Some((self.slots.get(&chunk.file)?, chunk)));
        let next = chunk.as_ref().map_or(u64::MAX, |(_, chunk)| chunk.start.max(from));
        let lost = state.lost.ranges.iter().find(|(_, to)| *to > from);
        if let Some((start, to)) = lost.filter(|(start, _)| *start <= next) {
            return Next::Lost(from.max(*start), *to);
        }
        if let Some((slot, chunk)) = chunk {
            let until = lost.map_or(u64::MAX, |(start, _)| *start).min(chunk.end());
            let living = state.index.living_in(&chunk).filter(|n| (from..until).contains(n)).collect();
            return Next::Chunk { segment: Arc::clone(&slot.segment), chunk, living, until };
        }
        let drafts = self.in_memory().flat_map(|batch| &batch.chunks);
        let live = drafts.filter(|draft| draft.partition == partition).flat_map(crate::chunk::Draft::live);
        let wanted = live.filter(|(number, _)| number.0 >= from && !state.early.contains(&number.0));
        Next::Memory(wanted.map(|(number, bytes)| (number, bytes.to_vec())).collect())
    }

    /// Remembers that records are gone, and says so.
    fn report_lost(&mut self, partition: PartitionId, from: u64, to: u64, notice: Notice) {
        let Some(state) = self.partitions.get_mut(usize::from(partition.0)) else { return };
        let known = state.lost.contains(from);
        state.lost.add(from, to);
        let mut losses = Vec::new();
        state.index.release(from..to, &mut losses);
        self.lose(&losses);
        if !known {
            self.notice(notice);
        }
    }
}

impl<D: Disk> Shared<D> {
    pub(crate) fn read(
        &self,
        partition: PartitionId,
        number: RecordNumber,
        into: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let place = guard(&self.log).place(partition, number)?;
        into.clear();
        let (segment, at) = match place {
            Place::Memory(bytes) => {
                into.extend(bytes);
                return Ok(());
            }
            Place::Disk(segment, at) => (segment, at),
        };
        let chunk = self.chunk(partition, &segment, &at)?;
        match chunk.as_ref().and_then(|chunk| chunk.record(number)).flatten() {
            Some(bytes) => {
                into.extend_from_slice(bytes);
                Ok(())
            }
            None => {
                let whole = chunk.is_none();
                self.damaged(partition, &segment, &at, (!whole).then_some(number));
                Err(ReadError::Lost)
            }
        }
    }

    fn chunk(
        &self,
        partition: PartitionId,
        segment: &Arc<Segment<D::File>>,
        at: &ChunkRef,
    ) -> Result<Option<Arc<Chunk>>, ReadError> {
        let place = (segment.info.id, at.offset);
        let cache = self.caches.get(usize::from(partition.0)).map(Mutex::lock);
        let mut cache = cache.map(|cache| cache.unwrap_or_else(std::sync::PoisonError::into_inner));
        if let Some(cache) = &cache
            && cache.place == place
            && let Some(chunk) = &cache.chunk
        {
            return Ok(Some(Arc::clone(chunk)));
        }
        // Once more: an error or a flipped bit on the way may pass.
        let read = || segment.chunk(at.offset, at.size);
        let chunk = match read() {
            Ok(Some(chunk)) => Some(chunk),
            _ => read().map_err(|e| ReadError::Io(e.kind()))?,
        };
        let chunk = chunk.map(Arc::new);
        if let Some(cache) = &mut cache
            && at.size <= CACHED
        {
            **cache = Cache { place, chunk: chunk.clone() };
        }
        Ok(chunk)
    }

    /// Takes note of a chunk that does not hold, or of one record in it.
    pub(crate) fn damaged(
        &self,
        partition: PartitionId,
        segment: &Segment<D::File>,
        at: &ChunkRef,
        number: Option<RecordNumber>,
    ) {
        let file = segment.info.name();
        let bytes = read_around(&segment.file, at.offset, at.size).bytes;
        let quarantined = quarantine(&self.disk, &file, segment.info.id, at.offset, &bytes);
        let (from, to) = number.map_or((at.start, at.end()), |number| (number.0, number.0 + 1));
        let partition_known = Some(partition);
        let notice = Notice::Damage {
            file,
            offset: at.offset,
            length: at.size,
            quarantined,
            partition: partition_known,
            number,
        };
        guard(&self.log).report_lost(partition, from, to, notice);
    }

    pub(crate) fn replay(
        &self,
        partition: PartitionId,
        from: RecordNumber,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut from = from.0;
        loop {
            let next = guard(&self.log).next_from(partition, from);
            match next {
                Next::Lost(start, to) => {
                    let entry = Entry::Lost { from: RecordNumber(start), to: RecordNumber(to) };
                    if visit(entry).is_break() {
                        return Ok(());
                    }
                    from = to;
                }
                Next::Chunk { segment, chunk: at, living, until } => {
                    let chunk = self.chunk(partition, &segment, &at)?;
                    let Some(chunk) = chunk else {
                        self.damaged(partition, &segment, &at, None);
                        continue;
                    };
                    for number in living {
                        let number = RecordNumber(number);
                        let Some(bytes) = chunk.record(number).flatten() else {
                            self.damaged(partition, &segment, &at, Some(number));
                            let to = RecordNumber(number.0 + 1);
                            if visit(Entry::Lost { from: number, to }).is_break() {
                                return Ok(());
                            }
                            continue;
                        };
                        if visit(Entry::Record { number, bytes }).is_break() {
                            return Ok(());
                        }
                    }
                    from = until;
                }
                Next::Memory(records) => {
                    for (number, bytes) in &records {
                        if visit(Entry::Record { number: *number, bytes }).is_break() {
                            return Ok(());
                        }
                    }
                    return Ok(());
                }
            }
        }
    }

    pub(crate) fn load(&self, partition: PartitionId) -> Result<Option<Checkpoint>, ReadError> {
        let (keys, log) = {
            let log = guard(&self.log);
            (log.options.keys.clone(), log.id)
        };
        match Snapshot::load(&self.disk, &keys, log, partition) {
            Ok(found) => Ok(found.map(|snapshot| snapshot.checkpoint)),
            Err(LoadFault::Io(e)) => Err(ReadError::Io(e.kind())),
            Err(_) => Err(ReadError::Lost),
        }
    }
}
