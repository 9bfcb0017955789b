//! Log-in by token.

use std::sync::Arc;

use crate::identity::attempt::{Attempt, Authenticator, Denial, Grant, Outcome};
use crate::identity::secret::Secret;

use super::claims::ClaimRules;
use super::source::KeySource;
use super::token::{Token, TokenError};

/// Where the Client puts its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenField {
    /// In the Password.
    #[default]
    Password,
    /// In the User Name, for Clients that can set no other. Names stand in logs: use this with tokens that expire soon.
    Username,
}

/// Authenticates by the tokens of one issuer. What is no token, or by another issuer, is passed on.
pub struct Tokens {
    keys: Arc<KeySource>,
    rules: ClaimRules,
    field: TokenField,
}

impl Tokens {
    /// With these keys and rules.
    #[must_use]
    pub fn new(keys: impl Into<Arc<KeySource>>, rules: ClaimRules, field: TokenField) -> Self {
        Self { keys: keys.into(), rules, field }
    }

    fn judge(&self, token: &Token<'_>, attempt: &Attempt) -> Result<Grant, Denial> {
        let id = token.key_id.as_deref();
        let keys = self.keys.keys(id).ok_or(Denial::Unavailable)?;
        if !keys.verify(token.algorithm, id, token.signed.as_bytes(), &token.signature) {
            return Err(Denial::BadCredentials);
        }
        self.rules.judge(&token.claims, attempt)
    }
}

impl Authenticator for Tokens {
    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let text = match self.field {
            TokenField::Password => attempt.password.as_ref().and_then(Secret::expose_str),
            TokenField::Username => attempt.username.as_deref(),
        };
        let Some(text) = text else { return Outcome::Pass };
        match Token::parse(text) {
            Err(TokenError::NotAToken) => Outcome::Pass,
            Err(_) => Outcome::Deny(Denial::BadCredentials),
            Ok(token) if self.rules.is_foreign(&token.claims) => Outcome::Pass,
            Ok(token) => match self.judge(&token, attempt) {
                Ok(grant) => Outcome::Allow(grant),
                Err(denial) => Outcome::Deny(denial),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::attempt;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::hmac;
    use serde_json::{Value, json};

    const KEY: [u8; 32] = [7; 32];

    fn token(claims: &Value) -> String {
        let [header, claims] =
            [json!({"alg": "HS256"}), claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let by = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(by))
    }

    fn tokens(rules: ClaimRules) -> Tokens {
        Tokens::new(KeySource::secret(Secret::new(KEY)).unwrap(), rules, TokenField::Password)
    }

    fn with(password: &str) -> Attempt {
        Attempt { password: Some(Secret::new(password.as_bytes())), ..attempt() }
    }

    #[test]
    fn a_token_proves_its_subject() {
        let claims = json!({"sub": "amy", "exp": 1_700_000_060});

        let outcome = tokens(ClaimRules::default()).authenticate(&with(&token(&claims)));

        let Outcome::Allow(grant) = outcome else { panic!("{outcome:?}") };
        assert_eq!(grant.identity.username.as_deref(), Some("amy"));
    }

    #[test]
    fn a_token_whose_claims_were_changed_is_denied() {
        let (amy, eve) =
            (json!({"sub": "amy", "exp": 1_700_000_060}), json!({"sub": "eve", "exp": 1_700_000_060}));
        let (good, other) = (token(&amy), token(&eve));
        let mut parts: Vec<&str> = good.split('.').collect();
        parts[1] = other.split('.').nth(1).unwrap();

        let outcome = tokens(ClaimRules::default()).authenticate(&with(&parts.join(".")));

        assert!(matches!(outcome, Outcome::Deny(Denial::BadCredentials)));
    }

    #[test]
    fn passwords_and_tokens_of_others_are_passed_on() {
        let rules = || ClaimRules { issuer: Some("us".into()), ..ClaimRules::default() };
        let foreign = token(&json!({"sub": "amy", "iss": "them", "exp": 1_700_000_060}));

        assert!(matches!(tokens(rules()).authenticate(&with("password")), Outcome::Pass));
        assert!(matches!(tokens(rules()).authenticate(&with(&foreign)), Outcome::Pass));
        assert!(matches!(tokens(rules()).authenticate(&attempt()), Outcome::Pass));
    }

    #[test]
    fn a_token_can_be_the_user_name() {
        let text = token(&json!({"sub": "amy", "exp": 1_700_000_060}));
        let keys = KeySource::secret(Secret::new(KEY)).unwrap();
        let tokens = Tokens::new(keys, ClaimRules::default(), TokenField::Username);

        let outcome = tokens.authenticate(&Attempt { username: Some(text.into()), ..attempt() });

        assert!(matches!(outcome, Outcome::Allow(_)));
    }
}
