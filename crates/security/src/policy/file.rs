//! The policy file: TOML, checked key by key.
//!
//! In:    the text of a file.
//! Out:   [`Rules`], or every fault that the file has, each with its place.
//! Never: a key that is not known, a rule that is quietly left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use dunlin_codec::QoS;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::action::{Action, Conditions, Effect};
use super::fault::{Fault, PolicyError, Problem};
use super::rule::Rule;
use super::rules::Rules;
use super::subject::{self, Subject};
use super::template::{self, Template};
use crate::source::{Source, type_name};
use crate::spelling::nearest;

/// The file of an operator.
#[derive(Clone, Copy, Debug)]
pub struct PolicyFile;

/// What holds where there is no file.
pub const BUILT_IN: &str = include_str!("built_in.toml");

/// A hundred thousand rules; what is larger is another file.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;

const ROOT_KEYS: [&str; 3] = ["rule", "groups", "roles"];
const RULE_KEYS: [&str; 7] = ["name", "for", "allow", "deny", "topics", "qos", "retain"];

impl PolicyFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, and with every fault in it.
    pub fn read(path: &Path) -> Result<Rules, PolicyError> {
        let file = path.display().to_string();
        let text = Self::text(path).map_err(|source| PolicyError::Read { file: file.clone(), source })?;
        Self::parse(&text).map_err(|faults| PolicyError::Invalid { file, faults })
    }

    /// The text of a file, at most 16 MiB.
    ///
    /// # Errors
    /// When it cannot be read, or is larger.
    pub fn text(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST_FILE {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        Ok(text)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// With every fault in it, in the order of the file.
    pub fn parse(text: &str) -> Result<Rules, Vec<Fault>> {
        parse(text).map(|parsed| Rules::new(parsed.rules, parsed.groups, &parsed.roles))
    }

    /// The policy that holds where there is no file.
    #[must_use]
    pub fn built_in() -> Rules {
        Self::parse(BUILT_IN)
            .unwrap_or_else(|faults| unreachable!("the built-in policy is valid: {faults:?}"))
    }
}

/// What stands in a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) rules: Vec<Rule>,
    /// The bytes of each rule: from `[[rule]]` to the end of its last value.
    pub(super) places: Vec<Range<usize>>,
    groups: Members,
    roles: Members,
}

type Members = BTreeMap<Box<str>, Vec<Subject>>;

pub(super) fn parse(text: &str) -> Result<Parsed, Vec<Fault>> {
    let source = Source(text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => return Err(vec![syntax(source, &error)]),
    };
    let mut reader = Reader { source, faults: Vec::new(), parsed: Parsed::default(), named: Vec::new() };
    reader.root(document.get_ref());
    reader.check_roles();
    if reader.faults.is_empty() {
        return Ok(reader.parsed);
    }
    reader.faults.sort_by_key(|fault| (fault.line, fault.column));
    Err(reader.faults)
}

struct Reader<'a> {
    source: Source<'a>,
    faults: Vec<Fault>,
    parsed: Parsed,
    /// The roles that rules name, with where.
    named: Vec<(Box<str>, Range<usize>)>,
}

