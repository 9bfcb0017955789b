//! Bytes on their way to connections: one contiguous buffer each, written once a tick.
//!
//! In:    frames of the engine; how much of them the transport took.
//! Out:   slices for one vectored write.
//! Never: I/O. An idle connection owns no buffer but the place for one: drained buffers go back to a pool.

use bytes::Bytes;

use crate::event::ConnectionId;

/// Buffers larger than this are freed, not pooled. Smaller bounds cost fan-out of larger messages half its rate, because every
/// tick then takes fresh memory from the operating system.
const POOLED_CAPACITY_MAX: usize = 256 * 1024;
/// Sent bytes at the front of a buffer that is not empty are let go from this many on.
const COMPACTED_MIN: usize = 64 * 1024;
/// Less than this in front of a shared segment is copied, so that the buffer it is in can be used again.
const COPIED_MAX: usize = 1024;
/// Memory that a shard keeps for nothing, at most.
const POOL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Payloads of at least this many bytes are shared between connections, smaller ones are copied: below, a copy is
/// cheaper than a reference count and a slice more in the vectored write.
pub(crate) const SHARED_PAYLOAD_MIN: usize = 4 * 1024;

/// The output of every connection of a shard.
#[derive(Debug, Default)]
pub struct Outbox {
    /// By slot; only where something waits, or the engine for the transport.
    buffers: Vec<Option<Box<Buffer>>>,
    dirty: Vec<ConnectionId>,
    pool: Pool,
    /// Bytes of all tails.
    copied: usize,
}

/// Buffers to be used again.
#[derive(Debug, Default)]
struct Pool {
    /// With what they are kept in, so that who needs one allocates nothing.
    #[allow(clippy::vec_box, reason = "it is the boxes that are given out again")]
    buffers: Vec<Box<Buffer>>,
    /// What they weigh.
    bytes: usize,
    /// Nothing is kept.
    closed: bool,
}

#[derive(Debug, Default)]
struct Buffer {
    /// Whole segments that go before `tail`.
    front: Option<Box<Front>>,
    tail: Vec<u8>,
    /// Bytes of `tail` that went out.
    tail_sent: usize,
    /// In the dirty list.
    dirty: bool,
    /// The engine waits for [`crate::Event::Drained`].
    wanted: bool,
    /// Bytes went out since the engine began to wait, or asked.
    moved: bool,
}

#[derive(Debug, Default)]
struct Front {
    segments: std::collections::VecDeque<Bytes>,
    len: usize,
}

impl Buffer {
    fn len(&self) -> usize {
        self.front.as_ref().map_or(0, |front| front.len) + self.tail.len() - self.tail_sent
    }

    /// Is there nothing to remember of it?
    fn is_idle(&self) -> bool {
        self.front.is_none() && self.tail.is_empty() && !self.wanted && !self.dirty
    }

    fn freeze_tail(&mut self) {
        let tail = Bytes::from(std::mem::take(&mut self.tail)).slice(self.tail_sent..);
        self.tail_sent = 0;
        self.push_front(tail);
    }

    /// Nothing of the tail is needed any more.
    fn empty_tail(&mut self) {
        self.tail.clear();
        self.tail_sent = 0;
    }

    /// What it takes of memory, its front aside.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.tail.capacity()
    }

    fn push_front(&mut self, segment: Bytes) {
        if segment.is_empty() {
            return;
        }
        let front = self.front.get_or_insert_default();
        front.len += segment.len();
        front.segments.push_back(segment);
    }
}

impl Outbox {
    /// Bytes that wait for the connection.
    #[must_use]
    #[inline]
    pub fn len(&self, connection: ConnectionId) -> usize {
        self.buffer(connection).map_or(0, Buffer::len)
    }

    /// Does nothing wait for the connection?
    #[must_use]
    pub fn is_empty(&self, connection: ConnectionId) -> bool {
        self.len(connection) == 0
    }

    /// Lets `append` put bytes behind those that wait for the connection.
    #[inline]
    pub(crate) fn append(&mut self, connection: ConnectionId, append: impl FnOnce(&mut Vec<u8>)) {
        let buffer = match self.buffers.get_mut(connection.index()) {
            Some(Some(buffer)) if buffer.dirty => buffer,
            _ => self.touch(connection),
        };
        let before = buffer.tail.len();
        append(&mut buffer.tail);
        self.copied += buffer.tail.len() - before;
    }

    fn buffer(&self, connection: ConnectionId) -> Option<&Buffer> {
        self.buffers.get(connection.index())?.as_deref()
    }

