//! Tokens that PyJWT makes.

use std::process::Command;
use std::time::{Duration, SystemTime};

use dunlin_security::identity::http::{Client, ClientSettings};
use dunlin_security::identity::jwt::{ClaimRules, KeySource, TokenField, Tokens};
use dunlin_security::identity::{Action, Attempt, Authenticator, Denial, Secret};
use serde_json::{Value, json};

use crate::tools::{Folder, Talker, attempt, denied, granted, output, python};

const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// A token with its keys.
fn made(algorithm: &str, claims: &Value) -> Value {
    let text = output(python("credentials.py").args(["token", algorithm, &claims.to_string()]));
    serde_json::from_str(&text).unwrap()
}

fn with(made: &Value) -> Attempt {
    let token = made["token"].as_str().unwrap();
    Attempt { password: Some(Secret::new(token.as_bytes())), ..attempt() }
}

fn tokens(keys: KeySource) -> Tokens {
    Tokens::new(keys, ClaimRules::default(), TokenField::Password)
}

#[test]
fn tokens_of_every_algorithm_are_verified_by_key_set_and_by_pem() {
    let folder = Folder::new();
    for algorithm in ALGORITHMS {
        let exp = seconds_from_now(60);
        let made =
            made(algorithm, &json!({"sub": "amy", "exp": exp, "groups": ["ops"], "acl": {"pub": ["a"]}}));
        let mut files = vec![folder.file("keys.json", &made["jwks"].to_string())];
        if let Some(pem) = made["pem"].as_str() {
            files.push(folder.file("key.pem", pem));
        }
        for file in files {
            let grant = granted(tokens(KeySource::file(&file).unwrap()).authenticate(&with(&made)));

            assert_eq!(grant.identity.username.as_deref(), Some("amy"), "{algorithm}");
            assert_eq!(grant.identity.groups, [Box::from("ops")]);
            assert_eq!(grant.rules[0].action, Action::Publish);
            let until = SystemTime::UNIX_EPOCH + Duration::from_secs(exp.unsigned_abs());
            assert_eq!(grant.expires, Some(until));
        }
    }
}

#[test]
fn tokens_of_other_keys_and_expired_ones_are_denied() {
    let folder = Folder::new();
    for algorithm in ["HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let good = json!({"sub": "amy", "exp": seconds_from_now(60)});
        let (ours, theirs) = (made(algorithm, &good), made("ES256", &good));
        let tokens = tokens(KeySource::file(&folder.file("keys.json", &ours["jwks"].to_string())).unwrap());
        assert_eq!(denied(tokens.authenticate(&with(&theirs))), Denial::BadCredentials, "{algorithm}");
    }
    let old = made("ES256", &json!({"sub": "amy", "exp": seconds_from_now(-60)}));
    let tokens = tokens(KeySource::file(&folder.file("old.json", &old["jwks"].to_string())).unwrap());
    assert_eq!(denied(tokens.authenticate(&with(&old))), Denial::Expired);
}

#[test]
fn keys_that_an_issuer_publishes_are_fetched_once() {
    let folder = Folder::new();
    let claims = json!({"sub": "amy", "exp": seconds_from_now(60)});
    let made = made("RS256", &claims);
    folder.file("keys.json", &made["jwks"].to_string());
    let mut service = Talker::start(service().current_dir(folder.path("")));
    let url = format!("http://127.0.0.1:{}/keys", service.line());
    let source =
        KeySource::http(Client::new(&url, &ClientSettings::default()).unwrap(), Duration::from_secs(300));
    let tokens = tokens(source);

    for _ in 0..3 {
        granted(tokens.authenticate(&with(&made)));
    }
    assert_eq!(service.line(), "GET /keys -");

    // The issuer is away; its keys are still known.
    drop(service);
    granted(tokens.authenticate(&with(&made)));
}

#[test]
fn without_keys_nobody_is_let_in() {
    let made = made("ES256", &json!({"sub": "amy", "exp": seconds_from_now(60)}));
    let mut service = Talker::start(&mut service());
    let url = format!("http://127.0.0.1:{}/status/503", service.line());
    let source =
        KeySource::http(Client::new(&url, &ClientSettings::default()).unwrap(), Duration::from_secs(300));

    assert_eq!(denied(tokens(source).authenticate(&with(&made))), Denial::Unavailable);
}

#[test]
fn a_shared_secret_that_is_published_verifies_nothing() {
    let folder = Folder::new();
    let made = made("HS256", &json!({"sub": "amy", "exp": seconds_from_now(60)}));
    folder.file("keys.json", &made["jwks"].to_string());
    let mut service = Talker::start(service().current_dir(folder.path("")));
    let url = format!("http://127.0.0.1:{}/keys", service.line());
    let source =
        KeySource::http(Client::new(&url, &ClientSettings::default()).unwrap(), Duration::from_secs(300));

    assert_eq!(denied(tokens(source).authenticate(&with(&made))), Denial::Unavailable);
}

fn service() -> Command {
    python("service.py")
}
