//! The loop of a shard: one thread, one poll, one engine, and the connections that belong to it.
//!
//! In:    readiness of sockets, mail of other shards, time.
//! Out:   events for the engine; what the engine wants, done.
//! Never: waits but in the poll; touches what belongs to another shard, except through the post.
//!
//! A tick takes a share of everything that is there, then writes once to each connection that got something. What is left
//! over is for the next tick, which then does not sleep.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dunlin_engine::{ConnectionId, Effects, Engine, Event, ShardId, ShardSet, Time};
use dunlin_net::Workspace;
use mio::{Events, Poll, Token, Waker};

use crate::accept::{Acceptor, BoundSocket, Spare};
use crate::admissions::Admissions;
use crate::arrivals::Arrivals;
use crate::authentication::Pool;
use crate::clock;
use crate::connections::{Connection, Connections};
use crate::counters::{Snapshot, Timing, Traffic};
use crate::input::InputPool;
use crate::journal::{Log, Part};
use crate::librarian::Request;
use crate::linger::Linger;
use crate::memory::Gauge;
use crate::notices::Notices;
use crate::post::{Arrival, Item, Post, Visit};
use crate::reading::SCRATCH;
use crate::recovery::Prepared;

/// The waker's token. Connections have their slot, which is below 2^32 (and, on machines of 32 bits, below 2^31).
const WAKER: Token = Token(usize::MAX);
/// The first listener's token; those of the others follow.
const LISTENERS: usize = usize::MAX - 1 - u16::MAX as usize;
/// Sockets that one poll reports.
const EVENTS: usize = 1024;
/// Weight of the mail that is taken in one tick: as with reading, output must leave in between.
const MAIL_BUDGET: usize = 1024 * 1024;
/// Rounds of mail to itself in one tick.
const OWN_MAIL_ROUNDS: usize = 8;
/// Longest that deadlines wait for input to be read.
const TIMERS_WAIT: Duration = Duration::from_secs(1);
/// How often counters are published while something happens.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// For connections to be closed in good order when the process ends.
const SHUT_DOWN_TIME: Duration = Duration::from_secs(2);

/// What the shards of a process have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) post: Post,
    pub(crate) admissions: Admissions,
    /// What is left of the memory that the process may have.
    pub(crate) gauge: Gauge,
    pub(crate) snapshots: Box<[Snapshot]>,
    /// Where what happens is kept; empty where nothing is.
    pub(crate) log: OnceLock<Log>,
    /// Of each listener, in the order of the options: nobody is let in unasked.
    pub(crate) asking: Box<[bool]>,
    /// Where a listener asks who its Clients are.
    pub(crate) pool: Option<Pool>,
}

/// What a shard needs of the operating system, taken before its thread starts: what fails, fails the start.
#[derive(Debug)]
pub(crate) struct Seat {
    id: ShardId,
    poll: Poll,
    acceptors: Vec<Acceptor>,
    spare: Spare,
}

impl Seat {
    /// The seat, and the waker for its inbox.
    pub(crate) fn new(id: ShardId, sockets: Vec<BoundSocket>) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut acceptors = Vec::with_capacity(sockets.len());
        for (index, socket) in sockets.into_iter().enumerate() {
            acceptors.push(Acceptor::new(socket, poll.registry(), Token(LISTENERS + index))?);
        }
        Ok((Self { id, poll, acceptors, spare: Spare::new() }, waker))
    }

    pub(crate) const fn id(&self) -> ShardId {
        self.id
    }
}

/// A shard on its thread.
pub(crate) struct Shard {
    id: ShardId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) poll: Poll,
    events: Events,
    /// When the tick began.
    pub(crate) now: Time,
    /// The last poll reported all that was ready.
    looked_at_all: bool,
    /// When last nothing was left to be read.
    read_all: Time,
    pub(crate) engine: Engine,
    pub(crate) effects: Effects,
    pub(crate) acceptors: Vec<Acceptor>,
    pub(crate) spare: Spare,
    pub(crate) connections: Connections,
    /// To be read, or discarded.
    pub(crate) ready: VecDeque<u32>,
    pub(crate) scratch: Box<[u8]>,
    pub(crate) pool: InputPool,
    pub(crate) work: Workspace,
    /// To be written to.
    pub(crate) dirty: Vec<ConnectionId>,
    pub(crate) linger: Linger,
    pub(crate) arrivals: Arrivals,
    /// Taken from the inbox, not handled yet.
    items: VecDeque<Item>,
    pub(crate) part: Part,
    /// Where to ask for records.
    pub(crate) desk: Sender<Request>,
    pub(crate) notices: Notices,
    pub(crate) traffic: Traffic,
    pub(crate) timing: Timing,
    /// When the oldest message was read that this tick may write: as a rule when it began, but mail is older.
    oldest: Time,
    /// What had been written to Clients when the tick began.
    written: u64,
    /// When mail for a shard began to collect.
    collected: Box<[Option<Time>]>,
    /// What it last learned from the gauge.
    pub(crate) memory_seen: u64,
    /// The engine had an event since the counters were published.
    pub(crate) touched: bool,
    published: Time,
    /// Set while the process ends: when connections that are left will be cut.
    pub(crate) stopping: Option<Time>,
    stopped: bool,
}

