//! Log-in by the User Name and Password of CONNECT, against the file of users.
//!
//! In:    an attempt.
//! Out:   allowed; denied, where the password of a known user is wrong; passed on, where nobody has that name.
//! Never: faster for a name that does not exist: an attempt that fails costs an argon2id hash whoever it is for.

use std::hint::black_box;
use std::sync::Arc;

use crate::identity::attempt::{Attempt, Authenticator, Denial, Grant, Known, Outcome, Standing};

use super::hash::PasswordHash;
use super::store::UserStore;

/// Authenticates by the file of users. Costs about 33 ms of a worker.
#[derive(Debug)]
pub struct Passwords {
    store: Arc<UserStore>,
}

impl Passwords {
    /// For these users.
    #[must_use]
    pub fn new(store: Arc<UserStore>) -> Self {
        Self { store }
    }
}

impl Authenticator for Passwords {
    fn review(&self, known: Known<'_>) -> Standing {
        self.store.review(known)
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let (Some(username), Some(password), None) = (&attempt.username, &attempt.password, &attempt.method)
        else {
            return Outcome::Pass;
        };
        let users = self.store.users();
        let user = users.get(username);
        let hash = user.and_then(|user| user.password.as_ref());
        let right = hash.is_some_and(|hash| hash.verify(password.expose()));
        if !right && !hash.is_some_and(PasswordHash::is_strong) {
            black_box(PasswordHash::dummy().verify(password.expose()));
        }
        match user {
            Some(user) if right => {
                let identity = UserStore::identity(username, user, &attempt.client_id);
                Outcome::Allow(Grant { identity, ..Grant::default() })
            }
            Some(_) => Outcome::Deny(Denial::BadCredentials),
            None => Outcome::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::password::{add, set_groups};
    use crate::identity::scratch::Scratch;
    use crate::identity::secret::Secret;
    use crate::identity::testing::attempt;
    use std::time::{Duration, Instant};

    fn passwords(folder: &Scratch) -> Passwords {
        let path = folder.path("users");
        add(&path, "amy", &Secret::new(*b"right"), false).unwrap();
        set_groups(&path, "amy", &["ops"]).unwrap();
        Passwords::new(Arc::new(UserStore::open(&path).unwrap()))
    }

    fn login(username: &str, password: &str) -> Attempt {
        Attempt {
            username: Some(username.into()),
            password: Some(Secret::new(password.as_bytes())),
            ..attempt()
        }
    }

    #[test]
    fn the_right_password_proves_the_name_and_gives_its_groups() {
        let folder = Scratch::new("login");

        let outcome = passwords(&folder).authenticate(&login("amy", "right"));

        let Outcome::Allow(grant) = outcome else { panic!("{outcome:?}") };
        assert_eq!(grant.identity.username.as_deref(), Some("amy"));
        assert_eq!(grant.identity.groups, [Box::from("ops")]);
    }

    #[test]
    fn a_wrong_password_is_denied_and_an_unknown_name_passed_on() {
        let folder = Scratch::new("wrong");
        let passwords = passwords(&folder);

        let wrong = passwords.authenticate(&login("amy", "wrong"));
        assert!(matches!(wrong, Outcome::Deny(Denial::BadCredentials)), "{wrong:?}");
        assert!(matches!(passwords.authenticate(&login("bob", "right")), Outcome::Pass));
        assert!(matches!(passwords.authenticate(&attempt()), Outcome::Pass));
    }

    #[test]
    fn an_unknown_name_takes_as_long_as_a_wrong_password() {
        let folder = Scratch::new("timing");
        let passwords = passwords(&folder);
        let time = |name: &str| -> Duration {
            let shortest = (0..5).map(|_| {
                let start = Instant::now();
                let _ = passwords.authenticate(&login(name, "wrong"));
                start.elapsed()
            });
            shortest.min().unwrap()
        };

        let (known, unknown) = (time("amy"), time("bob"));

        assert!(unknown * 3 > known, "{unknown:?} against {known:?}");
    }
}
