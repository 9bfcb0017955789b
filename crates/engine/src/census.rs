//! What Sessions hold, counted a part of them at a time.
//!
//! In:    all Sessions.
//! Out:   sums over them.
//! Never: a look at all of many at once; so where there are many, the sums are of a few seconds.

use crate::session::Sessions;

/// Sessions that one step looks at: some hundred microseconds.
const STEP: u32 = 16 * 1024;

/// Sums over Sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) disconnected: u64,
    pub(crate) subscriptions: u64,
    pub(crate) queued_messages: u64,
    pub(crate) queued_bytes: u64,
    pub(crate) in_flight: u64,
}

/// A round through the Sessions that never ends.
#[derive(Debug, Default)]
pub(crate) struct Census {
    next: u32,
    under_way: Sums,
    /// Of the last round.
    pub(crate) last: Sums,
}

impl Census {
    /// Looks at some more.
    pub(crate) fn step(&mut self, sessions: &Sessions) {
        let span = sessions.slots.span();
        let end = span.min(self.next.saturating_add(STEP));
        for session in (self.next..end).filter_map(|index| sessions.slots.get(index)) {
            let sums = &mut self.under_way;
            sums.disconnected += u64::from(session.connection().is_none());
            sums.subscriptions += session.subscriptions.len() as u64;
            if let Some(outgoing) = &session.outgoing {
                sums.queued_messages += outgoing.queue_len() as u64;
                sums.queued_bytes += outgoing.queue_bytes();
                sums.in_flight += outgoing.flight_len() as u64;
            }
        }
        self.next = end;
        if end == span {
            self.last = std::mem::take(&mut self.under_way);
            self.next = 0;
        }
    }

    /// Is a round under way?
    pub(crate) const fn is_under_way(&self) -> bool {
        self.next != 0
    }
}
