//! What every implementation of the port has to do, as checks that any of them can run.
//!
//! In:    a [`Bed`], which opens the same log again and again.
//! Out:   nothing, or a panic that says which promise was broken.
//! Never: a disk, a crash. Those are the business of whoever has them; see the tests of this crate.

use crate::port::{
    AppendError, Checkpoint, Entry, Epoch, Journal, Notice, PartitionId, Purpose, ReadError, RecordNumber,
    Writer,
};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Storage for one log, empty at first.
pub trait Bed {
    /// The implementation.
    type Log: Journal;

    /// Opens the log. The one opened before was dropped.
    fn open(&mut self) -> Self::Log;
}

/// A check over fresh storage.
pub type Check<B> = fn(&mut B);

/// All checks with their names; the log needs eight partitions and takes records of 16 KiB.
#[must_use]
pub fn checks<B: Bed>() -> Vec<(&'static str, Check<B>)> {
    vec![
        ("numbers count up from zero in each partition", numbers_count_up),
        ("a record can be read at once and bit by bit", reads_at_once),
        ("what is synced is there after reopening, in order", survives_reopening),
        ("only the last writer writes", fences),
        ("an append too large is refused and uses no number", refuses_too_large),
        ("a replay starts where it is told and stops when told", replays),
        ("replaying all is replaying each", replays_all),
        ("trimmed records are gone and their numbers are not given again", trims),
        ("released records are gone and others stay", releases),
        ("what is not retained is gone", retains),
        ("the newest checkpoint is there after reopening", keeps_checkpoints),
        ("progress is told", tells_progress),
        ("a partition that does not exist is refused", refuses_partitions),
    ]
}

fn good<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => unreachable!("refused: {e:?}"),
    }
}

fn append(log: &impl Journal, writer: Writer, records: &[&[u8]]) -> u64 {
    loop {
        match log.append(writer, Purpose::Growth, records) {
            Ok(appended) => return appended.first.0,
            Err(AppendError::Busy { .. }) => drop(good(log.sync())),
            Err(e) => unreachable!("refused: {e:?}"),
        }
    }
}

fn write(log: &impl Journal, partition: u16, from: u64, to: u64) -> Writer {
    let writer = good(log.claim(PartitionId(partition)));
    for number in from..to {
        assert_eq!(append(log, writer, &[&body(partition, number)]), number, "the next number");
    }
    writer
}

fn body(partition: u16, number: u64) -> Vec<u8> {
    let length = usize::try_from(number * 37 % 300).unwrap_or(0);
    let mut bytes = format!("{partition}/{number}/").into_bytes();
    bytes.resize(bytes.len() + length, u8::try_from(number % 251).unwrap_or(0));
    bytes
}

fn collect(log: &impl Journal, partition: u16, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    good(log.replay(PartitionId(partition), RecordNumber(from), &mut |entry| {
        match entry {
            Entry::Record { number, bytes } => all.push((number.0, bytes.to_vec())),
            Entry::Lost { .. } => unreachable!("nothing was damaged"),
        }
        ControlFlow::Continue(())
    }));
    all
}

fn expect(log: &impl Journal, partition: u16, from: u64, numbers: impl Iterator<Item = u64>) {
    let want: Vec<_> = numbers.map(|number| (number, body(partition, number))).collect();
    let got = collect(log, partition, from);
    let shown: Vec<u64> = got.iter().map(|(number, _)| *number).collect();
    assert!(got == want, "partition {partition} from {from} has {shown:?}");
}

fn read(log: &impl Journal, partition: u16, number: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = b"what was there before".to_vec();
    log.read(PartitionId(partition), RecordNumber(number), &mut bytes).map(|()| bytes)
}

fn numbers_count_up<B: Bed>(bed: &mut B) {
    let log = bed.open();
    for partition in 0..8 {
        assert_eq!(log.bounds(PartitionId(partition)).next, RecordNumber(0));
        let writer = write(&log, partition, 0, 5);
        assert_eq!(append(&log, writer, &[b"a", b"b", b"c"]), 5);
        assert_eq!(log.bounds(PartitionId(partition)).next, RecordNumber(8));
    }
}

fn reads_at_once<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let writer = good(log.claim(PartitionId(1)));
    let large = vec![7; 16 << 10];
    assert_eq!(append(&log, writer, &[b"", &large, b"x"]), 0);
    for _ in 0..2 {
        assert_eq!(read(&log, 1, 0), Ok(Vec::new()));
        assert_eq!(read(&log, 1, 1), Ok(large.clone()));
        assert_eq!(read(&log, 1, 2), Ok(b"x".to_vec()));
        assert_eq!(read(&log, 1, 3), Err(ReadError::Absent));
        assert_eq!(read(&log, 2, 0), Err(ReadError::Absent));
        good(log.sync());
    }
}

