//! Where the keys of an issuer come from, and when they are asked for again.
//!
//! In:    a file, or a URL.
//! Out:   keys; at once those that are there, where new ones cannot be had.
//! Never: a request for each token with an unknown key identifier: one in half a minute, or strangers could have the
//!        Server knock at the issuer's door.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::identity::http::{Client, ClientError};
use crate::identity::secret::Secret;
use crate::identity::watch::Watch;

use super::key::{KeyError, KeySet};

/// Shortest time between two requests, whatever tokens say.
const REQUEST_INTERVAL: Duration = Duration::from_secs(30);
/// Longest that keys are used although no new ones can be had.
const STALE_MAXIMUM: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys that may change.
pub struct KeySource(Kind);

enum Kind {
    Fixed(Arc<KeySet>),
    File { path: PathBuf, watch: Mutex<Watch>, keys: RwLock<Arc<KeySet>> },
    Http { client: Client, refresh: Duration, state: RwLock<Fetched>, fetching: Mutex<()> },
}

#[derive(Default)]
struct Fetched {
    keys: Option<Arc<KeySet>>,
    /// When they came.
    fetched: Option<Instant>,
    /// When they were last asked for.
    asked: Option<Instant>,
    /// Others were asked for by name.
    is_outdated: bool,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What was read is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The service gives no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The service gives another answer.
    #[error("status {0} instead of a key set")]
    Status(u16),
}

impl KeySource {
    /// One secret, shared with the issuer.
    ///
    /// # Errors
    /// It is too short.
    pub fn secret(secret: Secret) -> Result<Self, KeyError> {
        Ok(Self(Kind::Fixed(Arc::new(KeySet::from_secret(secret)?))))
    }

    /// A file with a key set or a public key in PEM. It is read again when it changes.
    ///
    /// # Errors
    /// It cannot be read, or holds no key.
    pub fn file(path: &Path) -> Result<Self, KeySourceError> {
        let watch = Mutex::new(Watch::new(path));
        let keys = RwLock::new(Arc::new(load(path)?));
        Ok(Self(Kind::File { path: path.to_path_buf(), watch, keys }))
    }

    /// A key set that an issuer publishes. It is asked for with the first token, then every `refresh` (300 s is usual), and
    /// when a token names a key that is not there.
    #[must_use]
    pub fn http(client: Client, refresh: Duration) -> Self {
        let (state, fetching) = (RwLock::default(), Mutex::new(()));
        Self(Kind::Http { client, refresh, state, fetching })
    }

    /// Has the next token ask for the keys again, wherever they come from; those that are there stay until there are others.
    pub fn refresh(&self) {
        if let Kind::Http { state, .. } = &self.0 {
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            (state.asked, state.is_outdated) = (None, true);
        }
    }

    /// The keys, for a token that names this one. May wait for a service.
    pub(super) fn keys(&self, id: Option<&str>) -> Option<Arc<KeySet>> {
        match &self.0 {
            Kind::Fixed(keys) => Some(keys.clone()),
            Kind::File { path, watch, keys } => {
                if watch.try_lock().is_ok_and(|mut watch| watch.is_due_and_changed()) {
                    match load(path) {
                        Ok(new) => {
                            info!(target: "dunlin::authentication", path = %path.display(), keys = new.len(), "keys read again");
                            *keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                        }
                        Err(reason) => {
                            error!(target: "dunlin::authentication", path = %path.display(), %reason, "keys cannot be read, the old ones stay");
                        }
                    }
                }
                Some(keys.read().unwrap_or_else(PoisonError::into_inner).clone())
            }
            Kind::Http { client, refresh, state, fetching } => {
                let now = Instant::now();
                let due = |state: &RwLock<Fetched>| {
                    state.read().unwrap_or_else(PoisonError::into_inner).is_due(id, *refresh, now)
                };
                if due(state) {
                    let _one = fetching.lock().unwrap_or_else(PoisonError::into_inner);
                    // Another worker may have asked while this one waited.
                    if due(state) {
                        fetch(client, state, now);
                    }
                }
                state.read().unwrap_or_else(PoisonError::into_inner).usable(now)
            }
        }
    }
}

impl Fetched {
    fn is_due(&self, id: Option<&str>, refresh: Duration, now: Instant) -> bool {
        let since = |time: Option<Instant>| time.map(|time| now.saturating_duration_since(time));
        if since(self.asked).is_some_and(|since| since < REQUEST_INTERVAL) {
            return false;
        }
        self.is_outdated
            || since(self.fetched).is_none_or(|since| since >= refresh)
            || self.keys.as_ref().is_none_or(|keys| !keys.may_know(id))
    }

    fn usable(&self, now: Instant) -> Option<Arc<KeySet>> {
        let age = now.saturating_duration_since(self.fetched?);
        self.keys.clone().filter(|_| age <= STALE_MAXIMUM)
    }
}

fn fetch(client: &Client, state: &RwLock<Fetched>, now: Instant) {
    let answer = request(client);
    let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
    state.asked = Some(now);
    state.is_outdated = false;
    match answer {
        Ok(keys) => {
            info!(target: "dunlin::authentication", url = client.url(), keys = keys.len(), "keys fetched");
            (state.keys, state.fetched) = (Some(Arc::new(keys)), Some(now));
        }
        Err(reason) => {
            warn!(target: "dunlin::authentication", url = client.url(), %reason, "keys cannot be fetched, the old ones stay for a day")
        }
    }
}

fn request(client: &Client) -> Result<KeySet, KeySourceError> {
    let answer = client.get()?;
    match answer.status {
        200 => Ok(KeySet::from_jwks(&answer.body, true)?),
        status => Err(KeySourceError::Status(status)),
    }
}

fn load(path: &Path) -> Result<KeySet, KeySourceError> {
    let io = |source| KeySourceError::Io { path: path.to_path_buf(), source };
    let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(io)?);
    let pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
    Ok(if pem { KeySet::from_pem(&bytes)? } else { KeySet::from_jwks(&bytes, false)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str) -> Arc<KeySet> {
        let json = format!(r#"{{"keys":[{{"kty":"oct","kid":"{id}","k":"{}"}}]}}"#, "A".repeat(64));
        Arc::new(KeySet::from_jwks(json.as_bytes(), false).unwrap())
    }

    #[test]
    fn keys_are_asked_for_when_old_or_when_one_is_missing_and_not_too_often() {
        let (start, refresh) = (Instant::now(), Duration::from_secs(300));
        let mut state = Fetched::default();
        assert!(state.is_due(None, refresh, start));
        assert!(state.usable(start).is_none());

        state =
            Fetched { keys: Some(keys("a")), fetched: Some(start), asked: Some(start), is_outdated: false };
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!state.is_due(Some("b"), refresh, after(29)), "too soon");
        assert!(state.is_due(Some("b"), refresh, after(30)), "unknown key");
        assert!(!state.is_due(Some("a"), refresh, after(299)));
        assert!(state.is_due(Some("a"), refresh, after(300)), "old");
    }

    #[test]
    fn old_keys_serve_for_a_day_while_the_issuer_is_away() {
        let start = Instant::now();
        let state =
            Fetched { keys: Some(keys("a")), fetched: Some(start), asked: Some(start), is_outdated: false };

        assert!(state.usable(start + STALE_MAXIMUM).is_some());
        assert!(state.usable(start + STALE_MAXIMUM + Duration::from_secs(1)).is_none());
    }
}
