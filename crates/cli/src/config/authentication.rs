//! `[authentication]`: what clients are let in by, and where each proof is looked up.
//!
//! In:    the tables of the file.
//! Out:   settings of the authenticators.
//! Never: a secret: those stand in files of their own, so that this one can be shown to whoever has to read it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "ldap")]
use dunlin_security::identity::Secret;
use dunlin_security::identity::http::{BreakerLimits, CallOutSettings, ClientSettings, Roots};
use dunlin_security::identity::jwt::{ClaimRules, ClientIdClaim, TokenField};
#[cfg(feature = "ldap")]
use dunlin_security::identity::ldap::{Find, LdapSettings};
use dunlin_security::identity::{Certificates, ClientIdRule, Field, GuardLimits};
use serde::{Deserialize, Serialize};

use super::listener::Proof;

/// Who is let in, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Authentication {
    /// For listeners that say nothing else, in the order in which they are asked.
    pub(crate) chain: Vec<Proof>,
    /// `[authentication.failures]`
    pub(crate) failures: Failures,
    /// `[authentication.password]`
    pub(crate) password: Password,
    /// `[authentication.certificate]`
    pub(crate) certificate: Certificate,
    /// `[[authentication.jwt]]`
    pub(crate) jwt: Vec<Jwt>,
    /// `[authentication.http]`
    pub(crate) http: Http,
    /// `[authentication.ldap]`
    pub(crate) ldap: Ldap,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            chain: vec![Proof::Certificate, Proof::Password, Proof::Scram],
            failures: Failures::default(),
            password: Password::default(),
            certificate: Certificate::default(),
            jwt: Vec::new(),
            http: Http::default(),
            ldap: Ldap::default(),
        }
    }
}

/// How many failed log-ins lead to which ban.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Failures {
    /// Of an address; 0: any number.
    pub(crate) address_maximum: u16,
    /// For a user name; 0: any number.
    pub(crate) name_maximum: u16,
    /// How long a failure counts.
    pub(crate) window_seconds: u32,
    /// The first ban.
    pub(crate) ban_seconds: u32,
    /// The longest ban.
    pub(crate) ban_maximum_seconds: u32,
    /// Addresses that are never banned.
    pub(crate) exempt: Option<Vec<String>>,
}

impl Default for Failures {
    fn default() -> Self {
        let limits = GuardLimits::default();
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            address_maximum: limits.address_failures,
            name_maximum: limits.name_failures,
            window_seconds: seconds(limits.window),
            ban_seconds: seconds(limits.ban),
            ban_maximum_seconds: seconds(limits.ban_maximum),
            exempt: None,
        }
    }
}

impl Failures {
    pub(crate) fn limits(&self) -> GuardLimits {
        let exempt = self.exempt.iter().flatten();
        GuardLimits {
            address_failures: self.address_maximum,
            name_failures: self.name_maximum,
            window: Duration::from_secs(self.window_seconds.into()),
            ban: Duration::from_secs(self.ban_seconds.into()),
            ban_maximum: Duration::from_secs(self.ban_maximum_seconds.into()),
            // The check has found none that is no address.
            exempt: exempt.filter_map(|address| address.parse::<IpAddr>().ok()).collect(),
            ..GuardLimits::default()
        }
    }
}

/// The file of users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Password {
    /// `None`: that of the data directory.
    pub(crate) file: Option<PathBuf>,
}

/// What a certificate of an authority of one's own says of its client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The field that is the user name.
    pub(crate) username_field: CertificateField,
    /// What is asked of the client identifier.
    pub(crate) client_id: Binding,
    /// By which field.
    pub(crate) client_id_field: CertificateField,
}

impl Default for Certificate {
    fn default() -> Self {
        let field = CertificateField::CommonName;
        Self { username_field: field, client_id: Binding::Match, client_id_field: field }
    }
}

