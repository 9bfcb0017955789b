//! Sheets: the small self-describing records that start every file of the log.
//!
//! In:    a magic and tagged fields; bytes that may be damaged or from another version.
//! Out:   bytes; the fields, or why they cannot be had.
//! Never: guesses. What a sheet does not understand and must understand, it refuses.
//!
//! `magic 8 | format u16 | 0 u16 | length u32 | fields | crc32c u32`, each field `tag u16 | length u32 |
//! bytes`. A tag from 0x8000 up is optional: who does not know it skips it.

use crate::wire::{Reader, index, small, sum};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u16 = 1;
/// Tags from here up may be skipped.
const OPTIONAL: u16 = 0x8000;
const HEAD: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SheetError {
    /// The bytes are no sheet of this kind, or damaged.
    Damaged,
    /// A newer version wrote it.
    Newer { format: u16 },
    /// A field that must be understood is not.
    UnknownField { tag: u16 },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    fields: Vec<(u16, Vec<u8>)>,
}

impl Sheet {
    pub(crate) fn put(&mut self, tag: u16, bytes: &[u8]) -> &mut Self {
        self.fields.push((tag, bytes.to_vec()));
        self
    }

    pub(crate) fn get(&self, tag: u16) -> Option<&[u8]> {
        self.fields.iter().find(|(t, _)| *t == tag).map(|(_, bytes)| bytes.as_slice())
    }

    pub(crate) fn u64(&self, tag: u16) -> Option<u64> {
        Some(u64::from_le_bytes(self.array(tag)?))
    }

    pub(crate) fn array<const N: usize>(&self, tag: u16) -> Option<[u8; N]> {
        self.get(tag)?.try_into().ok()
    }

    pub(crate) fn encode(&self, magic: [u8; 8]) -> Vec<u8> {
        let mut fields = Vec::new();
        for (tag, bytes) in &self.fields {
            fields.extend(tag.to_le_bytes());
            fields.extend(small(bytes.len() as u64).to_le_bytes());
            fields.extend(bytes);
        }
        let mut out = magic.to_vec();
        out.extend(FORMAT.to_le_bytes());
        out.extend([0; 2]);
        out.extend(small(fields.len() as u64).to_le_bytes());
        out.extend(fields);
        out.extend(sum(&out).to_le_bytes());
        out
    }

    /// Reads the sheet at the front of `bytes`; `known` are the tags that the caller understands.
    pub(crate) fn decode(bytes: &[u8], magic: [u8; 8], known: &[u16]) -> Result<(Self, usize), SheetError> {
        let mut reader = Reader::new(bytes);
        let damaged = SheetError::Damaged;
        if reader.take(8) != Some(&magic) {
            return Err(damaged);
        }
        let format = reader.u16().ok_or(damaged)?;
        let _zero = reader.u16().ok_or(damaged)?;
        let length = index(u64::from(reader.u32().ok_or(damaged)?));
        let mut fields = Reader::new(reader.take(length).ok_or(damaged)?);
        if reader.u32() != Some(sum(&bytes[..HEAD + length])) {
            return Err(damaged);
        }
        if format > FORMAT {
            return Err(SheetError::Newer { format });
        }
        let mut sheet = Self::default();
        while !fields.is_empty() {
            let tag = fields.u16().ok_or(damaged)?;
            let length = index(u64::from(fields.u32().ok_or(damaged)?));
            let bytes = fields.take(length).ok_or(damaged)?;
            if known.contains(&tag) {
                sheet.put(tag, bytes);
            } else if tag < OPTIONAL {
                return Err(SheetError::UnknownField { tag });
            }
        }
        Ok((sheet, HEAD + length + 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"TESTTEST";

    #[test]
    fn fields_come_back_and_damage_is_seen() {
        let mut sheet = Sheet::default();
        sheet.put(1, b"one").put(2, &7u64.to_le_bytes());
        let bytes = sheet.encode(MAGIC);
        let (back, length) = Sheet::decode(&bytes, MAGIC, &[1, 2]).unwrap();
        assert_eq!((back.get(1), back.u64(2), length), (Some(&b"one"[..]), Some(7), bytes.len()));
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Sheet::decode(&bytes, MAGIC, &[1, 2]), Err(SheetError::Damaged), "bit {at}");
        }
    }

    #[test]
    fn an_optional_field_is_skipped_a_mandatory_one_and_a_newer_format_are_refused() {
        let mut sheet = Sheet::default();
        sheet.put(1, b"one").put(0x8001, b"new").put(3, b"must");
        let bytes = sheet.encode(MAGIC);
        assert!(Sheet::decode(&bytes, MAGIC, &[1, 3]).is_ok());
        assert_eq!(Sheet::decode(&bytes, MAGIC, &[1]), Err(SheetError::UnknownField { tag: 3 }));

        let mut newer = bytes[..bytes.len() - 4].to_vec();
        newer[8..10].copy_from_slice(&(FORMAT + 1).to_le_bytes());
        newer.extend(crc32c::crc32c(&newer).to_le_bytes());
        assert_eq!(Sheet::decode(&newer, MAGIC, &[1, 3]), Err(SheetError::Newer { format: FORMAT + 1 }));
    }
}
