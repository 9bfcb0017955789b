//! The running Server: its shards' threads, from outside.
//!
//! In:    options; commands of whoever started it.
//! Out:   bound addresses, counters, how it ended.
//! Never: half a Server: everything is bound before the first thread starts, and one failed shard ends all.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dunlin_engine::{Counters, Settings, ShardMap};
use dunlin_net::{Place, SocketFile, Wrapping};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::accept::BoundSocket;
use crate::admissions::{AdmissionLimits, Admissions, ListenerLimits};
use crate::counters::{Snapshot, Traffic};
use crate::doorway::Doorway;
use crate::post::{Item, Post};
use crate::shard::{Seat, Shard, Shared};

/// What a Server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// How many shards; `None` for one a core.
    pub shards: Option<usize>,
    /// For every engine.
    pub settings: Arc<Settings>,
    /// For identifiers and hashes; `None` for one from the operating system.
    pub seed: Option<u64>,
    /// Called once, on its thread, for each shard that ends without having been told to; all others end then too. For whoever
    /// waits for something else than [`Server::wait`].
    pub on_failure: fn(),
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where.
    pub place: Place,
    /// What lies between MQTT and the socket; nothing by default.
    pub wrapping: Wrapping,
    /// What its newcomers are held to.
    pub limits: ListenerLimits,
}

impl Listener {
    /// MQTT over plain TCP. Port 0 takes any free one.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { place: Place::Tcp(address), wrapping: Wrapping::default(), limits: ListenerLimits::default() }
    }
}

/// Why a Server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The place is in use, not of this machine, or not allowed.
    #[error("cannot listen on {place}: {source}")]
    Bind {
        /// As configured.
        place: Place,
        /// Why.
        source: io::Error,
    },
    /// There is no such number of shards.
    #[error("cannot run {wanted} shards, only 1 to {maximum}")]
    Shards {
        /// As configured.
        wanted: usize,
        /// Most that can be.
        maximum: usize,
    },
    /// The operating system refused something that every Server needs.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A shard ended that should not have.
#[derive(Debug, thiserror::Error)]
#[error("shard {shard} failed: {reason}")]
pub struct ShardFailed {
    /// Its number.
    pub shard: usize,
    /// What it said.
    pub reason: String,
}

/// What a Server did until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of all shards.
    pub counters: Counters,
    /// Of all shards.
    pub traffic: Traffic,
}

/// A running Server. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    places: Vec<Place>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// Removed while the sockets are still there.
    files: Mutex<Vec<SocketFile>>,
}

impl Server {
    /// Binds all listeners, raises the limit of open files as far as the process may, and starts the shards.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left behind.
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let ServerOptions { listeners, shards, settings, seed, on_failure } = options;
        let map = shard_map(shards)?;
        let admissions = Admissions::new(
            settings.limits.connections_maximum,
            map.count(),
            listeners.iter().map(|listener| listener.limits),
        )?;
        let Bound { places, mut sockets, files } = bind_all(&listeners, map)?;
        let seed = seed.map_or_else(random_seed, Ok)?;
        let (mut seats, mut wakers) = (Vec::new(), Vec::new());
        for id in map.iter() {
            let (seat, waker) = Seat::new(id, std::mem::take(&mut sockets[id.index()]))?;
            seats.push(seat);
            wakers.push(waker);
        }
        let shared = Arc::new(Shared {
            post: Post::new(map, wakers),
            admissions,
            snapshots: map.iter().map(|_| Snapshot::default()).collect(),
        });
        // Dropped on the way out where a thread cannot be started, which ends those that were.
        let mut server = Self { places, shared, threads: Vec::new(), files: Mutex::new(files) };
        for seat in seats {
            let end_all = EndAll { shared: Arc::clone(&server.shared), on_failure, armed: true };
            let thread = spawn(seat, end_all, Arc::clone(&settings), seed)?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    /// What it listens on, in the order of the listeners, with the ports that were asked for as 0.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The TCP addresses among [`Self::places`].
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = |place: &Place| if let Place::Tcp(address) = place { Some(*address) } else { None };
        self.places.iter().filter_map(tcp).collect()
    }

    /// Changes the settings of all shards, soon.
    pub fn reconfigure(&self, settings: Arc<Settings>) {
        self.shared.admissions.set_maximum(settings.limits.connections_maximum);
        self.shared.post.broadcast(|| Item::Reconfigure(Arc::clone(&settings)));
    }

    /// Changes what newcomers are held to from now on.
    pub fn limit_newcomers(&self, limits: AdmissionLimits) {
        self.shared.admissions.set_limits(limits);
    }

    /// The way in for connections that somebody else accepts.
    #[must_use]
    pub fn doorway(&self) -> Doorway {
        Doorway::new(Arc::clone(&self.shared))
    }

