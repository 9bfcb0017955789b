//! Log-in by an LDAP directory.
//!
//! In:    a user name and a password; later, if asked to, the name of a user who was let in.
//! Out:   allowed, where the directory takes them in a simple bind; the groups that the entry names.
//! Never: an empty password, which a directory takes for nobody's and lets pass; a name unescaped in a filter or a
//!        distinguished name; a password in clear text to another machine unless told to.
//! Spec:  RFC 4511 section 4.2, RFC 4513 section 5.1, RFC 4514, RFC 4515.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ldap3::{
    LdapConn, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, SearchResult, dn_escape,
    ldap_escape,
};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

use super::attempt::{Attempt, Authenticator, Denial, Grant, Known, Outcome, Standing};
use super::http::{Breaker, BreakerLimits, Roots, is_loopback};
use super::recheck::{Attributes, Person, Recheck, Rechecked, Rechecks};
use super::secret::Secret;
use super::subject::Identity;

/// Result codes of RFC 4511 appendix A.
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
/// What a bind says of whoever logs in, by which the directory is not out of order: a value that is not allowed (the account
/// is locked), no such entry, no name of an entry (too long), an entry without a password, a wrong one, unwilling (the account
/// is disabled).
const REFUSED: [u32; 6] = [19, NO_SUCH_OBJECT, 34, 48, 49, 53];
/// The most groups that are taken over, and the longest name of one in bytes.
const GROUPS_MAXIMUM: usize = 256;
const GROUP_BYTES_MAXIMUM: usize = 1024;

/// How a directory is asked.
#[derive(Clone, Debug)]
pub struct LdapSettings {
    /// `ldaps://host:port` or `ldap://host:port`.
    pub url: Box<str>,
    /// Whether a connection to `ldap://` becomes TLS before anything is said.
    pub start_tls: bool,
    /// Whom to trust.
    pub roots: Roots,
    /// Whether passwords may cross the network in clear text.
    pub insecure: bool,
    /// For each of connecting, binding, searching. 2 s.
    pub timeout: Duration,
    /// How the entry of a user is found.
    pub find: Find,
    /// The attribute of the user's entry that names groups, such as `memberOf`. Of a distinguished name, the first value
    /// counts: `cn=ops,ou=groups,dc=example` is the group `ops`.
    pub groups: Option<Box<str>>,
    /// Attributes of the entry that become attributes of the identity, as `ldap.NAME`, where they have one value.
    pub attributes: Vec<Box<str>>,
    /// Log-ins under way; more are refused at once, so that a slow directory leaves workers to others. 2.
    pub in_flight_maximum: usize,
    /// How often is looked whether a search still finds those who were let in; 0: never.
    pub recheck: Duration,
}

/// How the entry of a user is found.
#[derive(Clone, Debug)]
pub enum Find {
    /// By its name: `${username}` in this distinguished name, as in `uid=${username},ou=people,dc=example`.
    Dn(Box<str>),
    /// By a search.
    Search {
        /// Who searches; `None`: nobody in particular.
        bind: Option<(Box<str>, Secret)>,
        /// Below which entry.
        base: Box<str>,
        /// With `${username}` in it, as in `(&(objectClass=person)(uid=${username}))`.
        filter: Box<str>,
    },
}

impl LdapSettings {
    /// Whether they can work and give no passwords away, as far as can be told without files and the network.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self) -> Result<(), LdapSettingsError> {
        check_url(self)?;
        let template = match &self.find {
            Find::Dn(template) => template,
            Find::Search { filter, .. } => filter,
        };
        if !template.contains("${username}") {
            return Err(LdapSettingsError::Template { template: template.clone() });
        }
        if !self.recheck.is_zero() && matches!(self.find, Find::Dn(_)) {
            return Err(LdapSettingsError::Recheck);
        }
        Ok(())
    }
}

/// Authenticates by a directory.
pub struct Ldap {
    settings: LdapSettings,
    connection: LdapConnSettings,
    breaker: Breaker,
    in_flight: AtomicUsize,
    rechecks: Option<Rechecks>,
}

