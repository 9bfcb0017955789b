//! The clock that engines are told the time by.

use dunlin_engine::Time;
use rustix::time::{ClockId, clock_gettime};

/// Counts the time that the machine is suspended, as Session and message expiry must.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now, in microseconds since the machine was booted; the same for all shards.
#[inline]
pub(crate) fn now() -> Time {
    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let micros = u64::try_from(now.tv_nsec / 1000).unwrap_or_default();
    Time::from_micros(seconds * 1_000_000 + micros)
}
