//! The report docs/conformance.md.
//!
//! In:    statements, where they are cited, what may lack a line or a test.
//! Out:   Markdown with a summary and a row a statement; the same input gives the same bytes.
//! Never: line numbers, which would make it stale at every edit.

use crate::citation::{Id, Version};
use crate::spec::{Binds, Conformance, Coverage, Lacks, Place};
use std::collections::BTreeSet;
use std::fmt::Write;

const HEAD: &str = "\
<!-- Written by `cargo xtask spec` from the citations in the sources. Do not edit. -->

# Conformance

Each row is a normative statement of the OASIS Standards, in our own words. *Obeyed* names the items whose code
cites the statement, *proven* the tests that do. A statement that binds a Server and lacks either is
**missing** it, unless [exceptions.toml](spec/exceptions.toml) says why.
";

/// How many statements of one version are in which state.
#[derive(Default)]
struct Counts {
    all: usize,
    client: usize,
    obeyed_and_proven: usize,
    obeyed_only: usize,
    proven_only: usize,
    neither: usize,
    excepted: usize,
    gaps: usize,
}

/// The whole report.
pub(crate) fn render(conformance: &Conformance) -> String {
    let mut out = String::from(HEAD);
    summary(&mut out, conformance);
    for version in Version::ALL {
        table(&mut out, conformance, version);
    }
    out
}

fn summary(out: &mut String, conformance: &Conformance) {
    let [v5, v311] = Version::ALL.map(|version| count(conformance, version));
    push(out, format_args!("\n| | {} | {} |\n|---|--:|--:|\n", Version::V5, Version::V311));
    let mut row =
        |name: &str, v5: usize, v311: usize| push(out, format_args!("| {name} | {v5} | {v311} |\n"));
    row("statements", v5.all, v311.all);
    row("bind the Client alone", v5.client, v311.client);
    row("bind the Server: obeyed and proven", v5.obeyed_and_proven, v311.obeyed_and_proven);
    row("bind the Server: obeyed only", v5.obeyed_only, v311.obeyed_only);
    row("bind the Server: proven only", v5.proven_only, v311.proven_only);
    row("bind the Server: neither", v5.neither, v311.neither);
    row("excepted with a reason", v5.excepted, v311.excepted);
    row("missing a line or a test", v5.gaps, v311.gaps);
}

fn count(conformance: &Conformance, version: Version) -> Counts {
    let mut counts = Counts::default();
    for (id, statement) in conformance.statements.iter().filter(|(id, _)| id.version == version) {
        counts.all += 1;
        if statement.binds == Binds::Client {
            counts.client += 1;
            continue;
        }
        match conformance.coverage.get(id).map_or(Some(Lacks::Both), Coverage::lacks) {
            None => counts.obeyed_and_proven += 1,
            Some(Lacks::Test) => counts.obeyed_only += 1,
            Some(Lacks::Line) => counts.proven_only += 1,
            Some(Lacks::Both) => counts.neither += 1,
        }
        counts.excepted += usize::from(conformance.exceptions.contains_key(id));
        counts.gaps += usize::from(conformance.gap(id).is_some());
    }
    counts
}

fn table(out: &mut String, conformance: &Conformance, version: Version) {
    push(out, format_args!("\n## {version}\n\n"));
    out.push_str("| id | binds | statement | obeyed | proven |\n|---|---|---|---|---|\n");
    let none = Coverage::default();
    for (id, statement) in conformance.statements.iter().filter(|(id, _)| id.version == version) {
        let coverage = conformance.coverage.get(id).unwrap_or(&none);
        let binds = match statement.binds {
            Binds::Server => "Server",
            Binds::Client => "Client",
            Binds::Both => "both",
            Binds::Wire => "wire",
        };
        let text = statement.text.replace('|', "\\|");
        let obeyed = cell(conformance, id, &coverage.obeyed, Lacks::Line);
        let proven = cell(conformance, id, &coverage.proven, Lacks::Test);
        push(out, format_args!("| {id} | {binds} | {text} | {obeyed} | {proven} |\n"));
    }
}

/// The links of one cell, or why there are none.
fn cell(conformance: &Conformance, id: &Id, places: &BTreeSet<Place>, lacking: Lacks) -> String {
    if !places.is_empty() {
        let links: Vec<String> =
            places.iter().map(|place| format!("[`{}`](../{})", place.label, place.file)).collect();
        return links.join("<br>");
    }
    if let Some(exception) = conformance.exceptions.get(id)
        && exception.lacks.covers(lacking)
    {
        return exception.reason.replace('|', "\\|").replace('\n', " ");
    }
    match conformance.gap(id) {
        Some(_) => String::from("**missing**"),
        None => String::from("–"),
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Statement;

    fn conformance() -> Conformance {
        let mut conformance = Conformance::default();
        for (id, binds) in [
            ("MQTT-3.9.2-10", Binds::Server),
            ("MQTT-3.9.2-9", Binds::Wire),
            ("MQTT-3.1.2-20", Binds::Client),
        ] {
            let text = format!("What {id} wants | asks.");
            conformance.statements.insert(Id::parse(id).unwrap(), Statement { binds, text });
        }
        let place = |label: &str| Place { file: "crates/codec/src/a.rs".to_owned(), label: label.to_owned() };
        let coverage = Coverage { obeyed: BTreeSet::from([place("b"), place("a")]), ..Coverage::default() };
        conformance.coverage.insert(Id::parse("MQTT-3.9.2-9").unwrap(), coverage);
        conformance
    }

    #[test]
    fn rows_are_in_the_order_of_the_standard_and_say_what_is_missing() {
        let report = render(&conformance());

        let rows: Vec<&str> = report.lines().filter(|line| line.starts_with("| MQTT-")).collect();
        assert_eq!(
            rows,
            [
                "| MQTT-3.1.2-20 | Client | What MQTT-3.1.2-20 wants \\| asks. | – | – |",
                "| MQTT-3.9.2-9 | wire | What MQTT-3.9.2-9 wants \\| asks. | \
                 [`a`](../crates/codec/src/a.rs)<br>[`b`](../crates/codec/src/a.rs) | **missing** |",
                "| MQTT-3.9.2-10 | Server | What MQTT-3.9.2-10 wants \\| asks. | **missing** | **missing** |",
            ]
        );
    }

    #[test]
    fn the_summary_counts_every_statement_once() {
        let counts = count(&conformance(), Version::V5);

        let states = [counts.obeyed_and_proven, counts.obeyed_only, counts.proven_only, counts.neither];
        assert_eq!(states, [0, 1, 0, 1]);
        assert_eq!((counts.all, counts.client, counts.excepted, counts.gaps), (3, 1, 0, 2));
    }
}
