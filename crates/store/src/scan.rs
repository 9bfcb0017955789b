//! Scanning: what a segment's bytes say, damaged or not.
//!
//! In:    the bytes behind a segment's header.
//! Out:   its batches in order, each with its chunks and its faults, and the holes between them.
//! Never: a judgement whether damage matters; that takes the segments that follow.

use crate::batch::{self, BatchHead};
use crate::chunk::{self, ChunkHead, ChunkView};
use crate::port::{PartitionId, RecordNumber};
use crate::segment::START;
use crate::wire::index;

/// A chunk whose head holds.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) head: ChunkHead,
    pub(crate) offset: u64,
    /// Numbers in its span without a record, and those whose record is damaged.
    pub(crate) dead: Vec<u64>,
    /// Numbers whose record is damaged.
    pub(crate) lost: Vec<RecordNumber>,
}

/// Bytes that do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) record: Option<(PartitionId, RecordNumber)>,
}

/// A batch whose head holds.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    pub(crate) head: BatchHead,
    pub(crate) chunks: Vec<Found>,
    pub(crate) faults: Vec<Fault>,
}

impl Scanned {
    pub(crate) fn is_whole(&self) -> bool {
        self.faults.is_empty() && self.chunks.len() == index(u64::from(self.head.chunks))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Batch(Scanned),
    /// No batch, though one follows.
    Hole {
        offset: u64,
        length: u64,
    },
}

/// Scans what lies behind a header. Gives the parts and the offset after the last batch.
pub(crate) fn segment(bytes: &[u8], life: u64) -> (Vec<Part>, u64) {
    let mut parts = Vec::new();
    let mut at = 0;
    let mut end = 0;
    while let Some((next, head)) = find(bytes, at, batch::ALIGN, |at| head_at(bytes, life, at)) {
        if next > end {
            parts.push(Part::Hole { offset: START + end, length: next - end });
        }
        let (mut chunks, mut faults) = (Vec::new(), Vec::new());
        let to = next + u64::from(head.length);
        range(bytes, life, next + batch::HEAD, to, &mut chunks, &mut faults);
        parts.push(Part::Batch(Scanned { head, chunks, faults }));
        at = next + head.padded();
        end = at.min(bytes.len() as u64);
    }
    (parts, START + end)
}

fn head_at(bytes: &[u8], life: u64, at: u64) -> Option<BatchHead> {
    BatchHead::parse(bytes.get(index(at)..)?, life, START + at)
}

/// The first place from `from` on where something parses, with what it is.
fn find<T>(bytes: &[u8], from: u64, align: u64, parse: impl Fn(u64) -> Option<T>) -> Option<(u64, T)> {
    let mut places = (from..bytes.len() as u64).step_by(index(align));
    places.find_map(|at| Some((at, parse(at)?)))
}

/// Finds the chunks between two offsets behind the header, and what lies between them.
pub(crate) fn range(
    bytes: &[u8],
    life: u64,
    from: u64,
    to: u64,
    chunks: &mut Vec<Found>,
    faults: &mut Vec<Fault>,
) {
    let bytes = &bytes[..index(to.min(bytes.len() as u64))];
    let view = |at: u64| ChunkView::parse(bytes.get(index(at)..)?, life, START + at);
    let mut at = from;
    while at < to {
        let next = find(bytes, at, chunk::ALIGN, view);
        let until = next.as_ref().map_or(to, |(next, _)| *next);
        if until > at {
            faults.push(Fault { offset: START + at, length: until - at, record: None });
        }
        let Some((_, view)) = next else { return };
        chunks.push(found(&view, START + until, faults));
        at = until + view.head.size();
    }
}

fn found(view: &ChunkView<'_>, offset: u64, faults: &mut Vec<Fault>) -> Found {
    let mut found = Found { head: view.head, offset, dead: Vec::new(), lost: Vec::new() };
    let mut next = view.head.start;
    for item in view.items() {
        found.dead.extend(next..item.number.0);
        next = item.number.0 + 1;
        if !view.holds(&item) {
            found.dead.push(item.number.0);
            found.lost.push(item.number);
            let (at, length) = item.place();
            let record = Some((view.head.partition, item.number));
            faults.push(Fault { offset: offset + at, length, record });
        }
    }
    found
}
