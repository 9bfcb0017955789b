//! What the records of a file add up to, and where its messages lie.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::PacketId;

use super::encode::{self, Entry};
use crate::session::{Left, Record, Remains};

/// Where a body lies in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) len: usize,
}

#[derive(Debug)]
struct Known {
    place: Place,
    packet_id: Option<PacketId>,
    released: bool,
}

/// Messages that are not done, and identifiers that are taken.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: BTreeMap<u64, Known>,
    taken: BTreeSet<PacketId>,
    bytes: u64,
}

/// What a new file needs.
pub(crate) enum Live {
    Message(Place),
    Small(Record),
}

/// Bytes of the small records that can follow a message.
const SMALL: u64 = 40;

impl Ledger {
    pub(crate) fn apply(&mut self, entry: &Entry, place: Place) {
        match *entry {
            Entry::Queued { key } => {
                self.bytes += place.len as u64 + SMALL;
                self.messages.insert(key, Known { place, packet_id: None, released: false });
            }
            Entry::Sent { key, packet_id } => {
                if let Some(known) = self.messages.get_mut(&key) {
                    known.packet_id = Some(packet_id);
                }
            }
            Entry::Released { key } => {
                if let Some(known) = self.messages.get_mut(&key) {
                    known.released = true;
                }
            }
            Entry::Done { key } => {
                if let Some(known) = self.messages.remove(&key) {
                    self.bytes -= known.place.len as u64 + SMALL;
                }
            }
            Entry::Taken { packet_id } => _ = self.taken.insert(packet_id),
            Entry::Freed { packet_id } => _ = self.taken.remove(&packet_id),
            Entry::NewSession => {
                self.taken.clear();
                self.messages.values_mut().for_each(|known| known.packet_id = None);
            }
        }
    }

    /// What a new file would have, at most.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.taken.len() as u64 * SMALL
    }

    /// Each message, what is known of it, and the identifiers that are taken.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Live> {
        let messages = self.messages.iter().flat_map(|(&key, known)| {
            let sent = known.packet_id.map(|packet_id| Live::Small(Record::Sent { key, packet_id }));
            let released = known.released.then_some(Live::Small(Record::Released { key }));
            [Some(Live::Message(known.place)), sent, released].into_iter().flatten()
        });
        messages.chain(self.taken.iter().map(|&packet_id| Live::Small(Record::Taken { packet_id })))
    }

    /// With the messages, from the file's bytes.
    pub(crate) fn remains(&self, file: &[u8]) -> Remains {
        let messages = self.messages.iter().filter_map(|(&key, known)| {
            let at = usize::try_from(known.place.at).ok()?;
            let (expires_at, message) = encode::read_message(file.get(at..at + known.place.len)?)?;
            Some(Left { key, expires_at, message, packet_id: known.packet_id, released: known.released })
        });
        Remains { messages: messages.collect(), taken: self.taken.iter().copied().collect() }
    }
}