/// Why a directory cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LdapSettingsError {
    /// Neither `ldap://` nor `ldaps://`, or without a host.
    #[error("{url} is no ldap or ldaps url")]
    Url {
        /// What it is.
        url: Box<str>,
    },
    /// Passwords would cross the network in clear text.
    #[error("{url} would send passwords in clear text to another machine")]
    Insecure {
        /// Where to.
        url: Box<str>,
    },
    /// A template that does not say where the name goes.
    #[error("{template} lacks ${{username}}")]
    Template {
        /// Which.
        template: Box<str>,
    },
    /// A bind by name needs the password, which is not kept.
    #[error("users who were let in can be looked for by a search only")]
    Recheck,
    /// The certificates to trust cannot be read, or are none.
    #[error("{path}: no certificates to trust can be read", path = path.display())]
    Roots {
        /// Of which file.
        path: PathBuf,
    },
}

/// What became of a log-in.
enum Found {
    Yes(Identity),
    WrongPassword,
    Nobody,
}

impl Ldap {
    /// With these settings.
    ///
    /// # Errors
    /// They cannot work, or would give passwords away.
    pub fn new(settings: LdapSettings) -> Result<Self, LdapSettingsError> {
        settings.check()?;
        let connection = LdapConnSettings::new()
            .set_conn_timeout(settings.timeout)
            .set_starttls(settings.start_tls)
            .set_config(tls(&settings.roots)?);
        let breaker = Breaker::new(BreakerLimits::default());
        let rechecks = Rechecks::new(settings.recheck, Instant::now());
        Ok(Self { settings, connection, breaker, in_flight: AtomicUsize::new(0), rechecks })
    }

    /// Asks the directory, unless it is left alone for a while because it did not answer.
    fn ask_if_it_answers<T>(&self, ask: impl FnOnce(&mut LdapConn) -> Result<T, LdapError>) -> Option<T> {
        if !self.breaker.may_ask(Instant::now()) {
            return None;
        }
        match self.ask(ask) {
            Ok(found) => {
                self.breaker.answered();
                Some(found)
            }
            Err(reason) => {
                let rest = self.breaker.failed(Instant::now());
                warn!(target: "dunlin::authentication", url = %self.settings.url, %reason, ?rest, "directory gives no answer");
                None
            }
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut LdapConn) -> Result<T, LdapError>) -> Result<T, LdapError> {
        let mut ldap = LdapConn::with_settings(self.connection.clone(), &self.settings.url)?;
        let found = ask(&mut ldap);
        let _ = ldap.unbind();
        found
    }

    fn log_in(
        &self,
        ldap: &mut LdapConn,
        username: &str,
        password: &str,
        attempt: &Attempt,
    ) -> Result<Found, LdapError> {
        let Some(dn) = self.dn(ldap, username)? else { return Ok(Found::Nobody) };
        let bound = ldap.with_timeout(self.settings.timeout).simple_bind(&dn, password)?;
        match bound.rc {
            SUCCESS => {}
            code if REFUSED.contains(&code) => return Ok(Found::WrongPassword),
            _ => return Err(bound.into()),
        }
        let mut identity = Identity {
            username: Some(username.into()),
            client_id: attempt.client_id.clone(),
            ..Identity::default()
        };
        self.describe(ldap, &dn, &mut identity)?;
        Ok(Found::Yes(identity))
    }

