//! Log-in by certificates of an authority that takes some of them back.
//!
//! In:    the Client's own certificate; the authority's list of what it took back, read again when it changes.
//! Out:   as [`Certificates`] says, but that a certificate on the list is nobody's, for those who are in, too.
//! Never: the list given up for one that cannot be read: it stays as it was, and the log says why.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attempt::{Attempt, Authenticator, Denial, Known, Outcome, Standing};
use super::certificate::{Certificates, attributes};
use super::crl::plain;
use super::watched::{Contents, Watched};
use crate::authority::Revocations;

/// Where the serial number of a certificate is among the attributes.
const SERIAL: &str = "cert.serial";

/// The numbers of the certificates that an authority took back; in PEM.
#[derive(Debug)]
pub struct Revoked(BTreeSet<Box<str>>);

/// Authenticates by certificates of that authority.
#[derive(Debug)]
pub struct Devices {
    certificates: Certificates,
    revoked: Arc<Watched<Revoked>>,
}

impl Contents for Revoked {
    const WHAT: &'static str = "list of revoked certificates";

    fn read(pem: &[u8]) -> Result<Self, String> {
        let list = Revocations::from_pem(pem)?;
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self(list.serials().map(|serial| plain(&digits(serial.as_bytes())).into()).collect()))
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

impl Revoked {
    fn holds(&self, serial: &str) -> bool {
        self.0.contains(plain(serial))
    }
}

impl Devices {
    /// For certificates that are not on that list.
    #[must_use]
    pub fn new(certificates: Certificates, revoked: Arc<Watched<Revoked>>) -> Self {
        Self { certificates, revoked }
    }
}

impl Authenticator for Devices {
    fn review(&self, known: Known<'_>) -> Standing {
        // One without a number was not let in by a certificate.
        let is_good =
            known.attributes.get(SERIAL).is_some_and(|serial| !self.revoked.contents().holds(serial));
        if is_good { Standing::Same } else { Standing::Gone }
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let Some(der) = &attempt.certificate else { return Outcome::Pass };
        // TLS reads the list again less often, and may have resumed an earlier handshake.
        match attributes(der).get(SERIAL) {
            Some(serial) if !self.revoked.contents().holds(serial) => self.certificates.authenticate(attempt),
            Some(_) => Outcome::Deny(Denial::Revoked),
            None => Outcome::Deny(Denial::UnfitCertificate),
        }
    }
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
        let list = Watched::<Revoked>::open(&crate::authority::Files::of(&directory).revoked).unwrap();
        assert!(!list.contents().holds("01") && !list.poll());
        let field = Field::CommonName;
        let rule = Certificates { username: field, client_id: ClientIdRule::Match(field) };
        let devices = Devices::new(rule, Arc::new(list));
        assert!(matches!(devices.authenticate(&attempt()), Outcome::Pass));
        let known = Known { username: Some("a"), client_id: "c", groups: &[], attributes: &[].into() };
        assert_eq!(devices.review(known), Standing::Gone);
    }

    #[test]
    fn numbers_are_the_same_with_and_without_the_zero_byte() {
        assert_eq!((plain("00ff01"), plain("ff01"), plain("0a00")), ("ff01", "ff01", "0a00"));
    }
}
