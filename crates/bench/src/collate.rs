//! What the threads left behind, put together.

use std::sync::PoisonError;

use crate::actors::Group;
use crate::check::{Checker, Faults};
use crate::handle::Role;
use crate::histogram::Histogram;
use crate::subscriber::Ledger;
use crate::worker::Outcome;

/// All threads' accounts.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) latency: Histogram,
    pub(crate) wait: Histogram,
    /// Messages sent in each stream.
    pub(crate) sent: Vec<u64>,
    checkers: Vec<Checker>,
    group: Option<Group>,
}

impl Account {
    pub(crate) fn new(streams: usize, group: Option<Group>) -> Self {
        Self { sent: vec![0; streams], group, ..Self::default() }
    }

    /// Takes what a crew left behind.
    pub(crate) fn take(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.latency.add(&outcome.latency);
            self.wait.add(&outcome.wait);
            for actor in outcome.actors {
                match actor.role {
                    Role::Publisher(publisher) => {
                        for stream in &publisher.streams {
                            self.sent[stream.id as usize] += stream.sent;
                        }
                    }
                    Role::Subscriber(subscriber) => {
                        // A group's account is counted once.
                        if let Ledger::Own(checker) = subscriber.into_ledger() {
                            self.checkers.push(checker);
                        }
                    }
                    Role::Idle | Role::Storm { .. } => {}
                }
            }
        }
    }

    /// What went wrong.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for checker in &self.checkers {
            faults.add(checker.finish(&self.sent));
        }
        if let Some(group) = &self.group {
            faults.add(group.lock().unwrap_or_else(PoisonError::into_inner).finish(&self.sent));
        }
        faults
    }
}