impl Certificate {
    pub(crate) fn rules(&self) -> Certificates {
        let field = self.client_id_field.field();
        let client_id = match self.client_id {
            Binding::Free => ClientIdRule::Free,
            Binding::Match => ClientIdRule::Match(field),
            Binding::Assign => ClientIdRule::Assign(field),
        };
        Certificates { username: self.username_field.field(), client_id }
    }
}

/// A field of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CertificateField {
    CommonName,
    OrganizationalUnit,
    Organization,
    Dns,
    Email,
    Uri,
    Serial,
    Subject,
}

impl CertificateField {
    const fn field(self) -> Field {
        match self {
            Self::CommonName => Field::CommonName,
            Self::OrganizationalUnit => Field::Unit,
            Self::Organization => Field::Organization,
            Self::Dns => Field::Dns,
            Self::Email => Field::Email,
            Self::Uri => Field::Uri,
            Self::Serial => Field::Serial,
            Self::Subject => Field::Subject,
        }
    }
}

/// What credentials say of the client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Binding {
    /// Nothing.
    Free,
    /// It must be the same.
    Match,
    /// They choose it.
    Assign,
}

/// The tokens of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jwt {
    /// A file with a secret.
    pub(crate) secret_file: Option<PathBuf>,
    /// A file with public keys.
    pub(crate) key_file: Option<PathBuf>,
    /// Where the issuer publishes its keys.
    pub(crate) jwks_url: Option<String>,
    /// How often they are asked for there.
    pub(crate) jwks_refresh_seconds: u32,
    /// Time for that.
    pub(crate) timeout_ms: u32,
    /// Whose certificate that service has.
    pub(crate) ca_file: Option<PathBuf>,
    /// May it be asked in clear text?
    pub(crate) insecure: bool,
    /// `iss`
    pub(crate) issuer: Option<String>,
    /// `aud`
    pub(crate) audiences: Option<Vec<String>>,
    /// How far clocks may differ.
    pub(crate) leeway_seconds: u32,
    /// Must there be an `exp`?
    pub(crate) expiry_required: bool,
    /// Where clients put it.
    pub(crate) token_in: TokenIn,
    /// The user name.
    pub(crate) username_claim: String,
    /// What is asked of the client identifier.
    pub(crate) client_id: Binding,
    /// By which claim.
    pub(crate) client_id_claim: String,
    /// The groups.
    pub(crate) groups_claim: String,
    /// Rules.
    pub(crate) acl_claim: String,
    /// What else the access rules may ask about.
    pub(crate) attribute_claims: Option<Vec<String>>,
}

/// Where clients put a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenIn {
    Password,
    Username,
}

impl Default for Jwt {
    fn default() -> Self {
        let (rules, client) = (ClaimRules::default(), ClientSettings::default());
        Self {
            secret_file: None,
            key_file: None,
            jwks_url: None,
            jwks_refresh_seconds: 300,
            timeout_ms: milliseconds(client.timeout),
            ca_file: None,
            insecure: false,
            issuer: None,
            audiences: None,
            leeway_seconds: u32::try_from(rules.leeway.as_secs()).unwrap_or(u32::MAX),
            expiry_required: !rules.without_expiry,
            token_in: TokenIn::Password,
            username_claim: rules.username.into(),
            client_id: Binding::Free,
            client_id_claim: "client_id".to_owned(),
            groups_claim: rules.groups.into(),
            acl_claim: rules.acl.into(),
            attribute_claims: None,
        }
    }
}

impl Jwt {
    pub(crate) fn rules(&self) -> ClaimRules {
        let claim = || Box::from(self.client_id_claim.as_str());
        ClaimRules {
            issuer: self.issuer.as_deref().map(Box::from),
            audiences: texts(self.audiences.as_ref()),
            leeway: Duration::from_secs(self.leeway_seconds.into()),
            without_expiry: !self.expiry_required,
            username: self.username_claim.as_str().into(),
            client_id: match self.client_id {
                Binding::Free => ClientIdClaim::Free,
                Binding::Match => ClientIdClaim::Match(claim()),
                Binding::Assign => ClientIdClaim::Assign(claim()),
            },
            groups: self.groups_claim.as_str().into(),
            acl: self.acl_claim.as_str().into(),
            attributes: texts(self.attribute_claims.as_ref()),
        }
    }

