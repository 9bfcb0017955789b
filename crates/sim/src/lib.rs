//! The seeded world: N shards and M clients in one thread, with a simulated network and clock, and a model that says what the
//! clients may rely on.
//!
//! In:    a seed.
//! Out:   what happened ([`Summary`]), or the rule that was broken, the last events and how to see them again ([`Failure`]).
//! Never: I/O, threads, real time. The same seed gives the same run on every machine.
//!
//! Engines are real; the runtime around them is simulated: bytes arrive in pieces, writes are partial, mail between shards is
//! late, readers stall, connections are cut and handed over. Clients speak bytes, and every byte that comes back is decoded. The
//! model ([`model`](crate)) is told what clients sent, what the Server read and what clients received, and never asks an engine.

mod model;
mod rng;
mod scenario;
mod topics;
mod trace;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::world::World;

/// Events that a [`Failure`] shows.
const LINES: usize = 60;

/// What does not follow from the seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Number of shards, 1 to 64; drawn from the seed where it is `None`.
    pub shards: Option<usize>,
    /// Does the Server ask who clients are, and what they may do? Drawn from the seed where it is `None`.
    pub guarded: Option<bool>,
    /// Has the Server a log on a disk, and does it crash now and then? Drawn from the seed where it is `None`.
    pub journal: Option<bool>,
}

/// What happened in a run that broke no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Things that happened, one after the other.
    pub steps: u64,
    /// Time that passed in the simulation.
    pub simulated: Duration,
    /// Connections opened.
    pub connections: u64,
    /// Connections that moved to another shard.
    pub hand_overs: u64,
    /// Sessions resumed.
    pub resumed: u64,
    /// Packets that the Server took from well-behaved clients.
    pub packets: u64,
    /// Messages that well-behaved clients published.
    pub published: u64,
    /// Of those, acknowledged.
    pub acknowledged: u64,
    /// Deliveries, repetitions not counted.
    pub delivered: u64,
    /// How often the process ended and began anew.
    pub crashes: u64,
    /// How often a shard was told that the log is full.
    pub full: u64,
    /// Checkpoints that the log took.
    pub checkpoints: u64,
    /// Messages that engines say they dropped, for whatever reason.
    pub dropped: u64,
    /// Most bytes in the output of one connection.
    pub output_peak: usize,
    /// Most bytes in a bag of mail.
    pub mail_peak: usize,
    /// The same for two runs in which the same happened.
    pub trace_hash: u64,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the run began with.
    pub seed: u64,
    /// Which rule.
    pub rule: String,
    /// How it was broken.
    pub detail: String,
    /// What happened last.
    pub events: Vec<String>,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.rule)?;
        writeln!(f, "  {}", self.detail)?;
        write!(f, "see all of it: cargo run -p dunlin-sim --bin replay -- {}", self.seed)
    }
}

/// Runs a seed to its end.
///
/// # Errors
/// The first rule that was broken, or the panic of an engine.
pub fn run(seed: u64, options: &Options) -> Result<Summary, Box<Failure>> {
    // Text is costly: it is made only for a run that is known to fail, in a second run that goes the same way.
    attempt(seed, options, 0).0.or_else(|_| replay(seed, options, LINES).0)
}

/// Runs a seed and keeps the last `lines` events as text, whether it fails or not.
pub fn replay(seed: u64, options: &Options, lines: usize) -> (Result<Summary, Box<Failure>>, Vec<String>) {
    let (result, events) = attempt(seed, options, lines);
    let result = result.map_err(|mut failure| {
        failure.events = events[events.len().saturating_sub(LINES)..].to_vec();
        failure
    });
    (result, events)
}

fn attempt(seed: u64, options: &Options, lines: usize) -> (Result<Summary, Box<Failure>>, Vec<String>) {
    let mut world = World::new(seed, options, lines);
    // A world that panicked is asked for nothing but its trace.
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let events = world.trace.take_lines();
    let failure = |rule: String, detail: String| Box::new(Failure { seed, rule, detail, events: Vec::new() });
    let result = match result {
        Ok(result) => result.map_err(|broken| failure(broken.rule.to_owned(), broken.detail)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(failure("an engine panicked".to_owned(), text.unwrap_or_default()))
        }
    };
    (result, events)
}
