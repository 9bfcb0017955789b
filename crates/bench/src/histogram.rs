//! Latencies, counted in buckets whose width grows with the value (log-linear, as HDR histograms are).
//!
//! In:    values in any unit, here nanoseconds.
//! Out:   quantiles that are at most 1/128 (0.8 %) above the true ones.
//! Never: allocates after it was made; drops a value.

/// Buckets for each power of two.
const HALF: u64 = 1 << HALF_BITS;
const HALF_BITS: u32 = 7;
/// Buckets up to the largest number of 64 bits.
const BUCKETS: usize = (64 - HALF_BITS as usize + 1) << HALF_BITS;

/// Counts of values.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    minimum: u64,
    maximum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = vec![0; BUCKETS].into_boxed_slice();
        Self { counts, count: 0, sum: 0, minimum: u64::MAX, maximum: 0 }
    }
}

/// Which bucket a value falls into.
fn bucket(value: u64) -> usize {
    let shift = (63 - (value | 1).leading_zeros()).saturating_sub(HALF_BITS);
    let index = (u64::from(shift) << HALF_BITS) + (value >> shift);
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let index = bucket as u64;
    if index < 2 * HALF {
        return index;
    }
    let shift = index / HALF - 1;
    ((index - shift * HALF) << shift) + ((1 << shift) - 1)
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.sum += u128::from(value);
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }

    /// How many values.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value; 0 where there is none.
    #[must_use]
    pub const fn minimum(&self) -> u64 {
        if self.count == 0 { 0 } else { self.minimum }
    }

    /// The largest value; 0 where there is none.
    #[must_use]
    pub const fn maximum(&self) -> u64 {
        self.maximum
    }

    /// The mean; 0 where there is no value.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The value that a share of `quantile` (0 to 1) of the values does not exceed; 0 where there is none.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 1 and the count"
    )]
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(at).clamp(self.minimum, self.maximum);
            }
        }
        self.maximum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_touch() {
        for value in (0..20_000).chain([u64::MAX - 1, u64::MAX, 1 << 40, (1 << 40) - 1]) {
            let at = bucket(value);
            assert!(value <= upper(at), "{value}");
            assert!(at == 0 || value > upper(at - 1), "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(upper(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn an_empty_one_says_zero() {
        let none = Histogram::default();
        assert_eq!((none.count(), none.minimum(), none.maximum(), none.quantile(0.5)), (0, 0, 0, 0));
        assert!(none.mean().abs() < f64::EPSILON);
    }

    proptest! {
        /// Against the sorted values themselves.
        #[test]
        fn a_quantile_is_at_most_a_128th_above_the_true_one(
            mut values in prop::collection::vec(0_u64..10_000_000_000, 1..400),
            thousandth in 0_usize..=1000,
        ) {
            let mut parts = [Histogram::default(), Histogram::default()];
            for (at, value) in values.iter().enumerate() {
                parts[at % 2].record(*value);
            }
            let [mut all, other] = parts;
            all.add(&other);
            values.sort_unstable();
            let rank = (thousandth * values.len()).div_ceil(1000).clamp(1, values.len());
            let exact = values[rank - 1];
            let found = all.quantile(thousandth as f64 / 1000.0);
            prop_assert!(found >= exact && found <= exact + exact / 128, "{found} for {exact}");
            prop_assert_eq!(all.count(), values.len() as u64);
            prop_assert_eq!(all.maximum(), values[values.len() - 1]);
            prop_assert_eq!(all.minimum(), values[0]);
        }
    }
}
