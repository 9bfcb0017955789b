//! Who Clients are, found out beside the shards: let in, refused, kept waiting, revoked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use dunlin_codec::ReasonCode;
use dunlin_engine::{Admission, Authority, Credentials, Identity, Outcome, Review, Settings};
use dunlin_runtime::{
    Answer, Authentication, Authenticator, Listener, ListenerLimits, Place, Server, ServerOptions,
    StartError, Wrapping,
};

/// Nothing here takes this long, except where it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Knows everybody whose password is the user name.
#[derive(Debug)]
struct Register;

impl Authenticator for Register {
    fn authenticate(&self, credentials: Credentials, answer: Answer) {
        let name = credentials.user_name.as_deref().unwrap_or_default();
        let password = credentials.password.as_ref().map(|password| password.expose());
        if name == "gone" {
            return;
        }
        // From another thread, as who asks the network does.
        let outcome = if password == Some(name.as_bytes()) {
            Outcome::Admitted(admission(name))
        } else {
            Outcome::Refused { reason: ReasonCode::BadUserNameOrPassword, detail: "wrong password".into() }
        };
        std::thread::spawn(move || answer.give(outcome));
    }
}

/// Gets a Client Identifier that is its name.
fn admission(name: &str) -> Admission {
    let identity = Identity { name: name.into(), ..Identity::default() };
    Admission { client_id: Some(name.into()), identity: Arc::new(identity), policy: None, data: None }
}

fn options(shards: usize, authenticator: Arc<dyn Authenticator>, waiting_maximum: usize) -> ServerOptions {
    let place = Place::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    ServerOptions {
        journal: None,
        listeners: vec![Listener {
            place,
            wrapping: Wrapping::default(),
            authenticate: true,
            limits: ListenerLimits::default(),
        }],
        shards: Some(shards),
        settings: Arc::new(Settings::default()),
        seed: Some(1),
        authentication: Some(Authentication { authenticator, workers: NonZeroUsize::MIN, waiting_maximum }),
        on_failure: || {},
    }
}

fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A 3.1.1 CONNECT, and PINGREQ right behind it.
fn knock(server: &Server, client_id: &str, name: &str, password: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body =
        [string("MQTT"), vec![4, 0xc2, 0, 0], string(client_id), string(name), string(password)].concat();
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 128);
    stream.write_all(&[&[0x10, length][..], &body, &[0xc0, 0]].concat()).unwrap();
    stream
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn is_refused(mut stream: TcpStream, code: u8) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest == [0x20, 2, 0, code]
}

/// Whatever shard the connection comes to, and wherever its Session lives; what it sent meanwhile is not lost.
#[test]
fn whoever_is_known_is_let_in_and_whoever_is_not_is_refused() {
    for shards in [1, 4] {
        let server = Server::start(options(shards, Arc::new(Register), 100)).unwrap();
        for number in 0..16 {
            let name = format!("joe-{number}");
            let mut stream = knock(&server, "somebody", &name, &name);
            assert_eq!(read(&mut stream), [0x20, 2, 0, 0, 0xd0, 0]);
        }
        assert!(is_refused(knock(&server, "somebody", "joe", "eve"), 4));
        // Nobody answered.
        assert!(is_refused(knock(&server, "somebody", "gone", "x"), 3));
    }
}

/// Says yes when it is told to.
#[derive(Debug, Default)]
struct Slow {
    open: Mutex<bool>,
    changed: Condvar,
    asked: Mutex<usize>,
}

impl Authenticator for Slow {
    fn authenticate(&self, credentials: Credentials, answer: Answer) {
        *self.asked.lock().unwrap() += 1;
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
        answer.give(Outcome::Admitted(admission(&credentials.client_id)));
    }
}

/// One is being looked at, one waits, the third is told to come back: 5.0 0x89, 3.x unavailable. The shard serves others.
#[test]
fn questions_beyond_the_bound_are_refused() {
    let slow = Arc::new(Slow::default());
    let server = Server::start(options(1, Arc::clone(&slow) as Arc<dyn Authenticator>, 1)).unwrap();
    let mut first = knock(&server, "one", "x", "x");
    while *slow.asked.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    // Which of them comes first is not known, but that one waits.
    let (told, answers) = mpsc::channel();
    for name in ["two", "three", "four"] {
        let (mut stream, told) = (knock(&server, name, "x", "x"), told.clone());
        std::thread::spawn(move || told.send(read(&mut stream)));
    }
    for _ in 0..2 {
        assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), [0x20, 2, 0, 3]);
    }
    *slow.open.lock().unwrap() = true;
    slow.changed.notify_all();
    assert_eq!(read(&mut first), [0x20, 2, 0, 0, 0xd0, 0]);
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), [0x20, 2, 0, 0]);
}

/// A Server ends although somebody is still being looked at.
#[test]
fn a_question_without_answer_holds_up_no_end() {
    let slow = Arc::new(Slow::default());
    let server = Server::start(options(2, Arc::clone(&slow) as Arc<dyn Authenticator>, 1)).unwrap();
    let client = knock(&server, "one", "x", "x");
    while *slow.asked.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    server.shut_down();
    server.wait().unwrap();
    drop(client);
    *slow.open.lock().unwrap() = true;
    slow.changed.notify_all();
}

#[derive(Debug)]
struct Without(&'static str);

impl Authority for Without {
    fn review(&self, identity: &Identity) -> Review {
        if &*identity.name == self.0 { Review::Revoked(ReasonCode::NotAuthorized) } else { Review::Unchanged }
    }
}

#[test]
fn whoever_is_revoked_is_gone_at_once_on_whatever_shard() {
    let server = Server::start(options(3, Arc::new(Register), 100)).unwrap();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut streams = names.map(|name| knock(&server, "somebody", name, name));
    for stream in &mut streams {
        assert_eq!(read(stream), [0x20, 2, 0, 0, 0xd0, 0]);
    }
    for (name, stream) in names.into_iter().zip(&mut streams) {
        let authority: Arc<dyn Authority> = Arc::new(Without(name));
        server.review(&authority);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(is_refused(knock(&server, "somebody", name, name), 5));
    }
}

#[test]
fn a_listener_that_asks_needs_somebody_to_ask() {
    let mut options = options(1, Arc::new(Register), 1);
    options.authentication = None;
    assert!(matches!(Server::start(options), Err(StartError::Unasked { .. })));
}
