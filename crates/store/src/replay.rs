//! Replays of many partitions at once: each segment is read in windows, once, and only where something lives that is wanted.
//!
//! In:    where each partition begins.
//! Out:   every living record, each partition's in ascending order, in the order in which they lie.
//! Never: a segment in memory as a whole; a copy of a record that is not sealed; I/O under the lock.

use crate::chunk::{Chunk, ChunkView, SEALED};
use crate::disk::Disk;
use crate::index::ChunkRef;
use crate::log::{Log, Lost};
use crate::port::{Entry, PartitionId, ReadError, RecordNumber};
use crate::segment::{Contents, Segment, read_into};
use crate::store::{Shared, guard};
use crate::wire::index;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Bytes read at once, where a single chunk is not larger.
const WINDOW: u64 = 1 << 20;
/// Bytes that nobody wants and that are read all the same, rather than begin another window.
const GAP: u64 = 64 << 10;

/// The runs to be visited in each file: partition and first number.
type Runs = BTreeMap<u32, Vec<(PartitionId, u64)>>;

/// What is known of a partition when its replay begins.
struct Standing {
    lost: Lost,
    start: u64,
    durable: u64,
}

/// A chunk to be visited.
struct Stop {
    partition: PartitionId,
    at: ChunkRef,
    /// Numbers in it that do not live, ascending.
    dead: Vec<u64>,
}

impl<D: Disk> Log<D> {
    fn standings(&self, from: &dyn Fn(PartitionId) -> RecordNumber) -> Vec<Standing> {
        let standings = (0..).zip(&self.partitions).map(|(number, state)| Standing {
            lost: state.lost.clone(),
            start: from(PartitionId(number)).0.max(state.low),
            durable: state.durable,
        });
        standings.collect()
    }

    fn runs(&self, standings: &[Standing]) -> Runs {
        let mut runs = Runs::new();
        for (number, (state, standing)) in (0..).zip(self.partitions.iter().zip(standings)) {
            for run in state.index.runs_from(standing.start) {
                runs.entry(run.file).or_default().push((PartitionId(number), run.start));
            }
        }
        runs
    }

    /// The chunks of some runs, in the order in which they lie.
    fn stops(&self, runs: &[(PartitionId, u64)]) -> Vec<Stop> {
        let mut stops = Vec::new();
        for (partition, run) in runs {
            let Some(state) = self.partition(*partition) else { continue };
            stops.extend(state.index.visits(*run).map(|(at, dead)| Stop { partition: *partition, at, dead }));
        }
        stops.sort_unstable_by_key(|stop| stop.at.offset);
        stops
    }
}

impl<D: Disk> Shared<D> {
    pub(crate) fn replay_all(
        &self,
        from: &dyn Fn(PartitionId) -> RecordNumber,
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) -> Result<(), ReadError> {
        let (mut segments, standings, runs) = {
            let log = guard(&self.log);
            let segments: Vec<_> = log.slots.values().map(|slot| Arc::clone(&slot.segment)).collect();
            let standings = log.standings(from);
            let runs = log.runs(&standings);
            (segments, standings, runs)
        };
        for (number, Standing { lost, start, .. }) in (0..).zip(&standings) {
            for (a, b) in lost.ranges.iter().filter(|(_, to)| to > start) {
                let from = RecordNumber((*a).max(*start));
                visit(PartitionId(number), Entry::Lost { from, to: RecordNumber(*b) });
            }
        }
        segments.sort_by_key(|segment| segment.info.order);
        let mut contents = Contents::default();
        for segment in segments {
            let Some(runs) = runs.get(&segment.info.file) else { continue };
            let stops = guard(&self.log).stops(runs);
            for window in stops.chunk_by_window() {
                self.visit_window(&segment, window, &standings, &mut contents, visit)?;
            }
        }
        for (number, Standing { start, durable, .. }) in (0..).zip(&standings) {
            let partition = PartitionId(number);
            self.replay(partition, RecordNumber(*start.max(durable)), &mut |entry| {
                visit(partition, entry);
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    fn visit_window(
        &self,
        segment: &Segment<D::File>,
        window: &[Stop],
        standings: &[Standing],
        contents: &mut Contents,
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(()) };
        let begin = first.at.offset;
        // The sizes are rounded up: the file may end before.
        read_into(&segment.file, begin, last.at.offset + last.at.size - begin, contents);
        if !contents.unreadable.is_empty() {
            return Err(ReadError::Io(std::io::ErrorKind::Other));
        }
        for stop in window {
            let bytes = contents.bytes.get(index(stop.at.offset - begin)..).unwrap_or(&[]);
            let from =
                standings.get(usize::from(stop.partition.0)).map_or(u64::MAX, |standing| standing.start);
            self.visit_chunk(segment, stop, from, bytes, visit);
        }
        Ok(())
    }

    fn visit_chunk(
        &self,
        segment: &Segment<D::File>,
        stop: &Stop,
        from: u64,
        bytes: &[u8],
        visit: &mut dyn FnMut(PartitionId, Entry<'_>),
    ) {
        let Stop { partition, at, dead } = stop;
        let mut give = |number: RecordNumber, bytes: Option<&[u8]>| {
            if number.0 < from || dead.binary_search(&number.0).is_ok() {
                return;
            }
            if let Some(bytes) = bytes {
                return visit(*partition, Entry::Record { number, bytes });
            }
            self.damaged(*partition, segment, at, Some(number));
            visit(*partition, Entry::Lost { from: number, to: RecordNumber(number.0 + 1) });
        };
        let view =
            ChunkView::parse(bytes, segment.info.id, at.offset).filter(|view| view.head.start == at.start);
        let Some(view) = view else {
            self.damaged(*partition, segment, at, None);
            let (from, to) = (RecordNumber(at.start.max(from)), RecordNumber(at.end()));
            return visit(*partition, Entry::Lost { from, to });
        };
        if view.head.flags & SEALED == 0 {
            return view.items().for_each(|item| give(item.number, view.whole(&item)));
        }
        let whole = bytes.get(..index(view.head.size())).unwrap_or(bytes).to_vec();
        let Some(chunk) = Chunk::open(whole, segment.info.id, at.offset, segment.key.as_ref()) else {
            return;
        };
        chunk.records().for_each(|(number, bytes)| give(number, bytes));
    }
}

/// Stops that are read together.
trait Windows {
    fn chunk_by_window(&self) -> impl Iterator<Item = &[Stop]>;
}

impl Windows for Vec<Stop> {
    fn chunk_by_window(&self) -> impl Iterator<Item = &[Stop]> {
        let mut rest = self.as_slice();
        std::iter::from_fn(move || {
            let begin = rest.first()?.at.offset;
            let mut end = begin;
            let fits = |stop: &Stop| {
                let to = stop.at.offset + stop.at.size;
                let fits = end == begin || stop.at.offset <= end + GAP && to - begin <= WINDOW;
                end = end.max(to);
                fits
            };
            let mut fits = fits;
            let count = rest.iter().position(|stop| !fits(stop)).unwrap_or(rest.len());
            let (window, after) = rest.split_at(count.max(1));
            rest = after;
            Some(window)
        })
    }
}
