//! The built-in certificate authority, and what it issues.
//!
//! In:    a data directory, names, the time.
//! Out:   certificates, keys and a list of those that were taken back, as files in `DATA/pki/`.
//! Never: a key that others may read; a file that is half written; a certificate without an end.
//! Spec:  RFC 5280. Keys are ECDSA over P-256, signatures with SHA-256.

mod certificate;
mod error;
mod files;
mod hand_out;
mod issue;
mod machine;
mod moment;
mod name;
mod register;
mod renew;
mod revocation;
mod root;
mod secret;

pub use certificate::{Certificate, CertificateError, KeyKind, Serial};
pub use error::AuthorityError;
pub use files::{Lock, lock, make_directory, mode_of, settle_owner, write_file};
pub use hand_out::{HandOut, Handed, HandedFiles};
pub use issue::{DAYS_OF_DEVICE, DAYS_OF_SERVER, Order, Signed};
pub use machine::Machine;
pub use moment::Moment;
pub use name::{DeviceName, NameError, ServerName};
pub use register::Issued;
pub use renew::Renewed;
pub use revocation::{Reason, Revocations};
pub use root::{Authority, DAYS_OF_AUTHORITY, Files};
pub use secret::secret;

#[cfg(test)]
mod tests;
