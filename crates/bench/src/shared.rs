//! What the threads of a run know of each other: how far it is, and how much has happened.

use std::sync::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};

use crate::clock::Nanos;

/// Messages about faults that are kept.
const ERRORS: usize = 10;

/// How far a run is. Everybody goes through these in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connections are opened.
    Connect = 0,
    /// Subscriptions are made.
    Subscribe = 1,
    /// Messages flow.
    Flow = 2,
    /// No new ones; what is under way arrives.
    Drain = 3,
    /// Everybody disconnects.
    End = 4,
}

/// A number that all threads add to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that the broker accepted.
    pub(crate) connected: Count,
    /// Filters that the broker granted.
    pub(crate) subscribed: Count,
    /// Messages written by publishers.
    pub(crate) sent: Count,
    /// Of them, those whose exchange is complete (QoS 1 and 2).
    pub(crate) acknowledged: Count,
    /// Of them, those that the broker refused by Reason Code.
    pub(crate) refused: Count,
    /// Copies that arrived for the first time.
    pub(crate) delivered: Count,
    /// Copies that closed loops no longer wait for.
    pub(crate) given_up: Count,
    /// Messages that were due so far (open loop); what is not sent of them is owed.
    pub(crate) due: Count,
    /// Connections that ended before their time.
    pub(crate) disconnected: Count,
    /// Connections that ended because the run did.
    pub(crate) finished: Count,
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    phase: AtomicU8,
    pub(crate) counts: Counts,
    /// Messages due within these are measured.
    from: AtomicU64,
    until: AtomicU64,
    /// When the last message arrived or was acknowledged.
    last: AtomicU64,
    errors: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Connect as u8),
            counts: Counts::default(),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            errors: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Acquire) {
            0 => Phase::Connect,
            1 => Phase::Subscribe,
            2 => Phase::Flow,
            3 => Phase::Drain,
            _ => Phase::End,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Release);
    }

    /// From this time on messages are measured.
    pub(crate) fn measure_from(&self, now: Nanos) {
        self.from.store(now, Release);
    }

    /// From this time on they are not.
    pub(crate) fn measure_until(&self, now: Nanos) {
        self.until.store(now, Release);
    }

    /// Messages due at these times are measured: first, and one after the last.
    pub(crate) fn window(&self) -> (Nanos, Nanos) {
        (self.from.load(Acquire), self.until.load(Acquire))
    }

    /// A message arrived or was acknowledged.
    pub(crate) fn happened(&self, now: Nanos) {
        self.last.fetch_max(now, Relaxed);
    }

    /// When the last message arrived or was acknowledged; 0 where none did.
    pub(crate) fn last(&self) -> Nanos {
        self.last.load(Relaxed)
    }

    /// Keeps the first few messages about faults.
    pub(crate) fn error(&self, text: String) {
        let mut errors = self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if errors.len() < ERRORS && !errors.contains(&text) {
            errors.push(text);
        }
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
