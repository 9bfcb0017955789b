//! Files that mosquitto_passwd writes, and hashes of the reference implementation of argon2.

use std::process::Command;
use std::sync::Arc;

use dunlin_security::identity::password::{self, Passwords, UserStore};
use dunlin_security::identity::{Authenticator, Denial, Outcome, Secret};

use crate::tools::{Folder, denied, granted, login, output, python};

#[test]
fn users_of_a_file_of_mosquitto_log_in() {
    let folder = Folder::new();
    let file = folder.file("passwords", "");
    for (kind, name, password) in [("sha512", "amy", "one two"), ("sha512-pbkdf2", "bob", "dréi:vier")] {
        output(Command::new("mosquitto_passwd").args(["-H", kind, "-b"]).arg(&file).args([name, password]));
    }
    let hash = output(python("credentials.py").args(["argon2", "fünf"]));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}cat:{hash}")).unwrap();

    let passwords = Passwords::new(Arc::new(UserStore::open(&file).unwrap()));

    for (name, password) in [("amy", "one two"), ("bob", "dréi:vier"), ("cat", "fünf")] {
        let grant = granted(passwords.authenticate(&login(name, password)));
        assert_eq!(grant.identity.username.as_deref(), Some(name));
        assert_eq!(denied(passwords.authenticate(&login(name, "other"))), Denial::BadCredentials);
    }
    assert!(matches!(passwords.authenticate(&login("dan", "one two")), Outcome::Pass));
}

#[test]
fn a_file_that_we_changed_is_read_by_mosquitto() {
    let folder = Folder::new();
    let file = folder.file("passwords", "");
    output(Command::new("mosquitto_passwd").arg("-b").arg(&file).args(["amy", "pw"]));
    password::add(&file, "bob", &Secret::new(*b"pw"), false).unwrap();

    // Its own tool finds and removes a user of a file that we wrote.
    output(Command::new("mosquitto_passwd").arg("-D").arg(&file).arg("amy"));

    let left = password::list(&file).unwrap();
    assert_eq!(left.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["bob"]);
}
