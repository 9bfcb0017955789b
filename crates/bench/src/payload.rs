//! What a payload begins with: which message this is, and when it was due.
//!
//! Never: mistakes another run's message, or a foreign one, for its own.

use crate::clock::Nanos;

/// Bytes of a stamp, the shortest payload of a run.
pub const STAMP_BYTES: usize = 24;

/// Which message of which run, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Of the run.
    pub(crate) run: u32,
    /// A stream is one topic of one publisher.
    pub(crate) stream: u32,
    /// Of the stream, from 0.
    pub(crate) sequence: u64,
    /// When it was due (open loop) or written (closed loop).
    pub(crate) due: Nanos,
}

impl Stamp {
    /// Writes it to the front of a payload of at least [`STAMP_BYTES`].
    #[inline]
    pub(crate) fn write(self, payload: &mut [u8]) {
        payload[0..4].copy_from_slice(&self.run.to_le_bytes());
        payload[4..8].copy_from_slice(&self.stream.to_le_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        payload[16..24].copy_from_slice(&self.due.to_le_bytes());
    }

    /// `None` where a payload of run `run` cannot have come from [`Stamp::write`].
    #[inline]
    pub(crate) fn read(payload: &[u8], run: u32) -> Option<Self> {
        let four = |at: usize| payload.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let eight = |at: usize| payload.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let stamp = Self { run: four(0)?, stream: four(4)?, sequence: eight(8)?, due: eight(16)? };
        (stamp.run == run).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_no_other() {
        let stamp = Stamp { run: 7, stream: 3, sequence: u64::MAX - 1, due: 99 };
        let mut payload = [0xAA; STAMP_BYTES + 5];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload, 7), Some(stamp));
        assert_eq!(Stamp::read(&payload, 8), None, "of another run");
        assert_eq!(Stamp::read(&payload[..STAMP_BYTES - 1], 7), None, "cut short");
        assert_eq!(Stamp::read(b"21.5", 7), None);
    }
}
