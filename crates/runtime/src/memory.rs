//! How much memory the process holds, and how near that is to its ceiling.
//!
//! In:    the ceiling; `/proc/self/statm`, looked at by whichever shard has something to do, every few milliseconds.
//! Out:   the level that all shards go by; a line in the log when it changes, at most one a second.
//! Never: a thread or a timer of its own while there is enough: an idle process makes no system call. Where the operating system
//!        does not say what the process holds, there is always enough.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dunlin_engine::{Event, Memory, Settings, Time};
use tracing::{info, warn};

use crate::shard::Shard;

/// Between two looks while something happens. In that time a core takes in some 5 MiB.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The same while nothing happens and there is not enough.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Clients are disconnected so often while memory is exhausted: what the last ones held must have been given back.
const EXHAUSTED_EVERY: Duration = Duration::from_millis(50);
/// Between two lines in the log.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Where each level but the first begins, and where it ends, in hundredths of the ceiling.
const LEVELS: [(Memory, u64, u64); 3] =
    [(Memory::Tight, 60, 55), (Memory::Scarce, 75, 70), (Memory::Exhausted, 85, 80)];
/// Input that a connection may keep unfinished while memory is exhausted.
const INPUT_EXHAUSTED: usize = 64 * 1024;
/// Of the connections with more, one in so many is closed at a time.
const CLOSED_SHARE: usize = 4;

/// What all shards know of the memory of the process.
#[derive(Debug)]
pub(crate) struct Gauge {
    statm: Option<File>,
    page_bytes: u64,
    ceiling: AtomicU64,
    /// In microseconds.
    looked: AtomicU64,
    /// The level, and above it how often it was given out.
    state: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    at: Time,
    level: Memory,
    given: Time,
}

impl Gauge {
    pub(crate) fn new(ceiling: u64) -> Self {
        Self {
            statm: File::open("/proc/self/statm").ok(),
            page_bytes: rustix::param::page_size() as u64,
            ceiling: AtomicU64::new(ceiling),
            looked: AtomicU64::new(0),
            state: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    pub(crate) fn set_ceiling(&self, ceiling: u64) {
        self.ceiling.store(ceiling, Ordering::Relaxed);
    }

    /// What is new to a shard that knew `seen`.
    fn news(&self, seen: u64) -> Option<(u64, Memory)> {
        let state = self.state.load(Ordering::Relaxed);
        (state != seen).then(|| (state, level_of(state)))
    }

    /// What is left.
    fn level(&self) -> Memory {
        level_of(self.state.load(Ordering::Relaxed))
    }

    /// Has everybody been told that there is enough?
    fn is_calm(&self) -> bool {
        level_of(self.state.load(Ordering::Relaxed)) == Memory::Ample
            && self.said.lock().unwrap_or_else(PoisonError::into_inner).level == Memory::Ample
    }

    /// Looks, unless another shard just did. True where all shards are to be told.
    fn look(&self, now: Time) -> bool {
        let (looked, micros) = (self.looked.load(Ordering::Relaxed), now.as_micros());
        let is_due = u128::from(micros.saturating_sub(looked)) >= LOOK_EVERY.as_micros();
        if !is_due
            || self.looked.compare_exchange(looked, micros, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return false;
        }
        let ceiling = self.ceiling.load(Ordering::Relaxed);
        let Some(resident) = self.resident().filter(|_| ceiling > 0) else { return false };
        let state = self.state.load(Ordering::Relaxed);
        let before = level_of(state);
        let level = level(before, resident, ceiling);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.say(now, level, resident, ceiling);
        let is_again = level == Memory::Exhausted && now.since(said.given) >= EXHAUSTED_EVERY;
        if level == before && !is_again {
            return false;
        }
        said.given = now;
        self.state.store(((state >> 8) + 1) << 8 | level as u64, Ordering::Relaxed);
        true
    }

    /// Bytes of memory that the process has.
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let count = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(&text[..count]).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * self.page_bytes)
    }
}

impl Said {
    fn say(&mut self, now: Time, level: Memory, resident: u64, ceiling: u64) {
        if level == self.level || now.since(self.at) < SAY_EVERY {
            return;
        }
        (self.at, self.level) = (now, level);
        match level {
            Memory::Ample => {
                info!(target: "dunlin::process", resident, ceiling, "there is memory enough again");
            }
            Memory::Tight => {
                info!(target: "dunlin::process", resident, ceiling, "memory is tight: buffers are kept small");
            }
            Memory::Scarce => {
                warn!(target: "dunlin::process", resident, ceiling, "memory is scarce: what would be kept is refused");
            }
            Memory::Exhausted => {
                warn!(
                    target: "dunlin::process", resident, ceiling,
                    "memory is exhausted: the slowest clients are disconnected"
                );
            }
        }
    }
}

