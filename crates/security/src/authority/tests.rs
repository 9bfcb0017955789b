//! The authority in a directory, from its making to a device's end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dunlin-authority-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn now() -> Moment {
    Moment::from_unix(1_800_000_000)
}

fn machine() -> Machine {
    Machine::new("gateway", ["192.0.2.7".parse().unwrap()])
}

fn create(directory: &Directory) -> Authority {
    Authority::create(directory.path(), &machine(), &[], now()).unwrap()
}

fn name(text: &str) -> DeviceName {
    text.parse().unwrap()
}

fn hand_out(authority: &Authority, directory: &Path, device: &str) -> Result<Handed, AuthorityError> {
    let device = name(device);
    let order = Order::Device(device.clone());
    let wanted =
        HandOut { order, name: &device, directory, days: DAYS_OF_DEVICE, pkcs12: None, again: false };
    authority.hand_out(&wanted, now())
}

fn entries(directory: &Path) -> Vec<String> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn an_authority_lasts_ten_years_and_its_server_certificate_a_year() {
    let directory = Directory::new();
    let authority = create(&directory);
    let root = authority.certificate();
    assert!(root.subject.starts_with("Dunlin gateway ") && root.is_authority && root.is_self_signed);
    assert_eq!(now().days_until(root.ends), 3650);
    assert!(root.begins < now());

    let server = authority.server().unwrap();
    assert_eq!(server.subject, "gateway");
    assert_eq!(server.issuer, root.subject);
    assert_eq!(server.names, ["localhost", "gateway", "127.0.0.1", "::1", "192.0.2.7"]);
    assert_eq!(now().days_until(server.ends), 397);
    assert_eq!(server.key, KeyKind::Ec(256));
    assert!(server.for_servers && !server.for_clients && !server.is_authority && !server.has_weak_signature);
    assert!(server.is_named("localhost") && server.is_named("[::1]") && !server.is_named("elsewhere"));
}

#[test]
fn keys_are_for_their_owner_only() {
    let directory = Directory::new();
    let files = create(&directory).files().clone();
    assert_eq!(mode_of(&files.authority_key).unwrap(), 0o600);
    assert_eq!(mode_of(&files.server_key).unwrap(), 0o600);
    assert_eq!(mode_of(&files.directory).unwrap(), 0o700);
    assert_eq!(mode_of(&files.authority).unwrap(), 0o644);
    assert_eq!(entries(directory.path()), [".lock", "pki"]);
}

#[test]
fn a_second_authority_is_refused_and_the_first_is_as_it_was() {
    let directory = Directory::new();
    let first = create(&directory).pem().to_owned();
    let second = Authority::create(directory.path(), &machine(), &[], now());
    assert!(matches!(second, Err(AuthorityError::Exists { .. })));
    assert_eq!(Authority::open(directory.path()).unwrap().pem(), first);
}

#[test]
fn one_that_was_interrupted_is_made_again() {
    let directory = Directory::new();
    let half = directory.path().join(".pki.new");
    fs::create_dir_all(half.join("issued")).unwrap();
    fs::write(half.join("authority.key"), "half").unwrap();
    assert!(matches!(Authority::open(directory.path()), Err(AuthorityError::Missing { .. })));
    create(&directory);
    assert_eq!(entries(directory.path()), [".lock", "pki"]);
    Authority::open(directory.path()).unwrap();
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = Directory::new();
    let files = create(&directory).files().clone();
    fs::write(&files.authority_key, "nonsense").unwrap();
    let error = Authority::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("pki/authority.key\" cannot be used"), "{error}");
    fs::remove_file(&files.authority_key).unwrap();
    let error = Authority::open(directory.path()).err().unwrap().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("pki/authority.key"), "{error}");
}

