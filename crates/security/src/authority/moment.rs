//! A point in time, as certificates know it: to the second, UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

const DAY: i64 = 86_400;

/// The last second of the year 9999, which is the last that a certificate can name.
const LAST: i64 = 253_402_300_799;

/// Seconds since 1970, UTC, without leap seconds; never before 1970 nor after 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// This second, by the clock of the system.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::from_unix(i64::try_from(since).unwrap_or(LAST))
    }

    /// That many seconds after 1970, or the nearest that there is.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// So many days later; earlier where the number is negative.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self::from_unix(self.0.saturating_add(days.saturating_mul(DAY)))
    }

    /// An hour earlier: certificates begin there, because the clocks of devices are slow as often as fast.
    #[must_use]
    pub(super) fn an_hour_before(self) -> Self {
        Self::from_unix(self.0 - 3600)
    }

    /// Whole days from here to there; negative where that has passed.
    #[must_use]
    pub const fn days_until(self, then: Self) -> i64 {
        (then.0 - self.0).div_euclid(DAY)
    }

    pub(super) fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// As `2027-12-23 14:02 UTC`.
impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        let (month, day, hour, minute) = (u8::from(at.month()), at.day(), at.hour(), at.minute());
        write!(out, "{:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC", at.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_to_the_minute_and_counts_whole_days() {
        let start = Moment::from_unix(1_795_264_943);
        assert_eq!(start.to_string(), "2026-11-21 12:42 UTC");
        assert_eq!(start.days_until(start.plus_days(397)), 397);
        assert_eq!(start.days_until(Moment::from_unix(start.unix() - 1)), -1);
        assert_eq!(start.plus_days(i64::MAX).to_string(), "9999-12-31 23:59 UTC");
    }
}
