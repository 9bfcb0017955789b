//! `dunlin backup` and `dunlin restore`: a copy of everything that must survive, and the way back.
//!
//! In:    a data directory, with a broker running on it or not; an empty directory.
//! Out:   a copy that is complete or refused.
//! Never: anything overwritten.

use std::path::{Path, PathBuf};

use clap::Args;
#[cfg(feature = "api")]
use dunlin_admin::{AskError, Asker, BackUp, Place};
use dunlin_store::{BackupError, DirDisk, Restored, Store, restore};

use serde_json::Value;

use crate::journal::{JournalError, ended, home, keys, locate};
#[cfg(not(feature = "api"))]
use crate::nobody::{AskError, Asker, BackUp, Place};
use crate::say;

/// The exit codes for `--help`; docs/durability.md has the same list.
pub(crate) const EXIT_HELP: &str = "\
Exit codes:
  0  done
  1  could not be done, or the copy is damaged
  2  the command line cannot be understood
  3  the key file cannot be used, or is not the one
  5  refused: the target is not empty, there is nothing to copy, or the broker is running";

/// `dunlin backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where the copy goes: an empty directory, or one that is not there yet
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// The broker's data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Key file of an encrypted journal, for when no broker is running; the copy stays encrypted
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// `dunlin restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A copy that `dunlin backup` made
    #[arg(value_name = "DIR")]
    source: PathBuf,
    /// The data directory of a broker that is not running; it must have no journal
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Key file of an encrypted journal
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Take a damaged copy too: without what is lost
    #[arg(long)]
    damaged: bool,
}

impl Backup {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        ended(self.copy())
    }

    fn copy(&self) -> Result<bool, JournalError> {
        let target = std::path::absolute(&self.target)
            .map_err(|error| JournalError::Directory { directory: self.target.clone(), error })?;
        match self.ask(&target) {
            Ok(bytes) => {
                say::line(&format!("dunlin: {bytes} bytes copied to {}\n", target.display()));
                Ok(true)
            }
            Err(AskError::NotRunning(_)) => copy(&locate(&self.data), &target, self.keys.as_deref(), false),
            Err(why) => Err(JournalError::Broker(why.to_string())),
        }
    }

    /// The bytes that the broker copied, if there is one.
    fn ask(&self, target: &Path) -> Result<Value, AskError> {
        let asker = Asker::new(Place::Directory(self.data.clone()))?;
        let to = serde_json::json!(BackUp { to: target.to_owned() });
        Ok(asker.post("/api/v1/backup", &to)?["bytes"].take())
    }
}

impl Restore {
    /// The exit code.
    pub(crate) fn run(&self) -> u8 {
        ended(copy(&locate(&self.source), &home(&self.data), self.keys.as_deref(), self.damaged))
    }
}

fn copy(from: &Path, to: &Path, key_file: Option<&Path>, damaged: bool) -> Result<bool, JournalError> {
    let keys = keys(key_file)?;
    let failed = |directory: &Path| {
        let directory = directory.to_owned();
        |error| JournalError::Directory { directory, error }
    };
    let source = DirDisk::read_only(from).map_err(failed(from))?;
    let target = DirDisk::new(to).map_err(failed(to))?;
    let Restored { records, bytes, .. } = restore(&source, &target, keys, damaged)?;
    say::line(&format!("dunlin: {records} records, {bytes} bytes copied to {}\n", to.display()));
    Ok(true)
}

/// Copies what a running broker keeps; blocks until the copy is complete. Its bytes and its files.
///
/// # Errors
/// In words, for whoever asked.
pub(crate) fn copy_running(store: &Store<DirDisk>, to: &Path) -> Result<(u64, u64), String> {
    let target = DirDisk::new(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let done = store.backup(&target).map_err(|error| match &error {
        BackupError::Io { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    })?;
    Ok((done.bytes, done.segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_store::{Journal, Keyring, Offline, Options, PartitionId, Purpose};
    use std::fs;

    #[test]
    fn an_ended_broker_is_copied_and_one_that_does_not_answer_is_not() {
        let directory = std::env::temp_dir().join(format!("dunlin-backup-{}", std::process::id()));
        let data = directory.join("data");
        fs::create_dir_all(&data).unwrap();
        let store = Store::open(DirDisk::new(&home(&data)).unwrap(), Options::default()).unwrap();
        let writer = store.claim(PartitionId(1)).unwrap();
        store.append(writer, Purpose::Growth, &[b"a record"]).unwrap();
        let backup = |name: &str| Backup { target: directory.join(name), data: data.clone(), keys: None };
        assert_eq!(backup("in-use").run(), 5, "a store that is open and does not answer");
        drop(store);
        assert_eq!(backup("ended").run(), 0);
        assert_eq!(backup("ended").run(), 5, "not empty");
        let restored = directory.join("ended/again");
        let restore = || Restore {
            source: directory.join("ended"),
            data: restored.clone(),
            keys: None,
            damaged: false,
        };
        assert_eq!(restore().run(), 0);
        assert_eq!(restore().run(), 5, "not empty");
        let disk = DirDisk::read_only(&home(&restored)).unwrap();
        assert_eq!(Offline::open(disk, Keyring::default()).unwrap().check().unwrap(), 1);
        fs::remove_dir_all(directory).unwrap();
    }
}
