//! The manifest: which segments belong to the log, and where the partitions stand.
//!
//! In:    the whole truth at each change of the set of segments.
//! Out:   the newest manifest that can be read; whether a new one is in force.
//! Never: written in place of its only copy. Two files hold the same; one is written and synced before the
//!        other is touched.

use crate::disk::{Disk, DiskFile};
use crate::port::Epoch;
use crate::segment::{Kind, SegmentInfo, read_around};
use crate::sheet::{Sheet, SheetError};
use crate::wire::Reader;
use std::io;

const NAMES: [&str; 2] = ["manifest-0", "manifest-1"];
const MAGIC: [u8; 8] = *b"DLNMANIF";
/// More than a manifest of a million segments.
const LIMIT: u64 = 1 << 27;

const GENERATION: u16 = 1;
const LOG: u16 = 2;
const SEGMENT_SIZE: u16 = 3;
const NEXT_ID: u16 = 4;
const SEGMENTS: u16 = 5;
const PARTITIONS: u16 = 6;
const KNOWN: [u16; 6] = [GENERATION, LOG, SEGMENT_SIZE, NEXT_ID, SEGMENTS, PARTITIONS];

/// Where a partition stood when the manifest was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Numbers below are used.
    pub(crate) next: u64,
    /// Numbers below are trimmed.
    pub(crate) low: u64,
    pub(crate) epoch: Epoch,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) generation: u64,
    pub(crate) log: [u8; 16],
    pub(crate) segment_size: u64,
    pub(crate) next_id: u64,
    /// With the end of what belongs to the log; 0 where that is not final.
    pub(crate) segments: Vec<(SegmentInfo, u64)>,
    pub(crate) partitions: Vec<Standing>,
}

/// What the two files hold.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) manifest: Option<Manifest>,
    /// Whether a file was there at all.
    pub(crate) any: bool,
    /// The file to write first: the one that can be spared.
    pub(crate) first: usize,
}

/// How writing went.
#[derive(Debug)]
pub(crate) struct Stored {
    /// An error leaves in doubt whether the manifest is in force: nothing may rely on either answer until
    /// a later one is stored.
    pub(crate) outcome: io::Result<()>,
    /// The file to write first next time.
    pub(crate) first: usize,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let mut segments = Vec::new();
        for (info, used) in &self.segments {
            segments.extend(info.file.to_le_bytes());
            for n in [info.id, info.order, *used] {
                segments.extend(n.to_le_bytes());
            }
            let (key, salt) = info.cipher.unwrap_or_default();
            segments.extend([u8::from(info.kind == Kind::Copied), u8::from(info.cipher.is_some())]);
            segments.extend(key.to_le_bytes());
            segments.extend(salt);
        }
        let mut partitions = Vec::new();
        for standing in &self.partitions {
            partitions.extend(standing.next.to_le_bytes());
            partitions.extend(standing.low.to_le_bytes());
            partitions.extend(standing.epoch.0.to_le_bytes());
        }
        let mut sheet = Sheet::default();
        sheet.put(GENERATION, &self.generation.to_le_bytes()).put(LOG, &self.log);
        sheet.put(SEGMENT_SIZE, &self.segment_size.to_le_bytes()).put(NEXT_ID, &self.next_id.to_le_bytes());
        sheet.put(SEGMENTS, &segments).put(PARTITIONS, &partitions);
        sheet.encode(MAGIC)
    }

    fn decode(bytes: &[u8]) -> Result<Self, SheetError> {
        let (sheet, _) = Sheet::decode(bytes, MAGIC, &KNOWN)?;
        Self::parse(&sheet).ok_or(SheetError::Damaged)
    }

    fn parse(sheet: &Sheet) -> Option<Self> {
        let mut segments = Vec::new();
        let mut reader = Reader::new(sheet.get(SEGMENTS)?);
        while !reader.is_empty() {
            let (file, id, order, used) = (reader.u32()?, reader.u64()?, reader.u64()?, reader.u64()?);
            let flags = reader.take(2)?;
            let key = reader.u32()?;
            let salt = reader.take(32)?.try_into().ok()?;
            let kind = if flags[0] == 0 { Kind::Fresh } else { Kind::Copied };
            let cipher = (flags[1] != 0).then_some((key, salt));
            segments.push((SegmentInfo { file, id, order, kind, cipher }, used));
        }
        let mut partitions = Vec::new();
        let mut reader = Reader::new(sheet.get(PARTITIONS)?);
        while !reader.is_empty() {
            let (next, low) = (reader.u64()?, reader.u64()?);
            partitions.push(Standing { next, low, epoch: Epoch(reader.u32()?) });
        }
        Some(Self {
            generation: sheet.u64(GENERATION)?,
            log: sheet.array(LOG)?,
            segment_size: sheet.u64(SEGMENT_SIZE)?,
            next_id: sheet.u64(NEXT_ID)?,
            segments,
            partitions,
        })
    }

    /// Writes both files, `first` before the other, which is made safe before: a process that was killed may have written it, and
    /// not synced it.
    pub(crate) fn store<D: Disk>(&self, disk: &D, first: usize) -> Stored {
        let bytes = self.encode();
        let second = 1 - first;
        if let Err(e) = sync(disk, NAMES[second]).and_then(|()| write(disk, NAMES[first], &bytes)) {
            return Stored { outcome: Err(e), first };
        }
        // From here on the manifest is in force; a second file that failed is the one to write first.
        let first = if write(disk, NAMES[second], &bytes).is_ok() { first } else { second };
        Stored { outcome: Ok(()), first }
    }

    /// Reads both files.
    ///
    /// # Errors
    /// Only that a newer version wrote one of them.
    pub(crate) fn load<D: Disk>(disk: &D) -> Result<Found, SheetError> {
        let mut found = Found::default();
        for (at, name) in NAMES.iter().enumerate() {
            let file = match disk.open(name) {
                Ok(file) => file,
                Err(e) => {
                    found.any |= e.kind() != io::ErrorKind::NotFound;
                    continue;
                }
            };
            found.any = true;
            let newest = found.manifest.as_ref().map_or(0, |manifest| manifest.generation);
            match Self::decode(&read_around(&file, 0, LIMIT).bytes) {
                Ok(manifest) if manifest.generation > newest => {
                    found.manifest = Some(manifest);
                    found.first = 1 - at;
                }
                Ok(_) => found.first = at,
                Err(SheetError::Damaged) => {}
                Err(newer) => return Err(newer),
            }
        }
        Ok(found)
    }
}

