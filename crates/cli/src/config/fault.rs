//! What is wrong in a configuration file, and where.

use std::fmt;
use std::ops::Range;

use dunlin_security::source::Source;

use dunlin_runtime::NetworkError;

use crate::listen::ListenUrlError;

/// Every fault of a file.
#[derive(Debug)]
pub(crate) struct Faults {
    /// As it was named.
    pub(crate) file: String,
    /// In the order of the file.
    pub(crate) faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    /// From the root of the file: `limits.receive_maximum`.
    pub(crate) key: Option<String>,
    /// As it stands in the file.
    pub(crate) value: Option<String>,
    /// What is wrong.
    pub(crate) problem: Problem,
    /// What would be right.
    pub(crate) allowed: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// The text is no TOML, or none that the structs take.
    #[error("{0}")]
    Syntax(String),
    /// Nothing has that name.
    #[error("not known{}", hint(.meant))]
    UnknownKey { meant: Option<String> },
    /// A key that must stand there does not.
    #[error("missing")]
    Missing,
    /// A string for a number, and so on.
    #[error("{found}, not {expected}")]
    WrongType { found: &'static str, expected: &'static str },
    /// A number beyond the bounds.
    #[error("out of range")]
    OutOfRange,
    /// None of the choices.
    #[error("not one of the choices{}", hint(.meant))]
    NoSuchChoice { meant: Option<String> },
    /// A string beyond its bound.
    #[error("too long")]
    TooLong,
    /// A string that would not go through logs and terminals.
    #[error("has a control character")]
    ControlCharacter,
    /// No IP address with a port.
    #[error("not an address and a port")]
    NoAddress,
    /// No IP address.
    #[error("not an address")]
    NoIpAddress,
    /// No URL of a service.
    #[error("not a URL of a service")]
    NoService,
    /// No beginning of topics.
    #[error("not a mount point")]
    NoMountPoint,
    /// Something that a chain asks lacks what it needs, or the other way round.
    #[error("{0}")]
    Chain(String),
    /// No path of HTTP.
    #[error("not a path")]
    NoPath,
    /// No Topic Filter.
    #[error("not a topic filter")]
    NoFilter,
    /// No mode of a file.
    #[error("not the mode of a file")]
    NoMode,
    /// A key that would have no effect.
    #[error("not a key of {scheme} listeners")]
    OfAnotherListener { scheme: &'static str },
    /// Certificates and what goes with them, one by one.
    #[error("as many as {of} has are expected: {expected}")]
    NotAsMany { of: &'static str, expected: usize },
    /// No address and no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// No listener.
    #[error(transparent)]
    Url(#[from] ListenUrlError),
    /// More than another key's value.
    #[error("more than {than} = {value}")]
    MoreThan { than: &'static str, value: u64 },
    /// Less than another key's value.
    #[error("less than {than} = {value}")]
    LessThan { than: &'static str, value: u64 },
}

impl Fault {
    /// At a range of bytes, without key, value and what is allowed.
    pub(super) fn at(source: Source<'_>, at: &Range<usize>, problem: Problem) -> Self {
        let (line, column) = source.place(at.start);
        Self { line, column, key: None, value: None, problem, allowed: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(out, "{key} = {value}: ")?,
            (Some(key), None) => write!(out, "{key}: ")?,
            (None, _) => {}
        }
        write!(out, "{}", self.problem)?;
        match &self.allowed {
            Some(allowed) => write!(out, "; allowed: {allowed}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(out, "{newline}{}:{}:{}: {fault}", self.file, fault.line, fault.column)?;
        }
        Ok(())
    }
}

fn hint(meant: &Option<String>) -> String {
    meant.as_ref().map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
}
