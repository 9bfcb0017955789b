//! What a log-in costs: processor time of this process, for each kind of proof.
//!
//! `cargo run --release -p dunlin-security --example login [--features ldap -- URL DN PASSWORD]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it stops where it cannot measure")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dunlin_security::identity::http::{CallOut, CallOutSettings, Client, ClientSettings};
use dunlin_security::identity::jwt::{ClaimRules, KeySource, TokenField, Tokens};
use dunlin_security::identity::{Attempt, Authenticator, Outcome, Secret};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{hmac, signature};
use serde_json::{Value, json};

fn main() {
    let claims = json!({"sub": "amy", "exp": 4_000_000_000_u64, "groups": ["ops", "night"],
        "acl": {"pub": ["plant/${client_id}/#"], "sub": ["plant/all"]}});
    let (token, keys) = shared(&claims);
    report("token HS256", 100_000, &Tokens::new(keys, ClaimRules::default(), TokenField::Password), &token);
    let (token, keys) = p256(&claims);
    report("token ES256", 10_000, &Tokens::new(keys, ClaimRules::default(), TokenField::Password), &token);
    let (token, keys) = ed25519(&claims);
    report("token EdDSA", 10_000, &Tokens::new(keys, ClaimRules::default(), TokenField::Password), &token);
    let kept = CallOutSettings::default();
    report("HTTP, kept answer", 200_000, &service(kept), "password");
    let asked = CallOutSettings { allow_cached: Duration::ZERO, ..CallOutSettings::default() };
    report("HTTP, asked (client's part and the service's)", 5_000, &service(asked), "password");
    #[cfg(feature = "ldap")]
    directory();
}

#[cfg(feature = "ldap")]
fn directory() {
    use dunlin_security::identity::http::Roots;
    use dunlin_security::identity::ldap::{Find, Ldap, LdapSettings};
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(name), Some(password)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return;
    };
    let settings = LdapSettings {
        url: url.into(),
        start_tls: false,
        roots: Roots::System,
        insecure: false,
        timeout: Duration::from_secs(5),
        find: Find::Dn(name.into()),
        groups: Some("memberOf".into()),
        attributes: Vec::new(),
        in_flight_maximum: 2,
        recheck: Duration::ZERO,
    };
    report("LDAP (client's part)", 500, &Ldap::new(settings).unwrap(), &password);
}

fn attempt(password: &str) -> Attempt {
    Attempt {
        listener: "tls".into(),
        address: Some([192, 0, 2, 1].into()),
        client_id: "pump-7".into(),
        is_assigned: false,
        username: Some("eve".into()),
        password: Some(Secret::new(password.as_bytes())),
        certificate: None,
        method: None,
        now: SystemTime::now(),
    }
}

/// Processor time of all threads, in milliseconds.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, which may hold anything: user and system time are the 12th and 13th, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() * 10.0).sum()
}

fn report(what: &str, times: u32, proof: &dyn Authenticator, password: &str) {
    let attempt = attempt(password);
    let outcome = proof.authenticate(&attempt);
    assert!(matches!(outcome, Outcome::Allow(_)), "{what}: {outcome:?}");
    let before = processor();
    for _ in 0..times {
        std::hint::black_box(proof.authenticate(&attempt));
    }
    let each = (processor() - before) * 1000.0 / f64::from(times);
    println!("{what:50} {each:8.1} µs");
}

fn parts(algorithm: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "kid": "k"});
    [header, claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

fn with_signature(signed: &str, by: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(by))
}

fn shared(claims: &Value) -> (String, KeySource) {
    let signed = parts("HS256", claims);
    let by = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), signed.as_bytes());
    (with_signature(&signed, by.as_ref()), KeySource::secret(Secret::new([7; 32])).unwrap())
}

fn key_file(name: &str, key: &Value) -> KeySource {
    let path = std::env::temp_dir().join(format!("dunlin-login-{}-{name}", std::process::id()));
    std::fs::write(&path, json!({"keys": [key]}).to_string()).unwrap();
    let keys = KeySource::file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    keys
}

fn p256(claims: &Value) -> (String, KeySource) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
    let signed = parts("ES256", claims);
    let by: signature::Signature = pair.sign(&random, signed.as_bytes()).unwrap();
    (with_signature(&signed, by.as_ref()), key_file("p256", &key))
}

fn ed25519(claims: &Value) -> (String, KeySource) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
    let signed = parts("EdDSA", claims);
    (with_signature(&signed, pair.sign(signed.as_bytes()).as_ref()), key_file("ed25519", &key))
}

/// A service in this process that says yes to everybody.
fn service(settings: CallOutSettings) -> CallOut {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/login", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || yes(stream));
        }
    });
    CallOut::new(Client::new(&url, &ClientSettings::default()).unwrap(), settings).unwrap()
}

fn yes(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    while let Ok(read) = stream.read(&mut buffer)
        && read > 0
    {
        seen.extend_from_slice(&buffer[..read]);
        if seen.ends_with(b"}") {
            seen.clear();
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
    }
}
