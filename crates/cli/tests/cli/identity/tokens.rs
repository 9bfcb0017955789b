//! JSON Web Tokens of PyJWT.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::mounts::subscriber_as;
use super::{Service, configure, in_seconds, port, prepared, publish, python, reload, root, start, tokens};
use crate::process::Broker;
use crate::secured::{Directory, both};

const ISSUER: &str = "https://id.example/";

fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "sub": "amy", "iss": ISSUER, "aud": "mqtt", "exp": in_seconds(600), "groups": ["ops"], "device": "c",
        "acl": {"pub": ["own/${username}/#"]},
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// Tokens of an issuer: a good one, and others. Their keys are in `keys.json`.
fn issued(directory: &Directory, algorithm: &str) -> Vec<String> {
    let made = tokens(
        algorithm,
        &[
            claims(&json!({})),
            claims(&json!({"exp": in_seconds(-60)})),
            claims(&json!({"aud": "another"})),
            claims(&json!({"groups": []})),
            claims(&json!({"device": "another"})),
        ],
    );
    fs::write(directory.path().join("keys.json"), made["jwks"].to_string()).unwrap();
    made["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()).collect()
}

fn section(source: &str) -> String {
    format!(
        "[[authentication.jwt]]\n{source}\nissuer = \"{ISSUER}\"\naudiences = [\"mqtt\"]\nclient_id = \"match\"\n\
         client_id_claim = \"device\"\n"
    )
}

#[test]
fn a_token_lets_in_and_says_what_its_client_may_do() {
    for algorithm in ["HS256", "RS256", "ES256"] {
        let directory = prepared();
        let issued = issued(&directory, algorithm);
        configure(&directory, "[\"jwt\", \"password\"]", &section("key_file = \"keys.json\""));
        let broker = start(&directory);
        let said = |token: &str, topic| publish(&directory, &broker, "any", token, topic);
        let [good, expired, foreign, groupless, another] = &issued[..] else { panic!("{issued:?}") };
        assert_eq!(said(good, "plant/1"), "", "{algorithm}: by its group");
        assert_eq!(said(good, "own/amy/1"), "", "{algorithm}: by its own rules");
        assert!(said(good, "own/ben/1").contains("Not authorized"), "{algorithm}");
        assert!(said(groupless, "plant/1").contains("Not authorized"), "{algorithm}");
        for wrong in [expired, foreign] {
            assert!(said(wrong, "plant/1").contains("Bad User Name or Password"), "{algorithm}");
        }
        assert!(said(another, "plant/1").contains("Client Identifier not valid"), "{algorithm}");

        // The claims of one with the signature of another.
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (ours, theirs) = (parts(groupless), parts(good));
        let forged = format!("{}.{}.{}", ours[0], theirs[1], ours[2]);
        assert!(said(&forged, "plant/1").contains("Bad User Name or Password"), "{algorithm}");
        // What is no token is left to the next of the chain.
        assert_eq!(publish(&directory, &broker, "amy", super::PASSWORD, "plant/1"), "");
    }
}

#[test]
fn each_issuer_of_several_lets_in_its_own() {
    let directory = prepared();
    let issuers = ["https://one.example/", "https://other.example/"];
    let [one, other] = issuers.map(|issuer| {
        let name = if issuer.contains("one") { "one" } else { "other" };
        let made = tokens(
            "ES256",
            &[claims(&json!({"iss": issuer, "sub": name})), claims(&json!({"iss": issuers[0]}))],
        );
        fs::write(directory.path().join(format!("{name}.json")), made["jwks"].to_string()).unwrap();
        made["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    });
    let block =
        |name, issuer| format!("[[authentication.jwt]]\nkey_file = \"{name}.json\"\nissuer = \"{issuer}\"\n");
    let (first, second) = (block("one", issuers[0]), block("other", issuers[1]));
    configure(&directory, "[\"jwt\"]", &[&*first, &second].concat());
    let broker = start(&directory);
    let said = |token: &str, topic: &str| publish(&directory, &broker, "any", token, topic);
    assert_eq!((said(&one[0], "own/one/1").as_str(), said(&other[0], "own/other/1").as_str()), ("", ""));
    assert!(
        said(&other[1], "own/amy/1").contains("Bad User Name"),
        "in the name of one, with the key of the other"
    );

    // Whose issuer is taken off the list goes; others stay.
    let (mut child, mut lines) =
        subscriber_as(&directory, &port(&broker), "gone", "plant/#", &["-u", "x", "-P", &other[0]]);
    configure(&directory, "[\"jwt\"]", &first);
    reload(&broker);
    assert!(lines.any(|line| line.contains("Received DISCONNECT (135)")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said(&other[0], "own/other/1").contains("Bad User Name"));
    assert_eq!(said(&one[0], "own/one/1"), "");
}

#[test]
fn a_connection_ends_with_its_token() {
    let directory = prepared();
    issued(&directory, "ES256");
    let text = "[[authentication.jwt]]\nkey_file = \"keys.json\"\nleeway_seconds = 0\n";
    configure(&directory, "[\"jwt\"]", text);
    let broker = start(&directory);
    // Its time begins when the broker is there.
    let made = tokens("ES256", &[claims(&json!({"exp": in_seconds(10)}))]);
    fs::write(directory.path().join("keys.json"), made["jwks"].to_string()).unwrap();
    reload(&broker);
    let token = made["token"].as_str().unwrap();
    let (mut child, mut lines) =
        subscriber_as(&directory, &port(&broker), "c", "plant/#", &["-u", "x", "-P", token]);
    assert!(lines.any(|line| line.contains("Received DISCONNECT (135)")), "it outlives its token");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn keys_are_read_again_and_bad_ones_change_nothing() {
    let directory = prepared();
    let before = issued(&directory, "ES256").remove(0);
    configure(&directory, "[\"jwt\"]", &section("key_file = \"keys.json\""));
    let broker = start(&directory);
    let comes_in = |token: &str| publish(&directory, &broker, "any", token, "plant/1").is_empty();
    assert!(comes_in(&before));
    let keys = fs::read(directory.path().join("keys.json")).unwrap();

    let after = issued(&directory, "ES256").remove(0);
    reload(&broker);
    assert!(comes_in(&after) && !comes_in(&before));

    fs::write(directory.path().join("keys.json"), "nonsense").unwrap();
    let log = reload(&broker).join("\n");
    assert!(
        log.contains("the authentication stays as it was") && log.contains("authentication.jwt.key_file"),
        "{log}"
    );
    assert!(comes_in(&after));

    fs::write(directory.path().join("keys.json"), keys).unwrap();
    reload(&broker);
    assert!(comes_in(&before) && !comes_in(&after));
}

#[test]
fn keys_that_an_issuer_publishes_are_fetched_once_and_serve_while_it_is_away() {
    let directory = prepared();
    let good = issued(&directory, "RS256").remove(0);
    let service = Service::start(&directory);
    let source = format!("jwks_url = \"http://127.0.0.1:{}/keys\"", service.port);
    configure(&directory, "[\"jwt\"]", &section(&source));
    let broker = start(&directory);
    for _ in 0..3 {
        assert_eq!(publish(&directory, &broker, "any", &good, "plant/1"), "");
    }
    assert_eq!(service.end(), ["GET /keys -"]);
    reload(&broker);
    assert_eq!(publish(&directory, &broker, "any", &good, "plant/1"), "", "the old keys serve");
    broker.logged("keys cannot be fetched");
}

fn runs(mut command: Command, broker: &Broker, token: &str) {
    command.args(["127.0.0.1", &port(broker), "5", "qos1"]).env("WHO", "any").env("PROOF", token);
    let output = command.output().unwrap_or_else(|error| panic!("{error}: run make setup-tests"));
    assert!(output.status.success(), "{command:?}: {}", both(&output));
}

#[test]
fn paho_and_mqtt_js_log_in_with_tokens() {
    let directory = prepared();
    fs::write(
        directory.path().join("policy.toml"),
        "[[rule]]\nfor = \"user:amy\"\nallow = [\"publish\", \"subscribe\"]\ntopics = \"#\"\n",
    )
    .unwrap();
    let made = tokens("ES256", &[json!({"sub": "amy", "aud": "mqtt", "exp": in_seconds(600)})]);
    fs::write(directory.path().join("keys.json"), made["jwks"].to_string()).unwrap();
    let section = "[[authentication.jwt]]\nkey_file = \"keys.json\"\naudiences = [\"mqtt\"]\n";
    configure(&directory, "[\"jwt\"]", section);
    let broker = start(&directory);
    let token = made["token"].as_str().unwrap();
    runs(python("driver.py"), &broker, token);
    let mut node = Command::new("node");
    node.arg(root().join("tests/clients/js/driver.js"));
    runs(node, &broker, token);
}
