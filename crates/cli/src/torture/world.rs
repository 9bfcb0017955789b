//! What the threads of a run share: the ledger, the stage of the run, the faults seen so far.
//!
//! Never: a lock held while waiting for the broker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::judge::Fault;
use super::ledger::Ledger;
use super::wire::Lost;

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Messages are published, the broker is killed.
    Storm,
    /// Nothing new is published; everybody is online.
    Calm,
    /// Over.
    End,
}

/// The world of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) port: u16,
    ledger: Mutex<Ledger>,
    faults: Mutex<Vec<Fault>>,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// Starts of the broker so far.
    starts: AtomicU32,
    /// Messages that came to subscribers, for the first time or again.
    deliveries: AtomicU64,
}

impl World {
    pub(crate) fn new(port: u16, ledger: Ledger) -> Self {
        Self {
            port,
            ledger: Mutex::new(ledger),
            faults: Mutex::default(),
            stage: Mutex::new(Stage::Storm),
            changed: Condvar::new(),
            starts: AtomicU32::new(0),
            deliveries: AtomicU64::new(0),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(crate) fn take_faults(&self) -> Vec<Fault> {
        std::mem::take(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.changed.notify_all();
    }

    pub(crate) fn started(&self) {
        self.starts.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn starts(&self) -> u32 {
        self.starts.load(Ordering::Acquire)
    }

    pub(crate) fn delivered(&self) {
        self.deliveries.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Acquire)
    }

    /// Takes note of the end of a client's connection, where it is not one that a kill explains.
    pub(crate) fn lost(&self, client: &str, lost: Lost) {
        let client = client.to_owned();
        match lost {
            Lost::Gone => {}
            Lost::Refused(reason) => self.fault(Fault::RefusedClient { client, reason }),
            Lost::Protocol(what) => self.fault(Fault::Protocol { client, what }),
        }
    }

    /// Lets time pass, but no longer than the stage lasts.
    pub(crate) fn rest(&self, span: Duration) {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let now = *stage;
        drop(self.changed.wait_timeout_while(stage, span, |stage| *stage == now));
    }
}
