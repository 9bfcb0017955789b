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

/// The unconsumed bytes of one connection: `bytes[start..end]`; what lies behind is initialised room.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: u32,
    end: u32,
}

/// Buffers that no connection needs now.
#[derive(Debug, Default)]
pub(crate) struct InputPool {
    spare: Vec<Vec<u8>>,
}

impl Input {
    pub(crate) const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// Room to read into behind what is there, which may grow to twice its size for it but is never moved for less than
    /// its own length: a packet of n bytes is copied O(n) times a byte, in however many pieces it comes.
    pub(crate) fn room(&mut self, most: usize, pool: &mut InputPool) -> &mut [u8] {
        if self.bytes.len() - (self.end as usize) < ROOM_MIN {
            self.reserve(self.len().max(ROOM_MIN), pool);
        }
        let end = self.end as usize;
        let limit = self.bytes.len().min(end + most);
        &mut self.bytes[end..limit]
    }

    /// `count` bytes of the room were filled.
    pub(crate) fn grow(&mut self, count: usize) {
        self.end += u32_of(count);
        assert!(self.end as usize <= self.bytes.len(), "more was read than there was room");
    }

    /// Adds a copy of `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8], pool: &mut InputPool) {
        if self.bytes.len() - (self.end as usize) < bytes.len() {
            self.reserve(bytes.len(), pool);
        }
        let end = self.end as usize;
        self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        self.end += u32_of(bytes.len());
    }

    /// The first `count` bytes are not needed any more.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut InputPool) {
        assert!(count <= self.len(), "more was consumed than there was");
        self.start += u32_of(count);
        if self.is_empty() {
            self.release(pool);
        }
    }

    /// Forgets everything and gives the buffer back.
    pub(crate) fn release(&mut self, pool: &mut InputPool) {
        self.start = 0;
        self.end = 0;
        if !self.bytes.is_empty() {
            pool.give(std::mem::take(&mut self.bytes));
        }
    }

    /// Makes room for `count` bytes behind the end.
    fn reserve(&mut self, count: usize, pool: &mut InputPool) {
        let len = self.len();
        let wanted = len + count;
        if self.bytes.len() >= wanted && len <= self.start as usize {
            // At least as much was consumed as must be moved.
            self.bytes.copy_within(self.start as usize..self.end as usize, 0);
        } else {
            let mut bytes = pool.take(wanted.max(len * 2));
            bytes[..len].copy_from_slice(self.filled());
            pool.give(std::mem::replace(&mut self.bytes, bytes));
        }
        self.start = 0;
        self.end = u32_of(len);
    }
}

impl InputPool {
    /// An initialised buffer of at least `len` bytes.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = if len <= POOLED_MAX { self.spare.pop().unwrap_or_default() } else { Vec::new() };
        if bytes.len() < len {
            bytes.resize(len.max(SMALLEST).next_power_of_two(), 0);
        }
        bytes
    }

    fn give(&mut self, bytes: Vec<u8>) {
        if (1..=POOLED_MAX).contains(&bytes.len()) && self.spare.len() < POOL_MAX {
            self.spare.push(bytes);
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
        assert_eq!(input.bytes.capacity(), 0);
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
        assert!(input.bytes.len() <= 1024);
    }
}
