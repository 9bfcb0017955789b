//! The running Server: its shards' threads, from outside.
//!
//! In:    options; commands of whoever started it.
//! Out:   bound addresses, counters, how it ended.
//! Never: half a Server: everything is bound before the first thread starts, and one failed shard ends all.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;

use dunlin_engine::{Authority, Counters, Settings, ShardMap};
use dunlin_net::{Place, SocketFile, Wrapping};
use dunlin_store::Journal;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::accept::BoundSocket;
use crate::admissions::{AdmissionLimits, Admissions, ListenerLimits};
use crate::authentication::{self, Authentication, Pool};
use crate::counters::{Snapshot, Traffic};
use crate::doorway::Doorway;
use crate::journal::Log;
use crate::librarian::{self, Request};
use crate::memory::{Gauge, with_ceiling};
use crate::observer::{self, Observer};
use crate::post::{Item, Post};
use crate::recovery::{Prepared, prepare};
use crate::shard::{Seat, Shard, Shared};

/// What a Server is started with.
#[derive(Clone)]
pub struct ServerOptions {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// How many shards; `None` for one a core.
    pub shards: Option<usize>,
    /// For every engine.
    pub settings: Arc<Settings>,
    /// For identifiers and hashes; `None` for one from the operating system.
    pub seed: Option<u64>,
    /// Who knows the Clients of the listeners that ask.
    pub authentication: Option<Authentication>,
    /// Called once, on its thread, for each shard that ends without having been told to; all others end then too. For whoever
    /// waits for something else than [`Server::wait`].
    pub on_failure: fn(),
    /// Where to keep what has to outlive the process, with [`dunlin_engine::JOURNAL_PARTITIONS`] partitions; `None`: nothing does.
    pub journal: Option<Arc<dyn Journal>>,
}

impl std::fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerOptions")
            .field("listeners", &self.listeners)
            .field("shards", &self.shards)
            .field("journal", &self.journal.is_some())
            .finish_non_exhaustive()
    }
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where.
    pub place: Place,
    /// What lies between MQTT and the socket; nothing by default.
    pub wrapping: Wrapping,
    /// Lets nobody in whom [`ServerOptions::authentication`] does not know. Where not, everybody may do everything.
    pub authenticate: bool,
    /// What its newcomers are held to.
    pub limits: ListenerLimits,
}

impl Listener {
    /// MQTT over plain TCP, where everybody may do everything. Port 0 takes any free one.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self {
            place: Place::Tcp(address),
            wrapping: Wrapping::default(),
            authenticate: false,
            limits: ListenerLimits::default(),
        }
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
    /// A listener lets nobody in unasked, and nobody can be asked.
    #[error("{place} lets in whom somebody knows, and there is nobody who knows clients")]
    Unasked {
        /// As configured.
        place: Place,
    },
    /// There is no such number of shards.
    #[error("cannot run {wanted} shards, only 1 to {maximum}")]
    Shards {
        /// As configured.
        wanted: usize,
        /// Most that can be.
        maximum: usize,
    },
    /// The log cannot be used.
    #[error("the log cannot be used: {0}")]
    Journal(String),
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
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// Ends by itself after the last shard.
    librarian: Option<JoinHandle<()>>,
    /// Removed while the sockets are still there.
    files: Mutex<Vec<SocketFile>>,
}

/// Has the Sessions of a Server held against rights that changed.
#[derive(Clone, Debug)]
pub struct Reviewer {
    shared: Weak<Shared>,
}

impl Reviewer {
    /// See [`Server::review`]. False where the Server is gone.
    #[must_use]
    pub fn review(&self, authority: &Arc<dyn Authority>) -> bool {
        let shared = self.shared.upgrade();
        if let Some(shared) = &shared {
            shared.post.broadcast(|| Item::Review(Arc::clone(authority)));
        }
        shared.is_some()
    }

    /// Is the Server still there?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.strong_count() > 0
    }
}

