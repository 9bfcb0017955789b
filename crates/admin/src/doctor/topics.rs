//! The shape of topics: what makes them long, hard to match, or two where one is meant.

use std::collections::BTreeMap;

/// Levels beyond which a topic is deep; what others commonly take is seven or eight.
const LEVELS: usize = 8;
/// Seconds since 1970 that a level with a time would have: from 2014 to 2033.
const TIMES: std::ops::Range<u64> = 1_400_000_000..2_000_000_000;
/// What a last level is called by those who send commands.
const COMMANDS: [&str; 8] = ["set", "cmd", "cmnd", "command", "commands", "request", "action", "trigger"];

/// What is wrong with some topics, in words, and what of it would save bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) what: String,
    pub(super) mend: &'static str,
    /// Bytes of each message that would not be needed.
    pub(super) bytes: u64,
}

/// The first flaw of topics (or filters) of one Client.
pub(super) fn flaw(topics: &[&str]) -> Option<Flaw> {
    topics.iter().find_map(|topic| own_flaw(topic)).or_else(|| odd_slash(topics)).or_else(|| odd_case(topics))
}

fn own_flaw(topic: &str) -> Option<Flaw> {
    let levels = topic.split('/').count();
    if levels > LEVELS {
        return Some(Flaw {
            what: format!("{topic} has {levels} levels"),
            mend: "fewer levels, up to 8: what no filter asks for belongs into the payload; \
                   with MQTT 5.0 a Topic Alias stands for the topic",
            bytes: (topic.len() as u64).saturating_sub(3),
        });
    }
    if topic.contains("//") || topic.len() > 1 && topic.ends_with('/') {
        return Some(Flaw {
            what: format!("{topic} has an empty level"),
            mend: "no empty levels: a filter with one matches nothing else, and one without does not match it",
            bytes: 1,
        });
    }
    if topic.contains(char::is_whitespace) {
        return Some(Flaw {
            what: format!("{topic:?} has a space"),
            mend: "no spaces in topics: nobody sees them, and a filter without does not match",
            bytes: 0,
        });
    }
    let time = topic.split('/').find(|level| is_time(level))?;
    Some(Flaw {
        what: format!("{topic} has a time as a level, {time}"),
        mend: "the time into the payload: each message has a topic of its own, which no route is kept for",
        bytes: time.len() as u64 + 1,
    })
}

/// Some begin with a slash and others do not: two trees.
fn odd_slash(topics: &[&str]) -> Option<Flaw> {
    let with = topics.iter().find(|topic| topic.starts_with('/'))?;
    let without = topics.iter().find(|topic| !topic.starts_with(['/', '$', '#', '+']))?;
    Some(Flaw {
        what: format!("{with} begins with a slash, {without} does not"),
        mend: "no slash at the beginning: it is an empty level, and a tree of its own",
        bytes: 1,
    })
}

/// Two that differ in capitals alone, at the first level where they differ.
fn odd_case(topics: &[&str]) -> Option<Flaw> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for topic in topics {
        let mut at = 0;
        for level in topic.split('/') {
            at += level.len();
            let path = &topic[..at];
            let known = *seen.entry(path.to_lowercase()).or_insert(path);
            if known != path {
                return Some(Flaw {
                    what: format!("{known} and {path} differ in capitals alone"),
                    mend: "one spelling: to MQTT they are different topics",
                    bytes: 0,
                });
            }
            at += 1;
        }
    }
    None
}

/// Seconds or milliseconds since 1970?
pub(super) fn is_time(level: &str) -> bool {
    let is_number = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit());
    let number = level.parse::<u64>().unwrap_or_default();
    is_number && (TIMES.contains(&number) || TIMES.contains(&(number / 1000)))
}

/// Does its last level say that it is a command?
pub(super) fn is_command(topic: &str) -> bool {
    let last = topic.rsplit('/').next().unwrap_or_default();
    COMMANDS.iter().any(|command| last.eq_ignore_ascii_case(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flaw_is_found_and_its_opposite_is_none() {
        for (topics, what) in [
            (&["a/b/c/d/e/f/g/h/i"][..], "9 levels"),
            (&["a//b"], "empty level"),
            (&["a/b/"], "empty level"),
            (&["living room/lamp"], "has a space"),
            (&["log/1700000000/x"], "a time"),
            (&["log/1700000000123"], "a time"),
            (&["/plant/1", "plant/2"], "begins with a slash"),
            (&["plant/1/temp", "Plant/2/temp"], "capitals"),
            (&["plant/1/Temp", "plant/1/temp"], "capitals"),
        ] {
            let found = flaw(topics).unwrap_or_else(|| panic!("{topics:?}"));
            assert!(found.what.contains(what), "{topics:?}: {found:?}");
        }
        for topics in [
            &["a/b/c/d/e/f/g/h"][..],
            &["/plant/1", "/plant/2", "$SYS/#", "#"],
            &["plant/1/temp", "plant/2/temp", "plant/2/hum"],
            &["meter/4711", "meter/123456789"],
            &["/"],
            &[],
        ] {
            assert_eq!(flaw(topics), None, "{topics:?}");
        }
    }

    #[test]
    fn commands_are_told_by_their_last_level() {
        assert!(is_command("lamp/7/set") && is_command("cmnd/lamp/CMD"));
        assert!(!is_command("set/of/values") && !is_command("lamp/7/state"));
    }
}
