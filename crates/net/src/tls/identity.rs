//! What a TLS listener shows of itself and asks of its peers: certificates from files.
//!
//! In:    the names of files.
//! Out:   the configuration that newcomers get, replaced when the files have changed.
//! Never: a listener without one: files that cannot be used leave what was there.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::ProducesTickets;

use super::{server, validity};

/// The files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// What the server may show of itself: the one that has the name that the peer asks for, else the first.
    pub identities: Vec<IdentityFiles>,
    /// PEM: the authorities whose clients are let in; `None` asks nobody for a certificate.
    pub client_ca: Option<PathBuf>,
    /// PEM: lists of certificates that those authorities have revoked.
    pub client_crl: Option<PathBuf>,
    /// Must a client have one?
    pub client_certificate: ClientCertificate,
}

/// A certificate, its key, and what its authority says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// PEM: the server's certificate, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: the key of the server's certificate.
    pub key: PathBuf,
    /// DER: an answer of the authority (OCSP) that the certificate is not revoked, for peers that ask.
    pub ocsp: Option<PathBuf>,
}

impl TlsFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let identities = self
            .identities
            .iter()
            .flat_map(|files| [Some(&files.certificate), Some(&files.key), files.ocsp.as_ref()]);
        identities.chain([self.client_ca.as_ref(), self.client_crl.as_ref()]).flatten().map(PathBuf::as_path)
    }
}

/// What a client without a certificate gets, where clients are asked for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Its handshake fails.
    #[default]
    Required,
    /// It is let in. One that shows a wrong certificate is not.
    Optional,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {file:?}: {problem}; expected: {}", expected(.key))]
pub struct IdentityError {
    /// The configuration's name for the file.
    pub key: &'static str,
    /// Which one.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: IdentityProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityProblem {
    /// It is not there, or not to be read by this process.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It has none of what it should have.
    #[error("has no {what} in it")]
    Lacks {
        /// What it should have.
        what: &'static str,
    },
    /// It is broken.
    #[error("is not PEM: {0}")]
    Pem(pem::Error),
    /// Certificate and key were not made for each other.
    #[error("is not the key of the certificate {certificate:?}")]
    Mismatch {
        /// The other file.
        certificate: PathBuf,
    },
    /// It is well formed, and yet.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

fn expected(key: &str) -> &'static str {
    match key {
        "key" => "a PEM file with the private key of the certificate, not encrypted",
        "ocsp" => "a DER file with a successful answer of OCSP",
        "client_crl" => "a PEM file with the revocation lists of the authorities in client_ca",
        "client_ca" => {
            "a PEM file with the certificates of the authorities that clients' certificates are from"
        }
        _ => "a PEM file with the server's certificate first and then those that lead to its authority",
    }
}

/// The certificates of a listener, as its newcomers get them.
pub struct TlsListener {
    files: TlsFiles,
    /// The protocols that peers may ask for by name.
    alpn: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

struct Current {
    contents: Contents,
    tickets: Arc<dyn ProducesTickets>,
    config: Arc<ServerConfig>,
}

/// What was in the files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) identities: Vec<IdentityContents>,
    pub(super) client_ca: Option<Vec<u8>>,
    pub(super) client_crl: Option<Vec<u8>>,
}

#[derive(PartialEq, Eq)]
pub(super) struct IdentityContents {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) ocsp: Option<Vec<u8>>,
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TlsListener").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Reads the files. `alpn` are the protocols that peers may ask for by name; those that ask for none are let in.
    ///
    /// # Errors
    /// Where a file is missing or not what it should be.
    pub fn load(files: TlsFiles, alpn: Vec<Vec<u8>>) -> Result<Self, IdentityError> {
        let provider = Arc::new(ring::default_provider());
        let contents = Contents::read(&files)?;
        let tickets = tickets(&files)?;
        let config = server::config(&files, &contents, &alpn, &provider, &tickets)?;
        let current = RwLock::new(Current { contents, tickets, config });
        Ok(Self { files, alpn, provider, current })
    }

    /// The files, as configured.
    #[must_use]
    pub const fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Reads the files again. Newcomers get what is in them now; false where nothing has changed.
    ///
    /// # Errors
    /// Where a file is missing or not what it should be: newcomers get what they got before.
    pub fn reload(&self) -> Result<bool, IdentityError> {
        let contents = Contents::read(&self.files)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if contents == current.contents {
            return Ok(false);
        }
        // A session that is resumed is not verified again: it must not outlive what it was verified by.
        let same_verdicts = contents.client_ca == current.contents.client_ca
            && contents.client_crl == current.contents.client_crl;
        let tickets = if same_verdicts { Arc::clone(&current.tickets) } else { tickets(&self.files)? };
        let config = server::config(&self.files, &contents, &self.alpn, &self.provider, &tickets)?;
        *current = Current { contents, tickets, config };
        Ok(true)
    }

    /// When the first of the certificates that newcomers get ends, in seconds since 1970; `None` where that cannot be read from any.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let leaf = |identity: &IdentityContents| CertificateDer::from_pem_slice(&identity.certificate).ok();
        current
            .contents
            .identities
            .iter()
            .filter_map(leaf)
            .filter_map(|leaf| validity::not_after(&leaf))
            .min()
    }

    /// For a newcomer.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, IdentityError> {
        let identity = |files: &IdentityFiles| {
            Ok(IdentityContents {
                certificate: read("certificate", &files.certificate)?,
                key: read("key", &files.key)?,
                ocsp: optional("ocsp", files.ocsp.as_deref())?,
            })
        };
        Ok(Self {
            identities: files.identities.iter().map(identity).collect::<Result<_, _>>()?,
            client_ca: optional("client_ca", files.client_ca.as_deref())?,
            client_crl: optional("client_crl", files.client_crl.as_deref())?,
        })
    }
}