impl Server {
    /// Binds all listeners, raises the limit of open files as far as the process may, and starts the shards.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left behind.
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let ServerOptions { listeners, shards, settings, seed, authentication, on_failure, journal } =
            options;
        if let (Some(Listener { place, .. }), None) =
            (listeners.iter().find(|listener| listener.authenticate), &authentication)
        {
            return Err(StartError::Unasked { place: place.clone() });
        }
        let settings = with_ceiling(&settings);
        let map = shard_map(shards)?;
        let admissions = Admissions::new(
            settings.limits.connections_maximum,
            map.count(),
            listeners.iter().map(|listener| listener.limits),
        )?;
        let asking = listeners.iter().map(|listener| listener.authenticate).collect();
        let Bound { places, mut sockets, files } = bind_all(&listeners, map)?;
        let seed = seed.map_or_else(random_seed, Ok)?;
        let (prepared, log) = prepare(map, &settings, seed, journal.as_ref())?;
        let (mut seats, mut wakers) = (Vec::new(), Vec::new());
        for id in map.iter() {
            let (seat, waker) = Seat::new(id, std::mem::take(&mut sockets[id.index()]))?;
            seats.push(seat);
            wakers.push(waker);
        }
        let shared = Arc::new(Shared {
            post: Post::new(map, wakers),
            admissions,
            gauge: Gauge::new(settings.limits.memory_bytes_maximum),
            snapshots: map.iter().map(|_| Snapshot::default()).collect(),
            log: OnceLock::new(),
            asking,
            pool: authentication.map(Pool::new),
        });
        // Dropped on the way out where a thread cannot be started, which ends those that were.
        let mut server =
            Self { places, shared, threads: Vec::new(), librarian: None, files: Mutex::new(files) };
        // After the Server, so that it is dropped before: the librarian waits for the last of these.
        let (desk, requests) = librarian::desk();
        if let (Some(log), Some(journal)) = (log, journal) {
            server.open_log(log, &*journal, requests)?;
        }
        authentication::start(&server.shared)?;
        for (seat, prepared) in seats.into_iter().zip(prepared) {
            let end_all = EndAll { shared: Arc::clone(&server.shared), on_failure, armed: true };
            let thread = spawn(seat, end_all, prepared, desk.clone())?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    fn open_log(&mut self, log: Log, journal: &dyn Journal, requests: Receiver<Request>) -> io::Result<()> {
        // The shards are not there yet: nothing is missed.
        let _ = self.shared.log.set(log);
        let shared = Arc::downgrade(&self.shared);
        journal.watch(Box::new(move |progress| {
            if let Some(shared) = shared.upgrade()
                && let Some(log) = shared.log.get()
            {
                log.moved(progress).for_each(|shard| shared.post.inbox(shard).nudge());
            }
        }));
        let shared = Arc::clone(&self.shared);
        let work = move || librarian::work(&shared, &requests);
        self.librarian = Some(std::thread::Builder::new().name("dunlin-librarian".to_owned()).spawn(work)?);
        Ok(())
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
        let settings = with_ceiling(&settings);
        self.shared.gauge.set_ceiling(settings.limits.memory_bytes_maximum);
        self.shared.admissions.set_maximum(settings.limits.connections_maximum);
        self.shared.post.broadcast(|| Item::Reconfigure(Arc::clone(&settings)));
    }

    /// The rights of some, or of all, are others than before: every Session is held against them, soon, and every Client that is
    /// admitted from now on.
    pub fn review(&self, authority: &Arc<dyn Authority>) {
        self.shared.post.broadcast(|| Item::Review(Arc::clone(authority)));
    }

    /// For [`Self::review`] by somebody else, on another thread.
    #[must_use]
    pub fn reviewer(&self) -> Reviewer {
        Reviewer { shared: Arc::downgrade(&self.shared) }
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

    /// For whoever looks at it from another thread.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(&self.shared)
    }

    fn remove_files(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn sums(&self) -> (Counters, Traffic) {
        observer::sums(&self.shared)
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
        if let Some(librarian) = self.librarian.take() {
            // It panics no more than a shard does, and nothing depends on it any more.
            let _ = librarian.join();
        }
        if let Some(pool) = &self.shared.pool {
            pool.close();
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

fn spawn(
    seat: Seat,
    mut end_all: EndAll,
    prepared: Prepared,
    desk: Sender<Request>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let name = format!("dunlin-shard-{}", seat.id().index());
    std::thread::Builder::new().name(name).spawn(move || {
        let result = Shard::new(seat, Arc::clone(&end_all.shared), prepared, desk).run();
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
    for (number, Listener { place, wrapping, authenticate, .. }) in (0..=u16::MAX).zip(listeners) {
        let listening = dunlin_net::bind(place, map.count())
            .map_err(|source| StartError::Bind { place: place.clone(), source })?;
        bound.places.push(listening.place);
        bound.files.extend(listening.file);
        // A listener with one socket only is some shard's; another has another's.
        let first = if listening.sockets.len() < map.count() { usize::from(number) } else { 0 };
        for (index, socket) in listening.sockets.into_iter().enumerate() {
            let shard = (first + index) % map.count();
            let wrapping = wrapping.clone();
            bound.sockets[shard].push(BoundSocket { socket, number, wrapping, authenticate: *authenticate });
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
            authentication: None,
            on_failure: || {
                FAILURES.fetch_add(1, Ordering::SeqCst);
            },
            journal: None,
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