#[test]
fn a_device_gets_three_files_and_is_remembered() {
    let directory = Directory::new();
    let authority = create(&directory);
    let out = directory.path().join("out");
    let handed = hand_out(&authority, &out, "pump-7").unwrap();
    assert_eq!(entries(&out), ["authority.crt", "pump-7.crt", "pump-7.key"]);
    assert_eq!(mode_of(handed.files.key_file.as_ref().unwrap()).unwrap(), 0o600);
    let certificate = &handed.certificate;
    assert_eq!(certificate.subject, "pump-7");
    assert!(certificate.for_clients && !certificate.for_servers && !certificate.is_authority);
    assert_eq!(now().days_until(certificate.ends), 730);
    assert_eq!(authority.valid_of(&name("pump-7"), now()).unwrap()[0].certificate, *certificate);
    assert!(authority.valid_of(&name("pump-7"), now().plus_days(731)).unwrap().is_empty());
}

#[test]
fn nothing_is_overwritten_and_nothing_issued_then() {
    let directory = Directory::new();
    let authority = create(&directory);
    let out = directory.path().join("out");
    hand_out(&authority, &out, "pump-7").unwrap();
    assert!(matches!(hand_out(&authority, &out, "pump-7"), Err(AuthorityError::NameTaken { .. })));
    fs::write(out.join("pump-8.key"), "mine").unwrap();
    assert!(matches!(hand_out(&authority, &out, "pump-8"), Err(AuthorityError::Occupied { .. })));
    assert!(matches!(hand_out(&authority, &out, "authority"), Err(AuthorityError::Occupied { .. })));
    // The same authority's certificate may be there; another's is kept.
    hand_out(&authority, &out, "pump-9").unwrap();
    fs::write(out.join("authority.crt"), "another").unwrap();
    assert!(matches!(hand_out(&authority, &out, "pump-10"), Err(AuthorityError::Occupied { .. })));
    assert!(authority.valid_of(&name("pump-8"), now()).unwrap().is_empty());
    assert!(authority.valid_of(&name("pump-10"), now()).unwrap().is_empty());
}

#[test]
fn a_device_that_keeps_its_key_sends_a_request() {
    let directory = Directory::new();
    let authority = create(&directory);
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(["evil.example.org".to_owned()]).unwrap();
    let request = request.serialize_request(&key).unwrap().pem().unwrap();
    let device = name("meter");
    let order = Order::Request(device.clone(), request);
    let out = directory.path().join("out");
    let wanted = HandOut { order, name: &device, directory: &out, days: 30, pkcs12: None, again: false };
    let handed = authority.hand_out(&wanted, now()).unwrap();
    assert_eq!(handed.files.key_file, None);
    assert_eq!(handed.certificate.subject, "meter");
    assert!(handed.certificate.names.is_empty());

    let order = Order::Request(device.clone(), "nonsense".to_owned());
    let wanted = HandOut { order, again: true, directory: &directory.path().join("more"), ..wanted };
    assert!(matches!(authority.hand_out(&wanted, now()), Err(AuthorityError::Request { .. })));
}

#[test]
fn no_certificate_outlives_its_authority() {
    let directory = Directory::new();
    let authority = create(&directory);
    let device = name("late");
    let out = directory.path().join("out");
    let order = Order::Device(device.clone());
    let wanted = HandOut { order, name: &device, directory: &out, days: 730, pkcs12: None, again: false };
    let handed = authority.hand_out(&wanted, now().plus_days(3600)).unwrap();
    assert_eq!(handed.certificate.ends, authority.certificate().ends);
    let wanted = HandOut { again: true, directory: &directory.path().join("more"), ..wanted };
    let refused = authority.hand_out(&wanted, now().plus_days(3651));
    assert!(matches!(refused, Err(AuthorityError::Expired { .. })));
    for days in [0, 3651] {
        let refused = authority.hand_out(&HandOut { days, ..wanted.clone() }, now());
        assert!(matches!(refused, Err(AuthorityError::Days { .. })));
    }
}