    /// The distinguished name of the user; `None` where there is not exactly one entry.
    fn dn(&self, ldap: &mut LdapConn, username: &str) -> Result<Option<String>, LdapError> {
        let (bind, base, filter) = match &self.settings.find {
            Find::Dn(template) => return Ok(Some(template.replace("${username}", &dn_escape(username)))),
            Find::Search { bind, base, filter } => (bind, base, filter),
        };
        if let Some((dn, password)) = bind {
            let password = password.expose_str().unwrap_or_default();
            ldap.with_timeout(self.settings.timeout).simple_bind(dn, password)?.success()?;
        }
        let filter = filter.replace("${username}", &ldap_escape(username));
        let options = SearchOptions::new().sizelimit(2);
        let search = ldap.with_timeout(self.settings.timeout).with_search_options(options);
        let SearchResult(entries, result) = search.search(base, Scope::Subtree, &filter, ["1.1"])?;
        match result.rc {
            SUCCESS => {}
            // More than two; either way nobody is meant.
            NO_SUCH_OBJECT | SIZE_LIMIT_EXCEEDED => return Ok(None),
            // It is busy, or not allowed: that says nothing about the user.
            _ => return Err(result.into()),
        }
        let mut entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(Some(SearchEntry::construct(entry).dn)),
            _ => Ok(None),
        }
    }

    /// Reads groups and attributes, as the user that has just bound.
    fn describe(&self, ldap: &mut LdapConn, dn: &str, identity: &mut Identity) -> Result<(), LdapError> {
        let wanted: Vec<&str> =
            self.settings.groups.iter().chain(&self.settings.attributes).map(|name| &**name).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let search = ldap.with_timeout(self.settings.timeout);
        let (entries, _) = search.search(dn, Scope::Base, "(objectClass=*)", wanted)?.success()?;
        let Some(entry) = entries.into_iter().next() else { return Ok(()) };
        let entry = SearchEntry::construct(entry);
        let values = |name: &str| {
            let same = |(key, _): &(&String, &Vec<String>)| key.eq_ignore_ascii_case(name);
            entry.attrs.iter().find(same).map(|(_, values)| values.as_slice()).unwrap_or_default()
        };
        if let Some(groups) = &self.settings.groups {
            let names = values(groups).iter().take(GROUPS_MAXIMUM).filter_map(|value| group(value));
            identity.groups = names.collect();
        }
        for name in &self.settings.attributes {
            if let [value] = values(name)
                && !value.contains(char::is_control)
            {
                identity.attributes.insert(format!("ldap.{name}").into(), value.as_str().into());
            }
        }
        Ok(())
    }
}

impl Recheck for Ldap {
    fn recheck(&self, now: Instant) -> Rechecked {
        let Some(rechecks) = &self.rechecks else { return Rechecked::Idle };
        rechecks.ask_one(now, |person, _| {
            let username = person.username.as_deref().unwrap_or_default();
            self.ask_if_it_answers(|ldap| Ok(self.dn(ldap, username)?.is_some()))
        })
    }
}

impl Authenticator for Ldap {
    fn review(&self, known: Known<'_>) -> Standing {
        let Some(rechecks) = &self.rechecks else { return Standing::Same };
        let stays = rechecks.may_stay(&known, "", Attributes::new, Instant::now());
        if stays { Standing::Same } else { Standing::Gone }
    }

    fn authenticate(&self, attempt: &Attempt) -> Outcome {
        let (Some(username), Some(password)) = (&attempt.username, &attempt.password) else {
            return Outcome::Pass;
        };
        let Some(password) = password.expose_str() else { return Outcome::Deny(Denial::BadCredentials) };
        // RFC 4513 section 5.1.2: a bind with an empty password succeeds for everybody.
        if username.is_empty() || password.is_empty() {
            return Outcome::Deny(Denial::BadCredentials);
        }
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.settings.in_flight_maximum {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Outcome::Deny(Denial::Busy);
        }
        let found = self.ask_if_it_answers(|ldap| self.log_in(ldap, username, password, attempt));
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        match found {
            Some(Found::Yes(identity)) => {
                if let Some(rechecks) = &self.rechecks {
                    rechecks.logged_in(user(username), Attributes::new(), Instant::now());
                }
                Outcome::Allow(Grant { identity, ..Grant::default() })
            }
            Some(Found::WrongPassword) => Outcome::Deny(Denial::BadCredentials),
            Some(Found::Nobody) => Outcome::Pass,
            None => Outcome::Deny(Denial::Unavailable),
        }
    }
}

/// The same for all of its clients.
fn user(name: &str) -> Person {
    Person { username: Some(name.into()), client_id: "".into() }
}

fn check_url(settings: &LdapSettings) -> Result<(), LdapSettingsError> {
    let url = || settings.url.clone();
    let (scheme, rest) =
        settings.url.split_once("://").ok_or_else(|| LdapSettingsError::Url { url: url() })?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    match scheme {
        _ if host.is_empty() => Err(LdapSettingsError::Url { url: url() }),
        "ldaps" => Ok(()),
        "ldap" if settings.start_tls || settings.insecure || is_loopback(host) => Ok(()),
        "ldap" => Err(LdapSettingsError::Insecure { url: url() }),
        _ => Err(LdapSettingsError::Url { url: url() }),
    }
}

