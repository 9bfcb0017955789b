//! What the threads of a run share: the ledger, the stage of the run, the faults seen so far.
//!
//! Never: a lock held while waiting for the broker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::judge::Fault;
use super::ledger::Ledger;
use super::wire::Lost;

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Messages are published, the broker is killed.
    Storm = 0,
    /// Nothing new is published; everybody is online.
    Calm = 1,
    /// Over.
    End = 2,
}

/// The world of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) port: u16,
    ledger: Mutex<Ledger>,
    faults: Mutex<Vec<Fault>>,
    stage: AtomicU32,
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
            stage: AtomicU32::new(0),
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
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Storm,
            1 => Stage::Calm,
            _ => Stage::End,
        }
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u32, Ordering::Release);
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

    /// Lets time pass while the storm lasts.
    pub(crate) fn rest(&self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until && self.stage() == Stage::Storm {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
