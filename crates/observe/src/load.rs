//! How often something happens in a minute, as a mean over the last ones.

use std::time::Duration;

/// Means over the last 1, 5 and 15 minutes, older minutes counting less and less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load([f64; 3]);

impl Load {
    /// The minutes that each mean is of.
    pub const MINUTES: [u8; 3] = [1, 5, 15];

    /// It happened `count` times in the time that has `passed` since the last call.
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    pub fn update(&mut self, count: u64, passed: Duration) {
        let minutes = passed.as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return;
        }
        let rate = count as f64 / minutes;
        for (mean, over) in self.0.iter_mut().zip(Self::MINUTES) {
            *mean = rate + (*mean - rate) * (-minutes / f64::from(over)).exp();
        }
    }

    /// The means, in the order of [`Self::MINUTES`].
    #[must_use]
    pub const fn means(&self) -> [f64; 3] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_by_the_short_mean_first() {
        let mut load = Load::default();
        for _ in 0..6 {
            load.update(100, Duration::from_secs(10));
        }
        let [one, five, fifteen] = load.means();
        assert!((one - 600.0 * (1.0 - (-1.0_f64).exp())).abs() < 0.1, "{one}");
        assert!(one > five && five > fifteen && fifteen > 0.0, "{load:?}");
    }

    #[test]
    fn no_time_changes_nothing() {
        let mut load = Load::default();
        load.update(5, Duration::ZERO);
        assert_eq!(load, Load::default());
    }
}
