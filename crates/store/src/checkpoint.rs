//! Checkpoints: the state of a partition in a file of its own, replaced atomically.
//!
//! In:    the owner's bytes; the number up to which they speak.
//! Out:   the newest checkpoint that was finished.
//! Never: a mixture of two; a file is complete and synced before it takes the name.

use crate::crypt::{Keyring, TAG};
use crate::disk::{Disk, DiskFile};
use crate::port::{Checkpoint, Epoch, PartitionId, RecordNumber};
use crate::segment::{Contents, read_around};
use crate::sheet::{Sheet, SheetError};
use crate::wire::sum;
use std::io;

const MAGIC: [u8; 8] = *b"DLNCHECK";
const PURPOSE: &str = "dunlin journal checkpoint 1";
const LOG: u16 = 1;
const PARTITION: u16 = 2;
const UPTO: u16 = 3;
const EPOCH: u16 = 4;
const LOW: u16 = 5;
const LENGTH: u16 = 6;
const SUM: u16 = 7;
const KEY: u16 = 8;
const SALT: u16 = 9;
const KNOWN: [u16; 9] = [LOG, PARTITION, UPTO, EPOCH, LOW, LENGTH, SUM, KEY, SALT];

/// What is written.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) log: [u8; 16],
    pub(crate) partition: PartitionId,
    pub(crate) epoch: Epoch,
    pub(crate) low: u64,
    pub(crate) checkpoint: Checkpoint,
}

/// Why a checkpoint cannot be had.
#[derive(Debug)]
pub(crate) enum LoadFault {
    Io(io::Error),
    Damaged,
    Newer(SheetError),
    Key(u32),
    Foreign,
}

pub(crate) fn file_name(partition: PartitionId) -> String {
    format!("checkpoint-{:05}", partition.0)
}

/// Whether a file is a checkpoint that was finished.
pub(crate) fn is_file(name: &str) -> bool {
    name.strip_prefix("checkpoint-").is_some_and(|number| number.parse::<u16>().is_ok())
}

/// The key that seals a partition's checkpoint, as its first bytes say.
pub(crate) fn key_of<D: Disk>(disk: &D, partition: PartitionId) -> Option<u32> {
    let file = disk.open(&file_name(partition)).ok()?;
    let bytes = read_around(&file, 0, 4096).bytes;
    let (sheet, _) = Sheet::decode(&bytes, MAGIC, &KNOWN).ok()?;
    sheet.array(KEY).map(u32::from_le_bytes)
}

impl Snapshot {
    /// Writes the file and gives its length in bytes.
    pub(crate) fn store<D: Disk>(&self, disk: &D, keys: &Keyring) -> io::Result<u64> {
        let bytes = self.encode(disk, keys)?;
        let name = file_name(self.partition);
        let new = format!("{name}.new");
        let file = disk.create(&new)?;
        let written = file.write_at(&bytes, 0).and_then(|()| file.sync());
        if let Err(e) = written {
            // Room matters more than the remains of what failed.
            let _ = disk.remove(&new);
            return Err(e);
        }
        disk.rename(&new, &name)?;
        disk.sync_dir()?;
        Ok(bytes.len() as u64)
    }

    fn encode<D: Disk>(&self, disk: &D, keys: &Keyring) -> io::Result<Vec<u8>> {
        let mut body = self.checkpoint.state.clone();
        let mut sheet = Sheet::default();
        sheet.put(LOG, &self.log).put(PARTITION, &self.partition.0.to_le_bytes());
        sheet.put(UPTO, &self.checkpoint.upto.0.to_le_bytes()).put(EPOCH, &self.epoch.0.to_le_bytes());
        sheet.put(LOW, &self.low.to_le_bytes());
        if let Some(id) = keys.current() {
            let salt = disk.entropy()?;
            let Some(key) = keys.derive(id, &salt, PURPOSE) else { unreachable!("the current key is here") };
            let tag = key.seal(self.checkpoint.upto.0, &self.partition.0.to_le_bytes(), &mut body);
            body.extend(tag);
            sheet.put(KEY, &id.to_le_bytes()).put(SALT, &salt);
        }
        sheet.put(LENGTH, &(body.len() as u64).to_le_bytes());
        sheet.put(SUM, &sum(&body).to_le_bytes());
        let mut bytes = sheet.encode(MAGIC);
        bytes.extend(body);
        Ok(bytes)
    }

    /// Reads the file; `None` if there is none.
    pub(crate) fn load<D: Disk>(
        disk: &D,
        keys: &Keyring,
        log: [u8; 16],
        partition: PartitionId,
    ) -> Result<Option<Self>, LoadFault> {
        let file = match disk.open(&file_name(partition)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LoadFault::Io(e)),
        };
        let Contents { bytes, unreadable } = read_around(&file, 0, u64::MAX >> 1);
        if !unreadable.is_empty() {
            return Err(LoadFault::Io(io::ErrorKind::Other.into()));
        }
        let (sheet, head) = Sheet::decode(&bytes, MAGIC, &KNOWN).map_err(|fault| match fault {
            SheetError::Damaged => LoadFault::Damaged,
            newer => LoadFault::Newer(newer),
        })?;
        let mut found = Self::parse(&sheet).ok_or(LoadFault::Damaged)?;
        if found.log != log || found.partition != partition {
            return Err(LoadFault::Foreign);
        }
        let mut body = bytes[head..].to_vec();
        let sum = sum(&body).to_le_bytes();
        if sheet.u64(LENGTH) != Some(body.len() as u64) || sheet.array(SUM) != Some(sum) {
            return Err(LoadFault::Damaged);
        }
        if let (Some(id), Some(salt)) = (sheet.array(KEY).map(u32::from_le_bytes), sheet.array(SALT)) {
            let key = keys.derive(id, &salt, PURPOSE).ok_or(LoadFault::Key(id))?;
            let aad = partition.0.to_le_bytes();
            // The checksum holds, so it is the key that does not.
            key.open(found.checkpoint.upto.0, &aad, &mut body).ok_or(LoadFault::Key(id))?;
            body.truncate(body.len() - TAG);
        }
        found.checkpoint.state = body;
        Ok(Some(found))
    }

    fn parse(sheet: &Sheet) -> Option<Self> {
        Some(Self {
            log: sheet.array(LOG)?,
            partition: PartitionId(u16::from_le_bytes(sheet.array(PARTITION)?)),
            epoch: Epoch(u32::from_le_bytes(sheet.array(EPOCH)?)),
            low: sheet.u64(LOW)?,
            checkpoint: Checkpoint { upto: RecordNumber(sheet.u64(UPTO)?), state: Vec::new() },
        })
    }
}
