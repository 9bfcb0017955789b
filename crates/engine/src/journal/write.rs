//! Batches: records are encoded when they are written, without what nobody needs any more.

use std::collections::BTreeSet;

use super::record::{Record, Target, deliver_head, encode_message, encode_target};
use super::{Body, Journal, PROGRESS, Pending, Writing};
use crate::ceiling::Memory;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::hub::{Cx, Hub};
use crate::session::SessionId;
use crate::session::entry::Home;
use crate::settings::CheckpointRules;
use crate::time::Time;

/// What goes to the log at once. Used again for the next batch.
#[derive(Debug, Default)]
pub struct JournalBatch {
    /// The records, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each is, in the order in which they must be appended.
    pub records: Vec<JournalRecord>,
    /// Partitions and numbers of records that are not needed any more.
    pub releases: Vec<(u16, u64)>,
    /// Partitions whose state replaces what led to it.
    pub checkpoints: Vec<JournalCheckpoint>,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Below [`crate::JOURNAL_PARTITIONS`].
    pub partition: u16,
    /// The number that it must get.
    pub number: u64,
    /// Where it ends in [`JournalBatch::bytes`]; it begins where the one before ends.
    pub end: usize,
    /// It lets the log keep less afterwards.
    pub relief: bool,
}

/// The state of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalCheckpoint {
    /// Below [`crate::JOURNAL_PARTITIONS`].
    pub partition: u16,
    /// The first record that it does not contain.
    pub upto: u64,
    /// For [`crate::JournalSource::checkpoint`].
    pub state: Vec<u8>,
    /// Records that are not needed any more as soon as it is stored.
    pub releases: Vec<u64>,
}

impl JournalBatch {
    /// Forgets everything, keeps some memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(4 * 1024 * 1024);
        self.records.clear();
        self.records.shrink_to(64 * 1024);
        self.releases.clear();
        self.checkpoints.clear();
    }

    fn put(&mut self, journal: &mut Journal, partition: u16, encode: impl FnOnce(&mut Vec<u8>)) -> u64 {
        encode(&mut self.bytes);
        let next = &mut journal.partitions[usize::from(partition)].next;
        let number = *next;
        *next += 1;
        self.records.push(JournalRecord {
            partition,
            number,
            end: self.bytes.len(),
            relief: partition >= PROGRESS,
        });
        number
    }
}

impl Engine {
    /// When [`Self::write`] should be called, unless a batch is being written; `None` while there is nothing to write.
    #[must_use]
    pub fn write_deadline(&self) -> Option<Time> {
        self.hub.journal.deadline()
    }

    /// Hands over records that are not needed any more, as [`Self::write`] does too: where that has to wait, the log may be full of
    /// them.
    pub fn take_releases(&mut self, releases: &mut Vec<(u16, u64)>) {
        releases.append(&mut self.hub.journal.releases);
    }

    /// Hands over what is to be written. [`crate::Event::Stored`] says when that is safe; until then there is no other batch.
    pub fn write(&mut self, now: Time, batch: &mut JournalBatch) {
        let journal = &mut self.hub.journal;
        let is_stuck = journal.writing.is_some();
        if !journal.enabled || is_stuck && (!journal.full || journal.relieving.is_some()) {
            return;
        }
        let mut writing = Writing { relief: journal.relief, ..Writing::default() };
        journal.relief += 1;
        self.hub.write_progress(batch, &mut writing);
        if is_stuck {
            self.hub.journal.relieving = Some(writing);
            batch.releases.append(&mut self.hub.journal.releases);
            return;
        }
        let journal = &mut self.hub.journal;
        let is_held = journal.pending.front().is_some_and(|front| front.since.after(super::HOLD) <= now);
        let CheckpointRules { controls_minimum, controls_per_session } = self.hub.settings.checkpoints;
        let is_due = |(partition, state): (u8, &super::PartitionState)| {
            let sessions = self.hub.sessions.in_partition(partition).len();
            state.controls.len() >= controls_minimum.max(controls_per_session * sessions)
        };
        let due = (0..=u8::MAX).zip(&journal.partitions).position(is_due);
        let count = if is_held || due.is_some() || journal.pending_bytes > journal.waiting_bytes_maximum() / 2
        {
            journal.pending.len()
        } else {
            usize::try_from(journal.urgent.saturating_sub(journal.first)).unwrap_or_default()
        };
        for _ in 0..count {
            let serial = self.hub.journal.first;
            let Some(pending) = self.hub.journal.pop() else { break };
            if pending.outstanding > 0 {
                self.write_one(batch, &mut writing, serial, pending);
            }
        }
        self.hub.journal.write_groups_done(batch);
        if let Some(partition) = due.and_then(|partition| u8::try_from(partition).ok()) {
            self.write_checkpoint(batch, partition);
        }
        let journal = &mut self.hub.journal;
        batch.releases.append(&mut journal.releases);
        writing.upto = journal.first;
        journal.writing = Some(writing);
    }

