//! Readings of everything that is measured, taken at the same moment.

use rustix::time::{ClockId, clock_gettime};

use crate::broker::{Probe, Usage};
use crate::clock::{Nanos, seconds};
use crate::crew::Crew;
use crate::plan::Plan;
use crate::report::{Better, Figure, Generator, Process};

/// Seconds on a processor below which nothing is divided by them: /proc counts hundredths.
const CPU_LEAST: f64 = 0.1;

/// All readings of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Nanos,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) broker: Option<Usage>,
    /// Seconds on a processor of this process.
    own: f64,
}

/// Takes readings.
pub(crate) struct Meter {
    probe: Option<Probe>,
    before: u64,
    peak: u64,
}

/// What lies between two marks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) from: Mark,
    pub(crate) until: Mark,
}

#[allow(clippy::cast_precision_loss, reason = "a measurement")]
fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Meter {
    /// Before the first connection.
    pub(crate) fn start(plan: &Plan) -> Self {
        let probe = Probe::find(plan.address, plan.pid);
        let usage = probe.as_ref().and_then(Probe::usage).unwrap_or_default();
        Self { probe, before: usage.memory, peak: usage.memory }
    }

    /// Reads everything.
    pub(crate) fn mark(&mut self, crew: &Crew) -> Mark {
        let counts = crew.counts();
        Mark {
            broker: self.look(),
            at: crew.clock.now(),
            sent: counts.sent.get(),
            delivered: counts.delivered.get(),
            own: own_cpu(),
        }
    }

    /// Reads the broker's process, to notice a peak of its memory.
    pub(crate) fn look(&mut self) -> Option<Usage> {
        let usage = self.probe.as_ref()?.usage()?;
        self.peak = self.peak.max(usage.memory);
        Some(usage)
    }

    /// Resident bytes before the first connection.
    pub(crate) const fn before(&self) -> u64 {
        self.before
    }

    /// The broker's process, as it was in a stretch.
    pub(crate) fn process(&self, stretch: &Stretch) -> Option<Process> {
        let probe = self.probe.as_ref()?;
        Some(Process {
            pid: probe.pid,
            name: probe.name.clone(),
            cpu_seconds: stretch.broker_cpu()?,
            memory_before: self.before,
            memory_after: stretch.until.broker?.memory,
            memory_peak: self.peak,
        })
    }
}

impl Stretch {
    pub(crate) fn seconds(&self) -> f64 {
        seconds(self.from.at, self.until.at)
    }

    pub(crate) const fn sent(&self) -> u64 {
        self.until.sent - self.from.sent
    }

    pub(crate) const fn delivered(&self) -> u64 {
        self.until.delivered - self.from.delivered
    }

    /// Seconds on a processor; `None` where the process is not known.
    pub(crate) fn broker_cpu(&self) -> Option<f64> {
        Some(self.until.broker?.cpu - self.from.broker?.cpu)
    }

    /// A rate of this stretch.
    pub(crate) fn rate(
        &self,
        key: &'static str,
        label: &'static str,
        unit: &'static str,
        count: u64,
    ) -> Figure {
        Figure::new(key, label, unit, per(count, self.seconds()), Better::Higher)
    }

    /// A number for each second that the broker was on a processor; `None` where that was too short to be measured.
    pub(crate) fn per_cpu(
        &self,
        key: &'static str,
        label: &'static str,
        unit: &'static str,
        count: u64,
    ) -> Option<Figure> {
        let cpu = self.broker_cpu().filter(|cpu| *cpu >= CPU_LEAST)?;
        Some(Figure::new(key, label, unit, per(count, cpu), Better::Higher))
    }

    /// How busy the broker was.
    pub(crate) fn broker_busy(&self) -> Option<Figure> {
        let percent = self.broker_cpu()? / self.seconds() * 100.0;
        Some(Figure::new("broker_cpu", "broker's CPU", "%", percent, Better::Neither))
    }

    /// The generator; `threads` could have been on a processor all the time.
    pub(crate) fn generator(&self, messages: u64, threads: usize) -> Generator {
        let cpu = self.until.own - self.from.own;
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        let threads = threads as f64;
        Generator {
            cpu_seconds: cpu,
            delivered_per_cpu_second: per(messages, cpu),
            busy: cpu / (self.seconds() * threads),
        }
    }
}

/// A count for each second; 0 where there was none.
#[allow(clippy::cast_precision_loss, reason = "a measurement")]
pub(crate) fn per(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Bytes for each of `count`.
#[allow(clippy::cast_precision_loss, reason = "a measurement")]
pub(crate) fn bytes_each(from: u64, until: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { until.saturating_sub(from) as f64 / count as f64 }
}
