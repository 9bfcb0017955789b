//! Everything that was measured, as JSON.

use serde::Serialize;

use dunlin_bench::{Better, Report, Spread};

use super::versus::Comparison;

/// The form of this file; it changes when a reader of the last one would go wrong.
const FORM: u32 = 1;

#[derive(Serialize)]
struct File<'a> {
    form: u32,
    dunlin: &'static str,
    machine: Machine,
    brokers: Vec<Broker<'a>>,
    broken: bool,
}

/// Where it was measured.
#[derive(Serialize)]
struct Machine {
    processors: usize,
    kernel: Option<String>,
    /// Processes that wanted to run, over the last minute.
    load: Option<f64>,
}

#[derive(Serialize)]
struct Broker<'a> {
    name: &'a str,
    figures: Vec<Figure>,
    rounds: &'a [Report],
}

#[derive(Serialize)]
struct Figure {
    key: &'static str,
    unit: &'static str,
    better: Better,
    median: f64,
    least: f64,
    most: f64,
    /// Of its median to the first broker's.
    ratio: Option<f64>,
}

impl Machine {
    fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            load: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

/// The file; an error names what cannot be written.
pub(crate) fn write(comparison: &Comparison) -> Result<String, String> {
    let figure = |which: usize, figure: &dunlin_bench::Figure| {
        let Spread { median, least, most } = comparison.brokers[which].spread(figure.key)?;
        let ratio = comparison.ratio(which, figure.key);
        Some(Figure { key: figure.key, unit: figure.unit, better: figure.better, median, least, most, ratio })
    };
    let brokers = comparison.brokers.iter().enumerate().map(|(which, broker)| Broker {
        name: &broker.name,
        figures: comparison.figures().into_iter().filter_map(|one| figure(which, one)).collect(),
        rounds: &broker.reports,
    });
    let file = File {
        form: FORM,
        dunlin: env!("CARGO_PKG_VERSION"),
        machine: Machine::here(),
        brokers: brokers.collect(),
        broken: comparison.is_broken(),
    };
    serde_json::to_string_pretty(&file).map(|text| text + "\n").map_err(|error| error.to_string())
}
