//! What is written and not synced: told by itself, and there after the process has ended at any moment.

#![allow(clippy::unwrap_used, reason = "tests and their helpers")]

use std::sync::{Arc, Mutex};

use dunlin_store::sim_disk::{Faults, SimDisk};
use dunlin_store::{Journal, Options, PartitionId, Purpose, RecordNumber, Store, SyncPolicy};

const PARTITION: PartitionId = PartitionId(2);

fn options(sync: SyncPolicy) -> Options {
    Options { partitions: 4, segment_size: 64 << 10, quota: 1 << 20, sync, ..Options::default() }
}

fn open(disk: &SimDisk, sync: SyncPolicy) -> Store<SimDisk> {
    Store::manual(disk.clone(), options(sync)).unwrap()
}

fn read(store: &Store<SimDisk>, number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(PARTITION, RecordNumber(number), &mut bytes).unwrap();
    bytes
}

/// What is written is said before what is synced.
#[test]
fn a_write_is_told_before_its_sync() {
    let store = open(&SimDisk::new(1), SyncPolicy::Always);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    store.watch(Box::new(move |progress| telling.lock().unwrap().push((progress.written, progress.synced))));
    let writer = store.claim(PARTITION).unwrap();
    let ticket = store.append(writer, Purpose::Growth, &[b"x"]).unwrap().ticket;
    store.sync().unwrap();
    let told = told.lock().unwrap();
    let written = told.iter().position(|(written, _)| *written >= ticket).unwrap();
    let synced = told.iter().position(|(_, synced)| *synced >= ticket).unwrap();
    assert!(written < synced, "{told:?}");
}

/// The process ends between the write and the sync.
#[test]
fn what_is_written_outlives_the_process() {
    let disk = SimDisk::new(2);
    let store = open(&disk, SyncPolicy::Always);
    let writer = store.claim(PARTITION).unwrap();
    disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    let ticket = store.append(writer, Purpose::Growth, &[b"written"]).unwrap().ticket;
    store.step();
    assert!(store.progress().written >= ticket && store.progress().synced < ticket);
    disk.kill();
    drop(store);
    disk.set_faults(Faults::default());
    assert_eq!(read(&open(&disk, SyncPolicy::Always), 0), b"written");
}

/// The sync failed, and the log goes on elsewhere; the process ends before what was told to be written is there.
#[test]
fn what_is_written_outlives_the_process_when_its_sync_failed() {
    let disk = SimDisk::new(5);
    let store = open(&disk, SyncPolicy::Always);
    let writer = store.claim(PARTITION).unwrap();
    store.append(writer, Purpose::Growth, &[b"before"]).unwrap();
    store.sync().unwrap();
    let ticket = store.append(writer, Purpose::Growth, &[b"written"]).unwrap().ticket;
    let commit = store.with(dunlin_store::Log::flush).unwrap().write();
    store.with(|log| log.wrote(ticket));
    disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    let committed = commit.sync();
    disk.set_faults(Faults::default());
    store.with(|log| log.complete(committed));
    // The manifest is written, for a new segment.
    while let Some(chore) = store.with(dunlin_store::Log::chore) {
        let finished = chore.run();
        store.with(|log| log.finish(finished));
    }
    assert!(store.progress().written >= ticket && store.progress().synced < ticket);
    disk.kill();
    drop(store);
    let store = open(&disk, SyncPolicy::Always);
    assert_eq!(read(&store, 0), b"before");
    assert_eq!(read(&store, 1), b"written");
}

/// Nothing is synced on the way of a batch: a disk that refuses to sync takes it all the same.
#[test]
fn without_syncs_a_ticket_is_good_when_it_is_written() {
    let disk = SimDisk::new(3);
    let store = open(&disk, SyncPolicy::Never);
    let writer = store.claim(PARTITION).unwrap();
    disk.set_faults(Faults { sync_error: 1000, ..Faults::default() });
    for number in 0..10 {
        let ticket = store.append(writer, Purpose::Growth, &[b"written"]).unwrap().ticket;
        store.step();
        assert!(store.progress().synced >= ticket, "{number}");
    }
    disk.kill();
    drop(store);
    disk.set_faults(Faults::default());
    let store = open(&disk, SyncPolicy::Never);
    assert!((0..10).all(|number| read(&store, number) == b"written"));
}

/// A log that was closed says so on the disk, and what it says is true: the power may fail then.
#[test]
fn closing_syncs_what_was_only_written() {
    let disk = SimDisk::new(4);
    let store = open(&disk, SyncPolicy::Never);
    let writer = store.claim(PARTITION).unwrap();
    store.append(writer, Purpose::Growth, &[b"written"]).unwrap();
    store.sync().unwrap();
    store.confirm();
    disk.crash();
    drop(store);
    assert_eq!(read(&open(&disk, SyncPolicy::Never), 0), b"written");
}
