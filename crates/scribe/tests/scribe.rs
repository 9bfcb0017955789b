//! Batches on their way to a log over a simulated disk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]

use dunlin_engine::{JOURNAL_PARTITIONS, JournalBatch, JournalRecord, JournalSource};
use dunlin_scribe::{Desk, News, Reader, Scribe, claim_all};
use dunlin_store::sim_disk::SimDisk;
use dunlin_store::{Journal, Options, Store};

/// A log whose segments have 64 KiB: an append may have a quarter of that.
fn small_log() -> Store<SimDisk> {
    let options = Options { partitions: JOURNAL_PARTITIONS, segment_size: 64 << 10, ..Options::default() };
    Store::manual(SimDisk::new(1), options).unwrap()
}

/// `count` records of one partition, each of `size` bytes.
fn write(batch: &mut JournalBatch, count: u64, size: usize) {
    for number in 0..count {
        batch.bytes.resize(batch.bytes.len() + size, 7);
        batch.records.push(JournalRecord { partition: 3, number, end: batch.bytes.len(), relief: false });
    }
}

/// Offers the batch until the log has it.
fn deliver(store: &Store<SimDisk>, desk: Desk<'_>, scribe: &mut Scribe) -> News {
    for _ in 0..100 {
        scribe.append_rest(desk).unwrap();
        store.sync().unwrap();
        let progress = store.progress();
        if let Some(news) = scribe.hear(progress.synced, progress.written, false) {
            return news;
        }
    }
    panic!("the log never has the batch: {:?}", store.progress());
}

#[test]
fn a_batch_that_is_more_than_an_append_may_have_goes_in_parts() {
    let store = small_log();
    let writers = claim_all(&store).unwrap();
    let desk = Desk { journal: &store, writers: &writers };
    let mut scribe = Scribe::new(1024);
    scribe.take(|batch| write(batch, 30, 5_000));
    assert_eq!(deliver(&store, desk, &mut scribe), News::Stored { relief_only: false });

    let mut reader = Reader::new(desk);
    let mut read = Vec::new();
    reader
        .records(&|partition| partition == 3, &mut |_, number, bytes| read.push((number, bytes.len())))
        .unwrap();
    assert_eq!(read, (0..30).map(|number| (number, 5_000)).collect::<Vec<_>>());
}

#[test]
fn a_record_that_fits_no_append_is_refused_and_nothing_of_it_is_taken() {
    let store = small_log();
    let writers = claim_all(&store).unwrap();
    let mut scribe = Scribe::new(1024);
    scribe.take(|batch| write(batch, 1, 20_000));
    let refused = scribe.append_rest(Desk { journal: &store, writers: &writers }).unwrap_err();
    assert!(refused.to_string().starts_with("an append of 20"), "{refused}");
}
