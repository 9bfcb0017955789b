//! When to look at a connection or a Session again.
//!
//! In:    deadlines, as they become known.
//! Out:   whom to look at now; it then asks for its next deadline itself.
//! Never: many entries that nobody waits for: beyond a few for each that somebody does, all are made anew. Never cancelled: a deadline that moved later is found out when it fires. So a Keep Alive, which moves with each packet,
//!        costs one entry a connection and no work a packet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// Whom a timer concerns, by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    Connection(u32),
    Session(u32),
}

/// All timers of a shard: at most a few entries for each slot.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, TimerKey)>>,
    /// The earliest entry of each slot that is still in the heap, or [`NEVER`]: there may be a million slots.
    connections: Vec<Time>,
    sessions: Vec<Time>,
    /// How many slots have one.
    armed: usize,
}

/// Of a slot without an entry.
const NEVER: Time = Time::from_micros(u64::MAX);
/// Entries for each one that is armed, at most.
const STALE_FACTOR: usize = 4;

impl Timers {
    /// Makes sure that `key` is looked at no later than `at`.
    pub(crate) fn arm(&mut self, key: TimerKey, at: Time) {
        let armed = self.slot(key);
        if at < *armed {
            let is_first = std::mem::replace(armed, at) == NEVER;
            self.armed += usize::from(is_first);
            self.heap.push(Reverse((at, key)));
            if self.heap.len() > STALE_FACTOR * self.armed + STALE_FACTOR {
                self.rebuild();
            }
        }
    }

    /// Leaves only the entries that are armed.
    fn rebuild(&mut self) {
        let Self { heap, connections, sessions, .. } = self;
        heap.retain(|Reverse((at, key))| {
            let armed = match key {
                TimerKey::Connection(index) => connections[*index as usize],
                TimerKey::Session(index) => sessions[*index as usize],
            };
            armed == *at
        });
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Somebody whose deadline has come; to be called until there is none.
    pub(crate) fn pop(&mut self, now: Time) -> Option<TimerKey> {
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let armed = self.slot(key);
            if *armed == at {
                *armed = NEVER;
                self.armed -= 1;
                return Some(key);
            }
        }
        None
    }

    fn slot(&mut self, key: TimerKey) -> &mut Time {
        let (slots, index) = match key {
            TimerKey::Connection(index) => (&mut self.connections, index as usize),
            TimerKey::Session(index) => (&mut self.sessions, index as usize),
        };
        if index >= slots.len() {
            slots.resize(index + 1, NEVER);
        }
        &mut slots[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_entry_however_often_its_deadline_moves_later() {
        let mut timers = Timers::default();
        for at in 5..100 {
            timers.arm(TimerKey::Connection(1), Time::from_micros(at));
        }
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(timers.pop(Time::from_micros(4)), None);
        assert_eq!(timers.pop(Time::from_micros(5)), Some(TimerKey::Connection(1)));
        assert_eq!(timers.pop(Time::from_micros(500)), None);
    }

    #[test]
    fn deadlines_that_move_earlier_leave_few_entries_behind() {
        let mut timers = Timers::default();
        for at in (1..10_000).rev() {
            timers.arm(TimerKey::Session(1), Time::from_micros(at));
        }
        assert!(timers.heap.len() <= 8, "{}", timers.heap.len());
        assert_eq!(timers.pop(Time::from_micros(1)), Some(TimerKey::Session(1)));
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let mut timers = Timers::default();
        timers.arm(TimerKey::Session(0), Time::from_micros(9));
        timers.arm(TimerKey::Session(0), Time::from_micros(3));
        assert_eq!(timers.next(), Some(Time::from_micros(3)));
        assert_eq!(timers.pop(Time::from_micros(20)), Some(TimerKey::Session(0)));
        assert_eq!(timers.pop(Time::from_micros(20)), None);
    }
}
