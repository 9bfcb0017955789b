//! Chains of authenticators that need what the file does not say, or says twice.

use dunlin_security::identity::http;
use dunlin_security::source::Source;

use super::Config;
use super::fault::{Fault, Problem};
use super::listener::Proof;
use super::relation::Places;

/// What a build without it says.
#[cfg(not(feature = "ldap"))]
pub(crate) const NO_LDAP: &str = "this build has no ldap: cargo build --features ldap";

/// A fault and the key that it is about.
struct Wrong {
    key: &'static str,
    value: Option<String>,
    why: String,
    allowed: &'static str,
}

impl Wrong {
    fn new(key: &'static str, why: &str, allowed: &'static str) -> Self {
        Self { key, value: None, why: why.to_owned(), allowed }
    }
}

/// Every authenticator of a chain that cannot work.
pub(super) fn faults(config: &Config, source: Source<'_>, places: &Places) -> Vec<Fault> {
    let own = config.listener.iter().filter_map(|listener| listener.authentication.as_ref());
    let asks = |proof: Proof| {
        config.authentication.chain.contains(&proof) || own.clone().any(|chain| chain.contains(&proof))
    };
    let mut wrong = of_failures(config);
    for (proof, of) in
        [(Proof::Jwt, of_jwt as fn(&Config) -> Vec<Wrong>), (Proof::Http, of_http), (Proof::Ldap, of_ldap)]
    {
        if asks(proof) {
            wrong.extend(of(config));
        }
    }
    wrong.into_iter().map(|wrong| fault(wrong, source, places)).collect()
}

fn fault(wrong: Wrong, source: Source<'_>, places: &Places) -> Fault {
    let chains = ["authentication.chain", "listener.authentication"];
    // What is missing has no place of its own: then whoever asks for it is shown.
    let at =
        [wrong.key].into_iter().chain(chains).find_map(|key| places.get(key)).cloned().unwrap_or_default();
    let fault = Fault::at(source, &at, Problem::Chain(wrong.why));
    Fault {
        key: Some(wrong.key.to_owned()),
        value: wrong.value,
        allowed: Some(wrong.allowed.to_owned()),
        ..fault
    }
}

fn of_failures(config: &Config) -> Vec<Wrong> {
    let failures = &config.authentication.failures;
    let is_wrong = failures.ban_maximum_seconds < failures.ban_seconds;
    let wrong = || Wrong {
        key: "authentication.failures.ban_maximum_seconds",
        value: Some(failures.ban_maximum_seconds.to_string()),
        why: format!("less than authentication.failures.ban_seconds = {}", failures.ban_seconds),
        allowed: "authentication.failures.ban_seconds or more",
    };
    is_wrong.then(wrong).into_iter().collect()
}

fn of_jwt(config: &Config) -> Vec<Wrong> {
    let jwt = &config.authentication.jwt;
    let mut wrong = Vec::new();
    let sources: Vec<_> = jwt.sources().collect();
    if sources.len() != 1 {
        let found = if sources.is_empty() { "none".to_owned() } else { sources.join(", ") };
        wrong.push(Wrong::new(
            "authentication.jwt",
            &format!("jwt in a chain needs to know by which keys tokens are signed; found: {found}"),
            "one of secret_file, key_file, jwks_url",
        ));
    }
    if let Some(url) = &jwt.jwks_url {
        wrong.extend(of_url("authentication.jwt.jwks_url", url, jwt.insecure));
    }
    wrong
}

fn of_http(config: &Config) -> Vec<Wrong> {
    let http = &config.authentication.http;
    let missing =
        || vec![Wrong::new("authentication.http.url", "missing, with http in a chain", "https://HOST...")];
    let Some(url) = &http.url else { return missing() };
    of_url("authentication.http.url", url, http.insecure).into_iter().collect()
}

fn of_url(key: &'static str, url: &str, insecure: bool) -> Option<Wrong> {
    let error = http::check_url(url, insecure).err()?;
    let allowed = "https://HOST...; http:// to this machine, or with insecure = true";
    Some(Wrong { key, value: Some(format!("\"{url}\"")), why: error.to_string(), allowed })
}

#[cfg(feature = "ldap")]
fn of_ldap(config: &Config) -> Vec<Wrong> {
    let ldap = &config.authentication.ldap;
    let Some(url) = &ldap.url else {
        return vec![Wrong::new(
            "authentication.ldap.url",
            "missing, with ldap in a chain",
            "ldaps://HOST...",
        )];
    };
    let mut wrong = Vec::new();
    let searches = ldap.search_base.is_some() || ldap.search_filter.is_some();
    let is_whole = ldap.search_base.is_some() && ldap.search_filter.is_some();
    if ldap.user_dn.is_some() == searches || searches && !is_whole {
        let why = "ldap in a chain needs to know how users are found, in one way";
        wrong.push(Wrong::new("authentication.ldap", why, "user_dn, or search_base and search_filter"));
    } else if let Err(error) = ldap.settings().check() {
        let allowed = "ldaps://HOST...; ldap:// with start_tls = true, to this machine, or with insecure = true; \
                       ${username} in user_dn or search_filter";
        let value = Some(format!("\"{url}\""));
        wrong.push(Wrong { key: "authentication.ldap.url", value, why: error.to_string(), allowed });
    }
    if ldap.bind_dn.is_some() != ldap.bind_password_file.is_some() {
        let why = "bind_dn and bind_password_file need each other";
        wrong.push(Wrong::new("authentication.ldap.bind_dn", why, "both, or neither"));
    }
    wrong
}

#[cfg(not(feature = "ldap"))]
fn of_ldap(_: &Config) -> Vec<Wrong> {
    vec![Wrong::new("authentication.chain", NO_LDAP, "a chain without ldap")]
}
