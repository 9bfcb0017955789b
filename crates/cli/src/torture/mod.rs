//! `dunlin torture`: does a broker keep its word when it is killed?
//!
//! In:    a command line that starts any broker; a seed.
//! Out:   a verdict: what it acknowledged and lost, delivered twice, mixed up or forgot.
//! Never: knowledge of the broker beyond MQTT.

mod broker;
mod judge;
mod ledger;
mod publisher;
mod receipts;
mod report;
mod retained;
mod rng;
mod run;
mod subscriber;
mod wire;
mod world;

use std::path::PathBuf;

use clap::Args;

use crate::say;

/// The exit codes for `--help`; docs/durability.md has the same list.
pub(crate) const EXIT_HELP: &str = "\
Examples:
  dunlin torture --start 'dunlin serve --dev --listen 127.0.0.1:{port} --data {data}'
  dunlin torture --start 'mosquitto -c {config}' --config mosquitto.conf --kills 50

Exit codes:
  0  the broker kept its word
  1  it did not
  2  the command line cannot be understood
  4  the broker cannot be started";

/// Kill a broker again and again, and judge whether it keeps its word
#[derive(Debug, Args)]
pub(crate) struct Torture {
    /// Command that starts the broker, with {port}, {data} (an empty directory) and {config}; no shell
    #[arg(long, value_name = "COMMAND")]
    start: String,
    /// File whose {port} and {data} are filled in, to be named by {config}
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How often it is killed (SIGKILL) and started again
    #[arg(long, value_name = "N", default_value_t = 10)]
    kills: u32,
    /// Makes the same choices again: when to kill, what to publish. Drawn and printed if not given
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Clients that publish
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    publishers: u16,
    /// Durable sessions that subscribe
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    subscribers: u16,
    /// Messages published in a second, by all together
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Longest time between a start and a kill, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(20..=600_000))]
    life: u64,
    /// Directory to work in, kept afterwards; without it a new one, removed when the broker kept its word
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

impl Torture {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        match self.judge() {
            Ok((run, verdict)) => {
                say::line(&if self.json {
                    report::json(&run, &verdict)
                } else {
                    report::text(&run, &verdict)
                });
                u8::from(!verdict.is_pass())
            }
            Err(error) => {
                say::error(&error.to_string());
                match error {
                    broker::BrokerError::Template(_) => 2,
                    _ => 4,
                }
            }
        }
    }
}
