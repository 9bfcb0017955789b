//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "manual")]
use clap_complete::Shell;
use dunlin_engine::ShardMap;

use crate::{access, authority, backup, exit, journal, user};
#[cfg(feature = "api")]
use crate::{api, doctor, explain, operate, trace};
#[cfg(feature = "tools")]
use crate::{bench, tools, torture};

const ABOUT: &str = "Dunlin, an MQTT broker: 3.1, 3.1.1 and 5.0 on one port, every core used.";

const EXAMPLES: &str = "\
Examples:
  dunlin serve                              a broker with TLS, for clients with a certificate
  dunlin device add pump-7                  such a certificate
  dunlin doctor --connect localhost:8883    what a stranger would find
  dunlin serve --dev                        a broker for this machine, on port 1883
  dunlin serve --dev --config dunlin.toml   the same with settings from a file
  dunlin config default > dunlin.toml       a file with every setting, to be edited
  dunlin config check dunlin.toml           what is wrong in it";

const SERVE_ABOUT: &str = "Run the broker until SIGTERM or SIGINT";

const SERVE: &str = "\
Examples:
  dunlin serve
      TLS on port 8883, secure WebSocket on 8884, with certificates that are made at the first start;
      prints how to go on.
  dunlin serve --dev
      Port 1883 of 127.0.0.1 and ::1.
  dunlin serve --dev --listen localhost:0
      A free port; it is printed as `dunlin: listening on tcp://127.0.0.1:PORT`.
  dunlin serve --dev --config dunlin.toml --shards 2
      Settings from a file, two threads.

Without --dev every client shows who it is: by a certificate, which `dunlin device add NAME` issues, by a password, which
`dunlin user add NAME` sets, or by what [authentication] of the configuration says.

Signals:
  SIGTERM, SIGINT  end: clients are told, and sent what waits for them; a second one ends at once
  SIGHUP           read the configuration file again; a file with a fault changes nothing";

#[cfg(feature = "manual")]
const COMPLETION: &str = "\
Examples:
  dunlin completion bash > ~/.local/share/bash-completion/completions/dunlin
  dunlin completion zsh > \"${fpath[1]}/_dunlin\"
  dunlin completion fish > ~/.config/fish/completions/dunlin.fish";

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

/// A command line whose command is `serve`: to make a list of all others first would keep a megabyte for as long as the broker
/// runs.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, disable_help_subcommand = true, max_term_width = 100)]
struct Serving {
    #[command(subcommand)]
    command: OnlyServe,
}

#[derive(Debug, Subcommand)]
enum OnlyServe {
    #[command(about = SERVE_ABOUT, after_help = format!("{SERVE}\n\n{}", exit::HELP))]
    Serve(Serve),
}

impl Arguments {
    /// Of this process.
    ///
    /// # Errors
    /// Help and version among them.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        if std::env::args_os().nth(1).is_some_and(|command| command == "serve") {
            let OnlyServe::Serve(serve) = Serving::try_parse()?.command;
            return Ok(Self { command: Command::Serve(serve) });
        }
        Self::try_parse()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(about = SERVE_ABOUT, after_help = format!("{SERVE}\n\n{}", exit::HELP))]
    Serve(Serve),
    /// Publish messages
    #[cfg(feature = "tools")]
    #[command(name = "pub", disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Publish(tools::Publish),
    /// Subscribe to topics and print messages
    #[cfg(feature = "tools")]
    #[command(name = "sub", disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Subscribe(tools::Subscribe),
    /// Publish a request and print the answer
    #[cfg(feature = "tools")]
    #[command(disable_help_flag = true, after_help = tools::EXIT_HELP)]
    Request(tools::Request),
    /// The certificate authority of a data directory
    #[command(name = "ca", subcommand)]
    Authority(authority::Ca),
    /// Devices: issue certificates, list them, take them back
    #[command(subcommand)]
    Device(authority::Device),
    /// Users: passwords and groups
    #[command(subcommand)]
    User(user::User),
    /// Tokens of the API: make them, list them, take them back
    #[cfg(feature = "api")]
    #[command(subcommand)]
    Token(api::Token),
    /// Clients of a running broker: list them, look at one, disconnect it
    #[cfg(feature = "api")]
    #[command(subcommand)]
    Clients(operate::Clients),
    /// Sessions of a running broker: list them, look at one, end it
    #[cfg(feature = "api")]
    #[command(subcommand)]
    Sessions(operate::Sessions),
    /// Who has subscribed to what at a running broker
    #[cfg(feature = "api")]
    Subscriptions(operate::Subscriptions),
    /// Retained messages of a running broker: browse them, read one, delete it
    #[cfg(feature = "api")]
    #[command(subcommand)]
    Retained(operate::Retained),
    /// Topics of a running broker
    #[cfg(feature = "api")]
    #[command(subcommand)]
    Topics(operate::Topics),
    /// Look for exposures in a configuration, a data directory and a running broker
    #[cfg(feature = "api")]
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::Doctor),
    /// Why a client did, or did not, get a message
    #[cfg(feature = "api")]
    #[command(after_help = explain::HELP)]
    Explain(Box<explain::Explain>),
    /// Kill a broker again and again, and judge whether it keeps its word
    #[cfg(feature = "tools")]
    #[command(after_help = torture::EXIT_HELP)]
    Torture(torture::Torture),
    /// Look at what a broker keeps on disk, repair it, make keys
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Copy what a broker keeps on disk, while it is running or not
    #[command(after_help = backup::EXIT_HELP)]
    Backup(backup::Backup),
    /// Put a copy in place of what a broker kept
    #[command(after_help = backup::EXIT_HELP)]
    Restore(backup::Restore),
    /// Put a load on a broker, and say what became of every message
    #[cfg(feature = "tools")]
    #[command(disable_help_flag = true, after_help = bench::HELP)]
    Bench(Box<bench::Bench>),
    /// Check a configuration file, or print the default one
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show packets while they pass
    #[cfg(feature = "api")]
    #[command(after_help = trace::HELP)]
    Trace(Box<trace::Trace>),
    /// Ask, test and change the access rules
    #[command(subcommand)]
    Acl(access::Acl),
    /// Move in from another broker
    #[command(subcommand)]
    Import(access::Import),
    /// Print what a shell needs to complete this command line
    #[cfg(feature = "manual")]
    #[command(after_help = COMPLETION)]
    Completion {
        /// Of which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages of all commands
    #[cfg(feature = "manual")]
    Man {
        /// Directory for them; it is made
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// `dunlin serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (TOML); the command line beats it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory; without it DUNLIN_DATA, /var/lib/dunlin for root, else ~/.local/share/dunlin; with --dev, none
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
    /// So many clients that are played within the process, with a subscription and a ping a minute each
    #[cfg(feature = "simulated")]
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) simulate: u32,
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

    #[test]
    fn serve_alone_is_described_as_among_the_others() {
        let help = |mut whole: clap::Command| {
            whole.build();
            whole.find_subcommand("serve").unwrap().clone().render_long_help().to_string()
        };
        assert_eq!(help(Serving::command()), help(Arguments::command()));
    }
}
