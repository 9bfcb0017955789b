//! A directory of a real file system.
//!
//! In:    a path.
//! Out:   files through `pread`, `pwrite`, `fallocate` and `fdatasync`.
//! Never: memory maps: an error of the device must be a value, not a signal.

use crate::crypt::random_bytes;
use crate::disk::{Disk, DiskFile};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file whose lock holds the directory.
const LOCK: &str = "lock";
/// The directory of quarantined bytes.
const QUARANTINE: &str = "quarantine";

/// A directory that holds one log. Made if it is not there, readable by the owner alone.
#[derive(Clone, Debug)]
pub struct DirDisk {
    path: Arc<PathBuf>,
    writes: bool,
}

impl DirDisk {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(path: &Path) -> io::Result<Self> {
        for path in [path, &path.join(QUARANTINE)] {
            std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
                .create(path)?;
        }
        Ok(Self { path: Arc::new(path.to_owned()), writes: true })
    }

    /// A directory that is there, to be read only: it may be on a read-only file system.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path)?;
        Ok(Self { path: Arc::new(path.to_owned()), writes: false })
    }

    /// A directory that is there, to be read and written.
    ///
    /// # Errors
    /// As [`DirDisk::read_only`].
    pub fn existing(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path)?;
        Self::new(path)
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(self.writes).mode(0o600);
        options
    }
}

impl Disk for DirDisk {
    type File = File;
    type Lock = File;

    fn lock(&self) -> io::Result<File> {
        let path = self.path.join(LOCK);
        let file = match self.options().create(self.writes).truncate(false).open(path) {
            // No log was ever opened to write there, a copy of one perhaps.
            Err(e) if e.kind() == io::ErrorKind::NotFound => File::open(self.path.as_path())?,
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.options().open(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.options().create(true).truncate(true).open(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.path.as_path())? {
            let entry = entry?;
            let about = entry.metadata()?;
            if let Ok(name) = entry.file_name().into_string()
                && about.is_file()
                && name != LOCK
            {
                files.push((name, about.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn quarantined(&self) -> io::Result<u64> {
        let entries = match std::fs::read_dir(self.path.join(QUARANTINE)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        let mut bytes = 0;
        for entry in entries {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(self.path.as_path())?.sync_all()
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        random_bytes()
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, length) {
            // Not every file system can; a later write may then find the disk full, which is handled too.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            other => other?,
        }
        self.set_len(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
