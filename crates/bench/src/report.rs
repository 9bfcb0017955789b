//! What was measured: plain data, to be printed, written, compared.

use serde::Serialize;

use crate::check::Faults;
use crate::histogram::Histogram;
use crate::plan::{Pace, Plan};

/// Shares of a latency curve.
const CURVE: [f64; 22] = [
    0.0, 0.1, 0.25, 0.5, 0.625, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999,
    0.9995, 0.9998, 0.9999, 0.99999, 1.0,
];

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It only explains other figures.
    Neither,
}

/// One number.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// The number.
    pub value: f64,
    /// Which direction is good.
    pub better: Better,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "as in the plan")]
pub struct Settings {
    pub scenario: &'static str,
    pub address: String,
    pub tls: bool,
    pub version: &'static str,
    pub qos: u8,
    pub payload_bytes: usize,
    pub publishers: u32,
    pub subscribers: u32,
    /// Streams: one topic of one publisher.
    pub topics: u32,
    /// Open at once.
    pub connections: u64,
    pub window: u16,
    pub outstanding: u64,
    /// Messages of a turn; absent in an open loop.
    pub burst: Option<u32>,
    /// Messages a second; absent in a closed loop.
    pub rate: Option<f64>,
    pub threads: usize,
}

/// Latencies in nanoseconds: from when a message was due (open loop) or written (closed loop) to its arrival.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "percentiles")]
pub struct Latency {
    pub count: u64,
    pub minimum: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub p9999: u64,
    pub maximum: u64,
    /// Shares, and the latency that each does not exceed.
    pub curve: Vec<(f64, u64)>,
}

/// The broker's process while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// What the process calls itself.
    pub name: String,
    /// Seconds on a processor while measured.
    pub cpu_seconds: f64,
    /// Resident bytes before the first connection.
    pub memory_before: u64,
    /// Resident bytes at the end.
    pub memory_after: u64,
    /// The most that was seen.
    pub memory_peak: u64,
}

/// The generator while it measured.
#[derive(Clone, Debug, Serialize)]
pub struct Generator {
    /// Seconds on a processor.
    pub cpu_seconds: f64,
    /// Copies delivered (connections made, messages published) for each of them; publishing them is contained.
    pub delivered_per_cpu_second: f64,
    /// Share of the processors that its threads could have used: near 1, it and not the broker was measured.
    pub busy: f64,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it was measured.
    pub settings: Settings,
    /// Seconds that were measured.
    pub seconds: f64,
    /// The figures that this scenario is about.
    pub figures: Vec<Figure>,
    /// Where messages (or connections) were timed.
    pub latency: Option<Latency>,
    /// Open loop: how long messages waited before they could be written; contained in the latency.
    pub wait: Option<Latency>,
    /// Messages written in the whole run, with its warm-up.
    pub sent: u64,
    /// Of them, acknowledged (QoS 1 and 2).
    pub acknowledged: u64,
    /// Of them, refused by Reason Code.
    pub refused: u64,
    /// Copies that had to arrive.
    pub expected: u64,
    /// Of them, copies that arrived.
    pub delivered: u64,
    /// Open loop: due, and not even written when the run was over.
    pub unsent: u64,
    /// Times that a closed loop stopped waiting for copies that did not come.
    pub stalls: u64,
    /// What went wrong with messages.
    pub faults: Faults,
    /// Connections that ended before their time.
    pub disconnected: u64,
    /// What was said about faults, the first few.
    pub errors: Vec<String>,
    /// The broker's process, where it is known.
    pub broker: Option<Process>,
    /// The generator.
    pub generator: Generator,
}

impl Settings {
    pub(crate) fn of(plan: &Plan) -> Self {
        let (burst, rate) = match plan.pace {
            Pace::Closed { burst } => (Some(burst), None),
            Pace::Open { per_second } => (None, Some(per_second)),
        };
        Self {
            scenario: plan.scenario.name(),
            address: plan.address.to_string(),
            tls: plan.trust.is_some(),
            version: match plan.version {
                dunlin_codec::ProtocolVersion::V31 => "3.1",
                dunlin_codec::ProtocolVersion::V311 => "3.1.1",
                dunlin_codec::ProtocolVersion::V5 => "5.0",
            },
            qos: plan.qos as u8,
            payload_bytes: plan.payload,
            publishers: plan.shape.publishers,
            subscribers: plan.shape.subscribers,
            topics: plan.streams(),
            connections: plan.connections(),
            window: plan.window,
            outstanding: plan.outstanding,
            burst,
            rate,
            threads: plan.threads,
        }
    }
}

impl Latency {
    /// `None` where nothing was timed.
    pub(crate) fn of(histogram: &Histogram) -> Option<Self> {
        let at = |quantile| histogram.quantile(quantile);
        (histogram.count() > 0).then(|| Self {
            count: histogram.count(),
            minimum: histogram.minimum(),
            mean: histogram.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            maximum: histogram.maximum(),
            curve: CURVE.iter().map(|share| (*share, at(*share))).collect(),
        })
    }
}

impl Figure {
    pub(crate) const fn new(
        key: &'static str,
        label: &'static str,
        unit: &'static str,
        value: f64,
        better: Better,
    ) -> Self {
        Self { key, label, unit, value, better }
    }
}

impl Report {
    /// Does the broker break what it promised? Lost, doubled or disordered messages at QoS 1 or 2, messages for somebody
    /// else, connections that it ended, messages that it refused. Loss at QoS 0 is allowed, and reported.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let Faults { lost, duplicated, out_of_order, misrouted } = self.faults;
        let promised = if self.settings.qos == 0 { 0 } else { lost + duplicated + out_of_order };
        promised + misrouted + self.disconnected + self.refused > 0
    }

    /// A figure's value by its name.
    #[must_use]
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.key == key).map(|figure| figure.value)
    }
}
