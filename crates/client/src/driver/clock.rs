//! The clock of a session: milliseconds since 1970 when it began, and from then on never backwards.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::Time;

pub(crate) struct Clock {
    origin: Instant,
    began: Time,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), began: Time::default().after(since_1970) }
    }

    pub(crate) fn now(&self) -> Time {
        self.began.after(self.origin.elapsed())
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        let since = time.as_millis().saturating_sub(self.began.as_millis());
        // A far future that no clock of a system overflows at.
        self.origin + Duration::from_millis(since.min(1 << 40))
    }
}
