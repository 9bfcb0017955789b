//! Subscriptions: those of a Client, of all, and those that a Topic Filter or a Topic Name leads to.
//!
//! Spec:  MQTT 5.0 sections 3.8.3 and 4.8.2.

use dunlin_codec::{SubscriptionOptions, TopicFilter, TopicName};

use super::STEPS;
use crate::engine::Engine;
use crate::session::{Session, Subscription};

/// Filters that one Topic Name leads to at most: a topic has a few.
const FILTERS: usize = 1000;

/// A Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Whose it is.
    pub client_id: Box<str>,
    /// The Topic Filter as it was subscribed to, `$share/` included.
    pub filter: Box<str>,
    /// As granted.
    pub options: SubscriptionOptions,
    /// Subscription Identifier.
    pub identifier: Option<u32>,
    /// Each topic is held against what its Client may receive: the filter is wider than that.
    pub filtered: bool,
}

/// A shared group that is at home in this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The Topic Filter with its `$share/NAME/`.
    pub filter: String,
    /// Members, wherever their Sessions are.
    pub members: usize,
    /// Those of them with a connection.
    pub connected: usize,
    /// Messages that wait for a member.
    pub waiting: usize,
    /// Messages that a member has not acknowledged.
    pub dealt: usize,
}

/// Some Subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionPage {
    /// Those found.
    pub rows: Vec<SubscriptionRow>,
    /// Where to go on: the slot of a Session, and behind which of its filters; `None` where all were looked at.
    pub next: Option<(u32, Option<Box<str>>)>,
}

/// Some of those that a topic or a filter leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberPage {
    /// Subscriptions that are not shared.
    pub rows: Vec<SubscriptionRow>,
    /// Groups; with the first of a filter's Subscriptions.
    pub groups: Vec<GroupRow>,
    /// Where to go on: behind this filter's Subscription of the Session in this slot; `None` where these are all.
    pub next: Option<(Box<str>, u32)>,
}

fn row(session: &Session, filter: &str, subscription: &Subscription) -> SubscriptionRow {
    SubscriptionRow {
        client_id: session.client_id.clone(),
        filter: filter.into(),
        options: subscription.options,
        identifier: (subscription.identifier != 0).then_some(subscription.identifier),
        filtered: subscription.filtered,
    }
}

impl Engine {
    /// Subscriptions of a Client behind a filter, `limit` at most, and whether there are more. `None` where it has no Session here.
    #[must_use]
    pub fn client_subscriptions(
        &self,
        client_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Option<(Vec<SubscriptionRow>, bool)> {
        let id = self.hub.sessions.find(client_id)?;
        let session = self.hub.sessions.get(id)?;
        let page = self.subscribed(id)?.page(after, limit.saturating_add(1));
        let has_more = page.len() > limit;
        let rows = page.into_iter().take(limit);
        Some((rows.map(|(filter, subscription)| row(session, &filter, &subscription)).collect(), has_more))
    }

    /// Subscriptions of all Clients, from the Session in slot `from` on, there behind a filter; `limit` at most.
    #[must_use]
    pub fn subscriptions(&self, from: u32, after: Option<&str>, limit: usize) -> SubscriptionPage {
        let slots = &self.hub.sessions.slots;
        let mut rows = Vec::new();
        for (step, index) in (from..slots.span()).enumerate() {
            if step == STEPS || rows.len() == limit {
                return SubscriptionPage { rows, next: Some((index, None)) };
            }
            let Some(session) = slots.get(index) else { continue };
            let Some(subscribed) = self.subscribed(self.hub.sessions.current(index)) else { continue };
            let after = after.filter(|_| step == 0);
            for (filter, subscription) in subscribed.page(after, (limit - rows.len()).saturating_add(1)) {
                if rows.len() == limit {
                    let next = rows.last().map(|row: &SubscriptionRow| row.filter.clone());
                    // Where the last row is of an earlier Session, this one is begun anew.
                    let is_of_this = rows.last().is_some_and(|row| row.client_id == session.client_id);
                    return SubscriptionPage { rows, next: Some((index, next.filter(|_| is_of_this))) };
                }
                rows.push(row(session, &filter, &subscription));
            }
        }
        SubscriptionPage { rows, next: None }
    }

    /// Subscriptions to a Topic Filter, byte for byte, and the groups that share it.
    #[must_use]
    pub fn subscribers_of_filter(
        &self,
        filter: TopicFilter<'_>,
        after: Option<(&str, u32)>,
        limit: usize,
    ) -> SubscriberPage {
        self.subscribers(vec![filter.as_str().to_owned()], after, limit)
    }

    /// Subscriptions that a message of a Topic Name is for, and groups.
    #[must_use]
    pub fn subscribers_of_topic(
        &self,
        topic: TopicName<'_>,
        after: Option<(&str, u32)>,
        limit: usize,
    ) -> SubscriberPage {
        let mut filters = self.router.tree.matching(topic, FILTERS);
        filters.sort_unstable();
        self.subscribers(filters, after, limit)
    }

    /// `filters` ascending.
    fn subscribers(&self, filters: Vec<String>, after: Option<(&str, u32)>, limit: usize) -> SubscriberPage {
        let mut page = SubscriberPage { rows: Vec::new(), groups: Vec::new(), next: None };
        let behind = after.map(|(filter, _)| filter);
        for text in filters.iter().filter(|filter| behind.is_none_or(|behind| filter.as_str() >= behind)) {
            let found = TopicFilter::parse(text).ok().and_then(|filter| self.router.tree.find(filter));
            let Some(wants) = found.map(|filter| self.router.tree.wants(filter)) else { continue };
            let begun = after.filter(|(filter, _)| filter == text).map(|(_, session)| session);
            if begun.is_none() {
                page.groups.extend(wants.groups.iter().filter_map(|group| self.group_row(*group)));
            }
            let first = begun
                .map_or(0, |session| wants.local.partition_point(|subscriber| subscriber.session <= session));
            for subscriber in &wants.local[first..] {
                let Some(session) = self.hub.sessions.slots.get(subscriber.session) else { continue };
                page.rows.push(row(session, text, &subscriber.into()));
                if page.rows.len() >= limit.min(STEPS) {
                    page.next = Some((text.as_str().into(), subscriber.session));
                    return page;
                }
            }
        }
        page
    }

    fn group_row(&self, index: u32) -> Option<GroupRow> {
        let (share, filter, [members, connected, waiting, dealt]) = self.groups.outline(index)?;
        Some(GroupRow { filter: format!("$share/{share}/{filter}"), members, connected, waiting, dealt })
    }
}
