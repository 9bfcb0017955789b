//! The threads of a run, and the steps they take together.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::handle::Actor;
use crate::plan::Plan;
use crate::run::{BenchError, Progress};
use crate::shared::{Counts, Phase, Shared};
use crate::worker::{Outcome, Part, Role, Worker};

/// How often the conductor looks.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// How long connections or subscriptions may make no progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Threads at work.
pub(crate) struct Crew {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    threads: Vec<JoinHandle<io::Result<Outcome>>>,
    connections: u64,
}

/// Which messages the conductor waits for.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Progress);

impl Crew {
    /// Starts the threads with a part of the actors each.
    pub(crate) fn start(plan: &Arc<Plan>, actors: Vec<Actor>, copies: u64) -> Result<Self, BenchError> {
        let threads = plan.threads.min(actors.len()).max(1);
        let clock = Clock::start();
        let shared = Arc::new(Shared::new());
        let is_source = |actor: &Actor| matches!(actor.role, Role::Publisher(_) | Role::Storm { .. });
        let is_storm = |actor: &Actor| matches!(actor.role, Role::Storm { .. });
        let sources = actors.iter().filter(|actor| is_source(actor)).count().max(1);
        let connections = actors.iter().filter(|actor| !is_storm(actor)).count() as u64;
        let mut parts: Vec<Vec<Actor>> = (0..threads).map(|_| Vec::new()).collect();
        for (at, actor) in actors.into_iter().enumerate() {
            parts[at % threads].push(actor);
        }
        let mut handles = Vec::new();
        for mut actors in parts {
            let mut turn = 0;
            for actor in actors.iter_mut().filter(|actor| is_source(actor)) {
                actor.turn = turn;
                turn += 1;
            }
            #[allow(clippy::cast_precision_loss, reason = "a share")]
            let share = turn as f64 / sources as f64;
            let openings = plan.connecting.div_ceil(threads);
            let part = Part { actors, share, openings, copies };
            let worker =
                Worker::new(plan.clone(), shared.clone(), clock, part).map_err(BenchError::Thread)?;
            let conductor = thread::current();
            handles.push(thread::spawn(move || {
                let outcome = worker.run();
                conductor.unpark();
                outcome
            }));
        }
        Ok(Self { shared, clock, threads: handles, connections })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Waits until everybody is connected.
    pub(crate) fn connect(&self, watch: Watch<'_>) -> Result<(), BenchError> {
        let failed = |made, reason| BenchError::Connect { made, wanted: self.connections, reason };
        self.reach("connecting", self.connections, &|counts| counts.connected.get(), watch)
            .map_err(|(made, reason)| failed(made, reason))
    }

    /// Makes all subscriptions: that many filters.
    pub(crate) fn subscribe(&self, filters: u64, watch: Watch<'_>) -> Result<(), BenchError> {
        self.shared.enter(Phase::Subscribe);
        let failed = |made, reason| BenchError::Subscribe { made, wanted: filters, reason };
        self.reach("subscribing", filters, &|counts| counts.subscribed.get(), watch)
            .map_err(|(made, reason)| failed(made, reason))
    }

    /// Waits until a count has reached a number; otherwise how far it came, and why no further.
    fn reach(
        &self,
        step: &'static str,
        wanted: u64,
        count: &dyn Fn(&Counts) -> u64,
        watch: Watch<'_>,
    ) -> Result<(), (u64, String)> {
        let mut last = (0, self.clock.now());
        loop {
            let (made, now) = (count(self.counts()), self.clock.now());
            if made >= wanted {
                return Ok(());
            }
            if made > last.0 {
                last = (made, now);
            }
            if self.counts().disconnected.get() > 0 || self.is_broken() {
                let errors = self.shared.errors().join("; ");
                return Err((made, errors));
            }
            if now - last.1 > nanos(PATIENCE) {
                return Err((made, format!("nothing happens for {} s", PATIENCE.as_secs())));
            }
            watch(Progress { step, done: share(made, wanted), rate: None });
            Self::pause(TICK);
        }
    }

    /// Lets time pass, less where a thread ends: the conductor only looks at counts, so that an early look does no harm.
    pub(crate) fn pause(time: Duration) {
        thread::park_timeout(time);
    }

    /// Has a thread failed?
    pub(crate) fn is_broken(&self) -> bool {
        self.shared.phase() != Phase::End && self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends everything, and returns what every thread has.
    pub(crate) fn finish(mut self) -> Result<Vec<Outcome>, BenchError> {
        self.shared.enter(Phase::End);
        let mut outcomes = Vec::new();
        for handle in std::mem::take(&mut self.threads) {
            let outcome = handle.join().map_err(|_| io::Error::other("a thread of the generator failed"));
            outcomes.push(outcome.and_then(|outcome| outcome).map_err(BenchError::Thread)?);
        }
        Ok(outcomes)
    }
}

impl Drop for Crew {
    /// Threads of a run that failed end by themselves.
    fn drop(&mut self) {
        self.shared.enter(Phase::End);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn share(done: u64, of: u64) -> f64 {
    if of == 0 { 1.0 } else { (done as f64 / of as f64).min(1.0) }
}
