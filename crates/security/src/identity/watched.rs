//! What a file holds, read again when the file changes.
//!
//! In:    a file; how it is read.
//! Out:   what it held when it was last read; whether that is something else than before.
//! Never: what it held given up for a file that cannot be read: it stays, and the log says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tracing::{error, info};

use super::watch::Watch;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {problem}")]
pub struct WatchedError {
    path: PathBuf,
    problem: String,
}

/// What a file can hold.
pub trait Contents: Sized {
    /// What that is, for the log.
    const WHAT: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// In words.
    fn read(bytes: &[u8]) -> Result<Self, String>;

    /// How many entries it has.
    fn count(&self) -> usize;
}

/// A file that may change, and what it holds.
#[derive(Debug)]
pub struct Watched<T> {
    path: PathBuf,
    contents: RwLock<Arc<T>>,
    watch: Mutex<Watch>,
}

impl<T: Contents> Watched<T> {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path) -> Result<Self, WatchedError> {
        // Before it is read, so that no change is missed.
        let watch = Mutex::new(Watch::new(path));
        let contents = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), contents, watch })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it held when it was last read.
    #[must_use]
    pub fn contents(&self) -> Arc<T> {
        Arc::clone(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks whether the file has changed, at most twice a second, and takes what it holds now.
    #[must_use]
    pub fn poll(&self) -> bool {
        self.watch.try_lock().is_ok_and(|mut watch| watch.is_due_and_changed() && self.take())
    }

    /// Reads the file again now; false where it cannot be used.
    pub fn reload(&self) -> bool {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.see();
        self.take()
    }

    /// With the watch locked: what one thread has read, another that read before does not undo.
    fn take(&self) -> bool {
        let file = self.path.display();
        match read::<T>(&self.path) {
            Ok(new) => {
                info!(target: "dunlin::access", %file, entries = new.count(), "{} read again", T::WHAT);
                *self.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                true
            }
            Err(reason) => {
                error!(target: "dunlin::access", %reason, "{} cannot be used, what was there stays", T::WHAT);
                false
            }
        }
    }
}

fn read<T: Contents>(path: &Path) -> Result<T, WatchedError> {
    let failed = |problem: String| WatchedError { path: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    T::read(&bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::scratch::Scratch;

    /// A file of digits.
    #[derive(Debug)]
    struct Number(u32);

    impl Contents for Number {
        const WHAT: &'static str = "a number";

        fn read(bytes: &[u8]) -> Result<Self, String> {
            let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
            text.parse().map(Self).map_err(|_| format!("{text} is no number"))
        }

        fn count(&self) -> usize {
            1
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_what_was_there() {
        let folder = Scratch::new("watched");
        let path = folder.file("number", "7");
        let number = Watched::<Number>::open(&path).unwrap();
        assert!(!number.poll(), "nothing has changed");

        fs::write(&path, "8").unwrap();
        assert!(number.reload() && number.contents().0 == 8);
        fs::write(&path, "eight").unwrap();
        assert!(!number.reload() && number.contents().0 == 8);
        let error = Watched::<Number>::open(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{path:?}: eight is no number"));
        fs::remove_file(&path).unwrap();
        assert!(!number.reload() && number.contents().0 == 8);
    }

    /// Else everybody would be reviewed twice.
    #[test]
    fn what_was_read_when_somebody_asked_for_it_is_no_change_afterwards() {
        let folder = Scratch::new("watched-reload");
        let path = folder.file("number", "7");
        let number = Watched::<Number>::open(&path).unwrap();
        let poll = || {
            number.watch.lock().unwrap().make_due();
            number.poll()
        };

        fs::write(&path, "80").unwrap();
        assert!(number.reload() && !poll());
        fs::write(&path, "900").unwrap();
        assert!(poll() && !poll() && number.contents().0 == 900);
    }
}
