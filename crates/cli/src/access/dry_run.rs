//! `dunlin acl dry-run`: another policy, held against what clients did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use dunlin_security::policy::{Action, PolicyFile, Rules, Verdict};

use super::arguments::DryRun;
use super::ask::reason;
use super::seen::Seen;
use super::{AccessError, Outcome, live};
use crate::say;

/// Different changes that are kept; what goes beyond is counted.
const CHANGES_MAXIMUM: usize = 100_000;
/// Lines that are no decisions and are named one by one.
const STRANGE_MAXIMUM: usize = 10;

/// From which answer to which, who, and what they did.
type Change = (Verdict, Verdict, Who, Action, Box<str>);
/// Client Identifier and user name.
type Who = (Box<str>, Option<Box<str>>);

/// What is found.
#[derive(Debug, Default)]
struct Findings {
    lines: u64,
    decisions: u64,
    clients: BTreeSet<Who>,
    affected: BTreeSet<Who>,
    changed: u64,
    changes: BTreeMap<Change, (u64, String)>,
    strange: Vec<String>,
    strange_count: u64,
}

/// Runs it.
pub(super) fn run(arguments: &DryRun) -> Result<Outcome, AccessError> {
    let (old, _) = arguments.policy.read()?;
    let new = PolicyFile::read(&arguments.new)?;
    let name = arguments.new.display().to_string();
    let mut findings = Findings::default();
    if let Some(seen) = &arguments.seen {
        findings.read(seen, &old, &new, &name)?;
    } else {
        let data =
            arguments.policy.data.directory().map_err(|error| AccessError::Usage(error.to_string()))?;
        let window = Duration::from_secs(arguments.window.into());
        live::look(&data, window, |line| findings.line(line, "the broker", &old, &new, &name))?;
    }
    findings.strange.iter().for_each(|line| say::warning(line));
    say::line(&findings.report(arguments.most));
    Ok(if findings.changed == 0 { Outcome::Yes } else { Outcome::No })
}

impl Findings {
    /// A file of what was seen.
    fn read(&mut self, seen: &Path, old: &Rules, new: &Rules, name: &str) -> Result<(), AccessError> {
        let path = seen.display().to_string();
        let failed = |source| AccessError::Io { path: path.clone(), source };
        let input: Box<dyn BufRead> = if path == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(seen).map_err(failed)?))
        };
        for line in input.lines() {
            self.line(&line.map_err(failed)?, &path, old, new, name);
        }
        if self.decisions == 0 {
            return Err(AccessError::Invalid(format!("{path}: no decision in {} lines", self.lines)));
        }
        Ok(())
    }

    fn line(&mut self, line: &str, from: &str, old: &Rules, new: &Rules, name: &str) {
        self.lines += 1;
        if line.trim().is_empty() {
            return;
        }
        let number = self.lines;
        if let Err(error) = self.take(line, old, new, name) {
            self.strange_count += 1;
            if self.strange.len() < STRANGE_MAXIMUM {
                self.strange.push(format!("{from}:{number}: no decision, left out: {error}"));
            }
        }
    }

    fn take(&mut self, line: &str, old: &Rules, new: &Rules, name: &str) -> Result<(), String> {
        let seen = Seen::parse(line)?;
        let request = seen.request()?;
        let identity = seen.identity();
        let before = old.explain(&identity, &request).verdict;
        let after = new.explain(&identity, &request);
        let who = (seen.client.clone(), seen.user.clone());
        self.decisions += seen.count;
        if before == after.verdict {
            self.clients.insert(who);
            return Ok(());
        }
        self.changed += seen.count;
        self.clients.insert(who.clone());
        self.affected.insert(who.clone());
        let change = (before, after.verdict, who, request.action, request.topic.into());
        if let Some((count, _)) = self.changes.get_mut(&change) {
            *count += seen.count;
        } else if self.changes.len() < CHANGES_MAXIMUM {
            self.changes.insert(change, (seen.count, reason(&after, name)));
        }
        Ok(())
    }

    fn report(&self, most: usize) -> String {
        let mut out = String::new();
        let mut last = None;
        for ((before, after, (client, user), action, topic), (count, why)) in self.changes.iter().take(most) {
            if last != Some((before, after)) {
                let _ = writeln!(out, "{before}, would be {after}:");
                last = Some((before, after));
            }
            let user = user.as_ref().map_or_else(String::new, |user| format!(" ({user})"));
            let times = if *count == 1 { String::new() } else { format!(", {count} times") };
            let _ = writeln!(out, "  {client}{user} {action} {topic}{times}: {why}");
        }
        if self.changes.len() > most {
            let _ = writeln!(out, "  and {} more; --most prints them", self.changes.len() - most);
        }
        let _ = writeln!(
            out,
            "{} of {} decisions would change, for {} of {} clients",
            self.changed,
            self.decisions,
            self.affected.len(),
            self.clients.len()
        );
        if self.strange_count > 0 {
            let _ = writeln!(out, "{} lines were left out", self.strange_count);
        }
        out
    }
}
