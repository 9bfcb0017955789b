//! `dunlin config`, and files that `dunlin serve` refuses.

use crate::process::{TemporaryFile, fails, run};

#[test]
fn the_default_file_is_valid() {
    let default = run(&["config", "default"]);
    assert_eq!(default.status.code(), Some(0));
    let file = TemporaryFile::new(&String::from_utf8(default.stdout).unwrap());

    let check = run(&["config", "check", file.path()]);
    assert_eq!(check.status.code(), Some(0));
    assert_eq!(String::from_utf8(check.stdout).unwrap(), format!("dunlin: {} is valid\n", file.path()));
    assert!(check.stderr.is_empty());
}

#[test]
fn every_fault_is_named_with_its_place_and_the_code_is_3() {
    let file = TemporaryFile::new("[limits]\nreceive_maximum = 0\nmax_packet_size = 1\n");
    let path = file.path();
    let expected = format!(
        "dunlin: error: {path}:2:19: limits.receive_maximum = 0: out of range; allowed: 1 to 65535 (messages)\n\
         dunlin: error: {path}:3:1: limits.max_packet_size = 1: not known (did you mean \
         limits.maximum_packet_size?)\n"
    );
    assert_eq!(fails(3, &["config", "check", path]), expected);
    assert_eq!(fails(3, &["serve", "--dev", "--config", path]), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_3() {
    let error = fails(3, &["config", "check", "/nonexistent/dunlin.toml"]);
    let expected = "dunlin: error: cannot read the configuration /nonexistent/dunlin.toml: No such file";
    assert!(error.starts_with(expected), "{error}");
    assert!(fails(3, &["serve", "--dev", "--config", "/"]).contains("cannot read the configuration /"));
}

#[test]
fn more_connections_than_files_is_a_warning() {
    let file = TemporaryFile::new("limits.connections_maximum = 4_294_967_295");
    let check = run(&["config", "check", file.path()]);
    assert_eq!(check.status.code(), Some(0));
    let warning = String::from_utf8(check.stderr).unwrap();
    assert!(
        warning.starts_with("dunlin: warning: limits.connections_maximum = 4294967295: the process may"),
        "{warning}"
    );
}

#[test]
fn a_certificate_that_is_missing_is_named_with_its_key_and_what_is_expected() {
    let file = TemporaryFile::new(
        "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = \"/nowhere/server.crt\"\nkey = \"server.key\"",
    );
    assert_eq!(
        fails(3, &["serve", "--dev", "--config", file.path()]),
        "dunlin: error: listener.certificate = \"/nowhere/server.crt\": cannot be read: No such file or directory \
         (os error 2); expected: a PEM file with the server's certificate first and then those that lead to its \
         authority\n"
    );
    file.write("[[listener]]\nurl = \"tls://127.0.0.1:0\"\nkey = \"server.key\"");
    let error = fails(3, &["serve", "--dev", "--config", file.path()]);
    assert!(error.contains(":1:1: listener.certificate: missing; allowed: a PEM file"), "{error}");

    let error = fails(2, &["serve", "--dev", "--listen", "tls://127.0.0.1:0"]);
    assert!(error.contains("[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate ="), "{error}");
}
