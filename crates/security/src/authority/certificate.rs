//! What stands in a certificate.
//!
//! In:    DER or PEM of anybody, a stranger's server included.
//! Out:   the fields that people ask about.
//! Never: a verdict on whether it is to be trusted.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

use super::Moment;

/// The fields of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The Common Name of whose it is; empty where it has none.
    pub subject: String,
    /// The Common Name of who signed it.
    pub issuer: String,
    /// Its number, unique for its issuer.
    pub serial: Serial,
    /// When it begins.
    pub begins: Moment,
    /// Its last second.
    pub ends: Moment,
    /// Subject Alternative Names: hosts and addresses.
    pub names: Vec<String>,
    /// Its key.
    pub key: KeyKind,
    /// Was it signed with a hash that can be forged (MD5, SHA-1)?
    pub has_weak_signature: bool,
    /// May it sign others?
    pub is_authority: bool,
    /// Did it sign itself?
    pub is_self_signed: bool,
    /// May it be shown by a server? Also where it does not say.
    pub for_servers: bool,
    /// May it be shown by a client? Also where it does not say.
    pub for_clients: bool,
    public_key: Vec<u8>,
    der: Vec<u8>,
}

/// The number of a certificate, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

/// The key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA with so many bits.
    Rsa(usize),
    /// An elliptic curve of so many bits.
    Ec(usize),
    /// Ed25519 or another of a kind that is not weak because it is short.
    Other,
}

/// Bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text has none in it.
    #[error("there is no certificate in it")]
    None,
    /// It is not PEM.
    #[error("it is not PEM: {problem}")]
    Pem {
        /// Why.
        problem: String,
    },
    /// It is not X.509.
    #[error("it is not a certificate of X.509: {problem}")]
    X509 {
        /// Why.
        problem: String,
    },
}

impl Certificate {
    /// The certificate in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| CertificateError::X509 { problem: error.to_string() })?;
        let (for_servers, for_clients) = match parsed.extended_key_usage() {
            Ok(Some(usage)) => {
                (usage.value.any || usage.value.server_auth, usage.value.any || usage.value.client_auth)
            }
            _ => (true, true),
        };
        Ok(Self {
            subject: common_name(parsed.subject()),
            issuer: common_name(parsed.issuer()),
            serial: Serial::new(parsed.raw_serial()),
            begins: moment(parsed.validity().not_before),
            ends: moment(parsed.validity().not_after),
            names: names(&parsed),
            key: key_kind(&parsed),
            has_weak_signature: is_weak(&parsed),
            is_authority: parsed.is_ca(),
            is_self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            for_servers,
            for_clients,
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            der: der.to_vec(),
        })
    }

    /// Every certificate in a text of PEM, in its order; at least one.
    ///
    /// # Errors
    /// Where there is none, and where one cannot be read.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let mut all = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|error| CertificateError::Pem { problem: error.to_string() })?;
            all.push(Self::from_der(&der)?);
        }
        if all.is_empty() { Err(CertificateError::None) } else { Ok(all) }
    }

    /// The first certificate in a text of PEM.
    ///
    /// # Errors
    /// Where there is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::all_from_pem(pem).map(|mut all| all.swap_remove(0))
    }

    /// Was it made for this key (its bits, as they stand in a certificate)?
    pub(super) fn is_of_key(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// As it was read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Is this one of its names, or matched by one with `*`?
    #[must_use]
    pub fn is_named(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let canonical = host.parse::<IpAddr>().map_or(host, |address| address.to_string());
        self.names.iter().any(|name| {
            let wild = name.strip_prefix("*.").zip(canonical.split_once('.'));
            *name == canonical || wild.is_some_and(|(suffix, (_, rest))| suffix == rest)
        })
    }
}

impl Serial {
    /// This number, most significant byte first.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes[zeros..].to_vec())
    }

    /// Most significant byte first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In hexadecimal digits.
impl fmt::Display for Serial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl KeyKind {
    /// Can it be broken, or will it be before long? RSA below 2048 bits, curves below 224.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        match self {
            Self::Rsa(bits) => bits < 2048,
            Self::Ec(bits) => bits < 224,
            Self::Other => false,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(out, "RSA with {bits} bits"),
            Self::Ec(bits) => write!(out, "an elliptic curve of {bits} bits"),
            Self::Other => out.write_str("of another kind"),
        }
    }
}

pub(super) fn moment(time: ASN1Time) -> Moment {
    Moment::from_unix(time.timestamp())
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().filter_map(|part| part.as_str().ok()).next().unwrap_or_default().to_owned()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    named.collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn key_kind(certificate: &X509Certificate<'_>) -> KeyKind {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => KeyKind::Rsa(key.key_size()),
        Ok(PublicKey::EC(point)) => KeyKind::Ec(point.key_size()),
        _ => KeyKind::Other,
    }
}

fn is_weak(certificate: &X509Certificate<'_>) -> bool {
    let algorithm = &certificate.signature_algorithm.algorithm;
    let weak = [
        &oid::OID_PKCS1_MD2WITHRSAENC,
        &oid::OID_PKCS1_MD4WITHRSAENC,
        &oid::OID_PKCS1_MD5WITHRSAENC,
        &oid::OID_PKCS1_SHA1WITHRSA,
    ];
    // ecdsa-with-SHA1 and dsa-with-SHA1 have no constant there.
    weak.contains(&algorithm)
        || ["1.2.840.10045.4.1", "1.2.840.10040.4.3"].contains(&algorithm.to_id_string().as_str())
}
