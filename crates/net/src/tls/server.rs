//! What the library is configured with: identities by name, authorities, revocation lists.
//!
//! In:    the contents of files.
//! Out:   the configuration of a server, or the file that cannot be used, and why.
//! Never: a client whose certificate is revoked, or of whom nobody could say so.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ProducesTickets, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::identity::{
    ClientCertificate, Contents, IdentityContents, IdentityError, IdentityFiles, IdentityProblem, TlsFiles,
    fault, unusable,
};

/// After a handshake of TLS 1.3. A device comes back once with each, and gets another then.
const TICKETS: usize = 1;

/// The identities of a listener, the default first.
struct Identities(Vec<Arc<CertifiedKey>>);

impl fmt::Debug for Identities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identities({})", self.0.len())
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [only] = self.0.as_slice() {
            return Some(Arc::clone(only));
        }
        let signs =
            |identity: &Arc<CertifiedKey>| identity.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = |identity: &Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_of(identity, name));
        let mut usable = self.0.iter().filter(|identity| signs(identity));
        usable.clone().find(|identity| named(identity)).or_else(|| usable.next()).cloned()
    }
}

/// Is the certificate made out to the name?
fn is_of(identity: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = identity.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

pub(super) fn config(
    files: &TlsFiles,
    contents: &Contents,
    alpn: &[Vec<u8>],
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let identities = files.identities.iter().zip(&contents.identities);
    let identities: Result<Vec<_>, _> =
        identities.map(|(files, contents)| identity(files, contents, provider).map(Arc::new)).collect();
    let identities = identities?;
    let first = files.identities.first().map_or(Path::new(""), |files| files.certificate.as_path());
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("certificate", first, &error))?;
    let builder = match (&files.client_ca, &contents.client_ca) {
        (Some(file), Some(pem)) => {
            builder.with_client_cert_verifier(verifier(files, file, pem, contents, provider)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Identities(identities)));
    config.alpn_protocols = alpn.to_vec();
    config.ticketer = Arc::clone(tickets);
    config.send_tls13_tickets = TICKETS;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn identity(
    files: &IdentityFiles,
    contents: &IdentityContents,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, IdentityError> {
    let chain = certificates("certificate", &files.certificate, &contents.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
        let problem = match error {
            pem::Error::NoItemsFound => IdentityProblem::Lacks { what: "private key" },
            error => IdentityProblem::Pem(error),
        };
        fault("key", &files.key, problem)
    })?;
    let mut identity = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let certificate = files.certificate.clone();
            fault("key", &files.key, IdentityProblem::Mismatch { certificate })
        }
        rustls::Error::General(_) => unusable("key", &files.key, &error),
        error => unusable("certificate", &files.certificate, &error),
    })?;
    if let (Some(file), Some(answer)) = (&files.ocsp, &contents.ocsp) {
        if !is_successful(answer) {
            return Err(unusable("ocsp", file, &"it is no successful answer of OCSP"));
        }
        identity.ocsp = Some(answer.clone());
    }
    Ok(identity)
}

/// An `OCSPResponse` of RFC 6960 begins with its status, an enumerated that is 0.
fn is_successful(answer: &[u8]) -> bool {
    let inner = match answer {
        [0x30, short @ ..=0x7f, inner @ ..] if inner.len() == usize::from(*short) => inner,
        [0x30, 0x81, _, inner @ ..] | [0x30, 0x82, _, _, inner @ ..] => inner,
        _ => return false,
    };
    inner.starts_with(&[0x0a, 1, 0])
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

fn verifier(
    files: &TlsFiles,
    file: &Path,
    pem: &[u8],
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", file, pem)? {
        roots.add(certificate).map_err(|error| unusable("client_ca", file, &error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let mut blamed = ("client_ca", file);
    if let (Some(file), Some(pem)) = (&files.client_crl, &contents.client_crl) {
        // Of the client's own certificate only: authorities are taken out of client_ca by whoever runs the server.
        builder = builder.with_crls(revocations(file, pem)?).only_check_end_entity_revocation();
        blamed = ("client_crl", file);
    }
    let builder = match files.client_certificate {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| unusable(blamed.0, blamed.1, &error))
}

fn revocations(file: &Path, pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, IdentityError> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let lists = lists.map_err(|error| fault("client_crl", file, IdentityProblem::Pem(error)))?;
    if lists.is_empty() {
        return Err(fault("client_crl", file, IdentityProblem::Lacks { what: "revocation list" }));
    }
    Ok(lists)
}
