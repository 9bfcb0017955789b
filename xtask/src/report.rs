//! What a chore says: findings, which are the repository's, and faults, which stop the chore.

use std::fmt;
use std::path::PathBuf;

/// One thing to mend, at a place in the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the root, with forward slashes.
    pub(crate) file: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Why a chore could not be done at all.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The arguments name no chore; holds what would.
    Usage(&'static str),
    /// A file or folder that the chore needs cannot be read or written.
    File { path: PathBuf, source: std::io::Error },
    /// A data file is not of the form that the chore reads.
    Form { path: String, message: String },
    /// `cargo metadata` did not run or did not answer.
    Cargo(String),
    /// Another programme that the chore needs did not run, or failed.
    Tool(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(usage) => f.write_str(usage),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Form { path, message } => write!(f, "{path}: {message}"),
            Self::Cargo(message) => write!(f, "cargo metadata: {message}"),
            Self::Tool(message) => f.write_str(message),
        }
    }
}
