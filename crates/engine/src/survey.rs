//! What Clients do, for whoever wants to hold other rules against it.
//!
//! In:    where to begin, how many Sessions to look at.
//! Out:   of each whose rights are bounded: who it is, what it subscribed to, what it published last.
//! Never: a change; a cost while nobody asks: what was published last is known by the answers that are kept for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_codec::{QoS, TopicFilter};

use crate::admission::Identity;
use crate::engine::Engine;

/// What one Session did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Its Subscriptions: Topic Filters, of shared ones the filter that is shared, and the QoS asked for.
    pub subscriptions: Vec<(Box<str>, QoS)>,
    /// Messages that it wanted to publish.
    pub published: Vec<Published>,
}

/// A kind of message that a Session wanted to publish, allowed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Topic Name.
    pub topic: Box<str>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
}

impl Engine {
    /// Looks at `most` places from `from` on; where to go on, if there are more. It also looks at every kept route: a few
    /// milliseconds for the most that there can be. Of each Session, up to 16 topics are known; those that it published
    /// to since Subscriptions last changed somewhere.
    #[must_use]
    pub fn survey(&self, from: u32, most: u32) -> (Vec<Surveyed>, Option<u32>) {
        let span = self.hub.sessions.slots.span();
        let end = from.saturating_add(most).min(span);
        let sessions = (from..end).filter_map(|index| Some((index, self.hub.sessions.slots.get(index)?)));
        let bounded: Vec<_> = sessions
            .filter_map(|(index, session)| {
                let subscribed = self.subscribed(self.hub.sessions.current(index))?;
                Some((subscribed, session.access.as_ref()?))
            })
            .filter(|(_, access)| access.policy.is_some())
            .collect();
        let wanted = bounded.iter().flat_map(|(_, access)| access.asked()).map(|(number, ..)| number);
        let topics: BTreeMap<u64, &str> = self.router.topics(&wanted.collect());
        let surveyed = bounded.into_iter().map(|(subscribed, access)| Surveyed {
            identity: Arc::clone(&access.identity),
            subscriptions: subscribed
                .iter()
                .map(|(filter, subscription)| (plain(&filter), subscription.options.qos))
                .collect(),
            published: access
                .asked()
                .filter_map(|(number, qos, retain)| {
                    Some(Published { topic: (*topics.get(&number)?).into(), qos, retain })
                })
                .collect(),
        });
        (surveyed.collect(), (end < span).then_some(end))
    }
}

/// The filter that is shared.
fn plain(filter: &str) -> Box<str> {
    let shared = TopicFilter::parse(filter).ok().and_then(|filter| filter.shared());
    shared.map_or(filter, |shared| shared.filter.as_str()).into()
}
