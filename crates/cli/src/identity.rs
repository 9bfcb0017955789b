//! What commands that change users, devices and rules have to do with the broker that runs on the same directory.
//!
//! In:    a data directory.
//! Out:   the files that the broker uses; a change that holds when the command returns.
//! Never: a failure of the command, where the change is on disk: the broker sees it within a second by itself.

use std::path::{Path, PathBuf};

#[cfg(feature = "api")]
use dunlin_admin::{AskError, Asker, Place, RightsFiles};
use serde_json::Value;

#[cfg(not(feature = "api"))]
use crate::nobody::{AskError, Asker, Place, RightsFiles};
use crate::say;
use crate::start::RULES;
use crate::user;

/// Has the broker that runs on this directory, if there is one, take note of a change.
pub(crate) fn tell(data: &Path) {
    match asker(data).and_then(|asker| asker.post("/api/v1/rights/reload", &Value::Null)) {
        Ok(_) | Err(AskError::NotRunning(_)) => {}
        Err(why) => say::warning(&format!(
            "the broker was not told of the change ({why}); it looks at its files once a second"
        )),
    }
}

/// The file of users of the broker that runs on this directory, or that of the directory.
pub(crate) fn users(data: &Path) -> PathBuf {
    files(data).users.unwrap_or_else(|| user::file(data))
}

/// The file of rules of the broker that runs on this directory, or that of the directory, which need not be there.
pub(crate) fn policy(data: &Path) -> PathBuf {
    files(data).rules.unwrap_or_else(|| data.join(RULES))
}

/// None where nobody can be asked.
fn files(data: &Path) -> RightsFiles {
    asker(data).and_then(|asker| asker.get("/api/v1/rights/files")).unwrap_or_default()
}

fn asker(data: &Path) -> Result<Asker, AskError> {
    Asker::new(Place::Directory(data.to_owned()))
}
