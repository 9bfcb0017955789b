//! How many files the process may open: each connection is one.

use rustix::process::{Resource, getrlimit};

use crate::config::Config;

/// What to say where the configuration allows more connections than there can be files.
///
/// The hard limit counts: the server raises the soft one to it, which is low for the sake of programs that use select(2).
pub(crate) fn warning(config: &Config) -> Option<String> {
    let wanted = u64::from(config.limits.connections_maximum);
    let files = getrlimit(Resource::Nofile).maximum.filter(|files| wanted >= *files)?;
    Some(format!(
        "limits.connections_maximum = {wanted}: the process may open only {files} files (RLIMIT_NOFILE), and each \
         connection is one"
    ))
}
