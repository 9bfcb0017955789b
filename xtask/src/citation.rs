//! Citations of normative statements: what an id is and where a text holds one.
//!
//! In:    any text.
//! Out:   each id with its line; bracketed ids that are not of the form are told apart.
//! Never: whether such a statement exists.

use std::fmt;

/// The version of MQTT that a statement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V5,
    V311,
}

impl Version {
    /// Both, newest first.
    pub(crate) const ALL: [Self; 2] = [Self::V5, Self::V311];

    fn prefix(self) -> &'static str {
        match self {
            Self::V5 => "MQTT-",
            Self::V311 => "MQTT311-",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5 => "MQTT 5.0",
            Self::V311 => "MQTT 3.1.1",
        })
    }
}

/// The id of a statement, ordered as in the Standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) version: Version,
    section: [u16; 3],
    number: u16,
}

impl Id {
    /// Reads an id that is the whole of `text`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match Self::prefix_of(text)? {
            (id, "") => Some(id),
            _ => None,
        }
    }

    /// Reads an id that `text` begins with, and returns what follows.
    fn prefix_of(text: &str) -> Option<(Self, &str)> {
        let (version, rest) = Version::ALL
            .into_iter()
            .find_map(|version| Some((version, text.strip_prefix(version.prefix())?)))?;
        let (chapter, rest) = number(rest)?;
        let (part, rest) = number(rest.strip_prefix('.')?)?;
        let (subpart, rest) = number(rest.strip_prefix('.')?)?;
        let (number, rest) = number(rest.strip_prefix('-')?)?;
        Some((Self { version, section: [chapter, part, subpart], number }, rest))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [chapter, part, subpart] = self.section;
        write!(f, "{}{chapter}.{part}.{subpart}-{}", self.version.prefix(), self.number)
    }
}

/// What a text cites at a line, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation<'a> {
    pub(crate) line: usize,
    /// The id, or the text that would be one.
    pub(crate) id: Result<Id, &'a str>,
}

/// Every citation of `text`, in order.
pub(crate) fn find(text: &str) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("MQTT") {
            let before = line[..at].chars().next_back();
            if before.is_some_and(crate::lex::is_word) {
                continue;
            }
            if let Some(id) = read(&line[at..], before == Some('[')) {
                found.push(Citation { line: number + 1, id });
            }
        }
    }
    found
}

fn read(text: &str, bracketed: bool) -> Option<Result<Id, &str>> {
    let whole = |rest: &str| !rest.starts_with(|c| crate::lex::is_word(c) || c == '.' || c == '-');
    match Id::prefix_of(text) {
        // A full stop after an id ends a sentence unless a digit follows.
        Some((id, rest)) if whole(rest) || ends_sentence(rest) => Some(Ok(id)),
        _ if bracketed && meant_as_id(text) => Some(Err(text.split([']', ' ']).next().unwrap_or(text))),
        _ => None,
    }
}

fn ends_sentence(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_digit()))
}

fn meant_as_id(text: &str) -> bool {
    Version::ALL.into_iter().any(|version| {
        text.strip_prefix(version.prefix()).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        let show = |citation: Citation<'_>| match citation.id {
            Ok(id) => format!("{}:{id}", citation.line),
            Err(text) => format!("{}:?{text}", citation.line),
        };
        find(text).into_iter().map(show).collect()
    }

    #[test]
    fn a_line_may_cite_several_statements_of_both_versions() {
        let text = "a [MQTT-3.1.2-22][MQTT311-3.1.2-24]\n// [MQTT-4.7.1-1, MQTT-4.7.1-2] and\nb";

        let found = ids(text);

        assert_eq!(found, ["1:MQTT-3.1.2-22", "1:MQTT311-3.1.2-24", "2:MQTT-4.7.1-1", "2:MQTT-4.7.1-2"]);
    }

    #[test]
    fn an_id_may_end_a_sentence() {
        assert_eq!(ids("see MQTT-3.1.2-22. Then"), ["1:MQTT-3.1.2-22"]);
    }

    #[test]
    fn a_bracketed_id_of_another_form_is_told_apart() {
        assert_eq!(ids("[MQTT-3.1.2.7]"), ["1:?MQTT-3.1.2.7"]);
        assert_eq!(ids("[MQTT-3.1.2-7a]"), ["1:?MQTT-3.1.2-7a"]);
        assert_eq!(ids("[MQTT311-3.1.2]"), ["1:?MQTT311-3.1.2"]);
    }

    #[test]
    fn prose_about_mqtt_cites_nothing() {
        assert!(ids("MQTT-5.0, [MQTT-SN], `[MQTT-x.y.z-n]`, XMQTT-3.1.2-22, MQTT 3.1.1").is_empty());
    }

    #[test]
    fn ids_are_ordered_by_number() {
        let [nine, ten, later] = ["MQTT-3.9.2-9", "MQTT-3.9.2-10", "MQTT-3.10.1-1"].map(Id::parse);

        assert!(nine < ten && ten < later);
        assert_eq!(Id::parse("MQTT-3.9.2-9 "), None);
    }
}
