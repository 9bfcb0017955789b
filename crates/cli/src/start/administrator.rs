//! The first user: somebody has to be allowed everything.
//!
//! In:    a data directory without users.
//! Out:   an administrator, and the password on the terminal; where there is none, in a file of the data directory.
//! Never: the password in a log: what a service prints is one.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use dunlin_security::authority::{secret, settle_owner, write_file};
use dunlin_security::identity::{Secret, password};
use tracing::warn;

use crate::failure::Failure;
use crate::{say, user};

/// What the administrator is called.
const NAME: &str = "admin";
/// And belongs to.
const GROUP: &str = "administrators";
/// Where the password is where nobody watches.
pub(crate) const FILE: &str = "admin.password";

/// Makes one where there is no user at all. The password is told first: whoever is interrupted in between gets another one
/// at the next start, instead of one that nobody knows.
pub(super) fn make(data: &Path) -> Result<(), Failure> {
    if user::file(data).exists() {
        return Ok(());
    }
    let made_up = secret()?;
    if io::stdout().is_terminal() {
        say::line(&format!("dunlin: administrator {NAME}, password (shown once): {made_up}\n"));
    } else {
        let path = data.join(FILE);
        write_file(&path, format!("{made_up}\n").as_bytes(), 0o600)?;
        let path = path.display();
        say::line(&format!(
            "dunlin: administrator {NAME}, password in {path}: read it and delete the file\n"
        ));
        warn!(target: "dunlin::process", file = %path, "the administrator's password is in a file: delete it");
    }
    written_at_once(&user::file(data), &Secret::new(made_up.into_bytes()))
}

/// User and group in one step: an administrator without the group would be one who may do nothing.
fn written_at_once(file: &Path, password: &Secret) -> Result<(), Failure> {
    let new = file.with_extension("new");
    if new.exists() {
        fs::remove_file(&new).map_err(|error| Failure::write(&new, error))?;
    }
    password::add(&new, NAME, password, true)?;
    password::set_groups(&new, NAME, &[GROUP])?;
    settle_owner(&new)?;
    fs::rename(&new, file).map_err(|error| Failure::write(file, error))?;
    // What kept others out of a file that nobody else knows.
    drop(fs::remove_file(file.with_extension("new.lock")));
    Ok(())
}
