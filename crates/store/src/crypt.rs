//! Encryption at rest: AES-256-GCM with a key for each file, derived from a master key and a salt.
//!
//! In:    master keys with their ids; a file's random salt; positions, which are the nonces.
//! Out:   sealed bytes; opened bytes, or nothing where they were changed.
//! Never: the same nonce twice under one key: a file's salt is new whenever its positions start again.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::io;

/// Bytes that sealing adds.
pub(crate) const TAG: usize = 16;
/// Used by no position.
const CHECK_NONCE: u64 = u64::MAX;

/// A 256-bit master key. Not shown by `Debug`.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// A key from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// 32 bytes that nobody can guess, from the system: a master key, a salt.
///
/// # Errors
/// That the system has none.
pub fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness from the system"))?;
    Ok(bytes)
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The master keys that may open files, and the one that seals new ones.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: BTreeMap<u32, MasterKey>,
    current: Option<u32>,
}

impl Keyring {
    /// Adds a key; the one added last seals what is written from now on. Older ones stay for reading.
    #[must_use]
    pub fn with(mut self, id: u32, key: MasterKey) -> Self {
        self.keys.insert(id, key);
        self.current = Some(id);
        self
    }

    /// The id of the key that seals, if anything is sealed.
    #[must_use]
    pub const fn current(&self) -> Option<u32> {
        self.current
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        self.keys.contains_key(&id)
    }

    /// The key of one file, if the master key `id` is here.
    pub(crate) fn derive(&self, id: u32, salt: &[u8; 32], purpose: &'static str) -> Option<FileKey> {
        let master = self.keys.get(&id)?;
        let secret = Salt::new(HKDF_SHA256, salt).extract(&master.0);
        let info = [purpose.as_bytes()];
        let Ok(okm) = secret.expand(&info, &AES_256_GCM) else { unreachable!("32 bytes are never too many") };
        Some(FileKey(LessSafeKey::new(UnboundKey::from(okm))))
    }
}

/// The key of one file.
#[derive(Debug)]
pub(crate) struct FileKey(LessSafeKey);

impl FileKey {
    /// Seals in place; the tag goes behind the bytes. A position is used once.
    pub(crate) fn seal(&self, position: u64, aad: &[u8], bytes: &mut [u8]) -> [u8; TAG] {
        let sealed = self.0.seal_in_place_separate_tag(nonce(position), Aad::from(aad), bytes);
        let mut tag = [0; TAG];
        match sealed {
            Ok(t) => tag.copy_from_slice(t.as_ref()),
            Err(_) => unreachable!("a segment is far below the 64 GiB that GCM can seal"),
        }
        tag
    }

    /// Opens in place; `bytes` ends with the tag. `None` if anything was changed.
    pub(crate) fn open<'a>(&self, position: u64, aad: &[u8], bytes: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce(position), Aad::from(aad), bytes).ok()
    }

    /// Proves later that a key is the one that sealed.
    pub(crate) fn check(&self) -> [u8; TAG] {
        self.seal(CHECK_NONCE, b"dunlin key check", &mut [])
    }
}

fn nonce(position: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&position.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_position_under_its_salt_only() {
        let ring = Keyring::default().with(7, MasterKey::new([1; 32]));
        let key = ring.derive(7, &[2; 32], "test").unwrap();
        let mut bytes = b"hello".to_vec();
        let tag = key.seal(64, b"head", &mut bytes);
        assert_ne!(bytes, b"hello");
        bytes.extend(tag);
        assert_eq!(key.open(64, b"head", &mut bytes.clone()).unwrap(), b"hello");
        assert!(key.open(72, b"head", &mut bytes.clone()).is_none());
        assert!(key.open(64, b"tail", &mut bytes.clone()).is_none());
        let other = ring.derive(7, &[3; 32], "test").unwrap();
        assert!(other.open(64, b"head", &mut bytes.clone()).is_none());
        assert_ne!(other.check(), key.check());
        assert!(ring.derive(8, &[2; 32], "test").is_none());
    }
}
