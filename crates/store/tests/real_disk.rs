//! Real file systems: one that is full, and one whose power goes. They are mounted for the test, which takes root; where that
//! is not permitted they count as ignored, and the reason is printed. Hence a harness of its own, which speaks as that of the
//! standard library does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

use dunlin_store::{
    AppendError, DirDisk, Journal, Options, PartitionId, Purpose, RecordNumber, Shortage, Store, Writer,
};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SEGMENT: u64 = 256 << 10;
const DEADLINE: Duration = Duration::from_secs(20);

type Test = (&'static str, fn());

const TESTS: [Test; 2] = [
    ("a_full_device_refuses_growth_serves_reads_and_recovers_by_itself", a_full_device),
    ("what_was_synced_survives_a_power_loss_of_ext4", power_losses),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let reason = not_permitted();
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |test: &str| names.is_empty() || names.iter().any(|name| test.contains(name.as_str()));
    let ignored = reason.is_some();
    if has("--list") {
        let listed = TESTS.iter().filter(|_| ignored || !has("--ignored"));
        listed.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let tests: Vec<_> = TESTS.iter().filter(|(name, _)| wanted(name)).collect();
    let mut failed = 0;
    for (name, test) in &tests {
        match &reason {
            Some(reason) => println!("test {name} ... ignored, {reason}"),
            None => {
                let passed = std::panic::catch_unwind(test).is_ok();
                failed += u32::from(!passed);
                println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let (run, skipped) = if ignored { (0, tests.len()) } else { (tests.len(), 0) };
    println!("\ntest result: {result}. {} passed; {failed} failed; {skipped} ignored", run - failed as usize);
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

/// Why nothing can be mounted here.
fn not_permitted() -> Option<String> {
    for tool in ["mkfs.ext4", "mount", "umount", "python3"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return Some(format!("{tool} is not installed"));
        }
    }
    let mounted = Mounted::new();
    let tried = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(mounted.path()).output().unwrap();
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr);
        return Some(format!("mounting is not permitted: {}", said.lines().next().unwrap_or_default()));
    }
    let loops = Path::new("/dev/loop-control").exists();
    (!loops).then(|| "there are no loop devices".to_owned())
}

/// A mounted file system that goes with the test.
struct Mounted {
    home: PathBuf,
}

impl Mounted {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-mount-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join(name);
        fs::create_dir_all(home.join("mnt")).unwrap();
        Self { home }
    }

    fn path(&self) -> PathBuf {
        self.home.join("mnt")
    }

    fn mount(&self, arguments: &[&str]) {
        done(Command::new("mount").args(arguments).arg(self.path()));
    }

    fn unmount(&self) {
        let until = Instant::now() + DEADLINE;
        while !Command::new("umount").arg(self.path()).status().unwrap().success() {
            assert!(Instant::now() < until, "it stays mounted");
            std::thread::yield_now();
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
        let _ = fs::remove_dir_all(&self.home);
    }
}

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn options() -> Options {
    Options { partitions: 4, segment_size: SEGMENT, ..Options::default() }
}

fn open(path: &Path) -> Store<DirDisk> {
    Store::open(DirDisk::new(path).unwrap(), options()).unwrap()
}

/// Appends until there is no room.
fn fill(store: &Store<DirDisk>, writer: Writer) -> Vec<RecordNumber> {
    let mut numbers = Vec::new();
    let until = Instant::now() + DEADLINE;
    loop {
        match store.append(writer, Purpose::Growth, &[&[7; 2000]]) {
            Ok(appended) => numbers.push(appended.first),
            Err(AppendError::Busy { .. }) => drop(store.sync()),
            Err(AppendError::Full(shortage)) => {
                assert_eq!(shortage, Shortage::NoSpace);
                return numbers;
            }
            Err(e) => panic!("{e}"),
        }
        assert!(Instant::now() < until, "{:?}", store.stat());
    }
}

/// Nobody tells the log that there is room again.
fn recovers(store: &Store<DirDisk>, writer: Writer) {
    let until = Instant::now() + DEADLINE;
    while store.append(writer, Purpose::Growth, &[b"room again"]).is_err() {
        assert!(Instant::now() < until, "{:?} {:?}", store.progress(), store.stat());
        std::thread::yield_now();
    }
    while store.sync().is_err() || store.progress().shortage.is_some() {
        assert!(Instant::now() < until, "{:?}", store.progress());
        std::thread::yield_now();
    }
}

fn a_full_device() {
    let mounted = Mounted::new();
    mounted.mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"]);
    let store = open(&mounted.path().join("journal"));
    let writer = store.claim(PartitionId(1)).unwrap();
    for _ in 0..3 {
        let numbers = fill(&store, writer);
        assert!(numbers.len() > 300, "{}", numbers.len());
        let mut bytes = Vec::new();
        for number in &numbers {
            store.read(PartitionId(1), *number, &mut bytes).unwrap();
            assert_eq!(bytes, [7; 2000]);
        }
        store.append(writer, Purpose::Relief, &[b"an acknowledgement"]).unwrap();
        store.trim(writer, store.bounds(PartitionId(1)).next).unwrap();
        recovers(&store, writer);
    }
    // Somebody else fills the device, and makes room again.
    let file = mounted.path().join("somebody-else");
    let mut other = File::create(&file).unwrap();
    while other.write_all(&[1; 4096]).is_ok() {}
    drop(other);
    fill(&store, writer);
    fs::remove_file(file).unwrap();
    recovers(&store, writer);
    drop(store);
    let store = open(&mounted.path().join("journal"));
    assert_eq!(store.notices(), []);
}

/// Ends the file system as a power loss does: what was not flushed to the device is gone. EXT4_IOC_SHUTDOWN without a flush of
/// its journal; the call is Python's, as it takes an `ioctl`.
fn cut_power(path: &Path) {
    const CALL: &str = "import fcntl, os, struct, sys\n\
        fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    done(Command::new("python3").args(["-c", CALL]).arg(path));
}

fn record(partition: u16, number: u64) -> Vec<u8> {
    let mut bytes = format!("{partition} {number} ").into_bytes();
    bytes.resize(50 + (number * 37 % 700) as usize, b'x');
    bytes
}

fn power_losses() {
    let mounted = Mounted::new();
    let image = mounted.home.join("image");
    File::create(&image).unwrap().set_len(192 << 20).unwrap();
    let image = image.to_str().unwrap();
    done(Command::new("mkfs.ext4").args(["-q", "-F", image]));
    let journal = mounted.path().join("journal");
    let safe: Arc<Mutex<[u64; 4]>> = Arc::default();
    let mut lost_unsynced = 0;
    let rounds = if std::env::var_os("DUNLIN_SOAK").is_some() { 50 } else { 5 };
    for round in 0..rounds {
        mounted.mount(&["-o", "loop", image]);
        let store = Arc::new(open(&journal));
        assert!(
            !store.notices().iter().any(|notice| format!("{notice:?}").starts_with("Damage")),
            "round {round}"
        );
        check(&store, &safe.lock().unwrap(), round);
        fs::write(mounted.path().join(format!("unsynced-{round}")), [1; 5000]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|partition| {
                let (store, safe, stop) = (Arc::clone(&store), Arc::clone(&safe), Arc::clone(&stop));
                std::thread::spawn(move || write(&store, PartitionId(partition), &safe, &stop))
            })
            .collect();
        let (goal, until) = (safe.lock().unwrap()[0] + 50 * (round + 1), Instant::now() + DEADLINE);
        while safe.lock().unwrap()[0] < goal {
            assert!(Instant::now() < until, "{:?}", store.progress());
            std::thread::yield_now();
        }
        // What is said to be synced while the power goes is heard by nobody outside. (The kernel says it of a write to new
        // blocks whose place it could no longer write down.)
        let heard = *safe.lock().unwrap();
        cut_power(&mounted.path());
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        *safe.lock().unwrap() = heard;
        drop(store);
        mounted.unmount();
        mounted.mount(&["-o", "loop", image]);
        let unsynced = fs::read(mounted.path().join(format!("unsynced-{round}"))).unwrap_or_default();
        lost_unsynced += u64::from(unsynced != [1; 5000]);
        mounted.unmount();
    }
    // The proof that the power was lost.
    assert!(lost_unsynced * 2 > rounds, "{lost_unsynced}");
    println!("{rounds} power losses; records that were safe and survived: {:?}", safe.lock().unwrap());
}

/// Appends and waits for each sync, until the disk is gone.
fn write(store: &Store<DirDisk>, partition: PartitionId, safe: &Mutex<[u64; 4]>, stop: &AtomicBool) {
    let writer = store.claim(partition).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let next = store.bounds(partition).next.0;
        let Ok(_) = store.append(writer, Purpose::Growth, &[&record(partition.0, next)]) else { continue };
        if store.sync().is_ok() {
            safe.lock().unwrap()[usize::from(partition.0)] = next + 1;
        }
        if next.is_multiple_of(400) {
            store.trim(writer, RecordNumber(next.saturating_sub(300))).unwrap();
        }
    }
}

fn check(store: &Store<DirDisk>, safe: &[u64; 4], round: u64) {
    let mut bytes = Vec::new();
    for (partition, end) in (0..).zip(safe) {
        let bounds = store.bounds(PartitionId(partition));
        assert!(
            bounds.next.0 >= *end,
            "round {round}: partition {partition} ends at {bounds:?}, {end} were safe"
        );
        for number in bounds.low.0..*end {
            let read = store.read(PartitionId(partition), RecordNumber(number), &mut bytes);
            // What was trimmed may be gone for good or not.
            if number + 700 > *end {
                read.unwrap_or_else(|e| {
                    panic!("round {round}: record {number} of partition {partition}: {e}")
                });
                assert_eq!(bytes, record(partition, number));
            }
        }
    }
}
