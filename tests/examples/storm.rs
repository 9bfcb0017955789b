//! All kept Sessions of a broker come back at once: how long that takes, and what those notice who stayed.
//!
//! `cargo run --release -p dunlin-tests --example storm -- [SESSIONS [ADDRESS]]` (15,000). Without the address of a broker on
//! loopback, one of the same build (or `DUNLIN_BIN`) is started, with a data directory. The round trip is that of a pair: QoS 1,
//! 500 times a second, from publishing to the message at the subscriber.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails says so"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_tests::{Broker, Connect, Publish, Subscribe, Version, Wire};

const V: Version = Version::V311;
/// Connections that wait for their CONNACK together, of each of the two threads.
const AT_ONCE: usize = 64;
const THREADS: usize = 2;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let sessions: usize =
        arguments.next().map_or(15_000, |count| count.parse().expect("a number of sessions"));
    let rival: Option<SocketAddr> = arguments.next().map(|address| address.parse().expect("an address"));
    let data = std::env::temp_dir().join(format!("dunlin-storm-{}", std::process::id()));
    let own = rival.is_none().then(|| Broker::start(&["--data", data.to_str().unwrap()]));
    let address = rival.unwrap_or_else(|| own.as_ref().unwrap().address());
    let mut pair = Pair::new(address);
    let (streams, present) = connect_all(address, sessions, true);
    println!("{sessions} Sessions, {present} of them known before");
    pair.measure(&AtomicBool::new(false), Duration::from_secs(3)).show("before");
    drop(streams);
    let over = AtomicBool::new(false);
    let trips = thread::scope(|scope| {
        let pair = scope.spawn(|| pair.measure(&over, Duration::from_secs(600)));
        let began = Instant::now();
        let (streams, present) = connect_all(address, sessions, false);
        let took = began.elapsed();
        over.store(true, Ordering::Release);
        println!("back after {:.2} s: {present} found their Session", took.as_secs_f64());
        drop(streams);
        pair.join().unwrap()
    });
    trips.show("meanwhile");
    drop(own);
    drop(std::fs::remove_dir_all(&data));
}

/// Connects every Session's Client, and counts those whose Session was there.
fn connect_all(address: SocketAddr, sessions: usize, subscribes: bool) -> (Vec<TcpStream>, usize) {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let names: Vec<_> = (thread..sessions).step_by(THREADS).collect();
                scope.spawn(move || {
                    let batches = names.chunks(AT_ONCE).map(|names| connect(address, names, subscribes));
                    batches.fold((Vec::new(), 0), |(mut all, count), (streams, present)| {
                        all.extend(streams);
                        (all, count + present)
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(
            (Vec::new(), 0),
            |(mut all, count), (streams, present)| {
                all.extend(streams);
                (all, count + present)
            },
        )
    })
}

fn connect(address: SocketAddr, names: &[usize], subscribes: bool) -> (Vec<TcpStream>, usize) {
    let mut streams: Vec<TcpStream> = names.iter().map(|_| TcpStream::connect(address).unwrap()).collect();
    for (stream, name) in streams.iter_mut().zip(names) {
        let mut bytes = Connect::new(V, format!("storm-{name}")).clean(false).bytes();
        if subscribes {
            bytes.extend(Subscribe::new(1).filter(format!("storm/{name}"), 1).bytes(V));
        }
        stream.write_all(&bytes).unwrap();
    }
    let mut present = 0;
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        assert_eq!((connack[0], connack[3]), (0x20, 0), "refused");
        present += usize::from(connack[2] & 1);
        if subscribes {
            stream.read_exact(&mut [0; 5]).unwrap();
        }
    }
    (streams, present)
}

/// Two that stay.
struct Pair {
    publisher: Wire,
    subscriber: Wire,
    sent: u16,
}

impl Pair {
    fn new(address: SocketAddr) -> Self {
        let open = |name| {
            let mut wire = Wire::open(address, V);
            wire.send(Connect::new(V, name).bytes());
            assert_eq!(wire.expect_connack().code, 0);
            wire
        };
        let (publisher, mut subscriber) = (open("storm-publisher"), open("storm-subscriber"));
        assert_eq!(subscriber.subscribe("calm", 1), 1);
        Self { publisher, subscriber, sent: 0 }
    }

    fn measure(&mut self, over: &AtomicBool, time: Duration) -> Trips {
        let (began, mut trips) = (Instant::now(), Vec::new());
        while began.elapsed() < time && !over.load(Ordering::Acquire) {
            let due = began + Duration::from_millis(2) * u32::try_from(trips.len()).unwrap();
            thread::park_timeout(due.saturating_duration_since(Instant::now()));
            self.sent = self.sent % 60_000 + 1;
            let text = self.sent.to_string();
            self.publisher.publish(&Publish::new("calm", &text).qos(1, self.sent));
            self.subscriber.take("calm", &text);
            // From when it was due: whoever waits for a slow one is late as well.
            trips.push(due.elapsed());
        }
        trips.sort_unstable();
        Trips(trips)
    }
}

struct Trips(Vec<Duration>);

impl Trips {
    fn show(&self, when: &str) {
        let part = |percent: usize| {
            self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)].as_secs_f64() * 1_000.0
        };
        println!(
            "{when}: {} round trips, median {:.2} ms, 99 of 100 {:.2} ms, longest {:.2} ms",
            self.0.len(),
            part(50),
            part(99),
            part(100)
        );
    }
}
