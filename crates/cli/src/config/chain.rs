//! Chains of authenticators that need what the file does not say, or says twice.

use dunlin_security::identity::http;
#[cfg(feature = "ldap")]
use dunlin_security::identity::ldap::LdapSettingsError;
use dunlin_security::source::Source;

#[cfg(feature = "ldap")]
use super::Ldap;
use super::built::{self, Part};
use super::fault::{Fault, Problem};
use super::listener::Proof;
use super::relation::Places;
use super::{Authentication, Config};

/// The keys that say which proofs are asked for.
const CHAINS: [&str; 2] = ["authentication.chain", "listener.authentication"];

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

/// The sections below `authentication` that say something, about a proof that no chain asks for.
pub(crate) fn unused(
    authentication: &Authentication,
    asks: impl Fn(Proof) -> bool,
) -> impl Iterator<Item = &'static str> {
    let default = Authentication::default();
    let says = [
        ("password", authentication.password != default.password, &[Proof::Password, Proof::Scram][..]),
        ("certificate", authentication.certificate != default.certificate, &[Proof::Certificate]),
        ("jwt", authentication.jwt != default.jwt, &[Proof::Jwt]),
        ("http", authentication.http != default.http, &[Proof::Http]),
        ("ldap", authentication.ldap != default.ldap, &[Proof::Ldap]),
    ];
    says.into_iter().filter_map(move |(name, says, proofs)| {
        (says && !proofs.iter().any(|proof| asks(*proof))).then_some(name)
    })
}

/// Whether a chain of the file has it.
pub(crate) fn asks(config: &Config, proof: Proof) -> bool {
    asked_by(config, proof).is_some()
}

/// The key whose chain has it, if one does.
pub(super) fn asked_by(config: &Config, proof: Proof) -> Option<&'static str> {
    if config.authentication.chain.contains(&proof) {
        return Some(CHAINS[0]);
    }
    let mut own = config.listener.iter().filter_map(|listener| listener.authentication.as_ref());
    own.any(|chain| chain.contains(&proof)).then_some(CHAINS[1])
}

/// Every authenticator of a chain that cannot work.
pub(super) fn faults(config: &Config, source: Source<'_>, places: &Places) -> Vec<Fault> {
    let mut wrong = of_failures(config);
    let lacking = built::lacking(config, Part::is_built);
    wrong.extend(lacking.iter().map(|wish| Wrong::new(wish.key, wish.part.lack(), wish.part.instead())));
    // What is not built is not even mentioned, so that the linker leaves it out.
    if Part::Jwt.is_built() && asks(config, Proof::Jwt) {
        wrong.extend(of_jwt(config));
    }
    if Part::Http.is_built() && asks(config, Proof::Http) {
        wrong.extend(of_http(config));
    }
    #[cfg(feature = "ldap")]
    if asks(config, Proof::Ldap) {
        wrong.extend(of_ldap(config));
    }
    wrong.into_iter().map(|wrong| fault(wrong, source, places)).collect()
}

fn fault(wrong: Wrong, source: Source<'_>, places: &Places) -> Fault {
    // What is missing has no place of its own: then whoever asks for it is shown.
    let at =
        [wrong.key].into_iter().chain(CHAINS).find_map(|key| places.get(key)).cloned().unwrap_or_default();
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
    let issuers = &config.authentication.jwt;
    let unknown = |found: &str| {
        let why = format!("jwt in a chain needs to know by which keys tokens are signed; found: {found}");
        Wrong::new("authentication.jwt", &why, "one of secret_file, key_file, jwks_url")
    };
    let mut wrong = Vec::new();
    if issuers.is_empty() {
        wrong.push(unknown("none"));
    }
    for (index, jwt) in issuers.iter().enumerate() {
        let sources: Vec<_> = jwt.sources().collect();
        if sources.len() != 1 {
            wrong.push(unknown(&if sources.is_empty() { "none".to_owned() } else { sources.join(", ") }));
        }
        if let Some(url) = &jwt.jwks_url {
            wrong.extend(of_url("authentication.jwt.jwks_url", url, jwt.insecure));
        }
        let is_own = jwt.issuer.is_some() && issuers[..index].iter().all(|other| other.issuer != jwt.issuer);
        if issuers.len() > 1 && !is_own {
            let why = "of several, each is known by its issuer";
            let value = jwt.issuer.as_ref().map(|issuer| format!("\"{issuer}\""));
            let allowed = "another issuer in each [[authentication.jwt]]";
            wrong.push(Wrong { value, ..Wrong::new("authentication.jwt.issuer", why, allowed) });
        }
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
        wrong.push(of_settings(ldap, url, &error));
    }
    if ldap.bind_dn.is_some() != ldap.bind_password_file.is_some() {
        let why = "bind_dn and bind_password_file need each other";
        wrong.push(Wrong::new("authentication.ldap.bind_dn", why, "both, or neither"));
    }
    wrong
}

