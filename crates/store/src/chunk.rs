//! Chunks: runs of records of one partition, the unit of reading, indexing and sealing.
//!
//! In:    records with their numbers; bytes of a segment that may be damaged.
//! Out:   the bytes of docs/journal-format.md; records whose checksums hold.
//! Never: a record that was damaged, or that another life of the segment's file left behind.

use crate::crypt::{FileKey, TAG};
use crate::port::{Epoch, PartitionId, RecordNumber};
use crate::wire::{Reader, index, put_varint, round_up, small, sum, u16_at, u32_at, u64_at, varint_len};

/// Bytes before the shape.
pub(crate) const HEAD: usize = 56;
/// Chunks start at multiples of this.
pub(crate) const ALIGN: u64 = 8;
/// Bytes of records after which a chunk is full; a larger record has a chunk to itself.
pub(crate) const TARGET: usize = 4096;
const MAGIC: u32 = u32::from_le_bytes(*b"DLC1");

/// The body is sealed.
pub(crate) const SEALED: u16 = 1;
/// The first chunk of a run that was copied: what lies before it in the file is no neighbour.
pub(crate) const RUN: u16 = 2;
const KNOWN: u16 = SEALED | RUN;
/// Records in a chunk at most, however small they are.
const RECORDS: usize = 1024;

/// What identifies a chunk and says what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: Epoch,
    pub(crate) flags: u16,
    /// The number of the first record.
    pub(crate) start: u64,
    /// From the first record's number to the last one's, both included.
    pub(crate) span: u32,
    /// Records.
    pub(crate) count: u32,
    /// Numbers before `start` that were left out because nobody needed them any more.
    pub(crate) before: u32,
    offset: u32,
    shape: u32,
    body: u32,
}

impl ChunkHead {
    fn put(&self, segment: u64, out: &mut Vec<u8>) {
        out.extend(segment.to_le_bytes());
        out.extend(self.start.to_le_bytes());
        for n in [self.span, self.count, self.offset, self.epoch.0, self.shape, self.body, self.before] {
            out.extend(n.to_le_bytes());
        }
        out.extend(self.partition.0.to_le_bytes());
        out.extend(self.flags.to_le_bytes());
    }

    fn parse(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let head = Self {
            start: u64_at(bytes, 16)?,
            span: u32_at(bytes, 24)?,
            count: u32_at(bytes, 28)?,
            offset: u32_at(bytes, 32)?,
            epoch: Epoch(u32_at(bytes, 36)?),
            shape: u32_at(bytes, 40)?,
            body: u32_at(bytes, 44)?,
            before: u32_at(bytes, 48)?,
            partition: PartitionId(u16_at(bytes, 52)?),
            flags: u16_at(bytes, 54)?,
        };
        let right = u32_at(bytes, 0)? == MAGIC && u64_at(bytes, 8)? == segment;
        (right && u64::from(head.offset) == offset && head.flags & !KNOWN == 0).then_some(head)
    }

    fn directory(&self) -> u64 {
        u64::from(self.shape) + 4 * u64::from(self.count)
    }

    /// Bytes in the segment, padding included.
    pub(crate) fn size(&self) -> u64 {
        round_up(HEAD as u64 + self.directory() + u64::from(self.body), ALIGN)
    }

    /// The first number after the chunk's.
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.span))
    }

    /// The numbers that the chunk accounts for before its first record, or everything.
    pub(crate) fn accounts_from(&self) -> u64 {
        if self.before == u32::MAX { 0 } else { self.start.saturating_sub(u64::from(self.before)) }
    }
}

/// A record's place in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) number: RecordNumber,
    at: usize,
    len: usize,
    crc: u32,
}

impl Item {
    /// Offset in the chunk and length of the stored bytes.
    pub(crate) const fn place(&self) -> (u64, u64) {
        (self.at as u64, self.len as u64)
    }
}

/// A chunk whose head and directory hold. Its records are checked one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkView<'a> {
    pub(crate) head: ChunkHead,
    bytes: &'a [u8],
}

