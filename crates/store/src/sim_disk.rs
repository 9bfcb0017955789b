//! A simulated disk that tears, loses, reorders, flips, lies and fills, from one seed.
//!
//! In:    the calls of [`Disk`]; [`Faults`]; [`SimDisk::crash`], [`SimDisk::cut_power_after`], bit flips.
//! Out:   what a page cache over such a disk would answer; after a crash, what such a disk would hold.
//! Never: a clock, or randomness but from the seed.
//!
//! What was written since the last sync survives a crash as any subset of its 512-byte sectors, and a
//! sector may be torn in the middle. Creations, renames and removals since the last directory sync survive
//! as a prefix, as on a journaling file system. After a failed sync the cache shows the new bytes, later
//! syncs succeed, and the disk has any subset of them: what Linux does.

use crate::disk::{Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all, more or less.
const SECTOR: usize = 512;

/// How often what goes wrong, out of 1,000 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// `write_at` fails with EIO, any part of it written.
    pub write_error: u16,
    /// `write_at` and `allocate` fail with ENOSPC.
    pub no_space: u16,
    /// `sync` fails with EIO.
    pub sync_error: u16,
    /// `sync` succeeds and does nothing.
    pub sync_lies: u16,
    /// `read_at` fails with EIO.
    pub read_error: u16,
    /// `read_at` gives fewer bytes than it could.
    pub short_read: u16,
}

/// A disk in memory. Cloning gives another handle to the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]. A crash makes it useless.
#[derive(Clone, Debug)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
    boot: u64,
}

/// Holds a [`SimDisk`] until dropped or until the crash.
#[derive(Debug)]
pub struct SimLock {
    state: Arc<Mutex<State>>,
    boot: u64,
}

#[derive(Debug, Default)]
struct Inode {
    /// What a read gives.
    cache: Vec<u8>,
    /// What a crash leaves.
    disk: Vec<u8>,
    /// Sectors that differ and that the next sync writes.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum DirOp {
    Link { name: String, inode: u64 },
    Rename { from: String, to: String },
    Unlink { name: String },
}

#[derive(Debug)]
struct State {
    random: u64,
    boot: u64,
    locked: bool,
    faults: Faults,
    capacity: u64,
    power: Option<u64>,
    calls: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    safe_names: BTreeMap<String, u64>,
    dir_ops: Vec<DirOp>,
}

