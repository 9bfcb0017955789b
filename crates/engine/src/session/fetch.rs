//! Retained snapshots on their way to a Session: a few pages at a time, whatever its Subscriptions ask for.
//!
//! In:    Subscriptions that find retained messages; pages; retained messages delivered live meanwhile.
//! Out:   the next page to ask for; whether a value of a page is still the newest.
//! Never: more pages under way than the output of a connection holds: what it cannot take yet stays where it is kept.

use std::collections::{BTreeMap, VecDeque};

use crate::partition::ShardId;
use crate::retained::Page;
use crate::topic::FilterId;

/// More topics than this that change while snapshots are on their way are not remembered; a snapshot's value may then follow.
const OVERTAKEN_MAXIMUM: usize = 65_536;

/// Pages of one Session under way. With the largest packets among them they come to 9 MiB.
pub(crate) const PAGES_UNDER_WAY: usize = 4;

/// The snapshots of one Session.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    by_query: BTreeMap<u32, Fetch>,
    /// Those whose SUBACK was sent, in that order.
    started: VecDeque<u32>,
    /// Of which snapshot, from which home: of one home there is one at a time.
    under_way: Vec<(u32, ShardId)>,
    /// Pages that wait for what other shards posted before them, and how many have not answered.
    held: Vec<(u32, Page, usize)>,
    /// Retained messages delivered live since there are snapshots: hash of the topic, and when (by `clock`).
    overtaken: BTreeMap<u64, u64>,
    /// Subscriptions that ended since there are snapshots: filter, and when.
    ended: BTreeMap<FilterId, u64>,
    clock: u64,
}

/// A snapshot for one Subscription.
#[derive(Debug)]
struct Fetch {
    filter: Box<str>,
    /// The same in the tree.
    id: FilterId,
    /// Live messages from here on are newer than it; a Subscription that ended later was the one it is for.
    since: u64,
    /// Still to be asked for, the next one last.
    pages: Vec<Ask>,
}

/// What to ask a home for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) home: ShardId,
    pub(crate) after: Option<Box<str>>,
    /// What it must have received from each shard before it answers.
    pub(crate) needs: Box<[u64]>,
}

impl Fetches {
    /// A Subscription was made: from now on live messages are newer than its snapshot.
    pub(crate) fn plan(&mut self, query: u32, filter: &str, id: FilterId) {
        let fetch = Fetch { filter: filter.into(), id, since: self.clock, pages: Vec::new() };
        self.by_query.insert(query, fetch);
    }

    /// A Subscription ended: what was planned for it is for nobody, even if there is another one to its filter by then.
    pub(crate) fn subscription_ended(&mut self, filter: FilterId) {
        self.clock += 1;
        self.ended.insert(filter, self.clock);
    }

    /// The filter of a snapshot that was planned and not cancelled.
    pub(crate) fn filter(&self, query: u32) -> Option<&str> {
        Some(&self.by_query.get(&query)?.filter)
    }

    /// Its SUBACK was sent: these pages are wanted.
    pub(crate) fn start(&mut self, query: u32, mut pages: Vec<Ask>) {
        if let Some(fetch) = self.by_query.get_mut(&query) {
            pages.reverse();
            fetch.pages = pages;
            self.started.push_back(query);
        }
    }

    /// Its Subscription is gone.
    pub(crate) fn cancel(&mut self, query: u32) {
        self.by_query.remove(&query);
    }

    /// The next page to ask for, and for which snapshot, unless there are enough under way.
    pub(crate) fn next(&mut self, pages: usize) -> Option<(u32, Box<str>, Ask)> {
        if self.under_way.len() >= pages {
            return None;
        }
        while let Some(query) = self.started.front().copied() {
            if let Some(fetch) = self.by_query.get_mut(&query)
                && let Some(ask) = fetch.pages.pop()
            {
                self.under_way.push((query, ask.home));
                return Some((query, fetch.filter.clone(), ask));
            }
            if self.under_way.iter().any(|(other, _)| *other == query) {
                // It may have more to ask for.
                return None;
            }
            self.by_query.remove(&query);
            self.started.pop_front();
        }
        None
    }

    /// A page under way came; it waits for the answers of `others`.
    pub(crate) fn hold(&mut self, query: u32, page: Page, others: usize) {
        self.held.push((query, page, others));
    }

    /// One of them answered. The page, once all have.
    pub(crate) fn answered(&mut self, query: u32, home: ShardId) -> Option<Page> {
        let at = self.held.iter().position(|(other, page, _)| *other == query && page.home == home)?;
        let (_, _, others) = &mut self.held[at];
        *others -= 1;
        if *others > 0 {
            return None;
        }
        Some(self.held.remove(at).1)
    }

    /// A page under way is to be delivered: for which Subscription, and since when live messages are newer. The next page follows
    /// when it is asked for. `None` where it was cancelled or its Subscription ended.
    pub(crate) fn take(
        &mut self,
        query: u32,
        home: ShardId,
        next: Option<Box<str>>,
    ) -> Option<(FilterId, u64)> {
        self.under_way.retain(|other| *other != (query, home));
        let fetch = self.by_query.get_mut(&query)?;
        if self.ended.get(&fetch.id).is_some_and(|ended| *ended > fetch.since) {
            self.by_query.remove(&query);
            return None;
        }
        if next.is_some() {
            // What was missing when the first page was asked for has come since.
            fetch.pages.push(Ask { home, after: next, needs: Box::default() });
        }
        Some((fetch.id, fetch.since))
    }

    /// A retained message was delivered live.
    pub(crate) fn overtake(&mut self, topic: u64) {
        self.clock += 1;
        if self.overtaken.len() < OVERTAKEN_MAXIMUM {
            self.overtaken.insert(topic, self.clock);
        }
    }

    /// Was a newer message of the topic delivered live since then?
    pub(crate) fn is_overtaken(&self, topic: u64, since: u64) -> bool {
        self.overtaken.get(&topic).is_some_and(|clock| *clock > since)
    }

    /// Snapshots that were asked for and are not delivered.
    pub(crate) fn len(&self) -> usize {
        self.by_query.len()
    }

    /// Is nothing planned or under way?
    pub(crate) fn is_over(&self) -> bool {
        self.by_query.is_empty() && self.under_way.is_empty()
    }
}
