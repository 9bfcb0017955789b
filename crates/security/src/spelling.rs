//! The known name that somebody meant.

use std::cmp::Reverse;

/// The nearest of `names`, unless all are too far to be a slip.
#[must_use]
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is a slip; more is another word. `max` for `maximum` is four.
    let slip = (wrong.chars().count() / 3).max(1);
    let start = |name: &str| wrong.chars().zip(name.chars()).take_while(|(one, other)| one == other).count();
    // Of two as near, the one that begins alike: `rules` is `rule` before it is `roles`.
    let near = names.map(|name| (distance(wrong, name), Reverse(start(name)), name)).min()?;
    (near.0 <= slip).then_some(near.2)
}

/// Letters to insert, remove or replace (Levenshtein), case ignored.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|letter| letter.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (done, letter) in left.chars().map(|letter| letter.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (at, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_letters() {
        for (left, right, letters) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("Level", "level", 0)]
        {
            assert_eq!(distance(left, right), letters);
            assert_eq!(distance(right, left), letters);
        }
    }

    #[test]
    fn a_slip_has_a_nearest_name_and_another_word_has_none() {
        let names = ["maximum_packet_size", "receive_maximum"];
        assert_eq!(nearest("max_packet_size", names.into_iter()), Some("maximum_packet_size"));
        assert_eq!(nearest("recieve_maximum", names.into_iter()), Some("receive_maximum"));
        assert_eq!(nearest("persistence", names.into_iter()), None);
        assert_eq!(nearest("x", [].into_iter()), None);
        assert_eq!(nearest("rules", ["roles", "rule"].into_iter()), Some("rule"));
    }
}