    pub(crate) const fn field(&self) -> TokenField {
        match self.token_in {
            TokenIn::Password => TokenField::Password,
            TokenIn::Username => TokenField::Username,
        }
    }

    /// How the keys are asked for.
    pub(crate) fn client(&self) -> ClientSettings {
        ClientSettings {
            timeout: Duration::from_millis(self.timeout_ms.into()),
            roots: roots(self.ca_file.as_ref()),
            insecure: self.insecure,
            ..ClientSettings::default()
        }
    }

    /// What the log and reviews call those whom it lets in: an issuer that is no longer listed vouches for nobody.
    pub(crate) fn name(&self) -> String {
        self.issuer.as_ref().map_or_else(|| "jwt".to_owned(), |issuer| format!("jwt of {issuer}"))
    }

    /// The keys that say where keys are.
    pub(super) fn sources(&self) -> impl Iterator<Item = &'static str> {
        let sources = [
            ("secret_file", self.secret_file.is_some()),
            ("key_file", self.key_file.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
        ];
        sources.into_iter().filter_map(|(name, is_there)| is_there.then_some(name))
    }
}

/// A service that knows the clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Where it is.
    pub(crate) url: Option<String>,
    /// A file with the `Authorization` of each request.
    pub(crate) authorization_file: Option<PathBuf>,
    /// Whose certificate it has.
    pub(crate) ca_file: Option<PathBuf>,
    /// May it be asked in clear text?
    pub(crate) insecure: bool,
    /// For all of a request.
    pub(crate) timeout_ms: u32,
    /// For its connection.
    pub(crate) connect_timeout_ms: u32,
    /// How long a yes is kept.
    pub(crate) allow_cache_seconds: u32,
    /// How long a no is kept.
    pub(crate) deny_cache_seconds: u32,
    /// How many are.
    pub(crate) cache_entries_maximum: u32,
    /// Requests at a time.
    pub(crate) requests_maximum: u16,
    /// Requests without an answer until it is left alone.
    pub(crate) breaker_failures: u32,
    /// For how long at first.
    pub(crate) breaker_rest_ms: u32,
    /// And at most.
    pub(crate) breaker_rest_maximum_ms: u32,
    /// What becomes of clients then.
    pub(crate) without_answer: WithoutAnswer,
    /// How often it is asked whether those who are in may stay; 0: never.
    pub(crate) recheck_seconds: u32,
}

/// What becomes of a client that a service was to tell about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WithoutAnswer {
    /// It is refused.
    Deny,
    /// The next in the chain is asked.
    Pass,
}

impl Default for Http {
    fn default() -> Self {
        let (client, service) = (ClientSettings::default(), CallOutSettings::default());
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            url: None,
            authorization_file: None,
            ca_file: None,
            insecure: false,
            timeout_ms: milliseconds(client.timeout),
            connect_timeout_ms: milliseconds(client.connect_timeout),
            allow_cache_seconds: seconds(service.allow_cached),
            deny_cache_seconds: seconds(service.deny_cached),
            cache_entries_maximum: u32::try_from(service.cache_entries).unwrap_or(u32::MAX),
            requests_maximum: u16::try_from(service.in_flight_maximum).unwrap_or(u16::MAX),
            breaker_failures: service.breaker.failures,
            breaker_rest_ms: milliseconds(service.breaker.rest),
            breaker_rest_maximum_ms: milliseconds(service.breaker.rest_maximum),
            without_answer: WithoutAnswer::Deny,
            recheck_seconds: seconds(service.recheck),
        }
    }
}

