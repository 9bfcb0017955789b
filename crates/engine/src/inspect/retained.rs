//! Retained messages, and the topics that they are of: those that are at home in this shard.
//!
//! In:    filters, topics, levels; a place to go on from.
//! Out:   rows in the order of topics, so that those of all shards can be put together.

use std::ops::Bound;
use std::time::Duration;

use dunlin_codec::{QoS, TopicFilter, TopicName, matches};

use super::STEPS;
use crate::engine::Engine;
use crate::retained::literal_prefix;
use crate::retained_value::RetainedValue;
use crate::time::Time;

/// Characters below `/` in a level that are looked at: those before them may be a level of their own.
const FORKS: usize = 64;

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedRow {
    /// Its Topic Name.
    pub topic: Box<str>,
    /// As it was published.
    pub qos: QoS,
    /// Its payload, as far as was asked for.
    pub payload: Vec<u8>,
    /// Bytes of its payload.
    pub payload_bytes: usize,
    /// Encoded properties that a Server forwards.
    pub properties: Vec<u8>,
    /// When it expires.
    pub expires: Option<Duration>,
}

/// Some retained messages, by topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedPage {
    /// Those found.
    pub rows: Vec<RetainedRow>,
    /// All to this topic were looked at, and there may be more; `None`: all were.
    pub seen: Option<Box<str>>,
}

/// A level below another, with what there is of retained messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRow {
    /// Between two `/`.
    pub level: String,
    /// The topic that ends here has a retained message.
    pub retained: bool,
    /// There are topics below it.
    pub deeper: bool,
}

fn row(now: Time, message: &RetainedValue, payload_maximum: usize) -> RetainedRow {
    let view = message.view();
    RetainedRow {
        topic: view.topic.into(),
        qos: view.qos,
        payload: view.payload[..view.payload.len().min(payload_maximum)].to_vec(),
        payload_bytes: view.payload.len(),
        properties: view.properties.to_vec(),
        expires: view.expires_at.map(|at| at.since(now)),
    }
}

impl Engine {
    /// Retained messages that a filter matches, behind a topic, `limit` at most, each with so many bytes of its payload.
    #[must_use]
    pub fn retained_messages(
        &self,
        now: Time,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        limit: usize,
        payload_maximum: usize,
    ) -> RetainedPage {
        let mut page = RetainedPage { rows: Vec::new(), seen: None };
        let prefix = literal_prefix(filter);
        // What comes before the prefix does not match.
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        for (step, (topic, message)) in self.retained.from(from).enumerate() {
            if !topic.starts_with(prefix) {
                break;
            }
            let is_match = TopicName::parse(topic).is_ok_and(|name| matches(filter, name));
            if is_match && !message.view().is_expired(now) {
                page.rows.push(row(now, message, payload_maximum));
            }
            if page.rows.len() >= limit || step + 1 >= STEPS {
                page.seen = Some(topic.into());
                break;
            }
        }
        page
    }

    /// The retained message of a topic, whole.
    #[must_use]
    pub fn retained_message(&self, now: Time, topic: &str) -> Option<RetainedRow> {
        let message = self.retained.get(topic).filter(|message| !message.view().is_expired(now))?;
        Some(row(now, message, usize::MAX))
    }

    /// Levels below a topic (`None`: the first ones) that lead to retained messages, behind a level, in order; `limit` at most.
    #[must_use]
    pub fn retained_levels(&self, parent: Option<&str>, after: Option<&str>, limit: usize) -> Vec<LevelRow> {
        let prefix = parent.map_or_else(String::new, |parent| format!("{parent}/"));
        let mut rows: Vec<LevelRow> = Vec::new();
        let mut last = after.map(str::to_owned);
        while rows.len() < limit {
            let Some(level) = self.next_level(&prefix, last.as_deref()) else { break };
            let topic = format!("{prefix}{level}");
            let retained = self.retained.get(&topic).is_some();
            let deeper = self.has_below(&topic);
            last = Some(level.clone());
            rows.push(LevelRow { level, retained, deeper });
        }
        rows
    }

    /// The least level greater than another. Topics are in the order of their bytes, in which `a/b` comes behind `a-c`: so what
    /// is found first may begin with a level that only has topics below it.
    fn next_level(&self, prefix: &str, after: Option<&str>) -> Option<String> {
        let behind = after.map(|after| format!("{prefix}{after}"));
        let from = behind.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let mut found = self.level_from(prefix, from)?;
        // What is below that level, and below those that it begins with, may come behind it: `0` is the byte behind `/`.
        for _ in 0..FORKS {
            if after.is_none_or(|after| *found > *after) {
                break;
            }
            found = self.level_from(prefix, Bound::Included(&format!("{prefix}{found}0")))?;
        }
        if after.is_some_and(|after| *found <= *after) {
            return None;
        }
        let is_low = |(_, byte): &(usize, u8)| *byte < b'/';
        let forks: Vec<usize> =
            found.bytes().enumerate().filter(is_low).map(|(at, _)| at).take(FORKS).collect();
        let is_level = |at: &usize| {
            let fork = &found[..*at];
            after.is_none_or(|after| fork > after) && self.has_below(&format!("{prefix}{fork}"))
        };
        let fork = forks.into_iter().find(is_level);
        Some(fork.map_or(found.clone(), |at| found[..at].to_owned()))
    }

    /// The level of the first topic from one on that begins with the prefix.
    fn level_from(&self, prefix: &str, from: Bound<&str>) -> Option<String> {
        let (topic, _) = self.retained.from(from).next()?;
        let rest = topic.strip_prefix(prefix)?;
        Some(rest.split('/').next().unwrap_or_default().to_owned())
    }

    fn has_below(&self, topic: &str) -> bool {
        let below = format!("{topic}/");
        self.retained.from(Bound::Included(&below)).next().is_some_and(|(topic, _)| topic.starts_with(&below))
    }
}
