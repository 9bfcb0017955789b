//! One ceiling for the memory of the whole process, under every abuse that makes a server keep something.
//!
//! Each flood lasts a few seconds, the resident set is read all the time, and a healthy pair goes on talking.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use dunlin_tests::{Broker, Connect, Publish, Subscribe, Version};

/// What the broker may hold.
const CEILING: u64 = 150 * 1024 * 1024;
const FLOOD: Duration = Duration::from_secs(4);
const FLOODERS: usize = 4;
/// One flood at a time: each takes every core that there is.
static ALONE: Mutex<()> = Mutex::new(());

const V: Version = Version::V311;

/// Floods a broker and holds its resident set against the ceiling; a healthy pair must get through.
fn flood(arguments: &[&str], prepare: impl Fn(&Broker), make: impl Fn(usize, usize) -> Vec<u8> + Sync) {
    let connect = |number, _| Connect::new(V, format!("flooder-{number}"));
    flood_as(arguments, prepare, connect, make);
}

/// The same, each connection as whom `connect` says.
fn flood_as(
    arguments: &[&str],
    prepare: impl Fn(&Broker),
    connect: impl Fn(usize, usize) -> Connect + Sync,
    make: impl Fn(usize, usize) -> Vec<u8> + Sync,
) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let toml = format!(
        "[limits]\nmemory_bytes_maximum = {CEILING}\nretained_bytes_maximum = 100000000000\n\
         retained_messages_maximum = 100000000\nqueue_messages_maximum = 100000000\n\
         queue_bytes_maximum = 100000000000\n"
    );
    let broker = Broker::start_with_config(&toml, &[&["--shards", "2"], arguments].concat());
    let mut subscriber = broker.connect(V, "healthy-subscriber");
    subscriber.send(Subscribe::new(1).filter("healthy", 0).bytes(V));
    subscriber.packet();
    let mut publisher = broker.connect(V, "healthy-publisher");
    prepare(&broker);
    let (address, end) = (broker.address(), Instant::now() + FLOOD);
    let (mut peak, mut trips) = (0, 0);
    thread::scope(|scope| {
        for number in 0..FLOODERS {
            let (connect, make) = (&connect, &make);
            scope.spawn(move || {
                flooder(address, end, |round| connect(number, round), |round| make(number, round))
            });
        }
        while Instant::now() < end {
            publisher.send(Publish::new("healthy", b"1").bytes(V));
            subscriber.packet();
            trips += 1;
            peak = peak.max(resident(&broker));
        }
    });
    eprintln!("peak {} MiB, {trips} round trips", peak >> 20);
    assert!(peak < CEILING, "{peak} bytes resident\n{}", broker.log());
    assert!(trips > 20, "{trips} round trips in {FLOOD:?}");
}

fn flooder(
    address: SocketAddr,
    end: Instant,
    connect: impl Fn(usize) -> Connect,
    make: impl Fn(usize) -> Vec<u8>,
) {
    let mut round = 0;
    while Instant::now() < end {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let discard = thread::spawn(move || while matches!(reader.read(&mut [0; 65_536]), Ok(1..)) {});
        let mut sent = stream.write_all(&connect(round).bytes());
        round += 1;
        while sent.is_ok() && Instant::now() < end {
            sent = stream.write_all(&make(round));
            round += 1;
        }
        drop(stream.shutdown(std::net::Shutdown::Both));
        discard.join().unwrap();
    }
}

fn resident(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Twenty Sessions that stay when their Clients go.
fn offline(broker: &Broker) {
    for number in 0..20 {
        let mut wire = broker.connect_with(&Connect::new(V, format!("offline-{number}")).clean(false));
        wire.send(Subscribe::new(1).filter(format!("backlog/{number}"), 1).bytes(V));
        wire.packet();
    }
}

fn backlog(number: usize, round: usize) -> Vec<u8> {
    let topic = format!("backlog/{}", (number * 5 + round) % 20);
    (1..=100).flat_map(|id| Publish::new(&topic, [7; 1000]).qos(1, id).bytes(V)).collect()
}

/// Clients that subscribe and never read again.
fn stuck(broker: &Broker, count: usize, filter: &str, qos: u8) {
    for number in 0..count {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        let clean = qos == 0;
        let mut bytes = Connect::new(V, format!("stuck-{number}")).clean(clean).bytes();
        bytes.extend(Subscribe::new(1).filter(filter, qos).bytes(V));
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut [0; 9]).unwrap();
        STUCK.lock().unwrap().push(stream);
    }
}

/// They must not be closed before the flood is over.
static STUCK: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("dunlin-memory-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_backlog_in_memory_stays_below_the_ceiling() {
    flood(&[], offline, backlog);
}

#[test]
fn a_backlog_on_disk_stays_below_the_ceiling() {
    let folder = Folder::new("backlog");
    flood(&["--data", folder.0.to_str().unwrap()], offline, backlog);
}

#[test]
fn consumers_that_never_read_stay_below_the_ceiling() {
    let many = |_, _| Publish::new("fan", [7; 1000]).bytes(V).repeat(60);
    flood(&[], |broker| stuck(broker, 200, "fan", 0), many);
}

#[test]
fn consumers_that_never_acknowledge_stay_below_the_ceiling() {
    let large = |_, round: usize| {
        let id = u16::try_from(round % 60_000 + 1).unwrap();
        Publish::new("fan", vec![7; 60_000]).qos(1, id).bytes(V)
    };
    flood(&[], |broker| stuck(broker, 100, "fan", 1), large);
}

#[test]
fn retained_messages_stay_below_the_ceiling() {
    flood(
        &[],
        |_| {},
        |number, round| {
            let one = |at| Publish::new(format!("r/{number}/{round}/{at}"), [7; 1000]).retain().bytes(V);
            (0..100).flat_map(one).collect()
        },
    );
}

#[test]
fn many_subscribers_of_many_retained_messages_stay_below_the_ceiling() {
    let seed = |broker: &Broker| {
        let mut wire = broker.connect(V, "seed");
        for at in 0..20_000 {
            wire.send(Publish::new(format!("tree/{at}"), [7; 1000]).retain().bytes(V));
        }
        wire.send(dunlin_tests::request::PINGREQ);
        wire.packet();
        stuck(broker, 300, "tree/#", 0);
    };
    flood(&[], seed, |_, _| Subscribe::new(1).filter("tree/#", 0).bytes(V));
}

#[test]
fn sessions_with_many_subscriptions_stay_below_the_ceiling() {
    let many = |number: usize, round: usize| {
        let one = |at: u16| {
            Subscribe::new(at + 1).filter(format!("{number}/{round}/{at}/{}", "x".repeat(1000)), 1).bytes(V)
        };
        // A packet that no Client may send ends the connection; the Session stays.
        (0..500).flat_map(one).chain([0, 0]).collect::<Vec<u8>>()
    };
    let another = |number, round| Connect::new(V, format!("{number}-{round}")).clean(false);
    flood_as(&[], |_| {}, another, many);
}
