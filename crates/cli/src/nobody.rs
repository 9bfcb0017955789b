//! In a build without the API: whoever would ask a running broker finds none.
//!
//! In:    as the API's own asker.
//! Out:   "not running".
//! Never: an answer.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a broker would be.
pub(crate) enum Place {
    /// On this data directory.
    Directory(PathBuf),
}

/// There is none.
pub(crate) struct Asker(Infallible);

/// Why there is no answer.
#[derive(Debug)]
#[allow(dead_code, reason = "with the API there are more")]
pub(crate) enum AskError {
    /// Nobody on this directory.
    NotRunning(PathBuf),
    /// Something else.
    Failed(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("this build asks no broker that runs")
    }
}

impl Asker {
    /// # Errors
    /// Always.
    pub(crate) fn new(place: Place) -> Result<Self, AskError> {
        let Place::Directory(directory) = place;
        Err(AskError::NotRunning(directory))
    }

    /// # Errors
    /// None that is seen.
    pub(crate) fn get<T>(&self, _: &str) -> Result<T, AskError> {
        match self.0 {}
    }

    /// # Errors
    /// None that is seen.
    pub(crate) fn post(&self, _: &str, _: &Value) -> Result<Value, AskError> {
        match self.0 {}
    }
}

/// What to copy.
#[derive(Serialize)]
pub(crate) struct BackUp {
    pub(crate) to: PathBuf,
}

/// The files that a broker uses.
#[derive(Default, Deserialize)]
pub(crate) struct RightsFiles {
    pub(crate) users: Option<PathBuf>,
    pub(crate) rules: Option<PathBuf>,
}

/// Some of what was asked for.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// What a client did.
#[derive(Serialize)]
pub(crate) struct Seen;

/// A name in a URL.
pub(crate) fn quoted(text: &str) -> String {
    text.to_owned()
}
