//! Segments: files of one size that hold batches, and are used again under a new id.
//!
//! In:    a file; what the manifest says of it; the keys.
//! Out:   a segment with its key; chunks read and checked.
//! Never: a decision about what is alive.

use crate::chunk::{Chunk, ChunkView};
use crate::crypt::{FileKey, Keyring};
use crate::disk::{Disk, DiskFile, read_full};
use crate::sheet::{Sheet, SheetError};
use crate::wire::{index, round_up};
use std::io;

/// Where the first batch starts.
pub(crate) const START: u64 = 4096;
/// Where the second copy of the header starts.
const SECOND: u64 = 2048;
const MAGIC: [u8; 8] = *b"DLNSEGMT";
const PURPOSE: &str = "dunlin journal segment 1";

const LOG: u16 = 1;
const ID: u16 = 2;
const ORDER: u16 = 3;
const KIND: u16 = 4;
const KEY: u16 = 5;
const SALT: u16 = 6;
const CHECK: u16 = 7;
const KNOWN: [u16; 7] = [LOG, ID, ORDER, KIND, KEY, SALT, CHECK];

/// How a segment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Written by appends.
    Fresh,
    /// Copied from others; complete before the manifest named it.
    Copied,
}

/// What a segment's header and the manifest say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    /// Names the file; used again.
    pub(crate) file: u32,
    /// Names this life of the file; never used again.
    pub(crate) id: u64,
    /// The place in the order of replay. A copied segment takes that of its first source.
    pub(crate) order: u64,
    pub(crate) kind: Kind,
    /// Which master key seals it, and the salt of its own.
    pub(crate) cipher: Option<(u32, [u8; 32])>,
}

impl SegmentInfo {
    pub(crate) fn name(&self) -> String {
        file_name(self.file)
    }
}

pub(crate) fn file_name(file: u32) -> String {
    format!("segment-{file:08}")
}

pub(crate) fn file_number(name: &str) -> Option<u32> {
    name.strip_prefix("segment-")?.parse().ok()
}

/// Why a segment's key is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Missing(u32),
    Wrong(u32),
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) info: SegmentInfo,
    pub(crate) file: F,
    pub(crate) key: Option<FileKey>,
}

impl<F: DiskFile> Segment<F> {
    /// Gives a file a new life: both copies of the header, not yet synced.
    pub(crate) fn begin(
        file: F,
        info: SegmentInfo,
        log: [u8; 16],
        keys: &Keyring,
        length: u64,
    ) -> io::Result<Self> {
        file.allocate(length)?;
        let key = info.cipher.and_then(|(id, salt)| keys.derive(id, &salt, PURPOSE));
        let bytes = header(&info, log, key.as_ref());
        for offset in [0, SECOND] {
            file.write_at(&bytes, offset)?;
        }
        Ok(Self { info, file, key })
    }

    /// Derives the key and proves it against the header, where the header can be read.
    pub(crate) fn open(file: F, info: SegmentInfo, keys: &Keyring) -> Result<Self, KeyFault> {
        let key = match info.cipher {
            None => None,
            Some((id, salt)) => Some(keys.derive(id, &salt, PURPOSE).ok_or(KeyFault::Missing(id))?),
        };
        let segment = Self { info, file, key };
        if let (Some(key), Ok((_, _, Some(check)))) =
            (&segment.key, read_header(&segment.file, segment.info.file))
            && key.check() != check
        {
            return Err(KeyFault::Wrong(segment.info.cipher.map_or(0, |(id, _)| id)));
        }
        Ok(segment)
    }

    /// Reads a chunk of about `size` bytes. `Ok(None)` if what is there does not hold.
    pub(crate) fn chunk(&self, offset: u64, size: u64) -> io::Result<Option<Chunk>> {
        let mut bytes = vec![0; index(size)];
        let got = read_full(&self.file, &mut bytes, offset)?;
        bytes.truncate(got);
        // The index knows the size within an eighth, rounded up; damage may say anything.
        if let Some(needed) = ChunkView::needed(&bytes, self.info.id, offset)
            && needed > size
        {
            return Ok(None);
        }
        Ok(Chunk::open(bytes, self.info.id, offset, self.key.as_ref()))
    }
}

