//! Bytes that were read from a connection and not consumed yet.
//!
//! In:    what one read brought; how much of it was consumed.
//! Out:   the bytes from the first unconsumed one.
//! Never: a buffer for a connection that waits for nothing; a copy of all that waits for each piece that comes.

/// Buffers larger than this are freed, not pooled.
const POOLED_MAX: usize = 64 * 1024;
/// 64 of at most 64 KiB are 4 MiB, the most that a shard keeps for nothing.
const POOL_MAX: usize = 64;
/// Most of what a peer leaves unfinished is smaller.
const SMALLEST: usize = 512;
/// Free room that a read into the buffer itself is worth making.
const ROOM_MIN: usize = 16 * 1024;

/// The unconsumed bytes of one connection: a pointer, for most have none.
#[derive(Debug, Default)]
pub(crate) struct Input(Option<Box<Kept>>);

/// `bytes[start..end]`; what lies behind is initialised room.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    start: u32,
    end: u32,
}

/// Buffers that no connection needs now.
#[derive(Debug, Default)]
pub(crate) struct InputPool {
    /// With what they are kept in, so that who needs one allocates nothing.
    #[allow(clippy::vec_box, reason = "it is the boxes that are given out again")]
    spare: Vec<Box<Kept>>,
}

impl Input {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.len())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        match &self.0 {
            None => true,
            Some(kept) => kept.start == kept.end,
        }
    }

    pub(crate) fn filled(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |kept| kept.filled())
    }

    /// Room to read into behind what is there, which may grow to twice its size for it but is never moved for less than
    /// its own length: a packet of n bytes is copied O(n) times a byte, in however many pieces it comes.
    pub(crate) fn room(&mut self, most: usize, pool: &mut InputPool) -> &mut [u8] {
        let kept = self.0.get_or_insert_with(|| pool.take(ROOM_MIN));
        if kept.bytes.len() - (kept.end as usize) < ROOM_MIN {
            let count = kept.len().max(ROOM_MIN);
            kept.reserve(count, pool);
        }
        let end = kept.end as usize;
        let limit = kept.bytes.len().min(end + most);
        &mut kept.bytes[end..limit]
    }

    /// `count` bytes of the room were filled.
    pub(crate) fn grow(&mut self, count: usize) {
        let Some(kept) = &mut self.0 else { unreachable!("room was made") };
        kept.end += u32_of(count);
        assert!(kept.end as usize <= kept.bytes.len(), "more was read than there was room");
    }

    /// Adds a copy of `bytes`.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8], pool: &mut InputPool) {
        if !bytes.is_empty() {
            let kept = self.0.get_or_insert_with(|| pool.take(bytes.len()));
            kept.append(bytes, pool);
        }
    }

    /// The first `count` bytes are not needed any more.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut InputPool) {
        assert!(count <= self.len(), "more was consumed than there was");
        if let Some(kept) = &mut self.0 {
            kept.start += u32_of(count);
            if kept.start == kept.end {
                self.release(pool);
            }
        }
    }

    /// Forgets everything and gives the buffer back.
    pub(crate) fn release(&mut self, pool: &mut InputPool) {
        if let Some(kept) = self.0.take() {
            pool.give(kept);
        }
    }
}

impl Kept {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    fn append(self: &mut Box<Self>, bytes: &[u8], pool: &mut InputPool) {
        if self.bytes.len() - (self.end as usize) < bytes.len() {
            self.reserve(bytes.len(), pool);
        }
        let end = self.end as usize;
        self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        self.end += u32_of(bytes.len());
    }

    /// Makes room for `count` bytes behind the end.
    fn reserve(self: &mut Box<Self>, count: usize, pool: &mut InputPool) {
        let len = self.len();
        let wanted = len + count;
        if self.bytes.len() >= wanted && len <= self.start as usize {
            // At least as much was consumed as must be moved.
            self.bytes.copy_within(self.start as usize..self.end as usize, 0);
        } else {
            let mut larger = pool.take(wanted.max(len * 2));
            larger.bytes[..len].copy_from_slice(self.filled());
            pool.give(std::mem::replace(self, larger));
        }
        self.start = 0;
        self.end = u32_of(len);
    }
}

impl InputPool {
    /// An empty one whose initialised buffer has at least `len` bytes.
    fn take(&mut self, len: usize) -> Box<Kept> {
        let spare = if len <= POOLED_MAX { self.spare.pop() } else { None };
        let mut kept = spare.unwrap_or_default();
        if kept.bytes.len() < len {
            kept.bytes.resize(len.max(SMALLEST).next_power_of_two(), 0);
        }
        kept
    }

    fn give(&mut self, mut kept: Box<Kept>) {
        if (1..=POOLED_MAX).contains(&kept.bytes.len()) && self.spare.len() < POOL_MAX {
            (kept.start, kept.end) = (0, 0);
            self.spare.push(kept);
        }
    }
}

/// The largest packet has 256 MiB.
fn u32_of(len: usize) -> u32 {
    u32::try_from(len)
        .unwrap_or_else(|_| unreachable!("a connection's input is bounded by the largest packet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        input.append(b"abc", &mut pool);
        input.room(3, &mut pool).copy_from_slice(b"def");
        input.grow(3);
        assert_eq!(input.filled(), b"abcdef");

        input.consume(4, &mut pool);
        input.append(b"g", &mut pool);
        assert_eq!(input.filled(), b"efg");
    }

    #[test]
    fn an_empty_input_owns_no_buffer() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        input.append(b"abc", &mut pool);
        input.consume(3, &mut pool);
        assert!(input.0.is_none());
        assert_eq!(pool.spare.len(), 1);
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        input.append(&vec![1; POOLED_MAX + 1], &mut pool);
        input.release(&mut pool);
        assert!(pool.spare.is_empty());
    }

    #[test]
    fn a_packet_in_many_pieces_is_moved_a_few_times_only() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        let (mut moves, mut address) = (0, std::ptr::null());
        for _ in 0..2000 {
            let room = input.room(1000, &mut pool);
            let count = room.len().min(1000);
            room[..count].fill(7);
            input.grow(count);
            if address != input.filled().as_ptr() {
                address = input.filled().as_ptr();
                moves += 1;
            }
        }
        assert_eq!(input.filled(), vec![7; 2_000_000]);
        assert!(moves < 12, "{moves} moves");
    }

    #[test]
    fn consumed_room_is_used_again_without_growing() {
        let mut pool = InputPool::default();
        let mut input = Input::default();
        for round in 0..1000_u32 {
            input.append(&round.to_be_bytes().repeat(25), &mut pool);
            if round > 0 {
                input.consume(100, &mut pool);
            }
            assert_eq!(input.filled(), round.to_be_bytes().repeat(25));
        }
        assert!(input.0.is_some_and(|kept| kept.bytes.len() <= 1024));
    }
}