fn survives_reopening<B: Bed>(bed: &mut B) {
    let mut end = 0;
    for round in 1..4 {
        let log = bed.open();
        for partition in [0, 3, 7] {
            expect(&log, partition, 0, 0..end);
            write(&log, partition, end, round * 400);
        }
        end = round * 400;
        good(log.sync());
    }
    let log = bed.open();
    for partition in [0, 3, 7] {
        expect(&log, partition, 0, 0..end);
        assert_eq!(read(&log, partition, end / 2), Ok(body(partition, end / 2)));
    }
}

fn fences<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let old = write(&log, 2, 0, 3);
    let new = good(log.claim(PartitionId(2)));
    assert!(new.epoch > old.epoch);
    let fenced = |e| matches!(e, Err(AppendError::Fenced { .. }));
    assert!(fenced(log.append(old, Purpose::Growth, &[b"late"]).map(|_| ())));
    assert!(fenced(log.trim(old, RecordNumber(2))));
    assert!(fenced(log.release(old, &[RecordNumber(0)])));
    assert!(fenced(log.retain(old, RecordNumber(2), &mut std::iter::empty())));
    let checkpoint = Checkpoint { upto: RecordNumber(1), state: Vec::new() };
    assert!(fenced(log.checkpoint(old, checkpoint)));
    assert_eq!(append(&log, new, &[&body(2, 3)]), 3);
    good(log.sync());
    drop(log);
    let log = bed.open();
    assert!(good(log.claim(PartitionId(2))).epoch > new.epoch, "epochs outlive the process");
    expect(&log, 2, 0, 0..4);
}

fn refuses_too_large<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let writer = write(&log, 0, 0, 2);
    let huge = vec![0; 1 << 30];
    let refused = log.append(writer, Purpose::Growth, &[b"small", &huge]);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    assert_eq!(append(&log, writer, &[&body(0, 2)]), 2);
    expect(&log, 0, 0, 0..3);
}

