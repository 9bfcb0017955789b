//! Who wants one filter. Most filters are wanted by one Session, or by one other shard: they need no more than 12 bytes.

use dunlin_codec::SubscriptionOptions;
use smallvec::SmallVec;

use crate::partition::{ShardId, ShardSet};

/// A Session's Subscription to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    /// Slot of the Session.
    pub(crate) session: u32,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, of 28 bits, below [`FILTERED`].
    bits: u32,
}

/// The policy of the Session is asked about each topic.
const FILTERED: u32 = 1 << 31;

/// Who wants one filter, lent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants<'a> {
    /// Ascending by Session.
    pub(crate) local: &'a [Subscriber],
    /// Shared groups homed here.
    pub(crate) groups: &'a [u32],
    /// Other shards with somebody who wants it.
    pub(crate) remote: ShardSet,
}

/// The same as it is kept where there are several.
#[derive(Debug, Default)]
pub(super) struct Several {
    pub(super) local: SmallVec<[Subscriber; 1]>,
    pub(super) groups: SmallVec<[u32; 2]>,
    pub(super) remote: ShardSet,
}

/// The same as it is kept with a filter: by whom it is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Wanted {
    #[default]
    Nobody,
    Session(Subscriber),
    Shard(ShardId),
    /// Their place among those with several.
    Several(u32),
}

impl Subscriber {
    /// `identifier`: 0 for none.
    pub(crate) fn new(session: u32, options: SubscriptionOptions, identifier: u32, filtered: bool) -> Self {
        Self { session, options, bits: identifier & !FILTERED | if filtered { FILTERED } else { 0 } }
    }

    /// Subscription Identifier; 0: none.
    #[inline]
    pub(crate) const fn identifier(&self) -> u32 {
        self.bits & !FILTERED
    }

    /// Is the policy of the Session asked about each topic?
    #[inline]
    pub(crate) const fn is_filtered(&self) -> bool {
        self.bits & FILTERED != 0
    }
}

impl Wants<'_> {
    pub(super) const NOBODY: Self = Self { local: &[], groups: &[], remote: ShardSet::EMPTY };

    /// Does anybody of this shard want it?
    pub(super) const fn is_wanted_here(&self) -> bool {
        !self.local.is_empty() || !self.groups.is_empty()
    }
}

impl Several {
    pub(super) fn lend(&self) -> Wants<'_> {
        Wants { local: &self.local, groups: &self.groups, remote: self.remote }
    }

    /// In the smallest form; `None` where there are several.
    pub(super) fn simply(&self) -> Option<Wanted> {
        let mut shards = self.remote.iter();
        match (&self.local[..], &self.groups[..], shards.next(), shards.next()) {
            ([], [], None, None) => Some(Wanted::Nobody),
            ([subscriber], [], None, None) => Some(Wanted::Session(*subscriber)),
            ([], [], Some(shard), None) => Some(Wanted::Shard(shard)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million filters are kept by every shard that has to do with them.
    #[test]
    fn whoever_wants_a_filter_is_kept_in_twelve_bytes() {
        assert_eq!(size_of::<Wanted>(), 12);
        let filtered = Subscriber::new(7, SubscriptionOptions::default(), 268_435_455, true);
        assert_eq!((filtered.identifier(), filtered.is_filtered()), (268_435_455, true));
        let plain = Subscriber::new(7, SubscriptionOptions::default(), 0, false);
        assert_eq!((plain.identifier(), plain.is_filtered()), (0, false));
    }
}
