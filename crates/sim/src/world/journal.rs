//! The journal of the simulated Server, and the end of its process, or of the power: everything at once, at any step.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use dunlin_engine::{Counters, Effects, Engine, Event, JournalBatch, ShardMap, Time};
use dunlin_scribe::{News, Scribe};
use dunlin_store::{AppendError, ReadError};

use super::disk::Moved;
use super::shard::{Lane, Shard};
use super::{Action, Phase, World, shard_id};
use crate::model::{Broken, ensure};

/// How long the log is idle before what failed is tried again, in microseconds.
const IDLE: usize = 100_000;
/// How often a record is asked for that the device does not give, and how long in between.
const TRIES: u32 = 20;
const PAUSE: usize = 50_000;

impl World {
    /// When the process, or the power, will go, and when the disk will be full.
    pub(super) fn plan_crashes(&mut self) {
        let Some(plan) = self.scenario.journal else { return };
        let last = usize::try_from(self.scenario.duration.as_micros()).unwrap_or(usize::MAX);
        for _ in 0..plan.crashes {
            // Some of them while everything drains.
            let micros = self.rng.below(last + last / 10);
            // At once, or in the middle of what the disk is asked for.
            let action = if self.rng.percent(50) { Action::Crash } else { Action::CutPower };
            self.plan(micros, action);
        }
        for _ in 0..plan.fills {
            let micros = self.rng.below(last);
            self.plan(micros, Action::Fill);
            let lasts = self.rng.pick(&[100_000, 1_000_000, 4_000_000]);
            self.plan(micros + lasts, Action::Room);
        }
    }

