//! How long somebody goes on being served after he was revoked, while the broker carries a load.
//!
//! `cargo run --release -p dunlin-tests --example revocation -- [ROUNDS [MESSAGES]]`: so many rounds (50) of each kind beside so
//! many messages a second (100,000), QoS 0, of one publisher to whoever is to be revoked. `removed` is a user taken out with
//! `dunlin user remove`, from the start of the command to the end of the connection; `denied` is a rule written into the
//! file of rules, from there to the last message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_tests::{Broker, Connect, Publish, Subscribe, Version, Wire, binary};

const V: Version = Version::V5;
/// After the last message, before it is called the last.
const SILENCE: Duration = Duration::from_millis(1_500);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(50, |rounds| rounds.parse().expect("a number of rounds"));
    let load: usize = arguments.next().map_or(100_000, |load| load.parse().expect("messages a second"));
    let data = std::env::temp_dir().join(format!("dunlin-revocation-{}", std::process::id()));
    fs::create_dir(&data).unwrap();
    for name in
        ["publisher", "reader", "subject"].map(str::to_owned).into_iter().chain((0..rounds).map(victim))
    {
        user(&data, &["add", &name, "--password-file", "-"], "secret\n");
    }
    write_rules(&data, false);
    let broker = Broker::start_secured(&data, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n");
    let (address, stop, sent) = (broker.address(), AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| publish(address, load, &stop, &sent));
        scope.spawn(|| read_all(login(address, "reader"), &stop));
        let (began, at) = (Instant::now(), sent.load(Ordering::Acquire));
        let removed: Vec<_> = (0..rounds).map(|round| remove(&data, address, &victim(round))).collect();
        let denied: Vec<_> = (0..rounds).map(|_| deny(&data, address)).collect();
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let rate = (sent.load(Ordering::Acquire) - at) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Release);
        println!("{rate:.0} messages a second");
        show("removed", removed);
        show("denied", denied);
    });
    fs::remove_dir_all(&data).unwrap();
}

fn victim(round: usize) -> String {
    format!("victim-{round}")
}

fn show(kind: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let part =
        |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    println!("{kind}: median {:.0} ms, 99 of 100 {:.0} ms, longest {:.0} ms", part(50), part(99), part(100));
}

fn user(data: &Path, arguments: &[&str], input: &str) {
    let mut child = Command::new(binary())
        .arg("user")
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    assert!(child.wait().unwrap().success());
}

/// Everybody may have the load, but for the subject where it is denied.
fn write_rules(data: &Path, denies: bool) {
    let denial =
        if denies { "[[rule]]\nfor = 'user:subject'\ndeny = 'receive'\ntopics = 'load'\n" } else { "" };
    let text = format!("[[rule]]\nallow = ['publish', 'subscribe']\ntopics = 'load'\n{denial}");
    let (path, new): (PathBuf, PathBuf) = (data.join("access.toml"), data.join("access.new"));
    fs::write(&new, text).unwrap();
    fs::rename(&new, &path).unwrap();
}

fn login(address: SocketAddr, name: &str) -> TcpStream {
    let mut wire = Wire::open(address, V);
    // Without an identifier of its own: nobody is taken over.
    wire.send(Connect::new(V, "").user_name(name).password("secret").bytes());
    let code = wire.expect_connack().code;
    assert_eq!(code, 0, "{name}: {code:#x}");
    let mut stream = wire.into_stream();
    stream.write_all(&Subscribe::new(1).filter("load", 0).bytes(V)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream
}

/// At an even pace, a thousand times a second.
fn publish(address: SocketAddr, load: usize, stop: &AtomicBool, sent: &AtomicU64) {
    let mut wire = Wire::open(address, V);
    wire.send(Connect::new(V, "publisher").user_name("publisher").password("secret").bytes());
    assert_eq!(wire.expect_connack().code, 0);
    let batch = Publish::new("load", [7; 64]).bytes(V).repeat(load.div_ceil(1_000));
    let began = Instant::now();
    for tick in 1.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        wire.send(&batch);
        sent.fetch_add(load.div_ceil(1_000) as u64, Ordering::AcqRel);
        thread::park_timeout((began + Duration::from_millis(tick)).saturating_duration_since(Instant::now()));
    }
}

fn read_all(mut stream: TcpStream, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        drop(stream.read(&mut [0; 65_536]));
    }
}

/// From the command to the end of the connection.
fn remove(data: &Path, address: SocketAddr, name: &str) -> Duration {
    let mut stream = login(address, name);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| user(data, &["remove", name], ""));
        loop {
            match stream.read(&mut [0; 65_536]) {
                Ok(1..) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Ok(0) | Err(_) => return began.elapsed(),
            }
        }
    })
}

/// From the rule to the last message.
fn deny(data: &Path, address: SocketAddr) -> Duration {
    let mut stream = login(address, "subject");
    let began = Instant::now();
    write_rules(data, true);
    let mut last = began;
    while last.elapsed() < SILENCE {
        if matches!(stream.read(&mut [0; 65_536]), Ok(1..)) {
            last = Instant::now();
        }
    }
    write_rules(data, false);
    thread::park_timeout(SILENCE);
    last - began
}
