//! A rule: whom it is for, what it gives or takes, and of which topics.

use std::fmt;

use super::action::{Action, Cases, Conditions, Effect, Marks};
use super::subject::Subject;
use super::template::{Template, TemplateError};

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it begins in its file, counted from 1; 0: it stands in no file.
    pub line: usize,
    /// What its author calls it.
    pub name: Option<Box<str>>,
    /// Whether it gives or takes.
    pub effect: Effect,
    /// What it is about.
    pub actions: Vec<Action>,
    /// When it holds.
    pub conditions: Conditions,
    /// Of which topics.
    pub topics: Vec<Template>,
    /// Whom it is for.
    pub subjects: Vec<Subject>,
}

impl Rule {
    /// A rule that credentials carry, such as a claim of a token: for [`super::Rules::compile_with`].
    ///
    /// # Errors
    /// When the filter is none.
    pub fn carried(effect: Effect, actions: &[Action], filter: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            line: 0,
            name: None,
            effect,
            actions: actions.to_vec(),
            conditions: Conditions::default(),
            topics: vec![Template::parse(filter)?],
            subjects: vec![Subject::Everyone],
        })
    }

    pub(super) fn cases(&self) -> Cases {
        self.conditions.cases(self.effect, &self.actions)
    }

    pub(super) fn marks(&self) -> Marks {
        Marks::of(self.effect, self.cases())
    }

    /// Does it permit or forbid to subscribe at some QoS only?
    pub(super) fn is_by_qos(&self) -> bool {
        let cases = self.conditions.cases(self.effect, &[Action::Subscribe]);
        self.actions.contains(&Action::Subscribe) && !cases.holds(Cases::SUBSCRIBE)
    }

    /// The rule as it is written in a file, without what is the default.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::from("[[rule]]\n");
        if let Some(name) = &self.name {
            out.push_str(&format!("name = {}\n", quoted(name)));
        }
        if self.subjects != [Subject::Everyone] {
            out.push_str(&format!(
                "for = {}\n",
                list(self.subjects.iter().map(|one| quoted(&one.to_string())))
            ));
        }
        let actions = list(self.actions.iter().map(|action| quoted(action.name())));
        out.push_str(&format!("{} = {actions}\n", self.effect));
        out.push_str(&format!("topics = {}\n", list(self.topics.iter().map(|topic| quoted(topic.as_str())))));
        if !self.conditions.qos.is_empty() {
            let levels = self.conditions.qos.iter().map(|qos| (*qos as u8).to_string());
            out.push_str(&format!("qos = {}\n", list(levels)));
        }
        if let Some(retain) = self.conditions.retain {
            out.push_str(&format!("retain = {retain}\n"));
        }
        out
    }
}

/// On one line: `allow publish, subscribe of devices/${client_id}/# for everyone`.
impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |items: Vec<String>| items.join(", ");
        let actions = joined(self.actions.iter().map(Action::to_string).collect());
        let topics = joined(self.topics.iter().map(|topic| topic.as_str().to_owned()).collect());
        let subjects = joined(self.subjects.iter().map(Subject::to_string).collect());
        write!(out, "{} {actions} of {topics} for {subjects}", self.effect)?;
        if !self.conditions.qos.is_empty() {
            let levels = joined(self.conditions.qos.iter().map(|qos| (*qos as u8).to_string()).collect());
            write!(out, ", QoS {levels}")?;
        }
        match self.conditions.retain {
            Some(true) => write!(out, ", retained"),
            Some(false) => write!(out, ", not retained"),
            None => Ok(()),
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// One item alone, several as a list.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    if items.len() == 1 { items.remove(0) } else { format!("[{}]", items.join(", ")) }
}
