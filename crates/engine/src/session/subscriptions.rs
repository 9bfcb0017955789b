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

/// The Subscriptions of one Session.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// Those that are not shared, by their filters.
    filters: BTreeSet<FilterId>,
    /// The others. Few Sessions have any.
    memberships: Option<Box<Memberships>>,
    /// How many of both have wildcards.
    wildcards: u32,
}

/// The Shared Subscriptions of one Session.
#[derive(Debug, Default)]
struct Memberships {
    /// By their filters with `$share/`.
    by_filter: BTreeMap<Box<str>, Membership>,
    /// The numbers of all.
    joined: BTreeSet<u32>,
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
        self.filters.len() + self.memberships.as_ref().map_or(0, |of| of.by_filter.len())
    }

    /// How many have wildcards.
    pub(crate) const fn wildcards(&self) -> u32 {
        self.wildcards
    }

    /// The tree has a new Subscription of the Session to this filter.
    pub(crate) fn add(&mut self, id: FilterId, filter: TopicFilter<'_>) {
        self.filters.insert(id);
        self.wildcards += u32::from(filter.has_wildcard());
    }

    /// The Subscription to this filter ends; false where there is none.
    pub(crate) fn remove(&mut self, id: FilterId, filter: TopicFilter<'_>) -> bool {
        let was_there = self.filters.remove(&id);
        self.wildcards -= u32::from(was_there && filter.has_wildcard());
        was_there
    }

    /// Those that are not shared.
    pub(crate) fn filters(&self) -> impl Iterator<Item = FilterId> {
        self.filters.iter().copied()
    }

    /// Adds or replaces a Shared Subscription. True where there was none to this filter.
    pub(crate) fn join(&mut self, filter: TopicFilter<'_>, membership: Membership) -> bool {
        let Memberships { by_filter, joined } = &mut **self.memberships.get_or_insert_default();
        let old = by_filter.insert(filter.as_str().into(), membership);
        if let Some(old) = &old {
            joined.remove(&old.joined);
        }
        joined.insert(membership.joined);
        self.wildcards += u32::from(old.is_none() && filter.has_wildcard());
        old.is_none()
    }

    /// A Shared Subscription ends; false where there is none.
    pub(crate) fn leave(&mut self, filter: TopicFilter<'_>) -> bool {
        let Some(memberships) = &mut self.memberships else { return false };
        let Some(left) = memberships.by_filter.remove(filter.as_str()) else { return false };
        memberships.joined.remove(&left.joined);
        if memberships.by_filter.is_empty() {
            self.memberships = None;
        }
        self.wildcards -= u32::from(filter.has_wildcard());
        true
    }

    /// Is there a Shared Subscription by the SUBSCRIBE with this number?
    pub(crate) fn is_member_by(&self, joined: u32) -> bool {
        self.memberships.as_ref().is_some_and(|memberships| memberships.joined.contains(&joined))
    }

    /// The Shared Subscriptions, by filter.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (&str, &Membership)> {
        let memberships = self.memberships.iter().flat_map(|memberships| memberships.by_filter.iter());
        memberships.map(|(filter, membership)| (&**filter, membership))
    }
}

impl Subscribed<'_> {
    /// The Subscription to a filter, byte for byte.
    pub(crate) fn get(&self, filter: TopicFilter<'_>) -> Option<Subscription> {
        if filter.shared().is_some() {
            let memberships = self.subscriptions.memberships.as_ref()?;
            return memberships.by_filter.get(filter.as_str()).map(|membership| membership.subscription);
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