    /// The connection's buffer; the caller writes it out.
    fn touch(&mut self, connection: ConnectionId) -> &mut Buffer {
        let Self { buffers, dirty, pool, .. } = self;
        let index = connection.index();
        if index >= buffers.len() {
            buffers.resize_with(index + 1, || None);
        }
        let buffer = buffers[index].get_or_insert_with(|| pool.take());
        if !buffer.dirty {
            buffer.dirty = true;
            dirty.push(connection);
        }
        buffer
    }

    /// Appends a segment without copying it.
    pub(crate) fn push_shared(&mut self, connection: ConnectionId, segment: Bytes) {
        let buffer = self.touch(connection);
        let (counted, waiting) = (buffer.tail.len(), &buffer.tail[buffer.tail_sent..]);
        if waiting.len() <= COPIED_MAX {
            let head = Bytes::copy_from_slice(waiting);
            buffer.push_front(head);
            buffer.empty_tail();
        } else {
            buffer.freeze_tail();
        }
        buffer.push_front(segment);
        // What goes to the front is shared, or about to be sent: it counts no more.
        self.copied -= counted;
    }

    /// Bytes that were copied into the outputs of all connections and are not let go of.
    #[must_use]
    #[inline]
    pub const fn copied(&self) -> usize {
        self.copied
    }

    /// Keep empty buffers to be used again?
    pub(crate) fn keep_buffers(&mut self, keep: bool) {
        self.pool.closed = !keep;
        if !keep {
            self.pool.buffers = Vec::new();
            self.pool.bytes = 0;
        }
    }

    /// Asks for [`crate::Event::Drained`] once the connection's output fell below the low-water mark.
    pub(crate) fn want_drained(&mut self, connection: ConnectionId) {
        let buffer = self.touch(connection);
        buffer.moved &= buffer.wanted;
        buffer.wanted = true;
    }

    /// Did bytes of a connection that is to drain go out since this was last asked?
    pub(crate) fn has_moved(&mut self, connection: ConnectionId) -> bool {
        let buffer = self.buffers.get_mut(connection.index()).and_then(Option::as_mut);
        buffer.is_some_and(|buffer| std::mem::take(&mut buffer.moved))
    }

    /// The connections that got output (or a wish to be told of drained output) since the last call, each once. The
    /// caller writes what it can of each, says so with [`Self::advance`], and remembers the connections whose transport
    /// takes no more for now.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnectionId>) {
        for connection in &self.dirty {
            let Some(buffer) = &mut self.buffers[connection.index()] else { continue };
            buffer.dirty = false;
            if buffer.is_idle() {
                // It was cleared meanwhile.
                self.pool.give(&mut self.buffers[connection.index()]);
            }
        }
        into.append(&mut self.dirty);
    }

    /// The waiting bytes of a connection, in order, at most as many slices as fit.
    pub fn slices<'a>(&'a self, connection: ConnectionId, into: &mut smallvec::SmallVec<[&'a [u8]; 8]>) {
        let Some(buffer) = self.buffer(connection) else { return };
        if let Some(front) = &buffer.front {
            into.extend(front.segments.iter().take(7).map(|segment| &segment[..]));
            if front.segments.len() > 7 {
                return;
            }
        }
        if buffer.tail.len() > buffer.tail_sent {
            into.push(&buffer.tail[buffer.tail_sent..]);
        }
    }

    /// Appends what waits for the connection behind the first `skip` bytes, at most `limit` of it.
    pub(crate) fn copy_from(
        &self,
        connection: ConnectionId,
        mut skip: usize,
        limit: usize,
        into: &mut Vec<u8>,
    ) {
        let Some(buffer) = self.buffer(connection) else { return };
        let front = buffer.front.iter().flat_map(|front| front.segments.iter().map(|segment| &segment[..]));
        let mut left = limit;
        for slice in front.chain([&buffer.tail[buffer.tail_sent..]]) {
            let start = skip.min(slice.len());
            skip -= start;
            let wanted = &slice[start..slice.len().min(start.saturating_add(left))];
            left -= wanted.len();
            into.extend_from_slice(wanted);
        }
    }

    /// `count` bytes went out. True where the engine waits for [`crate::Event::Drained`] and at most `low_water` bytes are
    /// left: the caller owes that event now.
    pub fn advance(&mut self, connection: ConnectionId, mut count: usize, low_water: usize) -> bool {
        let Some(place) = self.buffers.get_mut(connection.index()) else { return false };
        let Some(buffer) = place else { return false };
        buffer.moved |= count > 0;
        if let Some(front) = &mut buffer.front {
            while let Some(first) = front.segments.front_mut().filter(|_| count > 0) {
                let taken = count.min(first.len());
                count -= taken;
                front.len -= taken;
                if taken == first.len() {
                    front.segments.pop_front();
                } else {
                    *first = first.slice(taken..);
                }
            }
            if front.segments.is_empty() {
                buffer.front = None;
            }
        }
        buffer.tail_sent += count;
        assert!(buffer.tail_sent <= buffer.tail.len(), "more was taken than there was");
        if buffer.tail_sent == buffer.tail.len() {
            self.copied -= buffer.tail.len();
            buffer.empty_tail();
        } else if buffer.tail_sent >= COMPACTED_MIN && buffer.tail_sent * 2 >= buffer.tail.len() {
            // A reader that never quite catches up: what it has must not be kept. Each byte is moved once at most on average.
            self.copied -= buffer.tail_sent;
            buffer.tail.drain(..buffer.tail_sent);
            buffer.tail_sent = 0;
        }
        let drained = buffer.wanted && buffer.len() <= low_water;
        if drained {
            buffer.wanted = false;
        }
        if buffer.is_idle() {
            self.pool.give(place);
        }
        drained
    }

    /// Forgets what waits for the connection; the slot is free for another.
    pub fn clear(&mut self, connection: ConnectionId) {
        let Some(place) = self.buffers.get_mut(connection.index()) else { return };
        let Some(buffer) = place else { return };
        self.copied -= buffer.tail.len();
        buffer.front = None;
        buffer.wanted = false;
        buffer.empty_tail();
        if buffer.is_idle() {
            self.pool.give(place);
        }
    }
}