    fn write_one(&mut self, batch: &mut JournalBatch, writing: &mut Writing, serial: u64, pending: Pending) {
        let Pending { partition, body, .. } = pending;
        let journal = &mut self.hub.journal;
        match body {
            Body::Control(bytes) => {
                let number = batch.put(journal, partition.into(), |out| out.extend_from_slice(&bytes));
                journal.partitions[usize::from(partition)].controls.push(number);
            }
            Body::Deliver { message, targets, exchange } => {
                self.hub.write_delivery(batch, writing, partition, &message, &targets, exchange);
            }
            Body::Retained { message } => {
                let view = message.view();
                let record = Record::Retained { message: view };
                let number = batch.put(journal, partition.into(), |out| record.encode(out));
                if self.retained.recorded(view.topic, serial, number) {
                    journal.partitions[usize::from(partition)].retained.insert(number);
                } else {
                    // A newer one is pending.
                    journal.retained_replaced(partition, number);
                }
            }
            Body::Cleared { topic } => {
                let number =
                    batch.put(journal, partition.into(), |out| Record::Cleared { topic: &topic }.encode(out));
                journal.partitions[usize::from(partition)].controls.push(number);
            }
            Body::Group { group, number: deal, message } => {
                let Some((share, filter, home)) = self.groups.message_home(group, deal) else { return };
                let record = Record::Group { share, filter, message: message.view() };
                let number = batch.put(journal, partition.into(), |out| record.encode(out));
                *home = Home::Record { number, shared: false };
                journal.partitions[usize::from(partition)].groups.insert(number);
            }
        }
    }

    /// A partition's state takes the place of the control records that led to it.
    fn write_checkpoint(&mut self, batch: &mut JournalBatch, partition: u8) {
        let state = &mut self.hub.journal.partitions[usize::from(partition)];
        let upto = state.next;
        let releases = std::mem::take(&mut state.controls);
        let state = self.checkpoint_state(partition);
        batch.checkpoints.push(JournalCheckpoint { partition: partition.into(), upto, state, releases });
    }

    /// The log has no room for what was handed over, but for progress; or it has again.
    pub(crate) fn journal_full(&mut self, full: bool) {
        let journal = &mut self.hub.journal;
        journal.full = full;
        if full
            && let Some(writing) = &mut journal.writing
            && journal.relieving.is_none()
        {
            journal.relieving = Some(Writing {
                relief: writing.relief,
                replaced: std::mem::take(&mut writing.replaced),
                numbered: std::mem::take(&mut writing.numbered),
                ..Writing::default()
            });
        }
    }

    /// A batch is safe: whatever waited for it goes on.
    pub(crate) fn batch_stored(&mut self, cx: &mut Cx<'_>, relief_only: bool) {
        let journal = &mut self.hub.journal;
        let (mut numbered, mut unread) = (Vec::new(), Vec::new());
        let whole = if relief_only { None } else { journal.writing.take() };
        if let Some(writing) = &whole {
            journal.reach.safe = journal.reach.safe.max(writing.upto);
        }
        let mut exactly_once = Vec::new();
        for writing in journal.relieving.take().into_iter().chain(whole) {
            journal.reach.relief_safe = journal.reach.relief_safe.max(writing.relief);
            journal.releases.extend(writing.replaced);
            exactly_once.extend(writing.exactly_once);
            numbered.extend(writing.numbered);
            unread.extend(writing.unread);
        }
        for (session, seq, _) in exactly_once {
            self.delivery_recorded(cx, session, seq);
        }
        for (session, below) in numbered {
            let Some(found) = self.hub.sessions.get_mut(session) else { continue };
            if let Some(outgoing) = &mut found.outgoing {
                outgoing.reserved(below);
            }
            self.hub.pump(cx, session.index());
        }
        for session in unread {
            if let Some(outgoing) =
                self.hub.sessions.get_mut(session).and_then(|found| found.outgoing.as_mut())
            {
                outgoing.reading = false;
            }
            self.hub.pump(cx, session.index());
        }
    }

