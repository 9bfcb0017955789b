//! Which keys a listener of each scheme has.
//!
//! In:    a scheme, the names of keys.
//! Out:   whose they are, and what is missing.
//! Never: a key that is silently without effect.

use crate::listen::Scheme;

/// The schemes that a key belongs to; empty where to all.
pub(super) const fn schemes_of(key: &str) -> &'static [Scheme] {
    match key.as_bytes() {
        b"certificate" | b"key" | b"client_ca" | b"client_certificate" => &[Scheme::Tls, Scheme::Wss],
        b"path" | b"origins" => &[Scheme::Ws, Scheme::Wss],
        b"permissions" => &[Scheme::Unix],
        _ => &[],
    }
}

/// The keys that a listener needs and lacks, each with what is expected.
pub(super) fn needs(scheme: Scheme, has: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    let mut needs = Vec::new();
    if scheme.has_tls() {
        needs.push((
            "certificate",
            "a PEM file with the server's certificate and those that lead to its authority",
        ));
        needs.push(("key", "a PEM file with the private key of the certificate"));
        if has("client_certificate") {
            needs.push(("client_ca", "with client_certificate, a PEM file with the authorities of clients"));
        }
    }
    needs.retain(|(name, _)| !has(name));
    needs
}

/// The mode of a file: three octal digits.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.len() == 3 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// A path as a request names it.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
}