fn replays<B: Bed>(bed: &mut B) {
    let log = bed.open();
    write(&log, 4, 0, 100);
    good(log.sync());
    let writer = write(&log, 4, 100, 120);
    expect(&log, 4, 0, 0..120);
    expect(&log, 4, 57, 57..120);
    expect(&log, 4, 110, 110..120);
    expect(&log, 4, 120, 0..0);
    expect(&log, 5, 0, 0..0);
    let mut seen = 0;
    good(log.replay(PartitionId(4), RecordNumber(10), &mut |_| {
        seen += 1;
        if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!(seen, 5);
    good(log.trim(writer, RecordNumber(1)));
}

fn replays_all<B: Bed>(bed: &mut B) {
    let log = bed.open();
    for round in 0..10 {
        for partition in 0..8 {
            write(&log, partition, round * 20, round * 20 + 20);
        }
        if round < 9 {
            good(log.sync());
        }
    }
    let writer = good(log.claim(PartitionId(3)));
    good(log.release(writer, &[RecordNumber(50), RecordNumber(190)]));
    let from = |partition: PartitionId| RecordNumber(u64::from(partition.0) * 10);
    let mut got = vec![Vec::new(); 8];
    good(log.replay_all(&from, &mut |partition, entry| {
        if let Entry::Record { number, bytes } = entry {
            got[usize::from(partition.0)].push((number.0, bytes.to_vec()));
        }
    }));
    for partition in 0..8 {
        let want = collect(&log, partition, from(PartitionId(partition)).0);
        assert!(got[usize::from(partition)] == want, "partition {partition}");
    }
}

fn trims<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let writer = write(&log, 6, 0, 50);
    good(log.sync());
    good(log.trim(writer, RecordNumber(20)));
    assert_eq!(read(&log, 6, 19), Err(ReadError::Absent));
    expect(&log, 6, 0, 20..50);
    good(log.trim(writer, RecordNumber(10)));
    assert_eq!(log.bounds(PartitionId(6)).low, RecordNumber(20), "a trim is not taken back");
    good(log.trim(writer, RecordNumber(50)));
    expect(&log, 6, 0, 0..0);
    good(log.checkpoint(writer, Checkpoint { upto: RecordNumber(50), state: Vec::new() }));
    await_checkpoint(&log, writer, 50);
    drop(log);
    let log = bed.open();
    assert_eq!(log.bounds(PartitionId(6)).next.0, 51, "numbers go on");
}

fn releases<B: Bed>(bed: &mut B) {
    let log = bed.open();
    write(&log, 1, 0, 60);
    good(log.sync());
    let writer = write(&log, 1, 60, 90);
    let odd: Vec<_> = (0..90).filter(|n| n % 2 == 1).map(RecordNumber).collect();
    good(log.release(writer, &odd));
    good(log.release(writer, &odd));
    for _ in 0..2 {
        assert_eq!(read(&log, 1, 31), Err(ReadError::Absent));
        assert_eq!(read(&log, 1, 71), Err(ReadError::Absent));
        assert_eq!(read(&log, 1, 30), Ok(body(1, 30)));
        expect(&log, 1, 0, (0..90).step_by(2));
        good(log.sync());
    }
    drop(log);
    let log = bed.open();
    let even: BTreeSet<u64> = (0..90).step_by(2).collect();
    let got: BTreeSet<u64> = collect(&log, 1, 0).into_iter().map(|(number, _)| number).collect();
    assert!(got.is_superset(&even), "only released records may be gone");
}

fn retains<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let writer = write(&log, 0, 0, 100);
    good(log.sync());
    let live = [3, 4, 50, 79, 80];
    good(log.retain(writer, RecordNumber(80), &mut live.into_iter().map(RecordNumber)));
    expect(&log, 0, 0, [3, 4, 50, 79].into_iter().chain(80..100));
}

fn await_checkpoint(log: &impl Journal, writer: Writer, upto: u64) {
    let wanted = Notice::Checkpointed { partition: writer.partition, upto: RecordNumber(upto) };
    // A checkpoint waits for the log and for its turn; each record lets the log do a little more.
    for _ in 0..100_000 {
        if log.notices().contains(&wanted) {
            return;
        }
        append(log, writer, &[]);
        if log.bounds(writer.partition).next.0 <= upto {
            append(log, writer, &[b"after the checkpoint"]);
        }
        good(log.sync());
        std::thread::yield_now();
    }
    unreachable!("no notice of the checkpoint");
}

fn keeps_checkpoints<B: Bed>(bed: &mut B) {
    let log = bed.open();
    assert_eq!(log.load(PartitionId(5)), Ok(None));
    let writer = write(&log, 5, 0, 10);
    for upto in [4, 9] {
        let state = vec![u8::try_from(upto).unwrap_or(0); 10_000];
        good(log.checkpoint(writer, Checkpoint { upto: RecordNumber(upto), state }));
        await_checkpoint(&log, writer, upto);
    }
    drop(log);
    let log = bed.open();
    let checkpoint = Checkpoint { upto: RecordNumber(9), state: vec![9; 10_000] };
    assert_eq!(log.load(PartitionId(5)), Ok(Some(checkpoint)));
    assert_eq!(log.load(PartitionId(4)), Ok(None));
    assert_eq!(read(&log, 5, 9), Ok(body(5, 9)));
}

fn tells_progress<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let told = Arc::new(AtomicU64::new(0));
    let written = Arc::new(AtomicU64::new(0));
    let (telling, telling_written) = (Arc::clone(&told), Arc::clone(&written));
    log.watch(Box::new(move |progress| {
        assert!(progress.written >= progress.synced, "what is synced is written");
        telling_written.fetch_max(progress.written.0, Ordering::SeqCst);
        telling.fetch_max(progress.synced.0, Ordering::SeqCst);
    }));
    let writer = good(log.claim(PartitionId(0)));
    let ticket = good(log.append(writer, Purpose::Growth, &[b"x"])).ticket;
    assert!(good(log.sync()) >= ticket);
    assert!(log.progress().synced >= ticket && log.progress().written >= ticket);
    while told.load(Ordering::SeqCst) < ticket.0 || written.load(Ordering::SeqCst) < ticket.0 {
        std::thread::yield_now();
    }
}

fn refuses_partitions<B: Bed>(bed: &mut B) {
    let log = bed.open();
    let beyond = PartitionId(log.partitions());
    assert!(matches!(log.claim(beyond), Err(AppendError::NoPartition { .. })));
    let forged = Writer { partition: beyond, epoch: Epoch(0) };
    let refused = log.append(forged, Purpose::Growth, &[b"x"]);
    assert!(matches!(refused, Err(AppendError::NoPartition { .. })));
    assert_eq!(read(&log, beyond.0, 0), Err(ReadError::Absent));
}