#[cfg(feature = "ldap")]
fn of_settings(ldap: &Ldap, url: &str, error: &LdapSettingsError) -> Wrong {
    let (key, value, allowed) = match (error, &ldap.user_dn) {
        (LdapSettingsError::Template { template }, Some(_)) => {
            ("authentication.ldap.user_dn", &**template, "a distinguished name with ${username} in it")
        }
        (LdapSettingsError::Template { template }, None) => {
            ("authentication.ldap.search_filter", &**template, "a filter with ${username} in it")
        }
        (LdapSettingsError::Recheck, _) => {
            let seconds = ldap.recheck_seconds.to_string();
            let allowed = "0, or search_base and search_filter in place of user_dn";
            return Wrong {
                value: Some(seconds),
                ..Wrong::new("authentication.ldap.recheck_seconds", &error.to_string(), allowed)
            };
        }
        _ => {
            let allowed =
                "ldaps://HOST...; ldap:// with start_tls = true, to this machine, or with insecure = true";
            ("authentication.ldap.url", url, allowed)
        }
    };
    Wrong { key, value: Some(format!("\"{value}\"")), why: error.to_string(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the faults of a file say that asks for one proof in its chain.
    fn faults(proof: &str, rest: &str) -> String {
        let text = format!("authentication.chain = [\"{proof}\"]\n{rest}");
        let said = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Config::parse(&text).map_or_else(said, |_| String::new())
    }

    #[test]
    fn a_proof_needs_to_know_where_it_is_looked_up() {
        assert!(faults("jwt", "").contains("found: none; allowed: one of secret_file, key_file, jwks_url"));
        let two = "[[authentication.jwt]]\nsecret_file = \"a\"\nkey_file = \"b\"";
        assert!(faults("jwt", two).contains("found: secret_file, key_file"));
        assert!(faults("http", "").contains("authentication.http.url: missing, with http in a chain"));
        assert!(faults("ldap", "").contains("authentication.ldap.url: missing, with ldap in a chain"));
        assert_eq!(faults("password", two), "", "nobody asks for it");
        let own = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = [\"http\"]";
        assert!(faults("password", own).contains("authentication.http.url: missing"));
    }

    #[test]
    fn of_several_issuers_each_is_known_by_its_name() {
        let of = |issuers: &[&str]| {
            let block = |issuer: &&str| format!("[[authentication.jwt]]\nsecret_file = \"a\"\n{issuer}\n");
            faults("jwt", &issuers.iter().map(block).collect::<String>())
        };
        let (one, other) = ("issuer = \"https://one.example\"", "issuer = \"https://other.example\"");
        assert_eq!((of(&[""]).as_str(), of(&[one, other]).as_str()), ("", ""));
        let twice = of(&[one, other, one]);
        assert!(
            twice.starts_with("authentication.jwt.issuer = \"https://one.example\": of several, each"),
            "{twice}"
        );
        assert!(of(&[one, ""]).starts_with("authentication.jwt.issuer: of several, each"));
        let table = faults("jwt", "[authentication.jwt]\nsecret_file = \"a\"");
        assert!(table.contains("allowed: [[authentication.jwt]]"), "{table}");
    }

    #[test]
    fn a_section_that_no_chain_asks_for_is_named() {
        let named = |text: &str| {
            let config = Config::parse(text).unwrap();
            unused(&config.authentication, |proof| asks(&config, proof)).collect::<Vec<_>>()
        };
        let sections =
            "[authentication.http]\nurl = \"https://auth.example/\"\n[authentication.password]\nfile = \"a\"";
        assert_eq!(named(sections), ["http"]);
        assert_eq!(
            named(&format!("authentication.chain = [\"certificate\"]\n{sections}")),
            ["password", "http"]
        );
        let own = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nauthentication = [\"http\", \"scram\"]";
        assert!(named(&format!("{own}\n{sections}")).is_empty());
        assert!(named("[authentication.certificate]\nclient_id = \"match\"").is_empty(), "as it is anyway");
    }

    #[test]
    fn secrets_do_not_cross_the_network_in_clear_text() {
        let url = "http://auth.example/x";
        let said = faults("http", &format!("[authentication.http]\nurl = \"{url}\""));
        assert!(said.starts_with(&format!("authentication.http.url = \"{url}\": ")), "{said}");
        let insecure = format!("[authentication.http]\nurl = \"{url}\"\ninsecure = true");
        assert_eq!(faults("http", &insecure), "");
        let jwks = format!("[[authentication.jwt]]\njwks_url = \"{url}\"");
        assert!(faults("jwt", &jwks).contains("in clear text"));
        let named = "[authentication.http]\nurl = \"https://amy:secret@auth.example/\"";
        assert!(faults("http", named).contains("not a URL of a service"));
    }

    #[cfg(feature = "ldap")]
    #[test]
    fn a_user_of_a_directory_is_found_in_one_way() {
        let with = |rest: &str| {
            faults("ldap", &format!("[authentication.ldap]\nurl = \"ldaps://directory.example\"\n{rest}"))
        };
        assert_eq!(with("user_dn = \"uid=${username},dc=example\""), "");
        assert_eq!(with("search_base = \"dc=example\"\nsearch_filter = \"(uid=${username})\""), "");
        for rest in [
            "",
            "search_base = \"dc=example\"",
            "user_dn = \"uid=${username}\"\nsearch_base = \"dc=example\"",
        ] {
            assert!(
                with(rest).contains("in one way; allowed: user_dn, or search_base and search_filter"),
                "{rest}"
            );
        }
        let said = with("user_dn = \"uid=${username}\"\nrecheck_seconds = 60");
        assert!(
            said.starts_with("authentication.ldap.recheck_seconds = 60: users who were let in"),
            "{said}"
        );
        let said = with("user_dn = \"uid=amy\"");
        assert!(
            said.starts_with("authentication.ldap.user_dn = \"uid=amy\": uid=amy lacks ${username}"),
            "{said}"
        );
        assert!(with("user_dn = \"uid=${username}\"\nbind_dn = \"cn=a\"").contains("need each other"));
        let plain =
            "[authentication.ldap]\nurl = \"ldap://directory.example\"\nuser_dn = \"uid=${username}\"";
        assert!(faults("ldap", plain).contains("in clear text"));
    }
}
