//! What is stored of a password for SCRAM: enough to check a proof, too little to make one.
//!
//! In:    a password; the text of a verifier.
//! Out:   a verifier; whether a proof fits; the Server's own signature.
//! Never: a key through `Debug`.
//! Spec:  RFC 5802 section 3.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use crate::identity::secret::{NoRandomness, equal, random};

/// Rounds of a new verifier. RFC 7677 asks for at least 4,096; the client pays for them at every log-in.
pub(super) const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
const ITERATIONS_MINIMUM: u32 = 4096;
const ITERATIONS_MAXIMUM: u32 = 5_000_000;
pub(super) const SALT: usize = 16;
const KEY: usize = 32;

/// The SCRAM-SHA-256 credentials of one user.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: NonZeroU32,
    pub(super) salt: Box<[u8]>,
    stored_key: [u8; KEY],
    server_key: [u8; KEY],
}

/// Why a text is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// It is not `$scram-sha-256$i=ITERATIONS$SALT$STORED$SERVER`.
    #[error("scram credentials are not of the form $scram-sha-256$i=...$salt$stored$server")]
    Form,
    /// Fewer or more rounds than is allowed.
    #[error(
        "scram credentials with {iterations} iterations, from {ITERATIONS_MINIMUM} to {ITERATIONS_MAXIMUM} are allowed"
    )]
    Iterations {
        /// How many they have.
        iterations: u32,
    },
}

impl Verifier {
    /// Derives a verifier for a password. Takes some milliseconds.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn create(password: &[u8]) -> Result<Self, NoRandomness> {
        Ok(Self::derive(password, &random::<SALT>()?, ITERATIONS))
    }

    pub(super) fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = Zeroizing::new([0; KEY]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &prepared(password), &mut *salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
        let stored_key = hash(hmac::sign(&key, b"Client Key").as_ref());
        let server_key = sign(&key, b"Server Key");
        Self { iterations, salt: salt.into(), stored_key, server_key }
    }

    /// A verifier that no proof fits, for a user that does not exist.
    pub(super) fn nobody(salt: &[u8]) -> Self {
        Self { iterations: ITERATIONS, salt: salt.into(), stored_key: [0; KEY], server_key: [0; KEY] }
    }

    /// Reads what [`Verifier::expose`] wrote.
    ///
    /// # Errors
    /// See [`VerifierError`].
    pub fn parse(text: &str) -> Result<Self, VerifierError> {
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "scram-sha-256", iterations, salt, stored, server] = parts.as_slice() else {
            return Err(VerifierError::Form);
        };
        let digits = iterations.strip_prefix("i=").ok_or(VerifierError::Form)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
            return Err(VerifierError::Form);
        }
        let iterations: NonZeroU32 = digits.parse().map_err(|_| VerifierError::Form)?;
        if !(ITERATIONS_MINIMUM..=ITERATIONS_MAXIMUM).contains(&iterations.get()) {
            return Err(VerifierError::Iterations { iterations: iterations.get() });
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| VerifierError::Form);
        let key = |text| decode(text)?.try_into().map_err(|_| VerifierError::Form);
        let salt = decode(salt)?.into_boxed_slice();
        if !(8..=64).contains(&salt.len()) {
            return Err(VerifierError::Form);
        }
        Ok(Self { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
    }

    /// The text that [`Verifier::parse`] reads. It lets passwords be guessed: for the file alone.
    #[must_use]
    pub fn expose(&self) -> String {
        let [salt, stored, server] =
            [&*self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("$scram-sha-256$i={}${salt}${stored}${server}", self.iterations)
    }

    /// What is particular to it: salt and key.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.salt, &self.stored_key]
    }

    /// Whether the proof shows that the client knows the password.
    pub(super) fn accepts(&self, message: &[u8], proof: &[u8; KEY]) -> bool {
        let signature = sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.stored_key), message);
        let mut client_key = Zeroizing::new([0; KEY]);
        for ((key, proof), signature) in client_key.iter_mut().zip(proof).zip(signature) {
            *key = proof ^ signature;
        }
        equal(&hash(&*client_key), &self.stored_key)
    }

    /// What shows the client that the Server knows the user too.
    pub(super) fn signature(&self, message: &[u8]) -> [u8; KEY] {
        sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.server_key), message)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[scram {} iterations]", self.iterations)
    }
}

/// SASLprep, as the client does; a password that it forbids is taken as it is, as common clients do.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    Zeroizing::new(prepared.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes()))
}

fn hash(bytes: &[u8]) -> [u8; KEY] {
    let mut hash = [0; KEY];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn sign(key: &hmac::Key, message: &[u8]) -> [u8; KEY] {
    let mut tag = [0; KEY];
    tag.copy_from_slice(hmac::sign(key, message).as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_verifier_is_read_as_it_was_written() {
        let verifier = Verifier::create(b"pencil").unwrap();

        assert_eq!(Verifier::parse(&verifier.expose()), Ok(verifier));
    }

    #[test]
    fn passwords_are_prepared_as_the_client_does() {
        let salt = [7; SALT];
        let derive = |password: &str| Verifier::derive(password.as_bytes(), &salt, ITERATIONS);

        // U+00AA and U+2168 are compatibility forms; RFC 4013 section 3 has both.
        assert_eq!(derive("\u{aa}"), derive("a"));
        assert_eq!(derive("\u{2168}"), derive("IX"));
        assert_ne!(derive("A"), derive("a"));
    }

    #[test]
    fn weak_costly_or_broken_verifiers_are_refused() {
        let good = Verifier::create(b"pencil").unwrap().expose();
        let with = |rounds: &str| Verifier::parse(&good.replace("i=10000", rounds));

        assert_eq!(with("i=1"), Err(VerifierError::Iterations { iterations: 1 }));
        assert_eq!(with("i=4000000000"), Err(VerifierError::Iterations { iterations: 4_000_000_000 }));
        assert_eq!(with("i=0"), Err(VerifierError::Form));
        assert_eq!(with("10000"), Err(VerifierError::Form));
        assert_eq!(Verifier::parse("$scram-sha-256$i=4096$AAAA$AAAA$AAAA"), Err(VerifierError::Form));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Verifier::nobody(&[1; SALT])), "[scram 10000 iterations]");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"(\$scram-sha-256)?(\$[i=0-9a-zA-Z+/]{0,50}){0,6}") {
            if let Ok(verifier) = Verifier::parse(&text) {
                prop_assert_eq!(Verifier::parse(&verifier.expose()), Ok(verifier));
            }
        }
    }
}
