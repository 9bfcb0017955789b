//! The sparse index of one partition: which chunk holds which record numbers, and which of them are alive.
//!
//! In:    chunks as they become safe; numbers that are released or trimmed; copies of runs.
//! Out:   the place of a chunk; what a segment loses.
//! Never: I/O, or an entry for each record: a chunk costs about 4 bytes, a released record a bit.
//!
//! A [`Run`] is up to [`CHUNKS`] chunks of one segment with ascending numbers and offsets, written as
//! varints: `(span - 1) * 2 + sparse`, `gap` and `count` if sparse, `offset delta / 8`, size class.

use crate::chunk::{ALIGN, ChunkHead, RUN};
use crate::wire::{Reader, index, put_varint, small};

/// Chunks in a run: what a look-up decodes at worst.
const CHUNKS: u16 = 64;
/// Numbers in a run: what its bitmap covers at worst.
const NUMBERS: u64 = 4096;
/// Numbers missing between two chunks that still share a run.
const GAP: u64 = 512;

/// Where a chunk lies and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) file: u32,
    pub(crate) offset: u64,
    /// At least the chunk's bytes, and at most an eighth more, beyond 64.
    pub(crate) size: u64,
    pub(crate) start: u64,
    pub(crate) span: u64,
    /// Records that were written.
    pub(crate) count: u64,
}

impl ChunkRef {
    pub(crate) const fn end(&self) -> u64 {
        self.start + self.span
    }

    /// What one record counts in the balance of its segment.
    fn share(&self) -> u64 {
        self.size / self.count.max(1)
    }
}

/// What a segment lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) file: u32,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file: u32,
    first_offset: u32,
    last_offset: u32,
    chunks: u16,
    data: Vec<u8>,
    /// A bit for each number from `start`, set where no living record is; short where all live.
    dead: Vec<u64>,
}

impl Run {
    fn new(file: u32, head: &ChunkHead, offset: u64) -> Self {
        let offset = small(offset / ALIGN);
        Self {
            start: head.start,
            end: head.start,
            file,
            first_offset: offset,
            last_offset: offset,
            chunks: 0,
            data: Vec::new(),
            dead: Vec::new(),
        }
    }

    fn takes(&self, file: u32, head: &ChunkHead, offset: u64) -> bool {
        self.file == file
            && self.chunks < CHUNKS
            && head.flags & RUN == 0
            && head.start >= self.end
            && head.start - self.end <= GAP
            && head.end() - self.start <= NUMBERS
            && offset / ALIGN > u64::from(self.last_offset)
    }

    fn push(&mut self, head: &ChunkHead, offset: u64) {
        let gap = head.start - self.end;
        let sparse = gap > 0 || head.count != head.span;
        put_varint(&mut self.data, (u64::from(head.span) - 1) << 1 | u64::from(sparse));
        if sparse {
            put_varint(&mut self.data, gap);
            put_varint(&mut self.data, u64::from(head.count));
        }
        let offset = small(offset / ALIGN);
        put_varint(&mut self.data, u64::from(offset - self.last_offset));
        self.data.push(class_of(head.size()));
        for number in self.end..head.start {
            self.kill(number);
        }
        self.last_offset = offset;
        self.end = head.end();
        self.chunks += 1;
    }

