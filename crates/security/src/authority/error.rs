//! Why the authority did not do what it was asked.

use std::io;
use std::path::PathBuf;

use super::{CertificateError, Moment};

/// Why nothing was issued, taken back or read. Nothing is left half done, unless the message says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A directory without an authority.
    #[error("there is no certificate authority in {directory:?}")]
    Missing {
        /// The data directory.
        directory: PathBuf,
    },
    /// It was made before.
    #[error("there is a certificate authority in {directory:?} already")]
    Exists {
        /// The data directory.
        directory: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {path:?}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is there and not what it should be.
    #[error("{path:?} cannot be used: {problem}; expected: {expected}")]
    Unusable {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Files that would be overwritten.
    #[error("{path:?} is there already; it is not overwritten")]
    Occupied {
        /// Which one.
        path: PathBuf,
    },
    /// One name, one device.
    #[error("{name} has a certificate already (serial {serial}, valid until {until})")]
    NameTaken {
        /// Whose.
        name: String,
        /// In hexadecimal digits.
        serial: String,
        /// Its end.
        until: Moment,
    },
    /// Nobody has it.
    #[error("nothing that is valid was issued to {name}")]
    Unknown {
        /// A name or a serial number.
        name: String,
    },
    /// Nothing can be issued any more.
    #[error("the certificate authority has expired ({until})")]
    Expired {
        /// Its end.
        until: Moment,
    },
    /// A certificate signing request that proves nothing.
    #[error("the certificate signing request cannot be used: {problem}")]
    Request {
        /// What is wrong with it.
        problem: String,
    },
    /// A number of days that is none.
    #[error("{days} days is out of range; allowed: 1 to 3650")]
    Days {
        /// What was asked for.
        days: u32,
    },
    /// A certificate that was just made cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The library of certificates refused.
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
    /// The library of PKCS#12 refused.
    #[error("cannot make a PKCS#12 file: {problem}")]
    Pkcs12 {
        /// What it says.
        problem: String,
    },
    /// No entropy.
    #[error("the system has no random numbers")]
    Random,
}
