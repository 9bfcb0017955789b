//! Hashes of passwords: argon2id for new ones, and what Mosquitto writes.
//!
//! In:    a password; a hash as text.
//! Out:   whether they belong together; a new hash.
//! Never: a password or a hash through `Debug`.
//! Spec:  RFC 9106 and the PHC string format for `$argon2id$`; mosquitto_passwd for `$6$` and `$7$`.

use std::fmt;
use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::{digest, pbkdf2};

use crate::identity::secret::{NoRandomness, equal, random};

/// KiB of memory, passes and lanes of a new hash: what OWASP asks for; about 33 ms and 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;
const HASH: usize = 32;
/// Bytes of SHA-512, which is all that Mosquitto writes.
const SHA512: usize = 64;

/// What a hash in a file may cost at most, so that a slip of a digit does not stop the workers.
const MEMORY_KIB_MAXIMUM: u32 = 256 * 1024;
const PASSES_MAXIMUM: u32 = 32;
const LANES_MAXIMUM: u32 = 16;
const ITERATIONS_MAXIMUM: u32 = 5_000_000;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`
    Argon2id { memory: u32, passes: u32, lanes: u32, salt: Box<[u8]>, hash: Box<[u8]> },
    /// `$6$SALT$HASH`: one round of SHA-512 over password and salt. Fast to guess.
    Sha512 { salt: Box<[u8]>, hash: [u8; SHA512] },
    /// `$7$ITERATIONS$SALT$HASH`: PBKDF2-HMAC-SHA512.
    Pbkdf2 { iterations: NonZeroU32, salt: Box<[u8]>, hash: [u8; SHA512] },
}

/// Why a text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// Not one of `$argon2id$`, `$6$`, `$7$`.
    #[error("hash is neither $argon2id$, $6$ nor $7$")]
    UnknownKind,
    /// Parts are missing, too many or not of their form.
    #[error("hash is not of the form of its kind")]
    Form,
    /// It would cost more than the bounds allow.
    #[error("hash costs more than 256 MiB, 32 passes, 16 lanes or 5000000 iterations")]
    TooCostly,
}

impl PasswordHash {
    /// Hashes a password with argon2id. Takes about 33 ms.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn create(password: &[u8]) -> Result<Self, NoRandomness> {
        Ok(Self::with_salt(password, random::<SALT>()?))
    }

    /// The hash of no password, which costs as much to compare as a new one: for names that do not exist.
    #[must_use]
    pub fn dummy() -> Self {
        Self(Kind::Argon2id {
            memory: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: Box::new([0; SALT]),
            hash: Box::new([0; HASH]),
        })
    }

    fn with_salt(password: &[u8], salt: [u8; SALT]) -> Self {
        let mut hash = [0; HASH];
        let made = argon2id(MEMORY_KIB, PASSES, LANES, password, &salt, &mut hash);
        assert!(made, "our own parameters are within argon2's bounds");
        let (salt, hash) = (Box::new(salt), Box::new(hash));
        Self(Kind::Argon2id { memory: MEMORY_KIB, passes: PASSES, lanes: LANES, salt, hash })
    }

    /// Reads the text of a hash.
    ///
    /// # Errors
    /// See [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let mut parts = text.split('$');
        if parts.next() != Some("") {
            return Err(HashError::UnknownKind);
        }
        let kind = parts.next().ok_or(HashError::UnknownKind)?;
        let parts: Vec<&str> = parts.collect();
        match (kind, parts.as_slice()) {
            ("6", [salt, hash]) => Ok(Self(Kind::Sha512 { salt: bytes(salt)?, hash: sha512_of(hash)? })),
            ("7", [iterations, salt, hash]) => {
                let iterations: NonZeroU32 = number(iterations)?;
                if iterations.get() > ITERATIONS_MAXIMUM {
                    return Err(HashError::TooCostly);
                }
                Ok(Self(Kind::Pbkdf2 { iterations, salt: bytes(salt)?, hash: sha512_of(hash)? }))
            }
            ("argon2id", ["v=19", cost, salt, hash]) => parse_argon2id(cost, salt, hash),
            ("6" | "7" | "argon2id", _) => Err(HashError::Form),
            _ => Err(HashError::UnknownKind),
        }
    }

    /// Whether `password` is the one that was hashed. The comparison of the hashes takes constant time.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Argon2id { memory, passes, lanes, salt, hash } => {
                let mut computed = vec![0; hash.len()];
                argon2id(*memory, *passes, *lanes, password, salt, &mut computed) && equal(&computed, hash)
            }
            Kind::Sha512 { salt, hash } => {
                let mut context = digest::Context::new(&digest::SHA512);
                context.update(password);
                context.update(salt);
                equal(context.finish().as_ref(), hash)
            }
            Kind::Pbkdf2 { iterations, salt, hash } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, *iterations, salt, password, hash).is_ok()
            }
        }
    }

    /// Whether it costs an attacker what a new hash does. Others should be replaced.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        match self.0 {
            Kind::Argon2id { memory, passes, .. } => {
                u64::from(memory) * u64::from(passes) >= u64::from(MEMORY_KIB) * u64::from(PASSES)
            }
            Kind::Sha512 { .. } | Kind::Pbkdf2 { .. } => false,
        }
    }

    /// What is particular to it: salt and hash.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        match &self.0 {
            Kind::Argon2id { salt, hash, .. } => [salt, hash],
            Kind::Sha512 { salt, hash } | Kind::Pbkdf2 { salt, hash, .. } => [salt, hash],
        }
    }

    /// What kind it is, for listings.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Argon2id { .. } => "argon2id",
            Kind::Sha512 { .. } => "sha512",
            Kind::Pbkdf2 { .. } => "pbkdf2-sha512",
        }
    }

    /// The text that [`PasswordHash::parse`] reads. It lets passwords be guessed: for the file alone.
    #[must_use]
    pub fn expose(&self) -> String {
        match &self.0 {
            Kind::Argon2id { memory, passes, lanes, salt, hash } => {
                let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
                format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
            }
            Kind::Sha512 { salt, hash } => format!("$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash)),
            Kind::Pbkdf2 { iterations, salt, hash } => {
                format!("$7${iterations}${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[hash {}]", self.kind())
    }
}

fn parse_argon2id(cost: &str, salt: &str, hash: &str) -> Result<PasswordHash, HashError> {
    let mut costs = cost.split(',');
    let mut next = |key: &str| -> Result<u32, HashError> {
        number(costs.next().and_then(|cost| cost.strip_prefix(key)).ok_or(HashError::Form)?)
    };
    let (memory, passes, lanes) = (next("m=")?, next("t=")?, next("p=")?);
    if costs.next().is_some() {
        return Err(HashError::Form);
    }
    if memory > MEMORY_KIB_MAXIMUM || passes > PASSES_MAXIMUM || lanes > LANES_MAXIMUM {
        return Err(HashError::TooCostly);
    }
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| HashError::Form);
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
        return Err(HashError::Form);
    }
    Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| HashError::Form)?;
    let (salt, hash) = (salt.into_boxed_slice(), hash.into_boxed_slice());
    Ok(PasswordHash(Kind::Argon2id { memory, passes, lanes, salt, hash }))
}

/// Fills `out`; `false` where the parameters are beyond what argon2 takes.
fn argon2id(memory: u32, passes: u32, lanes: u32, password: &[u8], salt: &[u8], out: &mut [u8]) -> bool {
    let Ok(params) = Params::new(memory, passes, lanes, Some(out.len())) else { return false };
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password, salt, out).is_ok()
}

/// Digits alone, without a sign or a leading zero.
fn number<T: std::str::FromStr>(text: &str) -> Result<T, HashError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain).ok_or(HashError::Form)
}

fn bytes(text: &str) -> Result<Box<[u8]>, HashError> {
    let bytes = STANDARD.decode(text).map_err(|_| HashError::Form)?;
    if bytes.is_empty() || bytes.len() > 64 { Err(HashError::Form) } else { Ok(bytes.into_boxed_slice()) }
}

fn sha512_of(text: &str) -> Result<[u8; SHA512], HashError> {
    bytes(text)?.as_ref().try_into().map_err(|_| HashError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with mosquitto_passwd 2.0.11.
    const SIX: &str = "$6$jk3XVqVHrRXGzg6o$JhLKIaS0fTbh3vlrvOxEpRfOI2wzLJb2DEKvdrC8M4TNiUdpgVG5fjDzh+l5MCZN8gltD2ighRS75phy0gfjhg==";
    const SEVEN: &str = "$7$101$VRIz6LK55MKfMCHy$l6+BHww5ShpkCI2xIKHaixhyeNk7fDIRyFUx4O0/Jc6YIf3EMlMIeN7OJ0/CogQMrZNdTz4eebmKI2h3Zja0Ng==";
    /// Made with argon2-cffi 25.1.0, that is the reference implementation, of which Mosquitto 2.1 makes its own.
    const ARGON2: &str =
        "$argon2id$v=19$m=65536,t=1,p=2$jNL9YXrp4u2mVBeM6bgKQA$Bjtjg1jLCiGlT2LFBmEmSz+m70195YylLoRN/ROdP00";

    #[test]
    fn hashes_that_mosquitto_made_verify() {
        for (hash, password) in [(SIX, "six-secret"), (SEVEN, "wonderland"), (ARGON2, "päss:wörd")] {
            let hash = PasswordHash::parse(hash).unwrap();

            assert!(hash.verify(password.as_bytes()), "{hash:?}");
            assert!(!hash.verify(b""), "{hash:?}");
            assert!(!hash.verify(format!("{password} ").as_bytes()), "{hash:?}");
        }
    }

    #[test]
    fn hashes_are_written_as_they_were_read() {
        for hash in [SIX, SEVEN, ARGON2] {
            assert_eq!(PasswordHash::parse(hash).unwrap().expose(), hash);
        }
    }

    #[test]
    fn a_new_hash_is_argon2id_and_never_twice_the_same() {
        let (one, other) = (PasswordHash::create(b"pw").unwrap(), PasswordHash::create(b"pw").unwrap());

        assert!(one.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(one, other);
        assert!(PasswordHash::parse(&one.expose()).unwrap().verify(b"pw"));
        assert!(one.is_strong() && !PasswordHash::parse(SEVEN).unwrap().is_strong());
    }

    #[test]
    fn the_dummy_fits_nobody() {
        assert!(!PasswordHash::dummy().verify(b""));
    }

    #[test]
    fn a_hash_that_would_stop_the_workers_is_refused() {
        let memory = ARGON2.replace("m=65536", "m=4194304");
        assert_eq!(PasswordHash::parse(&memory), Err(HashError::TooCostly));
        let iterations = SEVEN.replace("$101$", "$4000000000$");
        assert_eq!(PasswordHash::parse(&iterations), Err(HashError::TooCostly));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let bad = [
            ("", HashError::UnknownKind),
            ("plain", HashError::UnknownKind),
            ("$1$a$b", HashError::UnknownKind),
            ("$6$", HashError::Form),
            ("$7$0$AAAA$AAAA", HashError::Form),
            ("$7$+1$AAAA$AAAA", HashError::Form),
            ("$6$AAAA$AAAA", HashError::Form),
            ("$argon2id$v=16$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", HashError::Form),
            ("$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", HashError::Form),
        ];
        for (text, error) in bad {
            assert_eq!(PasswordHash::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        assert_eq!(format!("{:?}", PasswordHash::parse(SIX).unwrap()), "[hash sha512]");
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_read_is_written_back(text in r"\$(6|7|argon2id)(\$[a-zA-Z0-9+/=,]{0,24}){0,5}") {
            if let Ok(hash) = PasswordHash::parse(&text) {
                prop_assert_eq!(PasswordHash::parse(&hash.expose()), Ok(hash));
            }
        }
    }
}