impl SimDisk {
    /// An empty disk without faults and without end.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: seed,
            boot: 0,
            locked: false,
            faults: Faults::default(),
            capacity: u64::MAX,
            power: None,
            calls: 0,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            dir_ops: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        guard(&self.state).faults = faults;
    }

    /// Sets how many bytes the files may have together.
    pub fn set_capacity(&self, bytes: u64) {
        guard(&self.state).capacity = bytes;
    }

    /// Bytes that the files have together.
    #[must_use]
    pub fn used(&self) -> u64 {
        guard(&self.state).used_beside(None)
    }

    /// Calls that changed something so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        guard(&self.state).calls
    }

    /// Lets this many more changing calls through; all calls after them fail until [`SimDisk::crash`].
    pub fn cut_power_after(&self, calls: u64) {
        guard(&self.state).power = Some(calls);
    }

    /// Takes back [`SimDisk::cut_power_after`], where it is not too late.
    pub fn keep_power(&self) {
        let mut state = guard(&self.state);
        state.power = state.power.filter(|left| *left == 0);
    }

    /// Whether the power is cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        guard(&self.state).power == Some(0)
    }

    /// Loses what was not synced, or any part of it, and starts again: open files and locks are void.
    pub fn crash(&self) {
        guard(&self.state).crash();
    }

    /// Ends the process that used the disk, which loses nothing: open files and locks are void.
    pub fn kill(&self) {
        let mut state = guard(&self.state);
        state.boot += 1;
        state.locked = false;
        state.power = None;
    }

    /// Flips one bit of a file, in the cache and on the disk. Outside the file it does nothing.
    pub fn flip(&self, name: &str, byte: u64, bit: u8) {
        let mut state = guard(&self.state);
        let inode = state.names.get(name).copied();
        let Some(inode) = inode.and_then(|inode| state.inodes.get_mut(&inode)) else { return };
        let Ok(byte) = usize::try_from(byte) else { return };
        for bytes in [&mut inode.cache, &mut inode.disk] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit & 7);
            }
        }
    }

    /// What a file holds in the cache.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = guard(&self.state);
        Some(state.inodes.get(state.names.get(name)?)?.cache.clone())
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn lock(&self) -> io::Result<SimLock> {
        let mut state = guard(&self.state);
        if state.locked {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(SimLock { state: Arc::clone(&self.state), boot: state.boot })
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let state = guard(&self.state);
        state.powered()?;
        let inode = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(SimFile { state: Arc::clone(&self.state), inode, boot: state.boot })
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = guard(&self.state);
        state.spend()?;
        let inode = state.inodes.keys().next_back().map_or(0, |last| last + 1);
        state.inodes.insert(inode, Inode::default());
        state.names.insert(name.to_owned(), inode);
        state.dir_ops.push(DirOp::Link { name: name.to_owned(), inode });
        Ok(SimFile { state: Arc::clone(&self.state), inode, boot: state.boot })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = guard(&self.state);
        state.spend()?;
        let op = DirOp::Rename { from: from.to_owned(), to: to.to_owned() };
        if !op.apply(&mut state.names) {
            return Err(ErrorKind::NotFound.into());
        }
        state.dir_ops.push(op);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = guard(&self.state);
        state.spend()?;
        let op = DirOp::Unlink { name: name.to_owned() };
        if !op.apply(&mut state.names) {
            return Err(ErrorKind::NotFound.into());
        }
        state.dir_ops.push(op);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = guard(&self.state);
        state.powered()?;
        let mut files = Vec::new();
        for (name, inode) in &state.names {
            if !name.contains('/') {
                files.push((name.clone(), state.inodes.get(inode).map_or(0, |i| i.cache.len() as u64)));
            }
        }
        Ok(files)
    }

    fn quarantined(&self) -> io::Result<u64> {
        let state = guard(&self.state);
        state.powered()?;
        let inodes = state.names.iter().filter(|(name, _)| name.contains('/')).map(|(_, inode)| inode);
        Ok(inodes.map(|inode| state.inodes.get(inode).map_or(0, |i| i.cache.len() as u64)).sum())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = guard(&self.state);
        state.spend()?;
        if state.happens(|faults| faults.sync_error) {
            return Err(ErrorKind::Other.into());
        }
        if !state.happens(|faults| faults.sync_lies) {
            state.safe_names = state.names.clone();
            state.dir_ops.clear();
        }
        Ok(())
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        let mut state = guard(&self.state);
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&state.random().to_le_bytes());
        }
        Ok(bytes)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        state.powered()?;
        if state.happens(|faults| faults.read_error) {
            return Err(ErrorKind::Other.into());
        }
        let short = state.happens(|faults| faults.short_read);
        let cut = state.below(into.len() as u64);
        let cache = state.inodes.get(&self.inode).map_or(&[][..], |inode| &inode.cache);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(cache.len());
        let mut n = into.len().min(cache.len() - from);
        if short && n > 1 {
            n = n.min(cut.max(1));
        }
        into[..n].copy_from_slice(&cache[from..from + n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.spend()?;
        let from = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        state.room(self.inode, from + bytes.len())?;
        let (full, broken) =
            (state.happens(|faults| faults.no_space), state.happens(|faults| faults.write_error));
        let written = if full || broken { state.below(bytes.len() as u64 + 1) } else { bytes.len() };
        let inode = state.inode(self.inode);
        let end = from + written;
        if inode.cache.len() < end {
            inode.cache.resize(end, 0);
        }
        inode.cache[from..end].copy_from_slice(&bytes[..written]);
        inode.dirty.extend(from / SECTOR..end.div_ceil(SECTOR));
        match (full, broken) {
            (true, _) => Err(ErrorKind::StorageFull.into()),
            (_, true) => Err(ErrorKind::Other.into()),
            _ => Ok(()),
        }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.spend()?;
        if state.happens(|faults| faults.no_space) {
            return Err(ErrorKind::StorageFull.into());
        }
        let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
        state.room(self.inode, length)?;
        state.inode(self.inode).resize(length);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.spend()?;
        let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
        state.inode(self.inode).resize(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.spend()?;
        if state.happens(|faults| faults.sync_error) {
            let dirty = std::mem::take(&mut state.inode(self.inode).dirty);
            for sector in dirty {
                if state.random() & 1 == 0 {
                    state.inode(self.inode).write_back(sector, SECTOR);
                }
            }
            return Err(ErrorKind::Other.into());
        }
        if state.happens(|faults| faults.sync_lies) {
            return Ok(());
        }
        state.inode(self.inode).write_back_all();
        Ok(())
    }
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = guard(&self.state);
        if state.boot == self.boot { Ok(state) } else { Err(ErrorKind::BrokenPipe.into()) }
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = guard(&self.state);
        if state.boot == self.boot {
            state.locked = false;
        }
    }
}

impl Inode {
    fn resize(&mut self, length: usize) {
        let old = self.cache.len();
        self.cache.resize(length, 0);
        self.dirty.extend(old.min(length) / SECTOR..old.max(length).div_ceil(SECTOR));
    }

    /// Brings the first `n` bytes of a sector to the disk.
    fn write_back(&mut self, sector: usize, n: usize) {
        let from = sector * SECTOR;
        let to = (from + n).min(self.cache.len());
        if from >= to {
            return;
        }
        if self.disk.len() < to {
            self.disk.resize(to, 0);
        }
        self.disk[from..to].copy_from_slice(&self.cache[from..to]);
    }

    fn write_back_all(&mut self) {
        self.disk.resize(self.cache.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.write_back(sector, SECTOR);
        }
    }
}

impl DirOp {
    fn apply(&self, names: &mut BTreeMap<String, u64>) -> bool {
        match self {
            Self::Link { name, inode } => {
                names.insert(name.clone(), *inode);
                true
            }
            Self::Rename { from, to } => {
                names.remove(from).map(|inode| names.insert(to.clone(), inode)).is_some()
            }
            Self::Unlink { name } => names.remove(name).is_some(),
        }
    }
}

