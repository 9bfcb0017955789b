//! A policy for tests: filters that a Client may publish to, and that it may hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_codec::{QoS, TopicFilter, TopicName, matches};
use dunlin_engine::{Policy, Subscribing};

/// What is in none of its lists is forbidden.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    says: Vec<&'static str>,
    hears: Vec<&'static str>,
    /// Of the says, with RETAIN.
    retains: bool,
    asked: AtomicUsize,
}

/// Publishes to the one, hears the other, and may have RETAIN.
pub(crate) fn rules(says: &[&'static str], hears: &[&'static str]) -> Arc<Rules> {
    Arc::new(Rules { says: says.to_vec(), hears: hears.to_vec(), retains: true, ..Rules::default() })
}

/// The same without RETAIN.
pub(crate) fn live_only(says: &[&'static str]) -> Arc<Rules> {
    Arc::new(Rules { says: says.to_vec(), ..Rules::default() })
}

impl Rules {
    /// How often it was asked since the last call.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

fn covers(filters: &[&str], topic: &str) -> bool {
    let topic = TopicName::parse(topic).unwrap();
    filters.iter().any(|filter| matches(TopicFilter::parse(filter).unwrap(), topic))
}

impl Policy for Rules {
    fn may_publish(&self, topic: &str, _: QoS, retain: bool) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        covers(&self.says, topic) && (self.retains || !retain)
    }

    fn may_subscribe(&self, filter: &str, _: QoS) -> Subscribing {
        let has_wildcard = filter.contains(['+', '#']);
        if self.hears.contains(&filter)
            || self.hears.contains(&"#")
            || (!has_wildcard && covers(&self.hears, filter))
        {
            Subscribing::Granted
        } else if has_wildcard && !self.hears.is_empty() {
            Subscribing::Filtered
        } else {
            Subscribing::Refused
        }
    }

    fn may_receive(&self, topic: &str) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        covers(&self.hears, topic)
    }
}
