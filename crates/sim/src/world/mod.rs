//! The simulated world: shards, mail between them, sockets, clients, time.
//!
//! In:    a seed.
//! Out:   the first broken rule, or what happened.
//! Never: threads, clocks, anything that differs between two runs of a seed.

mod acks;
mod actor;
mod acts;
mod carry;
mod connect;
mod disk;
mod guard;
mod hostile;
mod journal;
mod link;
mod phases;
mod publish;
mod receive;
mod shard;
mod socket;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use dunlin_engine::{Counters, Effects, Engine, Policy, ShardId, ShardMap, Time};

use self::actor::Actor;
use self::disk::Disk;
use self::link::Link;
use self::shard::{Lane, Shard};
use crate::model::{Broken, Model, Moment, ensure};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::{Options, Summary};

/// Steps after which a run is considered to go round in circles; an ordinary one takes some ten thousand.
const STEPS_MAX: u64 = 3_000_000;

/// Something planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// Bytes of a client arrive.
    Arrive(usize),
    /// A client reads.
    Read(usize),
    /// A connection is offered its bytes again.
    Offer(usize),
    /// A client's end reaches the Server.
    End(usize),
    /// The Server gives up what it could not write before closing.
    Linger(usize),
    /// A client sends acknowledgements.
    Ack(usize),
    /// A client does something.
    Act(usize),
    /// A client that fell silent should be gone.
    Silence(usize),
    /// A shard writes output and sends mail.
    Flush(usize),
    /// Mail arrives: from, to.
    Mail(usize, usize),
    /// An engine's deadline.
    Timer(usize),
    /// It is known who a link is.
    Answer(usize),
    /// Somebody's rights change.
    Rights,
    /// A shard looks at the log.
    Write(usize),
    /// The log begins a commit, or goes on with one.
    Commit,
    /// The log keeps house.
    Chore,
    /// The log has had nothing to do.
    Idle,
    /// The disk fills.
    Fill,
    /// There is room on the disk again.
    Room,
    /// Records for a shard are read.
    ReadBack(usize),
    /// The process ends.
    Crash,
    /// The power goes soon.
    CutPower,
}

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Clients do what they like.
    Run,
    /// Everyone connects, reads and acknowledges; nobody begins anything.
    Drain,
    /// A new client looks at what is retained.
    Probe,
    /// Everyone leaves.
    End,
}

