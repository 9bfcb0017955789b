//! Answers of a service, kept for a while.
//!
//! In:    a request and its answer.
//! Out:   the answer to the same request.
//! Never: the request itself, which holds a password: its HMAC under a key that dies with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use ring::rand::SystemRandom;

use crate::identity::secret::NoRandomness;

pub(super) type Key = [u8; 32];

pub(super) struct Cache<T> {
    hmac: hmac::Key,
    entries_maximum: usize,
    entries: Mutex<Entries<T>>,
}

struct Entries<T> {
    /// By key: until when, and what.
    answers: HashMap<Key, (Instant, T)>,
    /// The keys, oldest first; each is there once.
    order: VecDeque<Key>,
}

impl<T: Clone> Cache<T> {
    /// At most so many answers.
    pub(super) fn new(entries_maximum: usize) -> Result<Self, NoRandomness> {
        let hmac = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        let entries = Mutex::new(Entries { answers: HashMap::new(), order: VecDeque::new() });
        Ok(Self { hmac, entries_maximum, entries })
    }

    pub(super) fn key(&self, request: &[u8]) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.hmac, request).as_ref());
        key
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<T> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = entries.answers.get(key)?;
        (now < *until).then(|| answer.clone())
    }

    pub(super) fn put(&self, key: Key, answer: T, time: Duration, now: Instant) {
        if time.is_zero() || self.entries_maximum == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.answers.insert(key, (now + time, answer)).is_none() {
            entries.order.push_back(key);
        }
        while entries.order.len() > self.entries_maximum {
            if let Some(oldest) = entries.order.pop_front() {
                entries.answers.remove(&oldest);
            }
        }
    }

    pub(super) fn clear(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.answers.clear();
        entries.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_is_kept_for_its_time() {
        let (cache, now) = (Cache::new(2).unwrap(), Instant::now());
        let key = cache.key(b"amy");

        cache.put(key, 1, SECOND, now);

        assert_eq!(cache.get(&key, now), Some(1));
        assert_eq!(cache.get(&cache.key(b"bob"), now), None);
        assert_eq!(cache.get(&key, now + SECOND), None);
        cache.put(key, 2, Duration::ZERO, now);
        assert_eq!(cache.get(&key, now), Some(1));
    }

    #[test]
    fn the_oldest_makes_room() {
        let (cache, now) = (Cache::new(2).unwrap(), Instant::now());
        let keys = [b"a", b"b", b"c"].map(|request| cache.key(request));

        for (answer, key) in keys.into_iter().enumerate() {
            cache.put(key, answer, SECOND, now);
            cache.put(key, answer, SECOND, now);
        }

        assert_eq!(keys.map(|key| cache.get(&key, now)), [None, Some(1), Some(2)]);
        cache.clear();
        assert_eq!(keys.map(|key| cache.get(&key, now)), [None; 3]);
    }

    #[test]
    fn another_process_has_other_keys() {
        let (one, other) = (Cache::<u8>::new(1).unwrap(), Cache::<u8>::new(1).unwrap());

        assert_ne!(one.key(b"a"), other.key(b"a"));
    }
}
