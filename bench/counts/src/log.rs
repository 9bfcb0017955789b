//! The log's own work: taking records, encoding and checking a batch. Its disk is memory.

use dunlin_store::sim_disk::SimDisk;
use dunlin_store::{Log, Options, PartitionId, Purpose};

const RECORD: [u8; 256] = [0x5a; 256];
const RECORDS: u64 = 50_000;

#[inline(never)]
fn measured_append(log: &mut Log<SimDisk>, writer: dunlin_store::Writer) {
    // What is refused would show as a count that is much too low.
    let _ = log.append(writer, Purpose::Growth, &[&RECORD]);
}

#[inline(never)]
fn measured_flush(log: &mut Log<SimDisk>) {
    while let Some(commit) = log.flush() {
        log.complete(commit.run());
    }
}

/// 100 records a batch. A unit is a record.
pub(crate) fn append() -> u64 {
    let Ok(mut log) = Log::open(SimDisk::new(7), Options::default()) else {
        unreachable!("an empty disk opens")
    };
    let Ok(writer) = log.claim(PartitionId(3)) else { unreachable!("there is such a partition") };
    for n in 1..=RECORDS {
        measured_append(&mut log, writer);
        if n % 100 == 0 {
            measured_flush(&mut log);
            while let Some(chore) = log.chore() {
                log.finish(chore.run());
            }
        }
    }
    RECORDS
}
