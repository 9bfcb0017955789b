//! The steps of one SCRAM log-in.
//!
//! In:    client-first, in CONNECT or the first AUTH; client-final, in AUTH.
//! Out:   server-first, as a challenge; server-final, with the grant.
//! Never: a difference that shows whether a user exists, before the end and in it.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::identity::attempt::{
    Attempt, Authenticator, Challenge, Denial, Exchange, Grant, Known, Outcome, Standing,
};
use crate::identity::password::UserStore;
use crate::identity::secret::{Secret, random};
use crate::identity::subject::Identity;

use super::message::{ClientFinal, ClientFirst};
use super::verifier::{SALT, Verifier};

/// The Authentication Method.
const METHOD: &str = "SCRAM-SHA-256";
/// Random bytes of the Server's nonce.
const NONCE: usize = 24;

/// Authenticates by SCRAM-SHA-256 against the file of users.
pub struct Scram {
    store: Arc<UserStore>,
    /// Makes the salts of users that do not exist.
    seed: hmac::Key,
}

/// Waits for client-first: CONNECT had no Authentication Data.
struct Begun {
    store: Arc<UserStore>,
    seed: hmac::Key,
    asked: Asked,
}

/// What CONNECT said.
struct Asked {
    username: Option<Box<str>>,
    client_id: Box<str>,
}

/// Waits for client-final.
struct Challenged {
    username: Box<str>,
    /// Who it is if the proof is right; `None`: the user does not exist or cannot log in by SCRAM.
    identity: Option<Identity>,
    verifier: Verifier,
    gs2_header: Box<str>,
    nonce: Box<str>,
    /// client-first-message-bare "," server-first-message ","
    signed: String,
}

impl Scram {
    /// For these users. `seed` makes the salts that strangers are shown: keep it secret, and the same across restarts,
    /// or a restart shows which users do not exist.
    #[must_use]
    pub fn new(store: Arc<UserStore>, seed: &Secret) -> Self {
        Self { store, seed: hmac::Key::new(hmac::HMAC_SHA256, seed.expose()) }
    }
}

impl Authenticator for Scram {
    fn method(&self) -> Option<&'static str> {
        Some(METHOD)
    }

    fn review(&self, known: Known<'_>) -> Standing {
        self.store.review(known)
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let Some(method) = attempt.method.as_ref().filter(|method| &*method.name == METHOD) else {
            return Outcome::Pass;
        };
        let asked = Asked { username: attempt.username.clone(), client_id: attempt.client_id.clone() };
        let begun = Begun { store: self.store.clone(), seed: self.seed.clone(), asked };
        match &method.data {
            Some(data) => begun.challenge(data.expose()),
            None => Outcome::Continue(Challenge { data: Box::default(), exchange: Box::new(begun) }),
        }
    }
}

impl Begun {
    fn challenge(self, data: &[u8]) -> Outcome {
        match random::<NONCE>() {
            Ok(nonce) => self.challenge_with(data, &STANDARD.encode(nonce)),
            Err(_) => Outcome::Deny(Denial::Unavailable),
        }
    }

    fn challenge_with(self, data: &[u8], server_nonce: &str) -> Outcome {
        let Ok(first) = ClientFirst::parse(data) else { return Outcome::Deny(Denial::BadExchange) };
        // Acting as somebody else, or under a name that CONNECT does not have, would mislead what reads CONNECT.
        let other = |name: &Option<Box<str>>| name.as_ref().is_some_and(|name| *name != first.username);
        if other(&first.act_as) || other(&self.asked.username) {
            return Outcome::Deny(Denial::BadExchange);
        }
        let users = self.store.users();
        let user = users.get(&first.username);
        let known = user.and_then(|user| user.scram.clone());
        let exists = user.filter(|_| known.is_some());
        let identity = exists.map(|user| UserStore::identity(&first.username, user, &self.asked.client_id));
        let verifier = known.unwrap_or_else(|| {
            let salt = hmac::sign(&self.seed, first.username.as_bytes());
            Verifier::nobody(&salt.as_ref()[..SALT])
        });
        let nonce = format!("{}{server_nonce}", first.nonce);
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let challenged = Challenged {
            identity,
            verifier,
            gs2_header: first.gs2_header.into(),
            nonce: nonce.into(),
            signed: format!("{},{server_first},", first.bare),
            username: first.username,
        };
        let data = server_first.into_bytes().into();
        Outcome::Continue(Challenge { data, exchange: Box::new(challenged) })
    }
}

impl Exchange for Begun {
    fn answer(self: Box<Self>, data: &[u8], _now: SystemTime) -> Outcome {
        self.challenge(data)
    }

    fn username(&self) -> Option<&str> {
        None
    }
}

impl Exchange for Challenged {
    fn answer(self: Box<Self>, data: &[u8], _now: SystemTime) -> Outcome {
        let Ok(last) = ClientFinal::parse(data) else { return Outcome::Deny(Denial::BadExchange) };
        if last.nonce != &*self.nonce || *last.channel_binding != *self.gs2_header.as_bytes() {
            return Outcome::Deny(Denial::BadExchange);
        }
        let message = format!("{}{}", self.signed, last.without_proof);
        let right = self.verifier.accepts(message.as_bytes(), &last.proof);
        let Some(identity) = self.identity.filter(|_| right) else {
            return Outcome::Deny(Denial::BadCredentials);
        };
        let signature = STANDARD.encode(self.verifier.signature(message.as_bytes()));
        let data = Some(format!("v={signature}").into_bytes().into());
        Outcome::Allow(Grant { identity, data, ..Grant::default() })
    }

