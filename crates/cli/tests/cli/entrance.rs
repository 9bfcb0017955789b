//! Who comes in without `--dev`, and what it may do: certificates, passwords, rules, and what is taken back.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::secured::{Directory, Secured, both};

/// As a device, or as a user.
fn login(directory: &Directory, server: &Secured, who: &str, rest: &[&str]) -> Vec<String> {
    let port = server.tls.to_string();
    let mut arguments = vec!["-h", "localhost", "-p", &port, "-V", "5", "--cafile", "data/pki/authority.crt"];
    let (certificate, key) = (format!("{who}/{who}.crt"), format!("{who}/{who}.key"));
    let password = fs::read_to_string(directory.path().join("password")).unwrap_or_default();
    if directory.path().join(who).exists() {
        arguments.extend(["--cert", &certificate, "--key", &key]);
    } else {
        arguments.extend(["-u", who, "-P", password.trim()]);
    }
    arguments.extend(rest);
    arguments.into_iter().map(str::to_owned).collect()
}

/// What `mosquitto_pub` says: it ends well even where it is not allowed.
fn publish(directory: &Directory, server: &Secured, who: &str, rest: &[&str]) -> String {
    let arguments = login(directory, server, who, &[rest, &["-m", "1", "-q", "1"]].concat());
    both(&directory.other("mosquitto_pub", &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// `mosquitto_sub`, and each line that it says, once it is subscribed.
fn subscribed(
    directory: &Directory,
    server: &Secured,
    who: &str,
    topic: &str,
) -> (Child, impl Iterator<Item = String>) {
    let mut command = Command::new("mosquitto_sub");
    command.args(login(directory, server, who, &["-t", topic, "-d"])).current_dir(directory.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.starts_with("Subscribed")), "{who} is not subscribed");
    (child, lines)
}

/// The server ends the connection with that Reason Code, within a second and what the machine needs.
#[track_caller]
fn is_cut_off((mut child, mut lines): (Child, impl Iterator<Item = String>), since: Instant) {
    let line = lines.find(|line| line.contains("received DISCONNECT") || line.contains("sending CONNECT"));
    let took = since.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.as_deref().is_some_and(|line| line.contains("DISCONNECT (135)")), "{line:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// Tries until it comes out so: a change is noticed within a second.
#[track_caller]
fn comes_to(what: impl Fn() -> String, wanted: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let said = what();
        if wanted(&said) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{said}");
    }
}

fn with_password(directory: &Directory, server: &Secured, user: &str) {
    let password = directory.run(&["user", "add", user, "--generate"]);
    fs::write(directory.path().join("password"), password).unwrap();
    comes_to(|| publish(directory, server, user, &["-t", "any"]), |said| !said.contains("Bad User Name"));
}

#[test]
fn a_device_has_its_own_topics_and_no_others() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    let publish = |topic| publish(&directory, &server, "pump-7", &["-t", topic]);
    assert_eq!(publish("devices/pump-7/t"), "");
    assert!(publish("devices/pump-8/t").contains("Not authorized"));
    assert!(publish("any").contains("Not authorized"));

    let subscribe = |topic| {
        let arguments = login(&directory, &server, "pump-7", &["-t", topic, "-E"]);
        both(&directory.other("mosquitto_sub", &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    assert!(subscribe("#").contains("All subscription requests were denied"));
    assert_eq!(subscribe("devices/pump-7/#"), "");
}

#[test]
fn a_device_is_who_its_certificate_says() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    directory.run(&["device", "add", "pump-8"]);
    let as_other = publish(&directory, &server, "pump-7", &["-i", "pump-8", "-t", "devices/pump-8/t"]);
    assert!(as_other.contains("Client Identifier not valid"), "{as_other}");

    // Nor may somebody with a password be a device.
    fs::copy(directory.path().join("data/admin.password"), directory.path().join("password")).unwrap();
    assert_eq!(publish(&directory, &server, "admin", &["-t", "any"]), "");
    comes_to(
        || publish(&directory, &server, "admin", &["-i", "pump-7", "-t", "any"]),
        |said| said.contains("Client Identifier not valid"),
    );
}

#[test]
fn a_password_lets_in_and_a_wrong_one_or_none_does_not() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    let password = directory.path().join("password");
    fs::copy(directory.path().join("data/admin.password"), &password).unwrap();
    assert_eq!(publish(&directory, &server, "admin", &["-t", "any"]), "");
    fs::write(password, "wrong").unwrap();
    let wrong = publish(&directory, &server, "admin", &["-t", "any"]);
    assert!(wrong.contains("Bad User Name or Password"), "{wrong}");
    let port = server.tls.to_string();
    let nobody = [
        "-h",
        "localhost",
        "-p",
        &port,
        "-V",
        "5",
        "--cafile",
        "data/pki/authority.crt",
        "-t",
        "t",
        "-m",
        "1",
    ];
    let nobody = directory.other("mosquitto_pub", &nobody);
    assert!(!nobody.status.success() && both(&nobody).contains("Bad User Name or Password"));
}

#[test]
fn a_device_that_is_taken_back_is_cut_off_and_does_not_come_again() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    directory.run(&["device", "add", "pump-7"]);
    let connected = subscribed(&directory, &server, "pump-7", "devices/pump-7/#");
    directory.run(&["device", "remove", "pump-7"]);
    is_cut_off(connected, Instant::now());
    let again = publish(&directory, &server, "pump-7", &["-t", "devices/pump-7/t"]);
    assert!(!again.is_empty());
}

#[test]
fn a_user_who_is_removed_is_cut_off() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    with_password(&directory, &server, "amy");
    let connected = subscribed(&directory, &server, "amy", "t");
    directory.run(&["user", "remove", "amy"]);
    is_cut_off(connected, Instant::now());
}

#[test]
fn rules_that_are_written_hold_for_those_who_are_in() {
    let directory = Directory::new();
    let server = Secured::start(&directory);
    with_password(&directory, &server, "amy");
    let publish = || publish(&directory, &server, "amy", &["-t", "news/1"]);
    assert!(publish().contains("Not authorized"));
    let file = directory.path().join("data/access.toml");
    fs::write(
        &file,
        "[[rule]]\nfor = \"user:amy\"\nallow = [\"publish\", \"subscribe\"]\ntopics = \"news/#\"\n",
    )
    .unwrap();
    comes_to(publish, str::is_empty);

    // Rules that cannot be read change nothing.
    fs::write(&file, "nonsense").unwrap();
    assert_eq!(publish(), "");
    fs::write(&file, "").unwrap();
    comes_to(publish, |said| said.contains("Not authorized"));
}