impl Shard {
    pub(crate) fn new(seat: Seat, shared: Arc<Shared>, prepared: Prepared, desk: Sender<Request>) -> Self {
        let Seat { id, poll, acceptors, spare } = seat;
        let Prepared { engine, effects } = prepared;
        let collected = vec![None; shared.snapshots.len()].into_boxed_slice();
        Self {
            id,
            shared,
            poll,
            events: Events::with_capacity(EVENTS),
            now: clock::now(),
            looked_at_all: true,
            read_all: clock::now(),
            engine,
            effects,
            acceptors,
            spare,
            connections: Connections::default(),
            ready: VecDeque::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            pool: InputPool::default(),
            work: Workspace::default(),
            dirty: Vec::new(),
            linger: Linger::default(),
            arrivals: Arrivals::default(),
            items: VecDeque::new(),
            part: Part::default(),
            desk,
            notices: Notices::default(),
            traffic: Traffic::default(),
            timing: Timing::default(),
            oldest: Time::ZERO,
            written: 0,
            collected,
            memory_seen: 0,
            touched: false,
            published: Time::ZERO,
            stopping: None,
            stopped: false,
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// Where the poll fails, which the kernel does to no poll that is used rightly.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while !self.stopped {
            self.sleep()?;
            self.now = clock::now();
            self.oldest = self.now;
            self.look();
            self.look_at_memory();
            self.accept_ready();
            self.read_ready();
            self.take_items();
            self.fire_timer();
            self.take_own_mail();
            self.turn_journal();
            // Mail first: whoever reads an acknowledgement finds that the message has reached the other shards.
            self.send_mail();
            self.flush();
            self.end_tick();
            self.time_tick();
        }
        self.finish_journal();
        self.publish();
        Ok(())
    }

    pub(crate) const fn id(&self) -> ShardId {
        self.id
    }

    /// Gives the engine an event and does what it wants done.
    pub(crate) fn handle(&mut self, event: Event<'_>) {
        self.touched = true;
        self.engine.handle(self.now, event, &mut self.effects);
        self.perform();
    }

