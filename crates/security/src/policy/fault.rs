//! What is wrong in a policy file, and where.

use std::fmt;
use std::io;

use super::subject::SubjectError;
use super::template::TemplateError;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy {file}: {source}")]
    Read {
        /// As it was named.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not a policy.
    #[error("{}", lines(.file, .faults))]
    Invalid {
        /// As it was named.
        file: String,
        /// In the order of the file.
        faults: Vec<Fault>,
    },
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// From the root of the file: `rule.topics`.
    pub key: String,
    /// As it stands in the file.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: Problem,
    /// What would be right.
    pub allowed: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is no TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// Nothing has that name.
    #[error("not known{}", hint(.meant.as_deref()))]
    UnknownKey {
        /// What was perhaps meant.
        meant: Option<String>,
    },
    /// A key that must stand there does not.
    #[error("missing")]
    Missing,
    /// A string for a number, and so on.
    #[error("{found}, not {expected}")]
    WrongType {
        /// What it is.
        found: &'static str,
        /// What it would be.
        expected: &'static str,
    },
    /// An empty list or string.
    #[error("empty")]
    Empty,
    /// None of the choices.
    #[error("not one of the choices{}", hint(.meant.as_deref()))]
    NoSuchChoice {
        /// What was perhaps meant.
        meant: Option<String>,
    },
    /// Both or neither of `allow` and `deny`.
    #[error("a rule either allows or denies")]
    BothEffects,
    /// A condition that would have no effect.
    #[error("a condition of {0}")]
    NoCondition(&'static str),
    /// A role that the file does not define.
    #[error("no such role{}", hint(.meant.as_deref()))]
    NoSuchRole {
        /// What was perhaps meant.
        meant: Option<String>,
    },
    /// A role in a role, and the like.
    #[error("cannot stand here")]
    NoMember,
    /// No topic filter.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Nobody.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, Some(value)) => write!(out, "{key} = {value}: ")?,
            (key, None) => write!(out, "{key}: ")?,
        }
        write!(out, "{}", self.problem)?;
        match &self.allowed {
            Some(allowed) => write!(out, "; allowed: {allowed}"),
            None => Ok(()),
        }
    }
}

/// One line for each fault, with its place.
fn lines(file: &str, faults: &[Fault]) -> String {
    let line = |fault: &Fault| format!("{file}:{}:{}: {fault}", fault.line, fault.column);
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
}
