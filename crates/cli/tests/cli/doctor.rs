//! `dunlin doctor`: what is exposed is found, and what is not is left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::process::Broker;
use crate::secured::{Directory, Secured};

/// The names of what was found, from JSON.
fn checks(directory: &Directory, code: i32, arguments: &[&str]) -> Vec<String> {
    let output = directory.dunlin(&[&["doctor", "--json"], arguments].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.split("\"check\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn a_fresh_server_has_nothing_to_hide() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    let target = format!("localhost:{}", server.tls);
    let cafile = directory.file("data/pki/authority.crt");
    let seen = checks(&directory, 0, &["--fail-on", "low", "--connect", &target, "--cafile", &cafile]);
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(checks(&directory, 0, &[]), ["first-password"]);
    fs::remove_file(directory.path().join("data/admin.password")).unwrap();
    assert!(checks(&directory, 0, &["--fail-on", "low"]).is_empty());
    fs::write(directory.path().join("easy"), "admin\n").unwrap();
    directory.run(&["user", "passwd", "admin", "--password-file", "easy"]);
    assert_eq!(checks(&directory, 6, &[]), ["known-password"]);
}

#[test]
fn a_server_for_everybody_is_found_out() {
    let directory = Directory::new();
    let broker = Broker::start(&["--listen", "127.0.0.1:0"]);
    let target = broker.addresses()[0].to_string();
    let found = checks(&directory, 6, &["--connect", &target]);
    assert_eq!(found[..2], ["anonymous", "everything-readable"]);
    assert!(found.contains(&"no-tls".to_owned()), "{found:?}");

    let output = directory.dunlin(&["doctor", "--connect", &target]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("critical: {target}: anybody is let in")), "{text}");
    assert_eq!(text.matches("\n  mend: ").count(), found.len(), "{text}");
}

#[test]
fn passwords_that_everybody_knows_are_found() {
    let directory = Directory::new();
    fs::write(directory.path().join("words"), "").unwrap();
    let made = directory.other("mosquitto_passwd", &["-b", "words", "guest", "guest"]);
    assert!(made.status.success());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let file = directory.file("mosquitto.conf");
    let words = directory.file("words");
    fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {words}\n"))
        .unwrap();
    let mut child = std::process::Command::new("mosquitto");
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    child.args(["-c", &file]).env("PATH", &path).stderr(std::process::Stdio::null());
    let mut child = child.spawn().expect("mosquitto: run make setup-tests");
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "mosquitto ended");
        std::thread::yield_now();
    }
    let found = checks(&directory, 6, &["--connect", &format!("127.0.0.1:{port}")]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found[..2], ["known-password", "everything-readable"], "{found:?}");
}

#[test]
fn certificates_for_others_and_authorities_of_others_are_named() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    let other = Directory::new();
    other.run(&["ca", "init"]);
    let target = format!("127.0.0.2:{}", server.tls);
    assert_eq!(directory.fails(1, &["doctor", "--connect", &target]).matches("cannot connect to").count(), 1);

    let target = format!("localhost:{}", server.tls);
    let cafile = other.file("data/pki/authority.crt");
    assert_eq!(
        checks(&directory, 6, &["--connect", &target, "--cafile", &cafile]),
        ["untrusted-certificate"]
    );
}

#[test]
fn keys_that_others_can_read_and_certificates_that_end_are_found() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    directory.run(&["ca", "issue", "brief", "--days", "5"]);
    assert_eq!(checks(&directory, 6, &["--fail-on", "low"]), ["device-ends-soon"]);
    assert_eq!(checks(&directory, 0, &[]), ["device-ends-soon"]);

    let key = directory.path().join("data/pki/authority.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(checks(&directory, 6, &["--fail-on", "high"])[0], "secret-readable");
    let mend = directory.dunlin(&["doctor"]).output().unwrap();
    assert!(String::from_utf8(mend.stdout).unwrap().contains(&format!("mend: chmod 600 {}", key.display())));
}

#[test]
fn a_configuration_is_looked_at_with_the_files_that_it_names() {
    let directory = Directory::new();
    let made = directory.other(
        "openssl",
        &[
            "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "3", "-subj", "/CN=old", "-keyout",
            "old.key", "-out", "old.crt",
        ],
    );
    assert!(made.status.success());
    fs::set_permissions(directory.path().join("old.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let toml = "[[listener]]\nurl = \"tcp://0.0.0.0:1883\"\n[[listener]]\nurl = \"tls://0.0.0.0:8883\"\n\
                certificate = \"old.crt\"\nkey = \"old.key\"\n";
    fs::write(directory.path().join("dunlin.toml"), toml).unwrap();
    let found = checks(&directory, 6, &["--config", "dunlin.toml"]);
    assert_eq!(found, ["no-tls", "certificate-ends-soon", "weak-key", "secret-readable"]);
}
