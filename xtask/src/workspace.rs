//! The checkout as text files, in a fixed order.
//!
//! In:    the folder that cargo runs in.
//! Out:   files by their path from the root, with forward slashes on every system.
//! Never: files of build outputs, of installed tools or of git itself.

use crate::report::Fault;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours, wherever they are.
const FOREIGN: [&str; 4] = ["target", "node_modules", "__pycache__", "corpus"];

/// Hidden folders that do hold something of ours.
const OURS_THOUGH_HIDDEN: [&str; 3] = [".ci", ".cargo", ".github"];

/// The root of the checkout.
pub(crate) struct Workspace {
    root: PathBuf,
}

/// One text file of the checkout.
pub(crate) struct File {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Workspace {
    /// The nearest folder upward that holds this crate.
    pub(crate) fn find() -> Result<Self, Fault> {
        let here = std::env::current_dir().map_err(|source| fault(Path::new("."), source))?;
        let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => {
                let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no checkout here or above");
                Err(fault(&here, source))
            }
        }
    }

    /// The folder itself, for a command to run in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn read(&self, path: &str) -> Result<String, Fault> {
        let path = self.root.join(path);
        fs::read_to_string(&path).map_err(|source| fault(&path, source))
    }

    /// As `read`, but a file that is not there is empty.
    pub(crate) fn read_or_empty(&self, path: &str) -> Result<String, Fault> {
        match self.read(path) {
            Err(Fault::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(String::new())
            }
            other => other,
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<(), Fault> {
        let path = self.root.join(path);
        fs::write(&path, text).map_err(|source| fault(&path, source))
    }

    /// Every file whose path `wanted` accepts and that is UTF-8, ordered by path.
    pub(crate) fn files(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<File>, Fault> {
        let mut paths = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|source| fault(&folder, source))? {
                let entry = entry.map_err(|source| fault(&folder, source))?;
                let kind = entry.file_type().map_err(|source| fault(&entry.path(), source))?;
                if kind.is_dir() && is_ours(&entry.file_name().to_string_lossy()) {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    paths.push(self.relative(&entry.path()));
                }
            }
        }
        paths.retain(|path| wanted(path));
        paths.sort();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let full = self.root.join(&path);
            let bytes = fs::read(&full).map_err(|source| fault(&full, source))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
        Ok(files)
    }

    fn relative(&self, path: &Path) -> String {
        let inner = path.strip_prefix(&self.root).unwrap_or(path);
        let names: Vec<_> = inner.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        names.join("/")
    }
}

fn is_ours(folder: &str) -> bool {
    if folder.starts_with('.') { OURS_THOUGH_HIDDEN.contains(&folder) } else { !FOREIGN.contains(&folder) }
}

fn fault(path: &Path, source: std::io::Error) -> Fault {
    Fault::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_foreign_folders_are_passed_by_except_our_own() {
        assert!(is_ours("crates"));
        assert!(is_ours(".ci"));
        assert!(!is_ours(".git"));
        assert!(!is_ours("target"));
    }

    #[test]
    fn files_are_named_from_the_root_and_in_order() {
        let workspace = Workspace::find().unwrap();

        let files = workspace.files(|path| path.starts_with("xtask/src/")).unwrap();

        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"xtask/src/workspace.rs"));
        assert!(paths.is_sorted());
    }
}
