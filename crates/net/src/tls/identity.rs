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

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// The files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: the key of the server's certificate.
    pub key: PathBuf,
    /// PEM: the authorities whose clients are let in; `None` asks nobody for a certificate.
    pub client_ca: Option<PathBuf>,
    /// Must a client have one?
    pub client_certificate: ClientCertificate,
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
        "client_ca" => {
            "a PEM file with the certificates of the authorities that clients' certificates are from"
        }
        _ => "a PEM file with the server's certificate first and then those that lead to its authority",
    }
}

/// The certificates of a listener, as its newcomers get them.
pub struct TlsListener {
    files: TlsFiles,
    alpn: &'static [u8],
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
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TlsListener").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Reads the files. `alpn` is the protocol that peers may ask for by name.
    ///
    /// # Errors
    /// Where a file is missing or not what it should be.
    pub fn load(files: TlsFiles, alpn: &'static [u8]) -> Result<Self, IdentityError> {
        let provider = Arc::new(ring::default_provider());
        let contents = Contents::read(&files)?;
        let tickets = tickets(&files)?;
        let config = config(&files, &contents, alpn, &provider, &tickets)?;
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
        // A session that is resumed is not verified again: it must not outlive the authorities that it was verified by.
        let same_authorities = contents.client_ca == current.contents.client_ca;
        let tickets = if same_authorities { Arc::clone(&current.tickets) } else { tickets(&self.files)? };
        let config = config(&self.files, &contents, self.alpn, &self.provider, &tickets)?;
        *current = Current { contents, tickets, config };
        Ok(true)
    }

    /// For a newcomer.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, IdentityError> {
        let client_ca = files.client_ca.as_deref().map(|file| read("client_ca", file));
        Ok(Self {
            certificate: read("certificate", &files.certificate)?,
            key: read("key", &files.key)?,
            client_ca: client_ca.transpose()?,
        })
    }
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(file).map_err(|error| fault(key, file, IdentityProblem::Read(error)))
}

fn fault(key: &'static str, file: &Path, problem: IdentityProblem) -> IdentityError {
    IdentityError { key, file: file.to_owned(), problem }
}

fn unusable(key: &'static str, file: &Path, error: &impl fmt::Display) -> IdentityError {
    fault(key, file, IdentityProblem::Unusable(error.to_string()))
}

/// Keys for the tickets with which peers resume their sessions. They change by themselves.
fn tickets(files: &TlsFiles) -> Result<Arc<dyn ProducesTickets>, IdentityError> {
    ring::Ticketer::new().map_err(|error| unusable("certificate", &files.certificate, &error))
}

fn certificates(
    key: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| fault(key, file, IdentityProblem::Pem(error)))?;
    if certificates.is_empty() {
        return Err(fault(key, file, IdentityProblem::Lacks { what: "certificate" }));
    }
    Ok(certificates)
}

fn config(
    files: &TlsFiles,
    contents: &Contents,
    alpn: &[u8],
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let chain = certificates("certificate", &files.certificate, &contents.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
        let problem = match error {
            pem::Error::NoItemsFound => IdentityProblem::Lacks { what: "private key" },
            error => IdentityProblem::Pem(error),
        };
        fault("key", &files.key, problem)
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("certificate", &files.certificate, &error))?;
    let builder = match (&files.client_ca, &contents.client_ca) {
        (Some(file), Some(pem)) => builder.with_client_cert_verifier(verifier(files, file, pem, provider)?),
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let certificate = files.certificate.clone();
            fault("key", &files.key, IdentityProblem::Mismatch { certificate })
        }
        rustls::Error::General(_) => unusable("key", &files.key, &error),
        error => unusable("certificate", &files.certificate, &error),
    })?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.ticketer = Arc::clone(tickets);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn verifier(
    files: &TlsFiles,
    file: &Path,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", file, pem)? {
        roots.add(certificate).map_err(|error| unusable("client_ca", file, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match files.client_certificate {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| unusable("client_ca", file, &error))
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
            TlsFiles {
                certificate: self.0.join("server.crt"),
                key: self.0.join("server.key"),
                client_ca: None,
                client_certificate: ClientCertificate::Required,
            }
        }

        fn refused(&self, files: TlsFiles) -> String {
            let message = TlsListener::load(files, b"mqtt").unwrap_err().to_string();
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
        let files = fixture.files();
        let missing = fixture.refused(TlsFiles { key: fixture.0.join("none"), ..files.clone() });
        assert!(missing.starts_with("key = \"none\": cannot be read: No such file"), "{missing}");
        assert!(
            missing.ends_with("expected: a PEM file with the private key of the certificate, not encrypted")
        );
        let swapped = fixture.refused(TlsFiles {
            certificate: files.key.clone(),
            key: files.certificate.clone(),
            ..files.clone()
        });
        assert!(swapped.starts_with("certificate = \"server.key\": has no certificate in it"), "{swapped}");
        let twice = fixture.refused(TlsFiles { key: files.certificate.clone(), ..files.clone() });
        assert!(twice.starts_with("key = \"server.crt\": has no private key in it"), "{twice}");

        let another = KeyPair::generate().unwrap();
        fs::write(&files.key, another.serialize_pem()).unwrap();
        let mismatch = fixture.refused(files);
        assert!(
            mismatch.starts_with("key = \"server.key\": is not the key of the certificate \"server.crt\""),
            "{mismatch}"
        );
    }

    #[test]
    fn newcomers_get_what_is_in_the_files_now_unless_it_cannot_be_used() {
        let fixture = Fixture::new("reload");
        let listener = TlsListener::load(fixture.files(), b"mqtt").unwrap();
        let first = listener.config();
        assert!(!listener.reload().unwrap());
        assert!(Arc::ptr_eq(&first, &listener.config()));

        fixture.make();
        assert!(listener.reload().unwrap());
        let second = listener.config();
        assert!(!Arc::ptr_eq(&first, &second));

        fs::write(fixture.files().key, "nonsense").unwrap();
        assert!(listener.reload().is_err());
        assert!(Arc::ptr_eq(&second, &listener.config()));
    }
}
