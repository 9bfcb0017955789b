//! How often something happens in a minute, at most.

use std::time::Duration;

use crate::time::Time;

const MINUTE: Duration = Duration::from_secs(60);
/// What was more than so long ago is over.
const MEMORY: Duration = Duration::from_secs(60 * 60);

/// Minutes that begin with the first event after the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    since: Time,
    count: u32,
    most: u32,
    most_at: Time,
}

impl Window {
    /// It happens.
    pub(super) fn add(&mut self, now: Time) {
        if now.since(self.since) >= MINUTE || self.count == 0 {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count >= self.most || self.is_over(now) {
            (self.most, self.most_at) = (self.count, now);
        }
    }

    /// The most in one minute of the last hour.
    pub(super) fn most(&self, now: Time) -> u32 {
        if self.is_over(now) { 0 } else { self.most }
    }

    fn is_over(&self, now: Time) -> bool {
        now.since(self.most_at) > MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_minute_of_the_last_hour_counts() {
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        let mut window = Window::default();
        for second in [100, 110, 159, 160, 161, 400] {
            window.add(at(second));
        }
        assert_eq!(window.most(at(400)), 3);
        assert_eq!(window.most(at(160 + 3_600)), 0);
        window.add(at(10_000));
        assert_eq!(window.most(at(10_000)), 1);
    }
}
