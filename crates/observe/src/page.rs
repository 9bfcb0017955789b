//! The catalogue as a page of the manual.

use std::fmt::Write;

use crate::catalogue::Metric;

const HEAD: &str = "\
# Metrics

Every metric that `[metrics] listen` shows, as queries name it. This page is made from the catalogue in the sources.
[monitoring.md](monitoring.md) says how to collect them and what to watch.

";

/// docs/metrics.md
#[must_use]
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    let mut area = "";
    for metric in Metric::ALL {
        let (name, of) = (metric.name(), metric.family().split('_').next().unwrap_or_default());
        if area != of {
            let newline = if area.is_empty() { "" } else { "\n" };
            area = of;
            let _ = write!(
                out,
                "{newline}## `{area}_`\n\n| name | kind | label | what it says |\n|---|---|---|---|\n"
            );
        }
        let label = if metric.label().is_empty() { String::new() } else { format!("`{}`", metric.label()) };
        let _ = writeln!(out, "| `{name}` | {} | {label} | {} |", metric.kind().name(), metric.help());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page(), "docs/metrics.md is out of date: BLESS=1 cargo test -p dunlin-observe");
    }
}
