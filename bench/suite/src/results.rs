//! What came out: rounds, medians, spreads.

use std::collections::BTreeMap;

use dunlin_bench::Spread;
use serde::Deserialize;

use crate::file::{Broker, Scenario};

/// One measurement.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// By name.
    pub(crate) figures: BTreeMap<String, Measured>,
    pub(crate) lost: u64,
    /// Duplicated, out of order, for somebody else, refused, connections cut.
    pub(crate) wrong: u64,
    /// Share of the time that the generator was busy.
    pub(crate) generator_busy: f64,
    /// Resident bytes of the broker afterwards.
    pub(crate) memory: Option<u64>,
}

/// A figure with what is to be said of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Measured {
    key: String,
    pub(crate) label: String,
    pub(crate) unit: String,
    pub(crate) value: f64,
    pub(crate) better: String,
}

/// A broker's rounds.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Round>,
    /// Why it could not be measured, the last time.
    pub(crate) failure: Option<String>,
}

/// A scenario's outcome.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) name: String,
    pub(crate) bench: String,
    pub(crate) figure: String,
    pub(crate) also: Vec<String>,
    pub(crate) columns: Vec<Column>,
}

/// The parts of the JSON of `dunlin bench` that are used here.
#[derive(Deserialize)]
struct Output {
    brokers: Vec<OutputBroker>,
}

#[derive(Deserialize)]
struct OutputBroker {
    rounds: Vec<OutputRound>,
}

#[derive(Deserialize)]
struct OutputRound {
    figures: Vec<Measured>,
    faults: Faults,
    refused: u64,
    disconnected: u64,
    generator: Generator,
}

#[derive(Deserialize)]
struct Faults {
    lost: u64,
    duplicated: u64,
    out_of_order: u64,
    misrouted: u64,
}

#[derive(Deserialize)]
struct Generator {
    busy: f64,
}

impl Round {
    /// From the JSON of `dunlin bench`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let output: Output = serde_json::from_str(text).map_err(|error| format!("dunlin bench: {error}"))?;
        let round = output.brokers.into_iter().flat_map(|broker| broker.rounds).next();
        let OutputRound { figures, faults, refused, disconnected, generator } =
            round.ok_or("dunlin bench: no round")?;
        let Faults { lost, duplicated, out_of_order, misrouted } = faults;
        Ok(Self {
            figures: figures.into_iter().map(|figure| (figure.key.clone(), figure)).collect(),
            lost,
            wrong: duplicated + out_of_order + misrouted + refused + disconnected,
            generator_busy: generator.busy,
            memory: None,
        })
    }
}

impl Column {
    pub(crate) fn spread(&self, key: &str) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| Some(round.figures.get(key)?.value)).collect())
    }

    pub(crate) fn median(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        Spread::of(self.rounds.iter().filter_map(of).collect()).map(|spread| spread.median)
    }

    pub(crate) fn total(&self, of: impl Fn(&Round) -> u64) -> u64 {
        self.rounds.iter().map(of).sum()
    }
}

impl Results {
    pub(crate) fn new(scenario: &Scenario, brokers: &[&Broker]) -> Self {
        let column =
            |broker: &&Broker| Column { name: broker.name.clone(), rounds: Vec::new(), failure: None };
        Self {
            name: scenario.name.clone(),
            bench: scenario.bench.clone(),
            figure: scenario.figure.clone(),
            also: scenario.also.clone(),
            columns: brokers.iter().map(column).collect(),
        }
    }

    pub(crate) fn add(&mut self, which: usize, outcome: Result<Round, String>) {
        match outcome {
            Ok(round) => self.columns[which].rounds.push(round),
            Err(failure) => self.columns[which].failure = Some(failure),
        }
    }

    /// The first measurement of a figure: its label, unit and direction.
    pub(crate) fn meaning(&self, key: &str) -> Option<&Measured> {
        self.columns.iter().flat_map(|column| &column.rounds).find_map(|round| round.figures.get(key))
    }
}
