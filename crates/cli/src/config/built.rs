//! What a configuration asks for and this build was made without.
//!
//! In:    a configuration.
//! Out:   the keys that ask for it, and the feature that each needs.
//! Never: a key that says what a build without the feature does anyway.

use super::listener::Proof;
use super::{Config, chain};

/// What a build can be made without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Api,
    Http,
    Jwt,
    Ldap,
    OpenTelemetry,
}

/// A key that wants a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) key: &'static str,
    pub(super) part: Part,
}

impl Part {
    /// The part that a proof is looked up with; `None`: it is in every build.
    pub(crate) const fn of(proof: Proof) -> Option<Self> {
        match proof {
            Proof::Jwt => Some(Self::Jwt),
            Proof::Http => Some(Self::Http),
            Proof::Ldap => Some(Self::Ldap),
            Proof::Certificate | Proof::Password | Proof::Scram | Proof::Anonymous => None,
        }
    }

    /// Has this build got it?
    #[inline]
    pub(crate) const fn is_built(self) -> bool {
        match self {
            Self::Api => cfg!(feature = "api"),
            Self::Http => cfg!(feature = "http"),
            Self::Jwt => cfg!(feature = "jwt"),
            Self::Ldap => cfg!(feature = "ldap"),
            Self::OpenTelemetry => cfg!(feature = "otlp"),
        }
    }

    /// What a build without it says.
    pub(crate) const fn lack(self) -> &'static str {
        match self {
            Self::Api => "this build has no API: cargo build --features api",
            Self::Http => "this build asks no HTTP service: cargo build --features http",
            Self::Jwt => "this build takes no JSON Web Tokens: cargo build --features jwt",
            Self::Ldap => "this build has no LDAP: cargo build --features ldap",
            Self::OpenTelemetry => "this build has no OpenTelemetry: cargo build --features otlp",
        }
    }

    /// What the key may say in a build without it.
    pub(super) const fn instead(self) -> &'static str {
        match self {
            Self::Http => "a chain without http",
            Self::Jwt => "a chain without jwt",
            Self::Ldap => "a chain without ldap",
            Self::Api | Self::OpenTelemetry => "nothing: without this key",
        }
    }
}

/// What a file asks for and the build lacks.
pub(super) fn lacking(config: &Config, has: impl Fn(Part) -> bool) -> Vec<Wish> {
    let proofs = [Proof::Jwt, Proof::Http, Proof::Ldap].into_iter().filter_map(|proof| {
        let key = chain::asked_by(config, proof)?;
        Some(Wish { key, part: Part::of(proof)? })
    });
    let others = [
        (config.api.listen.is_some(), "api.listen", Part::Api),
        (config.opentelemetry.endpoint.is_some(), "opentelemetry.endpoint", Part::OpenTelemetry),
    ];
    let others = others.into_iter().filter(|(asks, ..)| *asks).map(|(_, key, part)| Wish { key, part });
    proofs.chain(others).filter(|wish| !has(wish.part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = r#"
        authentication.chain = ["password", "jwt", "http"]
        [[listener]]
        url = "tcp://127.0.0.1:0"
        authentication = ["ldap"]
        [api]
        listen = "127.0.0.1:1"
        [opentelemetry]
        endpoint = "http://127.0.0.1:4318"
        [[authentication.jwt]]
        secret_file = "a"
        [authentication.http]
        url = "https://auth.example/"
        [authentication.ldap]
        url = "ldaps://directory.example"
        user_dn = "uid=${username}"
    "#;

    #[test]
    fn each_key_that_asks_for_what_is_not_built_is_named() {
        let config: Config = toml::from_str(ALL).unwrap();
        let found: Vec<_> =
            lacking(&config, |_| false).into_iter().map(|wish| (wish.key, wish.part)).collect();
        let expected = [
            ("authentication.chain", Part::Jwt),
            ("authentication.chain", Part::Http),
            ("listener.authentication", Part::Ldap),
            ("api.listen", Part::Api),
            ("opentelemetry.endpoint", Part::OpenTelemetry),
        ];
        assert_eq!(found, expected);
        assert!(lacking(&config, |_| true).is_empty());
        assert!(lacking(&Config::default(), |_| false).is_empty(), "the defaults ask for nothing");
    }

    /// As the file is read: refused with the key and the feature in every build that lacks it, taken in all others.
    #[test]
    fn a_file_is_refused_for_what_this_build_lacks_and_for_nothing_else() {
        let said = Config::parse(ALL).map_or_else(
            |faults| faults.iter().map(|fault| format!("{fault}\n")).collect(),
            |_| String::new(),
        );
        for (key, part) in [
            ("authentication.chain", Part::Jwt),
            ("authentication.chain", Part::Http),
            ("listener.authentication", Part::Ldap),
            ("api.listen", Part::Api),
            ("opentelemetry.endpoint", Part::OpenTelemetry),
        ] {
            let line = format!("{key}: {}; allowed: {}", part.lack(), part.instead());
            assert_eq!(said.contains(&line), !part.is_built(), "{line}\n{said}");
        }
    }
}