    fn username(&self) -> Option<&str> {
        Some(&self.username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::attempt::Method;
    use crate::identity::scratch::Scratch;
    use crate::identity::testing::attempt;
    use std::num::NonZeroU32;

    /// RFC 7677 section 3.
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn scram(folder: &Scratch) -> Scram {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let users = folder.file("users", format!("user::{}:ops\nother:\n", verifier.expose()));
        Scram::new(Arc::new(UserStore::open(&users).unwrap()), &Secret::new([1; 32]))
    }

    fn begun(scram: &Scram) -> Begun {
        let asked = Asked { username: None, client_id: "sensor-1".into() };
        Begun { store: scram.store.clone(), seed: scram.seed.clone(), asked }
    }

    fn challenge(outcome: Outcome) -> Challenge {
        match outcome {
            Outcome::Continue(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    }

    fn denial(outcome: Outcome) -> Denial {
        match outcome {
            Outcome::Deny(denial) => denial,
            other => panic!("{other:?}"),
        }
    }

    fn now() -> SystemTime {
        attempt().now
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_held() {
        let folder = Scratch::new("rfc7677");
        let scram = scram(&folder);

        let challenge = challenge(begun(&scram).challenge_with(FIRST.as_bytes(), SERVER_NONCE));
        assert_eq!(std::str::from_utf8(&challenge.data), Ok(SERVER_FIRST));
        assert_eq!(challenge.exchange.username(), Some("user"));

        let outcome = challenge.exchange.answer(FINAL.as_bytes(), now());
        let Outcome::Allow(grant) = outcome else { panic!("{outcome:?}") };
        assert_eq!(grant.data.as_deref(), Some(SERVER_FINAL.as_bytes()));
        assert_eq!(grant.identity.username.as_deref(), Some("user"));
        assert_eq!(grant.identity.groups, [Box::from("ops")]);
    }

    #[test]
    fn a_proof_of_another_exchange_is_refused() {
        let folder = Scratch::new("replay");
        let scram = scram(&folder);
        let method = Method { name: METHOD.into(), data: Some(Secret::new(FIRST.as_bytes())) };

        // The Server's nonce is another this time.
        let challenge = challenge(scram.authenticate(&Attempt { method: Some(method), ..attempt() }));

        assert_eq!(denial(challenge.exchange.answer(FINAL.as_bytes(), now())), Denial::BadExchange);
    }

    #[test]
    fn one_wrong_bit_of_the_proof_is_refused() {
        let folder = Scratch::new("bit");
        let challenge = challenge(begun(&scram(&folder)).challenge_with(FIRST.as_bytes(), SERVER_NONCE));

        let wrong = FINAL.replace("p=dHz", "p=dHy");

        assert_eq!(denial(challenge.exchange.answer(wrong.as_bytes(), now())), Denial::BadCredentials);
    }

    #[test]
    fn a_header_that_changed_on_the_way_is_refused() {
        let folder = Scratch::new("header");
        let first = FIRST.replace("n,,", "y,,");
        let challenge = challenge(begun(&scram(&folder)).challenge_with(first.as_bytes(), SERVER_NONCE));

        assert_eq!(denial(challenge.exchange.answer(FINAL.as_bytes(), now())), Denial::BadExchange);
    }

    #[test]
    fn who_does_not_exist_is_challenged_alike_and_refused_at_the_end() {
        let folder = Scratch::new("nobody");
        let scram = scram(&folder);
        let ask = |user: &str| {
            let first = FIRST.replace("n=user", &format!("n={user}"));
            challenge(begun(&scram).challenge_with(first.as_bytes(), SERVER_NONCE))
        };

        let (once, again, exists) = (ask("nobody"), ask("nobody"), ask("other"));

        assert_eq!(once.data, again.data, "the salt of a stranger stays the same");
        assert_ne!(once.data, exists.data);
        assert!(once.data.starts_with(b"r=") && once.data.ends_with(b",i=10000"));
        for challenge in [once, exists] {
            assert_eq!(denial(challenge.exchange.answer(FINAL.as_bytes(), now())), Denial::BadCredentials);
        }
    }

    #[test]
    fn nobody_acts_as_somebody_else() {
        let folder = Scratch::new("actas");
        let scram = scram(&folder);

        let first = FIRST.replace("n,,", "n,a=admin,");
        assert_eq!(denial(begun(&scram).challenge(first.as_bytes())), Denial::BadExchange);

        let mut named = begun(&scram);
        named.asked.username = Some("admin".into());
        assert_eq!(denial(named.challenge(FIRST.as_bytes())), Denial::BadExchange);
    }

    #[test]
    fn connect_without_data_is_asked_for_it() {
        let folder = Scratch::new("empty");
        let method = Method { name: METHOD.into(), data: None };

        let empty = challenge(scram(&folder).authenticate(&Attempt { method: Some(method), ..attempt() }));
        assert!(empty.data.is_empty());

        let first = challenge(empty.exchange.answer(FIRST.as_bytes(), now()));
        assert!(first.data.starts_with(b"r=rOprNGfwEbeRWgbNEkqO"));
    }
}
