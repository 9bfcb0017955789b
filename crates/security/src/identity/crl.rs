//! Certificates of other authorities, some of which they took back: the lists that a listener names.
//!
//! In:    a PEM file with one list or several, read again when it changes; certificates, and who was let in by one.
//! Out:   whoever shows a certificate that is listed is nobody, and so is whoever was let in by it.
//! Never: older lists in place of newer ones that cannot be read: they stay as they were, and the log says why. Signatures:
//!        TLS looks at these, and takes no list without one; the file is the operator's.
//! Spec:  RFC 5280 section 5.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::attempt::{Attempt, Authenticator, Denial, Known, Outcome, Standing};
use super::certificate::attributes;
use super::watched::{Contents, Watched};

/// Where a certificate's number and its issuer are among the attributes.
const SERIAL: &str = "cert.serial";
const ISSUER: &str = "cert.issuer";

/// The numbers of certificates that authorities took back, by issuer.
#[derive(Debug)]
pub struct RevocationLists(BTreeMap<Box<str>, BTreeSet<Box<str>>>);

/// Lets nobody in by a certificate that is listed, and nobody stay.
pub struct Unlisted {
    proof: Arc<dyn Authenticator>,
    lists: Arc<Watched<RevocationLists>>,
}

impl Contents for RevocationLists {
    const WHAT: &'static str = "revocation lists";

    fn read(pem: &[u8]) -> Result<Self, String> {
        let mut revoked: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
        for der in CertificateRevocationListDer::pem_slice_iter(pem) {
            let der = der.map_err(|error| error.to_string())?;
            let (_, list) = CertificateRevocationList::from_der(&der).map_err(|error| error.to_string())?;
            let serials = revoked.entry(list.issuer().to_string().into()).or_default();
            for entry in list.iter_revoked_certificates() {
                let digits: String = entry.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
                serials.insert(plain(&digits).into());
            }
        }
        if revoked.is_empty() {
            return Err("there is no revocation list in it".to_owned());
        }
        Ok(Self(revoked))
    }

    fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}

impl RevocationLists {
    /// Is the certificate with these attributes listed? Its issuer is left out where the certificate does not name it in
    /// words: a number too many is refused rather than one too few.
    fn holds(&self, attributes: &BTreeMap<Box<str>, Box<str>>) -> bool {
        let Some(serial) = attributes.get(SERIAL).map(|serial| plain(serial)) else { return false };
        match attributes.get(ISSUER) {
            Some(issuer) => self.0.get(issuer).is_some_and(|serials| serials.contains(serial)),
            None => self.0.values().any(|serials| serials.contains(serial)),
        }
    }
}

impl Unlisted {
    /// As `proof` says, but for those who are listed.
    #[must_use]
    pub fn new(proof: Arc<dyn Authenticator>, lists: Arc<Watched<RevocationLists>>) -> Self {
        Self { proof, lists }
    }
}

impl Authenticator for Unlisted {
    fn method(&self) -> Option<&'static str> {
        self.proof.method()
    }

    fn review(&self, known: Known<'_>) -> Standing {
        if self.lists.contents().holds(known.attributes) { Standing::Gone } else { self.proof.review(known) }
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        // A handshake may have been resumed, or have come before the list.
        let is_listed =
            attempt.certificate.as_ref().is_some_and(|der| self.lists.contents().holds(&attributes(der)));
        if is_listed { Outcome::Deny(Denial::Revoked) } else { self.proof.authenticate(attempt) }
    }
}

/// DER puts a zero byte before a number whose first bit is set.
pub(super) fn plain(serial: &str) -> &str {
    serial.trim_start_matches("00")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;
    use crate::identity::certificate::{Certificates, ClientIdRule, Field};
    use crate::identity::scratch::Scratch;
    use crate::identity::testing::attempt;

    struct Authority(Issuer<'static, KeyPair>);

    impl Authority {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Self(Issuer::new(params, KeyPair::generate().unwrap()))
        }

        fn client(&self, number: u64) -> Arc<[u8]> {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, "pump");
            params.serial_number = Some(SerialNumber::from(number));
            Arc::from(&**params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der())
        }

        fn list(&self, numbers: &[u64]) -> String {
            let revoked = |number: &u64| RevokedCertParams {
                serial_number: SerialNumber::from(*number),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            };
            let params = CertificateRevocationListParams {
                this_update: date_time_ymd(2026, 1, 1),
                next_update: date_time_ymd(2036, 1, 1),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: numbers.iter().map(revoked).collect(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            params.signed_by(&self.0).unwrap().pem().unwrap()
        }
    }

    fn unlisted(lists: &Arc<Watched<RevocationLists>>) -> Unlisted {
        let certificates = Certificates { username: Field::CommonName, client_id: ClientIdRule::Free };
        Unlisted::new(Arc::new(certificates), Arc::clone(lists))
    }

    fn is_in(proof: &Unlisted, certificate: &Arc<[u8]>) -> bool {
        let attempt = Attempt { certificate: Some(Arc::clone(certificate)), ..attempt() };
        let attributes = attributes(certificate);
        let known = Known { username: Some("pump"), client_id: "c", groups: &[], attributes: &attributes };
        let stays = proof.review(known) == Standing::Same;
        let enters = matches!(proof.authenticate(&attempt), Outcome::Allow(_));
        assert_eq!(stays, enters);
        stays
    }

    #[test]
    fn a_number_is_revoked_for_the_issuer_that_lists_it() {
        let folder = Scratch::new("crl");
        let (one, other) = (Authority::new("one"), Authority::new("other"));
        let path = folder.file("lists.pem", [one.list(&[7, 0xff01]), other.list(&[8])].concat());
        let proof = unlisted(&Arc::new(Watched::open(&path).unwrap()));

        assert!(!is_in(&proof, &one.client(7)) && !is_in(&proof, &one.client(0xff01)));
        assert!(is_in(&proof, &one.client(8)) && is_in(&proof, &other.client(7)));
        assert!(!is_in(&proof, &other.client(8)));
        assert!(matches!(proof.authenticate(&attempt()), Outcome::Pass));
    }

    #[test]
    fn a_list_that_changes_holds_for_those_who_are_in_and_a_bad_one_changes_nothing() {
        let folder = Scratch::new("crl-changes");
        let authority = Authority::new("one");
        let path = folder.file("lists.pem", authority.list(&[]));
        let lists = Arc::new(Watched::open(&path).unwrap());
        let (proof, client) = (unlisted(&lists), authority.client(7));
        assert!(is_in(&proof, &client));

        fs::write(&path, authority.list(&[7])).unwrap();
        assert!(lists.reload() && !is_in(&proof, &client));
        for nonsense in ["", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
            fs::write(&path, nonsense).unwrap();
            assert!(!lists.reload() && !is_in(&proof, &client));
        }
    }
}
