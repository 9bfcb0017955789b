//! `dunlin ca`, `dunlin device`, `dunlin user`.

use std::fs;

use crate::secured::{Directory, Secured, both};

/// openssl's verdict on a certificate, the list of revoked ones included.
fn openssl_verifies(directory: &Directory, file: &str) -> bool {
    let pki = |name: &str| directory.file(&format!("data/pki/{name}"));
    let (authority, list) = (pki("authority.crt"), pki("revoked.crl"));
    let verify = ["verify", "-x509_strict", "-CAfile", &authority, "-crl_check", "-CRLfile", &list, file];
    directory.other("openssl", &verify).status.success()
}

#[test]
fn openssl_verifies_what_was_issued_until_it_is_taken_back() {
    let directory = Directory::new();
    directory.run(&["ca", "init", "--name", "broker.example.org"]);
    directory.run(&["device", "add", "pump-7"]);
    assert!(openssl_verifies(&directory, &directory.file("data/pki/server.crt")));
    assert!(openssl_verifies(&directory, "pump-7/pump-7.crt"));

    let said = directory.run(&["device", "remove", "pump-7"]);
    assert_eq!(said, "dunlin: pump-7: 1 certificate taken back\n");
    assert!(!openssl_verifies(&directory, "pump-7/pump-7.crt"));
    assert!(directory.run(&["device", "list"]).contains("revoked"));
    let list = directory.run(&["ca", "crl"]);
    assert_eq!(list, fs::read_to_string(directory.path().join("data/pki/revoked.crl")).unwrap());
    assert!(directory.fails(1, &["device", "remove", "pump-7"]).contains("nothing that is valid"));
}

#[test]
fn a_certificate_that_was_taken_back_is_refused_when_the_command_returns() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "kept"]);
    for lost in ["lost-1", "lost-2", "lost-3"] {
        directory.run(&["device", "add", lost]);
        assert!(directory.publish(server.tls, lost).status.success(), "{lost}");
        directory.run(&["ca", "revoke", lost, "--reason", "key-compromise"]);
        assert!(!directory.publish(server.tls, lost).status.success(), "{lost} still publishes");
    }
    assert!(directory.publish(server.tls, "kept").status.success());
}

#[test]
fn openssl_reads_the_pkcs12_file() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    let said = directory.run(&["device", "add", "pump-7", "--pkcs12", "--out", "stick"]);
    let password = said.lines().find_map(|line| line.trim().strip_prefix("password")).unwrap();
    let password = format!("pass:{}", password.split_whitespace().next().unwrap());
    let read =
        directory.other("openssl", &["pkcs12", "-in", "stick/pump-7.p12", "-passin", &password, "-nodes"]);
    assert!(read.status.success(), "{}", both(&read));
    let text = both(&read);
    assert!(text.contains("BEGIN PRIVATE KEY") && text.matches("BEGIN CERTIFICATE").count() == 2, "{text}");
    assert!(text.contains("CN = pump-7") || text.contains("CN=pump-7"), "{text}");
    let wrong =
        directory.other("openssl", &["pkcs12", "-in", "stick/pump-7.p12", "-passin", "pass:x", "-nodes"]);
    assert!(!wrong.status.success());
}

#[test]
fn a_device_that_keeps_its_key_sends_a_request() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    let made = directory.other(
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=whoever",
            "-keyout",
            "meter.key",
            "-out",
            "meter.csr",
        ],
    );
    assert!(made.status.success(), "{}", both(&made));
    directory.run(&["ca", "issue", "meter", "--csr", "meter.csr"]);
    assert!(!directory.path().join("meter/meter.key").exists());
    fs::copy(directory.path().join("meter.key"), directory.path().join("meter/meter.key")).unwrap();
    let published = directory.publish(server.tls, "meter");
    assert!(published.status.success(), "{}", both(&published));
}

