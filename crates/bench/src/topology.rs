//! Who publishes what, and who must get it.
//!
//! In:    a [`Plan`].
//! Out:   topics, filters, and for each subscriber the streams it must get: a range, so that a look-up is a subtraction.

use std::ops::Range;

use crate::plan::{Plan, Scenario};

/// What one subscriber subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) filters: Vec<String>,
    pub(crate) streams: Range<u32>,
}

/// Topics and subscriptions of a run.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// A stream each; stream `i` is of publisher `i` modulo their number.
    pub(crate) topics: Vec<String>,
    pub(crate) interests: Vec<Interest>,
    /// The subscribers take turns.
    pub(crate) is_group: bool,
    /// Deliveries for each message.
    pub(crate) copies: u64,
}

impl Topology {
    pub(crate) fn of(plan: &Plan) -> Self {
        let root = format!("bench/{:08x}", plan.run);
        let subscribers = plan.shape.subscribers;
        let streams = plan.streams();
        let topics = match plan.scenario {
            Scenario::Wildcards => {
                (0..streams).map(|at| format!("{root}/room{}/{at}/value", at % 100)).collect()
            }
            _ => (0..streams).map(|at| format!("{root}/{at}")).collect(),
        };
        let is_group = plan.scenario == Scenario::Shared;
        let interest = |subscriber: u32| match plan.scenario {
            Scenario::Pairs => Interest {
                filters: vec![format!("{root}/{subscriber}")],
                streams: subscriber..subscriber + 1,
            },
            Scenario::Shared => {
                Interest { filters: vec![format!("$share/bench/{root}/#")], streams: 0..streams }
            }
            Scenario::FanOut if streams == 1 => {
                Interest { filters: vec![format!("{root}/0")], streams: 0..1 }
            }
            Scenario::Wildcards => {
                let streams = part(streams, subscriber, subscribers);
                Interest { filters: streams.clone().map(|at| wildcard(&root, at)).collect(), streams }
            }
            _ => Interest { filters: vec![format!("{root}/#")], streams: 0..streams },
        };
        let interests = (0..subscribers).map(interest).collect();
        let copies = match plan.scenario {
            Scenario::FanIn | Scenario::FanOut | Scenario::Backlog => u64::from(subscribers),
            _ => 1,
        };
        Self { topics, interests, is_group, copies }
    }
}

/// The part of `whole` that one of `of` gets: contiguous, and as equal as can be.
fn part(whole: u32, which: u32, of: u32) -> Range<u32> {
    let edge =
        |which: u32| u32::try_from(u64::from(whole) * u64::from(which) / u64::from(of)).unwrap_or(whole);
    edge(which)..edge(which + 1)
}

/// A filter for one topic: half have `+` inside, a quarter ends in `#`, a quarter begins with `+`.
fn wildcard(root: &str, at: u32) -> String {
    match at % 4 {
        0 | 2 => format!("{root}/+/{at}/value"),
        1 => format!("{root}/room{}/{at}/#", at % 100),
        _ => format!("+/{}/room{}/{at}/value", root.trim_start_matches("bench/"), at % 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Shape;
    use crate::plan::tests::plan;
    use dunlin_codec::{TopicFilter, TopicName, matches};

    /// Every subscriber's range says exactly what its filters match, by the codec's own rule.
    #[test]
    fn ranges_say_what_filters_match() {
        use Scenario::{Backlog, FanIn, FanOut, Pairs, Shared, Wildcards};
        for scenario in [FanIn, FanOut, Pairs, Shared, Backlog, Wildcards] {
            let mut plan = plan(scenario);
            plan.shape = Shape { publishers: 5, subscribers: 5, topics: 209, connections: 1 };
            let topology = Topology::of(&plan);
            let mut deliveries = 0;
            for interest in &topology.interests {
                for (stream, topic) in (0..).zip(&topology.topics) {
                    let topic = TopicName::parse(topic).unwrap();
                    let is_match = |filter: &&String| {
                        let filter = TopicFilter::parse(filter).unwrap();
                        matches(filter.shared().map_or(filter, |shared| shared.filter), topic)
                    };
                    let count = interest.filters.iter().filter(is_match).count();
                    assert_eq!(
                        count,
                        usize::from(interest.streams.contains(&stream)),
                        "{scenario:?} {stream}"
                    );
                    deliveries += count;
                }
            }
            let copies = if topology.is_group { 5 } else { topology.copies };
            assert_eq!(deliveries as u64, copies * topology.topics.len() as u64, "{scenario:?}");
        }
    }

    #[test]
    fn parts_make_the_whole() {
        let parts: Vec<_> = (0..7).map(|which| part(100, which, 7)).collect();
        assert_eq!(parts.iter().map(ExactSizeIterator::len).sum::<usize>(), 100);
        assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
        assert_eq!((parts[0].start, parts[6].end), (0, 100));
    }
}
