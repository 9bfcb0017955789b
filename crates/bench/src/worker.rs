//! The loop of a thread: one poll, its part of the connections, one buffer to read into.
//!
//! In:    actors (connections and what they are for), the phase of the run.
//! Out:   what became of them; counts for the conductor at every pass.
//! Never: waits but in the poll; writes one message at a time where several are due.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{Disconnect, Packet, Properties, ReasonCode};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock::{Clock, Nanos, nanos};
use crate::connection::{Connection, Input};
use crate::gate::{self, DUE_IN_A_PASS, Schedule};
use crate::handle::Actor;
pub(crate) use crate::handle::{Role, Stage};
use crate::histogram::Histogram;
use crate::plan::{Pace, Plan};
use crate::publisher::Template;
use crate::shared::{Phase, Shared};

const TIMER: Token = Token(usize::MAX - 1);
const EVENTS: usize = 1024;
/// Bytes of one read; a socket buffer rarely holds more.
const READ: usize = 256 << 10;
/// Reads of one connection before the others have their turn.
const READS: usize = 8;
/// How soon a change of phase is noticed.
const LOOK: Duration = Duration::from_millis(5);
/// How long the broker has to close connections that said DISCONNECT.
const FAREWELL: Duration = Duration::from_secs(5);

/// A thread of a run.
pub(crate) struct Worker {
    pub(crate) plan: Arc<Plan>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    poll: Poll,
    /// A poll's own timeout counts in milliseconds: too coarse for an open loop.
    timer: OwnedFd,
    /// The time it is set to.
    armed: Nanos,
    pub(crate) actors: Vec<Actor>,
    scratch: Vec<u8>,
    pub(crate) template: Template,
    /// Actors without a connection that want one.
    to_open: VecDeque<usize>,
    /// Handshakes under way, and how many may be.
    pub(crate) opening: usize,
    openings: usize,
    /// Publishers that can write.
    queue: VecDeque<usize>,
    /// Actors with output.
    pub(crate) dirty: Vec<usize>,
    /// Actors whose sockets were not read to their end.
    again: Vec<usize>,
    /// Publishers, in the order of an open loop.
    pub(crate) publishers: Vec<usize>,
    pub(crate) schedule: Option<Schedule>,
    /// This thread's part of the rate, 0 to 1.
    share: f64,
    /// Deliveries for each message.
    copies: u64,
    phase: Phase,
    /// Messages due within these are measured.
    pub(crate) window: (Nanos, Nanos),
    pub(crate) latency: Histogram,
    /// Of an open loop: how long after it was due a message was written.
    pub(crate) wait: Histogram,
    /// Connections that were opened.
    opened: u64,
    /// Exchanges that were completed by what is being read.
    pub(crate) acknowledged: u64,
}

/// What one thread gets.
pub(crate) struct Part {
    pub(crate) actors: Vec<Actor>,
    pub(crate) share: f64,
    pub(crate) openings: usize,
    pub(crate) copies: u64,
}

/// What one thread leaves behind.
pub(crate) struct Outcome {
    pub(crate) actors: Vec<Actor>,
    pub(crate) latency: Histogram,
    pub(crate) wait: Histogram,
}

