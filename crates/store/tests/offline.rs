//! Logs that nobody has open: checked without a change, repaired, copied while they are written, restored.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

use dunlin_store::sim_disk::{Faults, SimDisk};
use dunlin_store::{
    BackupError, Checkpoint, DirDisk, Disk, DiskFile, Entry, Finding, Journal, Keyring, MasterKey, Notice,
    Offline, OpenError, Options, PartitionId, Purpose, RecordNumber, Store, Writer, repair, restore,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const SEGMENT: u64 = 64 << 10;

fn keys(sealed: bool) -> Keyring {
    if sealed { Keyring::default().with(1, MasterKey::new([3; 32])) } else { Keyring::default() }
}

fn options(sealed: bool) -> Options {
    Options { partitions: 4, segment_size: SEGMENT, keys: keys(sealed), ..Options::default() }
}

fn record(partition: u16, number: u64) -> Vec<u8> {
    let mut bytes = format!("record {number} of partition {partition} ").into_bytes();
    bytes.resize(100 + (number % 50) as usize, b'.');
    bytes
}

fn append<D: Disk>(store: &Store<D>, writer: Writer) {
    let number = store.bounds(writer.partition).next.0;
    let bytes = record(writer.partition.0, number);
    while store.append(writer, Purpose::Growth, &[&bytes]).is_err() {
        store.retry();
        let _ = store.sync();
    }
}

/// A log with records in all partitions, some given up, and a checkpoint.
fn filled(disk: &SimDisk, sealed: bool, records: u64) -> Store<SimDisk> {
    let store = Store::manual(disk.clone(), options(sealed)).unwrap();
    let writers: Vec<_> = (0..4).map(|p| store.claim(PartitionId(p)).unwrap()).collect();
    for number in 0..records {
        for writer in &writers {
            append(&store, *writer);
            if number % 3 == 0 {
                store.release(*writer, &[RecordNumber(number)]).unwrap();
            }
        }
        if number % 5 == 0 {
            store.sync().unwrap();
        }
    }
    let state = b"the state of partition 2".to_vec();
    store.checkpoint(writers[2], Checkpoint { upto: RecordNumber(records / 2), state }).unwrap();
    store.checkpoint(writers[3], Checkpoint { upto: RecordNumber(records), state: Vec::new() }).unwrap();
    store.sync().unwrap();
    while store.step() {}
    store.notices();
    store
}

type Contents = BTreeMap<(u16, u64), Vec<u8>>;

fn contents<D: Disk>(disk: &D, keys: Keyring) -> Contents {
    let offline = Offline::open(disk.clone(), keys).unwrap();
    let mut contents = Contents::new();
    offline
        .records(None, &mut |partition, entry| {
            if let Entry::Record { number, bytes } = entry {
                contents.insert((partition.0, number.0), bytes.to_vec());
            }
        })
        .unwrap();
    contents
}

fn image(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    disk.list().unwrap().into_iter().map(|(name, _)| (name.clone(), disk.contents(&name).unwrap())).collect()
}

#[test]
fn a_look_changes_nothing_and_a_log_in_use_is_left_alone() {
    for sealed in [false, true] {
        let disk = SimDisk::new(1);
        let store = filled(&disk, sealed, 400);
        assert!(matches!(Offline::open(disk.clone(), keys(sealed)), Err(OpenError::InUse)));
        drop(store);
        let before = image(&disk);
        let calls = disk.calls();
        let mut offline = Offline::open(disk.clone(), keys(sealed)).unwrap();
        let records = offline.check().unwrap();
        assert_eq!(offline.findings(), []);
        assert!(records > 1000, "{records}");
        let checkpoints = offline.checkpoints();
        assert_eq!(checkpoints.len(), 2);
        assert_eq!((checkpoints[0].partition, checkpoints[0].upto.0), (PartitionId(2), 200));
        assert_eq!((checkpoints[0].bytes, checkpoints[0].key), (Some(24), sealed.then_some(1)));
        let segments = offline.segments();
        assert!(segments.len() >= 3, "{segments:?}");
        assert!(segments.iter().all(|segment| segment.key == sealed.then_some(1)));
        assert_eq!(offline.partitions().len(), 4);
        drop(offline);
        assert_eq!((disk.calls(), image(&disk)), (calls, before));
    }
}

#[test]
fn no_log_is_an_error_and_a_missing_key_too() {
    assert!(matches!(Offline::open(SimDisk::new(1), keys(false)), Err(OpenError::Absent)));
    let disk = SimDisk::new(2);
    drop(filled(&disk, true, 20));
    assert!(matches!(Offline::open(disk, keys(false)), Err(OpenError::KeyMissing { key: 1, .. })));
}

/// Flips a bit in the middle of what a segment holds.
fn damage(disk: &SimDisk) -> (String, u64) {
    let offline = Offline::open(disk.clone(), keys(false)).unwrap();
    let segment = offline.segments().into_iter().find(|segment| segment.live_records > 20).unwrap();
    let bytes = disk.contents(&segment.file).unwrap();
    let text = bytes.windows(9).skip(20_000).position(|w| w == b"partition").unwrap() + 20_000;
    disk.flip(&segment.file, text as u64, 0);
    (segment.file, text as u64)
}

#[test]
fn damage_is_found_with_its_place_its_record_and_its_bytes_and_a_repair_leaves_the_rest() {
    let disk = SimDisk::new(3);
    drop(filled(&disk, false, 400));
    let whole = contents(&disk, keys(false));
    let (file, at) = damage(&disk);
    let mut offline = Offline::open(disk.clone(), keys(false)).unwrap();
    offline.check().unwrap();
    let damaged: Vec<_> = offline.findings().iter().filter(|finding| finding.is_damage()).cloned().collect();
    let [Finding { notice: Notice::Damage { file: named, offset, length, partition, number, .. }, bytes }] =
        &damaged[..]
    else {
        panic!("{damaged:?}");
    };
    assert_eq!(*named, file);
    assert!((*offset..offset + length).contains(&at));
    assert!(String::from_utf8_lossy(bytes).contains("record"), "{bytes:?}");
    let lost = (partition.unwrap().0, number.unwrap().0);
    drop(offline);

    let repaired = repair(&disk, keys(false), 4).unwrap();
    assert_eq!((repaired.findings.len(), repaired.left.len()), (1, 0));
    let mut offline = Offline::open(disk.clone(), keys(false)).unwrap();
    offline.check().unwrap();
    assert_eq!(offline.findings(), []);
    assert!(offline.quarantined() > 0);
    drop(offline);
    let mut rest = whole.clone();
    rest.remove(&lost).unwrap();
    // What a crash brings back may have come back, and nothing else.
    assert_eq!(contents(&disk, keys(false)), rest);
    let store = Store::manual(disk.clone(), options(false)).unwrap();
    assert_eq!(store.notices(), []);
    assert!(store.stat().quarantined_bytes > 0);
    let writer = store.claim(PartitionId(0)).unwrap();
    append(&store, writer);
    store.sync().unwrap();
}

#[test]
fn a_damaged_checkpoint_and_two_lost_manifests_are_repaired() {
    let disk = SimDisk::new(4);
    drop(filled(&disk, false, 200));
    let whole = contents(&disk, keys(false));
    disk.flip("checkpoint-00002", 100, 3);
    for name in ["manifest-0", "manifest-1"] {
        disk.flip(name, 30, 1);
    }
    let repaired = repair(&disk, keys(false), 4).unwrap();
    assert_eq!(repaired.left, [""; 0]);
    assert!(repaired.findings.iter().any(|f| f.notice == Notice::ManifestRebuilt), "{repaired:?}");
    let mut offline = Offline::open(disk.clone(), keys(false)).unwrap();
    offline.check().unwrap();
    assert_eq!(offline.findings(), []);
    assert_eq!(offline.checkpoints().len(), 1);
    drop(offline);
    let after = contents(&disk, keys(false));
    assert!(whole.iter().all(|(key, bytes)| after.get(key) == Some(bytes)));
}

#[test]
fn quarantined_bytes_count_for_the_quota_until_somebody_removes_them() {
    let disk = SimDisk::new(5);
    drop(filled(&disk, false, 200));
    damage(&disk);
    let left = 6 * SEGMENT;
    let copy = disk.create("quarantine/something-large.bin").unwrap();
    copy.allocate(left).unwrap();
    drop(repair(&disk, keys(false), 4).unwrap());
    let options = Options { quota: 8 * SEGMENT, ..options(false) };
    let store = Store::manual(disk.clone(), options).unwrap();
    let writer = store.claim(PartitionId(0)).unwrap();
    let mut bytes = vec![0; 1000];
    let refused = (0..10_000).any(|_| {
        let refused = matches!(
            store.append(writer, Purpose::Growth, &[&bytes]),
            Err(dunlin_store::AppendError::Full(dunlin_store::Shortage::Quota))
        );
        let _ = store.sync();
        refused
    });
    assert!(refused, "{:?}", store.stat());
    let used: u64 =
        disk.list().unwrap().iter().map(|(_, length)| length).sum::<u64>() + disk.quarantined().unwrap();
    assert!(used <= 8 * SEGMENT + (16 << 10), "{used}");
    disk.remove("quarantine/something-large.bin").unwrap();
    store.retry();
    while store.step() {}
    assert!(store.append(writer, Purpose::Growth, &[&bytes]).is_ok(), "{:?}", store.progress());
    store.read(PartitionId(1), RecordNumber(1), &mut bytes).unwrap();
}

#[test]
fn a_backup_holds_what_was_safe_at_its_moment_and_opens_as_a_log() {
    for sealed in [false, true] {
        let disk = SimDisk::new(6);
        let store = filled(&disk, sealed, 300);
        let target = SimDisk::new(7);
        let backup = store.backup(&target).unwrap();
        assert_eq!(backup.upto, store.progress().synced);
        let writer = Writer { partition: PartitionId(1), epoch: store.claim(PartitionId(1)).unwrap().epoch };
        let after = store.bounds(PartitionId(1)).next.0;
        append(&store, writer);
        store.sync().unwrap();
        drop(store);
        let copied = contents(&target, keys(sealed));
        assert!(!copied.contains_key(&(1, after)));
        let original = contents(&disk, keys(sealed));
        assert!(original.contains_key(&(1, after)));
        assert!(original.iter().all(|(key, bytes)| *key == (1, after) || copied.get(key) == Some(bytes)));

        let restored = SimDisk::new(8);
        let done = restore(&target, &restored, keys(sealed), false).unwrap();
        assert!(done.records > 700 && done.segments >= 3, "{done:?}");
        assert_eq!(contents(&restored, keys(sealed)), copied);
        let store = Store::manual(restored.clone(), options(sealed)).unwrap();
        assert_eq!(store.notices(), []);
        assert_eq!(store.load(PartitionId(2)).unwrap().unwrap().state, b"the state of partition 2");
        assert!(matches!(
            restore(&target, &restored, keys(sealed), false),
            Err(BackupError::Open(OpenError::InUse))
        ));
        drop(store);
        assert!(matches!(
            restore(&target, &restored, keys(sealed), false),
            Err(BackupError::NotEmpty { .. })
        ));
    }
}

#[test]
fn a_backup_that_was_cut_off_is_none_and_a_damaged_one_is_refused() {
    let disk = SimDisk::new(9);
    let store = filled(&disk, false, 300);
    let whole = SimDisk::new(10);
    store.backup(&whole).unwrap();
    let calls = whole.calls();
    for cut in 0..calls - 3 {
        let target = SimDisk::new(11 + cut);
        target.cut_power_after(cut);
        assert!(store.backup(&target).is_err(), "cut after {cut}");
        target.crash();
        let result = restore(&target, &SimDisk::new(1), keys(false), false);
        // The manifest may have made it to the disk as a whole, and then everything before it did.
        assert!(matches!(result, Err(BackupError::Incomplete) | Ok(_)), "cut after {cut}: {result:?}");
    }
    damage(&whole);
    let refused = restore(&whole, &SimDisk::new(1), keys(false), false);
    assert!(matches!(refused, Err(BackupError::Damaged { faults: 1 })), "{refused:?}");
    restore(&whole, &SimDisk::new(1), keys(false), true).unwrap();

    let full = SimDisk::new(12);
    full.set_faults(Faults { no_space: 1000, ..Faults::default() });
    assert!(matches!(store.backup(&full), Err(BackupError::Io { .. })));
    // The log is not held up for ever.
    let writer = store.claim(PartitionId(0)).unwrap();
    store.trim(writer, store.bounds(PartitionId(0)).next).unwrap();
    append(&store, writer);
    store.sync().unwrap();
    while store.step() {}
}

/// A directory that goes with the test.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-offline-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// While threads write, release and checkpoint, each backup is a prefix of every partition.
#[test]
fn backups_of_a_busy_log_over_files() {
    let home = Temporary::new();
    let store = Arc::new(Store::open(DirDisk::new(&home.0).unwrap(), options(false)).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|partition| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            let writer = store.claim(PartitionId(partition)).unwrap();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    append(&*store, writer);
                    let next = store.bounds(writer.partition).next.0;
                    if next.is_multiple_of(500) {
                        let upto = RecordNumber(next - 200);
                        store
                            .checkpoint(writer, Checkpoint { upto, state: next.to_le_bytes().to_vec() })
                            .unwrap();
                        store.trim(writer, RecordNumber(upto.0.saturating_sub(1000))).unwrap();
                    }
                }
            })
        })
        .collect();
    for round in 0..4 {
        while store.bounds(PartitionId(3)).next.0 < 1000 * (round + 1) {
            store.sync().unwrap();
        }
        let target = Temporary::new();
        let disk = DirDisk::new(&target.0).unwrap();
        store.backup(&disk).unwrap();
        let mut offline = Offline::open(DirDisk::read_only(&target.0).unwrap(), keys(false)).unwrap();
        offline.check().unwrap();
        assert_eq!(offline.findings(), [], "round {round}");
        let checkpoints = offline.checkpoints();
        for (partition, bounds) in offline.partitions() {
            let upto = checkpoints.iter().find(|c| c.partition == partition).map_or(0, |c| c.upto.0);
            assert!(upto <= bounds.next.0);
            let mut next = bounds.low.0;
            offline
                .records(Some(partition), &mut |_, entry| match entry {
                    Entry::Record { number, bytes } => {
                        assert!(
                            number.0 == next || number.0 > next && next < upto,
                            "{partition:?} {number:?} {next}"
                        );
                        assert_eq!(bytes, record(partition.0, number.0));
                        next = number.0 + 1;
                    }
                    Entry::Lost { .. } => panic!("{entry:?}"),
                })
                .unwrap();
            assert_eq!(next, bounds.next.0);
        }
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

/// A disk on which something else happens whenever a file is made.
#[derive(Clone)]
struct Meddling {
    disk: SimDisk,
    meddle: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Meddling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(f)
    }
}

