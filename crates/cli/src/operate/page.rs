//! Lists that come in pages.

use clap::Args;
use dunlin_admin::{Asker, Page, quoted};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::Table;
use crate::failure::Failure;
use crate::say;

/// Rows that one request asks for at most.
const PAGE: u64 = 1000;

/// How much of a list, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Extent {
    /// So many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// One JSON object on a line for each
    #[arg(long)]
    json: bool,
}

impl Extent {
    /// Prints what is at a target, page by page; `parameters` without a value are left out.
    ///
    /// # Errors
    /// Where the broker cannot be asked, or says no.
    pub(crate) fn print<Row: Serialize + DeserializeOwned>(
        &self,
        asker: &Asker,
        path: &str,
        parameters: &[(&str, Option<&str>)],
        heads: &[&str],
        cells: impl Fn(&Row) -> Vec<String>,
    ) -> Result<(), Failure> {
        let mut left = if self.limit == 0 { u64::MAX } else { self.limit };
        let mut after: Option<String> = None;
        let mut table = Table::new(heads);
        while left > 0 {
            let mut target = format!("/api/v1/{path}?limit={}", left.min(PAGE));
            for (name, value) in parameters.iter().chain(&[("after", after.as_deref())]) {
                if let Some(value) = value {
                    target.push_str(&format!("&{name}={}", quoted(value)));
                }
            }
            let Page { items: rows, next } = asker.get::<Page<Row>>(&target)?;
            left = left.saturating_sub(rows.len() as u64);
            for row in &rows {
                if self.json {
                    say::line(&format!("{}\n", serde_json::to_string(row).unwrap_or_default()));
                } else {
                    table.row(cells(row));
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        say::line(&table.text());
        if after.is_some() && !self.json {
            say::complaint(&format!("dunlin: there may be more than {}; --limit 0 lists all\n", self.limit));
        }
        Ok(())
    }
}
