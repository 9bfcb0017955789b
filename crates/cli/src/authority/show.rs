//! Certificates in words.

use dunlin_security::authority::{Authority, Certificate, Moment};
use ring::digest::{SHA256, digest};

use crate::failure::Failure;

/// How many days before its end a certificate is worth a word.
pub(crate) const SOON: i64 = 30;

/// In one word, or two.
pub(super) fn state(certificate: &Certificate, revoked: Option<Moment>, now: Moment) -> &'static str {
    if revoked.is_some() {
        "revoked"
    } else if certificate.ends <= now {
        "expired"
    } else if now.days_until(certificate.ends) < SOON {
        "expires soon"
    } else {
        "valid"
    }
}

/// An authority, what its server shows, and how much it issued.
pub(super) fn authority(authority: &Authority, now: Moment) -> Result<String, Failure> {
    let root = authority.certificate();
    let issued = authority.issued()?;
    let list = authority.revocations()?;
    let devices =
        issued.iter().filter(|issued| issued.certificate.for_clients && issued.is_valid(now)).count();
    let row = |what: &str, value: &str| format!("{what:<14}{value}\n");
    let mut text = row("authority", &root.subject);
    text += &row("  valid until", &format!("{} ({})", root.ends, state(root, None, now)));
    text += &row("  file", &authority.files().authority.display().to_string());
    text += &row("  SHA-256", &fingerprint(root.der()));
    match authority.server() {
        Some(server) => {
            text += &row("server", &server.subject);
            text += &row("  valid until", &format!("{} ({})", server.ends, state(&server, None, now)));
            text += &row("  names", &server.names.join(", "));
        }
        None => text += &row("server", "no certificate that can be read; `dunlin ca server` makes one"),
    }
    text += &row("devices", &format!("{devices} with a valid certificate"));
    text += &row("revoked", &format!("{}, next list by {}", list.len(), list.next));
    Ok(text)
}

/// As browsers and openssl show it.
fn fingerprint(der: &[u8]) -> String {
    let bytes = digest(&SHA256, der);
    bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