impl Disk for Meddling {
    type File = <SimDisk as Disk>::File;
    type Lock = <SimDisk as Disk>::Lock;

    fn lock(&self) -> io::Result<Self::Lock> {
        self.disk.lock()
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        (self.meddle)();
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.disk.list()
    }

    fn quarantined(&self) -> io::Result<u64> {
        self.disk.quarantined()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        self.disk.entropy()
    }
}

/// Between any two files of a copy everything older is given up, so that all its segments could be used again.
#[test]
fn what_is_being_copied_is_neither_given_back_nor_used_again() {
    let disk = SimDisk::new(13);
    let store = Arc::new(filled(&disk, false, 300));
    let before: Vec<_> = (0..4).map(|p| store.bounds(PartitionId(p)).next.0).collect();
    let target = SimDisk::new(14);
    let meddled = Arc::clone(&store);
    let meddle = Arc::new(move || {
        for partition in (0..4).map(PartitionId) {
            let writer = meddled.claim(partition).unwrap();
            let next = meddled.bounds(partition).next;
            meddled.trim(writer, next).unwrap();
            meddled.checkpoint(writer, Checkpoint { upto: next, state: b"later".to_vec() }).unwrap();
            for _ in 0..200 {
                append(&*meddled, writer);
            }
        }
        meddled.sync().unwrap();
        while meddled.step() {}
    });
    assert!(matches!(
        store.backup(&Meddling { disk: target.clone(), meddle: meddle.clone() }),
        Ok(backup) if backup.segments >= 3
    ));
    let mut offline = Offline::open(target.clone(), keys(false)).unwrap();
    offline.check().unwrap();
    assert_eq!(offline.findings(), []);
    let next: Vec<_> = offline.partitions().iter().map(|(_, bounds)| bounds.next.0).collect();
    assert_eq!(next, before);
    assert_eq!(offline.checkpoints().len(), 2);
    drop(offline);
    let copied = contents(&target, keys(false));
    assert!(copied.len() > 700, "{}", copied.len());
    assert!(copied.iter().all(|((partition, number), bytes)| *bytes == record(*partition, *number)));
    // Afterwards room comes back.
    let used = store.stat().bytes;
    meddle();
    assert!(store.stat().bytes < used, "{:?}", store.stat());
}
