//! What the readers of CBOR and MessagePack share: bytes that are taken from the front, JSON that is written.

use std::fmt::Write;

use super::super::json;

/// Values within values. Deeper ones are a payload made to break its readers.
pub(super) const DEPTH_MAX: u32 = 64;

/// The rest of a payload.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.0.len());
        let (taken, rest) = self.0.split_at(count.ok_or("it ends within a value")?);
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// Of so many bytes, big-endian; eight at most.
    pub(super) fn number(&mut self, bytes: u64) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn text(&mut self, bytes: u64) -> Result<&'a str, String> {
        std::str::from_utf8(self.take(bytes)?).map_err(|_| "a text that is not UTF-8".to_owned())
    }

    /// Nothing may follow the value.
    pub(super) fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes follow the value", self.0.len())) }
    }
}

/// As JSON has them: not-a-number and the infinities are `null`.
pub(super) fn float(value: f64, out: &mut String) {
    out.push_str(&serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned()));
}

/// Bytes as RFC 8949, section 6.1, shows them: base64url without padding.
pub(super) fn bytes(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    out.push('"');
    for group in bytes.chunks(3) {
        let byte = |at: usize| group.get(at).map_or(0, |byte| usize::from(*byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=group.len() {
            out.push(char::from(DIGITS[bits >> (18 - 6 * place) & 63]));
        }
    }
    out.push('"');
}

/// The name of a member: JSON has texts only, so another value stands there as the text that shows it.
pub(super) fn name(shown: &str, out: &mut String) {
    if shown.starts_with('"') {
        out.push_str(shown);
    } else {
        json::string(shown, out);
    }
    out.push(':');
}

/// A whole number.
pub(super) fn integer(value: impl std::fmt::Display, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}
