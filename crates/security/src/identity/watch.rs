//! Whether a file has changed, asked at most twice a second.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an answer holds: what is revoked must be so within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// What tells two states of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    mode: u32,
}

/// A file that may change.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    stamp: Option<Stamp>,
    asked: Instant,
}

impl Watch {
    /// Looks at the file; to be made before it is read, so that no change is missed.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), stamp: stamp(path), asked: Instant::now() }
    }

    /// Whether the last look is old enough and the file is another since. A file that is gone has not changed.
    #[must_use]
    pub fn is_due_and_changed(&mut self) -> bool {
        if self.asked.elapsed() < INTERVAL {
            return false;
        }
        self.asked = Instant::now();
        let now = stamp(&self.path);
        let changed = now.is_some() && now != self.stamp;
        if changed {
            self.stamp = now;
        }
        changed
    }

    /// Takes the file as it is for seen: to be called before it is read for another reason than a change.
    pub fn see(&mut self) {
        self.stamp = stamp(&self.path);
    }

    /// Whether users of the machine who are neither owner nor of the group may read it.
    pub(crate) fn others_may_read(&self) -> bool {
        self.stamp.is_some_and(|stamp| stamp.mode & 0o004 != 0)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: data.ino(),
        bytes: data.len(),
        modified: (data.mtime(), data.mtime_nsec()),
        changed: (data.ctime(), data.ctime_nsec()),
        mode: data.mode(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::scratch::Scratch;

    impl Watch {
        /// The last look was long ago.
        pub(in crate::identity) fn make_due(&mut self) {
            self.asked = Instant::now().checked_sub(INTERVAL).unwrap();
        }
    }

    #[test]
    fn a_change_is_seen_once_and_not_before_the_interval() {
        let folder = Scratch::new("watch");
        let path = folder.file("a", "one");
        let mut watch = Watch::new(&path);
        fs::write(&path, "other").unwrap();

        assert!(!watch.is_due_and_changed());
        watch.make_due();
        assert!(watch.is_due_and_changed());
        watch.make_due();
        assert!(!watch.is_due_and_changed());
    }
}
