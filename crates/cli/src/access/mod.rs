//! `dunlin acl` and `dunlin import`: the access rules asked, tested and changed, and those of other brokers read.
//!
//! In:    a policy file, questions, tables of expectations, decisions that were seen.
//! Out:   answers with the rule that decides; a changed policy file; an exit code.
//! Never: a connection to a broker but that of its own data directory; a file that is changed in part.

mod arguments;
mod ask;
mod change;
mod dry_run;
mod expect;
mod live;
mod mosquitto;
mod seen;

use std::io;
use std::path::PathBuf;

use dunlin_security::policy::{EditError, PolicyError, PolicyFile, Rules};

pub(crate) use arguments::{Acl, Import};
#[cfg(feature = "api")]
pub(crate) use ask::reason;

use arguments::PolicyArgument;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{identity, say};

/// The exit codes for `--help`; docs/access.md has the same list.
pub(crate) const EXIT_HELP: &str = "\
Exit codes:
  0  allowed; every expectation is met; nobody is affected; done
  1  denied or only in part allowed; an expectation is not met; somebody is affected
  2  the command line cannot be understood
  3  a file cannot be read or written, or is invalid";

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Yes,
    No,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AccessError {
    /// The command line names no topic, no subject, and the like.
    #[error("{0}")]
    Usage(String),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Another file has faults: a line for each.
    #[error("{0}")]
    Invalid(String),
    /// A file.
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    /// The broker was asked and has no answer.
    #[error("{0}")]
    Broker(String),
    /// The policy cannot be changed like that.
    #[error("{path}: {source}")]
    Edit { path: String, source: EditError },
}

impl AccessError {
    const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Configuration,
        }
    }
}

impl Acl {
    /// Runs the command; how the process ends.
    pub(crate) fn run(self) -> Exit {
        ended(match self {
            Self::Can(can) => can.run(),
            Self::WhoCan(who) => who.run(),
            Self::Test(test) => expect::run(&test),
            Self::DryRun(dry_run) => dry_run::run(&dry_run),
            Self::List(list) => change::list(&list),
            Self::Add(add) => change::add(&add),
            Self::Remove(remove) => change::remove(&remove),
        })
    }
}

impl Import {
    /// Runs the command; how the process ends.
    pub(crate) fn run(self) -> Exit {
        ended(match self {
            Self::Mosquitto(files) => mosquitto::run(&files),
        })
    }
}

fn ended(result: Result<Outcome, AccessError>) -> Exit {
    match result {
        Ok(Outcome::Yes) => Exit::Clean,
        Ok(Outcome::No) => Exit::Failed,
        Err(error) => {
            error.to_string().lines().for_each(say::error);
            error.exit()
        }
    }
}

impl PolicyArgument {
    /// The file that is meant, whether it is there or not; `None` where there is no data directory either.
    fn path(&self) -> Option<PathBuf> {
        let of_directory = || self.data.directory().ok().map(|data| identity::policy(&data));
        self.policy.clone().or_else(of_directory)
    }

    /// The rules of that file, or those that hold without one, and what messages call them.
    fn read(&self) -> Result<(Rules, String), AccessError> {
        match self.path().filter(|path| self.policy.is_some() || path.exists()) {
            Some(path) => Ok((PolicyFile::read(&path)?, path.display().to_string())),
            None => Ok((PolicyFile::built_in(), "built-in policy".to_owned())),
        }
    }

    /// The file that is to be changed.
    fn file(&self) -> Result<PathBuf, AccessError> {
        self.path().ok_or_else(|| AccessError::Usage(Failure::NoDirectory.to_string()))
    }

    /// A broker that has this file takes note of a change.
    fn changed(&self) {
        if let Ok(data) = self.data.directory() {
            identity::tell(&data);
        }
    }
}
