//! What goes into a certificate that the authority signs.
//!
//! In:    whose it is, for how long, the time.
//! Out:   a certificate and, unless the key was somebody else's, its key.
//! Never: one that outlives the authority, or has no end.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, string::Ia5String,
};

use super::secret::fill;
use super::{AuthorityError, Certificate, DeviceName, Moment, ServerName};

/// A server's certificate lasts for this many days: what renews itself may be short, and some clients refuse more than 398.
pub const DAYS_OF_SERVER: u32 = 397;

/// A device's certificate lasts for this many days: somebody has to carry the next one to the device.
pub const DAYS_OF_DEVICE: u32 = 730;

/// Longest that can be asked for.
const DAYS: u32 = 3650;

/// Longest Common Name of X.509 (ub-common-name).
const LONGEST_NAME: usize = 64;

/// What is to be issued.
#[derive(Clone, Debug)]
pub enum Order {
    /// For a device, with a key that is made now.
    Device(DeviceName),
    /// For a device that keeps its key and sent a certificate signing request (PEM). Only its key is taken from it.
    Request(DeviceName, String),
    /// For a server that is called so; the first name is its Common Name.
    Server(String, Vec<ServerName>),
}

/// A certificate that was signed, and its key.
#[derive(Clone)]
pub struct Signed {
    /// What stands in it.
    pub certificate: Certificate,
    /// PEM.
    pub certificate_pem: String,
    /// PEM (PKCS#8), not encrypted; `None` where the device has it.
    pub key_pem: Option<String>,
    /// The same as DER.
    pub(super) key_der: Option<Vec<u8>>,
}

impl Order {
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        let usage = match self {
            Self::Device(name) | Self::Request(name, _) => {
                params.distinguished_name = called(name.as_str());
                ExtendedKeyUsagePurpose::ClientAuth
            }
            Self::Server(host, names) => {
                params.distinguished_name = called(host);
                params.subject_alt_names = names.iter().filter_map(alternative).collect();
                ExtendedKeyUsagePurpose::ServerAuth
            }
        };
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params
    }

    /// Signs, for `days` days from `now` or until the authority ends.
    pub(super) fn sign(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        authority_ends: Moment,
        days: u32,
        now: Moment,
    ) -> Result<Signed, AuthorityError> {
        if !(1..=DAYS).contains(&days) {
            return Err(AuthorityError::Days { days });
        }
        if authority_ends <= now {
            return Err(AuthorityError::Expired { until: authority_ends });
        }
        let mut params = self.params();
        params.serial_number = Some(serial()?);
        params.not_before = now.an_hour_before().date_time();
        params.not_after = now.plus_days(days.into()).min(authority_ends).date_time();
        if let Self::Request(_, request) = self {
            let request = CertificateSigningRequestParams::from_pem(request)
                .map_err(|error| AuthorityError::Request { problem: error.to_string() })?;
            return finish(&params, &request.public_key, issuer, None);
        }
        let key = KeyPair::generate()?;
        finish(&params, &key, issuer, Some(&key))
    }
}

fn finish(
    params: &CertificateParams,
    public_key: &impl PublicKeyData,
    issuer: &Issuer<'_, KeyPair>,
    key: Option<&KeyPair>,
) -> Result<Signed, AuthorityError> {
    let certificate = params.clone().signed_by(public_key, issuer)?;
    Ok(Signed {
        certificate: Certificate::from_der(certificate.der())?,
        certificate_pem: certificate.pem(),
        key_pem: key.map(KeyPair::serialize_pem),
        key_der: key.map(KeyPair::serialize_der),
    })
}

pub(super) fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name.chars().take(LONGEST_NAME).collect::<String>());
    called
}

/// 126 random bits, below one that is not set and one that is: never negative, never short (RFC 5280, 4.1.2.2).
pub(super) fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alternative(name: &ServerName) -> Option<SanType> {
    match name {
        ServerName::Dns(name) => Ia5String::try_from(name.as_str()).ok().map(SanType::DnsName),
        ServerName::Address(address) => Some(SanType::IpAddress(*address)),
    }
}
