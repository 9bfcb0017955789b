//! `[access]`

use std::path::PathBuf;

use dunlin_engine::AccessRules;
use serde::{Deserialize, Serialize};

/// What clients may do, and what they are told that want more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Access {
    /// The file of rules; `None`: that of the data directory.
    pub(crate) policy: Option<PathBuf>,
    /// What they are told.
    #[serde(flatten)]
    pub(crate) rules: AccessRules,
}
