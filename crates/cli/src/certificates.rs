//! Certificates that change while the server runs.
//!
//! In:    the TLS listeners, changes of their files, SIGHUP.
//! Out:   newcomers that get what is in the files now; a line in the log for each change and each file that is refused.
//! Never: a connection dropped; a listener without a certificate.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use dunlin_runtime::TlsListener;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tracing::{error, info, warn};

/// Certificate and key are written one after the other: when nothing changed for so long, both are there.
const SETTLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// The certificates of all listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates(Vec<Arc<TlsListener>>);

impl Certificates {
    pub(crate) fn add(&mut self, listener: Arc<TlsListener>) {
        self.0.push(listener);
    }

    /// When the certificate of each listener ends, in seconds since 1970; `None` where it does not say so.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = Option<u64>> {
        self.0.iter().map(|listener| listener.expires_at())
    }

    /// Reads every file again.
    pub(crate) fn reload(&self) {
        for listener in &self.0 {
            let certificate = listener.files().all().next().map(|file| file.display().to_string());
            match listener.reload() {
                Ok(true) => info!(target: "dunlin::listener", certificate, "certificates reloaded"),
                Ok(false) => {}
                Err(error) => {
                    const WHAT: &str = "certificates not reloaded; those that were read before stay in use";
                    error!(target: "dunlin::listener", file = %error.file.display(), reason = %error, "{WHAT}");
                }
            }
        }
    }

    /// Reads them again from now on whenever they change.
    pub(crate) fn watch(&self) {
        if self.0.is_empty() {
            return;
        }
        let watched = self.clone();
        let spawned = thread::Builder::new().name("dunlin-files".to_owned()).spawn(move || {
            if let Err(error) = watched.follow() {
                warn!(target: "dunlin::listener", %error, "files of certificates are not watched: SIGHUP reads them");
            }
        });
        if let Err(error) = spawned {
            warn!(target: "dunlin::listener", %error, "files of certificates are not watched: SIGHUP reads them");
        }
    }

    /// Follows the directories, not the files: those are replaced by others of the same name.
    fn follow(&self) -> rustix::io::Result<()> {
        let watch = inotify::init(CreateFlags::CLOEXEC)?;
        let changes =
            WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE;
        for directory in self.directories() {
            inotify::add_watch(&watch, directory, changes | WatchFlags::ONLYDIR)?;
        }
        // What changed between the first reading and now.
        self.reload();
        let mut events = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watch, &mut events);
        loop {
            if reader.next()?.events().contains(ReadFlags::IGNORED) {
                return Err(rustix::io::Errno::NOENT);
            }
            let mut quiet = [PollFd::new(&watch, PollFlags::IN)];
            if reader.is_buffer_empty() && poll(&mut quiet, Some(&SETTLE))? == 0 {
                self.reload();
            }
        }
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        let parent = |file: &Path| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => Path::new(".").to_owned(),
        };
        self.0.iter().flat_map(|listener| listener.files().all()).map(parent).collect()
    }
}
