//! What a run cost.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use crate::Task;

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    /// Of all memory that the run added.
    kib: f64,
}

/// Where a run began.
pub(crate) struct Began {
    at: Instant,
    cpu: Duration,
    kib: u64,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu(), kib: resident() }
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost {
            seconds: self.at.elapsed().as_secs_f64(),
            cpu_seconds: (cpu() - self.cpu).as_secs_f64(),
            kib: Duration::from_millis(resident() - self.kib).as_secs_f64() * 1000.0,
        }
    }
}

/// What all threads of this process have run.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Memory, in KiB.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.seconds, self.cpu_seconds, self.kib)
    }
}

impl Cost {
    /// Of each of so many messages or clients.
    pub(crate) fn parse(count: usize, text: &str) -> Option<Self> {
        let count = Duration::from_millis(count as u64).as_secs_f64() * 1000.0;
        let mut numbers = text.split_whitespace().map_while(|number| number.parse::<f64>().ok());
        let mut next = || numbers.next().map(|number| number / count);
        Some(Self { seconds: next()?, cpu_seconds: next()?, kib: next()? })
    }
}

/// The median of the rounds, as the end of a row.
pub(crate) fn row(task: Task, costs: &mut [Cost]) -> String {
    let mut sorted = |of: fn(&Cost) -> f64| {
        costs.sort_by(|a, b| of(a).total_cmp(&of(b)));
        (of(&costs[costs.len() / 2]), of(&costs[0]), of(&costs[costs.len() - 1]))
    };
    if task == Task::Idle {
        let (kib, ..) = sorted(|cost| cost.kib);
        return format!("{kib:.1} KiB a client | | |");
    }
    let (seconds, ..) = sorted(|cost| cost.seconds);
    let (cpu, least, most) = sorted(|cost| cost.cpu_seconds);
    format!("{:.0} | {:.0} | {:.0} to {:.0} |", 1.0 / seconds, 1.0 / cpu, 1.0 / most, 1.0 / least)
}
