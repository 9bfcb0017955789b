//! Instructions for a unit of work, held against what they were.
//!
//! In:    the programme `dunlin-counts`, built for release and run under callgrind; bench/counts.toml.
//! Out:   a table; a finding for each piece of work that became more than a twentieth dearer. `counts` also writes the new
//!        figures, which is for when they fell, or when what is gained is worth them and a comment there says so.
//! Never: time, which another load on the machine would change.

use crate::report::{Fault, Finding};
use crate::workspace::Workspace;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE: &str = "bench/counts.toml";
/// In hundredths, what a figure may grow by: compilers and libraries differ by less.
const TOLERATED: u64 = 105;

/// Measures, and compares with the file.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let (text, kept) = kept(workspace)?;
    let measured = measure(workspace, &kept)?;
    Ok(compare(&text, &kept, &measured))
}

/// Measures, and writes the file; comments in it stay.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let (text, kept) = kept(workspace)?;
    let measured = measure(workspace, &kept)?;
    workspace.write(FILE, &renew(&text, &measured))?;
    Ok(Vec::new())
}

fn kept(workspace: &Workspace) -> Result<(String, BTreeMap<String, u64>), Fault> {
    let text = workspace.read_or_empty(FILE)?;
    let form = |e: toml::de::Error| Fault::Form { path: FILE.to_owned(), message: e.to_string() };
    let kept = toml::from_str(&text).map_err(form)?;
    Ok((text, kept))
}

/// Instructions a unit, in the order of the programme.
fn measure(workspace: &Workspace, kept: &BTreeMap<String, u64>) -> Result<Vec<(String, u64)>, Fault> {
    let programme = build(workspace)?;
    let names = output(Command::new(&programme))?.0;
    let mut measured = Vec::new();
    for name in names.lines() {
        let count = count(&programme, name)?;
        let change = kept.get(name).map_or_else(String::new, |before| {
            format!("{:+.1} %", 100.0 * (count as f64 / *before as f64 - 1.0))
        });
        println!("{count:>9}  {name:<44}{change}");
        measured.push((name.to_owned(), count));
    }
    Ok(measured)
}

fn build(workspace: &Workspace) -> Result<PathBuf, Fault> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--release", "--locked", "-p", "dunlin-counts"])
        .current_dir(workspace.root());
    output(command)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(workspace.root().join(target).join("release/dunlin-counts"))
}

fn count(programme: &Path, name: &str) -> Result<u64, Fault> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"]);
    let (stdout, stderr) = output({
        command.arg(programme).arg(name);
        command
    })?;
    let units = stdout.lines().find_map(|line| line.trim().parse::<u64>().ok()).filter(|units| *units > 0);
    let collected =
        stderr.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match (units, collected.filter(|collected| *collected > 0)) {
        (Some(units), Some(collected)) => Ok(collected / units),
        _ => Err(Fault::Tool(format!("callgrind counted nothing for {name:?}: {stderr}"))),
    }
}

fn output(mut command: Command) -> Result<(String, String), Fault> {
    let output = command.output();
    let program = command.get_program().display();
    let output = output.map_err(|error| Fault::Tool(format!("{program}: {error}")))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), stderr));
    }
    Err(Fault::Tool(format!("{program}: {}: {stderr}", output.status)))
}

fn compare(text: &str, kept: &BTreeMap<String, u64>, measured: &[(String, u64)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, count) in measured {
        let line = text.lines().position(|line| is_of(line, name)).map_or(0, |index| index + 1);
        let message = match kept.get(name) {
            None => format!("no figure for {name:?}; `cargo xtask counts` writes it"),
            Some(before) if count * 100 > before * TOLERATED => {
                format!("{name}: {count} instructions, {before} before: more than a twentieth dearer")
            }
            Some(_) => continue,
        };
        findings.push(Finding::new(FILE, line, message));
    }
    let gone = |name: &&String| measured.iter().all(|(other, _)| other != *name);
    findings.extend(
        kept.keys().filter(gone).map(|name| Finding::new(FILE, 0, format!("nothing is called {name:?}"))),
    );
    findings
}

fn is_of(line: &str, name: &str) -> bool {
    line.strip_prefix('"').and_then(|line| line.strip_prefix(name)).is_some_and(|rest| rest.starts_with('"'))
}

fn renew(text: &str, measured: &[(String, u64)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, count) in measured {
        let line = format!("{name:?} = {count}");
        match lines.iter_mut().find(|line| is_of(line, name)) {
            Some(found) => *found = line,
            None => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.\n\"fan-in q0\" = 100\n\"fan-in q01\" = 7\n";

    fn kept() -> BTreeMap<String, u64> {
        toml::from_str(TEXT).unwrap()
    }

    fn measured(count: u64) -> Vec<(String, u64)> {
        vec![("fan-in q0".to_owned(), count), ("fan-in q01".to_owned(), 7)]
    }

    #[test]
    fn a_twentieth_is_tolerated_and_more_is_not() {
        assert_eq!(compare(TEXT, &kept(), &measured(105)), []);
        let findings = compare(TEXT, &kept(), &measured(106));
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn work_without_a_figure_and_a_figure_without_work_are_findings() {
        assert_eq!(compare("", &BTreeMap::new(), &measured(1)).len(), 2);
        assert_eq!(compare(TEXT, &kept(), &[]).len(), 2);
    }

    #[test]
    fn new_figures_keep_comments_and_their_place() {
        let new = renew(TEXT, &[("fan-in q0".to_owned(), 90), ("more".to_owned(), 1)]);
        assert_eq!(new, "# A comment.\n\"fan-in q0\" = 90\n\"fan-in q01\" = 7\n\"more\" = 1\n");
    }
}