fn sync<D: Disk>(disk: &D, name: &str) -> io::Result<()> {
    match disk.open(name) {
        Ok(file) => file.sync(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn write<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (file, made) = match disk.open(name) {
        Ok(file) => (file, false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => (disk.create(name)?, true),
        Err(e) => return Err(e),
    };
    file.write_at(bytes, 0)?;
    file.sync()?;
    if made { disk.sync_dir() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim_disk::{Faults, SimDisk};

    fn manifest(generation: u64) -> Manifest {
        let info = SegmentInfo { file: 3, id: 9, order: 8, kind: Kind::Copied, cipher: Some((1, [7; 32])) };
        let standing = Standing { next: 5, low: 2, epoch: Epoch(3) };
        Manifest {
            generation,
            log: [1; 16],
            segment_size: 65_536,
            next_id: 10,
            segments: vec![(info, 4608)],
            partitions: vec![standing],
        }
    }

    /// So long that the disk may have a part of it, and every part another.
    fn long(generation: u64) -> Manifest {
        let standing = Standing { next: generation, ..Standing::default() };
        Manifest { partitions: vec![standing; 200], ..manifest(generation) }
    }

    #[test]
    fn a_manifest_in_force_survives_any_crash_of_the_next_one() {
        for seed in 0..200 {
            let disk = SimDisk::new(seed);
            let mut first = manifest(1).store(&disk, 0).first;
            let mut force = 1;
            for generation in 2..6 {
                disk.set_faults(Faults { sync_error: 200, write_error: 200, ..Faults::default() });
                let stored = manifest(generation).store(&disk, first);
                first = stored.first;
                if stored.outcome.is_ok() {
                    force = generation;
                }
            }
            disk.set_faults(Faults::default());
            disk.cut_power_after(seed % 7);
            let _ = manifest(6).store(&disk, first);
            disk.crash();
            let found = Manifest::load(&disk).unwrap().manifest.unwrap();
            assert!(found.generation >= force, "seed {seed}: {} < {force}", found.generation);
            assert_eq!(found, manifest(found.generation));
        }
    }

    /// The process is killed when it has written the first file, and not synced it; the power goes while the next one writes the other.
    #[test]
    fn what_a_killed_process_left_unsynced_is_synced_before_the_other_copy_is_written() {
        for seed in 0..200 {
            let disk = SimDisk::new(seed);
            let first = long(1).store(&disk, 0).first;
            disk.open(NAMES[first]).unwrap().write_at(&long(2).encode(), 0).unwrap();
            disk.kill();
            let found = Manifest::load(&disk).unwrap();
            assert_eq!(found.manifest.map(|found| found.generation), Some(2));
            disk.cut_power_after(seed % 7);
            let _ = long(3).store(&disk, found.first);
            disk.crash();
            let found = Manifest::load(&disk).unwrap().manifest;
            assert!(found.is_some_and(|found| found == long(found.generation)), "seed {seed}");
        }
    }
}
