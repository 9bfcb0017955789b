//! Who a client is: an identifier that stays the same, so that its Session is found again.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why there is no identifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: not a client identifier", .0.display())]
    Foreign(PathBuf),
}

/// A number that no other process has, likely; for jitter and names, not for secrets.
#[must_use]
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// `name-` and eight digits that are this machine's: the same each time, another on each machine. For a fleet in which
/// every machine runs the same program.
#[must_use]
pub fn local_client_id(name: &str) -> String {
    let machine = ["/etc/machine-id", "/proc/sys/kernel/hostname"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok().filter(|text| !text.trim().is_empty()))
        .unwrap_or_default();
    // FNV-1a: its value must be the same in every build.
    let hash =
        machine.trim().bytes().chain(name.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    format!("{name}-{:08x}", hash >> 32)
}

/// The identifier in that file; where there is none, `name-` and sixteen random digits, which are written to it first.
///
/// # Errors
/// What the system says; a file that holds something else.
pub fn kept_client_id(path: &Path, name: &str) -> Result<String, IdentityError> {
    let fault = |source| IdentityError::Io { path: path.to_owned(), source };
    match fs::File::options().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            let id = format!("{name}-{:016x}", random_seed());
            file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
            Ok(id)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(path).map_err(fault)?;
            let id = text.trim_end_matches(['\r', '\n']);
            let usable = !id.is_empty() && id.len() <= 65_535 && !id.contains(char::is_control);
            if usable { Ok(id.to_owned()) } else { Err(IdentityError::Foreign(path.to_owned())) }
        }
        Err(error) => Err(fault(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_its_own_identifier_and_keeps_it() {
        assert_eq!(local_client_id("pump"), local_client_id("pump"));
        assert_ne!(local_client_id("pump"), local_client_id("lamp"));
        assert!(local_client_id("pump").starts_with("pump-"));
    }

    #[test]
    fn a_kept_identifier_is_made_once() {
        let path = std::env::temp_dir().join(format!("dunlin-id-{}", std::process::id()));
        let first = kept_client_id(&path, "pump").unwrap();
        assert_eq!(kept_client_id(&path, "other").unwrap(), first);
        fs::write(&path, "").unwrap();
        assert!(matches!(kept_client_id(&path, "pump"), Err(IdentityError::Foreign(_))));
        fs::remove_file(&path).unwrap();
    }
}
