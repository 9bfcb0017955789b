//! Little-endian numbers and varints, as every file of the log writes them.
//!
//! In:    bytes that may be cut or damaged; numbers.
//! Out:   numbers, or `None` where the bytes end; bytes.
//! Never: panics on what it reads.

/// Rounds up to a multiple of `unit`, a power of two.
pub(crate) const fn round_up(n: u64, unit: u64) -> u64 {
    (n + unit - 1) & !(unit - 1)
}

/// A length that some bound of the log keeps far below `u32::MAX`.
pub(crate) fn small(n: u64) -> u32 {
    match u32::try_from(n) {
        Ok(n) => n,
        Err(_) => unreachable!("{n} is beyond the bounds of a segment"),
    }
}

/// An index into memory; every machine that runs this has 64 bits.
pub(crate) fn index(n: u64) -> usize {
    match usize::try_from(n) {
        Ok(n) => n,
        Err(_) => unreachable!("{n} does not fit the address space"),
    }
}

/// The checksum of everything in the log: CRC-32C. Fuzzing goes without, as no search finds its way through a checksum.
#[allow(unexpected_cfgs, reason = "fuzz/run.sh sets it")]
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    if cfg!(fuzzing) { 0 } else { crc32c::crc32c(bytes) }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Bytes that [`put_varint`] writes for `n`.
pub(crate) const fn varint_len(n: u64) -> usize {
    let bits = 64 - (n | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(low_seven(n) | 0x80);
        n >>= 7;
    }
    out.push(low_seven(n));
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits fit a byte")]
const fn low_seven(n: u64) -> u8 {
    (n & 0x7f) as u8
}

/// Reads bytes from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(n)?;
        self.bytes = tail;
        Some(head)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        u16_at(self.take(2)?, 0)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        u32_at(self.take(4)?, 0)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        u64_at(self.take(8)?, 0)
    }

    /// At most ten bytes; what would not fit 64 bits is `None`.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_comes_back_and_is_as_long_as_announced() {
        for n in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            assert_eq!(out.len(), varint_len(n));
            assert_eq!(Reader::new(&out).varint(), Some(n));
            assert_eq!(Reader::new(&out[..out.len() - 1]).varint(), None, "{n} cut");
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_none() {
        let mut reader = Reader::new(&[0xff; 11]);
        assert_eq!(reader.varint(), None);
    }
}
