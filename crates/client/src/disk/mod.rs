//! The queue on disk: what must survive the application, in one file that is only appended to.
//!
//! In:    records of the session; the file that a former process left.
//! Out:   durable records; what they add up to.
//! Never: changes a byte that was written; loses a record silently: what cannot be read is kept beside the file.
//!
//! The file: `dunlinq` and a version byte, then records: length (u32), CRC-32 of the body (u32), body; integers are
//! little-endian. [`encode`] has the bodies. A record that was torn by a crash is at the end and is cut off. When more
//! than half of the file is of messages that are done, what is left is written to a new file, which then takes the old
//! one's place.
#![allow(clippy::disallowed_types, reason = "this is where the queue meets the disk")]

mod crc;
mod encode;
mod ledger;
mod path;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::session::{Record, Remains};
use crc::crc32;
use ledger::{Ledger, Place};

const MAGIC: [u8; 8] = *b"dunlinq\x01";
/// Length and CRC.
const HEAD: usize = 8;
/// Longest body: the longest packet and what stands before it.
const BODY_MAX: u32 = (256 << 20) + 64;
/// Garbage that is not worth a new file.
const GARBAGE_MIN: u64 = 1 << 20;

/// When what was written is forced to the disk. A crash of the application loses nothing with any of them; a loss of
/// power loses what was not forced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before anything that follows from it leaves the process; many records at once where there are many.
    #[default]
    Always,
    /// At most that long after.
    Every(Duration),
    /// When the system likes to.
    Never,
}

/// Why the queue on disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The system says so.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The write was given up, because the process ends.
    #[error("writing to the queue was interrupted")]
    Interrupted,
    /// Another process has it.
    #[error("{}: another process uses this queue", .0.display())]
    Locked(PathBuf),
    /// It begins as no queue does, or as one of a later version.
    #[error("{}: not a queue of this version", .0.display())]
    Foreign(PathBuf),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Opened {
    /// For [`crate::Session::restore`].
    pub remains: Remains,
    /// Bytes at the end that are no records. Where they are more than one torn record, they were copied to that file.
    pub damaged: Option<(u64, PathBuf)>,
}

/// An open queue.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    file: File,
    sync: Sync,
    ledger: Ledger,
    /// Bytes of the file.
    len: u64,
    /// Records to be written with the next commit.
    buffer: Vec<u8>,
    /// Written and not forced, since then.
    unforced: Option<Instant>,
}

impl Disk {
    /// Opens or makes the file; its folder has to be there.
    ///
    /// # Errors
    /// What the system says; a file that is no queue, or that another process uses.
    pub fn open(path: &Path, sync: Sync) -> Result<(Self, Opened), DiskError> {
        let fault = |source| DiskError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(DiskError::Locked(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => return Err(fault(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
            // New, or torn while it was made.
            file.set_len(0).and_then(|()| file.write_all(&MAGIC)).map_err(fault)?;
            file.sync_all().and_then(|()| path::sync_folder(path)).map_err(fault)?;
            bytes = MAGIC.to_vec();
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(DiskError::Foreign(path.to_owned()));
        }
        let mut ledger = Ledger::default();
        let good = read(&bytes, &mut ledger);
        let mut opened = Opened { remains: ledger.remains(&bytes), damaged: None };
        if good < bytes.len() {
            opened.damaged = Some(quarantine(path, &bytes[good..]).map_err(fault)?);
            file.set_len(good as u64).and_then(|()| file.sync_all()).map_err(fault)?;
        }
        let len = good as u64;
        let disk =
            Self { path: path.to_owned(), file, sync, ledger, len, buffer: Vec::new(), unforced: None };
        Ok((disk, opened))
    }

    /// Takes a record; the next commit writes it.
    pub fn append(&mut self, record: &Record) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEAD]);
        encode::put(record, &mut self.buffer);
        let body = &self.buffer[start + HEAD..];
        let place = Place { at: self.len + (start + HEAD) as u64, len: body.len() };
        self.ledger.apply(&encode::Entry::of(record), place);
        let head = encode::head(body.len(), crc32(body));
        self.buffer[start..start + HEAD].copy_from_slice(&head);
    }

