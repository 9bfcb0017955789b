//! Import direction: the table in ARCHITECTURE.md against the manifests.
//!
//! In:    the table under the heading `## Imports`, with the columns `crate` and `may import`;
//!        `cargo metadata`. A name is a package's, with or without `dunlin-`; `name (dev)` allows it to
//!        tests alone; a dash or nothing means no workspace crate.
//! Out:   a finding for each import that no row allows, each crate without a row, each name of no crate.
//! Never: packages from outside the workspace.

use crate::report::{Fault, Finding};
use crate::workspace::Workspace;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const FILE: &str = "ARCHITECTURE.md";
const HEADING: &str = "## Imports";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for a normal dependency.
    kind: Option<String>,
}

struct Row {
    line: usize,
    /// What may be imported, and whether by tests alone.
    imports: BTreeMap<String, bool>,
}

/// Checks the manifests against the table.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let metadata = metadata(workspace)?;
    let text = workspace.read(FILE)?;
    Ok(compare(&text, &metadata))
}

fn metadata(workspace: &Workspace) -> Result<Metadata, Fault> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let output = command.current_dir(workspace.root()).output().map_err(|e| Fault::Cargo(e.to_string()))?;
    if !output.status.success() {
        return Err(Fault::Cargo(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| Fault::Cargo(e.to_string()))
}

fn compare(text: &str, metadata: &Metadata) -> Vec<Finding> {
    let crates: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    let Some(rows) = table(text, &crates, &mut findings) else {
        return vec![Finding::new(FILE, 0, format!("no table under `{HEADING}`"))];
    };
    for package in &metadata.packages {
        let Some(row) = rows.get(&package.name) else {
            findings.push(Finding::new(FILE, 0, format!("no row for the crate `{}`", package.name)));
            continue;
        };
        for import in package.dependencies.iter().filter(|import| crates.contains(import.name.as_str())) {
            let dev = import.kind.as_deref() == Some("dev");
            let allowed = row.imports.get(&import.name).is_some_and(|dev_only| dev || !dev_only);
            if !allowed && import.name != package.name {
                let kind = if dev { " in its tests" } else { "" };
                let message =
                    format!("`{}` imports `{}`{kind}, which its row lacks", package.name, import.name);
                findings.push(Finding::new(FILE, row.line, message));
            }
        }
    }
    findings.sort();
    findings
}

/// The rows by package name, or nothing where there is no table.
fn table(text: &str, crates: &BTreeSet<&str>, findings: &mut Vec<Finding>) -> Option<BTreeMap<String, Row>> {
    let section = text.lines().enumerate().skip_while(|(_, line)| line.trim() != HEADING).skip(1);
    let lines = section.take_while(|(_, line)| !line.starts_with("## ")).filter(|(_, line)| is_row(line));
    let mut rows = BTreeMap::new();
    // The first two are the names of the columns and the rule below them.
    let mut lines = lines.skip(1);
    lines.next()?;
    for (number, line) in lines {
        let mut cells = line.trim().trim_matches('|').split('|');
        let mut resolve = |cell: &str| {
            let name = package(cell.trim().trim_matches('`'), crates);
            if name.is_none() {
                findings.push(Finding::new(FILE, number + 1, format!("`{}` is no crate here", cell.trim())));
            }
            name
        };
        let Some(name) = resolve(cells.next().unwrap_or_default()) else { continue };
        let imports = cells.next().unwrap_or_default().split(',').map(str::trim);
        let imports = imports.filter(|import| !matches!(*import, "" | "-" | "–" | "—"));
        let imports = imports.filter_map(|import| match import.strip_suffix("(dev)") {
            Some(dev) => Some((resolve(dev)?, true)),
            None => Some((resolve(import)?, false)),
        });
        let imports = imports.collect();
        rows.insert(name, Row { line: number + 1, imports });
    }
    Some(rows)
}

fn is_row(line: &str) -> bool {
    line.trim_start().starts_with('|')
}

fn package(name: &str, crates: &BTreeSet<&str>) -> Option<String> {
    let long = format!("dunlin-{name}");
    // `cli` is the crate's folder, `dunlin` its package.
    let candidates = [name, long.as_str(), if name == "cli" { "dunlin" } else { name }];
    candidates.into_iter().find(|candidate| crates.contains(candidate)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{ "packages": [
        { "name": "dunlin-codec", "dependencies": [{ "name": "bytes", "kind": null }] },
        { "name": "dunlin-engine", "dependencies": [
            { "name": "dunlin-codec", "kind": null }, { "name": "dunlin-sim", "kind": "dev" }] },
        { "name": "dunlin-sim", "dependencies": [{ "name": "dunlin-engine", "kind": null }] },
        { "name": "dunlin", "dependencies": [] }
    ] }"#;

    const HEAD: &str = "# Dunlin\n\n## Imports\n\nWords.\n\n| crate | may import |\n|---|---|\n";

    fn findings(rows: &str) -> Vec<String> {
        let metadata: Metadata = serde_json::from_str(METADATA).unwrap();
        let found = compare(&format!("{HEAD}{rows}\n## Next\n\n| x | y |\n"), &metadata);
        found.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_table_that_tells_the_truth_is_accepted() {
        let rows =
            "| `codec` | — |\n| dunlin-engine | codec, sim (dev) |\n| sim | codec, engine |\n| cli | |";

        assert_eq!(findings(rows), [""; 0]);
    }

    #[test]
    fn an_import_without_leave_is_found() {
        let rows = "| codec | |\n| engine | |\n| sim | engine |\n| cli | |";

        assert_eq!(
            findings(rows),
            [
                "ARCHITECTURE.md:10: `dunlin-engine` imports `dunlin-codec`, which its row lacks",
                "ARCHITECTURE.md:10: `dunlin-engine` imports `dunlin-sim` in its tests, which its row lacks",
            ]
        );
    }

    #[test]
    fn leave_for_tests_is_none_for_the_crate() {
        let rows = "| codec | |\n| engine | codec, sim |\n| sim | engine (dev) |\n| cli | |";

        let found = findings(rows);

        assert_eq!(found, ["ARCHITECTURE.md:11: `dunlin-sim` imports `dunlin-engine`, which its row lacks"]);
    }

    #[test]
    fn rows_and_names_without_a_crate_are_found() {
        let rows = "| codec | stoer |\n| engine | codec, sim |\n| sim | engine |\n| store | |";

        assert_eq!(
            findings(rows),
            [
                "ARCHITECTURE.md: no row for the crate `dunlin`",
                "ARCHITECTURE.md:9: `stoer` is no crate here",
                "ARCHITECTURE.md:12: `store` is no crate here",
            ]
        );
    }

    #[test]
    fn a_file_without_the_table_is_found() {
        let metadata: Metadata = serde_json::from_str(METADATA).unwrap();

        let found = compare("# Dunlin\n\n## Imports\n\nNone.\n", &metadata);

        assert_eq!(found[0].to_string(), "ARCHITECTURE.md: no table under `## Imports`");
    }
}
