//! Several certificates, revocation, ALPN and stapling, as openssl sees them.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_tests::Broker;
use rustls::version::TLS13;

use crate::certificates::{Authority, Identity};
use crate::directory::Directory;
use crate::tls::listener;
use crate::{TCP, mosquitto, peer};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `openssl s_client` says of a connection that it ends at once.
fn s_client(port: u16, options: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(options);
    let output = command.stdin(Stdio::null()).output().expect("openssl cannot be run: run make setup-tests");
    mosquitto::text(&output)
}

#[test]
fn a_client_gets_the_certificate_of_the_name_that_it_asks_for() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let first = authority.server(&directory, "server");
    let second = authority.server_of(&directory, "second.example");
    let toml = format!(
        "{TCP}[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncertificate = [{:?}, {:?}]\nkey = [{:?}, {:?}]\n",
        first.certificate, second.certificate, first.key, second.key
    );
    let broker = Broker::start_with_listeners(&toml, &[]);
    let port = broker.port("tls");
    let subject = |options: &[&str]| s_client(port, options).contains("subject=CN = second.example");
    assert!(subject(&["-servername", "second.example"]));
    assert!(!subject(&["-servername", "localhost"]));
    assert!(!subject(&["-servername", "elsewhere.example"]), "the first is for everybody else");
    assert!(!subject(&["-noservername"]));
}

#[test]
fn protocols_are_agreed_on_by_name() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let toml = format!("{TCP}{}", listener("tls://127.0.0.1:0", &server, "alpn = [\"mqtt\", \"x-mqtt\"]"));
    let broker = Broker::start_with_listeners(&toml, &[]);
    let said = |names| s_client(broker.port("tls"), &["-alpn", names]);
    assert!(said("x-mqtt,other").contains("ALPN protocol: x-mqtt"));
    assert!(said("other,mqtt").contains("ALPN protocol: mqtt"));
    assert!(said("other").contains("no application protocol"));
}

#[test]
fn an_answer_of_the_authority_is_stapled_for_those_who_ask() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    // A successful answer with nothing in it is all that openssl needs to say that one came.
    let ocsp = directory.file("server.ocsp");
    let inner = [0x0a, 1, 0];
    std::fs::write(&ocsp, [&[0x30, 3][..], &inner].concat()).unwrap();
    let toml = format!("{TCP}{}", listener("tls://127.0.0.1:0", &server, &format!("ocsp = {ocsp:?}")));
    let broker = Broker::start_with_listeners(&toml, &[]);
    let port = broker.port("tls");
    assert!(s_client(port, &["-status"]).contains("OCSP Response Status: successful"));

    std::fs::write(&ocsp, [0x30, 3, 0x0a, 1, 3]).unwrap();
    assert!(broker.logged("certificates not reloaded").contains("no successful answer of OCSP"));
    assert!(s_client(port, &["-status"]).contains("OCSP Response Status: successful"));
}

#[test]
fn a_revoked_client_is_refused_from_the_moment_the_list_says_so() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let good = authority.client_numbered(&directory, "good", 7);
    let lost = authority.client_numbered(&directory, "lost", 8);
    let list = directory.write("clients.crl", &authority.revocations(&[]));
    let more = format!("client_ca = {:?}\nclient_crl = {list:?}", authority.file);
    let broker = Broker::start_with_listeners(
        &format!("{TCP}{}", listener("tls://127.0.0.1:0", &server, &more)),
        &["--shards", "2"],
    );
    let port = broker.port("tls").to_string();
    let comes_in = |who: &Identity| {
        let ca = text(&authority.file);
        let (certificate, key) = (text(&who.certificate), text(&who.key));
        let options = ["-h", "localhost", "-p", &port, "--cafile", ca, "--cert", certificate, "--key", key];
        mosquitto::publish(&options, "t", "hello").status.success()
    };
    assert!(comes_in(&good) && comes_in(&lost));
    // A session of before must not be a way around the list.
    let config = peer::with_identity(&authority.file, &[&TLS13], &lost);
    let mut connected = peer::connect(broker.port("tls"), &config, "connected");
    peer::ping(&mut connected);

    directory.write("clients.crl", &authority.revocations(&[8]));
    broker.logged("certificates reloaded");
    assert!(comes_in(&good) && !comes_in(&lost));
    assert!(broker.logged("Revoked").contains("connection closed by its transport"));
    peer::ping(&mut connected);
    assert!(!peer::comes_in(broker.port("tls"), &config), "resumed");

    // A list that cannot be used leaves the old one in force.
    directory.write("clients.crl", "nonsense");
    assert!(broker.logged("certificates not reloaded").contains("has no revocation list in it"));
    assert!(comes_in(&good) && !comes_in(&lost));
}

