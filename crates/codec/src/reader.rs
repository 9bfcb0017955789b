//! The fields of a packet, taken from its front one after another.
//!
//! Spec:  MQTT 5.0 section 1.5.

use crate::{DecodeError, PacketId, RuleSet, Tolerance, VarInt, utf8};

/// Which broken rules are let pass, and which were.
pub(crate) struct Judge<'j> {
    pub(crate) tolerance: Tolerance,
    pub(crate) broken: &'j mut RuleSet,
}

impl Judge<'_> {
    /// Notes the rule that `error` stands for where it is tolerated; otherwise fails with `error`.
    #[cold]
    pub(crate) fn excuse(&mut self, error: DecodeError) -> Result<(), DecodeError> {
        match error.rule() {
            Some(rule) if self.tolerance.0.contains(rule) => {
                self.broken.insert(rule);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Checks what section 1.5.4 says beyond being well-formed.
    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> Result<(), DecodeError> {
        match utf8::fault(text) {
            None => Ok(()),
            Some(error) => self.excuse(error),
        }
    }
}

/// What is left of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(DecodeError::Truncated { needed: count, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::Truncated { needed: N, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn var_int(&mut self) -> Result<VarInt, DecodeError> {
        match VarInt::decode(self.rest)? {
            Some((value, length)) => {
                self.rest = &self.rest[length..];
                Ok(value)
            }
            None => Err(DecodeError::Truncated { needed: self.rest.len() + 1, left: self.rest.len() }),
        }
    }

    /// Never zero [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1].
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }

    /// Binary Data (section 1.5.6).
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A string that is well-formed, and no more.
    #[inline]
    pub(crate) fn raw_text(&mut self) -> Result<&'a str, DecodeError> {
        utf8::parse(self.binary()?)
    }

    /// A UTF-8 Encoded String (section 1.5.4).
    #[inline]
    pub(crate) fn text(&mut self, judge: &mut Judge<'_>) -> Result<&'a str, DecodeError> {
        let text = self.raw_text()?;
        judge.text(text)?;
        Ok(text)
    }

    /// Nothing may follow the last field.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes { count: self.rest.len() }) }
    }
}
