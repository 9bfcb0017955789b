//! Decisions in a ring: the newest are kept, equal ones that follow each other counted.

use super::entry::{Decision, Entry, What};
use super::text::{Text, Texts};
use crate::map::{Map, seeded};
use crate::time::Time;

/// Equal decisions count as one for this long.
const MERGED_MICROS: u64 = 10_000_000;
/// Kinds of decisions that are looked for before another entry is made.
const RECENT: usize = 256;

/// The newest decisions of a kind.
#[derive(Debug)]
pub(super) struct Ring {
    entries: Vec<Entry>,
    capacity: usize,
    /// Entries made so far.
    made: u64,
    texts: Texts,
    /// By hash: the number of the last entry.
    recent: Vec<u64>,
    /// Only its hash function is used.
    hasher: Map<(), ()>,
}

impl Ring {
    /// Takes at most so many bytes, and none before the first decision.
    pub(super) fn new(bytes: usize, seed: u64) -> Self {
        let capacity = bytes * 5 / 8 / size_of::<Entry>();
        let texts = Texts::new(bytes - capacity * size_of::<Entry>());
        Self { entries: Vec::new(), capacity, made: 0, texts, recent: Vec::new(), hasher: seeded(seed) }
    }

    pub(super) fn hash(&self, text: &str) -> u32 {
        use std::hash::BuildHasher;
        // The low half will do.
        (self.hasher.hasher().hash_one(text) & 0xffff_ffff) as u32
    }

    /// Adds a decision. `merges`: it may count as another of the same.
    pub(super) fn add(
        &mut self,
        now: Time,
        (client, topic): (&str, &str),
        what: What,
        message: u32,
        merges: bool,
    ) {
        if self.capacity == 0 {
            return;
        }
        if self.recent.is_empty() {
            self.recent = vec![u64::MAX; RECENT];
            self.entries.reserve_exact(self.capacity);
        }
        let (client_hash, topic_hash) = (self.hash(client), self.hash(topic));
        let place = (client_hash ^ topic_hash.rotate_left(7)) as usize % RECENT;
        if merges && let Some(same) = self.same(place, now, (client_hash, topic_hash), what) {
            same.count = same.count.saturating_add(1);
            same.until = now;
            return;
        }
        let client = self.texts.keep(client, client_hash);
        let topic = self.texts.keep(topic, topic_hash);
        let entry = Entry { at: now, until: now, count: 1, message, client, topic, what };
        self.recent[place] = self.made;
        if self.entries.len() < self.capacity {
            self.entries.push(entry);
        } else {
            let at = self.place(self.made);
            self.entries[at] = entry;
        }
        self.made += 1;
    }

    fn same(&mut self, place: usize, now: Time, hashes: (u32, u32), what: What) -> Option<&mut Entry> {
        let number = self.recent[place];
        if number == u64::MAX || self.made - number > self.entries.len() as u64 {
            return None;
        }
        let at = self.place(number);
        let entry = self.entries.get_mut(at)?;
        let is_same = entry.what == what
            && (entry.client.hash, entry.topic.hash) == hashes
            && entry.message == 0
            && now.as_micros() - entry.at.as_micros() < MERGED_MICROS;
        is_same.then_some(entry)
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.capacity as u64).unwrap_or_default()
    }

    /// The newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let first = self.made - self.entries.len() as u64;
        (first..self.made).rev().map(|number| &self.entries[self.place(number)])
    }

    /// From when on everything is here; `None` where nothing was ever lost.
    pub(super) fn reaches_back_to(&self) -> Option<Time> {
        let oldest = self.newest_first().last()?;
        (self.made > self.entries.len() as u64).then_some(oldest.at)
    }

    pub(super) fn text(&self, text: Text) -> Option<&str> {
        self.texts.get(text)
    }

    /// An entry with its texts; `None` where they are gone.
    pub(super) fn told(&self, entry: &Entry) -> Option<Decision> {
        let Entry { at, until, count, message, what, .. } = *entry;
        let client = self.text(entry.client)?.into();
        let topic = self.text(entry.topic)?.into();
        Some(Decision { at, until, count, message, client, topic, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Drop;

    const DROPPED: What = What::Dropped(Drop::Offline);

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn told(ring: &Ring) -> Vec<(u64, u32, Box<str>)> {
        let told = ring.newest_first().filter_map(|entry| ring.told(entry));
        told.map(|told| (told.at.as_micros() / 1_000_000, told.count, told.topic)).collect()
    }

    #[test]
    fn equal_decisions_are_counted_and_others_kept_apart() {
        let mut ring = Ring::new(64 * 1024, 1);
        for second in 0..15 {
            ring.add(at(second), ("c", "t"), DROPPED, 0, true);
        }
        ring.add(at(15), ("c", "u"), DROPPED, 0, true);
        ring.add(at(15), ("d", "t"), DROPPED, 0, true);
        ring.add(at(15), ("d", "t"), What::Dropped(Drop::Expired), 0, true);
        ring.add(at(16), ("d", "t"), DROPPED, 0, false);
        let counts: Vec<_> = told(&ring).into_iter().map(|(at, count, _)| (at, count)).collect();
        assert_eq!(counts, [(16, 1), (15, 1), (15, 1), (15, 1), (10, 5), (0, 10)]);
    }

    #[test]
    fn the_oldest_make_room_and_it_is_known_how_far_it_reaches() {
        let mut ring = Ring::new(8 * 1024, 1);
        ring.add(at(0), ("c", "first"), DROPPED, 0, true);
        assert_eq!(ring.reaches_back_to(), None);
        for second in 1..=1000 {
            ring.add(at(second), ("c", &format!("topic-{second}")), DROPPED, 0, true);
        }
        let told = told(&ring);
        assert_eq!(told[0], (1000, 1, "topic-1000".into()));
        assert!((32..=80).contains(&told.len()), "{}", told.len());
        assert!(ring.reaches_back_to().is_some_and(|oldest| oldest > at(900)));
    }

    #[test]
    fn a_ring_of_nothing_keeps_nothing() {
        let mut ring = Ring::new(0, 1);
        ring.add(at(0), ("c", "t"), DROPPED, 0, true);
        assert_eq!(told(&ring), []);
    }
}
