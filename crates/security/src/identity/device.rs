//! Log-in by certificates of an authority that takes some of them back.
//!
//! In:    the Client's own certificate; the authority's list of what it took back, read again when it changes.
//! Out:   as [`Certificates`] says, but that a certificate on the list is nobody's, for those who are in, too.
//! Never: an older list in place of a newer one that cannot be read: the list stays as it was, and the log says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tracing::{error, info};

use super::attempt::{Attempt, Authenticator, Denial, Known, Outcome, Standing};
use super::certificate::{Certificates, attributes};
use super::watch::Watch;
use crate::authority::Revocations;

/// Where the serial number of a certificate is among the attributes.
const SERIAL: &str = "cert.serial";

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {problem}")]
pub struct ListError {
    path: PathBuf,
    problem: String,
}

/// The certificates that an authority took back.
#[derive(Debug)]
pub struct Revoked {
    path: PathBuf,
    serials: RwLock<Arc<BTreeSet<Box<str>>>>,
    watch: Mutex<Watch>,
}

/// Authenticates by certificates of that authority.
#[derive(Debug)]
pub struct Devices {
    certificates: Certificates,
    revoked: Arc<Revoked>,
}

impl Revoked {
    /// Reads the list, which is PEM.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, ListError> {
        let watch = Mutex::new(Watch::new(path));
        let serials = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), serials, watch })
    }

    /// Looks whether the list has changed, at most once a second, and takes the new one.
    #[must_use]
    pub fn poll(&self) -> bool {
        self.watch.try_lock().is_ok_and(|mut watch| watch.is_due_and_changed()) && self.reload()
    }

    /// Reads the list again now; false where it cannot be read.
    pub fn reload(&self) -> bool {
        match read(&self.path) {
            Ok(new) => {
                info!(target: "dunlin::authentication", revoked = new.len(), "list of revoked certificates read again");
                *self.serials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                true
            }
            Err(reason) => {
                error!(target: "dunlin::authentication", %reason, "list of revoked certificates cannot be read, the old one stays");
                false
            }
        }
    }

    fn holds(&self, serial: &str) -> bool {
        self.serials.read().unwrap_or_else(PoisonError::into_inner).contains(plain(serial))
    }
}

impl Devices {
    /// For certificates that are not on that list.
    #[must_use]
    pub fn new(certificates: Certificates, revoked: Arc<Revoked>) -> Self {
        Self { certificates, revoked }
    }
}

impl Authenticator for Devices {
    fn review(&self, known: Known<'_>) -> Standing {
        // One without a number was not let in by a certificate.
        let is_good = known.attributes.get(SERIAL).is_some_and(|serial| !self.revoked.holds(serial));
        if is_good { Standing::Same } else { Standing::Gone }
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let Some(der) = &attempt.certificate else { return Outcome::Pass };
        // TLS reads the list again less often, and may have resumed an earlier handshake.
        match attributes(der).get(SERIAL) {
            Some(serial) if !self.revoked.holds(serial) => self.certificates.authenticate(attempt),
            Some(_) => Outcome::Deny(Denial::Revoked),
            None => Outcome::Deny(Denial::UnfitCertificate),
        }
    }
}

fn read(path: &Path) -> Result<BTreeSet<Box<str>>, ListError> {
    let failed = |problem: String| ListError { path: path.to_owned(), problem };
    let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let list = Revocations::from_pem(&pem).map_err(failed)?;
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(list.serials().map(|serial| plain(&digits(serial.as_bytes())).into()).collect())
}

/// DER puts a zero byte before a number whose first bit is set.
fn plain(serial: &str) -> &str {
    serial.trim_start_matches("00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Machine, Moment};
    use crate::identity::certificate::{ClientIdRule, Field};
    use crate::identity::scratch::Scratch;
    use crate::identity::testing::attempt;

    #[test]
    fn the_list_of_a_new_authority_holds_nobody_and_an_attempt_without_certificate_is_passed_on() {
        let folder = Scratch::new("revoked");
        let directory = folder.path("data");
        Authority::create(&directory, &Machine::here(), &[], Moment::now()).unwrap();
        let list = Revoked::open(&crate::authority::Files::of(&directory).revoked).unwrap();
        assert!(!list.holds("01") && !list.poll());
        let field = Field::CommonName;
        let rule = Certificates { username: field, client_id: ClientIdRule::Match(field) };
        let devices = Devices::new(rule, Arc::new(list));
        assert!(matches!(devices.authenticate(&attempt()), Outcome::Pass));
        let known = Known { username: Some("a"), groups: &[], attributes: &[].into() };
        assert_eq!(devices.review(known), Standing::Gone);
    }

    #[test]
    fn numbers_are_the_same_with_and_without_the_zero_byte() {
        assert_eq!((plain("00ff01"), plain("ff01"), plain("0a00")), ("ff01", "ff01", "0a00"));
    }
}