impl<'a> ChunkView<'a> {
    /// The chunk that starts `bytes`, if it is whole, belongs to this life of the segment's file and lies
    /// where it was written.
    pub(crate) fn parse(bytes: &'a [u8], segment: u64, offset: u64) -> Option<Self> {
        let head = ChunkHead::parse(bytes, segment, offset)?;
        let bytes = bytes.get(..index(HEAD as u64 + head.directory() + u64::from(head.body)))?;
        let directory = index(HEAD as u64 + head.directory());
        if u32_at(bytes, 4)? != sum(&bytes[8..directory]) {
            return None;
        }
        let view = Self { head, bytes };
        view.consistent().then_some(view)
    }

    /// How many bytes at the front of a chunk say how long it is.
    pub(crate) fn needed(bytes: &[u8], segment: u64, offset: u64) -> Option<u64> {
        Some(ChunkHead::parse(bytes, segment, offset)?.size())
    }

    fn consistent(&self) -> bool {
        let (mut items, mut bytes, mut last) = (0u64, 0u64, self.head.start);
        for item in self.items() {
            items += 1;
            bytes += item.len as u64;
            last = item.number.0;
        }
        let tag = if self.head.flags & SEALED != 0 { TAG as u64 } else { 0 };
        items == u64::from(self.head.count)
            && items > 0
            && bytes + tag == u64::from(self.head.body)
            && last.checked_add(1) == Some(self.head.end())
    }

    fn body_at(&self) -> usize {
        index(HEAD as u64 + self.head.directory())
    }

    /// The records, in ascending order.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + use<'a> {
        let shape_end = HEAD + index(u64::from(self.head.shape));
        let mut shape = Reader::new(self.bytes.get(HEAD..shape_end).unwrap_or(&[]));
        let mut sums = Reader::new(self.bytes.get(shape_end..self.body_at()).unwrap_or(&[]));
        let (mut at, mut next) = (self.body_at(), self.head.start);
        std::iter::from_fn(move || {
            let len = index(shape.varint()?);
            let number = next.checked_add(shape.varint()?)?;
            let item = Item { number: RecordNumber(number), at, len, crc: sums.u32()? };
            at = at.checked_add(len)?;
            next = number.checked_add(1)?;
            Some(item)
        })
    }

    /// Whether a record's stored bytes are what was written.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        self.whole(item).is_some()
    }

    /// A record's stored bytes, if they are what was written.
    pub(crate) fn whole(&self, item: &Item) -> Option<&'a [u8]> {
        self.stored(item).filter(|bytes| sum(bytes) == item.crc)
    }

    fn stored(&self, item: &Item) -> Option<&'a [u8]> {
        self.bytes.get(item.at..item.at.checked_add(item.len)?)
    }
}

/// A chunk in memory of its own, opened.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    items: Vec<Item>,
    pub(crate) head: ChunkHead,
    opened: bool,
}

impl Chunk {
    /// Takes a chunk's bytes and opens them. `None` if its head does not hold.
    pub(crate) fn open(bytes: Vec<u8>, segment: u64, offset: u64, key: Option<&FileKey>) -> Option<Self> {
        let view = ChunkView::parse(&bytes, segment, offset)?;
        let (head, body_at, end) = (view.head, view.body_at(), view.bytes.len());
        let items: Vec<Item> = view.items().collect();
        let sealed = head.flags & SEALED != 0;
        let mut chunk = Self { bytes, items, head, opened: !sealed };
        if let (true, Some(key)) = (sealed, key) {
            let (front, body) = chunk.bytes.split_at_mut(body_at);
            let aad = &front[8..HEAD + index(u64::from(head.shape))];
            chunk.opened = key.open(offset, aad, &mut body[..end - body_at]).is_some();
        }
        Some(chunk)
    }

    /// A record's bytes: `None` if it is not in the chunk, `Some(None)` if it is damaged.
    pub(crate) fn record(&self, number: RecordNumber) -> Option<Option<&[u8]>> {
        let at = self.items.binary_search_by_key(&number, |item| item.number).ok()?;
        Some(self.bytes_of(&self.items[at]))
    }

    /// The records from a number on; `None` in place of the bytes of a damaged one.
    pub(crate) fn records(&self) -> impl Iterator<Item = (RecordNumber, Option<&[u8]>)> {
        self.items.iter().map(|item| (item.number, self.bytes_of(item)))
    }

