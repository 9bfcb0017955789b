//! A running broker, as somebody finds it who knows its address and nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;

use dunlin_security::authority::Moment;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::certificates;
use super::finding::{Finding, Findings, Severity};
use super::probe::{self, Line, Shown};
use super::target::Target;
use crate::failure::Failure;

/// Names and passwords that brokers are shipped with and tutorials use.
pub(super) const KNOWN: [(&str, &str); 8] = [
    ("admin", "admin"),
    ("admin", "public"),
    ("admin", "password"),
    ("guest", "guest"),
    ("mqtt", "mqtt"),
    ("user", "user"),
    ("test", "test"),
    ("root", "root"),
];

/// What gets a certificate that clients can verify.
const ANOTHER: &str =
    "another certificate for the server; of a Dunlin with its own authority: dunlin ca server";

/// Looks at it.
///
/// # Errors
/// Where it cannot be reached, and where the file of authorities cannot be read.
pub(super) fn examine(
    target: &Target,
    authorities: Option<&Path>,
    now: Moment,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let unreachable = |error: io::Error| Failure::Doctor(format!("cannot connect to {target}: {error}"));
    let roots = authorities.map(roots).transpose()?;
    let mut add = |severity, check, what: String, mend: &str| {
        findings.add(Finding { severity, check, place: target.to_string(), what, mend: mend.to_owned() });
    };
    let (line, shown) = match probe::tls(target).map_err(unreachable)? {
        Some((line, shown)) => (line, Some(shown)),
        None => {
            let severity = if target.is_loopback() { Severity::Medium } else { Severity::High };
            let what = "no TLS: whoever is on the way reads everything, passwords included";
            add(severity, "no-tls", what.to_owned(), "url = \"tls://0.0.0.0:8883\"");
            (Line::plain(target).map_err(unreachable)?, None)
        }
    };
    let is_tls = shown.is_some();
    if is_tls && probe::speaks_old_tls(target).map_err(unreachable)? {
        let what = "TLS 1.0 or 1.1 is spoken, which can be broken".to_owned();
        add(Severity::Medium, "old-tls", what, "TLS 1.2 as the least version, in the server's configuration");
    }
    admission(target, line, is_tls, &mut add);
    findings.looked_at(target);
    if let Some(shown) = shown {
        certificate(target, &shown, roots, now, findings);
    }
    Ok(())
}

/// Whether it lets strangers in, and what they may read.
fn admission(
    target: &Target,
    mut line: Line,
    is_tls: bool,
    add: &mut impl FnMut(Severity, &'static str, String, &str),
) {
    if line.is_admitted(None) {
        let mend = "of a Dunlin: dunlin serve without --dev; of a Mosquitto: allow_anonymous false";
        add(Severity::Critical, "anonymous", "anybody is let in, without a password".to_owned(), mend);
        readable(&mut line, "anybody", add);
        line.leave();
        return;
    }
    for (name, password) in KNOWN {
        let again = if is_tls {
            probe::tls(target).map(|tls| tls.map(|(line, _)| line))
        } else {
            Line::plain(target).map(Some)
        };
        let Ok(Some(mut line)) = again else { return };
        if line.is_admitted(Some((name, password))) {
            let what = format!("{name} is let in with a password that everybody knows");
            add(Severity::Critical, "known-password", what, &format!("another password for {name}, or none"));
            readable(&mut line, name, add);
            line.leave();
            return;
        }
    }
}

fn readable(line: &mut Line, who: &str, add: &mut impl FnMut(Severity, &'static str, String, &str)) {
    if line.is_granted("#") {
        let mend = "a rule that lets each client read its own topics only";
        add(
            Severity::Critical,
            "everything-readable",
            format!("{who} may subscribe to #: every message"),
            mend,
        );
    }
    if line.is_granted("$SYS/#") {
        let mend = "a rule that keeps $SYS/# for administrators";
        add(
            Severity::Medium,
            "system-readable",
            format!("{who} may subscribe to $SYS/#: the server's affairs"),
            mend,
        );
    }
}

fn certificate(
    target: &Target,
    shown: &Shown,
    roots: Option<RootCertStore>,
    now: Moment,
    findings: &mut Findings,
) {
    let Some(certificate) = shown.certificate() else { return };
    let place = target.to_string();
    certificates::examine(&certificate, &place, ANOTHER, now, findings);
    if !certificate.is_named(&target.host) {
        let has = certificate.names.join(", ");
        let mend = format!("dunlin ca server --name {}", target.host);
        let what =
            format!("the certificate is not for {}, but for {has}: clients must not verify it", target.host);
        findings.add(Finding {
            severity: Severity::Medium,
            check: "wrong-name",
            place: place.clone(),
            what,
            mend,
        });
    }
    if roots.is_some_and(|roots| !is_trusted(target, shown, roots, now)) {
        let what = "the certificate is not from the authorities of --cafile".to_owned();
        let mend = ANOTHER.to_owned();
        findings.add(Finding { severity: Severity::High, check: "untrusted-certificate", place, what, mend });
    }
}

/// Is it from them? Its name and its time are other findings.
fn is_trusted(target: &Target, shown: &Shown, roots: RootCertStore, now: Moment) -> bool {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let (Ok(verifier), Ok(name)) = (verifier, ServerName::try_from(target.host.clone())) else {
        return false;
    };
    let Some((leaf, intermediates)) = shown.0.split_first() else { return false };
    let seconds = std::time::Duration::from_secs(now.unix().unsigned_abs());
    let verified =
        verifier.verify_server_cert(leaf, intermediates, &name, &[], UnixTime::since_unix_epoch(seconds));
    !matches!(
        verified,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::BadEncoding
        ))
    )
}

fn roots(path: &Path) -> Result<RootCertStore, Failure> {
    let fault =
        |error: &dyn std::fmt::Display| Failure::Doctor(format!("--cafile {}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_file_iter(path).map_err(|error| fault(&error))? {
        let der = der.map_err(|error| fault(&error))?;
        roots.add(der).map_err(|error| fault(&error))?;
    }
    if roots.is_empty() { Err(fault(&"no certificate in it")) } else { Ok(roots) }
}
