//! The file of users as the running Server sees it: read again when it changes.
//!
//! In:    a path; the time.
//! Out:   the users; whom a change concerned.
//! Never: a bad file in place of a good one: the users stay as they were, and the log says why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tracing::{error, info, warn};

use crate::identity::attempt::{Known, Standing};
use crate::identity::subject::Identity;
use crate::identity::watch::Watch;

use super::file::{User, UserFile, UserFileError};

/// The attribute that tells by which credentials a user has logged in.
const STAMP: &str = "login.stamp";

/// The users of a file that may change.
#[derive(Debug)]
pub struct UserStore {
    path: PathBuf,
    users: RwLock<Arc<UserFile>>,
    watch: Mutex<Watch>,
    /// Whom changes concerned that nobody has asked about yet; no more than there were users.
    changed: Mutex<BTreeSet<Box<str>>>,
}

impl UserStore {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, UserFileError> {
        let watch = Watch::new(path);
        let users = UserFile::load(path)?;
        if watch.others_may_read() {
            warn!(target: "dunlin::authentication", path = %path.display(), "everybody on this machine can read the file of users");
        }
        let (users, watch) = (RwLock::new(Arc::new(users)), Mutex::new(watch));
        Ok(Self { path: path.to_path_buf(), users, watch, changed: Mutex::default() })
    }

    /// The users, as the file was at most a second ago, if it can be read.
    #[must_use]
    pub fn users(&self) -> Arc<UserFile> {
        self.reload_if_changed();
        self.users.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of a user that logged in, as far as is known: it does not look at the file.
    #[must_use]
    pub fn review(&self, known: Known<'_>) -> Standing {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(user) = known.username.and_then(|name| users.get(name)) else { return Standing::Gone };
        let stamp = known.attributes.get(STAMP).and_then(|stamp| u64::from_str_radix(stamp, 16).ok());
        if stamp != Some(user.stamp()) {
            return Standing::Gone;
        }
        if user.groups == known.groups { Standing::Same } else { Standing::Groups(user.groups.clone()) }
    }

    /// What a user that logs in now is.
    pub(crate) fn identity(username: &str, user: &User, client_id: &str) -> Identity {
        Identity {
            username: Some(username.into()),
            client_id: client_id.into(),
            groups: user.groups.clone(),
            attributes: [(STAMP.into(), format!("{:016x}", user.stamp()).into())].into(),
        }
    }

    /// Looks whether the file has changed, at most once a second. Gives the names of those whose credentials or groups
    /// changed or who are gone, since it was last called: they are no longer who they were when they logged in.
    #[must_use]
    pub fn poll(&self) -> BTreeSet<Box<str>> {
        self.reload_if_changed();
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reload_if_changed(&self) {
        if self.watch.try_lock().is_ok_and(|mut watch| watch.is_due_and_changed()) {
            self.reload();
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again now; false where it cannot be read.
    pub fn reload(&self) -> bool {
        match UserFile::load(&self.path) {
            Ok(new) => {
                let new = Arc::new(new);
                let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
                let old = std::mem::replace(&mut *users, new.clone());
                drop(users);
                info!(target: "dunlin::authentication", path = %self.path.display(), users = new.len(), "file of users read again");
                let changed = old.iter().filter(|(name, user)| new.get(name) != Some(user));
                let mut names = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
                names.extend(changed.map(|(name, _)| Box::from(name)));
                true
            }
            Err(reason) => {
                error!(target: "dunlin::authentication", path = %self.path.display(), %reason, "file of users cannot be read, the old users stay");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::password::file::{add, remove, set_groups, set_password};
    use crate::identity::scratch::Scratch;
    use crate::identity::secret::Secret;

    #[test]
    fn a_reload_names_those_who_changed_or_are_gone() {
        let folder = Scratch::new("reload");
        let path = folder.path("users");
        for name in ["amy", "bob", "cat"] {
            add(&path, name, &Secret::new(*b"pw"), false).unwrap();
        }
        let store = UserStore::open(&path).unwrap();
        remove(&path, "amy").unwrap();
        set_groups(&path, "bob", &["ops"]).unwrap();
        add(&path, "dan", &Secret::new(*b"pw"), false).unwrap();

        store.reload();
        let changed = store.poll();

        assert_eq!(changed.iter().map(|name| &**name).collect::<Vec<_>>(), ["amy", "bob"]);
        assert!(store.poll().is_empty(), "each change is told once");
        assert!(store.users().get("amy").is_none() && store.users().get("dan").is_some());
    }

    #[test]
    fn whoever_logged_in_is_reviewed_by_credentials_and_groups() {
        let folder = Scratch::new("review");
        let path = folder.path("users");
        for name in ["amy", "bob", "cat", "dan"] {
            add(&path, name, &Secret::new(*b"pw"), false).unwrap();
        }
        let store = UserStore::open(&path).unwrap();
        let users = store.users();
        let identity = |name| UserStore::identity(name, users.get(name).unwrap(), "c");
        let [amy, bob, cat, dan] = ["amy", "bob", "cat", "dan"].map(identity);

        remove(&path, "amy").unwrap();
        set_groups(&path, "bob", &["ops"]).unwrap();
        set_password(&path, "cat", &Secret::new(*b"pw"), false).unwrap();
        let review = |identity: &Identity| store.review(identity.known());
        assert_eq!(review(&amy), Standing::Same, "the file has not been read again");
        store.reload();

        assert_eq!(review(&amy), Standing::Gone);
        assert_eq!(review(&bob), Standing::Groups(vec!["ops".into()]));
        assert_eq!(review(&cat), Standing::Gone);
        assert_eq!(review(&dan), Standing::Same);
    }

    #[test]
    fn a_bad_file_leaves_the_users_as_they_were() {
        let folder = Scratch::new("bad");
        let path = folder.path("users");
        add(&path, "amy", &Secret::new(*b"pw"), false).unwrap();
        let store = UserStore::open(&path).unwrap();

        std::fs::write(&path, "nonsense").unwrap();

        store.reload();

        assert!(store.poll().is_empty());
        assert!(store.users().get("amy").is_some());
    }
}