    fn is_dead(&self, number: u64) -> bool {
        let bit = number - self.start;
        self.dead.get(index(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Whether the number was alive.
    fn kill(&mut self, number: u64) -> bool {
        let was_dead = self.is_dead(number);
        let bit = number - self.start;
        let word = index(bit / 64);
        if self.dead.len() <= word {
            self.dead.resize(word + 1, 0);
        }
        self.dead[word] |= 1 << (bit % 64);
        !was_dead
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = ChunkRef> {
        let mut data = Reader::new(&self.data);
        let (mut end, mut offset) = (self.start, u64::from(self.first_offset));
        std::iter::from_fn(move || {
            let span = data.varint()?;
            let (sparse, span) = (span & 1 == 1, (span >> 1) + 1);
            let (gap, count) = if sparse { (data.varint()?, data.varint()?) } else { (0, span) };
            offset += data.varint()?;
            let size = class_size(*data.take(1)?.first()?);
            let start = end + gap;
            end = start + span;
            Some(ChunkRef { file: self.file, offset: offset * ALIGN, size, start, span, count })
        })
    }

    fn living(&self, chunk: &ChunkRef) -> u64 {
        (chunk.start..chunk.end()).filter(|number| !self.is_dead(*number)).count() as u64
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.data.capacity() + 8 * self.dead.capacity()
    }
}

/// The runs of one partition, ascending and apart.
#[derive(Debug, Default)]
pub(crate) struct Index {
    runs: std::collections::VecDeque<Run>,
}

impl Index {
    /// Adds the chunk that follows all others, without the numbers that are `dead`. Gives what the
    /// segment gains.
    pub(crate) fn push(
        &mut self,
        file: u32,
        head: &ChunkHead,
        offset: u64,
        dead: impl Iterator<Item = u64>,
    ) -> Loss {
        if !self.runs.back().is_some_and(|run| run.takes(file, head, offset)) {
            if let Some(last) = self.runs.back_mut() {
                last.data.shrink_to_fit();
            }
            self.runs.push_back(Run::new(file, head, offset));
        }
        let Some(run) = self.runs.back_mut() else { unreachable!("a run was just made sure of") };
        run.push(head, offset);
        for number in dead {
            run.kill(number);
        }
        let chunk = ChunkRef {
            file,
            offset,
            size: class_size(class_of(head.size())),
            start: head.start,
            span: u64::from(head.span),
            count: u64::from(head.count),
        };
        let records = run.living(&chunk);
        Loss { file, records, bytes: records * chunk.share() }
    }

    fn run_at(&self, number: u64) -> Option<usize> {
        let at = self.runs.partition_point(|run| run.end <= number);
        (self.runs.get(at)?.start <= number).then_some(at)
    }

    /// The chunk with a living record of this number.
    pub(crate) fn find(&self, number: u64) -> Option<ChunkRef> {
        let run = &self.runs[self.run_at(number)?];
        if run.is_dead(number) {
            return None;
        }
        run.chunks().find(|chunk| chunk.start <= number && number < chunk.end())
    }

    /// Whether the number is in a chunk and alive.
    pub(crate) fn is_live(&self, number: u64) -> bool {
        self.run_at(number).is_some_and(|at| !self.runs[at].is_dead(number))
    }

    /// The first chunk with numbers from `number` on that is not wholly dead.
    pub(crate) fn next_chunk(&self, number: u64) -> Option<ChunkRef> {
        let from = self.runs.partition_point(|run| run.end <= number);
        self.runs
            .iter()
            .skip(from)
            .find_map(|run| run.chunks().find(|chunk| chunk.end() > number && run.living(chunk) > 0))
    }

    /// The runs that reach beyond a number.
    pub(crate) fn runs_from(&self, number: u64) -> impl Iterator<Item = &Run> {
        self.runs.iter().skip(self.runs.partition_point(|run| run.end <= number))
    }

    /// The chunks of the run that starts there in which something lives, each with the numbers that do not.
    pub(crate) fn visits(&self, start: u64) -> impl Iterator<Item = (ChunkRef, Vec<u64>)> {
        let run = self.run_at(start).map(|at| &self.runs[at]);
        run.into_iter().flat_map(|run| {
            run.chunks().filter_map(|chunk| {
                let dead: Vec<u64> =
                    (chunk.start..chunk.end()).filter(|number| run.is_dead(*number)).collect();
                (dead.len() as u64 != chunk.span).then_some((chunk, dead))
            })
        })
    }

    /// The living numbers of a chunk.
    pub(crate) fn living_in(&self, chunk: &ChunkRef) -> impl Iterator<Item = u64> {
        let run = self.run_at(chunk.start).map(|at| &self.runs[at]);
        let numbers = chunk.start..chunk.end();
        numbers.filter(move |number| run.is_some_and(|run| !run.is_dead(*number)))
    }

    /// Records that nobody needs; those that were none before lose nothing. A chunk is looked for once where its numbers follow each
    /// other.
    pub(crate) fn release(&mut self, numbers: impl IntoIterator<Item = u64>, losses: &mut Vec<Loss>) {
        let mut found: Option<(usize, ChunkRef, u64)> = None;
        let mut lose = |found: Option<(usize, ChunkRef, u64)>| {
            if let Some((_, chunk, records)) = found.filter(|(.., records)| *records > 0) {
                losses.push(Loss { file: chunk.file, records, bytes: records * chunk.share() });
            }
        };
        for number in numbers {
            let is_in = |(_, chunk, _): &(_, ChunkRef, _)| chunk.start <= number && number < chunk.end();
            if !found.as_ref().is_some_and(is_in) {
                lose(found.take());
                found = self.chunk_at(number).map(|(at, chunk)| (at, chunk, 0));
            }
            if let Some((at, _, records)) = &mut found {
                *records += u64::from(self.runs[*at].kill(number));
            }
        }
        lose(found);
    }

    /// The run and the chunk with a number.
    fn chunk_at(&self, number: u64) -> Option<(usize, ChunkRef)> {
        let at = self.run_at(number)?;
        let mut chunks = self.runs[at].chunks();
        chunks.find(|chunk| chunk.start <= number && number < chunk.end()).map(|chunk| (at, chunk))
    }

    /// Forgets everything below a number.
    pub(crate) fn trim(&mut self, below: u64, losses: &mut Vec<Loss>) {
        while let Some(run) = self.runs.front_mut() {
            if run.start >= below {
                return;
            }
            let whole = run.end <= below;
            for chunk in run.chunks().take_while(|chunk| chunk.start < below).collect::<Vec<_>>() {
                let records =
                    (chunk.start..chunk.end().min(below)).filter(|n| !run.is_dead(*n)).count() as u64;
                losses.push(Loss { file: run.file, records, bytes: records * chunk.share() });
            }
            if whole {
                self.runs.pop_front();
                continue;
            }
            for number in run.start..below {
                run.kill(number);
            }
            return;
        }
    }

    /// Releases the living numbers below `below` that `live`, ascending, does not give.
    pub(crate) fn retain(&mut self, below: u64, live: &mut dyn Iterator<Item = u64>, losses: &mut Vec<Loss>) {
        let mut wanted = live.next();
        for run in self.runs.iter_mut().take_while(|run| run.start < below) {
            for chunk in run.chunks().collect::<Vec<_>>() {
                let mut records = 0;
                for number in chunk.start..chunk.end().min(below) {
                    while wanted.is_some_and(|wanted| wanted < number) {
                        wanted = live.next();
                    }
                    if wanted != Some(number) {
                        records += u64::from(run.kill(number));
                    }
                }
                losses.push(Loss { file: chunk.file, records, bytes: records * chunk.share() });
            }
        }
    }

    /// Where the runs in a file start.
    pub(crate) fn runs_in(&self, file: u32) -> impl Iterator<Item = u64> {
        self.runs.iter().filter(move |run| run.file == file).map(|run| run.start)
    }

    /// The chunks of the run that starts there with their living numbers.
    pub(crate) fn living_chunks(&self, start: u64) -> Vec<(ChunkRef, Vec<u64>)> {
        let Some(run) = self.run_at(start).map(|at| &self.runs[at]) else { return Vec::new() };
        let chunks = run.chunks().map(|chunk| {
            let living = (chunk.start..chunk.end()).filter(|number| !run.is_dead(*number)).collect();
            (chunk, living)
        });
        chunks.filter(|(_, living): &(_, Vec<u64>)| !living.is_empty()).collect()
    }

    /// Puts the copies in place of the runs in the files they were copied from. What was released since a
    /// copy was made stays dead. Gives what the copies' segment gains.
    pub(crate) fn replace(&mut self, sources: &[u32], copies: Self) -> Loss {
        let mut gain = Loss { file: 0, records: 0, bytes: 0 };
        let mut copies = copies.runs;
        for run in &mut copies {
            gain.file = run.file;
            for chunk in run.chunks().collect::<Vec<_>>() {
                for number in chunk.start..chunk.end() {
                    if !run.is_dead(number) && !self.is_live(number) {
                        run.kill(number);
                    }
                }
                let records = run.living(&chunk);
                gain.records += records;
                gain.bytes += records * chunk.share();
            }
        }
        self.runs.retain(|run| !sources.contains(&run.file));
        self.runs.extend(copies.into_iter().filter(|run| (run.start..run.end).any(|n| !run.is_dead(n))));
        self.sort();
        gain
    }

    /// Brings the runs in order. Gives the runs that overlap a newer one, which only a manifest that was
    /// lost can bring about, and forgets them.
    pub(crate) fn sort(&mut self) -> Vec<(u32, u64, u64)> {
        let mut dropped = Vec::new();
        let runs = self.runs.make_contiguous();
        runs.sort_by_key(|run| run.start);
        if runs.windows(2).all(|pair| pair[0].end <= pair[1].start) {
            return dropped;
        }
        let mut kept: Vec<Run> = Vec::new();
        for run in self.runs.drain(..) {
            match kept.last() {
                Some(last) if last.end > run.start => dropped.push((run.file, run.start, run.end)),
                _ => kept.push(run),
            }
        }
        self.runs = kept.into();
        dropped
    }

    /// Adds up what lives in each file: records and bytes.
    pub(crate) fn balance(&self, files: &mut std::collections::BTreeMap<u32, (u64, u64)>) {
        for run in &self.runs {
            let sums = files.entry(run.file).or_default();
            for chunk in run.chunks() {
                let records = run.living(&chunk);
                sums.0 += records;
                sums.1 += records * chunk.share();
            }
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        let spare = (self.runs.capacity() - self.runs.len()) * size_of::<Run>();
        self.runs.iter().map(Run::memory).sum::<usize>() + spare
    }
}

/// The smallest class whose size is enough: an eighth too much at worst.
fn class_of(size: u64) -> u8 {
    let units = size.div_ceil(ALIGN).max(8);
    let exponent = units.ilog2() - 3;
    let mantissa = units.div_ceil(1 << exponent) - 8;
    // A mantissa of 8 carries into the exponent, which is what it means.
    match u8::try_from(u64::from(exponent) * 8 + mantissa) {
        Ok(class) => class,
        Err(_) => unreachable!("{size} is beyond the bounds of a segment"),
    }
}

const fn class_size(class: u8) -> u64 {
    (8 + (class as u64 & 7)) << (class >> 3) << ALIGN.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Draft;
    use crate::port::{Epoch, PartitionId, RecordNumber};

    fn head(numbers: &[u64], bytes: usize) -> ChunkHead {
        let mut draft = Draft::new(PartitionId(0), Epoch(1), 0);
        for number in numbers {
            draft.push(RecordNumber(*number), &vec![0; bytes]);
        }
        draft.encode(1, 8, None, &mut Vec::new())
    }

    #[test]
    fn a_class_is_enough_and_an_eighth_too_much_at_worst() {
        for size in (8..100_000u64).chain([1 << 20, (1 << 30) + 1, u64::from(u32::MAX)]) {
            let given = class_size(class_of(size));
            assert!(given >= size && (given <= 64 || given <= size + size / 8 + 8), "{size} {given}");
        }
    }

    #[test]
    fn a_number_is_found_until_it_is_released_or_trimmed() {
        let mut index = Index::default();
        let mut offset = 4096;
        for start in (0..1000u64).step_by(4) {
            let head = head(&[start, start + 1, start + 2, start + 3], 100);
            index.push(u32::from(start >= 500), &head, offset, std::iter::empty());
            offset += head.size();
        }
        for number in 0..1000 {
            let chunk = index.find(number).unwrap();
            assert_eq!((chunk.start, chunk.file), (number / 4 * 4, u32::from(number >= 500)));
        }
        assert_eq!(index.find(1000), None);
        let mut losses = Vec::new();
        index.release([501, 501], &mut losses);
        assert_eq!(losses.iter().map(|l| l.records).sum::<u64>(), 1);
        index.release([501], &mut losses);
        assert_eq!(losses.len(), 1);
        assert_eq!(index.find(501), None);
        losses.clear();
        index.trim(510, &mut losses);
        assert_eq!(losses.iter().filter(|l| l.file == 0).map(|l| l.records).sum::<u64>(), 500);
        assert_eq!(losses.iter().filter(|l| l.file == 1).map(|l| l.records).sum::<u64>(), 9);
        assert_eq!(index.next_chunk(0).unwrap().start, 508);
        losses.clear();
        index.retain(1000, &mut [600, 999].into_iter(), &mut losses);
        assert_eq!(losses.iter().map(|l| l.records).sum::<u64>(), 488);
        assert_eq!(index.next_chunk(0).unwrap().start, 600);
    }

    #[test]
    fn copies_take_the_place_of_their_sources_and_stay_as_dead_as_they() {
        let mut index = Index::default();
        index.push(1, &head(&[0, 1, 2, 3], 10), 4096, std::iter::empty());
        index.push(2, &head(&[4, 5, 6, 7], 10), 4096, std::iter::empty());
        index.push(3, &head(&[8, 9], 10), 4096, std::iter::empty());
        let mut copies = Index::default();
        copies.push(9, &head(&[1, 3], 10), 4096, [2].into_iter());
        index.release([3], &mut Vec::new());
        let gain = index.replace(&[1], copies);
        assert_eq!((gain.file, gain.records), (9, 1));
        assert_eq!(index.find(1).map(|chunk| chunk.file), Some(9));
        assert_eq!(index.find(3), None);
        assert_eq!(index.find(5).map(|chunk| chunk.file), Some(2));
        assert_eq!(index.find(8).map(|chunk| chunk.file), Some(3));
    }
}
