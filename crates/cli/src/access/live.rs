//! `dunlin acl dry-run` of what clients do now: the broker is asked, again and again for a while.
//!
//! In:    the data directory of a broker.
//! Out:   what its clients subscribed to, and what they published last, as [`super::seen`] has it.
//! Never: the same said twice to who looks.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "api")]
use dunlin_admin::{AskError, Asker, Page, Place, Seen, quoted};

use super::AccessError;
#[cfg(not(feature = "api"))]
use crate::nobody::{AskError, Asker, Page, Place, Seen, quoted};

/// Between two looks at all of them.
const EVERY: Duration = Duration::from_millis(500);

/// Looks for a while; gives each thing that was seen to `take`, once.
pub(super) fn look(data: &Path, window: Duration, mut take: impl FnMut(&str)) -> Result<(), AccessError> {
    let asker = Asker::new(Place::Directory(data.to_owned())).map_err(failed)?;
    let mut told = BTreeSet::new();
    let end = Instant::now() + window;
    loop {
        round(&asker, |line| {
            if told.insert(line.clone()) {
                take(&line);
            }
        })?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::park_timeout(left.min(EVERY));
    }
}

fn round(asker: &Asker, mut take: impl FnMut(String)) -> Result<(), AccessError> {
    let mut target = "/api/v1/rights/seen".to_owned();
    loop {
        let page: Page<Seen> = asker.get(&target).map_err(failed)?;
        page.items.iter().filter_map(|seen| serde_json::to_string(seen).ok()).for_each(&mut take);
        let Some(next) = page.next else { return Ok(()) };
        target = format!("/api/v1/rights/seen?after={}", quoted(&next));
    }
}

fn failed(error: AskError) -> AccessError {
    AccessError::Broker(match error {
        AskError::NotRunning(_) => format!("{error}; --seen takes what clients did from a file"),
        other => other.to_string(),
    })
}
