//! Figures of the log on the disk under a directory: `cargo run --release -p dunlin-store --example
//! log_figures -- DIRECTORY [quick]`.
//!
//! In:    a directory to make and remove a log in.
//! Out:   records a second by batch, recovery, memory of the index, sealed and not, and what a sync costs.
//! Never: a comparison of machines; the ratios within one run are what counts.

use dunlin_store::{
    AppendError, DirDisk, Disk, DiskFile, Entry, Journal, Keyring, MasterKey, Options, PartitionId, Purpose,
    RecordNumber, Store, Writer,
};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

const RECORD: usize = 256;
const PARTITIONS: u16 = 256;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("say where: log_figures DIRECTORY [quick]")?;
    let quick = arguments.next().is_some();
    let directory = Path::new(&directory).join("log-figures");
    println!("sync: {:.3} ms for 4 KiB into a preallocated file", 1e3 * sync_seconds(&directory)?);
    for sealed in [false, true] {
        println!("\n{}", if sealed { "sealed with AES-256-GCM" } else { "plain" });
        for (batch, spread) in [(1, 1), (10, 1), (100, 1), (1000, 1), (1000, 256)] {
            throughput(&directory, sealed, batch, spread, if quick { 1 } else { 3 })?;
        }
        recovery(&directory, sealed, if quick { 128 } else { 1024 })?;
    }
    println!();
    let records = if quick { 1_000_000 } else { 10_000_000 };
    for spread in [1, 16, 256] {
        index(&directory, records, spread)?;
    }
    Ok(())
}

fn fresh(directory: &Path, sealed: bool) -> Result<Store<DirDisk>, Failure> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    reopen(directory, sealed)
}

fn reopen(directory: &Path, sealed: bool) -> Result<Store<DirDisk>, Failure> {
    let keys = Keyring::default();
    let keys = if sealed { keys.with(1, MasterKey::new([1; 32])) } else { keys };
    Ok(Store::open(DirDisk::new(directory)?, Options { keys, ..Options::default() })?)
}

fn sync_seconds(directory: &Path) -> Result<f64, Failure> {
    let disk = DirDisk::new(directory)?;
    let file = disk.create("sync")?;
    file.allocate(8 << 20)?;
    for at in 0..2048 {
        file.write_at(&[1; 4096], at * 4096)?;
    }
    file.sync()?;
    let start = Instant::now();
    for at in 0..1000 {
        file.write_at(&[2; 4096], at * 4096)?;
        file.sync()?;
    }
    let seconds = start.elapsed().as_secs_f64() / 1000.0;
    std::fs::remove_dir_all(directory)?;
    Ok(seconds)
}

fn writers(store: &Store<DirDisk>) -> Result<Vec<Writer>, Failure> {
    Ok((0..PARTITIONS).map(|partition| store.claim(PartitionId(partition))).collect::<Result<_, _>>()?)
}

/// Appends records to `spread` partitions in turn, waiting where the log is busy.
fn append(store: &Store<DirDisk>, writers: &[Writer], records: usize, spread: usize) -> Result<(), Failure> {
    let body = [0x5a; RECORD];
    let each = records / spread.min(records);
    let slices = vec![&body[..]; each];
    for writer in writers.iter().take(spread.min(records)) {
        loop {
            match store.append(*writer, Purpose::Growth, &slices) {
                Ok(_) => break,
                Err(AppendError::Busy { .. }) => drop(store.sync()),
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

fn throughput(
    directory: &Path,
    sealed: bool,
    batch: usize,
    spread: usize,
    seconds: u64,
) -> Result<(), Failure> {
    let store = fresh(directory, sealed)?;
    let writers = writers(&store)?;
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut times = Vec::new();
    let mut records = 0;
    while start.elapsed() < limit {
        let began = Instant::now();
        append(&store, &writers, batch, spread)?;
        store.sync().map_err(|shortage| format!("{shortage:?}"))?;
        times.push(began.elapsed());
        records += batch / spread * spread;
    }
    let rate = records as f64 / start.elapsed().as_secs_f64();
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "{batch:>5} records of {RECORD} B in {spread:>3} partitions a sync: {rate:>9.0} records/s {:>7.1} MB/s, p99 {:>7.3} ms",
        rate * RECORD as f64 / 1e6,
        1e3 * p99.as_secs_f64()
    );
    Ok(())
}

fn recovery(directory: &Path, sealed: bool, mebibytes: usize) -> Result<(), Failure> {
    let store = fresh(directory, sealed)?;
    let all = writers(&store)?;
    let records = mebibytes * (1 << 20) / RECORD;
    let start = Instant::now();
    for _ in 0..records / 1024 {
        append(&store, &all, 1024, 256)?;
    }
    store.sync().map_err(|shortage| format!("{shortage:?}"))?;
    let rate = records as f64 / start.elapsed().as_secs_f64();
    println!("many batches a sync, 4 records in each of 256 partitions: {rate:.0} records/s");
    drop(store);
    let start = Instant::now();
    let store = reopen(directory, sealed)?;
    let opened = start.elapsed();
    let mut seen = 0u64;
    store.replay_all(&|_| RecordNumber(0), &mut |_, entry| {
        seen += u64::from(matches!(entry, Entry::Record { .. }))
    })?;
    println!(
        "recovery of {mebibytes} MiB ({seen} records): {:.2} s to open, {:.2} s to replay all",
        opened.as_secs_f64(),
        (start.elapsed() - opened).as_secs_f64()
    );
    let (start, mut bytes, mut count) = (Instant::now(), Vec::new(), 0);
    for partition in (0..PARTITIONS).map(PartitionId) {
        for number in 0..store.bounds(partition).next.0.min(2_000) {
            store.read(partition, RecordNumber(number), &mut bytes)?;
            count += 1;
        }
    }
    println!(
        "reading one by one in order: {:.0} records/s",
        f64::from(count) / start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn index(directory: &Path, records: usize, spread: usize) -> Result<(), Failure> {
    let store = fresh(directory, false)?;
    let writers = writers(&store)?;
    for _ in 0..records / 1000 {
        // A commit for each thousand, as under steady load; else the log would make larger batches.
        append(&store, &writers, 1000, spread)?;
        store.sync().map_err(|shortage| format!("{shortage:?}"))?;
    }
    let stat = store.stat();
    println!(
        "index of {} records, 1,000 a sync in {spread:>3} partitions: {:.1} MB, {:.2} B a record",
        stat.live_records,
        stat.index_bytes as f64 / 1e6,
        stat.index_bytes as f64 / stat.live_records as f64
    );
    drop(store);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
