//! A disk that is read and never written: what would be written is kept in memory.
//!
//! In:    another disk; the calls of whoever believes to write.
//! Out:   what the other disk holds, with the changes on top.
//! Never: a change to the other disk. So a log is opened, judged and read without touching it.

use crate::disk::{Disk, DiskFile, read_full};
use crate::wire::index;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Another disk with changes on top. Cloning gives another handle to the same changes.
#[derive(Debug)]
pub struct Overlay<D: Disk> {
    base: D,
    /// Files that were opened, or removed.
    files: Arc<Mutex<Files<D::File>>>,
}

impl<D: Disk> Clone for Overlay<D> {
    fn clone(&self) -> Self {
        Self { base: self.base.clone(), files: Arc::clone(&self.files) }
    }
}

type Files<F> = BTreeMap<String, Option<OverlayFile<F>>>;

/// A file of an [`Overlay`].
#[derive(Debug)]
pub struct OverlayFile<F>(Arc<Mutex<Patched<F>>>);

impl<F> Clone for OverlayFile<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Patched<F> {
    base: Option<F>,
    /// What of the base counts: it was cut there once.
    visible: u64,
    /// Where it is not the base's.
    length: Option<u64>,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<F> OverlayFile<F> {
    fn new(base: Option<F>) -> Self {
        let length = if base.is_some() { None } else { Some(0) };
        Self(Arc::new(Mutex::new(Patched { base, visible: u64::MAX, length, patches: Vec::new() })))
    }
}

impl<D: Disk> Overlay<D> {
    /// Nothing is changed yet.
    pub(crate) fn new(base: D) -> Self {
        Self { base, files: Arc::default() }
    }
}

impl<D: Disk> Disk for Overlay<D> {
    type File = OverlayFile<D::File>;
    type Lock = D::Lock;

    fn lock(&self) -> io::Result<D::Lock> {
        self.base.lock()
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let mut files = guard(&self.files);
        match files.get(name) {
            Some(Some(file)) => Ok(file.clone()),
            Some(None) => Err(ErrorKind::NotFound.into()),
            None => {
                let file = OverlayFile::new(Some(self.base.open(name)?));
                files.insert(name.to_owned(), Some(file.clone()));
                Ok(file)
            }
        }
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        let file = OverlayFile::new(None);
        guard(&self.files).insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.open(from)?;
        let mut files = guard(&self.files);
        files.insert(to.to_owned(), Some(file));
        files.insert(from.to_owned(), None);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.open(name)?;
        guard(&self.files).insert(name.to_owned(), None);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut lengths: BTreeMap<String, u64> = self.base.list()?.into_iter().collect();
        for (name, file) in guard(&self.files).iter().filter(|(name, _)| !name.contains('/')) {
            match file {
                Some(file) => {
                    let file = guard(&file.0);
                    let below = lengths.get(name).copied().unwrap_or(0);
                    lengths.insert(name.clone(), file.length.unwrap_or_else(|| below.max(file.patched())));
                }
                None => {
                    lengths.remove(name);
                }
            }
        }
        Ok(lengths.into_iter().collect())
    }

    fn quarantined(&self) -> io::Result<u64> {
        self.base.quarantined()
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        self.base.entropy()
    }
}

impl<F> Patched<F> {
    /// The end of what was written on top.
    fn patched(&self) -> u64 {
        self.patches.iter().map(|(at, bytes)| at + bytes.len() as u64).max().unwrap_or(0)
    }

    fn set_length(&mut self, length: u64) {
        self.visible = self.visible.min(length);
        self.length = Some(length);
        for (at, bytes) in &mut self.patches {
            bytes.truncate(index(length.saturating_sub(*at)));
        }
    }
}

impl<F: DiskFile + std::fmt::Debug> DiskFile for OverlayFile<F> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = guard(&self.0);
        let most = file.length.map_or(u64::MAX, |length| length.saturating_sub(offset));
        let most = index(most.min(into.len() as u64));
        let below = index(file.visible.saturating_sub(offset).min(most as u64));
        let got = match &file.base {
            Some(base) => read_full(base, &mut into[..below], offset)?,
            None => 0,
        };
        let reach = match file.length {
            Some(_) => most,
            None => got.max(index(file.patched().saturating_sub(offset).min(most as u64))),
        };
        into[got..reach].fill(0);
        let end = offset + reach as u64;
        for (at, bytes) in &file.patches {
            let (from, to) = ((*at).max(offset), (at + bytes.len() as u64).min(end));
            if from < to {
                into[index(from - offset)..index(to - offset)]
                    .copy_from_slice(&bytes[index(from - at)..index(to - at)]);
            }
        }
        Ok(reach)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut file = guard(&self.0);
        let end = offset + bytes.len() as u64;
        file.length = file.length.map(|length| length.max(end));
        file.patches.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.truncate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        guard(&self.0).set_length(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim_disk::SimDisk;

    fn read(file: &impl DiskFile) -> Vec<u8> {
        let mut bytes = vec![9; 64];
        let got = read_full(file, &mut bytes, 0).unwrap();
        bytes.truncate(got);
        bytes
    }

    #[test]
    fn changes_show_on_top_and_the_disk_below_keeps_its_bytes() {
        let disk = SimDisk::new(1);
        disk.create("a").unwrap().write_at(b"0123456789", 0).unwrap();
        let calls = disk.calls();
        let over = Overlay::new(disk.clone());
        let file = over.open("a").unwrap();
        file.write_at(b"xy", 4).unwrap();
        assert_eq!(read(&file), b"0123xy6789");
        file.write_at(b"end", 9).unwrap();
        assert_eq!(read(&over.open("a").unwrap()), b"0123xy678end");
        file.truncate(5).unwrap();
        assert_eq!(read(&file), b"0123x");
        file.allocate(8).unwrap();
        assert_eq!(read(&file), b"0123x\0\0\0");
        assert_eq!(over.list().unwrap(), [("a".to_owned(), 8)]);
        over.rename("a", "b").unwrap();
        assert!(over.open("a").is_err());
        assert_eq!(read(&over.open("b").unwrap()), b"0123x\0\0\0");
        over.create("c").unwrap().write_at(b"new", 0).unwrap();
        over.remove("b").unwrap();
        assert_eq!(over.list().unwrap(), [("c".to_owned(), 3)]);
        assert_eq!(disk.contents("a").unwrap(), b"0123456789");
        assert_eq!(disk.calls(), calls, "nothing was changed below");
    }
}
