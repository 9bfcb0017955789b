//! When connections that the engine closed are given up.
//!
//! In:    connections that wait for room for their last output, or for the peer to close its end.
//! Out:   those whose time is over, or that are too many.
//! Never: I/O. A close while the peer still sends makes the kernel reset the connection, and the reset can overtake the
//!        DISCONNECT that says why: hence the wait.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_engine::{ConnectionId, Time};

/// For the peer to take the last output: two losses of a packet on a slow link.
pub(crate) const FLUSH_TIME: Duration = Duration::from_secs(2);
/// For the peer to answer the end of the stream with its own.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Of a shard at once. Each costs a descriptor; the oldest is closed to make room.
pub(crate) const LINGERING_MAX: usize = 4096;

/// Who waits, and until when.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// Each in the order of deadlines, as the time is the same for all. May name connections that are gone.
    flushing: VecDeque<(Time, ConnectionId)>,
    draining: VecDeque<(Time, ConnectionId)>,
    /// Connections that linger.
    count: usize,
}

impl Linger {
    /// A connection of the engine begins to linger.
    pub(crate) const fn begin(&mut self) {
        self.count += 1;
    }

    /// A lingering connection was closed.
    pub(crate) fn end(&mut self) {
        assert!(self.count > 0, "a connection that did not linger ceased to");
        self.count -= 1;
        if self.count == 0 {
            self.flushing.clear();
            self.draining.clear();
        }
    }

    pub(crate) fn flush(&mut self, now: Time, id: ConnectionId) {
        self.flushing.push_back((now.after(FLUSH_TIME), id));
    }

    pub(crate) fn drain(&mut self, now: Time, id: ConnectionId) {
        self.draining.push_back((now.after(DRAIN_TIME), id));
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let first = |queue: &VecDeque<(Time, ConnectionId)>| queue.front().map(|(deadline, _)| *deadline);
        first(&self.flushing).into_iter().chain(first(&self.draining)).min()
    }

    /// The next one to be closed where it is still there in the phase: its time is over, or more than `most` linger.
    pub(crate) fn next_due(&mut self, now: Time, most: usize) -> Option<Due> {
        let due = |queue: &VecDeque<(Time, ConnectionId)>| {
            queue.front().is_some_and(|(deadline, _)| *deadline <= now)
        };
        if due(&self.flushing) {
            return self.flushing.pop_front().map(|(_, id)| Due::Flushing(id));
        }
        if due(&self.draining) {
            return self.draining.pop_front().map(|(_, id)| Due::Draining(id));
        }
        if self.count <= most {
            return None;
        }
        // Draining ones have sent everything: they lose least.
        let draining = self.draining.pop_front().map(|(_, id)| Due::Draining(id));
        draining.or_else(|| self.flushing.pop_front().map(|(_, id)| Due::Flushing(id)))
    }
}

/// A connection whose time is over in a phase. It may have left the phase, or be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Flushing(ConnectionId),
    Draining(ConnectionId),
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(index: u32) -> ConnectionId {
        ConnectionId::new(index, 0)
    }

    #[test]
    fn connections_are_due_in_the_order_of_their_deadlines() {
        let start = Time::from_micros(5);
        let mut linger = Linger::default();
        for index in 0..3 {
            linger.begin();
            if index == 1 { linger.drain(start, id(index)) } else { linger.flush(start, id(index)) }
        }
        assert_eq!(linger.next_deadline(), Some(start.after(DRAIN_TIME)));
        assert_eq!(linger.next_due(start, 10), None);
        assert_eq!(linger.next_due(start.after(DRAIN_TIME), 10), Some(Due::Draining(id(1))));
        assert_eq!(linger.next_due(start.after(DRAIN_TIME), 10), None);

        assert_eq!(linger.next_deadline(), Some(start.after(FLUSH_TIME)));
        assert_eq!(linger.next_due(start.after(FLUSH_TIME), 10), Some(Due::Flushing(id(0))));
        assert_eq!(linger.next_due(start.after(FLUSH_TIME), 10), Some(Due::Flushing(id(2))));
        assert_eq!(linger.next_deadline(), None);
    }

    #[test]
    fn at_the_bound_the_oldest_that_has_sent_everything_goes_first() {
        let mut linger = Linger::default();
        linger.begin();
        linger.flush(Time::ZERO, id(0));
        linger.begin();
        linger.drain(Time::ZERO, id(1));
        assert_eq!(linger.next_due(Time::ZERO, 2), None);
        assert_eq!(linger.next_due(Time::ZERO, 1), Some(Due::Draining(id(1))));
        linger.end();
        assert_eq!(linger.next_due(Time::ZERO, 1), None);
    }

    #[test]
    fn nothing_is_waited_for_once_all_are_gone() {
        let mut linger = Linger::default();
        linger.begin();
        linger.flush(Time::ZERO, id(0));
        linger.end();
        assert_eq!(linger.next_deadline(), None);
    }
}
