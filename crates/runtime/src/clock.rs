//! The clock that engines are told the time by.

use std::sync::OnceLock;

use dunlin_engine::Time;
use rustix::time::{ClockId, clock_gettime};

/// Counts the time that the machine is suspended, as Session and message expiry must.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// The wall clock's lead over [`CLOCK`] when the process began.
static LEAD: OnceLock<u64> = OnceLock::new();

/// Now, in microseconds since 1970 as the wall clock saw it when the process began; the same for all shards. Steps of the wall
/// clock afterwards change nothing; from one process to the next it tells how long none ran.
#[inline]
pub(crate) fn now() -> Time {
    let lead = *LEAD.get_or_init(|| micros(ClockId::Realtime).saturating_sub(micros(CLOCK)));
    Time::from_micros(lead + micros(CLOCK))
}

#[inline]
fn micros(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(now.tv_nsec / 1000).unwrap_or_default()
}