impl Pool {
    fn take(&mut self) -> Box<Buffer> {
        let Some(buffer) = self.buffers.pop() else { return Box::default() };
        self.bytes -= buffer.weight();
        buffer
    }

    /// Takes an idle one from its place.
    fn give(&mut self, place: &mut Option<Box<Buffer>>) {
        let Some(mut buffer) = place.take() else { return };
        let weight = buffer.weight();
        if !self.closed
            && buffer.tail.capacity() <= POOLED_CAPACITY_MAX
            && self.bytes + weight <= POOL_BYTES_MAX
        {
            buffer.moved = false;
            self.bytes += weight;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;

    const CONNECTION: ConnectionId = ConnectionId::new(3, 0);

    fn append(outbox: &mut Outbox, bytes: &[u8]) {
        outbox.append(CONNECTION, |tail| tail.extend_from_slice(bytes));
    }

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        let mut slices = SmallVec::new();
        outbox.slices(CONNECTION, &mut slices);
        slices.concat()
    }

    #[test]
    fn shared_segments_keep_their_place_between_copied_bytes() {
        let mut outbox = Outbox::default();
        append(&mut outbox, b"ab");
        outbox.push_shared(CONNECTION, Bytes::from_static(b"cde"));
        append(&mut outbox, b"f");
        assert_eq!(waiting(&outbox), b"abcdef");

        outbox.advance(CONNECTION, 3, 0);
        assert_eq!(waiting(&outbox), b"def");
        outbox.advance(CONNECTION, 3, 0);
        assert!(outbox.is_empty(CONNECTION));
    }

    #[test]
    fn an_idle_connection_owns_no_buffer() {
        let mut outbox = Outbox::default();
        append(&mut outbox, b"ab");
        outbox.advance(CONNECTION, 2, 0);
        assert!(outbox.buffers[3].is_some(), "it is still among those to be written");
        outbox.take_dirty(&mut Vec::new());
        assert!(outbox.buffers[3].is_none());
        assert_eq!(outbox.pool.buffers.len(), 1);

        append(&mut outbox, b"cd");
        outbox.take_dirty(&mut Vec::new());
        outbox.want_drained(CONNECTION);
        outbox.clear(CONNECTION);
        assert!(outbox.is_empty(CONNECTION));
        let mut dirty = Vec::new();
        outbox.take_dirty(&mut dirty);
        assert_eq!((dirty.len(), outbox.pool.buffers.len(), outbox.copied()), (1, 1, 0));
        assert!(outbox.buffers[3].is_none());
    }

    #[test]
    fn output_that_never_drains_quite_does_not_grow() {
        let mut outbox = Outbox::default();
        append(&mut outbox, &[0; 100_000]);
        for _ in 0..1000 {
            append(&mut outbox, &[0; 100_000]);
            outbox.advance(CONNECTION, 100_000, 0);
        }
        assert_eq!(outbox.len(CONNECTION), 100_000);
        let capacity = outbox.buffers[3].as_ref().unwrap().tail.capacity();
        assert!(capacity < 1_000_000, "{capacity}");
    }

    #[test]
    fn drained_is_owed_once_and_only_when_asked_for() {
        let mut outbox = Outbox::default();
        append(&mut outbox, b"abcd");
        assert!(!outbox.advance(CONNECTION, 1, 2));
        outbox.want_drained(CONNECTION);
        assert!(outbox.advance(CONNECTION, 1, 2));
        assert!(!outbox.advance(CONNECTION, 1, 2));
    }
}
