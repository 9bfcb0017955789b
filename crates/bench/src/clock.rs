//! The clock of a run: nanoseconds since it began, the same for every thread.

use std::time::{Duration, Instant};

/// Nanoseconds since the run began; 584 years fit.
pub(crate) type Nanos = u64;

/// Reads the time of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn now(self) -> Nanos {
        nanos(self.epoch.elapsed())
    }
}

/// Whole nanoseconds of a time.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds between two times.
#[allow(clippy::cast_precision_loss, reason = "a measurement")]
pub(crate) fn seconds(from: Nanos, to: Nanos) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}