/// A fleet moves from one authority to another: first both are trusted, then the new one alone.
#[test]
fn the_authority_of_clients_is_replaced_without_a_connection_dropped() {
    let directory = Directory::new();
    let (old, new) = (Authority::new(&directory, "old"), Authority::new(&directory, "new"));
    let server = old.server(&directory, "server");
    let (of_old, of_new) = (old.client(&directory, "one"), new.client(&directory, "other"));
    let pem = |authority: &Authority| std::fs::read_to_string(&authority.file).unwrap();
    let trusted = directory.write("trusted.crt", &pem(&old));
    let more = format!("client_ca = {trusted:?}");
    let toml = format!("{TCP}{}", listener("tls://127.0.0.1:0", &server, &more));
    let broker = Broker::start_with_listeners(&toml, &["--shards", "2"]);
    let port = broker.port("tls");
    let shows = |who: &Identity| peer::with_identity(&old.file, &[&TLS13], who);
    let (before, after) = (shows(&of_old), shows(&of_new));
    let mut first = peer::connect(port, &before, "first");
    assert!(!peer::comes_in(port, &after));

    directory.write("trusted.crt", &(pem(&old) + &pem(&new)));
    broker.logged("certificates reloaded");
    assert!(peer::comes_in(port, &before));
    let mut second = peer::connect(port, &after, "second");

    directory.write("trusted.crt", &pem(&new));
    let since = Instant::now();
    // Nor is a session of before a way in: both have connected with tickets in hand.
    while peer::comes_in(port, &before) {
        assert!(since.elapsed() < Duration::from_secs(20), "the old authority is still trusted");
    }
    assert!(peer::comes_in(port, &after));
    peer::ping(&mut first);
    peer::ping(&mut second);
}

/// Whoever is in by a certificate that is listed goes; nobody else does, nor who came where the list does not hold.
#[test]
fn a_list_that_changes_ends_the_connections_of_those_on_it() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory, "server");
    let list = directory.write("clients.crl", &authority.revocations(&[]));
    let listed = format!("client_ca = {:?}\nclient_crl = {list:?}", authority.file);
    let free = format!("client_ca = {:?}", authority.file);
    let url = "tls://127.0.0.1:0";
    let toml = format!("{TCP}{}{}", listener(url, &server, &listed), listener(url, &server, &free));
    let broker = Broker::start_secured(&directory.file("data"), &toml);
    let ports: Vec<u16> =
        broker.urls("tls").iter().map(|url| url.rsplit(':').next().unwrap().parse().unwrap()).collect();
    let connect = |name: &str, number: u64, port: u16| {
        let identity = authority.client_numbered(&directory, name, number);
        let config = peer::with_identity(&authority.file, &[&TLS13], &identity);
        peer::connect(port, &config, name)
    };
    let (mut good, mut lost) = (connect("good", 7, ports[0]), connect("lost", 8, ports[0]));
    let mut elsewhere = connect("elsewhere", 9, ports[1]);
    peer::ping(&mut lost);

    directory.write("clients.crl", &authority.revocations(&[8, 9]));
    // The end, with or without the alert of TLS; not the time that the test has for it.
    match lost.read(&mut [0; 16]) {
        Ok(0) => {}
        Ok(_) => panic!("a 3.1.1 client is told nothing"),
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "it stays"),
    }
    peer::ping(&mut good);
    peer::ping(&mut elsewhere);
}