impl State {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> usize {
        usize::try_from(self.random() % n.max(1)).unwrap_or(0)
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.random() % 1_000 < u64::from(per_mille)
    }

    fn happens(&mut self, which: fn(&Faults) -> u16) -> bool {
        self.chance(which(&self.faults))
    }

    fn powered(&self) -> io::Result<()> {
        if self.power == Some(0) { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    fn spend(&mut self) -> io::Result<()> {
        self.powered()?;
        self.calls += 1;
        self.power = self.power.map(|left| left - 1);
        Ok(())
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.entry(inode).or_default()
    }

    fn room(&self, inode: u64, length: usize) -> io::Result<()> {
        if self.capacity == u64::MAX {
            return Ok(());
        }
        let used = self.used_beside(Some(inode));
        let own = self.inodes.get(&inode).map_or(0, |i| i.cache.len()).max(length) as u64;
        if used.saturating_add(own) > self.capacity { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Bytes of the files that have a name, but of this one.
    fn used_beside(&self, inode: Option<u64>) -> u64 {
        let named: BTreeSet<&u64> = self.names.values().collect();
        let others = named.iter().filter(|other| Some(***other) != inode);
        others.filter_map(|i| self.inodes.get(i)).map(|i| i.cache.len() as u64).sum()
    }

    fn crash(&mut self) {
        let kept = self.below(self.dir_ops.len() as u64 + 1);
        for op in std::mem::take(&mut self.dir_ops).iter().take(kept) {
            op.apply(&mut self.safe_names);
        }
        self.names = self.safe_names.clone();
        // Nothing, all, half, or nearly all of what was not synced.
        let survival = [0, 1_000, 500, 950][self.below(4)];
        for number in self.inodes.keys().copied().collect::<Vec<_>>() {
            let mut inode = self.inodes.remove(&number).unwrap_or_default();
            for sector in std::mem::take(&mut inode.dirty) {
                if self.chance(survival) {
                    let torn = self.chance(60);
                    let n = if torn { self.below(SECTOR as u64) } else { SECTOR };
                    inode.write_back(sector, n);
                }
            }
            inode.cache.clone_from(&inode.disk);
            if self.names.values().any(|named| *named == number) {
                self.inodes.insert(number, inode);
            }
        }
        self.boot += 1;
        self.locked = false;
        self.power = None;
    }
}

fn guard(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(disk: &SimDisk) -> SimFile {
        let file = disk.create("a").unwrap();
        file.allocate(4 * SECTOR as u64).unwrap();
        file.sync().unwrap();
        disk.sync_dir().unwrap();
        file
    }

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_survive_in_parts() {
        let mut parts = BTreeSet::new();
        for seed in 0..64 {
            let disk = SimDisk::new(seed);
            let open = file(&disk);
            open.write_at(&[1; SECTOR], 0).unwrap();
            open.sync().unwrap();
            open.write_at(&[2; 3 * SECTOR], SECTOR as u64).unwrap();
            disk.crash();
            let bytes = disk.contents("a").unwrap();
            assert_eq!(bytes[..SECTOR], [1; SECTOR]);
            parts.insert(bytes.chunks(SECTOR).map(|sector| sector[0]).collect::<Vec<_>>());
            assert!(open.sync().is_err(), "a handle from before the crash is void");
        }
        assert!(parts.contains(&vec![1, 0, 0, 0]) && parts.contains(&vec![1, 2, 2, 2]), "{parts:?}");
        assert!(parts.iter().any(|p| p[1] == 0 && p[3] == 2), "a later sector without an earlier: {parts:?}");
    }

    #[test]
    fn after_a_failed_sync_the_cache_lies() {
        let mut lost = 0;
        for seed in 0..64 {
            let disk = SimDisk::new(seed);
            let open = file(&disk);
            open.write_at(&[1; SECTOR], 0).unwrap();
            disk.set_faults(Faults { sync_error: 1_000, ..Faults::default() });
            assert!(open.sync().is_err());
            disk.set_faults(Faults::default());
            open.sync().unwrap();
            assert_eq!(disk.contents("a").unwrap()[0], 1);
            disk.crash();
            lost += u32::from(disk.contents("a").unwrap()[0] == 0);
        }
        assert!(lost > 10, "{lost}");
    }

    #[test]
    fn a_file_without_a_directory_sync_may_vanish_and_the_lock_goes_with_the_boot() {
        let mut gone = 0;
        for seed in 0..32 {
            let disk = SimDisk::new(seed);
            let lock = disk.lock().unwrap();
            assert!(disk.lock().is_err());
            disk.create("a").unwrap().sync().unwrap();
            disk.crash();
            gone += u32::from(disk.contents("a").is_none());
            let again = disk.lock().unwrap();
            drop(lock);
            assert!(disk.lock().is_err(), "an old lock frees nothing");
            drop(again);
        }
        assert!(gone > 5, "{gone}");
    }
}