fn header(info: &SegmentInfo, log: [u8; 16], key: Option<&FileKey>) -> Vec<u8> {
    let mut sheet = Sheet::default();
    sheet.put(LOG, &log).put(ID, &info.id.to_le_bytes()).put(ORDER, &info.order.to_le_bytes());
    sheet.put(KIND, &[u8::from(info.kind == Kind::Copied)]);
    if let (Some((id, salt)), Some(key)) = (info.cipher, key) {
        sheet.put(KEY, &id.to_le_bytes()).put(SALT, &salt).put(CHECK, &key.check());
    }
    let mut bytes = sheet.encode(MAGIC);
    assert!(bytes.len() as u64 <= SECOND, "a header fits its half");
    bytes.resize(index(round_up(bytes.len() as u64, 512)), 0);
    bytes
}

/// Why a header tells nothing.
#[derive(Debug)]
pub(crate) enum HeaderFault {
    Io(io::Error),
    Sheet(SheetError),
}

/// What a header says: the log's id, the segment, and the proof of the key.
pub(crate) type Header = ([u8; 16], SegmentInfo, Option<[u8; 16]>);

/// Reads a header from either copy.
pub(crate) fn read_header(file: &impl DiskFile, number: u32) -> Result<Header, HeaderFault> {
    let mut bytes = vec![0; index(START)];
    let got = read_full(file, &mut bytes, 0).map_err(HeaderFault::Io)?;
    bytes.truncate(got);
    let mut fault = SheetError::Damaged;
    for offset in [0, SECOND] {
        let copy = bytes.get(index(offset)..).unwrap_or(&[]);
        match Sheet::decode(copy, MAGIC, &KNOWN) {
            Ok((sheet, _)) => match parse(&sheet, number) {
                Some(header) => return Ok(header),
                None => fault = SheetError::Damaged,
            },
            Err(SheetError::Damaged) => {}
            Err(other) => fault = other,
        }
    }
    Err(HeaderFault::Sheet(fault))
}

fn parse(sheet: &Sheet, file: u32) -> Option<Header> {
    let kind = if sheet.get(KIND)? == [0] { Kind::Fresh } else { Kind::Copied };
    let cipher = match sheet.array(KEY) {
        None => None,
        Some(id) => Some((u32::from_le_bytes(id), sheet.array(SALT)?)),
    };
    let info = SegmentInfo { file, id: sheet.u64(ID)?, order: sheet.u64(ORDER)?, kind, cipher };
    Some((sheet.array(LOG)?, info, sheet.array(CHECK)))
}

/// Bytes that could be read, with zeros and their places where they could not.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    /// Offsets and lengths in the file.
    pub(crate) unreadable: Vec<(u64, u64)>,
}

/// Reads a file from `offset` to its end, or `limit` bytes of it, around what the device cannot give.
pub(crate) fn read_around(file: &impl DiskFile, offset: u64, limit: u64) -> Contents {
    let mut contents = Contents::default();
    read_into(file, offset, limit, &mut contents);
    contents
}

/// The same into memory that is used again.
pub(crate) fn read_into(file: &impl DiskFile, offset: u64, limit: u64, contents: &mut Contents) {
    const STEP: usize = 1 << 20;
    const BLOCK: usize = 4096;
    contents.bytes.clear();
    contents.unreadable.clear();
    loop {
        let at = contents.bytes.len();
        let step = STEP.min(index(limit) - at);
        contents.bytes.resize(at + step, 0);
        let read = read_full(file, &mut contents.bytes[at..], offset + at as u64);
        let got = match read {
            Ok(got) => got,
            Err(_) => {
                let mut got = 0;
                while got < step {
                    let block = BLOCK.min(step - got);
                    let into = &mut contents.bytes[at + got..at + got + block];
                    // Once more: an error may pass.
                    let place = offset + (at + got) as u64;
                    match read_full(file, into, place).or_else(|_| read_full(file, into, place)) {
                        Ok(n) => {
                            got += n;
                            if n < block {
                                break;
                            }
                        }
                        Err(_) => {
                            into.fill(0);
                            contents.unreadable.push((place, block as u64));
                            got += block;
                        }
                    }
                }
                got
            }
        };
        contents.bytes.truncate(at + got);
        if got < step || step == 0 || contents.bytes.len() as u64 == limit {
            return;
        }
    }
}

/// Copies damaged bytes out of the way of reuse; says where, if that worked.
pub(crate) fn quarantine<D: Disk>(
    disk: &D,
    file: &str,
    life: u64,
    offset: u64,
    bytes: &[u8],
) -> Option<String> {
    let name = format!("quarantine/{file}-{life}-{offset}.bin");
    let copy = disk.create(&name).ok()?;
    copy.write_at(bytes, 0).ok()?;
    copy.sync().ok()?;
    Some(name)
}
