//! The port's promises, kept by the embedded log: over files and simulated disks, sealed or not, with its
//! threads and without.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

use dunlin_store::conformance::{Bed, checks};
use dunlin_store::sim_disk::SimDisk;
use dunlin_store::{DirDisk, Disk, Keyring, MasterKey, Options, Store, SyncPolicy};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

struct Over<D: Disk> {
    disk: D,
    options: Options,
    threads: bool,
}

impl<D: Disk> Bed for Over<D> {
    type Log = Store<D>;

    fn open(&mut self) -> Store<D> {
        let (disk, options) = (self.disk.clone(), self.options.clone());
        if self.threads { Store::open(disk, options) } else { Store::manual(disk, options) }.unwrap()
    }
}

fn options(sealed: bool) -> Options {
    let keys = Keyring::default().with(1, MasterKey::new([5; 32]));
    Options {
        partitions: 8,
        segment_size: 256 << 10,
        keys: if sealed { keys } else { Keyring::default() },
        ..Options::default()
    }
}

/// A directory that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn over_files() {
    for sealed in [false, true] {
        for (name, check) in checks() {
            println!("{name}, sealed: {sealed}");
            let directory = Temporary::new();
            let disk = DirDisk::new(&directory.0).unwrap();
            check(&mut Over { disk, options: options(sealed), threads: true });
        }
    }
}

#[test]
fn over_a_simulated_disk_step_by_step() {
    for sealed in [false, true] {
        for (name, check) in checks() {
            println!("{name}, sealed: {sealed}");
            check(&mut Over { disk: SimDisk::new(1), options: options(sealed), threads: false });
        }
    }
}

#[test]
fn over_files_that_are_not_synced() {
    for (name, check) in checks() {
        println!("{name}");
        let directory = Temporary::new();
        let disk = DirDisk::new(&directory.0).unwrap();
        let options = Options { sync: SyncPolicy::Never, ..options(false) };
        check(&mut Over { disk, options, threads: true });
    }
}
