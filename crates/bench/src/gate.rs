//! When messages may be written: a closed loop waits for what is on its way, an open loop for the time.

use crate::clock::Nanos;
use crate::plan::{Pace, Plan};
use crate::shared::Counts;

/// Messages of an open loop that become due in one pass at most, so that a pass ends.
pub(crate) const DUE_IN_A_PASS: usize = 16_384;

/// Messages that a closed loop may write now, all publishers together.
pub(crate) fn room(counts: &Counts, copies: u64, outstanding: u64) -> u64 {
    if copies == 0 {
        // Nobody is there to receive: acknowledgements set the pace.
        return u64::MAX;
    }
    let settled = counts.delivered.get() + counts.given_up.get();
    let under_way = (counts.sent.get() * copies).saturating_sub(settled);
    // A message of more copies than are allowed at once must still be possible.
    let least = u64::from(under_way == 0);
    (outstanding.saturating_sub(under_way) / copies).max(least)
}

/// The times at which one thread's messages are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Nanos,
    /// Nanoseconds between two messages of this thread.
    interval: f64,
    /// Messages that were due so far.
    pub(crate) count: u64,
}

impl Schedule {
    /// `share` is this thread's part of the rate, 0 to 1; `None` in a closed loop, or where there is nothing to share.
    pub(crate) fn new(plan: &Plan, share: f64, start: Nanos) -> Option<Self> {
        let Pace::Open { per_second } = plan.pace else { return None };
        (share > 0.0).then(|| Self { start, interval: 1e9 / (per_second * share), count: 0 })
    }

    /// When message `number` of this thread is due.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "exact up to 2^53 messages and nanoseconds: 104 days"
    )]
    pub(crate) fn due(&self, number: u64) -> Nanos {
        self.start + (number as f64 * self.interval) as Nanos
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Nanos {
        self.due(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Scenario;
    use crate::plan::tests::plan;

    #[test]
    fn a_closed_loop_stops_at_what_may_be_outstanding() {
        let counts = Counts::default();
        assert_eq!(room(&counts, 10, 100), 10);
        counts.sent.add(10);
        assert_eq!(room(&counts, 10, 100), 0);
        counts.delivered.add(25);
        assert_eq!(room(&counts, 10, 100), 2);
        counts.given_up.add(75);
        assert_eq!(room(&counts, 10, 100), 10, "what was given up is not waited for");
        assert_eq!(room(&counts, 0, 100), u64::MAX);

        let counts = Counts::default();
        assert_eq!(room(&counts, 1000, 100), 1, "more copies than are allowed, one message after the other");
        counts.sent.add(1);
        counts.delivered.add(999);
        assert_eq!(room(&counts, 1000, 100), 0);
    }

    #[test]
    fn an_open_loop_keeps_its_times_whatever_happens() {
        let mut plan = plan(Scenario::FanIn);
        assert!(Schedule::new(&plan, 1.0, 0).is_none());
        plan.pace = Pace::Open { per_second: 1000.0 };
        let schedule = Schedule::new(&plan, 0.5, 7).unwrap();
        assert_eq!((schedule.next(), schedule.due(1), schedule.due(500)), (7, 2_000_007, 1_000_000_007));
        assert!(Schedule::new(&plan, 0.0, 0).is_none());
    }
}
