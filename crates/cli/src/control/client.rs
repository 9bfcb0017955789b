//! The side that asks.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::{ANSWER_MAX, socket};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// No broker runs on this directory.
    NotRunning,
    /// The broker says no.
    Refused(String),
    /// The broker was asked and did not answer.
    Failed(String),
}

/// Asks the broker of a data directory, and waits for as long as it takes.
///
/// # Errors
/// [`Ask`].
pub(crate) fn ask(data: &Path, request: &str, arguments: &Value) -> Result<Value, Ask> {
    let path = socket(data);
    let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ask::NotRunning,
        _ => Ask::Failed(format!("{}: {error}", path.display())),
    })?;
    let failed = |error: std::io::Error| Ask::Failed(format!("the broker does not answer: {error}"));
    let line = json!({ "request": request, "arguments": arguments });
    stream.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).take(ANSWER_MAX).read_line(&mut answer).map_err(failed)?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|_| Ask::Failed("the broker ended before it answered".to_owned()))?;
    match (answer.get("ok"), answer["error"].as_str()) {
        (Some(value), _) => Ok(value.clone()),
        (None, Some(error)) => Err(Ask::Refused(error.to_owned())),
        (None, None) => Err(Ask::Failed("the broker's answer cannot be understood".to_owned())),
    }
}