#[test]
fn what_was_taken_back_stays_on_the_list() {
    let directory = Directory::new();
    let authority = create(&directory);
    assert!(authority.revocations().unwrap().is_empty());
    let out = directory.path().join("out");
    let first = hand_out(&authority, &out, "one").unwrap().certificate.serial;
    let second = hand_out(&authority, &out, "two").unwrap().certificate.serial;
    assert_eq!(authority.revoke([&first], Reason::KeyCompromise, now()).unwrap(), 1);
    assert_eq!(authority.revoke([&first, &second], Reason::Ceased, now().plus_days(1)).unwrap(), 1);

    let list = Authority::open(directory.path()).unwrap().revocations().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list.when(&first), Some(now()));
    assert_eq!(list.when(&second), Some(now().plus_days(1)));
    assert!(authority.valid_of(&name("one"), now()).unwrap().is_empty());
    // The name is free again.
    fs::remove_dir_all(&out).unwrap();
    hand_out(&authority, &out, "one").unwrap();
}

#[test]
fn what_is_young_is_left_alone_and_what_is_old_is_made_again() {
    let directory = Directory::new();
    let authority = create(&directory);
    let server = authority.server().unwrap();
    assert_eq!(authority.renew(&machine(), now().plus_days(14)).unwrap(), Renewed::default());
    let list = Renewed { server: false, list: true };
    assert_eq!(authority.renew(&machine(), now().plus_days(16)).unwrap(), list);
    let both = Renewed { server: true, list: true };
    assert_eq!(authority.renew(&machine(), now().plus_days(270)).unwrap(), both);
    let next = authority.server().unwrap();
    assert_ne!(server.serial, next.serial);
    assert_eq!(now().days_until(next.ends), 270 + 397);
}

#[test]
fn a_server_key_without_its_certificate_is_replaced() {
    let directory = Directory::new();
    let authority = create(&directory);
    fs::write(&authority.files().server_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(authority.renew(&machine(), now()).unwrap().server);
    assert!(!authority.renew(&machine(), now()).unwrap().server);
}

#[test]
fn names_that_were_added_stay_and_those_of_the_machine_follow_it() {
    let directory = Directory::new();
    let authority = create(&directory);
    let added: ServerName = "broker.example.org".parse().unwrap();
    let named = authority.rename_server(std::slice::from_ref(&added), &[], &machine(), now()).unwrap();
    assert!(named.is_named("broker.example.org") && named.is_named("192.0.2.7"));

    let moved = Machine::new("gateway", ["192.0.2.8".parse().unwrap()]);
    assert!(authority.renew(&moved, now()).unwrap().server);
    let renewed = authority.server().unwrap();
    assert!(renewed.is_named("192.0.2.8") && renewed.is_named("broker.example.org"));
    assert!(!renewed.is_named("192.0.2.7"));
    // An address that goes is no reason for another certificate.
    assert!(!authority.renew(&Machine::new("gateway", []), now()).unwrap().server);
    let forgotten = authority.rename_server(&[], &[added], &moved, now()).unwrap();
    assert!(!forgotten.is_named("broker.example.org"));
}

#[test]
fn a_renewed_authority_has_the_same_name_and_key() {
    let directory = Directory::new();
    let authority = create(&directory);
    let renewed = authority.renew_authority(now().plus_days(3000)).unwrap();
    assert_eq!(renewed.subject, authority.certificate().subject);
    assert_eq!(now().days_until(renewed.ends), 6650);
    let reopened = Authority::open(directory.path()).unwrap();
    assert_eq!(reopened.issuer.key().public_key_raw(), authority.issuer.key().public_key_raw());
}

#[test]
fn records_of_what_expired_long_ago_are_dropped() {
    let directory = Directory::new();
    let authority = create(&directory);
    let serial = hand_out(&authority, &directory.path().join("out"), "old").unwrap().certificate.serial;
    authority.revoke([&serial], Reason::Ceased, now()).unwrap();
    authority.renew(&machine(), now().plus_days(730)).unwrap();
    assert_eq!(authority.revocations().unwrap().len(), 1);
    authority.renew(&machine(), now().plus_days(730 + 91)).unwrap();
    assert!(authority.revocations().unwrap().is_empty());
    assert!(authority.issued().unwrap().iter().all(|issued| issued.certificate.serial != serial));
}
