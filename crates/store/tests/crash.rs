//! Crashes at any step over a disk that tears and fails: nothing that was said to be safe is lost, nothing
//! comes back that was never appended, and what was not safe survives as a prefix of each partition.
//!
//! `DUNLIN_SEEDS` sets how many seeds run, `DUNLIN_SEED` runs one alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

use dunlin_store::sim_disk::{Faults, SimDisk};
use dunlin_store::{
    AppendError, Checkpoint, Commit, Entry, Journal, Keyring, Log, MasterKey, Notice, Options, PartitionId,
    Purpose, ReadError, RecordNumber, Store, Ticket, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

const PARTITIONS: u16 = 4;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.below(20) {
            0 => 0,
            1 => self.below(6000),
            _ => self.below(200),
        };
        let start = self.next();
        (0..length).map(|i| (start.wrapping_add(i * 7) % 256) as u8).collect()
    }
}

/// What a partition must and may hold.
#[derive(Default)]
struct Model {
    /// Everything appended, with its ticket, and whether the ticket is exact: of what was found after a crash
    /// is only known by when it is safe.
    records: BTreeMap<u64, (Vec<u8>, Ticket, bool)>,
    /// What was released or trimmed and was gone after a crash: it may still come back after the next.
    ghosts: BTreeMap<u64, Vec<u8>>,
    next: u64,
    low: u64,
    /// Released or trimmed: may be gone, may come back.
    released: BTreeSet<u64>,
    /// Checkpoints handed in since the last that is safe, which is the first.
    checkpoints: Vec<Option<Checkpoint>>,
}

impl Model {
    fn new() -> Self {
        Self { checkpoints: vec![None], ..Self::default() }
    }

    fn must(&self, number: u64, synced: Ticket) -> bool {
        self.records.get(&number).is_some_and(|(_, ticket, _)| *ticket <= synced) && !self.may_be_gone(number)
    }

    fn may_be_gone(&self, number: u64) -> bool {
        number < self.low || self.released.contains(&number)
    }
}

struct World {
    seed: u64,
    random: Random,
    disk: SimDisk,
    options: Options,
    model: Vec<Model>,
    seen: Seen,
}

/// What the seeds reached, so that a test that tests nothing fails.
#[derive(Debug, Default)]
struct Seen {
    crashes: u64,
    records: u64,
    recovered: u64,
    torn: u64,
    copies: u64,
    abandoned: u64,
    full: u64,
    checkpoints: u64,
    unsynced_kept: u64,
    unsynced_lost: u64,
}

