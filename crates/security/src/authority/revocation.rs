//! The list of certificates that were taken back (CRL).
//!
//! In:    serial numbers, reasons, the time; the list as it was.
//! Out:   the next list, with a number one higher.
//! Never: a certificate that comes off the list before it has expired.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams,
    SerialNumber,
};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::moment;
use super::{AuthorityError, Moment, Serial};

/// A list says that another will come by then; verifiers that hold to it refuse everybody afterwards.
pub(super) const DAYS: i64 = 30;

/// Why a certificate was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Another one takes its place.
    Superseded,
    /// The device is out of service.
    Ceased,
}

/// The certificates that were taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// When this list was made.
    pub made: Moment,
    /// By when there should be another.
    pub next: Moment,
    number: u64,
    entries: Vec<(Serial, Moment, Reason)>,
}

impl Revocations {
    /// An empty list.
    pub(super) fn new(now: Moment) -> Self {
        Self { made: now, next: now.plus_days(DAYS), number: 0, entries: Vec::new() }
    }

    /// What stands in a list.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = CertificateRevocationListDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|error| error.to_string())?;
        let entries = list.iter_revoked_certificates().map(|entry| {
            let reason =
                entry.reason_code().map_or(Reason::Unspecified, |(_, code)| Reason::from_code(code.0));
            (Serial::new(entry.raw_serial()), moment(entry.revocation_date), reason)
        });
        Ok(Self {
            made: moment(list.last_update()),
            next: list.next_update().map_or(Moment::from_unix(i64::MAX), moment),
            number: list.crl_number().and_then(|number| number.try_into().ok()).unwrap_or(0),
            entries: entries.collect(),
        })
    }

    /// When it was taken back.
    #[must_use]
    pub fn when(&self, serial: &Serial) -> Option<Moment> {
        self.entries.iter().find(|(revoked, ..)| revoked == serial).map(|(_, when, _)| *when)
    }

    /// Which were.
    pub fn serials(&self) -> impl Iterator<Item = &Serial> {
        self.entries.iter().map(|(serial, ..)| serial)
    }

    /// How many were.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Was none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes it back; false where it was before.
    pub(super) fn add(&mut self, serial: &Serial, reason: Reason, now: Moment) -> bool {
        let is_new = self.when(serial).is_none();
        if is_new {
            self.entries.push((serial.clone(), now, reason));
        }
        is_new
    }

    /// Forgets those that nobody would take anyway.
    pub(super) fn forget(&mut self, has_expired: impl Fn(&Serial) -> bool) {
        self.entries.retain(|(serial, ..)| !has_expired(serial));
    }

    /// The next list, signed.
    pub(super) fn sign(
        &mut self,
        issuer: &Issuer<'_, KeyPair>,
        now: Moment,
    ) -> Result<String, AuthorityError> {
        self.number += 1;
        self.made = now;
        self.next = now.plus_days(DAYS);
        let revoked = self.entries.iter().map(|(serial, when, reason)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.as_bytes()),
            revocation_time: when.date_time(),
            reason_code: reason.code(),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now.an_hour_before().date_time(),
            next_update: self.next.date_time(),
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(issuer)?.pem()?)
    }
}

impl Reason {
    /// RFC 5280, 5.3.1: unspecified is not written.
    const fn code(self) -> Option<RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::Ceased => Some(RevocationReason::CessationOfOperation),
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::KeyCompromise,
            4 => Self::Superseded,
            5 => Self::Ceased,
            _ => Self::Unspecified,
        }
    }
}
