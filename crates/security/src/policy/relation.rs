//! How two Topic Filters lie to each other.

/// Does every Topic Name that matches `inner` match `outer`? `inner` may be a Topic Name.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    if inner.starts_with('$') && outer.starts_with(['+', '#']) {
        return false;
    }
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            // `#` takes the level before it too (section 4.7.1.2).
            (Some("#"), _) | (None, None) => return true,
            // The Topic Name `a` matches `a/#` but not `a/+`; and `a/#` is more than `a/+`.
            (_, Some("#")) | (None, _) | (_, None) => return false,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

/// Is there a Topic Name that matches both?
pub(super) fn intersect(left: &str, right: &str) -> bool {
    let is_hidden = |one: &str, other: &str| one.starts_with('$') && other.starts_with(['+', '#']);
    if is_hidden(left, right) || is_hidden(right, left) {
        return false;
    }
    let (mut left, mut right) = (left.split('/'), right.split('/'));
    loop {
        match (left.next(), right.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (None, _) | (_, None) => return false,
            (Some("+"), _) | (_, Some("+")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_is_narrower() {
        for (outer, inner) in
            [("#", "a/b"), ("a/#", "a"), ("a/#", "a/#"), ("a/+", "a/b"), ("+/b", "a/b"), ("$SYS/#", "$SYS/a")]
        {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in [
            ("a/+", "a/#"),
            ("a", "a/#"),
            ("#", "$SYS/a"),
            ("+/a", "$SYS/a"),
            ("a/b", "a/+"),
            ("a/+", "a/b/c"),
        ] {
            assert!(!covers(outer, inner), "{outer} {inner}");
        }
    }

    #[test]
    fn filters_intersect_where_one_topic_matches_both() {
        for (left, right) in
            [("a/+", "+/b"), ("a/#", "a"), ("#", "+"), ("a/+/c", "a/b/#"), ("$SYS/#", "$SYS/+")]
        {
            assert!(intersect(left, right) && intersect(right, left), "{left} {right}");
        }
        for (left, right) in [("a/+", "b/+"), ("#", "$SYS/#"), ("a", "a/+"), ("a/b", "a/c")] {
            assert!(!intersect(left, right) && !intersect(right, left), "{left} {right}");
        }
    }
}
