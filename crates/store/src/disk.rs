//! What the log needs of a disk, so that a test can hand in one that tears, lies and fills.
//!
//! In:    names in one flat directory, and in one below it for quarantined bytes.
//! Out:   files read and written at offsets; errors as values.
//! Never: what the bytes mean.

use std::fmt::Debug;
use std::io;

/// A directory on some disk. Cloning gives another handle to the same one.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile + Debug;
    /// Holds the directory until it is dropped or the process ends.
    type Lock: Debug + Send + Sync;

    /// Takes the directory for this process alone; `WouldBlock` if another one has it.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self) -> io::Result<Self::Lock>;

    /// Opens an existing file to read and write.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Makes a file, or empties the one that has the name.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in place of the file that had it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; its room comes back when nobody has it open.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The files with their lengths in bytes, in the order of their names; not the quarantined ones.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Bytes of the quarantined files.
    ///
    /// # Errors
    /// What the system says.
    fn quarantined(&self) -> io::Result<u64>;

    /// Makes creations, renames and removals safe.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// 32 bytes that nobody can guess: salts.
    ///
    /// # Errors
    /// What the system says.
    fn entropy(&self) -> io::Result<[u8; 32]>;
}

/// An open file. Any number of threads may use it.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads at most `into.len()` bytes; 0 at the end. May read fewer for no reason.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`, or fails with any part of them written.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Gives the file this length and room on the disk for all of it.
    ///
    /// # Errors
    /// What the system says, `StorageFull` among it.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes everything written to the file safe (`fdatasync`).
    ///
    /// # Errors
    /// What the system says. Nothing written since the last success may be trusted then.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `into` as far as the file goes; says how far that was.
pub(crate) fn read_full(file: &impl DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
