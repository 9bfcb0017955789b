//! A journal with patched files: it opens or is refused by name, everything in it can be read, and a repaired one opens again.
//! Checksums are switched off, so that patches reach what lies behind them.
//!
//! The input is a row of patches: which file, where (two bytes), how many bytes, the bytes.

#![no_main]

use dunlin_store::sim_disk::SimDisk;
use dunlin_store::{
    Checkpoint, Disk, DiskFile, Journal, Keyring, Offline, Options, PartitionId, Purpose, RecordNumber,
    Store, repair,
};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const SEGMENT: u64 = 64 << 10;
/// Bytes of a file that patches can reach.
const REACH: usize = 12 << 10;

fuzz_target!(|input: &[u8]| {
    let disk = SimDisk::new(1);
    // A patched manifest may ask for segments of a gibibyte.
    disk.set_capacity(4 << 20);
    let mut files: Vec<(String, Vec<u8>)> = image().clone();
    let mut rest = input;
    while let [which, low, high, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        let which = usize::from(*which) % files.len();
        let file = &mut files[which].1;
        let at = usize::from(u16::from_le_bytes([*low, *high])) % REACH.min(file.len());
        let to = (at + bytes.len()).min(file.len());
        file[at..to].copy_from_slice(&bytes[..to - at]);
        rest = after;
    }
    for (name, bytes) in &files {
        disk.create(name).unwrap().write_at(bytes, 0).unwrap();
    }
    if let Ok(mut offline) = Offline::open(disk.clone(), Keyring::default()) {
        let _ = offline.check();
        let _ = offline.records(None, &mut |_, _| {});
        let _ = offline.segments();
        let _ = offline.checkpoints();
    }
    if repair(&disk, Keyring::default(), 4).is_ok() {
        assert!(Offline::open(disk, Keyring::default()).is_ok(), "what was repaired opens");
    }
});

/// A small journal: two lives of segments, a checkpoint, records given up.
fn image() -> &'static Vec<(String, Vec<u8>)> {
    static IMAGE: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let disk = SimDisk::new(1);
        let options = Options { partitions: 4, segment_size: SEGMENT, ..Options::default() };
        for _ in 0..2 {
            let store = Store::manual(disk.clone(), options.clone()).unwrap();
            for partition in (0..4).map(PartitionId) {
                let writer = store.claim(partition).unwrap();
                for length in [0, 1, 100, 5000] {
                    store.append(writer, Purpose::Growth, &[&vec![b'r'; length], b"second"]).unwrap();
                }
                store.sync().unwrap();
                store.release(writer, &[RecordNumber(2)]).unwrap();
            }
            let writer = store.claim(PartitionId(1)).unwrap();
            let state = b"a state".to_vec();
            store.checkpoint(writer, Checkpoint { upto: RecordNumber(3), state }).unwrap();
            while store.step() {}
        }
        let names = disk.list().unwrap().into_iter().map(|(name, _)| name);
        names.map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
    })
}
