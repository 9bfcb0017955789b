//! Certificates and keys that are weak, expired, or open to others.

use std::fs;
use std::path::Path;

use dunlin_security::authority::{Certificate, Moment, mode_of};

use super::finding::{Finding, Findings, Severity};
use crate::authority::SOON;
use crate::data::shell;

/// The end of a certificate is very near within so many days.
const VERY_SOON: i64 = 7;

/// Longer than this a certificate is as good as for ever, in days: 20 years.
const FOR_EVER: i64 = 7305;

/// A certificate that somebody shows, wherever it was found. `mend` gets another one.
pub(super) fn examine(
    certificate: &Certificate,
    place: &str,
    mend: &str,
    now: Moment,
    findings: &mut Findings,
) {
    let mut add = |severity, check, what: String| {
        let (place, mend) = (place.to_owned(), mend.to_owned());
        findings.add(Finding { severity, check, place, what, mend });
    };
    let name = &certificate.subject;
    let days = now.days_until(certificate.ends);
    if certificate.ends <= now {
        add(
            Severity::High,
            "certificate-expired",
            format!("the certificate {name:?} expired: {}", certificate.ends),
        );
    } else if days < SOON {
        let severity = if days < VERY_SOON { Severity::High } else { Severity::Medium };
        let left = if days == 0 { "less than a day".to_owned() } else { format!("{days} days") };
        add(severity, "certificate-ends-soon", format!("the certificate {name:?} ends in {left}"));
    }
    if certificate.begins > now {
        let begins = certificate.begins;
        add(Severity::High, "certificate-not-yet-valid", format!("the certificate {name:?} begins {begins}"));
    }
    if certificate.key.is_weak() {
        add(Severity::High, "weak-key", format!("the key of {name:?} is {}", certificate.key));
    }
    if certificate.has_weak_signature && !certificate.is_self_signed {
        let what = format!("{name:?} was signed with MD5 or SHA-1, which can be forged");
        add(Severity::High, "weak-signature", what);
    }
    if certificate.begins.days_until(certificate.ends) > FOR_EVER {
        let what =
            format!("the certificate {name:?} is valid until {}: nobody will renew it", certificate.ends);
        add(Severity::Low, "certificate-without-end", what);
    }
}

/// Every certificate in a file. One that cannot be read is said as well.
pub(super) fn examine_file(path: &Path, mend: &str, now: Moment, findings: &mut Findings) {
    let place = path.display().to_string();
    let read = fs::read(path).map_err(|error| error.to_string());
    let all = read.and_then(|pem| Certificate::all_from_pem(&pem).map_err(|error| error.to_string()));
    match all {
        Ok(all) => all.iter().for_each(|certificate| examine(certificate, &place, mend, now, findings)),
        Err(error) => findings.add(Finding {
            severity: Severity::Medium,
            check: "certificate-unreadable",
            place,
            what: error,
            mend: mend.to_owned(),
        }),
    }
}

/// A file that holds a secret.
pub(super) fn examine_secret(path: &Path, findings: &mut Findings) {
    let Ok(mode) = mode_of(path) else { return };
    let (severity, whom) = match (mode & 0o007, mode & 0o070) {
        (0, 0) => return,
        (0, _) => (Severity::Medium, "its group"),
        _ => (Severity::High, "everybody on this machine"),
    };
    let allowed = if mode & 0o022 == 0 { "read" } else { "written" };
    let mode_should_be = if path.is_dir() { 700 } else { 600 };
    findings.add(Finding {
        severity,
        check: "secret-readable",
        place: path.display().to_string(),
        what: format!("can be {allowed} by {whom} (mode {mode:o})"),
        mend: format!("chmod {mode_should_be} {}", shell(&path.display().to_string())),
    });
}
