//! What a device gets: its certificate, its key, and the authority's certificate, as files.
//!
//! In:    a name, a directory.
//! Out:   NAME.crt, NAME.key, authority.crt and, if asked for, NAME.p12.
//! Never: a file that was there before overwritten; a certificate that the authority does not remember.

use std::fs;
use std::path::{Path, PathBuf};

use p12_keystore::{Certificate as StoredCertificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

use super::files::{PUBLIC, SECRET, fault, lock, make_directory, parent_of, sync_directory, write_file};
use super::{Authority, AuthorityError, Certificate, DeviceName, Moment, Order, Signed};

/// What is to be handed out.
#[derive(Clone, Debug)]
pub struct HandOut<'a> {
    /// Whose certificate, and with which key.
    pub order: Order,
    /// What the files are called.
    pub name: &'a DeviceName,
    /// Where they go; made where it is not there.
    pub directory: &'a Path,
    /// How long the certificate lasts, in days.
    pub days: u32,
    /// The password of a PKCS#12 file beside the others.
    pub pkcs12: Option<&'a str>,
    /// May the name have a valid certificate already?
    pub again: bool,
}

/// What was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// What stands in the certificate.
    pub certificate: Certificate,
    /// Where everything is.
    pub files: HandedFiles,
}

/// The files of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedFiles {
    /// PEM: the certificate.
    pub certificate_file: PathBuf,
    /// PEM: its key; `None` where the device has it.
    pub key_file: Option<PathBuf>,
    /// PEM: the authority.
    pub authority_file: PathBuf,
    /// Both and the authority, encrypted.
    pub pkcs12_file: Option<PathBuf>,
}

impl Authority {
    /// Issues a certificate and writes the files. They appear when all of them can: the certificate last.
    ///
    /// # Errors
    /// Where the name has a certificate, a file is there already, or the directory cannot be written: then nothing was
    /// issued, unless a file could not be put in its place after all of them had been written.
    pub fn hand_out(&self, wanted: &HandOut<'_>, now: Moment) -> Result<Handed, AuthorityError> {
        let _lock = lock(&self.files.data)?;
        if !wanted.again
            && let Some(taken) = self.valid_of(wanted.name, now)?.first()
        {
            return Err(AuthorityError::NameTaken {
                name: wanted.name.to_string(),
                serial: taken.certificate.serial.to_string(),
                until: taken.certificate.ends,
            });
        }
        let files = HandedFiles::of(wanted);
        if let Some(path) = files.occupied(&self.pem) {
            return Err(AuthorityError::Occupied { path: path.clone() });
        }
        make_directory(wanted.directory)?;
        let staging = wanted.directory.join(format!(".{}.new", wanted.name));
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(fault("remove", &staging))?;
        }
        make_directory(&staging)?;
        let done = self.fill(wanted, &files, &staging, now);
        let _ = fs::remove_dir_all(&staging);
        done.map(|certificate| Handed { certificate, files })
    }

    fn fill(
        &self,
        wanted: &HandOut<'_>,
        paths: &HandedFiles,
        staging: &Path,
        now: Moment,
    ) -> Result<Certificate, AuthorityError> {
        let signed = wanted.order.sign(&self.issuer, self.certificate.ends, wanted.days, now)?;
        let mut moves = Vec::new();
        let mut stage = |path: &Path, bytes: &[u8], mode| {
            let staged = staging.join(path.file_name().unwrap_or_default());
            write_file(&staged, bytes, mode)?;
            moves.push((staged, path.to_owned()));
            Ok::<_, AuthorityError>(())
        };
        if let (Some(path), Some(key)) = (&paths.key_file, &signed.key_pem) {
            stage(path, key.as_bytes(), SECRET)?;
        }
        if let (Some(path), Some(password)) = (&paths.pkcs12_file, wanted.pkcs12) {
            stage(path, &self.pkcs12(&signed, wanted.name, password)?, SECRET)?;
        }
        stage(&paths.authority_file, self.pem.as_bytes(), PUBLIC)?;
        stage(&paths.certificate_file, signed.certificate_pem.as_bytes(), PUBLIC)?;
        super::register::add(&self.files.issued, &signed)?;
        for (staged, path) in &moves {
            fs::rename(staged, path).map_err(fault("write", path))?;
        }
        sync_directory(parent_of(&paths.certificate_file)).map_err(fault("write", wanted.directory))?;
        Ok(signed.certificate)
    }

    fn pkcs12(&self, signed: &Signed, name: &DeviceName, password: &str) -> Result<Vec<u8>, AuthorityError> {
        let key = signed.key_der.as_deref().unwrap_or_default();
        let make = || {
            let chain = [
                StoredCertificate::from_der(signed.certificate.der())?,
                StoredCertificate::from_der(self.certificate.der())?,
            ];
            let id = signed.certificate.serial.as_bytes();
            let entry = PrivateKeyChain::new(id, PrivateKey::from_der(key)?, chain);
            let mut store = KeyStore::new();
            store.add_entry(name.as_str(), KeyStoreEntry::PrivateKeyChain(entry));
            store.writer(password).write()
        };
        make().map_err(|error: p12_keystore::error::Error| AuthorityError::Pkcs12 {
            problem: error.to_string(),
        })
    }
}

impl HandedFiles {
    /// Where everything will be.
    fn of(wanted: &HandOut<'_>) -> Self {
        let file = |suffix: &str| wanted.directory.join(format!("{}.{suffix}", wanted.name));
        let has_key = !matches!(wanted.order, Order::Request(..));
        Self {
            certificate_file: file("crt"),
            key_file: has_key.then(|| file("key")),
            authority_file: wanted.directory.join("authority.crt"),
            pkcs12_file: wanted.pkcs12.filter(|_| has_key).map(|_| file("p12")),
        }
    }

    /// A file that is somebody's already. The same authority's certificate may be there.
    fn occupied(&self, authority: &str) -> Option<&PathBuf> {
        let own = [Some(&self.certificate_file), self.key_file.as_ref(), self.pkcs12_file.as_ref()];
        let is_other =
            |path: &PathBuf| path.exists() && fs::read(path).ok().as_deref() != Some(authority.as_bytes());
        let taken = own.into_iter().flatten().find(|path| path.exists() || **path == self.authority_file);
        taken.or_else(|| Some(&self.authority_file).filter(|path| is_other(path)))
    }
}
