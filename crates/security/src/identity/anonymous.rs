//! Clients that offer nothing, let in on purpose.

use super::attempt::{Attempt, Authenticator, Grant, Outcome};
use super::subject::Identity;

/// Allows a Client without User Name and Password, as a member of the group `anonymous`.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

/// The group of whom nobody vouches for.
pub const ANONYMOUS_GROUP: &str = "anonymous";

impl Authenticator for Anonymous {
    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        // Who offers a name or a password wants to be somebody, and must not become nobody by a typo.
        if attempt.username.is_some() || attempt.password.is_some() {
            return Outcome::Pass;
        }
        let (client_id, groups) = (attempt.client_id.clone(), vec![ANONYMOUS_GROUP.into()]);
        let identity = Identity { client_id, groups, ..Identity::default() };
        Outcome::Allow(Grant { identity, ..Grant::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::secret::Secret;
    use crate::identity::testing::attempt;

    #[test]
    fn only_who_offers_nothing_is_anonymous() {
        let outcome = Anonymous.authenticate(&attempt());
        let Outcome::Allow(grant) = outcome else { panic!("{outcome:?}") };
        assert_eq!(grant.identity.username, None);
        assert_eq!(grant.identity.groups, [Box::from("anonymous")]);

        let named = Attempt { username: Some("amy".into()), ..attempt() };
        assert!(matches!(Anonymous.authenticate(&named), Outcome::Pass));
        let password = Attempt { password: Some(Secret::new(*b"")), ..attempt() };
        assert!(matches!(Anonymous.authenticate(&password), Outcome::Pass));
    }
}
