//! Certificates that do not end while the server runs.
//!
//! In:    the data directory, the clock.
//! Out:   new files; the listeners notice them by themselves.
//! Never: the end of the process, whatever is wrong with the files.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use dunlin_security::authority::{Authority, Machine, Moment, Renewed};
use tracing::{info, warn};

/// A machine that gets another address has a certificate for it within the hour.
const EVERY: Duration = Duration::from_secs(3600);

/// The authority's own certificate is renewed by a person, who has to carry it to every client.
const WARN_DAYS: i64 = 365;

/// Looks every hour, from another thread.
pub(super) fn start(directory: PathBuf) {
    let spawned = thread::Builder::new().name("dunlin-renew".to_owned()).spawn(move || {
        loop {
            // Nobody wakes it; were it woken, it would look once more.
            thread::park_timeout(EVERY);
            renew(&directory);
        }
    });
    if let Err(error) = spawned {
        warn!(target: "dunlin::listener", %error, "certificates are not renewed while the process runs");
    }
}

fn renew(directory: &std::path::Path) {
    let renewed = Authority::open(directory).and_then(|authority| {
        let now = Moment::now();
        let days = now.days_until(authority.certificate().ends);
        if days < WARN_DAYS {
            warn!(target: "dunlin::listener", days, "the certificate authority ends soon: dunlin ca renew --authority");
        }
        authority.renew(&Machine::here(), now)
    });
    match renewed {
        Ok(renewed) => report(renewed),
        Err(error) => warn!(target: "dunlin::listener", %error, "certificates not renewed"),
    }
}

/// Says in the log what was renewed.
pub(super) fn report(renewed: Renewed) {
    if renewed.server {
        info!(target: "dunlin::listener", "server certificate renewed");
    }
    if renewed.list {
        info!(target: "dunlin::listener", "list of revoked certificates renewed");
    }
}
