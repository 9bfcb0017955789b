//! `dunlin doctor`: what a stranger would find; and what clients should do otherwise.
//!
//! In:    a configuration, a data directory, addresses of running brokers.
//! Out:   exposures, each with how bad it is and the line that mends it; an exit code for CI.
//! Never: a message published, a file changed, a password shown.

mod certificates;
mod clients;
mod configuration;
mod directory;
mod finding;
mod probe;
mod stranger;
mod target;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dunlin_security::authority::{Files, Moment};

use crate::config::Config;
use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::say;
use finding::{Findings, Severity};
use target::Target;

/// `--help`, below the options.
pub(crate) const HELP: &str = "\
Examples:
  dunlin doctor
      The default data directory.
  dunlin doctor --config dunlin.toml --fail-on high
      A configuration and the certificates that it names.
  dunlin doctor --connect broker.example.org:8883 --cafile authority.crt
      A running broker, of any kind, as a stranger finds it: connects without credentials, then with the ones
      that everybody knows, and asks to read everything. Publishes nothing.

  dunlin doctor clients
      How the clients of a running broker behave.

Exit codes:
  0  nothing as bad as --fail-on was found
  1  it could not look (no connection, no such file)
  2  the command line cannot be understood
  3  the configuration file is invalid
  6  an exposure was found";

/// `dunlin doctor`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    part: Option<Part>,
    /// Configuration file (TOML) to look at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    /// A running broker to look at from outside; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    connect: Vec<Target>,
    /// With --connect: the authorities that its certificate should be from (PEM)
    #[arg(long, value_name = "FILE", requires = "connect")]
    cafile: Option<PathBuf>,
    /// How bad a finding must be for exit code 6
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Medium)]
    fail_on: Severity,
    /// One JSON object with everything that was found
    #[arg(long)]
    json: bool,
}

/// What else can be looked at.
#[derive(Debug, Subcommand)]
enum Part {
    /// How the clients of a running broker behave, and what they should do otherwise
    #[command(after_help = clients::HELP)]
    Clients(clients::Clients),
}

impl Doctor {
    /// Looks, and says what was found.
    ///
    /// # Errors
    /// Where something cannot be looked at.
    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        if let Some(Part::Clients(clients)) = &self.part {
            return clients.run();
        }
        let now = Moment::now();
        let mut findings = Findings::default();
        if let Some(path) = &self.config {
            let config = Config::read(path)?;
            configuration::examine(&config, path, now, &mut findings);
        }
        // What was not named is looked at where nothing else was.
        let files = Files::of(&self.data.directory()?);
        let is_default = self.config.is_none() && self.connect.is_empty();
        if self.data.data.is_some() || is_default {
            directory::examine(&files, now, &mut findings)?;
        }
        for target in &self.connect {
            stranger::examine(target, self.cafile.as_deref(), now, &mut findings)?;
        }
        findings.sort();
        say::line(&if self.json { findings.json() } else { findings.text() });
        Ok(if findings.worst() >= Some(self.fail_on) { Exit::Exposed } else { Exit::Clean })
    }
}
