//! Topic Filters and Topic Names: two lines of text, the filter and the name. Parsing and matching agree with models that are
//! slow and obvious.

#![no_main]

use dunlin_codec::{TopicFilter, TopicName, matches};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (filter_text, name_text) = input.split_once('\n').unwrap_or((input, "a/b"));
    let filter = TopicFilter::parse(filter_text);
    let name = TopicName::parse(name_text);

    assert_eq!(name.is_ok(), !name_text.is_empty() && !name_text.contains(['+', '#', '\0']), "{name_text:?}");
    assert_eq!(filter.is_ok(), is_filter(filter_text), "{filter_text:?}");
    if let (Ok(filter), Ok(name)) = (filter, name) {
        let inner = filter.shared().map_or(filter_text, |shared| shared.filter.as_str());
        assert_eq!(matches(filter, name), obviously_matches(inner, name_text), "{inner:?} and {name_text:?}");
    }
});

fn is_filter(text: &str) -> bool {
    let plain = |level: &str| !level.contains(['+', '#']);
    let levels: Vec<&str> = text.split('/').collect();
    let mut filter = &levels[..];
    if levels[0] == "$share" {
        let [_, name, rest @ ..] = &levels[..] else { return false };
        if name.is_empty() || !plain(name) || rest.is_empty() || rest == [""] || rest[0] == "$share" {
            return false;
        }
        filter = rest;
    }
    let Some((last, front)) = filter.split_last() else { return false };
    !text.is_empty()
        && !text.contains('\0')
        && front.iter().all(|level| *level == "+" || plain(level))
        && (matches!(*last, "+" | "#") || plain(last))
}

fn obviously_matches(filter: &str, name: &str) -> bool {
    fn levels_match(filter: &[&str], name: &[&str]) -> bool {
        match (filter, name) {
            ([], []) | (["#"], _) => true,
            ([wanted, filter @ ..], [level, name @ ..]) => {
                (wanted == level || *wanted == "+") && levels_match(filter, name)
            }
            _ => false,
        }
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let hidden = name.starts_with('$') && matches!(filter[0], "+" | "#");
    !hidden && levels_match(&filter, &name.split('/').collect::<Vec<_>>())
}
