//! Finding out who Clients are: off the shards' threads, where it may take its time.
//!
//! In:    questions of engines; the authenticator of whoever started the Server.
//! Out:   answers, through the inbox of the shard that asked.
//! Never: a wait in a shard, nor more questions waiting than the bound: whoever comes beyond it is told to come back.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dunlin_engine::{ConnectionId, Credentials, Outcome, ShardId};

use crate::questions::{Origin, Questions};
use crate::shard::{Shard, Shared};

/// Whoever knows the Clients.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Finds out who this is. It may wait: the thread is one of [`Authentication::workers`]; or it may take the answer to
    /// another thread and return.
    fn authenticate(&self, credentials: Credentials, answer: Answer);
}

/// Where a Server finds out who its Clients are.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// Whoever knows them.
    pub authenticator: Arc<dyn Authenticator>,
    /// Threads that ask it. An argon2id takes one for some ten milliseconds.
    pub workers: NonZeroUsize,
    /// Questions that wait for a thread, by turns of their addresses; beyond it a Client of the address with the most is refused
    /// with 0x89 Server busy. A reconnecting fleet waits for less
    /// than its time to connect: some hundred questions for each thread that takes ten milliseconds.
    pub waiting_maximum: usize,
}

/// The place for the answer to one question. Dropped without one, it is a refusal.
pub struct Answer {
    shared: Arc<Shared>,
    shard: ShardId,
    connection: ConnectionId,
    given: bool,
}

impl Answer {
    /// Says who it is, or that it is nobody.
    pub fn give(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Outcome) {
        self.given = true;
        self.shared.post.answer(self.shard, self.connection, outcome);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            self.send(Outcome::unavailable("no answer was given"));
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Answer").field("shard", &self.shard).field("connection", &self.connection).finish()
    }
}

/// The questions that wait, and the threads that take them.
#[derive(Debug)]
pub(crate) struct Pool {
    options: Authentication,
    waiting: Mutex<Waiting>,
    come: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    questions: Questions<Question>,
    closed: bool,
}

#[derive(Debug)]
struct Question {
    shard: ShardId,
    connection: ConnectionId,
    credentials: Credentials,
}

impl Pool {
    pub(crate) fn new(options: Authentication) -> Self {
        Self { options, waiting: Mutex::default(), come: Condvar::new() }
    }

    /// Leaves a question; whose Client is to come back where too many wait.
    #[must_use]
    pub(crate) fn ask(
        &self,
        shard: ShardId,
        connection: ConnectionId,
        credentials: Credentials,
    ) -> Option<(ShardId, ConnectionId)> {
        let origin = Origin::of(credentials.peer.address.map(|address| address.ip()));
        let question = Question { shard, connection, credentials };
        let out = self.waiting().questions.push(origin, question, self.options.waiting_maximum);
        self.come.notify_one();
        out.map(|question| (question.shard, question.connection))
    }

    /// The next question; `None` when the Server ends.
    fn next(&self) -> Option<Question> {
        let waiting = self.waiting();
        let is_idle = |waiting: &mut Waiting| waiting.questions.is_empty() && !waiting.closed;
        let mut waiting = self.come.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.closed { None } else { waiting.questions.pop() }
    }

    /// Nobody waits for answers any more: each thread ends after the question it is at.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.questions.clear();
        drop(waiting);
        self.come.notify_all();
    }

    /// A push or a pop cannot panic half-way: the queue behind a poisoned lock is whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the threads. Nobody waits for their end: one may be in the middle of a question that takes long.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let Some(pool) = &shared.pool else { return Ok(()) };
    for number in 0..pool.options.workers.get() {
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name(format!("dunlin-auth-{number}")).spawn(move || work(&shared))?;
    }
    Ok(())
}

fn work(shared: &Arc<Shared>) {
    let Some(pool) = &shared.pool else { return };
    while let Some(Question { shard, connection, credentials }) = pool.next() {
        let answer = Answer { shared: Arc::clone(shared), shard, connection, given: false };
        pool.options.authenticator.authenticate(credentials, answer);
    }
}

impl Shard {
    /// Has somebody find out who this is.
    pub(crate) fn ask(&self, id: ConnectionId, mut credentials: Credentials) {
        let Some(pool) = &self.shared.pool else {
            unreachable!("a listener that asks is started with somebody who answers")
        };
        if let Some(connection) = self.connections.peek_open(id) {
            let shown = connection.transport.peer_certificates().unwrap_or_default();
            credentials.certificates = shown.iter().map(|certificate| certificate.to_vec()).collect();
        }
        if let Some((shard, connection)) = pool.ask(self.id(), id, credentials) {
            // By the inbox, as every answer.
            self.shared.post.answer(shard, connection, Outcome::busy("too many wait to be recognised"));
        }
    }
}
