//! UTF-8 Encoded Strings.
//!
//! Spec:  MQTT 5.0 section 1.5.4.

use crate::DecodeError;

/// Well-formed, so without surrogates [MQTT-1.5.4-1] [MQTT311-1.5.3-1]; U+FEFF is kept as it is [MQTT-1.5.4-3]
/// [MQTT311-1.5.3-3].
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<&str, DecodeError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => Err(DecodeError::Utf8IllFormed { at: error.valid_up_to() }),
    }
}

/// What section 1.5.4 forbids (U+0000) or advises against in `text`. U+0000 goes first: nothing tolerates it
/// [MQTT-1.5.4-2] [MQTT311-1.5.3-2].
#[inline]
pub(crate) fn fault(text: &str) -> Option<DecodeError> {
    // No early exit, so that the compiler takes many bytes at a time. Printable ASCII is 0x20..=0x7E.
    let plain = text.bytes().fold(true, |plain, byte| plain & (byte.wrapping_sub(0x20) < 0x5F));
    if plain { None } else { slow_fault(text) }
}

fn slow_fault(text: &str) -> Option<DecodeError> {
    if let Some(at) = text.find('\0') {
        return Some(DecodeError::Utf8Null { at });
    }
    let (at, found) = text.char_indices().find(|&(_, character)| is_discouraged(character))?;
    Some(DecodeError::Utf8Discouraged { code_point: u32::from(found), at })
}

/// U+0001..U+001F, U+007F..U+009F, U+FDD0..U+FDEF and the last two code points of every plane.
const fn is_discouraged(character: char) -> bool {
    let code_point = character as u32;
    matches!(code_point, 0x01..=0x1F | 0x7F..=0x9F | 0xFDD0..=0xFDEF) || code_point & 0xFFFE == 0xFFFE
}
