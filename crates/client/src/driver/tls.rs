//! Whom to trust: the Server's certificate is verified, against the system's authorities or one's own.
//!
//! Never: skips that unless told so by name ([`Tls::insecure`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// How to trust the Server and be trusted.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Files of certificates (PEM) of the only authorities to trust; empty: the system's.
    pub authorities: Vec<PathBuf>,
    /// This client's certificates and private key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the certificate must have; `None`: the host's.
    pub server_name: Option<String>,
    /// Any certificate will do. The traffic is then encrypted to whoever answers.
    pub insecure: bool,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no certificate or key.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system has no authorities.
    #[error("this system has no certificate authorities; name one's own")]
    NoAuthorities,
    /// What rustls says of the certificates and the key.
    #[error("{0}")]
    Unusable(#[from] rustls::Error),
    /// Neither a name nor an address.
    #[error("{0:?} is no name that a certificate could have")]
    ServerName(String),
}

impl Tls {
    /// Reads the files: what a connection of one's own with rustls takes.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider).build();
            let verifier = verifier.map_err(|_| TlsError::NoAuthorities)?;
            builder.dangerous().with_custom_certificate_verifier(verifier)
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let certificates = read_certificates(certificates)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error.to_string()))?;
                builder.with_client_auth_cert(certificates, key)?
            }
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        if self.authorities.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) };
        }
        for path in &self.authorities {
            for certificate in read_certificates(path)? {
                roots.add(certificate).map_err(|error| file(path, error.to_string()))?;
            }
        }
        Ok(roots)
    }

    /// What the certificate of a host must be for.
    ///
    /// # Errors
    /// A text that no certificate can be for.
    pub fn name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
    }
}

fn file(path: &Path, reason: String) -> TlsError {
    TlsError::File { path: path.to_owned(), reason }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(file(path, "no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// [`Tls::insecure`]: takes any certificate, as long as the Server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a handshake failed at, in words for a person.
pub(crate) fn explain(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else { return error.to_string() };
    let words = match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::UnknownIssuer => "no authority that is trusted here has issued it",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host"
        }
        CertificateError::Revoked => "it is revoked",
        _ => return format!("the server's certificate is refused: {error}"),
    };
    format!("the server's certificate is refused: {words} ({error})")
}