    /// Waits until there is something to do.
    fn sleep(&mut self) -> io::Result<()> {
        let inbox = self.shared.post.inbox(self.id);
        let timeout = if self.has_work() || !inbox.fall_asleep() {
            Some(Duration::ZERO)
        } else {
            self.next_deadline().map(|deadline| deadline.since(clock::now()))
        };
        let mut result = self.poll.poll(&mut self.events, timeout);
        // After a signal, or when the process was stopped for a while: what is ready must be known before deadlines are looked at.
        while result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            result = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        }
        inbox.wake_up();
        result
    }

    /// Was something left over by the last tick?
    fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.dirty.is_empty()
            || !self.items.is_empty()
            || self.acceptors.iter().any(Acceptor::is_ready)
            || self.effects.mail.receivers().any(|to| to == self.id || self.shared.post.may_send(self.id, to))
    }

    fn next_deadline(&self) -> Option<Time> {
        let publish = (self.touched || self.notices.owes()).then(|| self.published.after(PUBLISH_EVERY));
        let accept = self.acceptors.iter().filter_map(Acceptor::deadline);
        let waiting = [self.linger.next_deadline(), self.arrivals.next_deadline()];
        [
            self.engine.next_deadline(),
            self.engine.write_deadline(),
            publish,
            self.memory_deadline(),
            self.stopping,
        ]
        .into_iter()
        .chain(waiting)
        .flatten()
        .chain(accept)
        .min()
    }

    /// Sorts what the poll reported into the queues of the tick.
    fn look(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut count = 0;
        for event in &events {
            count += 1;
            match event.token() {
                WAKER => {}
                Token(token) if token >= LISTENERS => {
                    if let Some(acceptor) = self.acceptors.get_mut(token - LISTENERS) {
                        acceptor.set_ready();
                    }
                }
                Token(index) => self.look_at(index, event),
            }
        }
        self.looked_at_all = count < EVENTS;
        self.events = events;
    }

    fn look_at(&mut self, index: usize, event: &mio::event::Event) {
        let Ok(index) = u32::try_from(index) else { return };
        let Some((id, connection)) = self.connections.get(index) else { return };
        connection.ended |= event.is_read_closed();
        if connection.blocked && (event.is_writable() || event.is_error()) {
            connection.blocked = false;
            self.dirty.push(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            self.queue(index);
        }
    }

    /// Handles what came from other threads.
    fn take_items(&mut self) {
        self.shared.post.drain(self.id, &mut self.items);
        let mut budget = MAIL_BUDGET;
        while budget > 0 {
            let Some(item) = self.items.pop_front() else { return };
            match item {
                Item::Bag { from, mut bag, weight, since } => {
                    self.oldest = self.oldest.min(since);
                    self.handle(Event::Mail { from, bag: &mut bag });
                    self.effects.mail.recycle(bag);
                    self.shared.post.bag_handled(from, self.id, weight);
                    budget = budget.saturating_sub(weight);
                }
                Item::Arrival(arrival) => self.welcome(*arrival),
                Item::Read { token, records } => self.handle(Event::Read { token, records: &records }),
                Item::Checkpointed { partition, upto } => self.checkpointed(partition, upto),
                Item::Authenticated { connection, outcome } => {
                    self.handle(Event::Authenticated { connection, outcome });
                }
                Item::Visit(Visit(visit)) => {
                    self.touched = true;
                    visit(&mut self.engine, self.now, &mut self.effects);
                    self.perform();
                }
                Item::Publish { topic, payload } => {
                    self.handle(Event::Publish { topic: &topic, payload: &payload });
                }
                Item::Review(authority) => self.handle(Event::PolicyChanged(authority)),
                Item::Reconfigure(settings) => self.handle(Event::Reconfigured(settings)),
                #[cfg(feature = "simulated")]
                Item::Speak(slots) => self.hear(slots),
                Item::ShutDown => self.shut_down(),
                Item::Stop => self.stopped = true,
            }
        }
    }

    /// Takes in a connection that another shard handed over.
    fn welcome(&mut self, arrival: Arrival) {
        let Arrival { transport, peer, counted, input, pledge } = arrival;
        let mut connection = Connection::new(transport, peer, counted);
        connection.input = input;
        if self.stopping.is_some() {
            self.shared.admissions.release(peer.listener, peer.address, counted);
        } else if let Some(index) = self.open(connection, pledge)
            && self.connections.get(index).is_some_and(|(_, connection)| connection.is_open())
        {
            self.offer(index);
        }
    }

    fn shut_down(&mut self) {
        if self.stopping.is_none() {
            self.stopping = Some(self.now.after(SHUT_DOWN_TIME));
            self.acceptors.clear();
            self.drop_arrivals();
            self.handle(Event::Shutdown);
        }
    }

    /// Deadlines are looked at when all that had come was read: a Client whose packets wait to be read is not silent. Under load
    /// that lasts, now and then all the same.
    fn fire_timer(&mut self) {
        let has_read_all = self.ready.is_empty() && self.looked_at_all;
        if has_read_all {
            self.read_all = self.now;
        } else if self.now.since(self.read_all) < TIMERS_WAIT {
            return;
        }
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.handle(Event::Timer);
        }
    }

    /// Handles what the engine sent to its own shard.
    fn take_own_mail(&mut self) {
        for _ in 0..OWN_MAIL_ROUNDS {
            if !self.effects.mail.receivers().any(|to| to == self.id) {
                return;
            }
            let mut bag = self.effects.mail.take(self.id);
            self.handle(Event::Mail { from: self.id, bag: &mut bag });
            self.effects.mail.recycle(bag);
            self.handle(Event::MailTaken { to: self.id });
        }
    }

    /// Sends a bag to every shard that there is mail and credit for.
    fn send_mail(&mut self) {
        let mut receivers = ShardSet::EMPTY;
        for to in self.effects.mail.receivers().filter(|to| *to != self.id) {
            receivers.insert(to);
        }
        for to in receivers.iter() {
            let since = *self.collected[to.index()].get_or_insert(self.now);
            if self.shared.post.may_send(self.id, to) {
                self.collected[to.index()] = None;
                let bag = self.effects.mail.take(to);
                self.shared.post.send_bag(self.id, to, bag, since);
                self.handle(Event::MailTaken { to });
            }
        }
    }

    fn end_tick(&mut self) {
        self.give_up_lingering();
        self.give_up_arrivals();
        self.effects.outbox.take_dirty(&mut self.dirty);
        self.connections.end_tick();
        if (self.touched || self.notices.owes()) && self.now.since(self.published) >= PUBLISH_EVERY {
            self.publish();
            self.notices.end_windows(self.now);
        }
        if let Some(deadline) = self.stopping {
            self.stopped |= self.now >= deadline || self.connections.count() == 0;
        }
    }

    /// One look at the clock is all that timing costs a tick.
    fn time_tick(&mut self) {
        let end = clock::now();
        let took = end.since(self.now);
        self.timing.busy += took;
        self.timing.tick.record(took);
        let written = self.engine.publish_sent();
        if written != self.written {
            self.timing.deliver.record_many(end.since(self.oldest), written - self.written);
            self.written = written;
        }
    }

    fn publish(&mut self) {
        self.published = self.now;
        self.traffic.output_bytes = self.effects.outbox.copied() as u64;
        let counters = self.engine.counters();
        self.shared.snapshots[self.id.index()].publish(counters, self.traffic, &self.timing);
        // Until all Sessions have been looked at.
        self.touched = self.engine.is_counting();
    }
}
