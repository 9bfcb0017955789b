//! QoS 2 receiver: which Packet Identifiers of the Client are between PUBLISH and PUBREL.
//!
//! Never: memory for identifiers that are not used: a page of 1,024 identifiers costs 128 bytes.
//! Spec:  MQTT 5.0 section 4.3.3.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::PacketId;

use crate::partition::ShardSet;

const PAGES: usize = 64;
const WORDS: usize = 16;

/// A set of Packet Identifiers.
#[derive(Debug, Default)]
pub(crate) struct ReceivedIds {
    pages: Vec<Option<Box<[u64; WORDS]>>>,
    len: u16,
    /// Those whose message is not safe yet: after a crash the Client has to send it again.
    unsure: BTreeSet<u16>,
    /// Those whose message only memory has: no restart must know them.
    memory: BTreeSet<u16>,
    /// Other shards that the message went to.
    remote: BTreeMap<u16, ShardSet>,
}

impl ReceivedIds {
    /// False where it was there already: this PUBLISH is a repetition [MQTT-4.3.3-10].
    pub(crate) fn insert(&mut self, id: PacketId) -> bool {
        if self.pages.is_empty() {
            self.pages.resize_with(PAGES, || None);
        }
        let (page, word, bit) = place(id);
        let word = &mut self.pages[page].get_or_insert_default()[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += u16::from(is_new);
        is_new
    }

    /// Is the identifier in use?
    pub(crate) fn contains(&self, id: PacketId) -> bool {
        let (page, word, bit) = place(id);
        self.pages.get(page).and_then(Option::as_ref).is_some_and(|page| page[word] & bit != 0)
    }

    /// False where it was not there.
    pub(crate) fn remove(&mut self, id: PacketId) -> bool {
        let (page, word, bit) = place(id);
        let Some(Some(page)) = self.pages.get_mut(page) else { return false };
        let was_there = page[word] & bit != 0;
        page[word] &= !bit;
        self.len -= u16::from(was_there);
        was_there
    }

    /// Its message went to other shards and is not safe yet.
    pub(crate) fn set_unsure(&mut self, id: PacketId, remote: ShardSet) {
        self.unsure.insert(id.get());
        if !remote.is_empty() {
            self.remote.insert(id.get(), remote);
        }
    }

    /// Its message is kept in memory, and it with it.
    pub(crate) fn set_memory(&mut self, id: PacketId) {
        self.unsure.insert(id.get());
        self.memory.insert(id.get());
    }

    /// Is its message kept in memory?
    pub(crate) fn is_memory(&self, id: PacketId) -> bool {
        self.memory.contains(&id.get())
    }

    /// The same, and it is forgotten.
    pub(crate) fn take_memory(&mut self, id: PacketId) -> bool {
        let was_there = self.memory.remove(&id.get());
        if was_there {
            self.unsure.remove(&id.get());
        }
        was_there
    }

    /// Its message is safe.
    pub(crate) fn set_sure(&mut self, id: PacketId) {
        if !self.is_memory(id) {
            self.unsure.remove(&id.get());
        }
    }

    /// The other shards that the message went to, to be told that it was released.
    pub(crate) fn take_remote(&mut self, id: PacketId) -> ShardSet {
        self.unsure.remove(&id.get());
        self.remote.remove(&id.get()).unwrap_or(ShardSet::EMPTY)
    }

    /// What a restart must know, ascending.
    pub(crate) fn sure(&self) -> Vec<u64> {
        self.iter().map(PacketId::get).filter(|id| !self.unsure.contains(id)).map(u64::from).collect()
    }

    /// All of them, ascending. What it costs depends on how many there are, not on how many there could be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PacketId> {
        let pages = self.pages.iter().enumerate().filter_map(|(page, words)| Some((page, words.as_ref()?)));
        let words = pages.flat_map(|(page, words)| {
            words.iter().enumerate().map(move |(word, bits)| (page << 10 | word << 6, *bits))
        });
        words.flat_map(|(base, mut bits)| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.checked_sub(1)?;
                u16::try_from(base | bit).ok().and_then(PacketId::new)
            })
        })
    }

    /// The other shards that the message went to, as far as is known.
    pub(crate) fn remote(&self, id: PacketId) -> ShardSet {
        self.remote.get(&id.get()).copied().unwrap_or(ShardSet::EMPTY)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u16 {
        self.len
    }
}

impl FromIterator<u64> for ReceivedIds {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut received = Self::default();
        for id in ids {
            if let Some(id) = u16::try_from(id).ok().and_then(PacketId::new) {
                received.insert(id);
            }
        }
        received
    }
}

fn place(id: PacketId) -> (usize, usize, u64) {
    let id = usize::from(id.get());
    (id >> 10, id >> 6 & (WORDS - 1), 1 << (id & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_is_remembered_by_itself() {
        let mut ids = ReceivedIds::default();
        let all = || (1..=u16::MAX).filter_map(PacketId::new);
        assert!(all().all(|id| ids.insert(id)));
        assert_eq!(ids.len(), u16::MAX);
        assert!(ids.iter().eq(all()));
        assert!(all().all(|id| !ids.insert(id) && ids.contains(id)));
        assert!(all().all(|id| ids.remove(id) && !ids.contains(id) && !ids.remove(id)));
        assert_eq!((ids.len(), ids.iter().next()), (0, None));
    }
}
