//! `dunlin journal`: look at what a broker has on disk, repair it, make keys. For a broker that is not running.
//!
//! In:    a data directory; the key file, if it is encrypted.
//! Out:   text or JSON lines; an exit code that says whether there is damage.
//! Never: a write, except by `repair` and `key new`.

mod check;
mod dump;
mod escape;
pub(crate) mod key_file;
mod notice;
mod repair;
mod stat;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dunlin_store::{BackupError, DirDisk, Keyring, Offline, OpenError, ReadError};

use crate::say;
pub(crate) use key_file::KeyFileError;

/// The exit codes for `--help`; docs/durability.md has the same list.
pub(crate) const EXIT_HELP: &str = "\
Exit codes:
  0  done, and nothing is damaged
  1  something is damaged, or could not be done
  2  the command line cannot be understood
  3  the key file cannot be used, or is not the one
  5  refused: the broker is running, there is no journal, or a newer version wrote it";

/// Look at what a broker keeps on disk, while it is not running
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read everything and name what is damaged; changes nothing
    #[command(after_help = EXIT_HELP)]
    Check(Place),
    /// Figures: segments, checkpoints, keys, what is alive; changes nothing
    #[command(after_help = EXIT_HELP)]
    Stat(Place),
    /// Print the records; changes nothing
    #[command(after_help = EXIT_HELP)]
    Dump(dump::Dump),
    /// Move what is damaged to quarantine/, so that the rest opens
    #[command(after_help = EXIT_HELP)]
    Repair(repair::Repair),
    /// Keys of encryption at rest
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Keys of encryption at rest
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key in a new file that its owner alone can read
    #[command(after_help = EXIT_HELP)]
    New {
        /// The key file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Add a newer key to a file that is there: it encrypts what is written from the next start on; older ones are for reading
        #[arg(long)]
        add: bool,
    },
    /// Print the ids of the keys in a file, the one that encrypts last
    #[command(after_help = EXIT_HELP)]
    List {
        /// The key file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// A journal.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The data directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Key file of an encrypted journal
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Print JSON, a line for each thing
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a command ends without having done what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The log cannot be opened.
    #[error("{}: {error}{}", .directory.display(), cause(.error))]
    Open { directory: PathBuf, error: OpenError },
    /// The directory.
    #[error("{}: {error}", .directory.display())]
    Directory { directory: PathBuf, error: io::Error },
    /// Reading.
    #[error("{}: {error}", .directory.display())]
    Read { directory: PathBuf, error: ReadError },
    /// A copy.
    #[error("{0}{text}", text = with_cause(.0))]
    Backup(#[from] BackupError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// A running broker says no, or does not answer.
    #[error("{0}")]
    Broker(String),
}

fn with_cause(error: &BackupError) -> String {
    match error {
        BackupError::Io { source, .. } => format!(": {source}"),
        BackupError::Open(error) => cause(error),
        _ => String::new(),
    }
}

fn cause(error: &OpenError) -> String {
    match error {
        OpenError::Io { source, .. } => format!(": {source}"),
        _ => String::new(),
    }
}

impl JournalError {
    pub(crate) const fn exit(&self) -> u8 {
        match self {
            Self::Keys(_) => 3,
            Self::Open { error, .. } | Self::Backup(BackupError::Open(error)) => match error {
                OpenError::KeyMissing { .. } | OpenError::KeyWrong { .. } => 3,
                OpenError::InUse
                | OpenError::Absent
                | OpenError::Newer { .. }
                | OpenError::UnknownField { .. } => 5,
                _ => 1,
            },
            Self::Backup(BackupError::NotEmpty { .. } | BackupError::Incomplete) => 5,
            Self::Directory { .. } | Self::Read { .. } | Self::Backup(_) | Self::Broker(_) => 1,
        }
    }
}

/// What a record means: the owner's business, and that is the engine. `None` where it has no words for the bytes.
pub(crate) type Decoder = fn(&[u8]) -> Option<String>;

/// The engine's words.
pub(crate) const DECODER: Decoder = dunlin_engine::describe_record;

impl JournalCommand {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        let result = match self {
            Self::Check(place) => check::run(place),
            Self::Stat(place) => stat::run(place),
            Self::Dump(dump) => dump.run(DECODER),
            Self::Repair(repair) => repair.run(),
            Self::Key(KeyCommand::New { file, add }) => key_file::new(file, *add),
            Self::Key(KeyCommand::List { file }) => key_file::list(file),
        };
        ended(result)
    }
}

/// The exit code of what was done, `true` if all is well, or of what was not.
pub(crate) fn ended(result: Result<bool, JournalError>) -> u8 {
    match result {
        Ok(well) => u8::from(!well),
        Err(error) => {
            say::error(&error.to_string());
            error.exit()
        }
    }
}

/// The keys of a file, or none.
pub(crate) fn keys(file: Option<&Path>) -> Result<Keyring, KeyFileError> {
    file.map_or_else(|| Ok(Keyring::default()), key_file::read)
}

/// Where a broker keeps its log in its data directory.
pub(crate) fn home(data: &Path) -> PathBuf {
    data.join("journal")
}

/// The directory of the log: the one that was named, or `journal` in it.
pub(crate) fn locate(directory: &Path) -> PathBuf {
    let below = home(directory);
    if below.is_dir() { below } else { directory.to_owned() }
}

impl Place {
    fn open(&self) -> Result<Offline<DirDisk>, JournalError> {
        let directory = locate(&self.directory);
        let keys = keys(self.keys.as_deref())?;
        let disk = DirDisk::read_only(&directory)
            .map_err(|error| JournalError::Directory { directory: directory.clone(), error })?;
        Offline::open(disk, keys).map_err(|error| JournalError::Open { directory, error })
    }

    fn unreadable(&self, error: ReadError) -> JournalError {
        JournalError::Read { directory: self.directory.clone(), error }
    }
}