fn tls(roots: &Roots) -> Result<Arc<ClientConfig>, LdapSettingsError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::File(path) => {
            let none = || LdapSettingsError::Roots { path: path.clone() };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|_| none())? {
                store.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
            }
            if store.is_empty() {
                return Err(none());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let Ok(builder) = builder else { unreachable!("ring offers what the default versions need") };
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}

/// The first value of a distinguished name, or the whole of what is none.
fn group(value: &str) -> Option<Box<str>> {
    let first = value.split(',').next().unwrap_or_default();
    let name = first.split_once('=').map_or(value, |(_, name)| name);
    // An escaped character would make another name of it.
    let fits = !name.is_empty() && name.len() <= GROUP_BYTES_MAXIMUM && !name.contains(['\\', '+']);
    (fits && !name.contains(char::is_control)).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::attempt;

    fn settings(url: &str) -> LdapSettings {
        LdapSettings {
            url: url.into(),
            start_tls: false,
            roots: Roots::System,
            insecure: false,
            timeout: Duration::from_secs(1),
            find: Find::Dn("uid=${username},dc=example".into()),
            groups: None,
            attributes: Vec::new(),
            in_flight_maximum: 2,
            recheck: Duration::ZERO,
        }
    }

    #[test]
    fn passwords_do_not_cross_the_network_in_clear_text() {
        for url in ["ldaps://dir.example", "ldap://localhost:389", "ldap://127.0.0.1", "ldap://[::1]:389/"] {
            assert!(check_url(&settings(url)).is_ok(), "{url}");
        }
        for url in ["ldap://dir.example", "ldap://localhost.example:389"] {
            assert!(matches!(check_url(&settings(url)), Err(LdapSettingsError::Insecure { .. })), "{url}");
            let start_tls = LdapSettings { start_tls: true, ..settings(url) };
            assert!(check_url(&start_tls).is_ok());
        }
        for url in ["", "dir.example", "ldap://", "http://dir.example"] {
            assert!(matches!(check_url(&settings(url)), Err(LdapSettingsError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_template_says_where_the_name_goes() {
        let find = Find::Dn("uid=amy,dc=example".into());
        let error = Ldap::new(LdapSettings { find, ..settings("ldaps://dir.example") }).err();

        assert!(matches!(error, Some(LdapSettingsError::Template { .. })));
        let recheck = LdapSettings { recheck: Duration::from_secs(60), ..settings("ldaps://dir.example") };
        assert!(matches!(recheck.check(), Err(LdapSettingsError::Recheck)), "the password is not kept");
    }

    /// The directory would let it pass; it is not even asked.
    #[test]
    fn an_empty_password_is_denied() {
        let ldap = Ldap::new(settings("ldap://127.0.0.1:1")).unwrap();
        let login = |password: &[u8]| Attempt {
            username: Some("amy".into()),
            password: Some(Secret::new(password)),
            ..attempt()
        };

        assert!(matches!(ldap.authenticate(&login(b"")), Outcome::Deny(Denial::BadCredentials)));
        assert!(matches!(ldap.authenticate(&login(b"pw")), Outcome::Deny(Denial::Unavailable)));
        assert!(matches!(ldap.authenticate(&attempt()), Outcome::Pass));
    }

    #[test]
    fn a_directory_that_says_nothing_is_not_waited_for() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        for scheme in ["ldap", "ldaps"] {
            let settings = LdapSettings {
                timeout: Duration::from_millis(100),
                ..settings(&format!("{scheme}://127.0.0.1:{port}"))
            };
            let login =
                Attempt { username: Some("amy".into()), password: Some(Secret::new(*b"pw")), ..attempt() };

            let outcome = Ldap::new(settings).unwrap().authenticate(&login);

            assert!(matches!(outcome, Outcome::Deny(Denial::Unavailable)), "{scheme}: {outcome:?}");
        }
    }

    #[test]
    fn groups_are_named_by_their_first_value() {
        assert_eq!(group("cn=ops,ou=groups,dc=example").as_deref(), Some("ops"));
        assert_eq!(group("ops").as_deref(), Some("ops"));
        for value in ["", "cn=", "cn=a\\,b,dc=example", "cn=a+uid=b,dc=example", "a\0"] {
            assert_eq!(group(value), None, "{value:?}");
        }
    }
}
