//! A log without room, by its quota and by a disk that is really full: what needs room is refused at once, what was accepted stays,
//! everything else goes on, and all is well again by itself when there is room.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use dunlin_tests::packet::Packet;
use dunlin_tests::request::{PUBACK, Publish, ack};
use dunlin_tests::{Broker, Connect, DEADLINE, Version, Wire};

use Version::{V5, V311};

/// Small segments, so that little is needed to fill the log and to make room in it.
const SMALL: &str = "[limits]\nmaximum_packet_size = 65536\n[storage]\nsegment_bytes = 2097152\n";
/// Bytes of a payload that is to fill the log.
const LOAD: usize = 32 * 1024;
/// Sessions that are kept, in both shards.
const KEPT: usize = 6;
const QUOTA_EXCEEDED: u8 = 0x97;
/// CONNACK of 3.1.1: the Server is unavailable.
const UNAVAILABLE: u8 = 3;

/// A directory of its own, gone with the test; perhaps the place of a small disk.
struct Place {
    path: PathBuf,
    mounted: bool,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dunlin-full-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self { path, mounted: false }
    }

    /// Makes it a disk of so many MiB; why not, where it cannot be one.
    fn mount(&mut self, megabytes: u32) -> Result<(), String> {
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        let tried = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&self.path).output();
        let tried = tried.map_err(|error| error.to_string())?;
        self.mounted = tried.status.success();
        if self.mounted { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).into_owned()) }
    }

    fn data(&self) -> String {
        self.path.join("data").display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            drop(Command::new("umount").arg("-l").arg(&self.path).output());
        }
        drop(fs::remove_dir_all(&self.path));
    }
}

fn topic(number: usize) -> String {
    format!("kept/{number}")
}

/// Sessions that are kept and away.
fn prepare(broker: &Broker) {
    for number in 0..KEPT {
        let mut kept = broker.connect_with(&Connect::new(V5, format!("kept-{number}")).lasting(3600));
        kept.subscribe(&topic(number), 1);
        kept.disconnect();
    }
    let mut owner = broker.connect(V5, "owner");
    assert!(owner.publish(&Publish::new("retained", "value").qos(1, 1).retain()) < 0x80);
}

/// Publishes for each Session until that is refused; how much each was promised.
fn fill(broker: &Broker) -> [usize; KEPT] {
    let mut filler = broker.connect(V5, "filler");
    let mut promised = [0; KEPT];
    let until = Instant::now() + DEADLINE * 4;
    for round in 0.. {
        let number = round % KEPT;
        let payload = format!("{:06}{}", promised[number], "x".repeat(LOAD));
        match filler.publish(&Publish::new(topic(number), payload).qos(1, 1)) {
            0 => promised[number] += 1,
            code => {
                assert_eq!(code, QUOTA_EXCEEDED);
                break;
            }
        }
        assert!(Instant::now() < until, "it is never full: {promised:?}");
    }
    promised
}

/// What a broker with a full log refuses, and what it goes on with.
fn expect_refusals(broker: &Broker) {
    for number in 0..KEPT {
        let payload = "x".repeat(LOAD);
        let mut publisher = broker.connect(V5, &format!("publisher-{number}"));
        let message = Publish::new(topic(number), payload);
        assert_eq!(publisher.publish(&message.clone().qos(1, 7)), QUOTA_EXCEEDED);
        assert_eq!(publisher.publish(&message.clone().qos(2, 8)), QUOTA_EXCEEDED);
        // Nobody has to keep it.
        assert!(publisher.publish(&Publish::new("nobody", "m").qos(1, 9)) < 0x80);
        let mut old = broker.connect(V311, &format!("old-{number}"));
        old.send(message.qos(1, 7).bytes(V311));
        old.expect_closed();
        let newcomer = Connect::new(V5, format!("newcomer-{number}")).lasting(3600);
        assert_eq!(broker.refused(&newcomer.bytes(), V5), QUOTA_EXCEEDED);
        let newcomer = Connect::new(V311, format!("newcomer-{number}")).clean(false);
        assert_eq!(broker.refused(&newcomer.bytes(), V311), UNAVAILABLE);
    }
    let mut reader = broker.connect(V5, "reader");
    reader.subscribe("retained", 0);
    reader.expect_publish("retained", "value");
    reader.subscribe("live", 1);
    let mut speaker = broker.connect(V311, "speaker");
    speaker.send(Publish::new("live", "now").bytes(V311));
    reader.expect_publish("live", "now");
}

