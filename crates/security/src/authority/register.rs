//! What was issued: a copy of every certificate, in `DATA/pki/issued/`.
//!
//! In:    certificates.
//! Out:   who has which, and until when.
//! Never: a key.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{PUBLIC, fault, write_file};
use super::{AuthorityError, Certificate, Moment, Revocations, Serial, Signed};

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// What stands in it.
    pub certificate: Certificate,
    /// When it was taken back.
    pub revoked: Option<Moment>,
}

impl Issued {
    /// Does anybody take it?
    #[must_use]
    pub fn is_valid(&self, now: Moment) -> bool {
        self.revoked.is_none() && self.certificate.ends > now
    }
}

pub(super) fn add(directory: &Path, signed: &Signed) -> Result<(), AuthorityError> {
    write_file(&file(directory, &signed.certificate.serial), signed.certificate_pem.as_bytes(), PUBLIC)
}

pub(super) fn remove(directory: &Path, serial: &Serial) -> Result<(), AuthorityError> {
    let path = file(directory, serial);
    fs::remove_file(&path).map_err(fault("remove", &path))
}

/// All, by name and then by when they began.
pub(super) fn list(directory: &Path, revocations: &Revocations) -> Result<Vec<Issued>, AuthorityError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault("read", directory))? {
        let path = entry.map_err(fault("read", directory))?.path();
        if path.extension().is_none_or(|extension| extension != "crt") {
            continue;
        }
        let pem = fs::read(&path).map_err(fault("read", &path))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| AuthorityError::Unusable {
            path,
            problem: error.to_string(),
            expected: "the certificate that was issued under this number",
        })?;
        let revoked = revocations.when(&certificate.serial);
        all.push(Issued { certificate, revoked });
    }
    all.sort_by(|one, other| {
        let key = |issued: &Issued| (issued.certificate.subject.clone(), issued.certificate.begins);
        key(one).cmp(&key(other))
    });
    Ok(all)
}

fn file(directory: &Path, serial: &Serial) -> PathBuf {
    directory.join(format!("{serial}.crt"))
}
