//! Files that are whole or not there at all.
//!
//! In:    a path, bytes, a mode.
//! Out:   a file that survives a power cut from the moment the call returns.
//! Never: a file under its own name before all of it is on disk, or with a wider mode than asked for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use rustix::process::geteuid;

use super::AuthorityError;

/// Keys: the owner only.
pub(super) const SECRET: u32 = 0o600;
/// Certificates: anybody, as far as the directory lets them.
pub(super) const PUBLIC: u32 = 0o644;

/// Keeps others out of a data directory until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Waits until nobody else changes the directory.
///
/// # Errors
/// Where the directory cannot be written.
pub fn lock(directory: &Path) -> Result<Lock, AuthorityError> {
    let path = directory.join(".lock");
    let open = || {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(SECRET).open(&path)?;
        adopt(&path, directory)?;
        file.lock()?;
        Ok(file)
    };
    open().map(|file| Lock { _file: file }).map_err(fault("write", &path))
}

/// Makes a directory that only its owner enters, and those that lead to it.
///
/// # Errors
/// Where it cannot be made.
pub fn make_directory(path: &Path) -> Result<(), AuthorityError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    let make = || {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        adopt(path, parent_of(path))?;
        sync_directory(parent_of(path))
    };
    make().map_err(fault("make the directory", path))
}

/// Writes a file with this mode, in place of one that was there.
///
/// # Errors
/// Where it cannot be written: what was there before still is.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AuthorityError> {
    replace(path, bytes, mode).map_err(fault("write", path))
}

/// What root made belongs to whoever owns the directory that it lies in; nothing where the process is not root's.
///
/// # Errors
/// Where it cannot be given away.
pub fn settle_owner(path: &Path) -> Result<(), AuthorityError> {
    adopt(path, parent_of(path)).map_err(fault("give away", path))
}

/// The permission bits of a file.
///
/// # Errors
/// As the system says.
pub fn mode_of(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = parent_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.{}.new", std::process::id()));
    // One of a process that was killed and had the same number.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&new, bytes, mode, directory).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
        return written;
    }
    sync_directory(directory)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, directory: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(SECRET).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    adopt(path, directory)?;
    file.sync_all()
}

/// What root makes belongs to whoever owns the directory that it lies in: the service reads what `sudo dunlin` wrote.
fn adopt(path: &Path, directory: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(directory)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    rustix::fs::chown(path, Some(user), Some(group)).map_err(io::Error::from)
}

pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a directory survive a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let path: PathBuf = path.to_owned();
    move |source| AuthorityError::File { action, path, source }
}

/// What is in a file of text.
pub(super) fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(fault("read", path))
}