    /// Is everything stored that happened?
    pub(super) fn is_stored(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            self.shards.iter().all(|shard| shard.engine.write_deadline().is_none()) && disk.is_idle()
        })
    }

    /// Something that the disk takes its time for.
    pub(super) fn plan_sync(&mut self, action: Action) {
        let longest = self.scenario.journal.map_or(0, |journal| journal.sync);
        let slow = if self.rng.percent(3) { 3 } else { 1 };
        let delay = self.rng.below(longest + 1) * slow;
        self.plan(delay, action);
    }

    /// Plans a look at the log where there is something to be written and the log would take it.
    pub(super) fn plan_write(&mut self, shard: usize) {
        if self.disk.as_ref().is_none_or(|disk| !disk.scribes[shard].takes_more()) {
            return;
        }
        if let Some(at) = self.shards[shard].engine.write_deadline() {
            self.plan_look(shard, at.max(self.now));
        }
    }

    fn plan_look(&mut self, shard: usize, at: Time) {
        let state = &mut self.shards[shard];
        if state.write.is_none_or(|planned| planned > at) {
            state.write = Some(at);
            self.plan_at(at, Action::Write(shard));
        }
    }

    /// The log has moved: who waits for it looks at it, some time.
    fn wake_writers(&mut self, written_only: bool) {
        let Some(disk) = &self.disk else { return };
        if written_only && !self.scenario.settings.writes() {
            return;
        }
        let waiting: Vec<usize> =
            (0..disk.scribes.len()).filter(|shard| !disk.scribes[*shard].is_idle()).collect();
        for shard in waiting {
            let delay = self.rng.below(self.scenario.tick + 1) as u64;
            self.plan_look(shard, self.now.after(Duration::from_micros(delay)));
        }
    }

    /// What the log can do next, it does some time.
    fn stir_log(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let (commit, idle) = (!disk.commit_planned && !disk.is_synced(), !disk.idle_planned);
        let chore = !std::mem::replace(&mut disk.chore_planned, true);
        disk.commit_planned |= commit;
        disk.idle_planned = true;
        if commit {
            let delay = self.rng.below(100);
            self.plan(delay, Action::Commit);
        }
        if chore {
            let delay = self.rng.below(3_000);
            self.plan(delay, Action::Chore);
        }
        if idle {
            self.plan(IDLE, Action::Idle);
        }
    }

    pub(super) fn look_at_log(&mut self, shard: usize) -> Result<(), Broken> {
        if self.shards[shard].write.is_some_and(|at| at <= self.now) {
            self.shards[shard].write = None;
        }
        self.run_timers(shard)?;
        self.notice_shortage(shard)?;
        for _ in 0..2 {
            self.append_rest(shard)?;
            self.relieve_log(shard)?;
            self.hear_of_log(shard)?;
            let (state, Some(disk)) = (&mut self.shards[shard], &mut self.disk) else { return Ok(()) };
            let is_due = state.engine.write_deadline().is_some_and(|at| at <= self.now);
            if !is_due || !disk.scribes[shard].takes_more() {
                break;
            }
            let mut batch = JournalBatch::default();
            state.engine.write(self.now, &mut batch);
            self.trace.note(&[50, shard, batch.records.len(), batch.bytes.len()], || {
                format!("shard {shard}: writes {} records, {} bytes", batch.records.len(), batch.bytes.len())
            });
            disk.scribes[shard].take(|taken| *taken = batch);
            self.append_rest(shard)?;
            self.relieve_log(shard)?;
        }
        self.stir_log();
        self.plan_write(shard);
        Ok(())
    }

    fn append_rest(&mut self, shard: usize) -> Result<(), Broken> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let (log, scribe) = disk.desk(shard);
        let Some(full) = scribe.append_rest(log).map_err(broken)? else { return Ok(()) };
        self.trace.note(&[54, shard, full.into()], || format!("shard {shard}: the log is full: {full}"));
        self.summary.full += u64::from(full);
        self.tell_model_of_room();
        self.tell(shard, Event::JournalFull(full))?;
        for other in 0..self.shards.len() {
            let delay = self.rng.below(self.scenario.tick + 1) as u64;
            self.plan_look(other, self.now.after(Duration::from_micros(delay)));
        }
        Ok(())
    }

    fn tell_model_of_room(&mut self) {
        let Some(disk) = &self.disk else { return };
        let is_short = disk.short.contains(&true) || disk.scribes.iter().any(Scribe::is_stuck);
        self.model.journal_full(is_short);
    }

    /// Tells the engine whether the log has room for all shards.
    fn notice_shortage(&mut self, shard: usize) -> Result<(), Broken> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let is_short = disk.scribes.iter().any(Scribe::is_stuck);
        if std::mem::replace(&mut disk.short[shard], is_short) == is_short {
            return Ok(());
        }
        self.tell(shard, Event::JournalShort(is_short))?;
        self.tell_model_of_room();
        Ok(())
    }

    fn relieve_log(&mut self, shard: usize) -> Result<(), Broken> {
        let (state, Some(disk)) = (&mut self.shards[shard], &mut self.disk) else { return Ok(()) };
        let (log, scribe) = disk.desk(shard);
        let mut releases = Vec::new();
        if scribe.is_stuck() {
            state.engine.take_releases(&mut releases);
        }
        scribe.relieve(log, &mut releases).map_err(broken)
    }

    fn hear_of_log(&mut self, shard: usize) -> Result<(), Broken> {
        let writes = self.scenario.settings.writes();
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let progress = disk.progress();
        let Some(news) = disk.scribes[shard].hear(progress.synced, progress.written, writes) else {
            return Ok(());
        };
        let (number, event) = match news {
            News::Stored { relief_only } => (usize::from(relief_only), Event::Stored { relief_only }),
            News::Written => (2, Event::Written),
        };
        self.trace.note(&[51, shard, number], || format!("shard {shard}: {news:?}"));
        self.tell(shard, event)
    }

    pub(super) fn commit(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.commit_planned = false;
        let moved = disk.step_commit();
        self.trace.note(&[55, moved as usize], || format!("the log: commit {moved:?}"));
        if moved == Moved::Nothing {
            return;
        }
        if moved != Moved::Begun {
            self.wake_writers(moved == Moved::Written);
        }
        if moved != Moved::Synced {
            if let Some(disk) = &mut self.disk {
                disk.commit_planned = true;
            }
            self.plan_sync(Action::Commit);
        }
        self.stir_log();
    }

    pub(super) fn do_chore(&mut self) -> Result<(), Broken> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.chore_planned = false;
        let moved = disk.step_chore();
        self.trace.note(&[56, moved as usize], || format!("the log: chore {moved:?}"));
        for (partition, upto) in disk.listen()? {
            self.summary.checkpoints += 1;
            let map = ShardMap::new(disk.scribes.len());
            let home = map.map_or(0, |map| map.home_of_log(partition).index());
            let (log, scribe) = disk.desk(home);
            scribe.checkpointed(log, partition, upto).map_err(broken)?;
        }
        if moved == Moved::Nothing {
            return Ok(());
        }
        self.wake_writers(false);
        self.stir_log();
        Ok(())
    }

    /// Time has passed in which the log may have had nothing to do.
    pub(super) fn idle_log(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        disk.idle_planned = false;
        disk.idle();
        let is_over = disk.is_idle() && disk.progress().shortage.is_none() && !disk.commits();
        if !is_over {
            self.wake_writers(false);
            self.stir_log();
        }
    }

    pub(super) fn fill_disk(&mut self) {
        let (Some(plan), Some(disk)) = (self.scenario.journal, &self.disk) else { return };
        if self.phase == Phase::Run {
            let room = self.rng.below(usize::try_from(plan.segment).unwrap_or_default() * 2) as u64;
            disk.device.set_capacity(disk.device.used() + room);
            self.trace.note(&[57], || format!("the disk has room for {room} bytes"));
        }
    }

    pub(super) fn empty_disk(&mut self) {
        if let Some(disk) = &self.disk {
            disk.device.set_capacity(u64::MAX);
            self.trace.note(&[58], || "the disk has room again".to_owned());
            self.stir_log();
        }
    }

    /// Nothing goes wrong with the disk any more.
    pub(super) fn heal_disk(&mut self) {
        if let Some(disk) = &self.disk {
            disk.heal();
            self.stir_log();
        }
    }

    /// From now on the process lives.
    pub(super) fn keep_power(&self) {
        if let Some(disk) = &self.disk {
            disk.device.keep_power();
        }
    }

    pub(super) fn cut_power(&mut self) {
        if let Some(disk) = self.disk.as_ref().filter(|_| matches!(self.phase, Phase::Run | Phase::Drain)) {
            let calls = self.rng.below(40);
            disk.device.cut_power_after(calls as u64);
            self.trace.note(&[59, calls], || format!("the disk works for {calls} more calls"));
        }
    }

    /// Did the power go? Then nobody may act on what came after.
    pub(super) fn power_is_off(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.device.is_off())
    }

    pub(super) fn read_back(&mut self, shard: usize) -> Result<(), Broken> {
        let (Some((token, partition, wanted, tries)), Some(disk)) =
            (self.shards[shard].reads.pop_front(), &self.disk)
        else {
            return Ok(());
        };
        let mut records = Vec::with_capacity(wanted.len());
        for (seq, number) in &wanted {
            match disk.read(partition, *number) {
                Ok(bytes) => records.push((*seq, bytes)),
                Err(error) => {
                    let waits = matches!(error, ReadError::Io(_)) && (tries < TRIES || disk.device.is_off());
                    ensure(waits, "a record cannot be read", || {
                        format!("{number} of partition {partition}: {error}")
                    })?;
                    self.shards[shard].reads.push_front((token, partition, wanted, tries + 1));
                    self.plan(PAUSE, Action::ReadBack(shard));
                    return Ok(());
                }
            }
        }
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
                    | Action::Commit
                    | Action::Chore
                    | Action::Idle
                    | Action::ReadBack(_)
            )
        };
        self.queue.retain(|Reverse((.., action))| !of_process(action));
    }

    fn restart(&mut self, count: usize) -> Result<(), Broken> {
        let map = ShardMap::new(count).unwrap_or_else(|| unreachable!("at most four shards"));
        let (Some(plan), Some(disk)) = (self.scenario.journal, &mut self.disk) else { return Ok(()) };
        self.scenario.shards = count;
        self.lanes = (0..count * count).map(|_| Lane::default()).collect();
        let (seed, settings) = (self.rng.word(), &self.scenario.settings);
        let engine = |shard| Engine::new(shard, map, Arc::clone(settings), seed, true);
        let engines = || map.iter().map(|shard| (engine(shard), Effects::new(map))).collect();
        let beginners = disk.restart(map, self.now, &mut self.rng, plan.kills_only, engines)?;
        if self.phase == Phase::Run {
            disk.device.set_faults(plan.faults);
        }
        self.model.journal_full(false);
        self.shards = beginners.into_iter().map(|(engine, effects)| Shard::new(engine, effects)).collect();
        self.carry_first_mail();
        for shard in 0..count {
            self.run_timers(shard)?;
            self.settle(shard)?;
            self.plan_timer(shard);
        }
        self.stir_log();
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

fn broken(error: AppendError) -> Broken {
    Broken { rule: "the log takes no more", detail: error.to_string() }
}
