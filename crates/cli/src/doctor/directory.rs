//! A data directory: the authority, the server's certificate, the devices', and who may read all that.

use std::collections::BTreeMap;

use dunlin_security::authority::{Authority, AuthorityError, Files, Moment};
use dunlin_security::identity::password;

use super::certificates::{self, examine_secret};
use super::finding::{Finding, Findings, Severity};
use super::stranger::KNOWN;
use crate::authority::SOON;
use crate::data::shell;
use crate::failure::Failure;
use crate::start::administrator;
use crate::user;

/// Devices whose certificates are about to end are named one by one, up to so many.
const NAMED: usize = 20;

/// Looks at it.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub(super) fn examine(files: &Files, now: Moment, findings: &mut Findings) -> Result<(), Failure> {
    let authority = Authority::open(&files.data)?;
    findings.looked_at(files.data.display());
    for secret in [&files.directory, &files.authority_key, &files.server_key] {
        examine_secret(secret, findings);
    }
    let place = files.authority.display().to_string();
    certificates::examine(authority.certificate(), &place, "dunlin ca renew --authority", now, findings);
    let place = files.server.display().to_string();
    match authority.server() {
        Some(server) => certificates::examine(&server, &place, "dunlin ca renew", now, findings),
        None => findings.add(Finding {
            severity: Severity::Medium,
            check: "certificate-unreadable",
            place,
            what: "there is no certificate in it".to_owned(),
            mend: "dunlin ca server".to_owned(),
        }),
    }
    if authority.revocations()?.next < now {
        findings.add(Finding {
            severity: Severity::Medium,
            check: "revocations-outdated",
            place: files.revoked.display().to_string(),
            what: "the list of revoked certificates should have been renewed".to_owned(),
            mend: "dunlin ca renew".to_owned(),
        });
    }
    devices(&authority, now, findings)?;
    users(files, findings)?;
    Ok(())
}

fn users(files: &Files, findings: &mut Findings) -> Result<(), Failure> {
    let path = user::file(&files.data);
    examine_secret(&path, findings);
    let users = password::list(&path)?;
    for (name, word) in KNOWN {
        let hash = users.get(name).and_then(|user| user.password.as_ref());
        if hash.is_some_and(|hash| hash.verify(word.as_bytes())) {
            findings.add(Finding {
                severity: Severity::Critical,
                check: "known-password",
                place: path.display().to_string(),
                what: format!("{name} has a password that everybody knows"),
                mend: format!("dunlin user passwd {name}"),
            });
        }
    }
    let first = files.data.join(administrator::FILE);
    if first.exists() {
        examine_secret(&first, findings);
        findings.add(Finding {
            severity: Severity::Low,
            check: "first-password",
            place: first.display().to_string(),
            what: "the administrator's first password is still in a file".to_owned(),
            mend: format!("rm {}", shell(&first.display().to_string())),
        });
    }
    Ok(())
}

fn devices(authority: &Authority, now: Moment, findings: &mut Findings) -> Result<(), AuthorityError> {
    let issued = authority.issued()?;
    let mut last: BTreeMap<&str, Moment> = BTreeMap::new();
    for issued in issued.iter().filter(|issued| issued.certificate.for_clients && issued.is_valid(now)) {
        let ends = last.entry(&issued.certificate.subject).or_insert(issued.certificate.ends);
        *ends = issued.certificate.ends.max(*ends);
    }
    let ends_soon = last.into_iter().filter(|(_, ends)| now.days_until(*ends) < SOON);
    for (name, ends) in ends_soon.take(NAMED) {
        findings.add(Finding {
            severity: Severity::Low,
            check: "device-ends-soon",
            place: format!("device {name}"),
            what: format!("its certificate ends {ends}"),
            mend: format!("dunlin ca renew {name} --out DIR"),
        });
    }
    Ok(())
}
