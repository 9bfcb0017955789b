//! `dunlin pub`, `dunlin sub`, `dunlin request`: MQTT from the command line, at home for whoever knows mosquitto_pub.
//!
//! In:    flags; payloads from the command line, files, standard input.
//! Out:   messages on standard output; faults on standard error; an exit code.
//! Never: an unverified certificate without --insecure; success for a message that was not acknowledged.

mod connect;
mod decode;
mod format;
mod input;
mod json;
mod progress;
mod properties;
mod publish;
mod request;
mod subscribe;

use std::future::Future;
use std::io;

pub(crate) use connect::{qos, version};
pub(crate) use publish::Publish;
pub(crate) use request::Request;
pub(crate) use subscribe::Subscribe;

use crate::say;

/// The exit codes for `--help`; docs/tools.md has the same list.
pub(crate) const EXIT_HELP: &str = "\
Exit codes:
  0    done
  1    no connection, or a message or subscription was refused
  2    the command line cannot be understood
  27   -W: the time was over first
  130  ended by SIGINT, 143 by SIGTERM";

/// Why a tool ends without having done what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The command line contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// A file or standard input.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// -W
    #[error("timed out")]
    TimedOut,
    /// Whoever reads standard output has gone.
    #[error("standard output was closed")]
    OutputClosed,
    /// A signal, by its number.
    #[error("ended by signal {0}")]
    Signal(u8),
}

impl ToolError {
    fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }

    const fn exit(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::TimedOut => 27,
            Self::OutputClosed => 0,
            Self::Signal(signal) => 128 + *signal,
            Self::Failed(_) | Self::Io { .. } => 1,
        }
    }

    const fn is_silent(&self) -> bool {
        matches!(self, Self::OutputClosed | Self::Signal(_))
    }
}

/// Runs a tool to its end; the exit code.
pub(crate) fn run(quiet: bool, tool: impl Future<Output = Result<(), ToolError>>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(tool);
            // Whatever reads standard input must not keep the process.
            runtime.shutdown_background();
            result
        }
        Err(source) => Err(ToolError::Io { what: "cannot start".to_owned(), source }),
    };
    let Err(error) = result else { return 0 };
    if !error.is_silent() && (!quiet || matches!(error, ToolError::Usage(_))) {
        say::error(&error.to_string());
    }
    error.exit()
}
