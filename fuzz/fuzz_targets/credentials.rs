//! What strangers and careless hands write for authenticators to read: nothing panics, and what is read is written back
//! as what it was.
//!
//! The first byte says what the rest is.
#![no_main]

use dunlin_security::identity::jwt::{KeySet, Token};
use dunlin_security::identity::password::{PasswordHash, UserFile};
use dunlin_security::identity::scram::{ClientFinal, ClientFirst};
use dunlin_security::identity::{Attempt, Authenticator, Certificates, ClientIdRule, Field};
use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;

fuzz_target!(|input: &[u8]| {
    let Some((kind, data)) = input.split_first() else { return };
    let text = std::str::from_utf8(data).unwrap_or_default();
    match kind {
        b'0' => {
            if let Ok(users) = UserFile::parse(text) {
                assert_eq!(UserFile::parse(&users.expose()).ok(), Some(users));
            }
        }
        b'1' => {
            if let Ok(hash) = PasswordHash::parse(text) {
                assert_eq!(PasswordHash::parse(&hash.expose()), Ok(hash));
            }
        }
        b'2' => drop(Token::parse(text)),
        b'3' => {
            if let Ok(first) = ClientFirst::parse(data) {
                assert_eq!(format!("{}{}", first.gs2_header, first.bare), text);
            }
        }
        b'4' => {
            if let Ok(last) = ClientFinal::parse(data) {
                assert!(text.starts_with(last.without_proof));
            }
        }
        b'5' => drop(KeySet::from_jwks(data, false)),
        b'6' => drop(KeySet::from_pem(data)),
        _ => certificate(data),
    }
});

fn certificate(der: &[u8]) {
    let rule = Certificates { username: Field::CommonName, client_id: ClientIdRule::Match(Field::Dns) };
    let attempt = Attempt {
        listener: "tls".into(),
        is_assigned: false,
        address: None,
        client_id: "c".into(),
        username: None,
        password: None,
        certificate: Some(der.into()),
        method: None,
        now: SystemTime::UNIX_EPOCH,
    };
    drop(rule.authenticate(&attempt));
}
