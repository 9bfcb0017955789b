//! What the log refuses, what it does when there is no room, and that room comes back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests and their helpers")]

use dunlin_store::sim_disk::{Faults, SimDisk};
use dunlin_store::{
    AppendError, Disk, DiskFile, FORMAT, Journal, Keyring, MasterKey, Notice, OpenError, Options,
    PartitionId, Purpose, RecordNumber, Shortage, Store, Writer,
};

const SEGMENT: u64 = 64 << 10;

fn options() -> Options {
    Options { partitions: 4, segment_size: SEGMENT, quota: 8 * SEGMENT, ..Options::default() }
}

fn sealed(id: u32, byte: u8) -> Options {
    Options { keys: Keyring::default().with(id, MasterKey::new([byte; 32])), ..options() }
}

fn open(disk: &SimDisk, options: Options) -> Store<SimDisk> {
    Store::manual(disk.clone(), options).unwrap()
}

fn write(store: &Store<SimDisk>, writer: Writer, purpose: Purpose, bytes: &[u8]) -> Result<u64, AppendError> {
    for _ in 0..100 {
        match store.append(writer, purpose, &[bytes]) {
            Ok(appended) => return Ok(appended.first.0),
            Err(AppendError::Busy { .. }) => {
                store.retry();
                let _ = store.sync();
            }
            Err(e) => return Err(e),
        }
    }
    panic!("busy for ever: {:?} {:?}", store.progress(), store.stat());
}

fn fill(store: &Store<SimDisk>, writer: Writer, purpose: Purpose) -> (Vec<RecordNumber>, AppendError) {
    let mut numbers = Vec::new();
    loop {
        match write(store, writer, purpose, &[7; 1000]) {
            Ok(number) => numbers.push(RecordNumber(number)),
            Err(e) => return (numbers, e),
        }
    }
}

#[test]
fn one_process_has_the_directory() {
    let disk = SimDisk::new(1);
    let store = open(&disk, options());
    assert!(matches!(Store::manual(disk.clone(), options()), Err(OpenError::InUse)));
    drop(store);
    open(&disk, options());
}

#[test]
fn a_key_is_asked_for_and_proven_and_may_be_rotated() {
    let disk = SimDisk::new(2);
    let store = open(&disk, sealed(1, 1));
    let writer = store.claim(PartitionId(0)).unwrap();
    write(&store, writer, Purpose::Growth, b"a very secret payload").unwrap();
    store.sync().unwrap();
    drop(store);
    for (name, _) in disk.list().unwrap() {
        let bytes = disk.contents(&name).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"very secret"), "{name}");
    }
    assert!(matches!(Store::manual(disk.clone(), options()), Err(OpenError::KeyMissing { key: 1, .. })));
    assert!(matches!(Store::manual(disk.clone(), sealed(2, 1)), Err(OpenError::KeyMissing { key: 1, .. })));
    assert!(matches!(Store::manual(disk.clone(), sealed(1, 2)), Err(OpenError::KeyWrong { key: 1, .. })));
    let both = Keyring::default().with(1, MasterKey::new([1; 32])).with(2, MasterKey::new([2; 32]));
    let store = open(&disk, Options { keys: both, ..options() });
    let mut bytes = Vec::new();
    store.read(PartitionId(0), RecordNumber(0), &mut bytes).unwrap();
    assert_eq!(bytes, b"a very secret payload");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = SimDisk::new(3);
    drop(open(&disk, options()));
    let mut sheet = disk.contents("manifest-0").unwrap();
    let fields = u32::from_le_bytes(sheet[12..16].try_into().unwrap()) as usize;
    sheet[8..10].copy_from_slice(&(FORMAT + 1).to_le_bytes());
    let crc = crc32c::crc32c(&sheet[..16 + fields]);
    sheet[16 + fields..20 + fields].copy_from_slice(&crc.to_le_bytes());
    disk.open("manifest-0").unwrap().write_at(&sheet, 0).unwrap();
    let refused = Store::manual(disk.clone(), options());
    assert!(matches!(refused, Err(OpenError::Newer { format, newest, .. }) if format == newest + 1));
}

#[test]
fn senseless_options_are_refused() {
    for options in [
        Options { partitions: 0, ..options() },
        Options { segment_size: 1000, ..options() },
        Options { quota: SEGMENT, ..options() },
    ] {
        assert!(matches!(Store::manual(SimDisk::new(4), options), Err(OpenError::Option { .. })));
    }
}

/// A full log refuses growth first, can be emptied, and then takes growth again.
fn fills_and_recovers(disk: &SimDisk, options: Options, shortage: Shortage) {
    let store = open(disk, options);
    let writer = store.claim(PartitionId(1)).unwrap();
    let (numbers, refused) = fill(&store, writer, Purpose::Growth);
    assert_eq!(refused, AppendError::Full(shortage));
    assert!(numbers.len() > 200, "{}", numbers.len());
    let next = store.bounds(PartitionId(1)).next;
    assert!(
        write(&store, writer, Purpose::Relief, b"an acknowledgement").is_ok(),
        "the reserve is for relief"
    );
    assert_eq!(store.progress().shortage, Some(shortage));
    let mut bytes = Vec::new();
    store.read(PartitionId(1), numbers[5], &mut bytes).unwrap();
    store.release(writer, &numbers).unwrap();
    store.retry();
    while store.step() {}
    assert_eq!(write(&store, writer, Purpose::Growth, b"room again"), Ok(next.0 + 1));
    store.sync().unwrap();
    assert_eq!(store.progress().shortage, None);
}