impl Http {
    /// How it is reached.
    pub(crate) fn client(&self) -> ClientSettings {
        ClientSettings {
            timeout: Duration::from_millis(self.timeout_ms.into()),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms.into()),
            roots: roots(self.ca_file.as_ref()),
            insecure: self.insecure,
            ..ClientSettings::default()
        }
    }

    /// What is done with its answers, without the `Authorization`.
    pub(crate) fn settings(&self) -> CallOutSettings {
        CallOutSettings {
            authorization: None,
            allow_cached: Duration::from_secs(self.allow_cache_seconds.into()),
            deny_cached: Duration::from_secs(self.deny_cache_seconds.into()),
            cache_entries: self.cache_entries_maximum as usize,
            in_flight_maximum: self.requests_maximum.into(),
            breaker: BreakerLimits {
                failures: self.breaker_failures,
                rest: Duration::from_millis(self.breaker_rest_ms.into()),
                rest_maximum: Duration::from_millis(self.breaker_rest_maximum_ms.into()),
            },
            pass_without_answer: self.without_answer == WithoutAnswer::Pass,
            recheck: Duration::from_secs(self.recheck_seconds.into()),
        }
    }
}

/// A directory that knows the clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ldap {
    /// Where it is.
    pub(crate) url: Option<String>,
    /// Is the connection to `ldap://` encrypted before anything is said?
    pub(crate) start_tls: bool,
    /// Whose certificate it has.
    pub(crate) ca_file: Option<PathBuf>,
    /// May it be asked in clear text?
    pub(crate) insecure: bool,
    /// For each step.
    pub(crate) timeout_ms: u32,
    /// The name of a user's entry.
    pub(crate) user_dn: Option<String>,
    /// Below which entry a user is searched.
    pub(crate) search_base: Option<String>,
    /// By what.
    pub(crate) search_filter: Option<String>,
    /// Who searches.
    pub(crate) bind_dn: Option<String>,
    /// A file with its password.
    pub(crate) bind_password_file: Option<PathBuf>,
    /// The attribute with groups.
    pub(crate) groups_attribute: Option<String>,
    /// What else the access rules may ask about.
    pub(crate) attributes: Option<Vec<String>>,
    /// Log-ins at a time.
    pub(crate) requests_maximum: u16,
    /// How often is looked whether those who are in are still found; 0: never.
    pub(crate) recheck_seconds: u32,
}

impl Default for Ldap {
    fn default() -> Self {
        Self {
            url: None,
            start_tls: false,
            ca_file: None,
            insecure: false,
            timeout_ms: 2000,
            user_dn: None,
            search_base: None,
            search_filter: None,
            bind_dn: None,
            bind_password_file: None,
            groups_attribute: None,
            attributes: None,
            requests_maximum: 2,
            recheck_seconds: 0,
        }
    }
}

impl Ldap {
    /// How it is asked, without the password of `bind_dn`.
    #[cfg(feature = "ldap")]
    pub(crate) fn settings(&self) -> LdapSettings {
        let text = |text: &Option<String>| Box::from(text.as_deref().unwrap_or_default());
        let find = match &self.user_dn {
            Some(name) => Find::Dn(name.as_str().into()),
            None => Find::Search {
                bind: self.bind_dn.as_ref().map(|name| (name.as_str().into(), Secret::new([]))),
                base: text(&self.search_base),
                filter: text(&self.search_filter),
            },
        };
        LdapSettings {
            url: text(&self.url),
            start_tls: self.start_tls,
            roots: roots(self.ca_file.as_ref()),
            insecure: self.insecure,
            timeout: Duration::from_millis(self.timeout_ms.into()),
            find,
            groups: self.groups_attribute.as_deref().map(Box::from),
            attributes: texts(self.attributes.as_ref()),
            in_flight_maximum: self.requests_maximum.into(),
            recheck: Duration::from_secs(self.recheck_seconds.into()),
        }
    }
}

/// Those of a file, or of the operating system.
fn roots(file: Option<&PathBuf>) -> Roots {
    file.map_or(Roots::System, |file| Roots::File(file.clone()))
}

/// As the library takes them.
fn texts(list: Option<&Vec<String>>) -> Vec<Box<str>> {
    list.into_iter().flatten().map(|text| text.as_str().into()).collect()
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
