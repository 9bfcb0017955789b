//! How many files the process may open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files that are no connections: listeners, pollers, wakers, the log, and what the system library opens now and then.
const OTHER_FILES: u64 = 64;

/// Raises the soft limit to the hard one; the soft one is low for the sake of programs that use select(2).
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the old limit, which the server keeps to as well.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// The most connections that the hard limit leaves room for; `None` where there is no limit.
fn connections() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum.map(|files| files.saturating_sub(OTHER_FILES))
}

/// What to say where the configuration allows more connections than there can be files.
pub(crate) fn warning(config: &Config) -> Option<String> {
    let wanted = u64::from(config.limits.connections_maximum);
    let possible = connections().filter(|possible| wanted > *possible)?;
    Some(format!(
        "limits.connections_maximum = {wanted} is more than the {possible} connections that the limit of open files \
         (RLIMIT_NOFILE) leaves room for"
    ))
}