    fn bytes_of(&self, item: &Item) -> Option<&[u8]> {
        let bytes = self.bytes.get(item.at..item.at + item.len)?;
        // A sealed chunk was proven whole by its tag when it was opened.
        let sealed = self.head.flags & SEALED != 0;
        let whole = self.opened && (sealed || sum(bytes) == item.crc);
        whole.then_some(bytes)
    }
}

/// A chunk that is being filled.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: Epoch,
    pub(crate) flags: u16,
    pub(crate) before: u32,
    records: Vec<(RecordNumber, u32)>,
    body: Vec<u8>,
    released: Vec<RecordNumber>,
    shape: usize,
}

impl Draft {
    pub(crate) fn new(partition: PartitionId, epoch: Epoch, flags: u16) -> Self {
        Self {
            partition,
            epoch,
            flags,
            before: 0,
            records: Vec::new(),
            body: Vec::new(),
            released: Vec::new(),
            shape: 0,
        }
    }

    /// Takes a record whose number is above the last one's.
    pub(crate) fn push(&mut self, number: RecordNumber, bytes: &[u8]) {
        let gap = self.end().map_or(0, |end| number.0 - end.0);
        self.shape += varint_len(bytes.len() as u64) + varint_len(gap);
        self.records.push((number, small(bytes.len() as u64)));
        self.body.extend_from_slice(bytes);
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.records.is_empty() || (self.body.len() + bytes <= TARGET && self.records.len() < RECORDS)
    }

    pub(crate) fn start(&self) -> Option<RecordNumber> {
        self.records.first().map(|(number, _)| *number)
    }

