//! How long something took, counted by powers of two.

use std::time::Duration;

/// Durations in buckets of which each reaches twice as far as the one before it, and one for what is longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many there are in each bucket; the last has no end.
    pub counts: [u64; Histogram::BOUNDS + 1],
    /// All of them together, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Buckets that have an end: at 8 µs, 16 µs and so on, to 16.8 s.
    pub const BOUNDS: usize = 22;

    /// Microseconds that still belong to a bucket.
    #[must_use]
    pub const fn bound_micros(bucket: usize) -> u64 {
        8 << bucket
    }

    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        self.record_many(took, 1);
    }

    /// Counts several that took the same.
    pub fn record_many(&mut self, took: Duration, count: u64) {
        self.record_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), count);
    }

    /// Counts several that took so many microseconds; for what happens with each message, where a [`Duration`] is a division too many.
    #[inline]
    pub(crate) fn record_micros(&mut self, micros: u64, count: u64) {
        let eighths = micros.saturating_sub(1) >> 3;
        let bucket = (u64::BITS - eighths.leading_zeros()) as usize;
        self.counts[bucket.min(Self::BOUNDS)] += count;
        self.sum_micros = self.sum_micros.saturating_add(micros.saturating_mul(count));
    }

    /// Counts what another counted.
    pub fn add(&mut self, other: &Self) {
        for (sum, other) in self.counts.iter_mut().zip(other.counts) {
            *sum += other;
        }
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(micros: u64) -> usize {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_micros(micros));
        histogram.counts.iter().position(|count| *count == 1).unwrap()
    }

    #[test]
    fn a_bucket_holds_its_bound_and_nothing_beyond() {
        assert_eq!(bucket_of(0), 0);
        for bucket in 0..Histogram::BOUNDS {
            assert_eq!(bucket_of(Histogram::bound_micros(bucket)), bucket);
            assert_eq!(bucket_of(Histogram::bound_micros(bucket) + 1), bucket + 1);
        }
        assert_eq!(bucket_of(u64::MAX), Histogram::BOUNDS);
    }

    #[test]
    fn sums_are_of_all() {
        let mut one = Histogram::default();
        one.record_many(Duration::from_micros(10), 3);
        let mut both = one.clone();
        both.add(&one);
        assert_eq!((both.counts[1], both.sum_micros), (6, 60));
    }
}