    /// Does the next commit have to wait for the disk?
    #[must_use]
    pub fn will_wait(&self) -> bool {
        !self.buffer.is_empty() && self.sync == Sync::Always
    }

    /// Writes what was appended and forces it to the disk, if that is due.
    ///
    /// # Errors
    /// What the system says; what was appended is then not certain to be there.
    pub fn commit(&mut self) -> Result<(), DiskError> {
        self.write().map_err(|source| DiskError::Io { path: self.path.clone(), source })
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.len += self.buffer.len() as u64;
            self.buffer.clear();
            self.unforced.get_or_insert_with(Instant::now);
            self.shrink()?;
        }
        let due = match (self.sync, self.unforced) {
            (_, None) | (Sync::Never, _) => false,
            (Sync::Always, Some(_)) => true,
            (Sync::Every(span), Some(since)) => since.elapsed() >= span,
        };
        if due {
            self.file.sync_data()?;
            self.unforced = None;
        }
        Ok(())
    }

    /// When the next commit is due though nothing was appended.
    #[must_use]
    pub fn force_at(&self) -> Option<Instant> {
        match self.sync {
            Sync::Every(span) => self.unforced.map(|since| since + span),
            Sync::Always | Sync::Never => None,
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.len + self.buffer.len() as u64
    }

    fn shrink(&mut self) -> io::Result<()> {
        let live = self.ledger.bytes();
        let garbage = self.len.saturating_sub(live + MAGIC.len() as u64);
        if garbage < GARBAGE_MIN || garbage < live {
            return Ok(());
        }
        let new = path::beside(&self.path, "new");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&new)?;
        file.try_lock().map_err(io::Error::from)?;
        file.set_len(0)?;
        let mut ledger = Ledger::default();
        let mut out = MAGIC.to_vec();
        let mut written = 0;
        for entry in self.ledger.entries() {
            let mut body = Vec::new();
            match entry {
                ledger::Live::Message(place) => {
                    body.resize(place.len, 0);
                    self.file.seek(SeekFrom::Start(place.at))?;
                    self.file.read_exact(&mut body)?;
                }
                ledger::Live::Small(record) => encode::put(&record, &mut body),
            }
            let place = Place { at: written + (out.len() + HEAD) as u64, len: body.len() };
            if let Some(entry) = encode::Entry::read(&body) {
                ledger.apply(&entry, place);
            }
            out.extend_from_slice(&encode::head(body.len(), crc32(&body)));
            out.extend_from_slice(&body);
            if out.len() > 1 << 20 {
                file.write_all(&out)?;
                written += out.len() as u64;
                out.clear();
            }
        }
        file.write_all(&out)?;
        written += out.len() as u64;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        path::sync_folder(&self.path)?;
        self.file = file;
        self.ledger = ledger;
        self.len = written;
        self.unforced = None;
        Ok(())
    }
}

/// Applies whole records to the ledger; where they end.
fn read(bytes: &[u8], ledger: &mut Ledger) -> usize {
    let mut at = MAGIC.len();
    while let Some((len, crc)) = encode::read_head(&bytes[at..]) {
        let Some(body) = (len <= BODY_MAX).then(|| bytes.get(at + HEAD..at + HEAD + len as usize)).flatten()
        else {
            return at;
        };
        let Some(entry) = (crc32(body) == crc).then(|| encode::Entry::read(body)).flatten() else {
            return at;
        };
        ledger.apply(&entry, Place { at: (at + HEAD) as u64, len: body.len() });
        at += HEAD + body.len();
    }
    at
}

/// Keeps what is no record. A torn record is what a crash leaves; it is kept all the same.
fn quarantine(path: &Path, bytes: &[u8]) -> io::Result<(u64, PathBuf)> {
    let to = path::beside(path, "damaged");
    let mut file = OpenOptions::new().append(true).create(true).open(&to)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok((bytes.len() as u64, to))
}

#[cfg(test)]
mod tests;
