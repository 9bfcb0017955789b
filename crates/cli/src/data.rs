//! The data directory: where everything lies that must survive the process.
//!
//! In:    `--data`, the environment.
//! Out:   one directory for all commands of one user.
//! Never: the working directory: a command elsewhere would find nothing, and a server make another authority.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::process::geteuid;

use crate::failure::Failure;

/// Of packages, and of root.
const SYSTEM: &str = "/var/lib/dunlin";

/// `--data`, for the commands that work on a data directory.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Data {
    /// Data directory; without it DUNLIN_DATA, /var/lib/dunlin for root, else ~/.local/share/dunlin
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl Data {
    /// The directory, whether it is there or not.
    ///
    /// # Errors
    /// Where nothing names one and there is no home.
    pub(crate) fn directory(&self) -> Result<PathBuf, Failure> {
        directory(self.data.as_deref())
    }

    /// What to add to a command that somebody is told to give, so that it finds the same directory.
    pub(crate) fn flag(&self) -> String {
        self.data
            .as_deref()
            .map_or_else(String::new, |data| format!(" --data {}", shell(&data.display().to_string())))
    }
}

/// The data directory that was named, or the default one.
///
/// # Errors
/// Where nothing names one and there is no home.
pub(crate) fn directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    match given {
        Some(given) => Ok(given.to_owned()),
        None => default(geteuid().is_root(), |name| env::var_os(name)).ok_or(Failure::NoDirectory),
    }
}

/// systemd names STATE_DIRECTORY for a service; more than one are separated by colons.
fn default(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(named) = set("DUNLIN_DATA") {
        return Some(named.into());
    }
    if let Some(state) = set("STATE_DIRECTORY") {
        return env::split_paths(&state).next();
    }
    if is_root {
        return Some(SYSTEM.into());
    }
    // The base directory specification has relative paths ignored.
    let shared = set("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let shared = shared.or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/share")));
    shared.map(|shared| shared.join("dunlin"))
}

/// A word as a shell takes it.
pub(crate) fn shell(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(is_root: bool, variables: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        default(is_root, lookup).map(|path| path.display().to_string())
    }

    #[test]
    fn what_is_named_beats_what_is_usual() {
        let home = ("HOME", "/h/a");
        assert_eq!(found(false, &[home]).as_deref(), Some("/h/a/.local/share/dunlin"));
        assert_eq!(found(false, &[home, ("XDG_DATA_HOME", "/d")]).as_deref(), Some("/d/dunlin"));
        assert_eq!(
            found(false, &[home, ("XDG_DATA_HOME", "here")]).as_deref(),
            Some("/h/a/.local/share/dunlin")
        );
        assert_eq!(found(true, &[home]).as_deref(), Some("/var/lib/dunlin"));
        let service = ("STATE_DIRECTORY", "/var/lib/private/dunlin:/var/lib/more");
        assert_eq!(found(true, &[service]).as_deref(), Some("/var/lib/private/dunlin"));
        assert_eq!(found(true, &[service, ("DUNLIN_DATA", "/x")]).as_deref(), Some("/x"));
        assert_eq!(found(false, &[("HOME", "")]), None);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(shell("a/b-1.crt"), "a/b-1.crt");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }
}