fn options(sealed: bool) -> Options {
    let keys = Keyring::default().with(3, MasterKey::new([1; 32]));
    Options {
        partitions: PARTITIONS,
        segment_size: 64 << 10,
        quota: 24 * (64 << 10),
        batch_max: 6000,
        keys: if sealed { keys } else { Keyring::default() },
        ..Options::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random(seed ^ 0xd0_1147),
            disk: SimDisk::new(seed),
            options: options(seed.is_multiple_of(3)),
            model: (0..PARTITIONS).map(|_| Model::new()).collect(),
            seen: Seen::default(),
        }
    }

    fn open(&self) -> Store<SimDisk> {
        match Store::manual(self.disk.clone(), self.options.clone()) {
            Ok(store) => store,
            Err(e) => panic!("seed {}: {e}", self.seed),
        }
    }

    /// One life of the process: random calls until the crash. Gives how far it was told that it is safe.
    fn live(&mut self, store: &Store<SimDisk>) -> Ticket {
        let mut writers: Vec<Writer> = Vec::new();
        for partition in 0..PARTITIONS {
            writers.push(store.claim(PartitionId(partition)).unwrap());
        }
        let faults = Faults {
            write_error: [0, 0, 10][self.random.below(3) as usize],
            no_space: [0, 0, 10][self.random.below(3) as usize],
            sync_error: [0, 0, 20][self.random.below(3) as usize],
            short_read: [0, 300][self.random.below(2) as usize],
            read_error: [0, 0, 5][self.random.below(3) as usize],
            sync_lies: 0,
        };
        self.disk.set_faults(faults);
        if self.random.chance(70) {
            self.disk.cut_power_after(self.random.below(400));
        }
        let mut commit: Option<Commit<SimDisk>> = None;
        let mut chore = None;
        let steps = 20 + self.random.below(600);
        for _ in 0..steps {
            match self.random.below(100) {
                0..45 => self.append(store, &writers),
                45..65 => match commit.take() {
                    None => commit = store.with(Log::flush),
                    Some(commit) => {
                        let committed = commit.run();
                        store.with(|log| log.complete(committed));
                    }
                },
                65..75 => match chore.take() {
                    None => chore = store.with(Log::chore),
                    Some(done) => {
                        let done: dunlin_store::Chore<SimDisk> = done;
                        let finished = done.run();
                        store.with(|log| log.finish(finished));
                    }
                },
                75..78 => store.retry(),
                78..80 if commit.is_none() => commit = store.with(Log::confirm),
                80..88 => self.release(store, &writers),
                88..91 => self.trim(store, &writers),
                91..94 => self.checkpoint(store, &writers),
                _ => self.read(store),
            }
            self.note(store);
            if self.disk.is_off() {
                break;
            }
        }
        store.progress().synced
    }

    fn append(&mut self, store: &Store<SimDisk>, writers: &[Writer]) {
        let partition = self.random.below(u64::from(PARTITIONS)) as usize;
        let records: Vec<Vec<u8>> = (0..=self.random.below(4)).map(|_| self.random.bytes()).collect();
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let purpose = if self.random.chance(20) { Purpose::Relief } else { Purpose::Growth };
        match store.append(writers[partition], purpose, &slices) {
            Ok(appended) => {
                let model = &mut self.model[partition];
                assert_eq!(appended.first.0, model.next, "seed {}", self.seed);
                for record in records {
                    model.records.insert(model.next, (record, appended.ticket, true));
                    model.next += 1;
                    self.seen.records += 1;
                }
            }
            Err(AppendError::Full(_)) => self.seen.full += 1,
            Err(AppendError::Busy { .. } | AppendError::TooLarge { .. }) => {}
            Err(e) => panic!("seed {}: {e}", self.seed),
        }
        assert_eq!(store.bounds(PartitionId(partition as u16)).next.0, self.model[partition].next);
    }

    fn release(&mut self, store: &Store<SimDisk>, writers: &[Writer]) {
        let partition = self.random.below(u64::from(PARTITIONS)) as usize;
        let model = &mut self.model[partition];
        let numbers: Vec<u64> = model.records.keys().copied().collect();
        let percent = [5, 60, 95][self.random.below(3) as usize];
        let chosen: Vec<u64> = numbers.into_iter().filter(|_| self.random.chance(percent)).collect();
        let released: Vec<_> = chosen.iter().map(|number| RecordNumber(*number)).collect();
        store.release(writers[partition], &released).unwrap();
        model.released.extend(chosen);
    }

    fn trim(&mut self, store: &Store<SimDisk>, writers: &[Writer]) {
        let partition = self.random.below(u64::from(PARTITIONS)) as usize;
        let model = &mut self.model[partition];
        let below = model.low + self.random.below(model.next - model.low + 1);
        store.trim(writers[partition], RecordNumber(below)).unwrap();
        model.low = below;
    }

    fn checkpoint(&mut self, store: &Store<SimDisk>, writers: &[Writer]) {
        let partition = self.random.below(u64::from(PARTITIONS)) as usize;
        let model = &mut self.model[partition];
        let last = model.checkpoints.iter().flatten().map(|c| c.upto.0).max().unwrap_or(0);
        let upto = last.max(model.low) + self.random.below(model.next - last.max(model.low) + 1);
        let checkpoint = Checkpoint { upto: RecordNumber(upto), state: self.random.bytes() };
        store.checkpoint(writers[partition], checkpoint.clone()).unwrap();
        model.checkpoints.push(Some(checkpoint));
    }

    fn read(&mut self, store: &Store<SimDisk>) {
        let partition = self.random.below(u64::from(PARTITIONS)) as usize;
        let model = &self.model[partition];
        if model.next == 0 {
            return;
        }
        let number = self.random.below(model.next + 2);
        let mut bytes = Vec::new();
        match store.read(PartitionId(partition as u16), RecordNumber(number), &mut bytes) {
            Ok(()) => assert_eq!(bytes, model.records[&number].0, "seed {} {partition}/{number}", self.seed),
            Err(ReadError::Io(_)) => {}
            Err(e) => assert!(
                model.may_be_gone(number) || !model.records.contains_key(&number),
                "seed {}: {partition}/{number}: {e}",
                self.seed
            ),
        }
    }

    fn note(&mut self, store: &Store<SimDisk>) {
        for notice in store.notices() {
            match notice {
                Notice::Checkpointed { partition, upto } => {
                    let model = &mut self.model[usize::from(partition.0)];
                    let at =
                        model.checkpoints.iter().rposition(|c| c.as_ref().is_some_and(|c| c.upto == upto));
                    // The same number may have been handed in twice; the older of them is then still possible.
                    let first =
                        model.checkpoints.iter().position(|c| c.as_ref().is_some_and(|c| c.upto == upto));
                    assert!(at.is_some(), "seed {}: a checkpoint that nobody made", self.seed);
                    model.checkpoints.drain(..first.unwrap_or(0));
                    self.seen.checkpoints += 1;
                }
                Notice::TornTail { .. } => self.seen.torn += 1,
                Notice::SegmentAbandoned { .. } => self.seen.abandoned += 1,
                Notice::ChoreFailed { .. } | Notice::CheckpointFailed { .. } => {}
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    /// Compares what is there after the crash with what was promised, and goes on from it.
    fn judge(&mut self, store: &Store<SimDisk>, synced: Ticket) {
        self.note(store);
        let (mut first_missing, mut last_kept) = (Ticket(u64::MAX), Ticket(0));
        for partition in 0..PARTITIONS {
            let found = self.replay(store, partition);
            let (missing, kept) = self.compare(partition, &found, synced);
            first_missing = first_missing.min(missing);
            last_kept = last_kept.max(kept);
            self.go_on(store, partition, found, synced);
        }
        assert!(last_kept < first_missing, "seed {}: {last_kept:?} survived {first_missing:?}", self.seed);
    }

    fn replay(&self, store: &Store<SimDisk>, partition: u16) -> BTreeMap<u64, Vec<u8>> {
        let seed = self.seed;
        let mut found = BTreeMap::new();
        let mut last = None;
        let replayed = store.replay(PartitionId(partition), RecordNumber(0), &mut |entry| {
            match entry {
                Entry::Record { number, bytes } => {
                    assert!(last < Some(number), "seed {seed}: {partition}/{number:?} out of order");
                    last = Some(number);
                    found.insert(number.0, bytes.to_vec());
                }
                Entry::Lost { from, to } => panic!("seed {seed}: lost {partition}/{from:?}..{to:?}"),
            }
            ControlFlow::Continue(())
        });
        assert_eq!(replayed, Ok(()), "seed {seed}");
        found
    }

    /// Gives the first ticket that is missing and the last that survived.
    fn compare(
        &mut self,
        partition: u16,
        found: &BTreeMap<u64, Vec<u8>>,
        synced: Ticket,
    ) -> (Ticket, Ticket) {
        let seed = self.seed;
        let model = &mut self.model[usize::from(partition)];
        let (mut first_missing, mut last_kept) = (Ticket(u64::MAX), Ticket(0));
        for (number, bytes) in found {
            if let Some(original) = model.ghosts.get(number) {
                assert!(bytes == original, "seed {seed}: {partition}/{number} came back changed");
                continue;
            }
            let Some((original, ticket, exact)) = model.records.get(number) else {
                panic!("seed {seed}: {partition}/{number} was never appended");
            };
            assert!(bytes == original, "seed {seed}: {partition}/{number} is changed");
            if *exact {
                last_kept = last_kept.max(*ticket);
            }
            self.seen.unsynced_kept += u64::from(*ticket > synced);
        }
        for (number, (bytes, ticket, exact)) in &model.records {
            if found.contains_key(number) {
                continue;
            }
            if model.may_be_gone(*number) {
                model.ghosts.insert(*number, bytes.clone());
                continue;
            }
            assert!(
                !model.must(*number, synced),
                "seed {seed}: {partition}/{number} {ticket:?} {synced:?} is gone"
            );
            if *exact {
                first_missing = first_missing.min(*ticket);
            }
            self.seen.unsynced_lost += 1;
        }
        (first_missing, last_kept)
    }

    fn go_on(
        &mut self,
        store: &Store<SimDisk>,
        partition: u16,
        found: BTreeMap<u64, Vec<u8>>,
        synced: Ticket,
    ) {
        let (seed, id) = (self.seed, PartitionId(partition));
        let model = &mut self.model[usize::from(partition)];
        let bounds = store.bounds(id);
        // Numbers from here on are given again.
        model.ghosts.retain(|number, _| !found.contains_key(number) && *number < bounds.next.0);
        let above = found.keys().next_back().is_some_and(|last| *last >= bounds.next.0);
        assert!(bounds.next.0 <= model.next && !above, "seed {seed}");
        model.next = bounds.next.0;
        self.seen.recovered += found.len() as u64;
        // What was not known to be safe may be written again first.
        let pending = store.with(|log| log.last_ticket());
        let ticket = |number: &u64| if model.must(*number, synced) { Ticket(0) } else { pending };
        let again =
            found.into_iter().map(|(number, bytes)| (number, (bytes, ticket(&number), false))).collect();
        model.records = again;
        model.released.clear();
        model.low = bounds.low.0;
        let checkpoint = store.load(id).unwrap();
        assert!(model.checkpoints.contains(&checkpoint), "seed {seed}: {partition} has {checkpoint:?}");
        assert!(checkpoint.as_ref().is_none_or(|c| c.upto <= bounds.next), "seed {seed}");
        model.checkpoints = vec![checkpoint];
    }

    fn run(&mut self) {
        let boots = 2 + self.random.below(5);
        let mut synced = Ticket(u64::MAX);
        for _ in 0..boots {
            self.crash_while_opening();
            let store = self.open();
            self.judge(&store, synced);
            if self.random.chance(20) {
                // A crash right after recovery must change nothing.
                self.disk.crash();
                synced = store.progress().synced;
                drop(store);
                self.seen.crashes += 1;
                continue;
            }
            synced = self.live(&store);
            self.seen.copies += store.stat().copies;
            self.disk.set_faults(Faults::default());
            match self.random.below(10) {
                0..4 => self.disk.kill(),
                _ => self.disk.crash(),
            }
            self.seen.crashes += 1;
            drop(store);
        }
        let store = self.open();
        self.judge(&store, synced);
        self.still_works(&store);
    }

    /// Recovery itself may be cut short, any number of times.
    fn crash_while_opening(&mut self) {
        while self.random.chance(25) {
            self.disk.cut_power_after(self.random.below(20));
            drop(Store::manual(self.disk.clone(), self.options.clone()));
            self.disk.crash();
            self.seen.crashes += 1;
        }
    }

    /// With the faults over, the log takes records again and keeps them.
    fn still_works(&mut self, store: &Store<SimDisk>) {
        let writer = store.claim(PartitionId(0)).unwrap();
        let all: Vec<_> = self.model[0].records.keys().map(|number| RecordNumber(*number)).collect();
        store.release(writer, &all).unwrap();
        for _ in 0..100 {
            store.retry();
            if store.append(writer, Purpose::Relief, &[b"after all"]).is_ok() && store.sync().is_ok() {
                return;
            }
            while store.step() {}
        }
        panic!("seed {}: no record is taken any more: {:?} {:?}", self.seed, store.progress(), store.stat());
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("DUNLIN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DUNLIN_SEEDS").unwrap_or(1000),
    }
}

#[test]
fn nothing_safe_is_lost_in_any_crash() {
    let mut total = Seen::default();
    for seed in seeds() {
        let mut world = World::new(seed);
        world.run();
        let seen = world.seen;
        total.crashes += seen.crashes;
        total.records += seen.records;
        total.recovered += seen.recovered;
        total.torn += seen.torn;
        total.copies += seen.copies;
        total.abandoned += seen.abandoned;
        total.full += seen.full;
        total.checkpoints += seen.checkpoints;
        total.unsynced_kept += seen.unsynced_kept;
        total.unsynced_lost += seen.unsynced_lost;
    }
    println!("{total:?}");
    if seeds().count() >= 500 {
        let reached = [
            total.torn,
            total.copies,
            total.abandoned,
            total.full,
            total.checkpoints,
            total.unsynced_kept,
            total.unsynced_lost,
        ];
        assert!(reached.iter().all(|n| *n > 0), "the seeds do not reach everything: {total:?}");
    }
}

/// Flips bits anywhere after everything was safe: the log opens, what it gives is what was appended, and
/// what it does not give it reports.
#[test]
fn damage_is_reported_and_never_served() {
    let (mut lost, mut noticed, mut whole) = (0, 0, 0);
    for seed in seeds() {
        let mut world = World::new(seed);
        let store = world.open();
        world.live(&store);
        world.disk.set_faults(Faults::default());
        world.disk.crash();
        drop(store);
        let store = world.open();
        world.judge(&store, Ticket(0));
        assert!(store.sync().is_ok(), "seed {seed}");
        store.confirm();
        drop(store);
        let files = dunlin_store::Disk::list(&world.disk).unwrap();
        let files: Vec<_> = files.into_iter().filter(|(_, length)| *length > 0).collect();
        for _ in 0..=world.random.below(3) {
            let (name, length) = &files[world.random.below(files.len() as u64) as usize];
            let start = if world.random.chance(50) { 0 } else { 4096.min(length - 1) };
            let reach = [length - start, 9000.min(length - start)][world.random.below(2) as usize];
            world.disk.flip(name, start + world.random.below(reach), world.random.below(8) as u8);
        }
        let opened = Store::manual(world.disk.clone(), world.options.clone());
        let store = opened.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let notices = store.notices();
        let damage = notices
            .iter()
            .any(|n| matches!(n, Notice::Damage { .. } | Notice::Missing { .. } | Notice::TornTail { .. }));
        let mut gone = 0;
        for partition in 0..PARTITIONS {
            let mut found = BTreeMap::new();
            let mut reported = Vec::new();
            let replayed = store.replay(PartitionId(partition), RecordNumber(0), &mut |entry| {
                match entry {
                    Entry::Record { number, bytes } => drop(found.insert(number.0, bytes.to_vec())),
                    Entry::Lost { from, to } => reported.push(from.0..to.0),
                }
                ControlFlow::Continue(())
            });
            assert_eq!(replayed, Ok(()), "seed {seed}");
            let model = &world.model[usize::from(partition)];
            for (number, bytes) in &found {
                let original = model.records.get(number).map(|r| &r.0).or_else(|| model.ghosts.get(number));
                assert_eq!(
                    Some(bytes),
                    original,
                    "seed {seed}: {partition}/{number} is not what was appended"
                );
            }
            for number in model.records.keys().filter(|number| !found.contains_key(number)) {
                let told = reported.iter().any(|range| range.contains(number));
                assert!(told || damage, "seed {seed}: {partition}/{number} is gone in silence: {notices:?}");
                gone += 1;
            }
        }
        lost += gone;
        noticed += u64::from(damage);
        whole += u64::from(gone == 0);
        let writer = store.claim(PartitionId(0)).unwrap();
        let relief = store.append(writer, Purpose::Relief, &[b"goes on"]);
        assert!(
            relief.is_ok() || matches!(relief, Err(AppendError::Full(_) | AppendError::Busy { .. })),
            "{relief:?}"
        );
    }
    println!("records lost {lost}, seeds with notices {noticed}, seeds without a loss {whole}");
    assert!(seeds().count() < 500 || (lost > 0 && noticed > 0 && whole > 0));
}

/// A disk that says that it synced and did not: nothing can be promised, but the log opens and gives only
/// what was appended.
#[test]
fn a_disk_that_lies_costs_records_and_nothing_else() {
    for seed in seeds() {
        let mut world = World::new(seed);
        let store = world.open();
        world.disk.set_faults(Faults { sync_lies: 300, ..Faults::default() });
        let writers: Vec<_> = (0..PARTITIONS).map(|p| store.claim(PartitionId(p)).unwrap()).collect();
        for _ in 0..world.random.below(200) {
            world.append(&store, &writers);
            if world.random.chance(50) {
                store.step();
            }
        }
        world.disk.set_faults(Faults::default());
        world.disk.crash();
        drop(store);
        let store = Store::manual(world.disk.clone(), world.options.clone()).unwrap();
        for partition in 0..PARTITIONS {
            let model = &world.model[usize::from(partition)];
            let replayed = store.replay(PartitionId(partition), RecordNumber(0), &mut |entry| {
                if let Entry::Record { number, bytes } = entry {
                    let original = model.records.get(&number.0).map(|r| &r.0[..]);
                    assert_eq!(Some(bytes), original, "seed {seed}: {partition}/{number:?}");
                }
                ControlFlow::Continue(())
            });
            assert_eq!(replayed, Ok(()), "seed {seed}");
        }
    }
}
