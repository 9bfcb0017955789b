//! Tables for people: columns as wide as they must be.
//!
//! Never: a control character of somebody else's: it could write over what stands on the terminal.

/// A table.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these heads.
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    /// One more row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// As text; nothing where there are only heads.
    pub(crate) fn text(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Without control characters.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Seconds as people say them: `45s`, `12m`, `3h05m`, `2d04h`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_nothing_moves_the_cursor() {
        let mut table = Table::new(&["CLIENT", "QUEUE"]);
        assert_eq!(table.text(), "");
        table.row(["pump-7-north".to_owned(), "0".to_owned()]);
        table.row(["\u{1b}[2J\n".to_owned(), String::new()]);
        assert_eq!(table.text(), "CLIENT        QUEUE\npump-7-north  0\n\\u{1b}[2J\\n\n");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [0, 119, 120, 7199, 7200, 11_100, 172_800, 180_000].map(span);
        assert_eq!(spans, ["0s", "119s", "2m", "119m", "2h00m", "3h05m", "2d00h", "2d02h"]);
    }
}
