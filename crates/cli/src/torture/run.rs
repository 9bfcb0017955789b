//! A run: the clients at work, the broker killed and started, calm at the end, and the account.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use dunlin_codec::{ProtocolVersion, QoS};

use super::Torture;
use super::broker::{Broker, BrokerError, free_port};
use super::judge::{Fault, Verdict};
use super::ledger::Ledger;
use super::publisher::{Publisher, Topics};
use super::receipts::Receipts;
use super::retained::Inspector;
use super::rng::Rng;
use super::subscriber::Subscriber;
use super::wire::Identity;
use super::world::{Stage, World};
use crate::say;

/// Nothing has come for so long: then nothing more will.
const QUIET: Duration = Duration::from_secs(5);
/// How long the queues may take to empty at the end.
const DRAIN: Duration = Duration::from_secs(600);
/// How long what is retained may take to come, while the storm lasts and at the end.
const LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(5);
/// Topics of each kind that a publisher has.
const TOPICS: u16 = 4;
/// What the inspector subscribes to.
const RETAINED: &str = "torture/retained/#";

/// What a run was, for the report.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) seed: u64,
    pub(crate) kills: u32,
    pub(crate) seconds: f64,
    /// The longest time from a start of the process to the first connection it took.
    pub(crate) slowest_start: Duration,
    /// Where the broker's log and data are, if they were kept.
    pub(crate) kept: Option<PathBuf>,
}

type Publishers = Vec<JoinHandle<()>>;
type Subscribers = Vec<JoinHandle<Receipts>>;

impl Torture {
    /// Runs it all.
    pub(crate) fn judge(&self) -> Result<(Run, Verdict), BrokerError> {
        let seed = self.seed.unwrap_or_else(drawn);
        let mut rng = Rng::new(seed, 0);
        // Another test may run with the same seed: the port and the directory are not of the seed.
        let mut elsewhere = Rng::new(drawn(), u64::from(process::id()));
        let home = self.home(&mut elsewhere)?;
        let mut broker = Broker::new(&self.start, self.config.as_deref(), free_port(&mut elsewhere)?, &home)?;
        let started = Instant::now();
        broker.start()?;
        let mut slowest_start = started.elapsed();
        let world = Arc::new(World::new(broker.port(), Ledger::new(drawn())));
        world.started();
        let subscribers = self.subscribers(&world, seed);
        let publishers = self.publishers(&world, seed);

        let mut inspector = Inspector::default();
        let mut kills = 0;
        while kills < self.kills {
            inspector.look(&world, RETAINED, LOOK);
            world.rest(self.moment(&mut rng));
            if let Some(status) = broker.ended() {
                world.fault(Fault::Down { what: format!("the broker ended by itself: {status}") });
            }
            broker.kill();
            kills += 1;
            if !self.json && kills % 10 == 0 {
                say::complaint(&format!("dunlin: {kills} of {} kills\n", self.kills));
            }
            let since = Instant::now();
            if let Err(error) = broker.start() {
                world.fault(Fault::Down { what: format!("after kill {kills}: {error}") });
                break;
            }
            slowest_start = slowest_start.max(since.elapsed());
            world.started();
        }
        world.rest(Duration::from_millis(500));
        world.enter(Stage::Calm);
        join(publishers);
        settle(&world);
        inspector.look(&world, RETAINED, LAST_LOOK);
        if let Some(status) = broker.ended() {
            world.fault(Fault::Down { what: format!("the broker ended by itself: {status}") });
        }
        world.enter(Stage::End);
        let receipts = join(subscribers);
        broker.kill();
        let verdict = Verdict::new(&world.ledger(), &receipts, world.take_faults());
        let kept = self.tidy(home, &verdict);
        let (command, seconds) = (self.start.clone(), started.elapsed().as_secs_f64());
        Ok((Run { command, seed, kills, seconds, slowest_start, kept }, verdict))
    }