fn optional(key: &'static str, file: Option<&Path>) -> Result<Option<Vec<u8>>, IdentityError> {
    file.map(|file| read(key, file)).transpose()
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(file).map_err(|error| fault(key, file, IdentityProblem::Read(error)))
}

pub(super) fn fault(key: &'static str, file: &Path, problem: IdentityProblem) -> IdentityError {
    IdentityError { key, file: file.to_owned(), problem }
}

pub(super) fn unusable(key: &'static str, file: &Path, error: &impl fmt::Display) -> IdentityError {
    fault(key, file, IdentityProblem::Unusable(error.to_string()))
}

/// Keys for the tickets with which peers resume their sessions. They change by themselves.
fn tickets(files: &TlsFiles) -> Result<Arc<dyn ProducesTickets>, IdentityError> {
    let file = files.identities.first().map(|files| files.certificate.as_path()).unwrap_or(Path::new(""));
    ring::Ticketer::new().map_err(|error| unusable("certificate", file, &error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A directory with `server.crt` and `server.key`, removed at the end.
    struct Fixture(PathBuf);

    impl Fixture {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("dunlin-identity-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let fixture = Self(path);
            fixture.make();
            fixture
        }

        fn make(&self) {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            fs::write(self.0.join("server.crt"), certificate.pem()).unwrap();
            fs::write(self.0.join("server.key"), key.serialize_pem()).unwrap();
        }

        fn files(&self) -> TlsFiles {
            self.of(&self.0.join("server.crt"), &self.0.join("server.key"))
        }

        fn of(&self, certificate: &Path, key: &Path) -> TlsFiles {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            TlsFiles {
                identities: vec![IdentityFiles { certificate, key, ocsp: None }],
                client_ca: None,
                client_crl: None,
                client_certificate: ClientCertificate::Required,
            }
        }

        fn refused(&self, files: TlsFiles) -> String {
            let message = TlsListener::load(files, vec![b"mqtt".to_vec()]).unwrap_err().to_string();
            message.replace(&format!("{}/", self.0.display()), "")
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_what_is_expected() {
        let fixture = Fixture::new("refused");
        let IdentityFiles { certificate, key, .. } = fixture.files().identities.remove(0);
        let missing = fixture.refused(fixture.of(&certificate, &fixture.0.join("none")));
        assert!(missing.starts_with("key = \"none\": cannot be read: No such file"), "{missing}");
        assert!(
            missing.ends_with("expected: a PEM file with the private key of the certificate, not encrypted")
        );
        let swapped = fixture.refused(fixture.of(&key, &certificate));
        assert!(swapped.starts_with("certificate = \"server.key\": has no certificate in it"), "{swapped}");
        let twice = fixture.refused(fixture.of(&certificate, &certificate));
        assert!(twice.starts_with("key = \"server.crt\": has no private key in it"), "{twice}");

        let another = KeyPair::generate().unwrap();
        fs::write(&key, another.serialize_pem()).unwrap();
        let mismatch = fixture.refused(fixture.files());
        assert!(
            mismatch.starts_with("key = \"server.key\": is not the key of the certificate \"server.crt\""),
            "{mismatch}"
        );
        fixture.make();

        let mut stapled = fixture.files();
        stapled.identities[0].ocsp = Some(certificate.clone());
        let stapled = fixture.refused(stapled);
        assert!(
            stapled.starts_with("ocsp = \"server.crt\": cannot be used: it is no successful answer"),
            "{stapled}"
        );
        let with_crl = TlsFiles {
            client_ca: Some(certificate.clone()),
            client_crl: Some(certificate),
            ..fixture.files()
        };
        let refused = fixture.refused(with_crl);
        assert!(
            refused.starts_with("client_crl = \"server.crt\": has no revocation list in it"),
            "{refused}"
        );
    }

    #[test]
    fn newcomers_get_what_is_in_the_files_now_unless_it_cannot_be_used() {
        let fixture = Fixture::new("reload");
        let listener = TlsListener::load(fixture.files(), Vec::new()).unwrap();
        let first = listener.config();
        assert!(!listener.reload().unwrap());
        assert!(Arc::ptr_eq(&first, &listener.config()));

        fixture.make();
        assert!(listener.reload().unwrap());
        let second = listener.config();
        assert!(!Arc::ptr_eq(&first, &second));

        fs::write(&fixture.files().identities[0].key, "nonsense").unwrap();
        assert!(listener.reload().is_err());
        assert!(Arc::ptr_eq(&second, &listener.config()));
    }
}
