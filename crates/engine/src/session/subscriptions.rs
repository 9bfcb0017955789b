//! What a Session subscribed to.
//!
//! What it said of a filter is in the tree of filters, with the filter: the Session has the filter's number there. Only the
//! filters of Shared Subscriptions, which are in the tree of their group's shard, are kept here as they were sent.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::{SubscriptionOptions, TopicFilter};

use crate::topic::{FilterId, Subscriber, Tree};

/// One Subscription of a Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) options: SubscriptionOptions,
    /// 0: none.
    pub(crate) identifier: u32,
    /// Each message is asked about.
    pub(crate) filtered: bool,
}

/// A Shared Subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) subscription: Subscription,
    /// Number of its SUBSCRIBE: tells deals because of it from those because of one before.
    pub(crate) joined: u32,
}

/// The Subscriptions of one Session. Most have one, which costs no memory beside the Session's.
#[derive(Debug, Default)]
pub(crate) enum Subscriptions {
    #[default]
    None,
    /// One that is not shared.
    One {
        filter: FilterId,
        has_wildcard: bool,
    },
    Several(Box<Several>),
}

/// Two Subscriptions and more, or a shared one.
#[derive(Debug, Default)]
pub(crate) struct Several {
    /// Those that are not shared, by their filters.
    filters: BTreeSet<FilterId>,
    /// The others, by their filters with `$share/`.
    memberships: BTreeMap<Box<str>, Membership>,
    /// The numbers of these.
    joined: BTreeSet<u32>,
    /// How many of all have wildcards.
    wildcards: u32,
}

/// The Subscriptions of a Session, beside the tree of its shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscribed<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) subscriptions: &'a Subscriptions,
    /// Slot of the Session.
    pub(crate) session: u32,
}

impl From<&Subscriber> for Subscription {
    fn from(subscriber: &Subscriber) -> Self {
        let (identifier, filtered) = (subscriber.identifier(), subscriber.is_filtered());
        Self { options: subscriber.options, identifier, filtered }
    }
}

impl Subscription {
    /// As the tree has it.
    pub(crate) fn of(self, session: u32) -> Subscriber {
        Subscriber::new(session, self.options, self.identifier, self.filtered)
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One { .. } => 1,
            Self::Several(several) => several.filters.len() + several.memberships.len(),
        }
    }

    /// How many have wildcards.
    pub(crate) fn wildcards(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::One { has_wildcard, .. } => u32::from(*has_wildcard),
            Self::Several(several) => several.wildcards,
        }
    }

    /// The tree has a new Subscription of the Session to this filter.
    pub(crate) fn add(&mut self, id: FilterId, filter: TopicFilter<'_>) {
        let has_wildcard = filter.has_wildcard();
        match self {
            Self::None => *self = Self::One { filter: id, has_wildcard },
            Self::One { filter, .. } if *filter == id => {}
            _ => {
                let several = self.several_mut();
                let is_new = several.filters.insert(id);
                several.wildcards += u32::from(is_new && has_wildcard);
            }
        }
    }

    /// The Subscription to this filter ends; false where there is none.
    pub(crate) fn remove(&mut self, id: FilterId, filter: TopicFilter<'_>) -> bool {
        match self {
            Self::One { filter, .. } if *filter == id => {
                *self = Self::None;
                true
            }
            Self::None | Self::One { .. } => false,
            Self::Several(several) => {
                let was_there = several.filters.remove(&id);
                several.wildcards -= u32::from(was_there && filter.has_wildcard());
                self.tidy();
                was_there
            }
        }
    }

    /// Those that are not shared.
    pub(crate) fn filters(&self) -> impl Iterator<Item = FilterId> {
        let (one, several) = match self {
            Self::None => (None, None),
            Self::One { filter, .. } => (Some(*filter), None),
            Self::Several(several) => (None, Some(several)),
        };
        one.into_iter().chain(several.into_iter().flat_map(|several| several.filters.iter().copied()))
    }

    /// Adds or replaces a Shared Subscription. True where there was none to this filter.
    pub(crate) fn join(&mut self, filter: TopicFilter<'_>, membership: Membership) -> bool {
        let several = self.several_mut();
        let old = several.memberships.insert(filter.as_str().into(), membership);
        if let Some(old) = &old {
            several.joined.remove(&old.joined);
        }
        several.joined.insert(membership.joined);
        several.wildcards += u32::from(old.is_none() && filter.has_wildcard());
        old.is_none()
    }

    /// A Shared Subscription ends; false where there is none.
    pub(crate) fn leave(&mut self, filter: TopicFilter<'_>) -> bool {
        let Self::Several(several) = self else { return false };
        let Some(left) = several.memberships.remove(filter.as_str()) else { return false };
        several.joined.remove(&left.joined);
        several.wildcards -= u32::from(filter.has_wildcard());
        self.tidy();
        true
    }

    /// Is there a Shared Subscription by the SUBSCRIBE with this number?
    pub(crate) fn is_member_by(&self, joined: u32) -> bool {
        self.several().is_some_and(|several| several.joined.contains(&joined))
    }

    /// The Shared Subscriptions, by filter.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (&str, &Membership)> {
        let memberships = self.several().into_iter().flat_map(|several| several.memberships.iter());
        memberships.map(|(filter, membership)| (&**filter, membership))
    }

    fn several(&self) -> Option<&Several> {
        match self {
            Self::Several(several) => Some(several),
            Self::None | Self::One { .. } => None,
        }
    }

    /// To be added to.
    fn several_mut(&mut self) -> &mut Several {
        if !matches!(self, Self::Several(_)) {
            let wildcards = self.wildcards();
            let filters = self.filters().collect();
            *self = Self::Several(Box::new(Several { filters, wildcards, ..Several::default() }));
        }
        match self {
            Self::Several(several) => several,
            Self::None | Self::One { .. } => unreachable!("it was made"),
        }
    }

    /// Some are gone: perhaps it can be said with less.
    fn tidy(&mut self) {
        let Self::Several(several) = self else { return };
        if !several.memberships.is_empty() {
            return;
        }
        let mut filters = several.filters.iter();
        match (filters.next(), filters.next()) {
            (None, _) => *self = Self::None,
            (Some(filter), None) => {
                *self = Self::One { filter: *filter, has_wildcard: several.wildcards > 0 };
            }
            (Some(_), Some(_)) => {}
        }
    }
}

