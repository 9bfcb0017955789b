//! A circuit breaker: a service that does not answer is left alone for a while.
//!
//! In:    whether each request was answered.
//! Out:   whether to ask at all.
//! Never: more than one request at a time after a rest, until one is answered.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a service is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Requests without an answer, one after the other, that lead to a rest. 5.
    pub failures: u32,
    /// The first rest; each that follows without an answer between is twice as long. 1 s.
    pub rest: Duration,
    /// The longest rest. 30 s.
    pub rest_maximum: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        let (rest, rest_maximum) = (Duration::from_secs(1), Duration::from_secs(30));
        Self { failures: 5, rest, rest_maximum }
    }
}

#[derive(Debug)]
pub(crate) struct Breaker {
    limits: BreakerLimits,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Requests pass; so many had no answer.
    Closed { failures: u32 },
    /// None passes until then.
    Open { until: Instant, rest: Duration },
    /// One passed, and its answer decides; after `until` another may try, in case nobody ever tells.
    Trying { until: Instant, rest: Duration },
}

impl Breaker {
    pub(crate) fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether to ask now. Who is told to do so tells how it went.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => true,
            State::Open { until, rest } | State::Trying { until, rest } if now >= until => {
                *state = State::Trying { until: now + self.limits.rest_maximum, rest };
                true
            }
            State::Open { .. } | State::Trying { .. } => false,
        }
    }

    pub(crate) fn answered(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed { failures: 0 };
    }

    /// Gives how long the service is left alone, if this was one too many.
    pub(crate) fn failed(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = match *state {
            State::Closed { failures } if failures + 1 < self.limits.failures => {
                *state = State::Closed { failures: failures + 1 };
                return None;
            }
            State::Closed { .. } => self.limits.rest,
            // A request from before the rest.
            State::Open { .. } => return None,
            State::Trying { rest, .. } => (rest * 2).min(self.limits.rest_maximum),
        };
        *state = State::Open { until: now + rest, rest };
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open(now: Instant) -> Breaker {
        let breaker = Breaker::new(BreakerLimits::default());
        for _ in 0..5 {
            assert!(breaker.may_ask(now));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn some_failures_in_a_row_lead_to_a_rest() {
        let now = Instant::now();
        let breaker = open(now);

        assert!(!breaker.may_ask(now));
        assert!(breaker.may_ask(now + SECOND));
    }

    #[test]
    fn an_answer_between_forgets_the_failures() {
        let (breaker, now) = (Breaker::new(BreakerLimits::default()), Instant::now());
        for _ in 0..4 {
            breaker.failed(now);
        }
        breaker.answered();

        assert_eq!(breaker.failed(now), None);
        assert!(breaker.may_ask(now));
    }

    #[test]
    fn after_a_rest_one_asks_and_its_answer_decides() {
        let now = Instant::now();
        let breaker = open(now);

        assert!(breaker.may_ask(now + SECOND) && !breaker.may_ask(now + SECOND));
        assert_eq!(breaker.failed(now + SECOND), Some(2 * SECOND));
        assert!(!breaker.may_ask(now + 2 * SECOND));
        assert!(breaker.may_ask(now + 3 * SECOND));
        breaker.answered();
        assert!(breaker.may_ask(now + 3 * SECOND) && breaker.may_ask(now + 3 * SECOND));
    }

    #[test]
    fn rests_grow_up_to_the_longest() {
        let mut now = Instant::now();
        let breaker = open(now);
        now += SECOND;
        let mut rests = Vec::new();

        for _ in 0..6 {
            assert!(breaker.may_ask(now));
            let rest = breaker.failed(now).unwrap();
            rests.push(rest.as_secs());
            now += rest;
        }

        assert_eq!(rests, [2, 4, 8, 16, 30, 30]);
    }
}
