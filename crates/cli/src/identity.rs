//! What commands that change users, devices and rules have to do with the broker that runs on the same directory.
//!
//! In:    a data directory.
//! Out:   the files that the broker uses; a change that holds when the command returns.
//! Never: a failure of the command, where the change is on disk: the broker sees it within a second by itself.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::control::{self, Ask};
use crate::say;
use crate::start::{Entrance, RULES};
use crate::user;

/// The request to read users, devices and rules again.
pub(crate) const READ_AGAIN: &str = "read-again";
/// The request for the files of users and rules.
pub(crate) const PATHS: &str = "paths";

/// What the broker answers.
pub(crate) fn answer(request: &str, entrance: Option<&Entrance>) -> Result<Value, String> {
    // With --dev everybody may do everything: there are neither users nor rules.
    let Some(entrance) = entrance else { return Ok(json!({})) };
    if request == READ_AGAIN {
        return entrance.read_again().map(|()| json!({}));
    }
    // Whoever asks is in another working directory.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let (policy, users) = entrance.paths();
    let (policy, users) = (absolute(policy), absolute(users));
    Ok(json!({ "policy": policy, "users": users }))
}

/// Has the broker that runs on this directory, if there is one, take note of a change.
pub(crate) fn tell(data: &Path) {
    match control::ask(data, READ_AGAIN, &json!(null)) {
        Ok(_) | Err(Ask::NotRunning) => {}
        Err(Ask::Refused(why) | Ask::Failed(why)) => say::warning(&format!(
            "the broker was not told of the change ({why}); it looks at its files once a second"
        )),
    }
}

/// The file of users of the broker that runs on this directory, or that of the directory.
pub(crate) fn users(data: &Path) -> PathBuf {
    path(data, "users").unwrap_or_else(|| user::file(data))
}

/// The file of rules of the broker that runs on this directory, or that of the directory, which need not be there.
pub(crate) fn policy(data: &Path) -> PathBuf {
    path(data, "policy").unwrap_or_else(|| data.join(RULES))
}

fn path(data: &Path, which: &str) -> Option<PathBuf> {
    let paths = control::ask(data, PATHS, &json!(null)).ok()?;
    paths[which].as_str().map(PathBuf::from)
}
