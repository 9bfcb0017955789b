//! When to try again: exponential backoff with full jitter, from a seed.
//!
//! In:    failures, and connections that lasted.
//! Out:   how long to wait.
//! Never: a clock; randomness that the seed does not determine.

use std::time::Duration;

use super::settings::Retry;

/// SplitMix64: enough to spread clients, not to keep secrets.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    /// A connection lasted.
    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed, or a connection did not last. `None`: give up.
    ///
    /// The wait is drawn evenly between 0 and the doubled base, so that clients that lost the same Server at the same
    /// moment come back spread over the whole of it.
    pub(crate) fn failed(&mut self, retry: &Retry, dice: &mut Dice) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if retry.failures_maximum.is_some_and(|maximum| self.failures >= maximum) {
            return None;
        }
        let base = u64::try_from(retry.base.as_micros()).unwrap_or(u64::MAX);
        let cap = u64::try_from(retry.cap.as_micros()).unwrap_or(u64::MAX);
        let doubled = base.saturating_mul(1 << (self.failures - 1).min(32));
        let ceiling = doubled.min(cap);
        Some(Duration::from_micros(dice.roll() % ceiling.saturating_add(1).max(1)))
    }

    /// The Server asked not to be tried soon: as after many failures.
    pub(crate) fn discouraged(&mut self) {
        self.failures = self.failures.max(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, count: usize) -> Vec<Duration> {
        let mut dice = Dice::new(seed);
        let mut backoff = Backoff::new();
        (0..count).filter_map(|_| backoff.failed(&Retry::default(), &mut dice)).collect()
    }

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        for seed in 0..200 {
            for (attempt, wait) in waits(seed, 12).into_iter().enumerate() {
                let bound = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_secs(60));
                assert!(wait <= bound, "attempt {attempt} waits {wait:?}");
            }
        }
    }

    #[test]
    fn a_thousand_clients_come_back_spread_evenly() {
        // The seventh wait is drawn from 60 s: each tenth of it gets about a tenth of them.
        let mut tenths = [0_u32; 10];
        for seed in 0..1000 {
            let wait = waits(seed, 7)[6];
            tenths[usize::try_from(wait.as_millis() / 6001).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..=140).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn success_begins_anew_and_the_maximum_gives_up() {
        let retry = Retry { failures_maximum: Some(3), ..Retry::default() };
        let mut dice = Dice::new(1);
        let mut backoff = Backoff::new();
        assert!(backoff.failed(&retry, &mut dice).is_some());
        assert!(backoff.failed(&retry, &mut dice).is_some());
        backoff.succeeded();
        assert!(backoff.failed(&retry, &mut dice).is_some_and(|wait| wait <= retry.base));
        assert!(backoff.failed(&retry, &mut dice).is_some());
        assert!(backoff.failed(&retry, &mut dice).is_none());
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        assert_eq!(waits(7, 10), waits(7, 10));
        assert_ne!(waits(7, 10), waits(8, 10));
    }
}