#[test]
fn a_full_quota_is_a_value_and_passes() {
    fills_and_recovers(&SimDisk::new(5), options(), Shortage::Quota);
}

#[test]
fn a_full_disk_is_a_value_and_passes() {
    let disk = SimDisk::new(6);
    disk.set_capacity(6 * SEGMENT);
    fills_and_recovers(&disk, Options { quota: u64::MAX, ..options() }, Shortage::NoSpace);
}

/// A log that begins its life with hardly any room makes do with a short segment. That is not the end: it says that it is full, and takes
/// everything as soon as there is room.
#[test]
fn a_short_segment_is_not_forever() {
    let disk = SimDisk::new(3);
    let store = open(&disk, options());
    let writer = store.claim(PartitionId(0)).unwrap();
    write(&store, writer, Purpose::Growth, b"before").unwrap();
    store.sync().unwrap();
    disk.kill();
    drop(store);
    for room in [18 << 10, 24 << 10, 40 << 10] {
        disk.set_capacity(disk.used() + room);
        let store = open(&disk, options());
        let writer = store.claim(PartitionId(0)).unwrap();
        while store.step() {}
        let first = store.append(writer, Purpose::Growth, &[b"now"]);
        assert!(matches!(first, Ok(_) | Err(AppendError::Full(Shortage::NoSpace))), "{first:?}");
        disk.set_capacity(u64::MAX);
        store.retry();
        while store.step() {}
        write(&store, writer, Purpose::Growth, &[7; 10_000]).unwrap();
        store.sync().unwrap();
        disk.kill();
    }
}

#[test]
fn the_quota_holds_and_room_comes_back() {
    let disk = SimDisk::new(7);
    let store = open(&disk, options());
    let writer = store.claim(PartitionId(2)).unwrap();
    for round in 0..20 {
        let (numbers, _) = fill(&store, writer, Purpose::Growth);
        let used: u64 = disk.list().unwrap().iter().map(|(_, length)| length).sum();
        assert!(used <= 8 * SEGMENT + (16 << 10), "round {round}: {used}");
        // A tenth lives on for a round, scattered over all segments.
        let (dead, _): (Vec<_>, Vec<_>) = numbers.iter().partition(|number| number.0 % 10 != round % 10);
        store.release(writer, &dead).unwrap();
        store.retry();
        while store.step() {}
        store.trim(writer, RecordNumber(numbers[0].0)).unwrap();
    }
    assert!(store.stat().copies > 10, "{:?}", store.stat());
    store.trim(writer, store.bounds(PartitionId(2)).next).unwrap();
    while store.step() {}
    let used: u64 = disk.list().unwrap().iter().map(|(_, length)| length).sum();
    assert!(used <= 2 * SEGMENT + (16 << 10), "{used} bytes for nothing");
}

/// A failing disk delays tickets and loses nothing; when it works again, everything gets through.
#[test]
fn a_failing_disk_delays_and_loses_nothing() {
    for faults in [
        Faults { sync_error: 1000, ..Faults::default() },
        Faults { write_error: 1000, ..Faults::default() },
        Faults { no_space: 1000, ..Faults::default() },
    ] {
        let disk = SimDisk::new(8);
        let store = open(&disk, options());
        let writer = store.claim(PartitionId(0)).unwrap();
        write(&store, writer, Purpose::Growth, b"before").unwrap();
        store.sync().unwrap();
        disk.set_faults(faults);
        write(&store, writer, Purpose::Growth, b"during").unwrap();
        assert!(store.sync().is_err());
        for _ in 0..5 {
            store.retry();
            assert!(store.sync().is_err());
        }
        assert!(store.notices().iter().any(|notice| matches!(notice, Notice::SegmentAbandoned { .. })));
        let mut bytes = Vec::new();
        store.read(PartitionId(0), RecordNumber(1), &mut bytes).unwrap();
        assert_eq!(bytes, b"during");
        disk.set_faults(Faults::default());
        store.retry();
        store.sync().unwrap();
        disk.crash();
        drop(store);
        let store = open(&disk, options());
        for (number, want) in [(0, &b"before"[..]), (1, b"during")] {
            store.read(PartitionId(0), RecordNumber(number), &mut bytes).unwrap();
            assert_eq!(bytes, want);
        }
    }
}

#[test]
fn a_released_record_that_was_not_written_costs_no_disk() {
    let disk = SimDisk::new(9);
    let store = open(&disk, options());
    let writer = store.claim(PartitionId(0)).unwrap();
    let before = disk.calls();
    for _ in 0..20 {
        let first = store.append(writer, Purpose::Growth, &[&[1; 500]]).unwrap().first;
        store.release(writer, &[first]).unwrap();
    }
    let ticket = store.sync().unwrap();
    assert!(store.progress().synced >= ticket);
    assert_eq!(disk.calls(), before, "nothing was written");
    write(&store, writer, Purpose::Growth, b"stays").unwrap();
    store.sync().unwrap();
    disk.crash();
    drop(store);
    let store = open(&disk, options());
    let mut bytes = Vec::new();
    store.read(PartitionId(0), RecordNumber(20), &mut bytes).unwrap();
    assert_eq!(bytes, b"stays");
    assert_eq!(store.notices(), []);
}
