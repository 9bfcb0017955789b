//! Log-in by the certificate that TLS has verified.
//!
//! In:    the Client's own certificate.
//! Out:   allowed, with the field that is its name; denied, where the field is missing or is there twice.
//! Never: whether the certificate is valid: TLS has seen to chain, dates and revocation.
//! Spec:  RFC 5280 sections 4.1.2 and 4.2.1.6.

use std::collections::BTreeMap;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

use super::attempt::{Attempt, Authenticator, Denial, Grant, Outcome};
use super::subject::Identity;

/// Longest value of a field that names a Client, in bytes.
const VALUE_MAXIMUM: usize = 1024;

/// A field of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The Common Name of the subject.
    CommonName,
    /// The Organizational Unit of the subject.
    Unit,
    /// The Organization of the subject.
    Organization,
    /// A DNS name of the Subject Alternative Names.
    Dns,
    /// An e-mail address of the Subject Alternative Names.
    Email,
    /// A URI of the Subject Alternative Names.
    Uri,
    /// The serial number of the certificate, in lower-case hexadecimal without separators.
    Serial,
    /// The whole subject, as RFC 4514 writes it, but in the order of the certificate.
    Subject,
}

/// What the certificate says of the Client Identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdRule {
    /// Nothing.
    #[default]
    Free,
    /// It must be a value of this field. One that the Client left to the Server becomes it.
    Match(Field),
    /// It is the value of this field, whatever CONNECT says.
    Assign(Field),
}

/// Authenticates by certificate.
#[derive(Clone, Copy, Debug)]
pub struct Certificates {
    /// The field that is the user name; it has exactly one value.
    pub username: Field,
    /// What the certificate says of the Client Identifier.
    pub client_id: ClientIdRule,
}

impl Authenticator for Certificates {
    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let Some(der) = &attempt.certificate else { return Outcome::Pass };
        match self.identity(der, attempt) {
            Ok(identity) => Outcome::Allow(Grant { identity, ..Grant::default() }),
            Err(denial) => Outcome::Deny(denial),
        }
    }
}

impl Certificates {
    fn identity(&self, der: &[u8], attempt: &Attempt) -> Result<Identity, Denial> {
        let certificate = Certificate::parse(der).ok_or(Denial::UnfitCertificate)?;
        let username = certificate.only(self.username).ok_or(Denial::UnfitCertificate)?;
        let client_id = match self.client_id {
            ClientIdRule::Free => attempt.client_id.clone(),
            ClientIdRule::Match(field) if attempt.client_id.is_empty() || attempt.is_assigned => {
                certificate.only(field).ok_or(Denial::UnfitCertificate)?
            }
            ClientIdRule::Match(field) if certificate.has(field, &attempt.client_id) => {
                attempt.client_id.clone()
            }
            ClientIdRule::Match(_) => return Err(Denial::WrongClientId),
            ClientIdRule::Assign(field) => certificate.only(field).ok_or(Denial::UnfitCertificate)?,
        };
        Ok(Identity { username: Some(username), client_id, ..Identity::default() })
    }
}

/// What the access rules may ask of a certificate: `cert.cn`, `cert.ou`, `cert.o`, `cert.dns`, `cert.email`, `cert.uri`, `cert.serial`,
/// `cert.subject`, `cert.issuer`, each where the certificate has exactly one value for it. Empty where it cannot be read.
#[must_use]
pub(super) fn attributes(der: &[u8]) -> BTreeMap<Box<str>, Box<str>> {
    let Some(certificate) = Certificate::parse(der) else { return BTreeMap::new() };
    let fields = [
        ("cert.cn", Field::CommonName),
        ("cert.ou", Field::Unit),
        ("cert.o", Field::Organization),
        ("cert.dns", Field::Dns),
        ("cert.email", Field::Email),
        ("cert.uri", Field::Uri),
        ("cert.serial", Field::Serial),
        ("cert.subject", Field::Subject),
    ];
    let values = fields.into_iter().filter_map(|(name, field)| Some((name, certificate.only(field)?)));
    let issuer = Some(certificate.0.issuer().to_string()).filter(|issuer| is_name(issuer));
    let values = values.chain(issuer.map(|issuer| ("cert.issuer", issuer.into())));
    values.map(|(name, value)| (name.into(), value)).collect()
}

struct Certificate<'a>(X509Certificate<'a>);

