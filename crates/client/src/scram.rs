//! SCRAM-SHA-256 for enhanced authentication: the password stays here, and the Server proves that it knows it too.
//!
//! In:    a name, a password, bytes that nobody can foresee; messages of the Server.
//! Out:   messages of the client.
//! Never: an answer to a Server that asks for less than 4,096 or more than 1,000,000 rounds; a Server taken for the right
//!        one without its signature.
//! Spec:  RFC 5802, RFC 7677; MQTT 5.0 section 4.12. No channel binding.

use std::fmt;
use std::num::NonZeroU32;

use ring::hmac::{self, HMAC_SHA256, Key, sign};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, pbkdf2};

use crate::base64;
use crate::session::{AuthenticationExchange, AuthenticationMethod};

const LENGTH: usize = digest::SHA256_OUTPUT_LEN;
/// RFC 7677: fewer are too easily guessed.
const ROUNDS_MINIMUM: u32 = 4_096;
/// About a third of a second; a Server that asks for more keeps its clients busy.
const ROUNDS_MAXIMUM: u32 = 1_000_000;
/// `n,,`: no channel binding, no other identity.
const HEADER: &str = "n,,";

/// A name and a password for the method `SCRAM-SHA-256`.
#[derive(Clone)]
pub struct ScramSha256 {
    name: String,
    password: Vec<u8>,
    /// Makes the nonces.
    secret: [u8; LENGTH],
}

impl fmt::Debug for ScramSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramSha256").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ScramSha256 {
    /// With nonces of the system's randomness. A password beyond ASCII has to be in the form that the Server keeps
    /// (SASLprep is not done here).
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(name: &str, password: &str) -> Result<Self, ring::error::Unspecified> {
        let mut secret = [0; LENGTH];
        SystemRandom::new().fill(&mut secret)?;
        Ok(Self { name: name.to_owned(), password: password.as_bytes().to_owned(), secret })
    }
}

impl AuthenticationMethod for ScramSha256 {
    fn name(&self) -> &'static str {
        "SCRAM-SHA-256"
    }

    fn begin(&self, number: u64) -> Box<dyn AuthenticationExchange> {
        let nonce = sign(&Key::new(HMAC_SHA256, &self.secret), &number.to_be_bytes());
        let nonce = base64::encode(&nonce.as_ref()[..18]);
        let name = self.name.replace('=', "=3D").replace(',', "=2C");
        Box::new(Exchange {
            first: format!("n={name},r={nonce}"),
            nonce,
            password: self.password.clone(),
            expected: None,
            verified: false,
        })
    }
}

struct Exchange {
    /// client-first-message-bare
    first: String,
    nonce: String,
    password: Vec<u8>,
    /// What the Server has to sign with.
    expected: Option<Vec<u8>>,
    /// It has.
    verified: bool,
}

impl AuthenticationExchange for Exchange {
    fn first(&mut self) -> Option<Vec<u8>> {
        Some(format!("{HEADER}{}", self.first).into_bytes())
    }

    fn answer(&mut self, data: &[u8]) -> Result<Vec<u8>, String> {
        let text = std::str::from_utf8(data).map_err(|_| "scram: not UTF-8".to_owned())?;
        if self.expected.is_some() {
            // server-final-message in an AUTH of its own; what follows it is an empty answer.
            self.verify(text)?;
            return Ok(Vec::new());
        }
        let (nonce, salt, rounds) =
            challenge(text).ok_or_else(|| format!("scram: not a challenge: {text:?}"))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("scram: a challenge to somebody else".to_owned());
        }
        if !(ROUNDS_MINIMUM..=ROUNDS_MAXIMUM).contains(&rounds.get()) {
            return Err(format!("scram: {rounds} rounds, {ROUNDS_MINIMUM} to {ROUNDS_MAXIMUM} are taken"));
        }
        let mut salted = [0; LENGTH];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, &self.password, &mut salted);
        let salted = Key::new(HMAC_SHA256, &salted);
        let client = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        let server = sign(&salted, b"Server Key");
        let bare = format!("c={},r={nonce}", base64::encode(HEADER.as_bytes()));
        let message = format!("{},{text},{bare}", self.first);
        let signature = sign(&Key::new(HMAC_SHA256, stored.as_ref()), message.as_bytes());
        let proof: Vec<u8> = client.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let expected = sign(&Key::new(HMAC_SHA256, server.as_ref()), message.as_bytes());
        self.expected = Some(expected.as_ref().to_vec());
        Ok(format!("{bare},p={}", base64::encode(&proof)).into_bytes())
    }

    fn accepted(&mut self, data: Option<&[u8]>) -> Result<(), String> {
        match data {
            Some(data) if !self.verified => {
                let text = std::str::from_utf8(data).map_err(|_| "scram: not UTF-8".to_owned())?;
                self.verify(text)
            }
            _ if self.verified => Ok(()),
            _ => Err("scram: no signature of the server".to_owned()),
        }
    }
}

impl Exchange {
    fn verify(&mut self, text: &str) -> Result<(), String> {
        let expected = self.expected.as_ref().ok_or("scram: an end without a challenge")?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(format!("scram: the server says {error:?}"));
        }
        let value = text.strip_prefix("v=").and_then(|rest| rest.split(',').next());
        let given = value.and_then(base64::decode).ok_or("scram: not a signature")?;
        self.verified = equal(expected, &given);
        if self.verified { Ok(()) } else { Err("scram: the signature of somebody else".to_owned()) }
    }
}

/// In the same time wherever they differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let key = Key::new(HMAC_SHA256, one);
    hmac::verify(&key, one, sign(&Key::new(HMAC_SHA256, one), other).as_ref()).is_ok()
}

/// Nonce, salt and rounds of a server-first-message.
fn challenge(text: &str) -> Option<(&str, Vec<u8>, NonZeroU32)> {
    let mut parts = text.split(',');
    // `m=` would be an extension that has to be understood.
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = base64::decode(parts.next()?.strip_prefix("s=")?)?;
    let rounds = parts.next()?.strip_prefix("i=")?.parse().ok()?;
    Some((nonce, salt, rounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn exchange() -> Exchange {
        Exchange {
            first: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
            password: b"pencil".to_vec(),
            expected: None,
            verified: false,
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        let mut exchange = exchange();
        assert_eq!(exchange.first().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = exchange.answer(CHALLENGE.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        exchange.accepted(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).unwrap();
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        let signatures: [Option<&[u8]>; 4] = [
            None,
            Some(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
            Some(b"v="),
            Some(b"e=other-error"),
        ];
        for signature in signatures {
            let mut exchange = exchange();
            exchange.answer(CHALLENGE.as_bytes()).unwrap();
            assert!(exchange.accepted(signature).is_err());
        }
        let mut early = exchange();
        assert!(early.accepted(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).is_err());
    }

    #[test]
    fn a_challenge_is_checked() {
        for (from, to) in [
            ("i=4096", "i=1"),
            ("i=4096", "i=4000000000"),
            ("i=4096", "i=x"),
            ("r=rOpr", "r=ROpr"),
            ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""),
            ("s=W22", "s=*22"),
            ("r=", "m=x,r="),
        ] {
            assert!(exchange().answer(CHALLENGE.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn each_exchange_has_its_own_nonce_and_names_are_escaped() {
        let method = ScramSha256::new("a,b=c", "secret").unwrap();
        let (one, two) = (method.begin(1).first().unwrap(), method.begin(2).first().unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with(b"n,,n=a=2Cb=3Dc,r="));
        assert!(!format!("{method:?}").contains("secret"));
    }
}
