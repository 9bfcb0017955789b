//! The Topic Names and Topic Filters of a run, and which matches which: a second opinion, not the codec's.

/// Topic Names that simulated clients publish to. Those that begin with `s/` are for Shared Subscriptions.
pub(crate) const TOPICS: [&str; 11] =
    ["a/0", "a/1", "a/2", "b/0/x", "b/1/x", "b", "c/é/\u{1F426}", "/", "s/0", "s/1", "$d/t"];
/// Where shared topics begin.
pub(crate) const SHARED_TOPICS: std::ops::Range<usize> = 8..10;

/// Topic Filters, the shared ones last.
pub(crate) const FILTERS: [&str; 18] = [
    "#",
    "a/#",
    "a/+",
    "+/0",
    "a/0",
    "a/1",
    "b/+/x",
    "b/#",
    "+/+/x",
    "+/+",
    "c/+/\u{1F426}",
    "/",
    "$d/#",
    "s/+",
    "+/t",
    "$share/g0/s/+",
    "$share/g1/s/0",
    "$share/g2/s/#",
];
/// Where the shared ones begin.
pub(crate) const FIRST_SHARED: usize = 15;

/// Which filter matches which topic.
#[derive(Clone, Debug)]
pub(crate) struct Table([[bool; TOPICS.len()]; FILTERS.len()]);

impl Table {
    pub(crate) fn new() -> Self {
        Self(FILTERS.map(|filter| {
            let plain = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
            let filter = plain.map_or(filter, |(_, filter)| filter);
            TOPICS.map(|topic| matches(filter, topic))
        }))
    }

    pub(crate) const fn matches(&self, filter: usize, topic: usize) -> bool {
        self.0[filter][topic]
    }

    /// Does the filter match a shared topic?
    pub(crate) fn meets_shared(&self, filter: usize) -> bool {
        SHARED_TOPICS.into_iter().any(|topic| self.matches(filter, topic))
    }
}

/// The index of a Topic Name.
pub(crate) fn topic_index(topic: &str) -> Option<usize> {
    TOPICS.iter().position(|known| *known == topic)
}

/// Section 4.7, with recursion instead of the codec's loop.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([first, filter @ ..], [level, topic @ ..]) => {
                (*first == "+" || first == level) && levels(filter, topic)
            }
            _ => false,
        }
    }
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels(&filter, &topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_section_4_7_says() {
        for (filter, topic, expected) in [
            ("#", "a/0", true),
            ("#", "$d/t", false),
            ("+/t", "$d/t", false),
            ("$d/#", "$d/t", true),
            ("b/#", "b", true),
            ("b/+/x", "b/1/x", true),
            ("+/+", "/", true),
            ("+", "/", false),
            ("a/+", "a/0/x", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn the_shared_names_are_where_they_are_said_to_be() {
        assert!(FILTERS[FIRST_SHARED..].iter().all(|filter| filter.starts_with("$share/")));
        assert!(FILTERS[..FIRST_SHARED].iter().all(|filter| !filter.starts_with("$share/")));
        assert!(SHARED_TOPICS.into_iter().all(|topic| TOPICS[topic].starts_with("s/")));
    }
}
