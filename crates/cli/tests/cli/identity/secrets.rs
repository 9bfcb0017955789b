//! Secrets, and logs that have everything else.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::{PASSWORD, Service, configure, in_seconds, prepared, publish, start, tokens};

#[test]
fn the_log_at_its_most_verbose_has_no_secrets_in_it() {
    let directory = prepared();
    let service = Service::start(&directory);
    let made =
        tokens("HS256", &[json!({"sub": "amy", "exp": in_seconds(600)}), json!({"sub": "amy", "exp": 1})]);
    fs::write(directory.path().join("keys.json"), made["jwks"].to_string()).unwrap();
    fs::write(directory.path().join("authorization"), "Bearer of-the-broker").unwrap();
    let rest = format!(
        "[log]\nlevel = \"trace\"\n[[authentication.jwt]]\nkey_file = \"keys.json\"\n\
         [authentication.http]\nurl = \"http://127.0.0.1:{}/login\"\nauthorization_file = \"authorization\"\n",
        service.port
    );
    configure(&directory, "[\"jwt\", \"password\", \"scram\", \"http\"]", &rest);
    let broker = start(&directory);
    let proofs: Vec<&str> = [PASSWORD, "a wrong password", "right"]
        .into_iter()
        .chain(made["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()))
        .collect();
    for proof in &proofs {
        for user in ["amy", "nobody", "other"] {
            publish(&directory, &broker, user, proof, "plant/a payload");
        }
    }
    service.end();
    publish(&directory, &broker, "eve", "yet another password", "plant/1");
    directory.run(&["user", "passwd", "amy", "--password-file", "password"]);
    fs::write(directory.path().join("keys.json"), "nonsense").unwrap();
    let mut log = super::reload(&broker);
    let users = fs::read_to_string(directory.path().join("data/users")).unwrap();
    broker.signal(Signal::TERM);
    log.extend(broker.logged_until("ended"));
    let log = log.join("\n");
    assert!(log.contains("DEBUG") && log.contains("BadUserNameOrPassword"), "it is verbose: {log}");

    let parts = users.trim().split([':', '$', ',']).filter(|part| part.len() >= 16);
    let mut secrets: Vec<&str> =
        parts.chain(proofs.iter().copied().filter(|proof| proof.len() > 5)).collect();
    secrets.extend(["of-the-broker", "yet another password"]);
    secrets.extend(made["jwks"]["keys"][0]["k"].as_str());
    assert!(secrets.len() > 8, "{secrets:?}");
    for secret in secrets {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