/// A Session that comes back finds all it was promised, in order, and acknowledges it.
fn drain(broker: &Broker, number: usize, promised: usize) {
    let connect = Connect::new(V5, format!("kept-{number}")).lasting(3600).clean(false);
    let mut kept = broker.open(V5);
    kept.send(connect.bytes());
    assert!(kept.expect_connack().session_present);
    let (mut next, mut acked) = (0, Vec::new());
    while next < promised {
        let Packet::Publish(message) = kept.packet() else { panic!("no PUBLISH after {next} of {promised}") };
        let count: usize =
            message.payload[..6].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        // Not acknowledged within its connection's time, so it may come twice; never is one missing.
        assert!(count <= next, "{count} came where {next} was promised");
        next = next.max(count + 1);
        acked.push(message.id);
        kept.send(ack(PUBACK, message.id));
    }
    kept.ping();
    kept.disconnect();
}

/// Waits until a message for a Session that is away is accepted again.
fn await_room(broker: &Broker, number: usize, payload: &str) {
    let mut publisher = broker.connect(V5, "patient");
    let until = Instant::now() + DEADLINE * 4;
    while publisher.publish(&Publish::new(topic(number), payload).qos(1, 1)) != 0 {
        assert!(Instant::now() < until, "there is no room again\n{}", broker.log());
        thread::yield_now();
    }
}

fn expect_newcomers(broker: &Broker) {
    for number in 0..KEPT {
        broker.connect_with(&Connect::new(V5, format!("newcomer-{number}")).lasting(3600)).disconnect();
        let mut back: Wire =
            broker.connect_with(&Connect::new(V311, format!("newcomer-{number}")).clean(false));
        assert_eq!(back.subscribe("x", 1), 1);
    }
}

/// The quota is used up: Sessions that fetch what fills the log make room, also after another start.
#[test]
fn a_log_at_its_quota_refuses_and_recovers_when_it_is_drained() {
    for restarts in [0, 3] {
        let place = Place::new();
        let toml = format!("{SMALL}quota_bytes = 12582912\n");
        let arguments = ["--shards", "2", "--data", &place.data()];
        let mut broker = Broker::start_with_config(&toml, &arguments);
        prepare(&broker);
        let promised = fill(&broker);
        expect_refusals(&broker);
        broker.logged("the log has no room");
        for _ in 0..restarts {
            broker.signal("KILL");
            broker.wait();
            broker = Broker::start_with_config(&toml, &arguments);
        }
        for (number, promised) in promised.into_iter().enumerate().skip(1) {
            drain(&broker, number, promised);
        }
        await_room(&broker, 1, "000000");
        expect_newcomers(&broker);
        drain(&broker, 1, 1);
        drain(&broker, 0, promised[0]);
        if restarts == 0 {
            broker.logged("the log has room again");
        }
    }
}

/// A disk that somebody else has filled: there is room as soon as that is gone, and a process that ends meanwhile loses nothing.
#[test]
fn a_disk_that_is_full_is_survived_and_used_again() {
    let mut place = Place::new();
    if let Err(why) = place.mount(24) {
        eprintln!("not tried: a disk cannot be mounted here ({why})");
        return;
    }
    let arguments = ["--shards", "2", "--data", &place.data()];
    let mut broker = Broker::start_with_config(SMALL, &arguments);
    prepare(&broker);
    let (filler, whole) = (place.path.join("filler"), fill_disk(&place.path));
    let promised = fill(&broker);
    expect_refusals(&broker);
    broker.signal("KILL");
    broker.wait();
    // It starts without room, and knows what it promised.
    let broker = Broker::start_with_config(SMALL, &arguments);
    drain(&broker, 0, promised[0]);
    assert!(whole > 0);
    fs::remove_file(filler).unwrap();
    await_room(&broker, 0, "000000");
    expect_newcomers(&broker);
    drain(&broker, 0, 1);
    for (number, promised) in promised.into_iter().enumerate().skip(1) {
        drain(&broker, number, promised);
    }
}

/// Takes what is left of a disk, but for a little; bytes taken.
fn fill_disk(disk: &Path) -> u64 {
    let mut file = fs::File::create(disk.join("filler")).unwrap();
    let chunk = vec![1; 64 * 1024];
    let mut written = 0;
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {
        written += chunk.len() as u64;
    }
    written
}
