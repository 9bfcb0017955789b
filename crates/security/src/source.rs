//! The text of a TOML file that somebody wrote, as messages about it show it.
//!
//! In:    the text, ranges of its bytes, values.
//! Out:   lines and columns, excerpts, names of types.
//! Never: what the file is about.

use std::ops::Range;

use toml::de::DeValue;

/// The text of a file, with the places of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a>(pub &'a str);

/// Longest value repeated in a message, in characters.
const LONGEST_VALUE: usize = 60;

impl Source<'_> {
    /// The line and the column of a byte, both counted from 1.
    #[must_use]
    pub fn place(self, at: usize) -> (usize, usize) {
        let before = self.0.get(..at).unwrap_or(self.0);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The text at a range of bytes, on one line and not too long.
    #[must_use]
    pub fn excerpt(self, at: &Range<usize>) -> String {
        let line = self.0.get(at.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        match line.char_indices().nth(LONGEST_VALUE) {
            None => line.to_owned(),
            Some((end, _)) => format!("{}...", &line[..end]),
        }
    }
}

/// What a value is, in words.
#[must_use]
pub const fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
