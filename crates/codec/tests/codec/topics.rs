//! Sections 4.7 and 4.8.2: Topic Names, Topic Filters, Shared Subscriptions.

use dunlin_codec::{TopicFilter, TopicFilterError, TopicName, TopicNameError, matches};
use proptest::prelude::*;

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn name(text: &str) -> TopicName<'_> {
    TopicName::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// [MQTT-4.7.0-1] [MQTT-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-3.3.2-2]
#[test]
fn a_topic_name_has_no_wildcard() {
    for text in ["a", "/", "a//b", "sport/tennis", "a b", "$SYS/x", "é/漢", " "] {
        assert_eq!(name(text).as_str(), text);
    }
    assert_eq!(TopicName::parse("a/+"), Err(TopicNameError::Wildcard { at: 2 }));
    assert_eq!(TopicName::parse("a#"), Err(TopicNameError::Wildcard { at: 1 }));
    assert_eq!(TopicName::parse("+"), Err(TopicNameError::Wildcard { at: 0 }));
}

/// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2] [MQTT311-4.7.3-3]
#[test]
fn names_and_filters_have_1_to_65535_bytes_and_no_null() {
    let longest = "a".repeat(65_535);
    assert!(TopicName::parse(&longest).is_ok() && TopicFilter::parse(&longest).is_ok());
    let too_long = "a".repeat(65_536);
    assert_eq!(TopicName::parse(&too_long), Err(TopicNameError::TooLong { bytes: 65_536 }));
    assert_eq!(TopicFilter::parse(&too_long), Err(TopicFilterError::TooLong { bytes: 65_536 }));
    assert_eq!(TopicName::parse(""), Err(TopicNameError::Empty));
    assert_eq!(TopicFilter::parse(""), Err(TopicFilterError::Empty));
    assert_eq!(TopicName::parse("a+\0"), Err(TopicNameError::Null { at: 2 }));
    assert_eq!(TopicFilter::parse("a/\0"), Err(TopicFilterError::Null { at: 2 }));
}

/// [MQTT-4.7.1-1] [MQTT311-4.7.1-2]
#[test]
fn the_multi_level_wildcard_is_alone_in_the_last_level() {
    for text in ["#", "a/#", "/#", "+/#", "sport/tennis/#"] {
        assert!(filter(text).has_wildcard());
    }
    for (text, at) in [("a#", 1), ("a/#/b", 2), ("##", 0), ("#/", 0), ("a/b#", 3), ("/#a", 1)] {
        assert_eq!(TopicFilter::parse(text), Err(TopicFilterError::MisplacedMultiLevel { at }), "{text}");
    }
}

/// [MQTT-4.7.1-2] [MQTT311-4.7.1-3]
#[test]
fn the_single_level_wildcard_takes_up_its_level() {
    for text in ["+", "a/+", "+/a", "/+", "+/", "a/+/b", "+/+/+"] {
        assert!(filter(text).has_wildcard());
    }
    for (text, at) in [("a+", 1), ("+a", 0), ("a/b+", 3), ("++", 0), ("a/+b/c", 2)] {
        assert_eq!(TopicFilter::parse(text), Err(TopicFilterError::MisplacedSingleLevel { at }), "{text}");
    }
    assert!(!filter("a/b").has_wildcard());
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn a_shared_filter_has_a_share_name_and_a_filter() {
    for (text, share_name, inner) in [
        ("$share/g/a", "g", "a"),
        ("$share/g/#", "g", "#"),
        ("$share/g//", "g", "/"),
        ("$share/$g/+/a", "$g", "+/a"),
        ("$share/a b/$SYS/x", "a b", "$SYS/x"),
    ] {
        let shared = filter(text).shared().unwrap();
        assert_eq!((shared.share_name.as_str(), shared.filter.as_str()), (share_name, inner));
    }
    for text in ["$share", "$share/", "$share//a", "$share/+/a", "$share/#", "$share/a+/b", "$share/#/a"] {
        assert_eq!(TopicFilter::parse(text), Err(TopicFilterError::InvalidShareName), "{text}");
    }
    for text in ["$share/g", "$share/g/"] {
        assert_eq!(TopicFilter::parse(text), Err(TopicFilterError::ShareWithoutFilter), "{text}");
    }
    assert_eq!(TopicFilter::parse("$share/g/$share/h/a"), Err(TopicFilterError::NestedShare));
    assert!(matches!(TopicFilter::parse("$share/g/a#"), Err(TopicFilterError::MisplacedMultiLevel { .. })));
    for text in ["$shared/g/a", "$SHARE/g/a", "share/g/a", "a/$share/g/b", "$sharex", "#"] {
        assert_eq!(filter(text).shared(), None, "{text}");
    }
}

/// The examples of section 4.7.1.
#[test]
fn wildcards_match_levels() {
    for (text, matching, other) in [
        (
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/ranking"][..],
            &["sport/tennis"][..],
        ),
        ("sport/#", &["sport", "sport/", "sport/a/b/c"], &["sports", "/sport"]),
        ("#", &["a", "/", "a/b/c"], &["$SYS/a"]),
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/"],
            &["sport/tennis/player1/ranking", "sport/tennis"],
        ),
        ("sport/+", &["sport/"], &["sport"]),
        ("+/+", &["/finance", "a/b"], &["finance", "a/b/c"]),
        ("/+", &["/finance"], &["finance"]),
        ("+", &["finance"], &["/finance", "$SYS"]),
        ("a//b", &["a//b"], &["a/b"]),
        ("$share/g/a/+", &["a/b"], &["$share/g/a/b"]),
    ] {
        for topic in matching {
            assert!(matches(filter(text), name(topic)), "{text} matches {topic}");
        }
        for topic in other {
            assert!(!matches(filter(text), name(topic)), "{text} does not match {topic}");
        }
    }
}

/// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_match_a_leading_dollar() {
    for text in ["#", "+", "+/monitor/Clients", "+/#", "$share/g/#", "$share/g/+/monitor/Clients"] {
        assert!(!matches(filter(text), name("$SYS/monitor/Clients")), "{text}");
    }
    for text in ["$SYS/#", "$SYS/monitor/+", "$SYS/+/Clients", "$share/g/$SYS/#"] {
        assert!(matches(filter(text), name("$SYS/monitor/Clients")), "{text}");
    }
    assert!(matches(filter("a/#"), name("a/$SYS")), "only the first character of the name counts");
    assert!(name("$SYS").is_reserved() && !name("a/$SYS").is_reserved());
}

/// [MQTT-4.7.3-4] [MQTT311-4.7.3-4] Composed and decomposed characters differ, and so do cases.
#[test]
fn names_are_compared_as_they_are() {
    assert!(!matches(filter("caf\u{E9}"), name("cafe\u{301}")));
    assert!(!matches(filter("ACCOUNTS"), name("Accounts")));
    assert!(matches(filter("\u{FEFF}a"), name("\u{FEFF}a")));
}

#[test]
fn discouraged_characters_of_a_topic_name_are_told_on_request() {
    assert!(name("a\u{1}").is_discouraged() && name("\u{FFFF}").is_discouraged());
    assert!(!name("a/é").is_discouraged());
}

/// Level by level, as section 4.7 tells it.
fn obviously_matches(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        ([], []) => true,
        (["#"], _) => true,
        (["+", filter @ ..], [_, topic @ ..]) => obviously_matches(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && obviously_matches(filter, topic),
        _ => false,
    }
}

/// A filter is well-formed exactly where each level is a wildcard or has none, and `#` comes last.
fn obviously_well_formed(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let plain = |level: &str| !level.contains(['+', '#']);
    let share = |levels: &[&str]| levels[0] != "$share";
    let filter = match levels[..] {
        ["$share", name, ref filter @ ..] => {
            if name.is_empty() || !plain(name) || filter.is_empty() || filter == [""] || !share(filter) {
                return false;
            }
            filter
        }
        _ => &levels[..],
    };
    let (last, front) = filter.split_last().unwrap();
    !text.is_empty()
        && share(filter)
        && front.iter().all(|level| *level == "+" || plain(level))
        && (matches!(*last, "+" | "#") || plain(last))
}

proptest! {
    #[test]
    fn matching_agrees_with_the_obvious(
        mut wanted in proptest::collection::vec(proptest::sample::select(vec!["", "a", "b", "$a", "+"]), 1..6),
        rest in any::<bool>(),
        levels in proptest::collection::vec(proptest::sample::select(vec!["", "a", "b", "$a"]), 1..6),
    ) {
        if rest {
            wanted.push("#");
        }
        let (text, topic) = (wanted.join("/"), levels.join("/"));
        prop_assume!(!text.is_empty() && !topic.is_empty());
        let hidden = topic.starts_with('$') && matches!(wanted[0], "+" | "#");
        prop_assert_eq!(
            matches(filter(&text), name(&topic)),
            !hidden && obviously_matches(&wanted, &levels),
            "{} and {}", text, topic
        );
    }

    #[test]
    fn parsing_agrees_with_the_obvious(text in "(\\$share(/[ab+#$]?){0,2})?[ab/+#]{0,6}") {
        prop_assert_eq!(TopicFilter::parse(&text).is_ok(), obviously_well_formed(&text), "{}", text);
    }
}
