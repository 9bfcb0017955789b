//! Variable Byte Integers.
//!
//! Spec:  MQTT 5.0 section 1.5.5.

use crate::DecodeError;

/// A Variable Byte Integer: 0 to 268,435,455.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarInt(u32);

impl VarInt {
    /// The largest, in four bytes.
    pub const MAX: Self = Self(268_435_455);

    /// `None` beyond [`VarInt::MAX`].
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Bytes on the wire: 1 to 4.
    #[inline]
    #[must_use]
    pub const fn encoded_len(self) -> usize {
        match self.0 {
            0..=0x7F => 1,
            0x80..=0x3FFF => 2,
            0x4000..=0x1F_FFFF => 3,
            _ => 4,
        }
    }

    /// Appends it in as few bytes as it takes [MQTT-1.5.5-1].
    #[inline]
    pub fn encode(self, out: &mut Vec<u8>) {
        let mut rest = self.0;
        loop {
            let low = (rest & 0x7F) as u8;
            rest >>= 7;
            if rest == 0 {
                return out.push(low);
            }
            out.push(low | 0x80);
        }
    }

    /// Reads one from the front of `bytes`, and says how many bytes it took; `None` where more bytes are needed.
    ///
    /// # Errors
    /// A fifth byte, or more bytes than the number needs [MQTT-1.5.5-1].
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        match *bytes {
            [] => Ok(None),
            [low, ..] if low < 0x80 => Ok(Some((Self(u32::from(low)), 1))),
            _ => Self::decode_long(bytes),
        }
    }

    fn decode_long(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let mut value = 0;
        for (at, &byte) in bytes.iter().take(4).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte < 0x80 {
                if byte == 0 && at > 0 {
                    // [MQTT-1.5.5-1]
                    return Err(DecodeError::VariableByteIntegerNotMinimal { value, bytes: at + 1 });
                }
                return Ok(Some((Self(value), at + 1)));
            }
        }
        if bytes.len() < 4 { Ok(None) } else { Err(DecodeError::VariableByteIntegerTooLong) }
    }
}
