//! Which Client Identifiers have been here, as far as that can be said in 64 KiB.
//!
//! In:    hashes of Client Identifiers.
//! Out:   seen before, or not.
//! Never: new for one that was among the last 90,000, at least: it errs by saying that a new one was here before.

/// Bits of a filter.
const BITS: u64 = 256 * 1024;
/// A filter with so many bits set says of a quarter of all new ones that they were here: the next one begins.
const FULL: u32 = 128 * 1024;

/// See the module. Made when the first comes.
#[derive(Debug, Default)]
pub(super) struct Seen {
    present: Vec<u64>,
    /// Bits that are set in it.
    set: u32,
    past: Vec<u64>,
}

impl Seen {
    /// Was it here? From now on it was.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.present.is_empty() {
            self.present = vec![0; word(BITS)];
        }
        let bits = [hash % BITS, (hash >> 32) % BITS];
        let has =
            |filter: &[u64], bit: u64| filter.get(word(bit)).is_some_and(|of| of >> (bit % 64) & 1 == 1);
        let was_here =
            bits.iter().all(|bit| has(&self.present, *bit)) || bits.iter().all(|bit| has(&self.past, *bit));
        for bit in bits {
            self.set += u32::from(!has(&self.present, bit));
            self.present[word(bit)] |= 1 << (bit % 64);
        }
        if self.set >= FULL {
            self.past = std::mem::take(&mut self.present);
            self.set = 0;
        }
        was_here
    }
}

fn word(bit: u64) -> usize {
    usize::try_from(bit / 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    fn hash(number: u64) -> u64 {
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn those_of_late_are_known_and_few_others_are_taken_for_them() {
        let mut seen = Seen::default();
        let taken_for_known = (0..20_000).filter(|number| seen.insert(hash(*number))).count();
        assert!(taken_for_known < 200, "{taken_for_known}");
        assert!((0..20_000).all(|number| seen.insert(hash(number))));
        for number in 20_000..100_000 {
            seen.insert(hash(number));
        }
        assert!((20_000..100_000).all(|number| seen.insert(hash(number))));
    }
}
