//! Changes of the text of a policy file, every other byte of which stays: comments, order, spacing.
//!
//! In:    text, and the rule to add or the line of the one to remove.
//! Out:   other text, which is a valid policy with that rule or without it, and is otherwise the same.
//! Never: files.

use super::fault::Fault;
use super::file::parse;
use super::rule::Rule;

/// Why text is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is no policy to begin with.
    #[error("the policy has faults")]
    Invalid(Vec<Fault>),
    /// No rule begins there.
    #[error("no rule begins at line {line}")]
    NoRule {
        /// Counted from 1.
        line: usize,
    },
    /// The rule is there already.
    #[error("the same rule stands at line {line}")]
    Known {
        /// Counted from 1.
        line: usize,
    },
    /// The rules are written as one list of inline tables.
    #[error("the rules are not written as [[rule]] blocks, so they are changed by hand only")]
    NotBlocks,
}

/// The text with a rule at its end.
///
/// # Errors
/// When the text is no policy, or has the rule.
pub fn add(text: &str, rule: &Rule) -> Result<String, EditError> {
    let before = parse(text).map_err(EditError::Invalid)?;
    if let Some(known) = before.rules.iter().find(|known| is_same(known, rule)) {
        return Err(EditError::Known { line: known.line });
    }
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&rule.to_toml());
    let after = parse(&out).map_err(|_| EditError::NotBlocks)?;
    let is_right = after.rules.len() == before.rules.len() + 1
        && after.rules.iter().zip(before.rules.iter().chain([rule])).all(|(one, other)| is_same(one, other));
    if is_right { Ok(out) } else { Err(EditError::NotBlocks) }
}

/// The text without the rule that begins at a line, and what was taken out: its block, and the comment that stands right above.
///
/// # Errors
/// When the text is no policy, or no rule begins there.
pub fn remove(text: &str, line: usize) -> Result<(String, String), EditError> {
    let before = parse(text).map_err(EditError::Invalid)?;
    let at = before.rules.iter().position(|rule| rule.line == line).ok_or(EditError::NoRule { line })?;
    let place = &before.places[at];
    if !text[place.start..].starts_with("[[") {
        return Err(EditError::NotBlocks);
    }
    let start = above(text, place.start);
    let mut end = text[place.end..].find('\n').map_or(text.len(), |newline| place.end + newline + 1);
    // One empty line goes with the block, so that none pile up.
    if let Some(rest) = text[end..].strip_prefix('\n') {
        end = text.len() - rest.len();
    }
    let mut out = text[..start].to_owned();
    out.push_str(&text[end..]);
    if end == text.len() && out.ends_with("\n\n") {
        out.pop();
    }
    let after = parse(&out).map_err(|_| EditError::NotBlocks)?;
    let others = before.rules.iter().enumerate().filter(|(number, _)| *number != at);
    let is_right = after.rules.len() + 1 == before.rules.len()
        && after.rules.iter().zip(others).all(|(one, (_, other))| is_same(one, other));
    if is_right { Ok((out, text[start..end].to_owned())) } else { Err(EditError::NotBlocks) }
}

/// The start of the lines right above that are comments.
fn above(text: &str, block: usize) -> usize {
    let own = text[..block].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = own;
    while let Some(line) = text[..start].strip_suffix('\n') {
        let line_start = line.rfind('\n').map_or(0, |newline| newline + 1);
        if !line[line_start..].trim_start().starts_with('#') {
            break;
        }
        start = line_start;
    }
    // A comment that opens the file is about the file.
    if start == 0 { own } else { start }
}

fn is_same(one: &Rule, other: &Rule) -> bool {
    let key = |rule: &Rule| Rule { line: 0, ..rule.clone() };
    key(one) == key(other)
}