fn level_of(state: u64) -> Memory {
    match state & 0xff {
        0 => Memory::Ample,
        1 => Memory::Tight,
        2 => Memory::Scarce,
        _ => Memory::Exhausted,
    }
}

/// The highest level that has begun, or that was there and has not ended.
fn level(before: Memory, resident: u64, ceiling: u64) -> Memory {
    let hundredths = resident.saturating_mul(100) / ceiling;
    let holds = |(level, begins, ends): &&(Memory, u64, u64)| {
        hundredths >= if before >= *level { *ends } else { *begins }
    };
    LEVELS.iter().rev().find(holds).map_or(Memory::Ample, |(level, ..)| *level)
}

impl Shard {
    /// Finds out, now and then, what is left of the memory, and goes by it.
    pub(crate) fn look_at_memory(&mut self) {
        if self.shared.gauge.look(self.now) {
            self.shared.post.set_tight(self.shared.gauge.level() != Memory::Ample);
            for shard in self.shared.post.map().iter().filter(|shard| *shard != self.id()) {
                self.shared.post.inbox(shard).nudge();
            }
        }
        if let Some((state, memory)) = self.shared.gauge.news(self.memory_seen) {
            self.memory_seen = state;
            if memory == Memory::Exhausted {
                self.close_unfinished();
            }
            self.handle(Event::Memory(memory));
        }
    }

    /// When it is to look although nothing happens.
    pub(crate) fn memory_deadline(&self) -> Option<Time> {
        (!self.shared.gauge.is_calm()).then(|| self.now.after(LOOK_AGAIN))
    }

    /// Closes connections with the most input of which nothing can be made yet.
    fn close_unfinished(&mut self) {
        let mut unfinished = self.connections.unfinished(INPUT_EXHAUSTED);
        unfinished.sort_unstable();
        let count = unfinished.len().div_ceil(CLOSED_SHARE);
        for (_, index) in unfinished.into_iter().rev().take(count) {
            self.cut(index);
        }
    }
}

/// The settings, with a ceiling of memory: half of what the machine, or the group of processes, may have.
pub(crate) fn with_ceiling(settings: &std::sync::Arc<Settings>) -> std::sync::Arc<Settings> {
    if settings.limits.memory_bytes_maximum > 0 {
        return std::sync::Arc::clone(settings);
    }
    let mut settings = Settings::clone(settings);
    settings.limits.memory_bytes_maximum = available().map_or(0, |bytes| bytes / 2);
    std::sync::Arc::new(settings)
}

/// Bytes of memory that the process may have: the least of what the machine has and its control groups allow.
fn available() -> Option<u64> {
    let meminfo = read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(group_limits(&groups, Path::new("/sys/fs/cgroup")).fold(kibibytes * 1024, u64::min))
}

/// What the control groups of the process, and those that they are in, allow.
fn group_limits<'a>(groups: &'a str, root: &'a Path) -> impl Iterator<Item = u64> + 'a {
    groups.lines().flat_map(move |line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (base, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else {
            (root.join("memory"), "memory.limit_in_bytes")
        };
        let concerns_memory = controllers.is_empty() || controllers.split(',').any(|name| name == "memory");
        let path = if concerns_memory { path } else { "" };
        let folders = Path::new(path.trim_start_matches('/')).ancestors();
        // A file that is not there, or says `max`, allows everything.
        folders
            .filter_map(move |folder| read_to_string(base.join(folder).join(file)).ok()?.trim().parse().ok())
            .collect::<Vec<u64>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_ends_lower_than_it_begins() {
        assert_eq!(level(Memory::Ample, 59, 100), Memory::Ample);
        assert_eq!(level(Memory::Ample, 76, 100), Memory::Scarce);
        assert_eq!(level(Memory::Scarce, 71, 100), Memory::Scarce);
        assert_eq!(level(Memory::Scarce, 69, 100), Memory::Tight);
        assert_eq!(level(Memory::Exhausted, 81, 100), Memory::Exhausted);
        assert_eq!(level(Memory::Tight, 54, 100), Memory::Ample);
        assert_eq!(level(Memory::Tight, 500, 100), Memory::Exhausted);
    }

    #[test]
    fn the_process_has_some_memory_and_may_have_more() {
        let resident = Gauge::new(0).resident().unwrap();
        assert!(resident > 100_000, "{resident}");
        assert!(available().unwrap() > resident);
    }

    #[test]
    fn the_least_of_nested_groups_counts() {
        let root = std::env::temp_dir().join(format!("dunlin-groups-{}", std::process::id()));
        let folder = root.join("a/b");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("memory.max"), "max\n").unwrap();
        std::fs::write(root.join("a/memory.max"), "4096\n").unwrap();
        let limits: Vec<u64> = group_limits("0::/a/b\n", &root).collect();
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(limits, [4096]);
    }
}