    pub(crate) fn end(&self) -> Option<RecordNumber> {
        self.records.last().map(|(number, _)| RecordNumber(number.0 + 1))
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = RecordNumber> {
        self.records.iter().map(|(number, _)| *number)
    }

    /// Bytes in a segment, padding included.
    pub(crate) fn size(&self, sealed: bool) -> u64 {
        let tag = if sealed { TAG } else { 0 };
        round_up((HEAD + self.shape + 4 * self.records.len() + self.body.len() + tag) as u64, ALIGN)
    }

    /// A record's bytes, unless it was released.
    pub(crate) fn record(&self, number: RecordNumber) -> Option<&[u8]> {
        if self.released.contains(&number) {
            return None;
        }
        self.pieces().find(|(n, _)| *n == number).map(|(_, bytes)| bytes)
    }

    /// The records that were not released.
    pub(crate) fn live(&self) -> impl Iterator<Item = (RecordNumber, &[u8])> {
        self.pieces().filter(|(number, _)| !self.released.contains(number))
    }

    fn pieces(&self) -> impl Iterator<Item = (RecordNumber, &[u8])> {
        let mut at = 0;
        self.records.iter().map(move |(number, len)| {
            let from = at;
            at += index(u64::from(*len));
            (*number, &self.body[from..at])
        })
    }

    pub(crate) fn contains(&self, number: RecordNumber) -> bool {
        self.start().is_some_and(|start| start <= number) && self.end().is_some_and(|end| number < end)
    }

    pub(crate) fn release(&mut self, number: RecordNumber) {
        if self.contains(number) && !self.released.contains(&number) {
            self.released.push(number);
        }
    }

    /// Leaves out what was released. `None` if nothing remains.
    pub(crate) fn without_released(self) -> Option<Self> {
        if self.released.is_empty() {
            return Some(self);
        }
        let mut kept = Self::new(self.partition, self.epoch, self.flags);
        let mut released = self.released.clone();
        released.sort_unstable();
        for (number, bytes) in self.pieces() {
            if released.binary_search(&number).is_err() {
                kept.push(number, bytes);
            }
        }
        (!kept.records.is_empty()).then_some(kept)
    }

    /// Writes the chunk as it will lie at `offset`.
    pub(crate) fn encode(
        &self,
        segment: u64,
        offset: u64,
        key: Option<&FileKey>,
        out: &mut Vec<u8>,
    ) -> ChunkHead {
        let head = self.head(offset, key.is_some());
        let from = out.len();
        out.extend(MAGIC.to_le_bytes());
        out.extend([0; 4]);
        head.put(segment, out);
        let mut next = head.start;
        for (number, len) in &self.records {
            put_varint(out, u64::from(*len));
            put_varint(out, number.0 - next);
            next = number.0 + 1;
        }
        let sums = out.len();
        out.resize(sums + 4 * self.records.len(), 0);
        let body = out.len();
        out.extend_from_slice(&self.body);
        if let Some(key) = key {
            let (front, sealed) = out.split_at_mut(body);
            let tag = key.seal(offset, &front[from + 8..sums], sealed);
            out.extend(tag);
        }
        self.put_sums(out, sums, body);
        let crc = sum(&out[from + 8..body]);
        out[from + 4..from + 8].copy_from_slice(&crc.to_le_bytes());
        out.resize(from + index(head.size()), 0);
        head
    }

    fn put_sums(&self, out: &mut [u8], sums: usize, body: usize) {
        let (front, body) = out.split_at_mut(body);
        let mut at = 0;
        for ((_, len), place) in self.records.iter().zip(front[sums..].chunks_exact_mut(4)) {
            let to = at + index(u64::from(*len));
            place.copy_from_slice(&sum(&body[at..to]).to_le_bytes());
            at = to;
        }
    }

    fn head(&self, offset: u64, sealed: bool) -> ChunkHead {
        let start = self.start().unwrap_or_default().0;
        let end = self.end().unwrap_or_default().0;
        let (tag, flag) = if sealed { (TAG, SEALED) } else { (0, 0) };
        ChunkHead {
            partition: self.partition,
            epoch: self.epoch,
            flags: self.flags | flag,
            start,
            span: small(end - start),
            count: small(self.records.len() as u64),
            before: self.before,
            offset: small(offset),
            shape: small(self.shape as u64),
            body: small((self.body.len() + tag) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypt::{Keyring, MasterKey};

    fn draft() -> Draft {
        let mut draft = Draft::new(PartitionId(3), Epoch(2), 0);
        for (number, bytes) in [(10, &b"ten"[..]), (11, b""), (13, b"thirteen")] {
            draft.push(RecordNumber(number), bytes);
        }
        draft
    }

    fn key() -> FileKey {
        Keyring::default().with(1, MasterKey::new([9; 32])).derive(1, &[1; 32], "test").unwrap()
    }

    #[test]
    fn records_come_back_sealed_or_not_and_the_size_is_as_announced() {
        for key in [None, Some(key())] {
            let mut out = Vec::new();
            let head = draft().encode(77, 4096, key.as_ref(), &mut out);
            assert_eq!(out.len() as u64, head.size());
            assert_eq!(out.len() as u64, draft().size(key.is_some()));
            let chunk = Chunk::open(out.clone(), 77, 4096, key.as_ref()).unwrap();
            assert_eq!(chunk.record(RecordNumber(13)), Some(Some(&b"thirteen"[..])));
            assert_eq!(chunk.record(RecordNumber(11)), Some(Some(&b""[..])));
            assert_eq!(chunk.record(RecordNumber(12)), None);
            assert!(Chunk::open(out.clone(), 78, 4096, key.as_ref()).is_none(), "another life");
            assert!(Chunk::open(out, 77, 4104, key.as_ref()).is_none(), "another place");
        }
    }

    #[test]
    fn a_flipped_bit_costs_a_record_or_the_chunk_and_never_shows_as_bytes() {
        for key in [None, Some(key())] {
            let mut whole = Vec::new();
            draft().encode(77, 4096, key.as_ref(), &mut whole);
            let want: Vec<_> = draft().pieces().map(|(n, b)| (n, b.to_vec())).collect();
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Some(chunk) = Chunk::open(bytes, 77, 4096, key.as_ref()) else { continue };
                let mut damaged = 0;
                for ((number, bytes), (wanted, original)) in chunk.records().zip(&want) {
                    assert_eq!(number, *wanted);
                    assert!(bytes.is_none_or(|bytes| bytes == original));
                    damaged += u32::from(bytes.is_none());
                }
                assert!(damaged <= 1 || key.is_some());
            }
        }
    }

    #[test]
    fn what_is_released_before_it_is_written_is_left_out() {
        let mut some = draft();
        some.release(RecordNumber(10));
        assert_eq!(some.record(RecordNumber(10)), None);
        let kept = some.without_released().unwrap();
        assert_eq!(kept.numbers().map(|n| n.0).collect::<Vec<_>>(), [11, 13]);
        let mut all = draft();
        for number in [10, 11, 13] {
            all.release(RecordNumber(number));
        }
        assert!(all.without_released().is_none());
    }
}
