//! `dunlin acl can` and `dunlin acl who-can`.

use std::fmt::Write as _;

use dunlin_security::policy::{Decision, Holder, Rule, Verdict, Why};

use super::arguments::{Can, WhoCan};
use super::{AccessError, Outcome};
use crate::say;

impl Can {
    pub(super) fn run(&self) -> Result<Outcome, AccessError> {
        let request = self.what.request()?;
        let identity = self.identity()?;
        let (rules, name) = self.policy.read()?;
        let decision = rules.explain(&identity, &request);
        say::line(&format!("{}: {}\n", decision.verdict, reason(&decision, &name)));
        Ok(if decision.verdict == Verdict::Allowed { Outcome::Yes } else { Outcome::No })
    }
}

/// The rule that decides and why, on one line.
pub(crate) fn reason(decision: &Decision<'_>, file: &str) -> String {
    let Some(rule) = decision.rule else { return format!("{} ({file})", Why::NoRule) };
    let mut out = format!("{} {}", placed(rule, file), decision.why);
    if let Some(filter) = decision.filter.as_deref().filter(|_| has_variables(rule)) {
        let _ = write!(out, " (here {filter})");
    }
    let _ = write!(out, ": {rule}");
    out
}

fn has_variables(rule: &Rule) -> bool {
    rule.topics.iter().any(|topic| topic.as_str().contains("${"))
}

/// Where a rule stands, and what its author calls it.
pub(super) fn placed(rule: &Rule, file: &str) -> String {
    let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
    format!("{file}:{}{name}", rule.line)
}

impl WhoCan {
    pub(super) fn run(&self) -> Result<Outcome, AccessError> {
        let request = self.what.request()?;
        let (rules, name) = self.policy.read()?;
        if let Some(rule) = rules.denied_to_everyone(&request) {
            say::line(&format!("nobody: {} denies it: {rule}\n", placed(rule, &name)));
            return Ok(Outcome::No);
        }
        let holders = rules.who_can(&request);
        if holders.is_empty() {
            say::line(&format!("nobody: no rule allows it ({name})\n"));
            return Ok(Outcome::No);
        }
        let mut out = String::new();
        for holder in &holders {
            let _ = writeln!(out, "{}: {}", who(holder), placed(holder.rule, &name));
        }
        for rule in &holders[0].except {
            let _ = writeln!(out, "except as {} denies: {rule}", placed(rule, &name));
        }
        say::line(&out);
        Ok(Outcome::Yes)
    }
}

/// `everyone with client_id = pump-7`
fn who(holder: &Holder<'_>) -> String {
    let subjects: Vec<String> = holder.rule.subjects.iter().map(ToString::to_string).collect();
    let mut bindings: Vec<String> =
        holder.bindings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    bindings.dedup();
    match bindings.as_slice() {
        [] => subjects.join(", "),
        bindings => format!("{} with {}", subjects.join(", "), bindings.join(", ")),
    }
}