/// Everything.
pub(crate) struct World {
    rng: Rng,
    pub(crate) trace: Trace,
    scenario: Scenario,
    now: Time,
    step: u64,
    queue: BinaryHeap<Reverse<(Time, u64, u64, Action)>>,
    planned: u64,
    shards: Vec<Shard>,
    lanes: Vec<Lane>,
    links: Vec<Link>,
    actors: Vec<Actor>,
    model: Model,
    phase: Phase,
    /// Retained messages that the newcomer got, by topic.
    seen: BTreeMap<usize, Vec<usize>>,
    summary: Summary,
    /// Of each actor, where the Server asks.
    policies: Vec<Arc<dyn Policy>>,
    disk: Option<Disk>,
    /// What engines counted that are no more.
    counted: Counters,
    /// The model before a CONNECT that may be refused for want of room: at which step, and on which link.
    before: Option<(u64, usize, Box<Model>)>,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options, lines: usize) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::new(seed, &mut rng, options);
        let map = ShardMap::new(scenario.shards).unwrap_or_else(|| unreachable!("at most four shards"));
        let shards: Vec<Shard> = map
            .iter()
            .map(|shard| {
                let engine = Engine::new(
                    shard,
                    map,
                    scenario.settings.clone(),
                    rng.word(),
                    scenario.journal.is_some(),
                );
                Shard::new(engine, Effects::new(map))
            })
            .collect();
        let lanes = (0..scenario.shards * scenario.shards).map(|_| Lane::default()).collect();
        let mut trace = Trace::new(lines);
        trace.note(&[], || format!("{scenario:?}"));
        let mut world = Self {
            model: Model::new(scenario.rules),
            rng,
            trace,
            now: Time::ZERO,
            step: 0,
            queue: BinaryHeap::new(),
            planned: 0,
            shards,
            lanes,
            links: Vec::new(),
            actors: Vec::new(),
            phase: Phase::Run,
            seen: BTreeMap::new(),
            summary: Summary::default(),
            policies: Vec::new(),
            disk: scenario
                .journal
                .map(|plan| Disk::new(seed, &plan, scenario.settings.syncs(), scenario.shards)),
            counted: Counters::default(),
            before: None,
            scenario,
        };
        world.people();
        world.plan_crashes();
        world
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) -> Result<Summary, Broken> {
        self.live()?;
        self.drain()?;
        self.probe()?;
        self.end()?;
        self.summary.steps = self.step;
        self.summary.simulated = self.now.since(Time::ZERO);
        self.summary.trace_hash = self.trace.hash();
        Ok(self.summary.clone())
    }

    fn plan(&mut self, micros: usize, action: Action) {
        self.plan_at(self.now.after(Duration::from_micros(micros as u64)), action);
    }

    /// Things planned for the same time happen in random order.
    fn plan_at(&mut self, at: Time, action: Action) {
        self.planned += 1;
        let order = self.rng.word();
        self.queue.push(Reverse((at, order, self.planned, action)));
    }

    /// Carries out what is planned up to `until`; false where nothing was left to do.
    fn advance(&mut self, until: Time) -> Result<bool, Broken> {
        while let Some(Reverse((at, _, _, action))) = self.queue.peek().copied() {
            if at > until {
                self.now = self.now.max(until);
                return Ok(true);
            }
            self.queue.pop();
            self.now = self.now.max(at);
            self.begin_step();
            ensure(self.step < STEPS_MAX, "the run goes round in circles", || format!("at {action:?}"))?;
            self.perform(action)?;
        }
        self.now = self.now.max(until);
        Ok(false)
    }

    fn begin_step(&mut self) {
        self.step += 1;
        self.trace.now = self.now;
        let quiet = self.is_routed();
        self.model.begin_step(Moment { step: self.step, time: self.now }, quiet);
        if quiet && self.is_stored() {
            self.model.all_stored();
        }
    }

    /// No mail anywhere, and no engine has anything overdue?
    fn is_routed(&self) -> bool {
        self.lanes.iter().all(|lane| lane.bags.is_empty())
            && self.shards.iter().all(|shard| {
                shard.effects.mail.receivers().next().is_none()
                    && shard.engine.next_deadline().is_none_or(|deadline| deadline > self.now)
            })
    }

    fn perform(&mut self, action: Action) -> Result<(), Broken> {
        self.carry_out(action)?;
        if self.power_is_off() { self.crash() } else { Ok(()) }
    }

    fn carry_out(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Arrive(link) => self.arrive(link),
            Action::Read(link) => self.client_reads(link),
            Action::Offer(link) => self.offer(link),
            Action::End(link) => self.end_arrives(link),
            Action::Linger(link) => self.linger_over(link),
            Action::Ack(link) => self.send_acks(link),
            Action::Act(actor) => self.act(actor),
            Action::Silence(link) => self.check_silence(link),
            Action::Flush(shard) => self.flush(shard),
            Action::Mail(from, to) => self.deliver_mail(from, to),
            Action::Answer(link) => self.answer(link),
            Action::Rights => self.change_rights(),
            Action::Write(shard) => self.look_at_log(shard),
            Action::Chore => self.do_chore(),
            Action::ReadBack(shard) => self.read_back(shard),
            Action::Crash => self.crash(),
            Action::Commit | Action::Idle | Action::Fill | Action::Room | Action::CutPower => {
                self.happen_to_disk(action);
                Ok(())
            }
            Action::Timer(shard) => {
                if self.shards[shard].timer.is_some_and(|at| at <= self.now) {
                    self.shards[shard].timer = None;
                }
                self.run_timers(shard)?;
                self.plan_timer(shard);
                Ok(())
            }
        }
    }

    fn happen_to_disk(&mut self, action: Action) {
        match action {
            Action::Commit => self.commit(),
            Action::Idle => self.idle_log(),
            Action::Fill => self.fill_disk(),
            Action::Room => self.empty_disk(),
            _ => self.cut_power(),
        }
    }
}

fn shard_id(index: usize) -> ShardId {
    ShardId::new(index).unwrap_or(ShardId::FIRST)
}
