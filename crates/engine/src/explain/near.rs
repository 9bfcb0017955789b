//! How far a Topic Filter is from matching a topic, and where they part.
//!
//! Spec:  MQTT 5.0 section 4.7.

/// The first level at which a Topic Filter and a topic differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Counted from 1; 0 where they do not differ.
    pub level: usize,
    /// How.
    pub difference: Difference,
    /// 0 where the filter matches; the larger, the less alike.
    pub distance: u32,
}

/// How a level of a Topic Filter differs from that of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Not at all.
    None,
    /// A wildcard at the first level does not match topics that begin with `$` [MQTT-4.7.2-1].
    Dollar,
    /// Only in upper and lower case.
    Case {
        /// The filter's level.
        filter: Box<str>,
        /// The topic's level.
        topic: Box<str>,
    },
    /// In spaces around it.
    Space {
        /// The filter's level.
        filter: Box<str>,
        /// The topic's level.
        topic: Box<str>,
    },
    /// In other characters.
    Text {
        /// The filter's level.
        filter: Box<str>,
        /// The topic's level.
        topic: Box<str>,
    },
    /// The topic begins with `/`, the filter does not; or the other way round.
    LeadingSlash {
        /// It is the topic.
        topic_has: bool,
    },
    /// The topic ends with `/`, the filter does not; or the other way round.
    TrailingSlash {
        /// It is the topic.
        topic_has: bool,
    },
    /// The topic has more levels; `plus`: the last of the filter is `+`, which is one level.
    TopicLonger {
        /// `+`, where `#` may have been meant.
        plus: bool,
    },
    /// The topic has fewer levels.
    TopicShorter,
}

/// How far a filter (without `$share/name/`) is from matching a topic.
#[must_use]
pub fn gap(filter: &str, topic: &str) -> Gap {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Gap { level: 1, difference: Difference::Dollar, distance: 3 };
    }
    let shifted =
        |one: &str, other: &str| one.strip_prefix('/').is_some_and(|rest| matches_text(rest, other));
    let is_shifted = if topic.starts_with('/') && !filter.starts_with('/') {
        topic.strip_prefix('/').is_some_and(|rest| matches_text(filter, rest)).then_some(true)
    } else {
        shifted(filter, topic).then_some(false)
    };
    if let Some(topic_has) = is_shifted.filter(|_| !matches_text(filter, topic)) {
        return Gap { level: 1, difference: Difference::LeadingSlash { topic_has }, distance: 1 };
    }
    walk(filter, topic)
}

/// Level by level: the first difference, and the sum of all.
fn walk(filter: &str, topic: &str) -> Gap {
    let (mut filters, mut topics) = (filter.split('/').peekable(), topic.split('/').peekable());
    let mut gap = Gap { level: 0, difference: Difference::None, distance: 0 };
    let mut last = "";
    for level in 1.. {
        let (wanted, has) = (filters.next(), topics.next());
        let (difference, distance) = match (wanted, has) {
            (Some("#"), _) | (None, None) => break,
            (Some(wanted), Some(has)) => {
                last = wanted;
                match level_gap(wanted, has) {
                    Some(found) => found,
                    None => continue,
                }
            }
            (None, Some("")) if topics.peek().is_none() => (Difference::TrailingSlash { topic_has: true }, 1),
            (Some(""), None) if filters.peek().is_none() => {
                (Difference::TrailingSlash { topic_has: false }, 1)
            }
            (None, Some(_)) => (Difference::TopicLonger { plus: last == "+" }, 3),
            (Some(_), None) => (Difference::TopicShorter, 3),
        };
        if gap.level == 0 {
            (gap.level, gap.difference) = (level, difference);
        }
        gap.distance += distance;
    }
    gap
}

/// `None` where the level matches.
fn level_gap(wanted: &str, has: &str) -> Option<(Difference, u32)> {
    let (filter, topic) = (wanted.into(), has.into());
    if wanted == has || wanted == "+" {
        None
    } else if wanted.to_lowercase() == has.to_lowercase() {
        Some((Difference::Case { filter, topic }, 1))
    } else if wanted.trim() == has.trim() {
        Some((Difference::Space { filter, topic }, 1))
    } else {
        Some((Difference::Text { filter, topic }, 2 + edits(wanted, has).min(8)))
    }
}

fn matches_text(filter: &str, topic: &str) -> bool {
    walk(filter, topic).distance == 0
}

/// Characters to be changed, added or taken away; long texts count as far apart.
fn edits(one: &str, other: &str) -> u32 {
    const LONGEST: usize = 64;
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len() > LONGEST || other.len() > LONGEST {
        return u32::MAX;
    }
    let mut row: Vec<u32> = (0..).take(other.len() + 1).collect();
    for (above, left) in one.iter().zip(1..) {
        let mut diagonal = std::mem::replace(&mut row[0], left);
        for (at, character) in other.iter().enumerate() {
            let changed = diagonal + u32::from(above != character);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(filter: &str, topic: &str) -> (usize, Difference) {
        let Gap { level, difference, distance } = gap(filter, topic);
        assert_eq!(distance == 0, difference == Difference::None);
        (level, difference)
    }

    #[test]
    fn what_matches_has_no_gap() {
        for (filter, topic) in [("a/b", "a/b"), ("#", "a"), ("a/#", "a"), ("a/+/c", "a/b/c"), ("+/b", "/b")] {
            assert_eq!(gap(filter, topic).distance, 0, "{filter} {topic}");
        }
    }

    #[test]
    fn the_first_level_that_differs_is_named_with_how() {
        let pair = |filter: &str, topic: &str| (Box::from(filter), Box::from(topic));
        let (filter, topic) = pair("Temp", "temp");
        assert_eq!(differs("a/Temp", "a/temp"), (2, Difference::Case { filter, topic }));
        let (filter, topic) = pair("temp ", "temp");
        assert_eq!(differs("a/temp ", "a/temp"), (2, Difference::Space { filter, topic }));
        let (filter, topic) = pair("line1", "line2");
        assert_eq!(differs("a/line1/#", "a/line2/temp"), (2, Difference::Text { filter, topic }));
        assert_eq!(differs("a/b", "a/b/"), (3, Difference::TrailingSlash { topic_has: true }));
        assert_eq!(differs("a/b/", "a/b"), (3, Difference::TrailingSlash { topic_has: false }));
        assert_eq!(differs("a/b", "/a/b"), (1, Difference::LeadingSlash { topic_has: true }));
        assert_eq!(differs("/a/b", "a/b"), (1, Difference::LeadingSlash { topic_has: false }));
        assert_eq!(differs("a/+", "a/b/c"), (3, Difference::TopicLonger { plus: true }));
        assert_eq!(differs("a", "a/b"), (2, Difference::TopicLonger { plus: false }));
        assert_eq!(differs("a/b/+", "a/b"), (3, Difference::TopicShorter));
        assert_eq!(differs("#", "$SYS/x"), (1, Difference::Dollar));
        assert_eq!(differs("+/x", "$SYS/x"), (1, Difference::Dollar));
    }

    #[test]
    fn a_slip_is_nearer_than_something_else() {
        let ordered =
            ["plant/line1/temp", "plant/line1/Temp", "plant/line1/tmp", "plant/line1/humidity", "x/y"];
        let distances = ordered.map(|filter| gap(filter, "plant/line1/temp").distance);
        assert!(distances.is_sorted(), "{distances:?}");
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