#[test]
fn names_that_clients_use_are_added_to_the_server_certificate() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    let said = directory.run(&["ca", "server", "--name", "broker.example.org", "--name", "192.0.2.77"]);
    assert!(said.contains("localhost") && said.contains("broker.example.org") && said.contains("192.0.2.77"));
    let text = directory
        .other("openssl", &["x509", "-in", "data/pki/server.crt", "-noout", "-ext", "subjectAltName"]);
    let text = both(&text);
    assert!(text.contains("DNS:broker.example.org") && text.contains("IP Address:192.0.2.77"), "{text}");
    let said = directory.run(&["ca", "server", "--forget", "192.0.2.77"]);
    assert!(!said.contains("192.0.2.77"), "{said}");
    assert!(directory.fails(2, &["ca", "server", "--name", "a b"]).contains("is not a host's name"));
}

#[test]
fn another_certificate_for_a_device_does_not_end_the_first() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    let error = directory.fails(1, &["device", "add", "pump-7", "--out", "more"]);
    assert!(error.contains("has a certificate already") && error.contains("dunlin ca renew"), "{error}");
    directory.run(&["ca", "renew", "pump-7", "--out", "next"]);
    assert!(directory.publish(server.tls, "pump-7").status.success());
    assert!(openssl_verifies(&directory, "next/pump-7.crt"));
    assert_eq!(directory.run(&["device", "list"]).matches("pump-7").count(), 2);
}

#[test]
fn a_renewed_authority_is_the_same_to_those_who_trust_the_old_one() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    let before = directory.run(&["ca", "show", "--pem"]);
    assert!(directory.run(&["ca", "renew", "--authority"]).contains("the authority is valid until"));
    assert_ne!(directory.run(&["ca", "show", "--pem"]), before);
    assert!(openssl_verifies(&directory, "pump-7/pump-7.crt"));
    assert!(directory.publish(server.tls, "pump-7").status.success());
}

#[test]
fn without_an_authority_the_commands_say_what_makes_one() {
    let directory = Directory::new();
    for arguments in [&["device", "list"][..], &["device", "add", "a"], &["ca", "show"], &["ca", "renew"]] {
        let error = directory.fails(3, arguments);
        assert!(
            error.contains("there is no certificate authority in") && error.contains("dunlin ca init"),
            "{error}"
        );
    }
}

#[test]
fn users_come_with_a_password_of_a_file_or_one_that_is_made_up() {
    let directory = Directory::new();
    fs::write(directory.path().join("secret"), "correct horse\n").unwrap();
    let said = directory.run(&["user", "add", "alice", "--password-file", "secret", "--group", "operators"]);
    assert!(!said.contains("horse"), "{said}");
    let said = directory.run(&["user", "add", "bob", "--generate"]);
    assert!(said.starts_with("dunlin: the password of bob, shown once: "), "{said}");
    assert_eq!(directory.run(&["user", "list"]), "alice  (operators)\nbob\n");
    let users = fs::read_to_string(directory.path().join("data/users")).unwrap();
    assert!(users.contains("alice:$argon2id$") && !users.contains("horse"), "{users}");

    let before = users;
    directory.run(&["user", "passwd", "bob", "--generate"]);
    assert_ne!(fs::read_to_string(directory.path().join("data/users")).unwrap(), before);
    assert_eq!(directory.run(&["user", "remove", "bob"]), "dunlin: bob removed\n");
    directory.fails(1, &["user", "remove", "bob"]);
    directory.fails(1, &["user", "add", "alice", "--generate"]);
    fs::write(directory.path().join("secret"), "\n").unwrap();
    assert!(
        directory.fails(1, &["user", "add", "carol", "--password-file", "secret"]).contains("no password")
    );
}

#[test]
fn a_device_may_have_a_password_instead() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    assert!(directory.run(&["device", "add", "pump-7", "--password"]).contains("shown once"));
    assert_eq!(directory.run(&["user", "list"]), "pump-7\n");
    assert_eq!(directory.run(&["device", "remove", "pump-7"]), "dunlin: pump-7: password taken back\n");
    assert_eq!(directory.run(&["user", "list"]), "");
}