    /// A batch is written: whatever needs no more than that goes on.
    pub(crate) fn batch_written(&mut self, cx: &mut Cx<'_>) {
        let journal = &mut self.hub.journal;
        let Some(writing) = &mut journal.writing else { return };
        journal.reach.written = journal.reach.written.max(writing.upto);
        journal.reach.relief_written = journal.reach.relief_written.max(writing.relief);
        // A Session's go in order: behind one that is to be synced none goes.
        let mut behind = BTreeSet::new();
        let (rest, ready) =
            std::mem::take(&mut writing.exactly_once).into_iter().partition(|(session, _, durability)| {
                if *durability == Durability::Synced {
                    behind.insert(*session);
                }
                behind.contains(session)
            });
        writing.exactly_once = rest;
        let ready: Vec<_> = ready;
        for (session, seq, _) in ready {
            self.delivery_recorded(cx, session, seq);
        }
    }

    fn delivery_recorded(&mut self, cx: &mut Cx<'_>, session: SessionId, seq: u32) {
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        if let Some(outgoing) = &mut found.outgoing {
            outgoing.stored(seq);
        }
        self.hub.pump(cx, session.index());
    }
}

impl Hub {
    /// How far every Session has come that moved.
    fn write_progress(&mut self, batch: &mut JournalBatch, writing: &mut Writing) {
        self.journal.dirty_since = None;
        for id in std::mem::take(&mut self.journal.dirty) {
            let Some(session) = self.sessions.get_mut(id).filter(|session| session.key != 0) else {
                continue;
            };
            let (partition, key) = (session.partition, session.key);
            let received = session.received.as_ref().map_or_else(Vec::new, |received| received.sure());
            let Some(outgoing) = &mut session.outgoing else { continue };
            outgoing.dirty = false;
            let record = Record::Progress { key, outgoing: outgoing.progress(), received };
            let number =
                batch.put(&mut self.journal, u16::from(partition) + PROGRESS, |out| record.encode(out));
            writing.numbered.extend(outgoing.to_reserve().map(|below| (id, below)));
            writing
                .replaced
                .extend(outgoing.record.replace(number).map(|old| (u16::from(partition) + PROGRESS, old)));
        }
    }

    fn write_delivery(
        &mut self,
        batch: &mut JournalBatch,
        writing: &mut Writing,
        partition: u8,
        message: &crate::message::Message,
        targets: &[(SessionId, u32)],
        exchange: Option<super::Exchange>,
    ) {
        let wanted: Vec<_> = targets.iter().filter_map(|(id, seq)| self.wanted_target(*id, *seq)).collect();
        if wanted.is_empty() && exchange.is_none() {
            return;
        }
        let number = batch.put(&mut self.journal, partition.into(), |out| {
            deliver_head(out, exchange, wanted.len());
            wanted.iter().for_each(|(_, _, target)| encode_target(out, target));
            encode_message(out, &message.view());
        });
        let shared = wanted.len() > 1 || exchange.is_some();
        if shared {
            let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX) + u32::from(exchange.is_some());
            self.journal.shared.insert((partition, number), count);
        }
        writing.first.entry(partition).or_insert(number);
        if let Some(exchange) = exchange {
            self.journal.seen.entry(exchange).or_default().push((partition, number));
        }
        for (id, seq, target) in wanted {
            if target.qos == dunlin_codec::QoS::ExactlyOnce {
                writing.exactly_once.push((id, seq, message.view().durability));
            }
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let resident = session.connection().is_some() && self.memory == Memory::Ample;
            if let Some(outgoing) = &mut session.outgoing {
                outgoing.recorded(seq, number, shared, resident);
            }
        }
    }

    fn wanted_target(&self, id: SessionId, seq: u32) -> Option<(SessionId, u32, Target)> {
        let session = self.sessions.get(id)?;
        let (full, options) = session.outgoing.as_ref()?.wanted(seq)?;
        let identifiers = options.extra.map_or_else(Vec::new, |extra| extra.identifiers.as_slice().to_vec());
        let target =
            Target { key: session.key, seq: full, qos: options.qos, retain: options.retain, identifiers };
        Some((id, seq, target))
    }
}

impl Journal {
    fn write_groups_done(&mut self, batch: &mut JournalBatch) {
        let mut done = std::mem::take(&mut self.groups_done);
        done.sort_unstable();
        for run in done.chunk_by(|a, b| a.0 == b.0) {
            let partition = run[0].0;
            let record = Record::GroupDone { numbers: run.iter().map(|(_, number)| *number).collect() };
            let number = batch.put(self, partition.into(), |out| record.encode(out));
            self.partitions[usize::from(partition)].controls.push(number);
        }
    }
}
