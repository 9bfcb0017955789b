//! Times of the wall clock: written and read as RFC 3339, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

/// `2026-11-21T16:31:59.123Z`
#[must_use]
pub fn show(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, rest) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Reads `2026-11-21T16:31:59Z`, with fractions or without, and `16:31` or `16:31:59` of the day of `now`; all in UTC.
#[must_use]
pub fn parse(text: &str, now: SystemTime) -> Option<SystemTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (days, clock) = match text.split_once(['T', ' ']) {
        Some((day, clock)) => {
            let mut parts = day.splitn(3, '-').map(str::parse::<u64>);
            let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
            (days(year, month, day)?, clock)
        }
        None => (now.duration_since(UNIX_EPOCH).ok()?.as_secs() / DAY, text),
    };
    let mut parts = clock.splitn(3, ':');
    let hour = parts.next()?.parse::<u64>().ok().filter(|hour| *hour < 24)?;
    let minute = parts.next()?.parse::<u64>().ok().filter(|minute| *minute < 60)?;
    let seconds = match parts.next() {
        Some(text) => text.parse::<f64>().ok().filter(|seconds| (0.0..61.0).contains(seconds))?,
        None => 0.0,
    };
    let whole = Duration::from_secs(days * DAY + hour * 3600 + minute * 60);
    Some(UNIX_EPOCH + whole + Duration::from_secs_f64(seconds))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn length(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while days >= length(year, month) {
        days -= length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_day = (1970..10_000).contains(&year) && (1..=12).contains(&month);
    if !is_day || !(1..=length(year, month)).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let months: u64 = (1..month).map(|month| length(year, month)).sum();
    Some(years + months + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_795_278_719] {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 123);
            assert_eq!(parse(&show(time), time), Some(time), "{}", show(time));
        }
        assert_eq!(show(UNIX_EPOCH + Duration::from_secs(951_782_400)), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_time_of_day_is_of_today_and_nonsense_is_refused() {
        let now = UNIX_EPOCH + Duration::from_secs(951_782_400 + 5000);
        assert_eq!(parse("00:30", now), Some(UNIX_EPOCH + Duration::from_secs(951_782_400 + 1800)));
        for text in ["", "later", "25:00", "12:60", "2000-02-30T00:00:00Z", "2000-13-01T00:00", "1:2:3:4"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }
}
