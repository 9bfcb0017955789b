//! How fast something may come: so many a second, and some at once.
//!
//! In:    the time of each.
//! Out:   whether it is within the bound.
//! Never: more than one number, however fast they come.

use std::time::Duration;

use dunlin_engine::Time;

const SECOND: u64 = 1_000_000_000;

/// When what was let through so far would have come at an even pace, in nanoseconds; a bucket that leaks, told by its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pace(u64);

impl Pace {
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// Lets one through that comes now, where no more than `a_second` in the long run and what comes in `burst` at once have
    /// come. At least one is within any bound.
    pub(crate) fn admits(&mut self, now: Time, a_second: u32, burst: Duration) -> bool {
        let now = now.as_micros().saturating_mul(1_000);
        let interval = SECOND / u64::from(a_second.max(1));
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX).max(interval);
        let next = self.0.max(now).saturating_add(interval);
        if next - now > burst {
            return false;
        }
        self.0 = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_at_once_and_then_so_many_a_second() {
        let start = Time::from_micros(5);
        let mut pace = Pace::default();
        let mut passed =
            |at: Time| (0..1_000).filter(|_| pace.admits(at, 100, Duration::from_secs(2))).count();
        assert_eq!(passed(start), 200);
        assert_eq!(passed(start), 0);
        assert_eq!(passed(start.after(Duration::from_secs(1))), 100);
        assert_eq!(passed(start.after(Duration::from_secs(100))), 200, "what was not used does not pile up");
    }

    #[test]
    fn one_passes_however_small_the_bounds_are() {
        let mut pace = Pace::default();
        assert!(pace.admits(Time::ZERO, 1, Duration::ZERO));
        assert!(!pace.admits(Time::ZERO, 1, Duration::ZERO));
    }
}