impl Worker {
    pub(crate) fn new(plan: Arc<Plan>, shared: Arc<Shared>, clock: Clock, part: Part) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let Part { actors, share, openings, copies } = part;
        let is_storm = |actor: &Actor| matches!(actor.role, Role::Storm { .. });
        let to_open = (0..actors.len()).collect();
        let publishers = (0..actors.len()).filter(|at| matches!(actors[*at].role, Role::Publisher(_)));
        let publishers = publishers.collect();
        // A storm has an actor for each handshake.
        let openings = if actors.iter().any(is_storm) { actors.len() } else { openings.max(1) };
        let mut payload = vec![0; plan.payload];
        payload.iter_mut().zip((b'a'..=b'z').cycle()).for_each(|(byte, letter)| *byte = letter);
        let template = Template { run: plan.run, version: plan.version, qos: plan.qos, payload };
        Ok(Self {
            plan,
            shared,
            clock,
            poll,
            timer,
            armed: 0,
            actors,
            scratch: vec![0; READ],
            template,
            to_open,
            opening: 0,
            openings,
            queue: VecDeque::new(),
            dirty: Vec::new(),
            again: Vec::new(),
            publishers,
            schedule: None,
            share,
            copies,
            phase: Phase::Connect,
            window: (Nanos::MAX, Nanos::MAX),
            latency: Histogram::default(),
            wait: Histogram::default(),
            opened: 0,
            acknowledged: 0,
        })
    }

    /// Runs until the run is over.
    pub(crate) fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS);
        let mut end = Nanos::MAX;
        loop {
            let phase = self.shared.phase();
            if phase != self.phase {
                self.enter(phase);
                if phase == Phase::End {
                    end = self.clock.now() + nanos(FAREWELL);
                }
            }
            if phase == Phase::End && self.is_over(end) {
                let Self { actors, latency, wait, .. } = self;
                return Ok(Outcome { actors, latency, wait });
            }
            let is_busy = self.pump();
            self.flush();
            self.sleep(&mut events, is_busy)?;
            for event in &events {
                let at = event.token().0;
                if event.token() == TIMER {
                    continue;
                }
                if event.is_writable() {
                    self.writable(at);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(at);
                }
            }
            for at in std::mem::take(&mut self.again) {
                self.read(at);
            }
            self.flush();
        }
    }

    fn is_over(&self, end: Nanos) -> bool {
        self.actors.iter().all(|actor| actor.connection.is_none()) || self.clock.now() >= end
    }

    /// What a new phase means for each actor.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        match phase {
            Phase::Connect => {}
            Phase::Subscribe => (0..self.actors.len()).for_each(|at| self.subscribe(at)),
            Phase::Flow => {
                self.schedule = Schedule::new(&self.plan, self.share, self.clock.now());
                for at in self.publishers.clone() {
                    self.enqueue(at);
                }
            }
            Phase::Drain => {}
            Phase::End => (0..self.actors.len()).for_each(|at| self.farewell(at)),
        }
    }

    fn farewell(&mut self, at: usize) {
        let version = self.plan.version;
        let actor = &mut self.actors[at];
        let Some(connection) = &mut actor.connection else { return };
        if actor.stage == Stage::Opening {
            return self.close(at);
        }
        let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        Packet::Disconnect(disconnect).encode(version, &mut connection.out);
        // A connection that fails now has ended as well.
        let _ = connection.flush();
        connection.finish();
        actor.stage = Stage::Ending;
    }

    /// Opens connections and writes messages; true where there is more to write at once.
    fn pump(&mut self) -> bool {
        self.window = self.shared.window();
        match self.phase {
            Phase::Connect => {
                self.open_waiting();
                false
            }
            Phase::Flow => {
                let due = self.release();
                self.storm();
                match self.plan.pace {
                    Pace::Closed { burst } => self.closed(burst.into()),
                    Pace::Open { .. } => {
                        self.owed();
                        due
                    }
                }
            }
            // What was due is still sent, with the time it was due.
            Phase::Drain if self.schedule.is_some() => {
                self.owed();
                false
            }
            Phase::Subscribe | Phase::Drain | Phase::End => false,
        }
    }

    fn open_waiting(&mut self) {
        while self.opening < self.openings {
            let waits = |at: &usize| !matches!(self.actors[*at].role, Role::Storm { .. });
            let Some(at) = self.to_open.front().copied().filter(waits) else { return };
            self.to_open.pop_front();
            self.open(at, 0);
        }
    }

    /// Connects again and again.
    fn storm(&mut self) {
        // Those that fail at once are tried again in the next pass.
        for _ in 0..self.to_open.len() {
            let Some(at) = self.to_open.front().copied() else { return };
            let now = self.clock.now();
            let due = match &mut self.schedule {
                None => now,
                Some(schedule) if schedule.next() <= now => {
                    let due = schedule.next();
                    schedule.count += 1;
                    due
                }
                Some(_) => return,
            };
            self.shared.counts.due.add(1);
            self.to_open.pop_front();
            self.open(at, due);
        }
    }

    fn open(&mut self, at: usize, due: Nanos) {
        self.opened += 1;
        let opened = self.opened;
        let actor = &mut self.actors[at];
        if let Role::Storm { due: at_due, prefix } = &mut actor.role {
            *at_due = due;
            actor.client_id = format!("{prefix}{opened}");
        }
        self.opening += 1;
        actor.stage = Stage::Opening;
        match Connection::open(&self.plan, self.poll.registry(), Token(at)) {
            Ok(mut connection) => {
                actor.greet(&self.plan, &mut connection.out);
                actor.connection = Some(connection);
            }
            Err(error) => self.lose(at, &error),
        }
    }

    /// An actor without a connection waits for its next one.
    pub(crate) fn reopen(&mut self, at: usize) {
        self.to_open.push_back(at);
    }

    /// Open loop: messages become due; true where more are than one pass takes.
    fn release(&mut self) -> bool {
        let Some(schedule) = &mut self.schedule else { return false };
        if self.publishers.is_empty() {
            return false;
        }
        let now = self.clock.now();
        let mut released = 0;
        while released < DUE_IN_A_PASS && schedule.next() <= now {
            let turn = schedule.count % self.publishers.len() as u64;
            let at = self.publishers[usize::try_from(turn).unwrap_or(0)];
            schedule.count += 1;
            released += 1;
            if let Role::Publisher(publisher) = &mut self.actors[at].role {
                publisher.release();
            }
            Self::enqueue_in(&mut self.queue, &mut self.actors, at);
        }
        self.shared.counts.due.add(released as u64);
        released == DUE_IN_A_PASS
    }

    /// Open loop: publishers write what they owe, as far as their windows allow.
    fn owed(&mut self) {
        let (Some(schedule), now) = (self.schedule, self.clock.now()) else { return };
        let publishers = self.publishers.len() as u64;
        let mut sent = 0;
        while let Some(at) = self.queue.pop_front() {
            let Actor { role: Role::Publisher(publisher), connection: Some(connection), turn, .. } =
                &mut self.actors[at]
            else {
                continue;
            };
            publisher.is_queued = false;
            while publisher.room() > 0 && connection.has_room() {
                let due = schedule.due(publisher.next() * publishers + *turn);
                if !publisher.push(due, &mut self.template, &mut connection.out) {
                    break;
                }
                if due >= self.window.0 && due < self.window.1 {
                    self.wait.record(now.saturating_sub(due));
                }
                sent += 1;
            }
            self.dirty.push(at);
        }
        self.shared.counts.sent.add(sent);
    }

    /// Closed loop: each publisher that can has a turn; true where somebody wrote something.
    fn closed(&mut self, burst: u64) -> bool {
        let mut room = gate::room(&self.shared.counts, self.copies, self.plan.outstanding);
        let now = self.clock.now();
        let mut sent = 0;
        for _ in 0..self.queue.len() {
            if room == 0 {
                break;
            }
            let Some(at) = self.queue.pop_front() else { break };
            let Actor { role: Role::Publisher(publisher), connection: Some(connection), .. } =
                &mut self.actors[at]
            else {
                continue;
            };
            let batch = burst.min(room).min(publisher.room());
            let mut pushed = 0;
            while pushed < batch
                && connection.has_room()
                && publisher.push(now, &mut self.template, &mut connection.out)
            {
                pushed += 1;
            }
            room -= pushed;
            sent += pushed;
            publisher.is_queued = false;
            if pushed > 0 {
                self.dirty.push(at);
                Self::enqueue_in(&mut self.queue, &mut self.actors, at);
            }
        }
        self.shared.counts.sent.add(sent);
        sent > 0
    }

    /// A publisher that could write now gets in line.
    pub(crate) fn enqueue(&mut self, at: usize) {
        if self.phase == Phase::Flow || self.phase == Phase::Drain {
            Self::enqueue_in(&mut self.queue, &mut self.actors, at);
        }
    }

    fn enqueue_in(queue: &mut VecDeque<usize>, actors: &mut [Actor], at: usize) {
        let Actor { role: Role::Publisher(publisher), connection: Some(connection), .. } = &mut actors[at]
        else {
            return;
        };
        if !publisher.is_queued && publisher.room() > 0 && connection.has_room() {
            publisher.is_queued = true;
            queue.push_back(at);
        }
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            let Some(connection) = &mut self.actors[at].connection else { continue };
            if let Err(error) = connection.flush() {
                self.lose(at, &error);
            }
        }
        self.dirty = dirty;
    }

    /// Waits for sockets or for the next message that is due.
    fn sleep(&mut self, events: &mut Events, is_busy: bool) -> io::Result<()> {
        let mut wait = if is_busy || !self.again.is_empty() { Duration::ZERO } else { LOOK };
        let waits_for_time =
            self.phase == Phase::Flow && (!self.publishers.is_empty() || !self.to_open.is_empty());
        if let (Some(schedule), true, true) = (&self.schedule, waits_for_time, wait > Duration::ZERO) {
            let until = Duration::from_nanos(schedule.next().saturating_sub(self.clock.now()));
            if until.is_zero() {
                wait = Duration::ZERO;
            } else if until < wait && self.armed != schedule.next() {
                let value = Timespec { tv_sec: 0, tv_nsec: until.subsec_nanos().into() };
                let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
                self.armed = schedule.next();
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            }
        }
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    fn writable(&mut self, at: usize) {
        let Some(connection) = &mut self.actors[at].connection else { return };
        match connection.writable() {
            Ok(()) => self.enqueue(at),
            Err(error) => self.lose(at, &error),
        }
    }

    fn read(&mut self, at: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for turn in 0.. {
            if turn == READS {
                self.again.push(at);
                break;
            }
            let Some(connection) = &mut self.actors[at].connection else { break };
            match connection.read(&mut scratch) {
                Ok(Input::Bytes { length, more }) => {
                    // Whoever sent this may know of a later beginning or end than this thread did.
                    self.window = self.shared.window();
                    let now = self.clock.now();
                    if let Err(error) = self.take(at, &scratch[..length], now) {
                        self.lose(at, &error);
                        break;
                    }
                    if !more {
                        break;
                    }
                }
                Ok(Input::Nothing) => break,
                Ok(Input::Closed) => {
                    self.closed_by_peer(at);
                    break;
                }
                Err(error) => {
                    self.lose(at, &error);
                    break;
                }
            }
        }
        self.scratch = scratch;
    }
}
