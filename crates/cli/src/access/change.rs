//! `dunlin acl add`, `remove` and `list`.
//!
//! A file is replaced at once, by another of the same mode and owner; whoever reads it meanwhile sees the old rules or the
//! new ones. Changes from several terminals wait for each other.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use dunlin_security::policy::{
    BUILT_IN, Conditions, EditError, Effect, PolicyFile, Rule, Subject, Template, add as add_to,
    remove as remove_from,
};

use super::arguments::{Add, Giving, List, Remove, qos};
use super::ask::placed;
use super::{AccessError, Outcome};
use crate::say;

/// A file that was not there is readable by its group too, as the packages set it up.
const MODE: u32 = 0o640;

/// `dunlin acl list`
pub(super) fn list(arguments: &List) -> Result<Outcome, AccessError> {
    let (rules, name) = arguments.policy.read()?;
    let mut out = String::new();
    for rule in rules.rules() {
        let _ = writeln!(out, "{}: {rule}", placed(rule, &name));
    }
    say::line(&out);
    for group in rules.foreign_groups() {
        say::warning(&format!(
            "group:{group} is not under [groups]: its members are those whom authentication names"
        ));
    }
    Ok(Outcome::Yes)
}

/// `dunlin acl add`
pub(super) fn add(arguments: &Add) -> Result<Outcome, AccessError> {
    let rule = rule(arguments)?;
    let file = arguments.policy.file()?;
    change(&file, Some(BUILT_IN), |text| add_to(text, &rule))?;
    arguments.policy.changed();
    say::line(&format!("added to {}: {rule}\n", file.display()));
    Ok(Outcome::Yes)
}

/// `dunlin acl remove`
pub(super) fn remove(arguments: &Remove) -> Result<Outcome, AccessError> {
    let mut removed = String::new();
    let file = arguments.policy.file()?;
    change(&file, None, |text| {
        let (text, block) = remove_from(text, arguments.line)?;
        removed = block;
        Ok(text)
    })?;
    arguments.policy.changed();
    say::line(&format!("removed from {}:\n{removed}", file.display()));
    Ok(Outcome::Yes)
}

fn rule(arguments: &Add) -> Result<Rule, AccessError> {
    let usage = |what: &str, error: &dyn std::fmt::Display| AccessError::Usage(format!("{what}: {error}"));
    let topics =
        arguments.topics.iter().map(|topic| Template::parse(topic).map_err(|error| usage(topic, &error)));
    let subjects = arguments
        .subjects
        .iter()
        .map(|whom| Subject::parse(whom).map_err(|error| usage(&format!("--for {whom}"), &error)));
    let mut subjects: Vec<Subject> = subjects.collect::<Result<_, _>>()?;
    if subjects.is_empty() {
        subjects.push(Subject::Everyone);
    }
    Ok(Rule {
        line: 0,
        name: arguments.name.as_deref().map(Into::into),
        effect: match arguments.effect {
            Giving::Allow => Effect::Allow,
            Giving::Deny => Effect::Deny,
        },
        actions: arguments.actions.iter().map(|doing| doing.action()).collect(),
        conditions: Conditions {
            qos: arguments.qos.iter().map(|level| qos(*level)).collect(),
            retain: arguments.retain,
        },
        topics: topics.collect::<Result<_, _>>()?,
        subjects,
    })
}

/// Reads, changes and replaces a file; `absent` is the text of one that is not there.
fn change(
    path: &Path,
    absent: Option<&str>,
    edit: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<(), AccessError> {
    let failed = |source| AccessError::Io { path: path.display().to_string(), source };
    // Behind a symbolic link the file is replaced, not the link.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let directory = File::open(&directory).map_err(failed).map(|opened| (directory, opened))?;
    directory.1.lock().map_err(failed)?;
    let text = match (PolicyFile::text(&file), absent) {
        (Err(error), Some(absent)) if error.kind() == io::ErrorKind::NotFound => absent.to_owned(),
        (text, _) => text.map_err(failed)?,
    };
    let text = edit(&text).map_err(|source| match source {
        EditError::Invalid(faults) => AccessError::Policy(dunlin_security::policy::PolicyError::Invalid {
            file: path.display().to_string(),
            faults,
        }),
        source => AccessError::Edit { path: path.display().to_string(), source },
    })?;
    replace(&file, &directory.0, &text).map_err(failed)?;
    directory.1.sync_all().map_err(failed)
}

fn replace(file: &Path, directory: &Path, text: &str) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.{}.new", std::process::id()));
    let written = write(&new, file, text).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(new: &Path, old: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(MODE).open(new)?;
    if let Ok(old) = fs::metadata(old) {
        let made = out.metadata()?;
        if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
            fchown(&out, Some(old.uid()), Some(old.gid()))?;
        }
        out.set_permissions(old.permissions())?;
    }
    out.write_all(text.as_bytes())?;
    out.sync_all()
}
