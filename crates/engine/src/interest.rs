//! Who of the other shards knows what this shard wants, and who waits for them to know.
//!
//! In:    filters that this shard begins or ceases to want; what other shards say they have seen.
//! Out:   letters to the others; SUBACKs and joins that may go on.
//! Never: a SUBACK before every shard sees the interest: a message published after it is delivered, wherever it comes from.

use std::collections::VecDeque;

use dunlin_codec::TopicFilter;

use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::Cx;
use crate::mail::Letter;
use crate::partition::{ShardId, ShardMap, ShardSet};
use crate::subscribe::SubAckToken;
use crate::topic::FilterId;

/// What waits for the interest announced so far to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A SUBACK of this shard.
    SubAck(SubAckToken),
    /// A SUBACK of another shard, whose Session joined a group homed here.
    Joined(ShardId, SubAckToken),
}

/// Announced, and seen.
#[derive(Debug)]
pub(crate) struct Interest {
    /// Letters about interest posted to each other shard.
    announced: u64,
    /// How many of them each shard has seen.
    seen: Vec<u64>,
    waiting: VecDeque<(u64, Waiter)>,
    /// Letters about interest that came from each shard, and whether it has been told so.
    received: Vec<(u64, bool)>,
    /// Retained values that came from each shard.
    stored: Vec<u64>,
    /// For each shard, how many it had posted to each home when its last bag left.
    posted: Vec<Vec<u64>>,
    /// Homes that had a retained value of some other shard when its last bag left.
    given: ShardSet,
    /// Connections not read because mail for a shard piles up.
    mail_waiters: Vec<Vec<ConnectionId>>,
    /// Connections not read because the journal has too much to write.
    journal_waiters: Vec<ConnectionId>,
}

impl Interest {
    pub(crate) fn new(map: ShardMap) -> Self {
        Self {
            announced: 0,
            seen: vec![0; map.count()],
            waiting: VecDeque::new(),
            received: vec![(0, true); map.count()],
            stored: vec![0; map.count()],
            posted: vec![vec![0; map.count()]; map.count()],
            given: ShardSet::EMPTY,
            mail_waiters: vec![Vec::new(); map.count()],
            journal_waiters: Vec::new(),
        }
    }

    /// A retained value came from a shard.
    pub(crate) fn stored(&mut self, from: ShardId) {
        self.stored[from.index()] += 1;
    }

    /// A shard says how many retained values it has posted to each home.
    pub(crate) fn stores_known(&mut self, from: ShardId, posted: &[u64]) {
        self.posted[from.index()].copy_from_slice(posted);
    }

    /// A shard says which homes have had a retained value from it.
    pub(crate) fn given_known(&mut self, given: ShardSet) {
        self.given = self.given.union(given);
    }

    /// Homes that others have given retained values that this shard did not see live.
    pub(crate) const fn given(&self) -> ShardSet {
        self.given
    }

    /// What a home must have received from each shard, so that it has every value that this shard did not see live.
    pub(crate) fn needed_of(&self, home: ShardId) -> Box<[u64]> {
        self.posted.iter().map(|posted| posted[home.index()]).collect()
    }

    /// Have these come?
    pub(crate) fn has_stored(&self, needs: &[u64]) -> bool {
        needs.iter().zip(&self.stored).all(|(needed, stored)| needed <= stored)
    }

    pub(crate) fn waiting_for_mail(&mut self, shard: ShardId, id: ConnectionId) {
        self.mail_waiters[shard.index()].push(id);
    }

    pub(crate) fn waiting_for_journal(&mut self, id: ConnectionId) {
        self.journal_waiters.push(id);
    }

    pub(crate) fn take_waiting_for_journal(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.journal_waiters)
    }

    pub(crate) fn take_waiting_for_mail(&mut self, shard: ShardId) -> Vec<ConnectionId> {
        std::mem::take(&mut self.mail_waiters[shard.index()])
    }
}

impl Engine {
    /// This shard begins or ceases to want a filter.
    pub(crate) fn announce(&mut self, cx: &mut Cx<'_>, filter: TopicFilter<'_>, wanted: bool) {
        self.interest.announced += 1;
        for shard in self.hub.map.iter().filter(|shard| *shard != self.hub.shard) {
            cx.fx.mail.post(shard, Letter::Interest { filter: filter.as_str().into(), wanted });
        }
    }

    /// After a restart: all that this shard wants.
    pub(crate) fn announce_all(&mut self, cx: &mut Cx<'_>) {
        let filters: Vec<FilterId> = self.router.tree.wanted_here().collect();
        for filter in filters {
            if let Ok(filter) = TopicFilter::parse(&self.router.tree.text(filter)) {
                self.announce(cx, filter, true);
            }
        }
    }

    /// Lets `waiter` go on when everything announced so far is seen; perhaps at once.
    pub(crate) fn when_seen(&mut self, cx: &mut Cx<'_>, waiter: Waiter) {
        self.interest.waiting.push_back((self.interest.announced, waiter));
        self.seen_changed(cx);
    }

    /// Another shard begins or ceases to want a filter.
    pub(crate) fn interest_received(&mut self, from: ShardId, filter: &str, wanted: bool) {
        let (count, told) = &mut self.interest.received[from.index()];
        *count += 1;
        *told = false;
        if let Ok(filter) = TopicFilter::parse(filter) {
            self.router.tree.set_remote(filter, from, wanted);
        }
    }

    /// At the end of a bag: tells its sender what was seen.
    pub(crate) fn tell_seen(&mut self, cx: &mut Cx<'_>, from: ShardId) {
        let (count, told) = &mut self.interest.received[from.index()];
        if !std::mem::replace(told, true) {
            cx.fx.mail.post(from, Letter::InterestSeen { count: *count });
        }
    }

    /// Another shard has seen what was announced, up to a number.
    pub(crate) fn interest_seen(&mut self, cx: &mut Cx<'_>, from: ShardId, count: u64) {
        self.interest.seen[from.index()] = count;
        self.seen_changed(cx);
    }

    fn seen_changed(&mut self, cx: &mut Cx<'_>) {
        let own = self.hub.shard.index();
        let others = self.interest.seen.iter().enumerate().filter(|(index, _)| *index != own);
        let seen = others.map(|(_, seen)| *seen).min().unwrap_or(u64::MAX);
        while let Some((_, waiter)) = self.interest.waiting.pop_front_if(|(needed, _)| *needed <= seen) {
            match waiter {
                Waiter::SubAck(token) => self.suback_part_done(cx, token),
                Waiter::Joined(shard, token) => self.hub.post(cx, shard, Letter::GroupJoined { token }),
            }
        }
    }
}
