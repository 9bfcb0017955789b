//! Base64 (RFC 4648, section 4), for the handshakes that want it.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| group.get(at).map_or(0, |byte| usize::from(*byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            text.push(if place > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// `None`: it is none, or not the shortest way to write it.
#[cfg(any(feature = "scram", test))]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let groups = text.as_bytes().chunks(4);
    let last = groups.len();
    let mut bytes = Vec::with_capacity(last * 3);
    for (number, group) in groups.enumerate() {
        let digits = group.iter().take_while(|digit| **digit != b'=').count();
        let padded = group.len() == 4 && group[digits..].iter().all(|digit| *digit == b'=');
        if !padded || digits < 2 || (digits < 4 && number + 1 < last) {
            return None;
        }
        let mut bits = 0_u32;
        for digit in group {
            let value = if *digit == b'=' { Some(0) } else { DIGITS.iter().position(|known| known == digit) };
            bits = bits << 6 | u32::try_from(value?).ok()?;
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&decoded[..digits - 1]);
        if decoded[digits - 1..].iter().any(|byte| *byte != 0) {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}?", "w78/"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        for text in ["Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "Zh==", "Zm9*", "Zm8=x"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
