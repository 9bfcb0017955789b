//! QoS 2 receiver: which Packet Identifiers of the Client are between PUBLISH and PUBREL.
//!
//! Never: memory for identifiers that are not used: a page of 1,024 identifiers costs 128 bytes.
//! Spec:  MQTT 5.0 section 4.3.3.

use dunlin_codec::PacketId;

const PAGES: usize = 64;
const WORDS: usize = 16;

/// A set of Packet Identifiers.
#[derive(Debug, Default)]
pub(crate) struct ReceivedIds {
    pages: Vec<Option<Box<[u64; WORDS]>>>,
    len: u16,
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

    /// How many there are.
    pub(crate) fn len(&self) -> u16 {
        self.len
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
        assert!(all().all(|id| !ids.insert(id) && ids.contains(id)));
        assert!(all().all(|id| ids.remove(id) && !ids.contains(id) && !ids.remove(id)));
        assert_eq!(ids.len(), 0);
    }
}
