//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dunlin_engine::ShardMap;

use crate::{bench, exit, tools};

const ABOUT: &str = "Dunlin, an MQTT broker: 3.1, 3.1.1 and 5.0 on one port, every core used.";

const EXAMPLES: &str = "\
Examples:
  dunlin serve --dev                        a broker for this machine, on port 1883
  dunlin serve --dev --config dunlin.toml   the same with settings from a file
  dunlin config default > dunlin.toml       a file with every setting, to be edited
  dunlin config check dunlin.toml           what is wrong in it";

const SERVE: &str = "\
Examples:
  dunlin serve --dev
      Port 1883 of 127.0.0.1 and ::1.
  dunlin serve --dev --listen localhost:0
      A free port; it is printed as `dunlin: listening on tcp://127.0.0.1:PORT`.
  dunlin serve --dev --config dunlin.toml --shards 2
      Settings from a file, two threads.

This version knows no users: it starts with --dev only.

Signals:
  SIGTERM, SIGINT  end: clients are told, and sent what waits for them; a second one ends at once
  SIGHUP           read the configuration file again; a file with a fault changes nothing";

#[allow(clippy::cast_possible_wrap, reason = "64")]
const SHARDS_MAXIMUM: i64 = ShardMap::MAX as i64;

/// What the command line asks for.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, about = ABOUT, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker until SIGTERM or SIGINT
    #[command(after_help = format!("{SERVE}\n\n{}", exit::HELP))]
    Serve(Serve),
    /// Publish messages
    #[command(name = "pub", disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Publish(tools::Publish),
    /// Subscribe to topics and print messages
    #[command(name = "sub", disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Subscribe(tools::Subscribe),
    /// Publish a request and print the answer
    #[command(disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Request(tools::Request),
    /// Put a load on a broker, and say what became of every message
    #[command(disable_help_flag = true, after_help = bench::HELP)]
    Bench(Box<bench::Bench>),
    /// Check a configuration file, or print the default one
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// `dunlin serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (TOML); the command line beats it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory for what must survive a restart; not available in this version
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where clients connect: HOST:PORT, tcp://HOST:PORT, ws://HOST:PORT or unix:PATH; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) listen: Vec<String>,
    /// Let anonymous clients in, without encryption, from this machine only
    #[arg(long)]
    pub(crate) dev: bool,
    /// Threads that serve connections; without it, one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=SHARDS_MAXIMUM))]
    pub(crate) shards: Option<u16>,
}

/// `dunlin config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Name every fault of a configuration file
    Check {
        /// Configuration file (TOML)
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a commented configuration file with every key and its default
    Default,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
