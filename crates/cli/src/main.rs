//! The `dunlin` binary: the command line, the configuration, and the only place that wires concrete parts together.

mod access;
mod api;
mod args;
mod authority;
mod backup;
mod bench;
mod certificates;
mod config;
mod counters;
mod data;
mod doctor;
mod exit;
mod explain;
mod failure;
mod file_limit;
mod identity;
mod journal;
mod listen;
mod listeners;
mod log;
mod manual;
mod metrics;
mod notify;
mod operate;
mod quic;
mod say;
mod serve;
mod start;
mod storage;
mod telemetry;
mod tools;
mod torture;
mod trace;
mod user;

use std::path::Path;
use std::process::ExitCode;

use args::{Arguments, Command, ConfigCommand};
use clap::Parser;
use clap::error::ErrorKind;
use config::Config;
use exit::Exit;
use failure::Failure;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    match arguments.command {
        Command::Publish(tool) => tool.run().into(),
        Command::Subscribe(tool) => tool.run().into(),
        Command::Request(tool) => tool.run().into(),
        Command::Torture(torture) => torture.run().into(),
        Command::Journal(command) => command.run().into(),
        Command::Backup(backup) => backup.run().into(),
        Command::Restore(restore) => restore.run().into(),
        Command::Bench(tool) => tool.run().into(),
        Command::Serve(arguments) => ended(serve::run(arguments)),
        Command::Authority(command) => ended(command.run()),
        Command::Device(command) => ended(command.run()),
        Command::User(command) => ended(command.run()),
        Command::Token(command) => ended(command.run()),
        Command::Clients(command) => ended(command.run()),
        Command::Sessions(command) => ended(command.run()),
        Command::Subscriptions(command) => ended(command.run()),
        Command::Retained(command) => ended(command.run()),
        Command::Topics(command) => ended(command.run()),
        Command::Doctor(doctor) => doctor.run().map_or_else(|failure| ended(Err(failure)), ExitCode::from),
        Command::Config(ConfigCommand::Check { file }) => ended(check(&file)),
        Command::Trace(trace) => ended(trace.run()),
        Command::Explain(explain) => ended(explain.run()),
        Command::Acl(command) => command.run().into(),
        Command::Import(command) => command.run().into(),
        Command::Completion { shell } => ended(manual::completion(shell)),
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
