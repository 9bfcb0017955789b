//! How much a message has to survive, by the listener that it came by and by its topic.
//!
//! In:    the configuration; listeners by their number, Topic Names.
//! Out:   a [`Durability`] for each.
//! Never: a mixture. The first topic filter that matches decides, else the listener, else the default.

use dunlin_codec::{TopicFilter, TopicName, matches};
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// What something survives before anybody is told that it is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: it is kept in memory.
    Memory,
    /// The end of the process, at any moment: it is handed to the operating system.
    Written,
    /// The end of the machine, too: the disk has said that it has it.
    #[default]
    Synced,
}

/// Which durability applies where there is a journal; [`crate::ListenerRules`] says it of single listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurabilityRules {
    /// Where nothing else is said.
    pub default: Durability,
    /// Of topics: the first filter that matches decides, whatever the listener. What is no filter matches nothing.
    pub topics: Vec<(String, Durability)>,
}

impl DurabilityRules {
    /// `None` where the listener decides.
    pub(crate) fn of_topic(&self, topic: TopicName<'_>) -> Option<Durability> {
        let is_of = |text: &str| TopicFilter::parse(text).is_ok_and(|filter| matches(filter, topic));
        self.topics.iter().find(|(filter, _)| is_of(filter)).map(|(_, durability)| *durability)
    }
}

impl Settings {
    /// Is anything synced? Else the journal need not sync at all.
    #[must_use]
    pub fn syncs(&self) -> bool {
        self.durabilities().any(|durability| durability == Durability::Synced)
    }

    /// Does anything wait until it is written, and no longer? Else [`crate::Event::Written`] need not be told.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.durabilities().any(|durability| durability == Durability::Written)
    }

    fn durabilities(&self) -> impl Iterator<Item = Durability> {
        let DurabilityRules { default, topics } = &self.durability;
        let listeners = self.listeners.iter().filter_map(|listener| listener.durability);
        std::iter::once(*default).chain(listeners).chain(topics.iter().map(|(_, durability)| *durability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::ListenerRules;

    #[test]
    fn the_first_filter_that_matches_decides_and_else_the_listener() {
        let durability = DurabilityRules {
            default: Durability::Synced,
            topics: vec![
                ("a/b".to_owned(), Durability::Synced),
                ("a/#".to_owned(), Durability::Written),
                ("a/c".to_owned(), Durability::Memory),
            ],
        };
        let of = |topic| durability.of_topic(TopicName::parse(topic).unwrap());
        assert_eq!(of("a/b"), Some(Durability::Synced));
        assert_eq!(of("a/c"), Some(Durability::Written));
        assert_eq!(of("b"), None);
        let memory = ListenerRules { durability: Some(Durability::Memory), ..ListenerRules::default() };
        let settings = Settings { listeners: vec![memory], durability, ..Settings::default() };
        assert_eq!(settings.durability_at(0), Durability::Memory);
        assert_eq!(settings.durability_at(1), Durability::Synced);
        assert!(settings.syncs() && settings.writes() && !Settings::default().writes());
    }
}
