//! Which shard is home to a Session, a retained message or a shared group.
//!
//! The hash is part of the format of data that outlives a process: it must never change, on any machine.

use crate::connect::TENANT;

/// One of the 256 logical partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

/// A shard of this process: an engine on a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u8);

/// Which shards a message concerns; bit n is shard n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

/// The shards of a process and the partitions each is home to: partition p lives on shard p modulo their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMap {
    count: u8,
}

impl Partition {
    /// FNV-1a (64 bit) over `parts`, each followed by a zero byte, which no part contains; folded to 8 bits.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in parts {
            for byte in part.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        let folded = hash ^ (hash >> 32);
        let folded = folded ^ (folded >> 16);
        Self(((folded ^ (folded >> 8)) & 0xff) as u8)
    }

    /// The partition of a Session.
    #[must_use]
    pub fn of_session(tenant: &str, client_id: &str) -> Self {
        Self::of(&[tenant, client_id])
    }

    /// The partition of a Client's Session.
    #[must_use]
    pub fn of_client(client_id: &str) -> Self {
        Self::of_session(TENANT, client_id)
    }

    /// The partition of the retained message of a topic.
    #[must_use]
    pub fn of_topic(topic: &str) -> Self {
        Self::of(&[topic])
    }
}

impl Partition {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// From 0 to 255.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
}

impl From<u8> for Partition {
    fn from(index: u8) -> Self {
        Self(index)
    }
}

impl ShardId {
    /// The shard that comes first, which also does what only one may do.
    pub const FIRST: Self = Self(0);

    /// `None` beyond [`ShardMap::MAX`].
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|index| usize::from(*index) < ShardMap::MAX).map(Self)
    }

    /// Counted from zero.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ShardMap {
    /// Most shards of a process, set by the width of [`ShardSet`].
    pub const MAX: usize = 64;

    /// `None` for zero and beyond [`Self::MAX`].
    #[must_use]
    pub fn new(count: usize) -> Option<Self> {
        u8::try_from(count)
            .ok()
            .filter(|count| (1..=Self::MAX).contains(&usize::from(*count)))
            .map(|count| Self { count })
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> usize {
        self.count as usize
    }

    /// Home of a partition.
    #[must_use]
    pub const fn home(self, partition: Partition) -> ShardId {
        ShardId(partition.0 % self.count)
    }

    /// Home of a partition of the log, of which each of ours has two (see [`crate::JOURNAL_PARTITIONS`]).
    #[must_use]
    pub const fn home_of_log(self, partition: u16) -> ShardId {
        self.home(Partition(partition.to_le_bytes()[0]))
    }

    /// All shards.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        (0..self.count).map(ShardId)
    }
}

impl ShardSet {
    /// No shard.
    pub const EMPTY: Self = Self(0);

    /// Adds one.
    pub const fn insert(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    /// Takes one away.
    pub const fn remove(&mut self, shard: ShardId) {
        self.0 &= !(1 << shard.0);
    }

    /// Is it among them?
    #[must_use]
    pub const fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lowest = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            u8::try_from(lowest).ok().map(ShardId)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are part of the on-disk format: this test must never be changed.
    #[test]
    fn the_hash_gives_the_same_partitions_for_ever() {
        let of = |id: &str| Partition::of_session("", id).0;
        assert_eq!([of(""), of("a"), of("sensor-1"), of("sensor-2"), of("Größe")], [104, 189, 167, 33, 52]);
    }

    #[test]
    fn a_set_lists_its_shards_in_order() {
        let mut set = ShardSet::EMPTY;
        for index in [63, 0, 5] {
            set.insert(ShardId::new(index).unwrap());
        }
        assert_eq!(set.iter().map(ShardId::index).collect::<Vec<_>>(), [0, 5, 63]);
    }
}