impl Subscribed<'_> {
    /// The Subscription to a filter, byte for byte.
    pub(crate) fn get(&self, filter: TopicFilter<'_>) -> Option<Subscription> {
        if filter.shared().is_some() {
            let memberships = &self.subscriptions.several()?.memberships;
            return memberships.get(filter.as_str()).map(|membership| membership.subscription);
        }
        self.tree.subscriber(self.tree.find(filter)?, self.session).map(Subscription::from)
    }

    /// All of them with their filters: those that are shared, then the others in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (String, Subscription)> {
        let (tree, session) = (self.tree, self.session);
        let plain = self
            .subscriptions
            .filters()
            .filter_map(move |filter| Some((tree.text(filter), tree.subscriber(filter, session)?.into())));
        let memberships = self.subscriptions.memberships();
        memberships.map(|(filter, membership)| (filter.to_owned(), membership.subscription)).chain(plain)
    }

    /// The first `limit` of them behind a filter, by filter. All are looked at.
    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> BTreeMap<String, Subscription> {
        let mut page = BTreeMap::new();
        for (filter, subscription) in self.iter() {
            if after.is_none_or(|after| filter.as_str() > after) {
                page.insert(filter, subscription);
            }
            if page.len() > limit {
                page.pop_last();
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Tree;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    /// There and back: none, one, several, with a shared one among them, each counted and found.
    #[test]
    fn they_are_the_same_however_few_they_are() {
        let mut tree = Tree::new(1);
        let mut subscriptions = Subscriptions::default();
        let options = SubscriptionOptions::default();
        let subscription = Subscription { options, identifier: 0, filtered: false };
        let mut ids = Vec::new();
        for (at, text) in ["a/+", "b", "c/#"].into_iter().enumerate() {
            let planted = tree.subscribe(filter(text), subscription.of(7));
            subscriptions.add(planted.filter, filter(text));
            ids.push(planted.filter);
            assert_eq!((subscriptions.len(), subscriptions.filters().count()), (at + 1, at + 1));
        }
        assert!(subscriptions.join(filter("$share/g/+"), Membership { subscription, joined: 9 }));
        assert!(!subscriptions.join(filter("$share/g/+"), Membership { subscription, joined: 10 }));
        assert_eq!((subscriptions.len(), subscriptions.wildcards()), (4, 3));
        assert!(subscriptions.is_member_by(10) && !subscriptions.is_member_by(9));

        assert!(subscriptions.remove(ids[1], filter("b")) && !subscriptions.remove(ids[1], filter("b")));
        assert!(subscriptions.remove(ids[2], filter("c/#")));
        assert!(subscriptions.leave(filter("$share/g/+")) && !subscriptions.leave(filter("$share/g/+")));
        assert!(matches!(subscriptions, Subscriptions::One { has_wildcard: true, .. }));
        assert_eq!((subscriptions.len(), subscriptions.wildcards()), (1, 1));
        assert!(!subscriptions.remove(ids[1], filter("b")));
        assert!(subscriptions.remove(ids[0], filter("a/+")));
        assert!(matches!(subscriptions, Subscriptions::None));
    }

    #[test]
    fn a_shared_one_alone_is_kept_and_gone_afterwards() {
        let options = SubscriptionOptions::default();
        let subscription = Subscription { options, identifier: 0, filtered: false };
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(filter("$share/g/a"), Membership { subscription, joined: 1 });
        assert_eq!((subscriptions.len(), subscriptions.filters().count()), (1, 0));
        assert!(subscriptions.leave(filter("$share/g/a")));
        assert_eq!(subscriptions.memberships().count(), 0);
        assert!(matches!(subscriptions, Subscriptions::None));
    }
}
