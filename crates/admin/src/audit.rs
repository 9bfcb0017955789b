//! The audit log: a line of JSON for each change that was asked for, done or not.
//!
//! In:    who, from where, what, and what came of it.
//! Out:   `audit.log`; full ones become `audit.log.1` to `audit.log.7`, the oldest of which goes.
//! Never: a secret, a payload, or a question that changes nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use time::OffsetDateTime;
use tracing::error;

use crate::access::{Caller, Origin, is_change};
use crate::router::Shared;

/// Bytes of a file: some forty thousand changes.
const FILE_BYTES: u64 = 8 << 20;
/// Files that are kept beside the one that is written.
const KEPT: u32 = 7;
/// Longest target of a request that is written whole, in bytes; Client Identifiers and topics stand in it.
const TARGET_MAXIMUM: usize = 4096;

/// The log of a data directory.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

/// What a route says of a change beside its method and target: an extension of its response.
#[derive(Clone, Debug)]
pub(crate) struct Change(pub(crate) String);

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    from: String,
    request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
    status: u16,
}

impl Audit {
    /// Opens the log, or makes it: readable by its owner alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), open: Mutex::new(open(path)?) })
    }

    fn write(&self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut log = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if log.bytes >= FILE_BYTES {
            *log = self.next_file()?;
        }
        log.file.write_all(text.as_bytes())?;
        log.bytes += text.len() as u64;
        Ok(())
    }

    fn next_file(&self) -> io::Result<Open> {
        for number in (0..KEPT).rev() {
            let from = self.numbered(number);
            if from.exists() {
                fs::rename(from, self.numbered(number + 1))?;
            }
        }
        open(&self.path)
    }

    /// The file with this number; 0: the one that is written.
    fn numbered(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        if number > 0 {
            path.push(format!(".{number}"));
        }
        path.into()
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Open { file, bytes })
}

/// Stands inside of [`crate::access::authenticate`], around every route.
pub(crate) async fn record(State(api): State<Shared>, request: Request, next: Next) -> Response {
    if !is_change(request.method()) {
        return next.run(request).await;
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let from = request.extensions().get::<Origin>().map_or_else(String::new, ToString::to_string);
    let target: String = request.uri().to_string().chars().take(TARGET_MAXIMUM).collect();
    let asked = format!("{} {target}", request.method());
    let response = next.run(request).await;
    if let Some(audit) = &api.audit {
        let line = Line {
            at: moment(SystemTime::now().into()),
            who: caller.as_ref().map_or("", |caller| &caller.name),
            role: caller.as_ref().map(|caller| caller.role.to_string()),
            from,
            request: &asked,
            what: response.extensions().get::<Change>().map(|change| &*change.0),
            status: response.status().as_u16(),
        };
        if let Err(error) = audit.write(&line) {
            error!(target: "dunlin::access", %error, who = line.who, request = asked, "a change is not in the audit log");
        }
    }
    response
}

/// To the millisecond, as RFC 3339 has it.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_kept_and_the_oldest_goes() {
        let directory = std::env::temp_dir().join(format!("dunlin-audit-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let audit = Audit::open(&directory.join("audit.log")).unwrap();
        for number in 0..u16::try_from(KEPT).unwrap() + 3 {
            let line = Line {
                at: String::new(),
                who: "user:admin",
                role: None,
                from: "unix".to_owned(),
                request: "DELETE /",
                what: None,
                status: number,
            };
            audit.write(&line).unwrap();
            audit.open.lock().unwrap().bytes = FILE_BYTES;
        }
        let status = |name: &str| {
            let line = fs::read_to_string(directory.join(name)).unwrap();
            serde_json::from_str::<serde_json::Value>(&line).unwrap()["status"].as_u64().unwrap()
        };
        assert_eq!((status("audit.log"), status("audit.log.1"), status("audit.log.7")), (9, 8, 2));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 8);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn moments_are_written_as_the_standard_has_them() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_042_000_000).unwrap();
        assert_eq!(moment(at), "2023-11-14T22:13:20.042Z");
    }
}