    /// Begins a clean end: no more newcomers, every Client is told, and what they are owed is sent for at most 2 s.
    pub fn shut_down(&self) {
        self.remove_files();
        self.shared.post.broadcast(|| Item::ShutDown);
    }

    /// Ends it without a word to anybody.
    pub fn shut_down_now(&self) {
        self.remove_files();
        self.shared.post.broadcast(|| Item::Stop);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Where a shard panicked or its poll failed; the others were ended then.
    pub fn wait(mut self) -> Result<Summary, ShardFailed> {
        self.join()?;
        let (counters, traffic) = self.sums();
        Ok(Summary { counters, traffic })
    }

    /// What all shards counted, at most about a second ago.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.sums().0
    }

    /// Bytes and connections; bytes at most about a second ago.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.sums().1
    }

    fn remove_files(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn sums(&self) -> (Counters, Traffic) {
        let admissions = &self.shared.admissions;
        let mut counters = Counters::default();
        let mut traffic = Traffic {
            accepted: admissions.accepted(),
            turned_away: admissions.refused().iter().sum(),
            refused: admissions.refused(),
            open: admissions.open() as u64,
            ..Traffic::default()
        };
        for snapshot in &self.shared.snapshots {
            snapshot.add_to(&mut counters, &mut traffic);
        }
        (counters, traffic)
    }

    fn join(&mut self) -> Result<(), ShardFailed> {
        let mut failed = None;
        for (shard, thread) in self.threads.drain(..).enumerate() {
            let reason = match thread.join() {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic_message(&*panic),
            };
            failed.get_or_insert(ShardFailed { shard, reason });
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.shut_down_now();
            // Nobody is left to tell.
            let _ = self.join();
        }
    }
}

/// Ends all shards when one ends that was not told to, be it by a panic, and says so.
struct EndAll {
    shared: Arc<Shared>,
    on_failure: fn(),
    armed: bool,
}

impl EndAll {
    /// The shard was told to end.
    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for EndAll {
    fn drop(&mut self) {
        if self.armed {
            self.shared.post.broadcast(|| Item::Stop);
            (self.on_failure)();
        }
    }
}

/// The engine is made on its thread: it never leaves it.
fn spawn(
    seat: Seat,
    mut end_all: EndAll,
    settings: Arc<Settings>,
    seed: u64,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let name = format!("dunlin-shard-{}", seat.id().index());
    std::thread::Builder::new().name(name).spawn(move || {
        let result = Shard::new(seat, Arc::clone(&end_all.shared), settings, seed).run();
        if result.is_ok() {
            end_all.disarm();
        }
        result
    })
}

fn shard_map(wanted: Option<usize>) -> Result<ShardMap, StartError> {
    let maximum = ShardMap::MAX;
    let wanted = wanted
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(maximum));
    ShardMap::new(wanted).ok_or(StartError::Shards { wanted, maximum })
}

/// What was bound.
struct Bound {
    places: Vec<Place>,
    /// For each shard.
    sockets: Vec<Vec<BoundSocket>>,
    files: Vec<SocketFile>,
}

fn bind_all(listeners: &[Listener], map: ShardMap) -> Result<Bound, StartError> {
    let sockets = map.iter().map(|_| Vec::new()).collect();
    let mut bound = Bound { places: Vec::with_capacity(listeners.len()), sockets, files: Vec::new() };
    for (number, Listener { place, wrapping, .. }) in (0..=u16::MAX).zip(listeners) {
        let listening = dunlin_net::bind(place, map.count())
            .map_err(|source| StartError::Bind { place: place.clone(), source })?;
        bound.places.push(listening.place);
        bound.files.extend(listening.file);
        // A listener with one socket only is some shard's; another has another's.
        let first = if listening.sockets.len() < map.count() { usize::from(number) } else { 0 };
        for (index, socket) in listening.sockets.into_iter().enumerate() {
            let shard = (first + index) % map.count();
            bound.sockets[shard].push(BoundSocket { socket, number, wrapping: wrapping.clone() });
        }
    }
    Ok(bound)
}

fn random_seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom(&mut seed, GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(seed))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static FAILURES: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_shard_that_fails_ends_the_others_and_says_so() {
        let server = Server::start(ServerOptions {
            listeners: Vec::new(),
            shards: Some(2),
            settings: Arc::default(),
            seed: Some(1),
            on_failure: || {
                FAILURES.fetch_add(1, Ordering::SeqCst);
            },
        })
        .unwrap();
        let on_failure = || {
            FAILURES.fetch_add(1, Ordering::SeqCst);
        };
        let shared = Arc::clone(&server.shared);
        let failing = std::thread::spawn(move || {
            let _end_all = EndAll { shared, on_failure, armed: true };
            panic!("as a shard might");
        });
        assert!(failing.join().is_err());
        // It ends only because all shards were told to stop.
        server.wait().unwrap();
        assert_eq!(FAILURES.load(Ordering::SeqCst), 1);
    }
}
