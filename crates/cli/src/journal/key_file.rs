//! Key files of encryption at rest.
//!
//! In:    lines `ID DIGITS`: an id from 1 up and 64 hexadecimal digits; empty lines and lines with `#` are skipped.
//! Out:   a keyring whose last key seals what is written.
//! Never: a file that others can read; a key on the terminal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dunlin_store::{Keyring, MasterKey, random_bytes};

use super::JournalError;
use super::escape::{hex, unhex};
use crate::say;

/// Larger than any key file.
const LIMIT: u64 = 64 << 10;

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// The file.
    #[error("{}: {source}", .file.display())]
    Io { file: PathBuf, source: io::Error },
    /// Somebody else can read it.
    #[error("{}: others can read it (mode {mode:o}); `chmod 600` it", .file.display())]
    Readable { file: PathBuf, mode: u32 },
    /// A line that is no key.
    #[error("{}: line {line} is not an id and 64 hexadecimal digits", .file.display())]
    Line { file: PathBuf, line: usize },
    /// The same id twice.
    #[error("{}: key {id} is there twice", .file.display())]
    Twice { file: PathBuf, id: u32 },
    /// Nothing in it.
    #[error("{}: no key", .file.display())]
    Empty { file: PathBuf },
}

/// The keys of a file.
///
/// # Errors
/// [`KeyFileError`].
pub(crate) fn read(file: &Path) -> Result<Keyring, KeyFileError> {
    Ok(keyring(&load(file)?))
}

fn keyring(keys: &[(u32, [u8; 32])]) -> Keyring {
    keys.iter().fold(Keyring::default(), |ring, (id, key)| ring.with(*id, MasterKey::new(*key)))
}

fn load(file: &Path) -> Result<Vec<(u32, [u8; 32])>, KeyFileError> {
    let failed = |source| KeyFileError::Io { file: file.to_owned(), source };
    let about = fs::metadata(file).map_err(failed)?;
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Readable { file: file.to_owned(), mode });
    }
    if about.len() > LIMIT {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    parse(&fs::read_to_string(file).map_err(failed)?, file)
}

fn parse(text: &str, file: &Path) -> Result<Vec<(u32, [u8; 32])>, KeyFileError> {
    let file = file.to_owned();
    let mut keys: Vec<(u32, [u8; 32])> = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((id, key)) = key(text) else { return Err(KeyFileError::Line { file, line }) };
        if keys.iter().any(|(known, _)| *known == id) {
            return Err(KeyFileError::Twice { file, id });
        }
        keys.push((id, key));
    }
    if keys.is_empty() { Err(KeyFileError::Empty { file }) } else { Ok(keys) }
}

fn key(line: &str) -> Option<(u32, [u8; 32])> {
    let (id, digits) = line.split_once(' ')?;
    let id = id.parse().ok().filter(|id| *id > 0)?;
    Some((id, unhex(digits.trim())?.try_into().ok()?))
}

/// `dunlin journal key new`
pub(crate) fn new(file: &Path, add: bool) -> Result<bool, JournalError> {
    let failed = |source| KeyFileError::Io { file: file.to_owned(), source };
    let known = if add { load(file)? } else { Vec::new() };
    let id = known.iter().map(|(id, _)| *id).max().unwrap_or(0).saturating_add(1);
    let key = random_bytes().map_err(failed)?;
    let line = format!("{id} {}\n", hex(&key));
    if add {
        let before = fs::read_to_string(file).map_err(failed)?;
        let end = if before.ends_with('\n') { "" } else { "\n" };
        replace(file, &format!("{before}{end}{line}")).map_err(failed)?;
    } else {
        let text = format!(
            "# Keys of `dunlin serve`: who has this file and the data directory can read it.\n{line}"
        );
        create(file, &text).map_err(failed)?;
    }
    say::line(&format!("dunlin: key {id} is in {}\n", file.display()));
    Ok(true)
}

/// `dunlin journal key list`
pub(crate) fn list(file: &Path) -> Result<bool, JournalError> {
    for (id, _) in load(file)? {
        say::line(&format!("{id}\n"));
    }
    Ok(true)
}

/// A new file, safe on the disk: data that is sealed with a key that a crash forgot is lost.
fn create(file: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    sync_parent(file)
}

/// Another file in its place, at once.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    create(Path::new(&new), text)?;
    fs::rename(&new, file)?;
    sync_parent(file)
}

fn sync_parent(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_of_a_file_seals() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let keys = parse(&format!("# a comment\n\n7 {one}\n 3  {two}\n"), Path::new("f")).unwrap();
        assert_eq!(keys, [(7, [0x11; 32]), (3, [0x22; 32])]);
        assert_eq!(keyring(&keys).current(), Some(3));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_line() {
        let good = "11".repeat(32);
        for line in
            [good.clone(), format!("0 {good}"), format!("1 {good}1"), format!("-1 {good}"), "1 xx".to_owned()]
        {
            let fault = parse(&format!("# one\n{line}"), Path::new("f"));
            assert!(matches!(fault, Err(KeyFileError::Line { line: 2, .. })), "{line}");
        }
        assert!(matches!(parse("# none", Path::new("f")), Err(KeyFileError::Empty { .. })));
        let twice = format!("1 {good}\n1 {good}");
        assert!(matches!(parse(&twice, Path::new("f")), Err(KeyFileError::Twice { id: 1, .. })));
    }
}
