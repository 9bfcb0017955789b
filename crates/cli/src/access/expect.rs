//! `dunlin acl test`: a table of expectations, for the CI of policies.
//!
//! ```toml
//! [[expect]]
//! client = "pump-7"
//! can = ["publish devices/pump-7/state"]
//! cannot = ["subscribe #"]
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use dunlin_security::identity::Identity;
use dunlin_security::policy::{Action, PolicyFile, Rules, Verdict};
use serde::Deserialize;
use toml::Spanned;

use super::arguments::{Test, qos, request};
use super::ask::reason;
use super::{AccessError, Outcome};
use crate::say;

/// A table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    expect: Vec<Expect>,
}

/// What is expected of one client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    client: Box<str>,
    #[serde(default)]
    user: Option<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    attributes: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    qos: Option<Spanned<u8>>,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    can: Vec<Spanned<String>>,
    #[serde(default)]
    cannot: Vec<Spanned<String>>,
    #[serde(default)]
    filtered: Vec<Spanned<String>>,
}

/// How much came out.
#[derive(Debug, Default)]
struct Count {
    all: usize,
    unmet: usize,
    /// A line for each that is not met.
    lines: String,
}

/// Runs the table.
pub(super) fn run(arguments: &Test) -> Result<Outcome, AccessError> {
    let (rules, policy) = arguments.policy.read()?;
    let path = arguments.table.display().to_string();
    let text = PolicyFile::text(&arguments.table)
        .map_err(|source| AccessError::Io { path: path.clone(), source })?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let place = error.span().map_or_else(String::new, |span| format!(":{}", line(&text, span.start)));
        AccessError::Invalid(format!("{path}{place}: {}", error.message().replace('\n', ", ")))
    })?;
    let mut count = Count::default();
    for expect in &table.expect {
        hold(expect, &rules, &Names { policy: &policy, table: &arguments.table, text: &text }, &mut count)?;
    }
    if count.all == 0 {
        return Err(AccessError::Invalid(format!("{path}: nothing is expected; allowed: [[expect]] blocks")));
    }
    say::line(&format!("{}{} expectations, {} not met\n", count.lines, count.all, count.unmet));
    Ok(if count.unmet == 0 { Outcome::Yes } else { Outcome::No })
}

struct Names<'a> {
    policy: &'a str,
    table: &'a Path,
    text: &'a str,
}

fn hold(expect: &Expect, rules: &Rules, names: &Names<'_>, count: &mut Count) -> Result<(), AccessError> {
    let identity = Identity {
        username: expect.user.clone(),
        client_id: expect.client.clone(),
        groups: expect.groups.clone(),
        attributes: expect.attributes.clone(),
    };
    let qos = match &expect.qos {
        Some(number) if *number.get_ref() > 2 => {
            return Err(names.fault(number.span().start, "qos: out of range; allowed: 0, 1, 2"));
        }
        Some(number) => qos(*number.get_ref()),
        None => qos(0),
    };
    let lists = [
        (&expect.can, Verdict::Allowed),
        (&expect.cannot, Verdict::Denied),
        (&expect.filtered, Verdict::Filtered),
    ];
    for (lines, wanted) in lists {
        for written in lines {
            let at = written.span().start;
            let (action, topic) = doing(written.get_ref()).map_err(|error| names.fault(at, &error))?;
            let request =
                request(action, topic, qos, expect.retain).map_err(|error| names.fault(at, &error))?;
            let decision = rules.explain(&identity, &request);
            count.all += 1;
            if decision.verdict != wanted {
                count.unmet += 1;
                let place = names.place(at);
                let why = reason(&decision, names.policy);
                let client = &expect.client;
                let found = decision.verdict;
                let _ =
                    writeln!(count.lines, "{place}: {client} {action} {topic}: {found}, not {wanted}: {why}");
            }
        }
    }
    Ok(())
}

/// `publish some topic`
fn doing(text: &str) -> Result<(Action, &str), String> {
    let expected =
        || format!("{text:?}: not an action and a topic; allowed: publish, subscribe or receive TOPIC");
    let (action, topic) = text.split_once(' ').ok_or_else(expected)?;
    Ok((Action::named(action).ok_or_else(expected)?, topic))
}

impl Names<'_> {
    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.table.display(), line(self.text, at))
    }

    fn fault(&self, at: usize, message: &str) -> AccessError {
        AccessError::Invalid(format!("{}: {message}", self.place(at)))
    }
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
