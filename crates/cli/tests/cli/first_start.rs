//! `dunlin serve` in an empty directory, and what is left when it was interrupted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::secured::{Directory, Secured, both};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn from_nothing_to_a_publish_over_mutual_tls() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    assert!(server.said.contains("dunlin: listening on wss://127.0.0.1:"), "{}", server.said);
    directory.run(&["device", "add", "pump-7"]);
    let published = directory.publish(server.tls, "pump-7");
    assert!(published.status.success(), "{}", both(&published));

    // Nobody comes without a certificate, or with one that he made himself.
    let port = server.tls.to_string();
    let anonymous =
        ["-h", "localhost", "-p", &port, "--cafile", "pump-7/authority.crt", "-t", "t", "-m", "x", "-q", "1"];
    assert!(!directory.other("mosquitto_pub", &anonymous).status.success());
    let mut forged = anonymous.to_vec();
    let made = directory.other(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=pump-7",
            "-keyout",
            "forged.key",
            "-out",
            "forged.crt",
        ],
    );
    assert!(made.status.success(), "{}", both(&made));
    forged.extend(["--cert", "forged.crt", "--key", "forged.key"]);
    assert!(!directory.other("mosquitto_pub", &forged).status.success());
}

#[test]
fn the_password_of_the_administrator_is_in_no_log_and_in_one_file_of_its_owner() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    let file = directory.path().join("data/admin.password");
    assert_eq!(mode(&file), 0o600);
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(password.trim().len(), 23);
    assert!(!server.said.contains(password.trim()), "{}", server.said);
    assert!(server.said.contains("dunlin: administrator admin, password in "), "{}", server.said);
    assert_eq!(directory.run(&["user", "list"]), "admin  (administrators)\n");
    assert_eq!(mode(&directory.path().join("data/users")), 0o600);
    assert_eq!(mode(&directory.path().join("data")), 0o700);
}

#[test]
fn a_second_start_changes_nothing() {
    let directory = Directory::new();
    drop(Secured::start(&directory));
    directory.run(&["device", "add", "pump-7"]);
    let authority = directory.path().join("data/pki/authority.crt");
    let before = fs::read_to_string(&authority).unwrap();
    fs::remove_file(directory.path().join("data/admin.password")).unwrap();

    let server = Secured::start(&directory);
    assert_eq!(fs::read_to_string(&authority).unwrap(), before);
    assert!(!server.said.contains("administrator"), "{}", server.said);
    assert!(directory.publish(server.tls, "pump-7").status.success());
}

#[test]
fn a_first_start_that_was_interrupted_is_done_again() {
    let directory = Directory::new();
    let half = directory.path().join("data/.pki.new/issued");
    fs::create_dir_all(&half).unwrap();
    fs::write(directory.path().join("data/.pki.new/authority.key"), "half").unwrap();
    // The password was told, and the user not written.
    fs::write(directory.path().join("data/admin.password"), "of nobody\n").unwrap();

    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    assert!(directory.publish(server.tls, "pump-7").status.success());
    assert!(!directory.path().join("data/.pki.new").exists());
    assert_ne!(fs::read_to_string(directory.path().join("data/admin.password")).unwrap(), "of nobody\n");
}

/// Killed as soon as there is this much.
#[test]
fn a_first_start_that_was_killed_leaves_nothing_in_the_way() {
    for there in [".lock", ".pki.new", ".pki.new/authority.key", "pki", "admin.password", "users"] {
        let directory = Directory::new();
        let mut killed = directory.dunlin(&["serve", "--listen", "tls://127.0.0.1:0"]);
        let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // What is there for a moment only may be missed: then the next thing is.
        while !directory.path().join("data").join(there).exists()
            && !directory.path().join("data/users").exists()
        {
            assert!(killed.try_wait().unwrap().is_none(), "{there}: it ended");
        }
        killed.kill().unwrap();
        killed.wait().unwrap();

        let server = Secured::start(&directory);
        directory.run(&["device", "add", "pump-7"]);
        assert!(directory.publish(server.tls, "pump-7").status.success(), "{there}");
        assert_eq!(directory.run(&["user", "list"]), "admin  (administrators)\n", "{there}");
        assert!(directory.path().join("data/admin.password").exists(), "{there}");
    }
}

#[test]
fn a_certificate_without_its_key_is_made_again() {
    let directory = Directory::new();
    drop(Secured::start(&directory));
    directory.run(&["device", "add", "pump-7"]);
    let other =
        directory.other("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k.pem"]);
    assert!(other.status.success());
    fs::copy(directory.path().join("k.pem"), directory.path().join("data/pki/server.key")).unwrap();
    let server = Secured::start(&directory);
    assert!(directory.publish(server.tls, "pump-7").status.success());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = Directory::new();
    fs::write(directory.path().join("data"), "a file").unwrap();
    let error = directory.fails(1, &["serve", "--listen", "tls://127.0.0.1:0"]);
    assert!(error.contains("cannot make the directory") && error.contains("/data\""), "{error}");
    let error = directory.fails(1, &["ca", "init"]);
    assert!(error.contains("cannot make the directory") && error.contains("/data\""), "{error}");
}

#[test]
fn a_listener_that_others_could_read_is_refused_before_anything_is_made() {
    let directory = Directory::new();
    for url in ["tcp://0.0.0.0:0", "ws://0.0.0.0:0"] {
        let error = directory.fails(5, &["serve", "--listen", url]);
        assert!(error.contains("is not encrypted"), "{error}");
    }
    assert!(!directory.path().join("data").exists());
}

#[test]
fn a_key_that_is_damaged_is_3_and_named() {
    let directory = Directory::new();
    directory.run(&["ca", "init"]);
    fs::write(directory.path().join("data/pki/authority.key"), "nonsense").unwrap();
    let error = directory.fails(3, &["serve", "--listen", "tls://127.0.0.1:0"]);
    assert!(error.contains("pki/authority.key\" cannot be used"), "{error}");
}