impl<'a> Certificate<'a> {
    fn parse(der: &'a [u8]) -> Option<Self> {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Some(Self(certificate)),
            _ => None,
        }
    }

    /// The value of a field that has exactly one, if it can be a name.
    fn only(&self, field: Field) -> Option<Box<str>> {
        match self.values(field)?.as_slice() {
            [value] if is_name(value) => Some(value.as_str().into()),
            _ => None,
        }
    }

    fn has(&self, field: Field, wanted: &str) -> bool {
        let values = self.values(field).unwrap_or_default();
        values.iter().any(|value| value == wanted && is_name(value))
    }

    /// `None` where a value is no text.
    fn values(&self, field: Field) -> Option<Vec<String>> {
        match field {
            Field::CommonName => texts(self.0.subject().iter_common_name()),
            Field::Unit => texts(self.0.subject().iter_organizational_unit()),
            Field::Organization => texts(self.0.subject().iter_organization()),
            Field::Serial => {
                let digits = self.0.raw_serial().iter().map(|byte| format!("{byte:02x}"));
                Some(vec![digits.collect()])
            }
            Field::Subject => Some(vec![self.0.subject().to_string()]),
            Field::Dns | Field::Email | Field::Uri => self.alternative_names(field),
        }
    }

    fn alternative_names(&self, field: Field) -> Option<Vec<String>> {
        let Some(names) = self.0.subject_alternative_name().ok()? else { return Some(Vec::new()) };
        let names = names.value.general_names.iter().filter_map(|name| match (field, name) {
            (Field::Dns, GeneralName::DNSName(name))
            | (Field::Email, GeneralName::RFC822Name(name))
            | (Field::Uri, GeneralName::URI(name)) => Some((*name).to_owned()),
            _ => None,
        });
        Some(names.collect())
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<Vec<String>> {
    values.map(|value| value.as_str().ok().map(str::to_owned)).collect()
}

/// What MQTT can carry as a Client Identifier or User Name, and a log can show.
fn is_name(value: &str) -> bool {
    !value.is_empty() && value.len() <= VALUE_MAXIMUM && !value.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::attempt;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};
    use std::sync::Arc;

    fn certificate(common_name: Option<&str>, names: &[SanType]) -> Arc<[u8]> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = names.to_vec();
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff, 0x01]));
        let key = KeyPair::generate().unwrap();
        Arc::from(&**params.self_signed(&key).unwrap().der())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn judge(rule: Certificates, certificate: &Arc<[u8]>, client_id: &str) -> Result<Identity, Denial> {
        let attempt =
            Attempt { certificate: Some(certificate.clone()), client_id: client_id.into(), ..attempt() };
        match rule.authenticate(&attempt) {
            Outcome::Allow(grant) => Ok(grant.identity),
            Outcome::Deny(denial) => Err(denial),
            other => panic!("{other:?}"),
        }
    }

    fn named_by(username: Field) -> Certificates {
        Certificates { username, client_id: ClientIdRule::Free }
    }

    #[test]
    fn each_field_can_name_the_client() {
        let email = SanType::Rfc822Name("pump@plant.example".try_into().unwrap());
        let uri = SanType::URI("urn:dev:17".try_into().unwrap());
        let certificate = certificate(Some("pump-17"), &[dns("pump.plant.example"), email, uri]);

        for (field, name) in [
            (Field::CommonName, "pump-17"),
            (Field::Dns, "pump.plant.example"),
            (Field::Email, "pump@plant.example"),
            (Field::Uri, "urn:dev:17"),
            (Field::Serial, "0aff01"),
            (Field::Subject, "CN=pump-17"),
        ] {
            let identity = judge(named_by(field), &certificate, "any").unwrap();
            assert_eq!(identity.username.as_deref(), Some(name), "{field:?}");
            assert_eq!(&*identity.client_id, "any");
        }
        let attributes = attributes(&certificate);
        assert_eq!(attributes.get("cert.cn").map(|name| &**name), Some("pump-17"));
        assert_eq!(attributes.get("cert.issuer").map(|name| &**name), Some("CN=pump-17"));
        assert_eq!(attributes.len(), 7);
    }

    #[test]
    fn a_field_that_is_missing_twice_there_or_unprintable_names_nobody() {
        let none = certificate(None, &[]);
        assert_eq!(judge(named_by(Field::CommonName), &none, "a"), Err(Denial::UnfitCertificate));
        assert_eq!(judge(named_by(Field::Dns), &none, "a"), Err(Denial::UnfitCertificate));

        let two = certificate(Some("a"), &[dns("a.example"), dns("b.example")]);
        assert_eq!(judge(named_by(Field::Dns), &two, "a"), Err(Denial::UnfitCertificate));
        assert_eq!(attributes(&two).get("cert.dns"), None);

        let null = certificate(Some("admin\0.example"), &[]);
        assert_eq!(judge(named_by(Field::CommonName), &null, "a"), Err(Denial::UnfitCertificate));
    }

    #[test]
    fn the_client_identifier_must_be_a_value_of_the_field_if_asked() {
        let rule =
            Certificates { username: Field::CommonName, client_id: ClientIdRule::Match(Field::CommonName) };
        let pump = certificate(Some("pump-17"), &[]);

        assert_eq!(&*judge(rule, &pump, "pump-17").unwrap().client_id, "pump-17");
        assert_eq!(judge(rule, &pump, "pump-18"), Err(Denial::WrongClientId));
        assert_eq!(&*judge(rule, &pump, "").unwrap().client_id, "pump-17");

        let either = Certificates { username: Field::Serial, client_id: ClientIdRule::Match(Field::Dns) };
        let two = certificate(Some("x"), &[dns("a.example"), dns("b.example")]);
        assert!(judge(either, &two, "b.example").is_ok());
        assert_eq!(judge(either, &two, "c.example"), Err(Denial::WrongClientId));
    }

    #[test]
    fn the_client_identifier_can_be_the_field() {
        let rule =
            Certificates { username: Field::Serial, client_id: ClientIdRule::Assign(Field::CommonName) };

        let identity = judge(rule, &certificate(Some("pump-17"), &[]), "anything").unwrap();

        assert_eq!(&*identity.client_id, "pump-17");
    }

    #[test]
    fn without_a_certificate_it_has_nothing_to_say() {
        let outcome = named_by(Field::CommonName).authenticate(&attempt());

        assert!(matches!(outcome, Outcome::Pass));
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_is_refused_or_read(at in 0_usize..300, byte: u8) {
            let mut der = certificate(Some("pump-17"), &[dns("a.example")]).to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = judge(named_by(Field::CommonName), &der.into(), "a");
        }
    }
}
