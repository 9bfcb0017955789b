//! Batches: what one write and one sync make safe, together or not at all.
//!
//! In:    records of any partitions in the order they came.
//! Out:   the bytes of docs/journal-format.md, with chunks filled a partition at a time.
//! Never: I/O.

use crate::chunk::{ChunkHead, Draft};
use crate::crypt::FileKey;
use crate::port::{PartitionId, RecordNumber, Ticket, Writer};
use crate::wire::{index, round_up, small, sum, u32_at, u64_at};
use std::collections::HashMap;

/// Bytes of a batch's head.
pub(crate) const HEAD: u64 = 64;
/// Batches start at multiples of this, so that no sector is written again after it was synced.
pub(crate) const ALIGN: u64 = 512;
const MAGIC: u32 = u32::from_le_bytes(*b"DLB1");
/// The batch only says what is synced.
pub(crate) const CONFIRM: u32 = 1;
/// What leaving out a neighbour can add to a chunk.
const SLACK: u64 = 8;

/// The start of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// The life of the segment's file.
    pub(crate) segment: u64,
    pub(crate) seq: u64,
    /// The batch before this one in the log: what lies between in sequence does not belong to it.
    pub(crate) after: u64,
    /// The last batch that was known to be synced when this one was written.
    pub(crate) synced: u64,
    /// Bytes without the padding.
    pub(crate) length: u32,
    pub(crate) chunks: u32,
    pub(crate) offset: u32,
    pub(crate) flags: u32,
    /// The segment that holds the batch `after`; 0 if there is none.
    pub(crate) previous: u64,
}

impl BatchHead {
    fn encode(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        for (at, n) in
            [(8, self.segment), (16, self.seq), (24, self.after), (32, self.synced), (56, self.previous)]
        {
            out[at..at + 8].copy_from_slice(&n.to_le_bytes());
        }
        for (at, n) in [(40, self.length), (44, self.chunks), (48, self.offset), (52, self.flags)] {
            out[at..at + 4].copy_from_slice(&n.to_le_bytes());
        }
        let crc = sum(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The head at the front of `bytes`, if it belongs to this life and place and its batch fits.
    pub(crate) fn parse(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let head = Self {
            segment: u64_at(bytes, 8)?,
            seq: u64_at(bytes, 16)?,
            after: u64_at(bytes, 24)?,
            synced: u64_at(bytes, 32)?,
            length: u32_at(bytes, 40)?,
            chunks: u32_at(bytes, 44)?,
            offset: u32_at(bytes, 48)?,
            flags: u32_at(bytes, 52)?,
            previous: u64_at(bytes, 56)?,
        };
        let placed = u32_at(bytes, 0)? == MAGIC
            && head.segment == segment
            && u64::from(head.offset) == offset
            && (HEAD..=bytes.len() as u64).contains(&u64::from(head.length));
        // A confirmation repeats the number of the batch that it confirms.
        let ordered = match head.flags & CONFIRM {
            0 => head.after < head.seq && head.synced < head.seq,
            _ => u64::from(head.length) == HEAD && head.synced == head.seq,
        };
        let whole = placed && ordered && u32_at(bytes, 4)? == sum(bytes.get(8..index(HEAD))?);
        whole.then_some(head)
    }

    /// Bytes with the padding.
    pub(crate) fn padded(&self) -> u64 {
        round_up(u64::from(self.length), ALIGN)
    }
}

/// Where a chunk was put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) head: ChunkHead,
    pub(crate) offset: u64,
}

/// A batch in memory.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) seq: u64,
    pub(crate) chunks: Vec<Draft>,
    /// The chunk that a partition's next record goes to, and the number after its last one.
    open: HashMap<PartitionId, (usize, RecordNumber)>,
    sealed: bool,
    /// Bytes that the full chunks need, and slack.
    size: u64,
}

impl Batch {
    pub(crate) fn new(seq: u64, sealed: bool) -> Self {
        Self { seq, chunks: Vec::new(), open: HashMap::new(), sealed, size: HEAD }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) const fn ticket(&self) -> Ticket {
        Ticket(self.seq)
    }

    /// At most this many bytes in a segment, padding included.
    pub(crate) fn size(&self) -> u64 {
        round_up(self.size, ALIGN)
    }

    /// At most what an append adds to a batch.
    pub(crate) fn cost(records: &[&[u8]], sealed: bool) -> u64 {
        let tag = if sealed { crate::crypt::TAG as u64 } else { 0 };
        let chunk = crate::chunk::HEAD as u64 + tag + crate::chunk::ALIGN + SLACK;
        let bytes: u64 = records.iter().map(|record| record.len() as u64 + 10).sum();
        // Two chunks in a row hold more than the target together.
        let chunks = 2 + 2 * bytes / crate::chunk::TARGET as u64;
        bytes + chunk * chunks.min(records.len() as u64 + 1)
    }

    pub(crate) fn push(&mut self, writer: Writer, number: RecordNumber, bytes: &[u8]) {
        let at = match self.open.get(&writer.partition) {
            Some(&(at, _))
                if self.chunks[at].epoch == writer.epoch && self.chunks[at].has_room(bytes.len()) =>
            {
                at
            }
            _ => {
                self.chunks.push(Draft::new(writer.partition, writer.epoch, 0));
                self.size += SLACK;
                self.chunks.len() - 1
            }
        };
        self.open.insert(writer.partition, (at, RecordNumber(number.0 + 1)));
        let draft = &mut self.chunks[at];
        let before = if draft.start().is_none() { 0 } else { draft.size(self.sealed) };
        draft.push(number, bytes);
        self.size += draft.size(self.sealed) - before;
    }

    /// A copied chunk, as it is.
    pub(crate) fn push_draft(&mut self, draft: Draft) {
        self.size += draft.size(self.sealed) + SLACK;
        self.chunks.push(draft);
    }

    pub(crate) fn find(&self, partition: PartitionId, number: RecordNumber) -> Option<&Draft> {
        self.chunks.iter().find(|draft| draft.partition == partition && draft.contains(number))
    }

    pub(crate) fn release(&mut self, partition: PartitionId, number: RecordNumber) {
        let mut drafts = self.chunks.iter_mut().filter(|draft| draft.partition == partition);
        if let Some(draft) = drafts.find(|draft| draft.contains(number)) {
            draft.release(number);
        }
    }

    /// Leaves out what was released in the meantime.
    pub(crate) fn drop_released(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        self.chunks = chunks.into_iter().filter_map(Draft::without_released).collect();
    }

    /// The partitions in the batch and the numbers after their last ones, left out or not.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (PartitionId, RecordNumber)> {
        self.open.iter().map(|(partition, (_, end))| (*partition, *end))
    }

    /// Writes the batch as it will lie at `head.offset`; its length and chunks are filled in.
    pub(crate) fn encode(
        &self,
        mut head: BatchHead,
        key: Option<&FileKey>,
        out: &mut Vec<u8>,
    ) -> Vec<Placed> {
        out.clear();
        out.resize(index(HEAD), 0);
        let mut placed = Vec::with_capacity(self.chunks.len());
        for draft in &self.chunks {
            let offset = u64::from(head.offset) + out.len() as u64;
            let chunk = draft.encode(head.segment, offset, key, out);
            placed.push(Placed { head: chunk, offset });
        }
        head.chunks = small(placed.len() as u64);
        head.length = small(out.len() as u64);
        out[..index(HEAD)].copy_from_slice(&head.encode());
        out.resize(index(head.padded()), 0);
        placed
    }
}
