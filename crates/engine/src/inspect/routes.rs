//! Topics that were published to in this shard lately, and how many get their messages: the routes that are kept.

use super::STEPS;
use crate::connect::is_own;
use crate::engine::Engine;

/// A topic with a kept route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRow {
    /// Its Topic Name.
    pub topic: Box<str>,
    /// Sessions of this shard.
    pub sessions: usize,
    /// Shared groups that are at home in it.
    pub groups: usize,
    /// Other shards with somebody who wants it.
    pub shards: usize,
    /// Found for Subscriptions that have changed since; the next message finds it anew.
    pub stale: bool,
}

impl Engine {
    /// Routes that are kept, `limit` at most without those of the Server's own topics, from a place on; the next place, if there are more. All are forgotten now and
    /// then: a place before that means nothing.
    #[must_use]
    pub fn routes(&self, from: usize, limit: usize) -> (Vec<RouteRow>, Option<usize>) {
        let limit = limit.min(STEPS);
        let mut looked = 0;
        let kept = self.router.kept(from, limit).inspect(|_| looked += 1);
        let rows: Vec<_> = kept
            .filter(|(topic, ..)| !is_own(topic))
            .map(|(topic, route, is_current)| RouteRow {
                topic: topic.into(),
                sessions: route.targets.len(),
                groups: route.groups.len(),
                shards: route.remote.iter().count(),
                stale: !is_current,
            })
            .collect();
        let next = (looked == limit).then_some(from + limit);
        (rows, next)
    }
}
