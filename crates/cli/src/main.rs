//! The `dunlin` binary: the command line, the configuration, and the only place that wires concrete parts together.
#![cfg_attr(
    not(feature = "api"),
    allow(dead_code, reason = "what only the API asks for is not worth a condition each")
)]

mod access;
#[cfg(feature = "api")]
mod api;
#[cfg(not(feature = "api"))]
#[path = "api/without.rs"]
mod api;
mod args;
mod authority;
mod backup;
#[cfg(feature = "tools")]
mod bench;
mod certificates;
mod config;
mod counters;
mod data;
#[cfg(feature = "api")]
mod doctor;
mod exit;
#[cfg(feature = "api")]
mod explain;
mod failure;
mod file_limit;
mod identity;
mod journal;
mod listen;
mod listeners;
mod log;
#[cfg(feature = "manual")]
mod manual;
mod metrics;
#[cfg(not(feature = "api"))]
mod nobody;
mod notify;
#[cfg(feature = "api")]
mod operate;
mod quic;
mod say;
mod serve;
#[cfg(feature = "simulated")]
mod simulated;
mod start;
mod storage;
mod telemetry;
#[cfg(feature = "tools")]
mod tools;
#[cfg(feature = "tools")]
mod torture;
#[cfg(feature = "api")]
mod trace;
mod user;

use std::path::Path;
use std::process::ExitCode;

use args::{Arguments, Command, ConfigCommand};
use clap::error::ErrorKind;
use config::Config;
use exit::Exit;
use failure::Failure;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    match arguments.command {
        #[cfg(feature = "tools")]
        Command::Publish(tool) => tool.run().into(),
        #[cfg(feature = "tools")]
        Command::Subscribe(tool) => tool.run().into(),
        #[cfg(feature = "tools")]
        Command::Request(tool) => tool.run().into(),
        #[cfg(feature = "tools")]
        Command::Torture(torture) => torture.run().into(),
        Command::Journal(command) => command.run().into(),
        Command::Backup(backup) => backup.run().into(),
        Command::Restore(restore) => restore.run().into(),
        #[cfg(feature = "tools")]
        Command::Bench(tool) => tool.run().into(),
        Command::Serve(arguments) => ended(serve::run(arguments)),
        Command::Authority(command) => ended(command.run()),
        Command::Device(command) => ended(command.run()),
        Command::User(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Token(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Clients(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Sessions(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Subscriptions(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Retained(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Topics(command) => ended(command.run()),
        #[cfg(feature = "api")]
        Command::Doctor(doctor) => doctor.run().map_or_else(|failure| ended(Err(failure)), ExitCode::from),
        Command::Config(ConfigCommand::Check { file }) => ended(check(&file)),
        #[cfg(feature = "api")]
        Command::Trace(trace) => ended(trace.run()),
        #[cfg(feature = "api")]
        Command::Explain(explain) => ended(explain.run()),
        Command::Acl(command) => command.run().into(),
        Command::Import(command) => command.run().into(),
        #[cfg(feature = "manual")]
        Command::Completion { shell } => ended(manual::completion(shell)),
        #[cfg(feature = "manual")]
        Command::Man { directory } => ended(manual::pages(&directory)),
        Command::Config(ConfigCommand::Default) => {
            say::line(&config::default_file());
            Exit::Clean.into()
        }
    }
}

/// What a command came to, said and as an exit code.
fn ended(result: Result<(), Failure>) -> ExitCode {
    let is_read = log::finish();
    match result {
        Ok(()) => Exit::Clean.into(),
        Err(failure) => {
            for message in messages(&failure).iter().filter(|_| is_read) {
                say::error(message);
            }
            failure.exit().into()
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    if let Some(warning) = file_limit::warning(&config) {
        say::warning(&warning);
    }
    say::line(&format!("dunlin: {} is valid\n", file.display()));
    Ok(())
}

/// Help and version go to standard output; anything else is a mistake.
fn usage(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            say::line(&text);
            Exit::Clean
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say::complaint(&text);
            Exit::Usage
        }
        _ => {
            say::complaint(&format!("dunlin: {text}"));
            Exit::Usage
        }
    }
}

/// A failure's message, or one for each fault of a file.
fn messages(failure: &Failure) -> Vec<String> {
    match failure {
        Failure::Config(config::ConfigError::Invalid(faults)) => {
            faults.to_string().lines().map(str::to_owned).collect()
        }
        other => vec![other.to_string()],
    }
}
