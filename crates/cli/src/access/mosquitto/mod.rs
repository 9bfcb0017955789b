//! `dunlin import mosquitto`: Mosquitto's ACL and password files as a policy file and a file of users.
//!
//! In:    the two files.
//! Out:   `access.toml` and `users` in a directory; what does not carry over, line by line.
//! Never: a file overwritten; a line left out without a word.

mod acl;
mod passwords;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use dunlin_security::policy::PolicyFile;

use super::arguments::Mosquitto;
use super::{AccessError, Outcome};
use crate::say;

/// Something that is different afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remark {
    /// Counted from 1; 0: of the file as a whole.
    line: usize,
    text: String,
}

impl Remark {
    fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// Reads, writes and reports.
pub(super) fn run(files: &Mosquitto) -> Result<Outcome, AccessError> {
    let mut report = String::new();
    let mut remarks = Vec::new();
    let mut outputs = Vec::new();
    if let Some(path) = &files.acl {
        let read = acl::read(&text(path)?);
        report.push_str(&format!("{} rules from {}\n", read.rules.len(), path.display()));
        remarks.extend(read.remarks.iter().map(|remark| written(path, remark)));
        outputs.push(("access.toml", 0o640, read.to_toml(&path.display().to_string())));
    }
    if let Some(path) = &files.passwords {
        let read = passwords::read(&text(path)?);
        report.push_str(&format!("{} users from {}\n", read.users.len(), path.display()));
        remarks.extend(read.remarks.iter().map(|remark| written(path, remark)));
        outputs.push(("users", 0o600, read.to_text()));
    }
    write(&files.out, &outputs)?;
    for (name, _, _) in &outputs {
        report.push_str(&format!("written: {}\n", files.out.join(name).display()));
    }
    if remarks.is_empty() {
        report.push_str("everything carries over\n");
    } else {
        report.push_str("what does not carry over, or means something else:\n");
        remarks.iter().for_each(|remark| report.push_str(&format!("  {remark}\n")));
    }
    say::line(&report);
    Ok(Outcome::Yes)
}

fn text(path: &Path) -> Result<String, AccessError> {
    PolicyFile::text(path).map_err(|source| AccessError::Io { path: path.display().to_string(), source })
}

fn written(path: &Path, remark: &Remark) -> String {
    match remark.line {
        0 => format!("{}: {}", path.display(), remark.text),
        line => format!("{}:{line}: {}", path.display(), remark.text),
    }
}

/// All files, or none.
fn write(directory: &Path, outputs: &[(&str, u32, String)]) -> Result<(), AccessError> {
    let failed = |path: &Path, source| AccessError::Io { path: path.display().to_string(), source };
    fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
    for (name, _, _) in outputs {
        let path = directory.join(name);
        if path.exists() {
            return Err(failed(&path, io::Error::other("is there already; nothing was written")));
        }
    }
    for (name, mode, text) in outputs {
        let path = directory.join(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(*mode).open(&path);
        made.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|source| failed(&path, source))?;
    }
    Ok(())
}