type Entry<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn root(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("rule", DeValue::Array(rules)) => self.rules(rules),
                ("rule", other) => {
                    let problem =
                        Problem::WrongType { found: type_name(other), expected: "a list of tables" };
                    self.fault(&value.span(), "rule", None, problem, Some("[[rule]]"));
                }
                ("groups", _) => self.parsed.groups = self.members("groups", value),
                ("roles", _) => self.parsed.roles = self.members("roles", value),
                (unknown, _) => self.unknown(unknown, &name.span(), "", &ROOT_KEYS),
            }
        }
    }

    /// `[groups]` or `[roles]`: names and who they are.
    fn members(&mut self, key: &'static str, value: &Entry<'_>) -> Members {
        let DeValue::Table(table) = value.get_ref() else {
            let problem = Problem::WrongType { found: type_name(value.get_ref()), expected: "a table" };
            self.fault(&value.span(), key, None, problem, Some(&format!("[{key}]")));
            return Members::new();
        };
        let mut members = Members::new();
        for (name, value) in table {
            let path = format!("{key}.{}", name.get_ref());
            let mut subjects = Vec::new();
            for (text, at) in self.strings(&path, value, true) {
                let is_group = key == "groups";
                match Subject::parse(&text) {
                    Ok(Subject::Role(_)) => self.no_member(&path, &at, is_group),
                    Ok(subject @ (Subject::User(_) | Subject::Client(_))) => subjects.push(subject),
                    Ok(_) if is_group => self.no_member(&path, &at, is_group),
                    Ok(subject) => subjects.push(subject),
                    Err(error) => self.value_fault(&at, &path, error.into(), subject::ALLOWED),
                }
            }
            members.insert(name.get_ref().as_ref().into(), subjects);
        }
        members
    }

    fn no_member(&mut self, path: &str, at: &Range<usize>, is_group: bool) {
        let allowed = if is_group {
            "user:NAME, client:ID"
        } else {
            "everyone, anonymous, user:NAME, client:ID, group:NAME, attribute:NAME=VALUE"
        };
        self.value_fault(at, path, Problem::NoMember, allowed);
    }

    fn rules(&mut self, rules: &DeArray<'_>) {
        for rule in rules.iter() {
            match rule.get_ref() {
                DeValue::Table(table) => self.rule(table, rule.span()),
                other => {
                    let problem = Problem::WrongType { found: type_name(other), expected: "a table" };
                    self.fault(&rule.span(), "rule", None, problem, Some("[[rule]]"));
                }
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, header: Range<usize>) {
        let before = self.faults.len();
        let mut rule = Rule {
            line: self.source.place(header.start).0,
            name: None,
            effect: Effect::Allow,
            actions: Vec::new(),
            conditions: Conditions::default(),
            topics: Vec::new(),
            subjects: vec![Subject::Everyone],
        };
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "name" => rule.name = self.string("rule.name", value).map(Into::into),
                "for" => rule.subjects = self.subjects(value),
                "allow" => rule.actions = self.actions("rule.allow", value),
                "deny" => {
                    rule.effect = Effect::Deny;
                    rule.actions = self.actions("rule.deny", value);
                }
                "topics" => rule.topics = self.topics(value),
                "qos" => rule.conditions.qos = self.qos(value),
                "retain" => rule.conditions.retain = self.switch("rule.retain", value),
                unknown => self.unknown(unknown, &name.span(), "rule", &RULE_KEYS),
            }
        }
        self.completeness(table, &header);
        if self.faults.len() == before {
            self.conditions(table, &rule);
        }
        let end = table.iter().map(|(_, value)| value.span().end).max().unwrap_or(header.end);
        self.parsed.places.push(header.start..end.max(header.end));
        self.parsed.rules.push(rule);
    }

    fn completeness(&mut self, table: &DeTable<'_>, header: &Range<usize>) {
        match (table.contains_key("allow"), table.contains_key("deny")) {
            (true, true) => {
                self.fault(header, "rule", None, Problem::BothEffects, Some("allow or deny, not both"))
            }
            (false, false) => {
                let allowed = "allow = [...] or deny = [...] with publish, subscribe, receive";
                self.fault(header, "rule.allow", None, Problem::Missing, Some(allowed));
            }
            _ => {}
        }
        if !table.contains_key("topics") {
            self.fault(header, "rule.topics", None, Problem::Missing, Some(template::ALLOWED));
        }
    }

    /// A condition of an action that the rule is not about would look as if it narrowed the rule.
    fn conditions(&mut self, table: &DeTable<'_>, rule: &Rule) {
        if let Some(retain) = table.get("retain").filter(|_| rule.actions != [Action::Publish]) {
            let allowed = "in a rule that is about publish alone";
            self.value_fault(&retain.span(), "rule.retain", Problem::NoCondition("publish"), allowed);
        }
        if let Some(qos) = table.get("qos").filter(|_| rule.actions.contains(&Action::Receive)) {
            let allowed = "in a rule that is not about receive";
            self.value_fault(&qos.span(), "rule.qos", Problem::NoCondition("publish and subscribe"), allowed);
        }
    }

    fn subjects(&mut self, value: &Entry<'_>) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for (text, at) in self.strings("rule.for", value, false) {
            match Subject::parse(&text) {
                Ok(subject) => {
                    if let Subject::Role(name) = &subject {
                        self.named.push((name.clone(), at));
                    }
                    subjects.push(subject);
                }
                Err(error) => self.value_fault(&at, "rule.for", error.into(), subject::ALLOWED),
            }
        }
        subjects
    }

    fn actions(&mut self, path: &str, value: &Entry<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        for (text, at) in self.strings(path, value, false) {
            match Action::named(&text) {
                Some(action) if actions.contains(&action) => {}
                Some(action) => actions.push(action),
                None => {
                    let meant = nearest(&text, Action::ALL.iter().map(|action| action.name()));
                    let meant = meant.map(|name| format!("\"{name}\""));
                    self.value_fault(
                        &at,
                        path,
                        Problem::NoSuchChoice { meant },
                        "publish, subscribe, receive",
                    );
                }
            }
        }
        actions
    }

    fn topics(&mut self, value: &Entry<'_>) -> Vec<Template> {
        let mut topics = Vec::new();
        for (text, at) in self.strings("rule.topics", value, false) {
            match Template::parse(&text) {
                Ok(topic) => topics.push(topic),
                Err(error) => self.value_fault(&at, "rule.topics", error.into(), template::ALLOWED),
            }
        }
        topics
    }

    fn qos(&mut self, value: &Entry<'_>) -> Vec<QoS> {
        let mut levels = Vec::new();
        for item in items(value) {
            let level = match item.get_ref() {
                DeValue::Integer(number) => match number.as_str() {
                    "0" => Some(QoS::AtMostOnce),
                    "1" => Some(QoS::AtLeastOnce),
                    "2" => Some(QoS::ExactlyOnce),
                    _ => None,
                },
                other => {
                    let problem = Problem::WrongType { found: type_name(other), expected: "an integer" };
                    self.value_fault(&item.span(), "rule.qos", problem, "0, 1, 2");
                    continue;
                }
            };
            match level {
                Some(level) if levels.contains(&level) => {}
                Some(level) => levels.push(level),
                None => {
                    self.value_fault(
                        &item.span(),
                        "rule.qos",
                        Problem::NoSuchChoice { meant: None },
                        "0, 1, 2",
                    );
                }
            }
        }
        if levels.is_empty() && items(value).is_empty() {
            self.value_fault(&value.span(), "rule.qos", Problem::Empty, "0, 1, 2");
        }
        levels
    }

    fn switch(&mut self, path: &str, value: &Entry<'_>) -> Option<bool> {
        if let DeValue::Boolean(switch) = value.get_ref() {
            return Some(*switch);
        }
        let problem = Problem::WrongType { found: type_name(value.get_ref()), expected: "a boolean" };
        self.value_fault(&value.span(), path, problem, "true, false");
        None
    }

    fn string(&mut self, path: &str, value: &Entry<'_>) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.as_ref().to_owned());
        }
        let problem = Problem::WrongType { found: type_name(value.get_ref()), expected: "a string" };
        self.value_fault(&value.span(), path, problem, "a string");
        None
    }

    /// One string, or a list of them.
    fn strings(&mut self, path: &str, value: &Entry<'_>, may_be_empty: bool) -> Vec<(String, Range<usize>)> {
        let mut strings = Vec::new();
        for item in items(value) {
            match item.get_ref() {
                DeValue::String(text) => strings.push((text.as_ref().to_owned(), item.span())),
                other => {
                    let expected = "a string or a list of strings";
                    let problem = Problem::WrongType { found: type_name(other), expected };
                    self.value_fault(&item.span(), path, problem, expected);
                }
            }
        }
        if items(value).is_empty() && !may_be_empty {
            self.value_fault(&value.span(), path, Problem::Empty, "a string or a list of strings");
        }
        strings
    }

    fn check_roles(&mut self) {
        for (name, at) in std::mem::take(&mut self.named) {
            if !self.parsed.roles.contains_key(&name) {
                let names = self.parsed.roles.keys().map(AsRef::as_ref);
                let meant = nearest(&name, names).map(|name| format!("\"role:{name}\""));
                self.value_fault(&at, "rule.for", Problem::NoSuchRole { meant }, "a name under [roles]");
            }
        }
    }

    fn unknown(&mut self, name: &str, at: &Range<usize>, section: &str, known: &[&str]) {
        let path =
            |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        let meant = nearest(name, known.iter().copied()).map(path);
        let allowed = meant.is_none().then(|| known.join(", "));
        self.fault(at, &path(name), None, Problem::UnknownKey { meant }, allowed.as_deref());
    }

    fn value_fault(&mut self, at: &Range<usize>, key: &str, problem: Problem, allowed: &str) {
        let shown = self.source.excerpt(at);
        self.fault(at, key, Some(shown), problem, Some(allowed));
    }

    fn fault(
        &mut self,
        at: &Range<usize>,
        key: &str,
        value: Option<String>,
        problem: Problem,
        allowed: Option<&str>,
    ) {
        let (line, column) = self.source.place(at.start);
        let allowed = allowed.map(str::to_owned);
        self.faults.push(Fault { line, column, key: key.to_owned(), value, problem, allowed });
    }
}

/// A value alone counts as a list of one.
fn items<'a, 'b>(value: &'a Entry<'b>) -> &'a [Entry<'b>] {
    match value.get_ref() {
        DeValue::Array(list) => list,
        _ => std::slice::from_ref(value),
    }
}

fn syntax(source: Source<'_>, error: &toml::de::Error) -> Fault {
    let at = error.span().unwrap_or_default();
    let (line, column) = source.place(at.start);
    let excerpt = source.excerpt(&at);
    let near = if excerpt.trim().is_empty() { String::new() } else { format!(" at `{excerpt}`") };
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let problem = Problem::Syntax(message + &near);
    Fault { line, column, key: String::new(), value: None, problem, allowed: None }
}
