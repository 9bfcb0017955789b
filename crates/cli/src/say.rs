//! What the program says to whoever started it, beside the log.
//!
//! Never: a failure. A reader that has gone away (`| head`) must not end a broker.

use std::io::{self, Write};

/// Text on standard output, with its own line ends.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Text on standard error, with its own line ends.
pub(crate) fn complaint(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Why the program ends.
pub(crate) fn error(message: &str) {
    complaint(&format!("dunlin: error: {message}\n"));
}

/// What should be looked at.
pub(crate) fn warning(message: &str) {
    complaint(&format!("dunlin: warning: {message}\n"));
}
