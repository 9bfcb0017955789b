//! How many connections the process has and may have, over all shards.
//!
//! In:    newcomers, connections that are gone.
//! Out:   whether a newcomer may stay.
//! Never: counts a connection twice: one that moves to another shard, or lingers, keeps its place.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is no connection: logs, listeners, the store; and for each shard its poll, its
/// waker, its spare one and its listeners.
const RESERVE: u64 = 64;
const RESERVE_PER_SHARD: u64 = 16;

/// The count and its bound.
#[derive(Debug)]
pub(crate) struct Admissions {
    open: AtomicUsize,
    maximum: AtomicUsize,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    /// What the open-file limit leaves for connections.
    ceiling: usize,
}

impl Admissions {
    /// Raises the limit of open files as far as the process may, and takes it as the ceiling.
    pub(crate) fn new(setting: u32, shards: usize) -> io::Result<Self> {
        let reserve = RESERVE + RESERVE_PER_SHARD * shards as u64;
        let ceiling = raise_descriptor_limit()?.saturating_sub(reserve).max(1);
        let ceiling = usize::try_from(ceiling).unwrap_or(usize::MAX);
        Ok(Self::with_ceiling(setting, ceiling))
    }

    fn with_ceiling(setting: u32, ceiling: usize) -> Self {
        let admissions = Self {
            open: AtomicUsize::new(0),
            maximum: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            ceiling,
        };
        admissions.set_maximum(setting);
        admissions
    }

    /// `limits.connections_maximum`: 0 is as many as there can be.
    pub(crate) fn set_maximum(&self, setting: u32) {
        let maximum = if setting == 0 { self.ceiling } else { self.ceiling.min(setting as usize) };
        self.maximum.store(maximum, Ordering::Relaxed);
    }

    /// Takes a place for a newcomer; false, and counted, where none is free.
    pub(crate) fn admit(&self) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.maximum.load(Ordering::Relaxed) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.turn_away();
            return false;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Counts a newcomer that was closed at once for want of descriptors or memory.
    pub(crate) fn turn_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Frees the place of a connection that is closed.
    pub(crate) fn release(&self) {
        let before = self.open.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a connection was released that was never admitted");
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// The limit of open files, after raising the soft one to the hard one.
fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_beyond_the_maximum_is_turned_away_and_counted_until_one_leaves() {
        let admissions = Admissions::with_ceiling(2, 100);
        assert!(admissions.admit());
        assert!(admissions.admit());
        assert!(!admissions.admit());
        assert_eq!((admissions.open(), admissions.accepted(), admissions.turned_away()), (2, 2, 1));

        admissions.release();
        assert!(admissions.admit());
    }

    #[test]
    fn no_setting_exceeds_what_the_process_may_open() {
        let admissions = Admissions::with_ceiling(0, 1);
        assert!(admissions.admit());
        assert!(!admissions.admit());
        admissions.set_maximum(50);
        assert!(!admissions.admit());
    }
}
