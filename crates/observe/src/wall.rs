//! The time of day, for moments of a clock that knows nothing of it.
//!
//! In:    both clocks, read one after the other, again and again.
//! Out:   the time of day of a moment.
//! Never: a jitter from how long the reading took: moments that were in order stay in order.

use std::time::{SystemTime, UNIX_EPOCH};

/// What a reading may differ by before it counts: a shard's tick takes less, as a rule.
const TOLERANCE_MICROS: i64 = 5_000;

/// How far the time of day is ahead of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wall {
    lead: Option<i64>,
}

impl Wall {
    /// Both were read: the clock, in microseconds, and the time of day.
    pub fn look(&mut self, clock: u64, wall: SystemTime) {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let signed = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX);
        let lead = signed(u64::try_from(wall).unwrap_or(u64::MAX)).saturating_sub(signed(clock));
        if self.lead.is_none_or(|known| known.abs_diff(lead) > TOLERANCE_MICROS.unsigned_abs()) {
            self.lead = Some(lead);
        }
    }

    /// Microseconds since 1970 of a moment of the clock.
    #[must_use]
    pub fn micros(&self, clock: u64) -> u64 {
        clock.saturating_add_signed(self.lead.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(micros: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    #[test]
    fn a_slow_reading_moves_nothing_and_a_step_of_the_clock_does() {
        let mut wall = Wall::default();
        wall.look(1_000, at(1_000_100));
        assert_eq!(wall.micros(1_000), 1_000_100);
        wall.look(2_000, at(1_005_000));
        assert_eq!(wall.micros(2_000), 1_001_100);
        wall.look(3_000, at(61_002_100));
        assert_eq!(wall.micros(3_000), 61_002_100);
    }
}
