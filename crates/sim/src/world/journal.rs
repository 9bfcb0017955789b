//! The journal of the simulated Server, and the end of its process: everything at once, at any step.

use std::cmp::Reverse;
use std::time::Duration;

use dunlin_engine::{Counters, Effects, Engine, Event, JournalBatch, ShardMap};

use super::shard::{Lane, Shard};
use super::{Action, Phase, World, shard_id};
use crate::model::{Broken, ensure};

impl World {
    /// When the process will end.
    pub(super) fn plan_crashes(&mut self) {
        let Some(plan) = self.scenario.journal else { return };
        let last = usize::try_from(self.scenario.duration.as_micros()).unwrap_or(usize::MAX);
        for _ in 0..plan.crashes {
            // Some of them while everything drains.
            let micros = self.rng.below(last + last / 10);
            self.plan(micros, Action::Crash);
        }
    }

    /// Is everything stored that happened?
    pub(super) fn is_stored(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            disk.is_idle() && self.shards.iter().all(|shard| shard.engine.write_deadline().is_none())
        })
    }

    /// Something that the disk takes its time for.
    pub(super) fn plan_sync(&mut self, action: Action) {
        let longest = self.scenario.journal.map_or(0, |journal| journal.sync);
        let slow = if self.rng.percent(3) { 3 } else { 1 };
        let delay = self.rng.below(longest + 1) * slow;
        self.plan(delay, action);
    }

    /// Plans a batch where there is something to be written and nothing being stored.
    pub(super) fn plan_write(&mut self, shard: usize) {
        if self.disk.as_ref().is_none_or(|disk| disk.is_busy(shard)) {
            return;
        }
        let state = &mut self.shards[shard];
        let Some(at) = state.engine.write_deadline().map(|at| at.max(self.now)) else { return };
        if state.write.is_none_or(|planned| planned > at) {
            state.write = Some(at);
            self.plan_at(at, Action::Write(shard));
        }
    }

    pub(super) fn write_journal(&mut self, shard: usize) -> Result<(), Broken> {
        self.shards[shard].write = None;
        self.run_timers(shard)?;
        let (state, Some(disk)) = (&mut self.shards[shard], &mut self.disk) else { return Ok(()) };
        if disk.is_busy(shard) || state.engine.write_deadline().is_none_or(|at| at > self.now) {
            self.plan_write(shard);
            return Ok(());
        }
        let mut batch = JournalBatch::default();
        state.engine.write(self.now, &mut batch);
        self.trace.note(&[50, shard, batch.records.len(), batch.bytes.len()], || {
            format!("shard {shard}: writes {} records, {} bytes", batch.records.len(), batch.bytes.len())
        });
        disk.append(shard, batch);
        self.plan_sync(Action::Store(shard));
        Ok(())
    }

    pub(super) fn store_journal(&mut self, shard: usize) -> Result<(), Broken> {
        if let Some(disk) = &mut self.disk {
            disk.store(shard);
        }
        self.trace.note(&[51, shard], || format!("shard {shard}: its batch is stored"));
        self.tell(shard, Event::Stored { relief_only: false })
    }

    pub(super) fn read_back(&mut self, shard: usize) -> Result<(), Broken> {
        let (Some((token, partition, wanted)), Some(disk)) =
            (self.shards[shard].reads.pop_front(), &self.disk)
        else {
            return Ok(());
        };
        let records: Vec<_> =
            wanted.into_iter().map(|(seq, number)| (seq, disk.read(partition, number))).collect();
        let lost = records.iter().any(|(_, bytes)| bytes.is_none());
        ensure(!lost, "a record that is needed is gone", || format!("shard {shard}, partition {partition}"))?;
        self.trace.note(&[52, shard, records.len()], || {
            format!("shard {shard}: reads {} records of partition {partition}", records.len())
        });
        self.tell(shard, Event::Read { token, records: &records })
    }

    /// The process is gone, and with it whatever was not stored. Another begins.
    pub(super) fn crash(&mut self) -> Result<(), Broken> {
        let Some(plan) = self.scenario.journal.filter(|_| matches!(self.phase, Phase::Run | Phase::Drain))
        else {
            return Ok(());
        };
        let restart = self.now.after(Duration::from_millis(self.rng.below(plan.outage + 1) as u64));
        let shards = if self.rng.percent(50) { self.rng.between(1, 4) } else { self.shards.len() };
        self.trace.note(&[53, shards], || {
            format!("the process ends; another with {shards} shards begins at {restart:?}")
        });
        self.summary.crashes += 1;
        self.keep_counters();
        for link in 0..self.links.len() {
            self.cut_by_crash(link);
        }
        self.model.crash(restart);
        self.forget_plans();
        self.now = restart;
        self.begin_step();
        self.restart(shards)
    }

    fn keep_counters(&mut self) {
        for shard in &mut self.shards {
            let counters = shard.engine.counters();
            for (sum, count) in self.counted.dropped.iter_mut().zip(counters.dropped) {
                *sum += count;
            }
        }
        self.counted = Counters { dropped: self.counted.dropped, ..Counters::default() };
    }

    /// A connection of a process that is gone: what the client has not read it will not read.
    fn cut_by_crash(&mut self, link: usize) {
        let state = &mut self.links[link];
        state.question = None;
        state.greeting = None;
        state.place = None;
        state.closed = true;
        state.emitted = state.written;
        state.wire.clear();
        state.flight.clear();
        state.linger.clear();
        state.speech.acks.clear();
        state.over = true;
        let actor = state.actor;
        if self.actors[actor].link == Some(link) {
            self.actors[actor].link = None;
        }
    }

    /// Nothing happens any more that the old process would have done.
    fn forget_plans(&mut self) {
        let of_process = |action: &Action| {
            matches!(
                action,
                Action::Flush(_)
                    | Action::Mail(..)
                    | Action::Timer(_)
                    | Action::Write(_)
                    | Action::Store(_)
                    | Action::ReadBack(_)
            )
        };
        self.queue.retain(|Reverse((.., action))| !of_process(action));
    }

    fn restart(&mut self, count: usize) -> Result<(), Broken> {
        let map = ShardMap::new(count).unwrap_or_else(|| unreachable!("at most four shards"));
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.crash(&mut self.rng);
        self.scenario.shards = count;
        self.lanes = (0..count * count).map(|_| Lane::default()).collect();
        self.shards = map
            .iter()
            .map(|shard| {
                let engine = Engine::new(shard, map, self.scenario.settings.clone(), self.rng.word(), true);
                Shard::new(engine, Effects::new(map))
            })
            .collect();
        for (shard, state) in map.iter().zip(&mut self.shards) {
            let unreadable = disk.restore(map, shard, &mut state.engine, self.now, &mut state.effects);
            ensure(unreadable == 0, "a record cannot be read", || format!("{unreadable} of {shard:?}"))?;
        }
        self.carry_first_mail();
        for shard in 0..count {
            self.run_timers(shard)?;
            self.settle(shard)?;
            self.plan_timer(shard);
        }
        Ok(())
    }

    /// What shards have to tell each other of what they read comes before anything else, timers as well: who does not know yet
    /// who has subscribed publishes to nobody.
    fn carry_first_mail(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..self.shards.len() {
                let receivers: Vec<_> = self.shards[from].effects.mail.receivers().collect();
                for to in receivers {
                    moved = true;
                    let mut bag = self.shards[from].effects.mail.take(to);
                    let state = &mut self.shards[to.index()];
                    let event = Event::Mail { from: shard_id(from), bag: &mut bag };
                    state.engine.handle(self.now, event, &mut state.effects);
                    let state = &mut self.shards[from];
                    state.engine.handle(self.now, Event::MailTaken { to }, &mut state.effects);
                }
            }
            if !moved {
                return;
            }
        }
    }
}
