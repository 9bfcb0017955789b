//! Which keys a listener of each scheme has.
//!
//! In:    a scheme, the names of keys.
//! Out:   whose they are, and what is missing.
//! Never: a key that is silently without effect.

use crate::listen::Scheme;

/// The schemes that a key belongs to; empty where to all.
pub(super) const fn schemes_of(key: &str) -> &'static [Scheme] {
    match key.as_bytes() {
        b"permissions" => &[Scheme::Unix],
        _ => &[],
    }
}

/// The keys that a listener needs and lacks, each with what is expected.
pub(super) fn needs(_scheme: Scheme, _has: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    Vec::new()
}

/// The mode of a file: three octal digits.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.len() == 3 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}
