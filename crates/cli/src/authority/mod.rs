//! `dunlin ca` and `dunlin device`: the certificate authority of a data directory, from the command line.
//!
//! In:    names, directories.
//! Out:   certificates and keys in files; what was done, on standard output.
//! Never: a private key on standard output.

mod ca;
mod device;
mod hand_out;
mod show;

pub(crate) use ca::Ca;
pub(crate) use device::Device;
pub(crate) use hand_out::publish_commands;
#[cfg(feature = "api")]
pub(crate) use show::SOON;

use std::path::Path;

use dunlin_security::authority::Authority;

use crate::failure::Failure;

/// The authority of a data directory; where there is none, what makes one.
fn open(data: &Path) -> Result<Authority, Failure> {
    Authority::open(data).map_err(Failure::from)
}