    fn home(&self, rng: &mut Rng) -> Result<PathBuf, BrokerError> {
        let home = self.work.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("dunlin-torture-{}-{:08x}", process::id(), rng.next() >> 32))
        });
        let failed = |source: io::Error| BrokerError::Io { what: home.display().to_string(), source };
        fs::create_dir_all(&home).map_err(failed)?;
        // Remains of another run would be judged as faults of this one.
        if fs::read_dir(home.join("data")).is_ok_and(|mut data| data.next().is_some()) {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "data/ is there already")));
        }
        Ok(home)
    }

    fn tidy(&self, home: PathBuf, verdict: &Verdict) -> Option<PathBuf> {
        if self.work.is_some() || !verdict.is_pass() {
            return Some(home);
        }
        let _ = fs::remove_dir_all(home);
        None
    }

    /// How long the broker lives: a third of the time it is killed while it is still busy with its start.
    fn moment(&self, rng: &mut Rng) -> Duration {
        let most = if rng.one_in(3) { self.life.min(100) } else { self.life };
        Duration::from_millis(rng.between(0, most))
    }

    fn publishers(&self, world: &Arc<World>, seed: u64) -> Publishers {
        let pace = Duration::from_secs(1) * u32::from(self.publishers) / self.rate;
        (0..self.publishers)
            .map(|number| {
                let topics = topics(&mut world.ledger(), number);
                let who = identity("publisher", number);
                let rng = Rng::new(seed, 1000 + u64::from(number));
                let publisher = Publisher::new(who, topics, pace, rng);
                let world = Arc::clone(world);
                thread::spawn(move || publisher.run(&world))
            })
            .collect()
    }

    fn subscribers(&self, world: &Arc<World>, seed: u64) -> Subscribers {
        (0..self.subscribers)
            .map(|number| {
                // The first is always online; half of the others come later.
                let late = number % 2 == 1 && self.subscribers > 1;
                let joins = if late {
                    1 + self.kills * u32::from(number) / (2 * u32::from(self.subscribers))
                } else {
                    1
                };
                let spell = Duration::from_millis([0, 1000, 3000, 300][usize::from(number % 4)]);
                let filter = ["torture/plain/#", "torture/plain/+/2/#", "torture/plain/+/+/1"]
                    [usize::from(number % 3)];
                let qos = if number % 3 == 2 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                let who = identity("subscriber", number);
                let receipts = Receipts::new(who.client_id.clone(), filter.to_owned(), qos);
                let rng = Rng::new(seed, 2000 + u64::from(number));
                let subscriber = Subscriber::new(who, receipts, joins, spell, rng);
                let world = Arc::clone(world);
                thread::spawn(move || subscriber.run(&world))
            })
            .collect()
    }
}

/// Versions by turns.
fn identity(role: &str, number: u16) -> Identity {
    let version = if number % 3 == 1 { ProtocolVersion::V311 } else { ProtocolVersion::V5 };
    Identity { client_id: format!("torture-{role}-{number}"), version, durable: true }
}

/// `torture/plain/PUBLISHER/QOS/N` and `torture/retained/PUBLISHER/QOS/N`.
fn topics(ledger: &mut Ledger, publisher: u16) -> Topics {
    let mut topics = Topics::default();
    for number in 0..TOPICS {
        for (qos, level) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
            let mut add = |kind, retained| {
                ledger.add_topic(format!("torture/{kind}/{publisher}/{level}/{number}"), qos, retained)
            };
            topics.plain.push(add("plain", false));
            topics.retained.push(add("retained", true));
        }
    }
    topics
}

/// Waits until nothing comes any more.
fn settle(world: &World) {
    let started = Instant::now();
    let (mut seen, mut since) = (world.deliveries(), Instant::now());
    while since.elapsed() < QUIET && started.elapsed() < DRAIN {
        world.rest(Duration::from_millis(50));
        if world.deliveries() != seen {
            (seen, since) = (world.deliveries(), Instant::now());
        }
    }
}

fn join<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    let results = threads.into_iter().map(JoinHandle::join);
    results.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
}

fn drawn() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Of 128 bits the lowest are the ones that differ.
    let bytes = now.as_nanos().to_le_bytes();
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}
