//! The way back: from checkpoints and records to Sessions, retained messages and groups.
//!
//! In:    checkpoints, then every record that the log still has, in order within each partition.
//! Out:   the state that was stored last; which records count.
//! Never: an error that stops a start. What cannot be read is counted and left out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use dunlin_codec::{SubscriptionOptions, TopicFilter};

use super::record::{Record, Target, WillView, decode};
use super::{Exchange, JOURNAL_PARTITIONS, Journal, PROGRESS};
use crate::connect::TENANT;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::hub::Cx;
use crate::mail::{Letter, MemberEvent};
use crate::map::{Map, seeded};
use crate::message::MessageView;
use crate::partition::{Partition, ShardId, ShardSet};
use crate::session::entry::Home;
use crate::session::outgoing::{Options, Progress};
use crate::session::{Membership, Session, SessionId, Subscribed, Subscription, Will};
use crate::subscribe::SubAckToken;
use crate::time::Time;

/// What is only needed while records are read.
#[derive(Debug)]
pub(crate) struct Restoring {
    sessions: Map<(u8, u64), Known>,
    /// The first record that each partition's checkpoint does not contain.
    upto: [u64; PROGRESS as usize],
    /// Records of retained messages and groups that count although they are older than the checkpoint.
    retained: BTreeMap<u8, Vec<u64>>,
    groups: BTreeMap<u8, Vec<u64>>,
    /// Every record that may count, as runs of numbers.
    deliveries: BTreeMap<u16, Runs>,
    /// The latest time that anything says.
    latest: Time,
    unreadable: u64,
}

/// What is known of a Session so far, which may be its name only.
#[derive(Debug, Default)]
struct Known {
    id: Option<SessionId>,
    /// How far it had come, by the last record that says so.
    reached: Option<Reached>,
    /// It was connected.
    connected: bool,
}

/// Numbers, mostly ascending and mostly without gaps: the first and the last of each run.
#[derive(Debug, Default)]
struct Runs(Vec<(u64, u64)>);

impl Runs {
    fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    /// All of them, ascending, each once.
    fn sorted(mut self) -> impl Iterator<Item = u64> {
        self.0.sort_unstable();
        let mut next = 0;
        self.0.into_iter().flat_map(move |(first, last)| {
            let from = next.max(first);
            next = next.max(last + 1);
            from..=last
        })
    }
}

#[derive(Debug)]
struct Reached {
    record: u64,
    outgoing: Progress,
    received: Vec<u64>,
}

impl Reached {
    /// Has this delivery not ended?
    fn lives(&self, seq: u64) -> bool {
        let Progress { next, queue_from, sent, .. } = &self.outgoing;
        seq >= *next || seq >= *queue_from || sent.binary_search(&seq).is_ok()
    }
}

/// A log, as a start reads it.
pub trait JournalSource {
    /// Why it cannot be read. Damage is no such reason: what is damaged is left out.
    type Error;

    /// Gives every record of the partitions that are wanted, each partition's in ascending order: partition, number, bytes.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn records(
        &mut self,
        is_wanted: &dyn Fn(u16) -> bool,
        give: &mut dyn FnMut(u16, u64, &[u8]),
    ) -> Result<(), Self::Error>;

    /// The newest checkpoint of a partition, if there is one that can be read: the first record that it does not contain, and the
    /// state.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn checkpoint(&mut self, partition: u16) -> Result<Option<(u64, Vec<u8>)>, Self::Error>;

    /// The number that the next record of a partition gets.
    fn next(&mut self, partition: u16) -> u64;

    /// Of the records of a partition below `next`, only these count, ascending.
    ///
    /// # Errors
    /// Where the log does not take that.
    fn retain(
        &mut self,
        partition: u16,
        next: u64,
        live: &mut dyn Iterator<Item = u64>,
    ) -> Result<(), Self::Error>;
}

impl Engine {
    /// Reads all that a log has of what is at home here, into an engine that has just begun. The order is part of it: how far Sessions
    /// have come, then checkpoints, then what happened since. Engines of several shards may do so at the same time; all must have
    /// come so far, and all letters in `effects` and those that they bring about must be carried, before a Client is let in.
    ///
    /// Returns how many records could not be understood.
    ///
    /// # Errors
    /// Those of the log.
    pub fn restore_from<S: JournalSource>(
        &mut self,
        now: Time,
        log: &mut S,
        effects: &mut Effects,
    ) -> Result<u64, S::Error> {
        let (map, shard) = (self.hub.map, self.hub.shard);
        let is_mine = |partition: u16| map.home_of_log(partition) == shard;
        log.records(
            &|partition| partition >= PROGRESS && is_mine(partition),
            &mut |partition, number, bytes| {
                self.restore_progress(partition, number, bytes);
            },
        )?;
        for partition in (0..PROGRESS).filter(|partition| is_mine(*partition)) {
            if let Some((upto, state)) = log.checkpoint(partition)? {
                self.restore_checkpoint(partition, upto, &state);
            }
        }
        log.records(
            &|partition| partition < PROGRESS && is_mine(partition),
            &mut |partition, number, bytes| {
                if let Ok(partition) = u8::try_from(partition) {
                    self.restore(partition, Some(number), bytes);
                }
            },
        )?;
        let mine = (0..JOURNAL_PARTITIONS).filter(|partition| is_mine(*partition));
        let next: Vec<(u16, u64)> = mine.map(|partition| (partition, log.next(partition))).collect();
        let mut restoring = self.end_restoring(now, &next, effects);
        for (partition, next) in next {
            log.retain(partition, next, &mut self.live_records(partition, &mut restoring))?;
        }
        Ok(restoring.unreadable)
    }

    /// The state of a partition at its newest checkpoint.
    fn restore_checkpoint(&mut self, partition: u16, upto: u64, state: &[u8]) {
        let Ok(partition) = u8::try_from(partition) else { return };
        self.restoring().upto[usize::from(partition)] = upto;
        let mut rest = state;
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let Some((record, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else {
                break;
            };
            rest = after;
            self.restore(partition, None, record);
        }
        if !rest.is_empty() {
            self.restoring().unreadable += 1;
        }
    }

    fn restore_progress(&mut self, partition: u16, number: u64, bytes: &[u8]) {
        let (Some(Record::Progress { key, outgoing, received }), Ok(partition)) =
            (decode(bytes).filter(Record::is_sound), u8::try_from(partition - PROGRESS))
        else {
            self.restoring().unreadable += 1;
            return;
        };
        self.key_was_used(key);
        let reached = Reached { record: number, outgoing, received };
        self.restoring().sessions.entry((partition, key)).or_default().reached = Some(reached);
    }

    /// No new Session may have it: what was for the old one would be for the new one.
    fn key_was_used(&mut self, key: u64) {
        let next = &mut self.hub.journal.next_key;
        *next = (*next).max(key.saturating_add(1));
    }

    fn restoring(&mut self) -> &mut Restoring {
        let seed = self.hub.seed;
        self.hub.journal.restoring.get_or_insert_with(|| {
            Box::new(Restoring {
                sessions: seeded(seed),
                upto: [0; PROGRESS as usize],
                retained: BTreeMap::new(),
                groups: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                latest: Time::ZERO,
                unreadable: 0,
            })
        })
    }

    fn restore(&mut self, partition: u8, number: Option<u64>, bytes: &[u8]) {
        let upto = self.restoring().upto[usize::from(partition)];
        let is_old = number.is_some_and(|number| number < upto);
        let Some(record) = decode(bytes).filter(Record::is_sound) else {
            self.restoring().unreadable += 1;
            return;
        };
        match record {
            Record::Deliver { exchange, targets, message } => {
                self.restore_delivery(partition, number, is_old, exchange, &targets, &message);
            }
            Record::Retained { message } => self.restore_retained(partition, number, is_old, &message),
            Record::Group { share, filter, message } => {
                let listed = self.restoring().groups.get(&partition);
                let counts = listed
                    .is_some_and(|list| number.is_some_and(|number| list.binary_search(&number).is_ok()));
                if let Some(number) = number.filter(|_| !is_old || counts) {
                    self.hub.journal.partitions[usize::from(partition)].groups.insert(number);
                    self.groups.restore_message(share, filter, number, &message);
                }
            }
            _ if is_old => {}
            record => {
                if let Some(number) = number {
                    self.hub.journal.partitions[usize::from(partition)].controls.push(number);
                }
                self.restore_control(partition, record);
            }
        }
    }

    fn restore_control(&mut self, partition: u8, record: Record<'_>) {
        match record {
            Record::Opened { key, client_id, expiry, at, will } => {
                self.restore_opened(partition, key, client_id, expiry, at, will);
            }
            Record::Closed { key, expiry, at, will } => {
                self.seen_time(at);
                self.set_connected(partition, key, false);
                let Some(session) = self.restored_session(partition, key) else { return };
                session.expiry = expiry;
                session.disconnected_at = at;
                let due = |of: &Will| at.after(of.delay);
                session.will = session.will.take().filter(|_| will);
                if let Some(will) = &mut session.will {
                    will.due = Some(due(will));
                }
            }
            Record::Ended { key } => {
                let known = self.restoring().sessions.get_mut(&(partition, key));
                if let Some(id) = known.and_then(|known| known.id.take()) {
                    self.forget_session(id);
                }
            }
            Record::Subscribed { key, options, identifier, filter } => {
                if let Some(options) = SubscriptionOptions::from_bits(options) {
                    let subscription = Subscription { options, identifier, filtered: false };
                    self.restore_subscribed(partition, key, filter, subscription);
                }
            }
            Record::Unsubscribed { key, filter } => self.restore_unsubscribed(partition, key, filter),
            Record::Released { exchange } => {
                // Each partition says so for itself.
                if let Some(records) = self.hub.journal.seen.get_mut(&exchange) {
                    records.retain(|(of, _)| *of != partition);
                }
            }
            Record::Cleared { topic } => self.forget_retained(partition, topic),
            Record::GroupDone { numbers } => {
                let groups = &mut self.hub.journal.partitions[usize::from(partition)].groups;
                numbers.iter().for_each(|number| {
                    groups.remove(number);
                });
            }
            Record::Live { retained, groups } => {
                let restoring = self.restoring();
                restoring.retained.insert(partition, retained);
                restoring.groups.insert(partition, groups);
            }
            Record::Seen { exchange, number } => {
                self.hub.journal.seen.entry(exchange).or_default().push((partition, number));
            }
            Record::Progress { .. } => self.restoring().unreadable += 1,
            Record::Deliver { .. } | Record::Retained { .. } | Record::Group { .. } => {
                unreachable!("not among controls")
            }
        }
    }

    fn restored_id(&mut self, partition: u8, key: u64) -> Option<SessionId> {
        self.restoring().sessions.get(&(partition, key))?.id
    }

    fn restored_session(&mut self, partition: u8, key: u64) -> Option<&mut Session> {
        let id = self.restored_id(partition, key)?;
        self.hub.sessions.get_mut(id)
    }

    fn restore_subscribed(&mut self, partition: u8, key: u64, filter: &str, subscription: Subscription) {
        let joined = self.new_join();
        let Ok(filter) = TopicFilter::parse(filter) else { return };
        let Some(id) = self.restored_id(partition, key) else { return };
        if filter.shared().is_none() {
            self.plant(id, filter, subscription);
        } else if let Some(session) = self.hub.sessions.get_mut(id) {
            session.subscriptions.join(filter, Membership { subscription, joined });
        }
    }

    fn restore_unsubscribed(&mut self, partition: u8, key: u64, filter: &str) {
        let Ok(filter) = TopicFilter::parse(filter) else { return };
        let wanted = self.router.tree.find(filter);
        let Some(id) = self.restored_id(partition, key) else { return };
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        session.subscriptions.leave(filter);
        if let Some(wanted) = wanted.filter(|wanted| session.subscriptions.remove(*wanted, filter)) {
            self.router.tree.unsubscribe(wanted, id.index());
        }
    }

    /// A later record says that it is no more.
    fn forget_session(&mut self, id: SessionId) {
        if self.hub.sessions.get(id).is_none() {
            return;
        }
        let session = self.hub.sessions.remove(id);
        for wanted in session.iter().flat_map(|session| session.subscriptions.filters()) {
            self.router.tree.unsubscribe(wanted, id.index());
        }
    }

    fn set_connected(&mut self, partition: u8, key: u64, connected: bool) {
        if let Some(known) = self.restoring().sessions.get_mut(&(partition, key)) {
            known.connected = connected;
        }
    }

    fn seen_time(&mut self, at: Time) {
        let latest = &mut self.restoring().latest;
        *latest = (*latest).max(at);
    }

    fn restore_opened(
        &mut self,
        partition: u8,
        key: u64,
        client_id: &str,
        expiry: u32,
        at: Time,
        will: Option<WillView<'_>>,
    ) {
        self.seen_time(at);
        self.key_was_used(key);
        let will = will.map(|will| {
            let delay = Duration::from_secs(will.delay);
            let expiry = will.expiry.checked_sub(1).and_then(|seconds| seconds.try_into().ok());
            // Its connection ends with the process, unless a later record says when it did.
            Box::new(Will { message: will.message.to_message(), expiry, delay, due: Some(Time::ZERO) })
        });
        if self.restored_session(partition, key).is_none() {
            if let Some(old) = self.hub.sessions.find(client_id) {
                // Its end was written for another partition's sake, or not at all.
                self.forget_session(old);
            }
            let mut session = Session::new(client_id, at);
            (session.key, session.partition, session.is_known) = (key, partition, true);
            let known = self.restoring().sessions.entry((partition, key)).or_default();
            if let Some(Reached { record, outgoing, received }) = &known.reached {
                session.outgoing_mut().restore(outgoing, *record);
                session.received =
                    (!received.is_empty()).then(|| Box::new(received.iter().copied().collect()));
            }
            let id = self.hub.sessions.insert(session);
            self.restoring().sessions.entry((partition, key)).or_default().id = Some(id);
        }
        let Some(session) = self.restored_session(partition, key) else { return };
        (session.expiry, session.will) = (expiry, will);
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.doubt();
        }
        self.set_connected(partition, key, true);
    }

    fn restore_delivery(
        &mut self,
        partition: u8,
        number: Option<u64>,
        is_old: bool,
        exchange: Option<Exchange>,
        targets: &[Target],
        message: &MessageView<'_>,
    ) {
        let Some(number) = number else { return };
        let shared = targets.len() > 1 || exchange.is_some();
        let mut live = 0;
        for target in targets {
            self.key_was_used(target.key);
            let Some(Known { id: Some(id), reached, connected }) =
                self.restoring().sessions.get(&(partition, target.key))
            else {
                continue;
            };
            if reached.as_ref().is_some_and(|reached| !reached.lives(target.seq)) {
                continue;
            }
            // What came while it had no connection was not sent, unless it had one later.
            let (id, maybe_sent) = (*id, is_old || *connected);
            let Some(session) = self.hub.sessions.get_mut(id) else { continue };
            let options = Options { qos: target.qos, retain: target.retain, extra: None };
            let outgoing = session.outgoing_mut();
            outgoing.restore_entry(target.seq, &options, number, shared, message.weight(), maybe_sent);
            live += 1;
        }
        if let Some(exchange) = exchange.filter(|_| !is_old) {
            let seen = self.hub.journal.seen.entry(exchange).or_default();
            if !seen.contains(&(partition, number)) {
                seen.push((partition, number));
            }
        }
        if live > 0 {
            self.restoring().deliveries.entry(partition.into()).or_default().push(number);
        }
    }

    fn restore_retained(
        &mut self,
        partition: u8,
        number: Option<u64>,
        is_old: bool,
        message: &MessageView<'_>,
    ) {
        let listed = self.restoring().retained.get(&partition);
        let counts = !is_old
            || listed.is_some_and(|list| number.is_some_and(|number| list.binary_search(&number).is_ok()));
        let Some(number) = number.filter(|_| counts) else { return };
        self.forget_retained(partition, message.topic);
        self.retained.restore(message, number);
        self.hub.journal.partitions[usize::from(partition)].retained.insert(number);
    }

    fn forget_retained(&mut self, partition: u8, topic: &str) {
        if let Some(old) = self.retained.forget(topic) {
            self.hub.journal.partitions[usize::from(partition)].retained.remove(&old);
        }
    }

    /// Everything was read. `next`: the number of the next record of each partition that is at home here.
    fn end_restoring(&mut self, now: Time, next: &[(u16, u64)], effects: &mut Effects) -> Box<Restoring> {
        self.restoring();
        let Some(mut restoring) = self.hub.journal.restoring.take() else { unreachable!("it was just made") };
        let behind = restoring.latest.since(now);
        let cx = &mut Cx { now, fx: effects };
        let window = self.hub.settings.limits.inflight_maximum.get();
        let known = std::mem::replace(&mut restoring.sessions, seeded(0));
        let mut ids: Vec<_> =
            known.into_values().filter_map(|known| Some((known.id?, known.connected))).collect();
        ids.sort_unstable();
        self.announce_all(cx);
        for (topic, _) in self.retained.from(Bound::Unbounded) {
            cx.fx.mail.gave(self.hub.shard, topic);
        }
        for (id, was_connected) in ids {
            let Some(session) = self.hub.sessions.get_mut(id) else { continue };
            if was_connected {
                // It was connected when the process ended; only now is it known that it is not.
                session.disconnected_at = now;
                if let Some(will) = &mut session.will {
                    will.due = Some(now.after(will.delay));
                }
            } else if behind > Duration::ZERO {
                // The clock went back in between: intervals go on from where they were.
                session.disconnected_at = earlier(session.disconnected_at, behind);
                if let Some(will) = &mut session.will {
                    will.due = will.due.map(|due| earlier(due, behind));
                }
            }
            session.window = window;
            self.restored_deliveries(id, window, &mut restoring);
            self.hub.arm_session(id);
            self.restore_memberships(cx, id);
        }
        self.hub.journal.seen.retain(|_, records| !records.is_empty());
        for records in self.hub.journal.seen.values() {
            for (partition, number) in records {
                *self.hub.journal.shared.entry((*partition, *number)).or_insert(0) += 1;
                restoring.deliveries.entry((*partition).into()).or_default().push(*number);
            }
        }
        // Those that other shards remember of publishers that ended were lower, as no shard begins a thousand Sessions a second
        // for long.
        self.key_was_used(now.as_micros() / 1000);
        for (partition, next) in next {
            self.hub.journal.partitions[usize::from(*partition)].next = *next;
        }
        let partitions = &self.hub.journal.partitions;
        self.groups.restored(|partition, number| partitions[usize::from(partition)].groups.contains(&number));
        self.tell_seen_before(cx);
        self.settle(cx);
        restoring
    }

    /// Tells the homes of publishers which of their exchanges records here name: nobody else knows after a restart.
    fn tell_seen_before(&mut self, cx: &mut Cx<'_>) {
        let mut exchanges: Vec<Exchange> = self.hub.journal.seen.keys().copied().collect();
        exchanges.sort_unstable();
        let (map, own) = (self.hub.map, self.hub.shard);
        for exchange in exchanges {
            let home = map.home_of_log(exchange.partition.into());
            if home == own {
                self.seen_before(cx, own, exchange);
            } else {
                cx.fx.mail.post(home, Letter::Seen { exchange });
            }
        }
    }

    /// Records of that shard name an exchange of a Session here, which may have ended.
    pub(crate) fn seen_before(&mut self, cx: &mut Cx<'_>, from: ShardId, exchange: Exchange) {
        let Exchange { partition, key, .. } = exchange;
        let mut sessions = self.hub.sessions.in_partition(partition).iter();
        let is_here = |index: &u32| self.hub.sessions.slots.get(*index).is_some_and(|found| found.key == key);
        let lives = sessions.any(is_here);
        let shards = self.hub.journal.before.entry(exchange).or_insert(ShardSet::EMPTY);
        if from != self.hub.shard {
            shards.insert(from);
        }
        if !lives {
            self.hub.release_exchange(cx, exchange, ShardSet::EMPTY);
        }
    }

    /// A Session has all its deliveries: their records are counted.
    fn restored_deliveries(&mut self, id: SessionId, window: u16, restoring: &mut Restoring) {
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        let Some(outgoing) = &mut session.outgoing else { return };
        outgoing.restored(window);
        if let Some(record) = outgoing.record {
            restoring.deliveries.entry(u16::from(session.partition) + PROGRESS).or_default().push(record);
        }
        for home in outgoing.homes() {
            if let Home::Record { number, shared: true } = home {
                *self.hub.journal.shared.entry((session.partition, number)).or_insert(0) += 1;
            }
        }
    }

    fn live_records(&self, partition: u16, restoring: &mut Restoring) -> impl Iterator<Item = u64> + use<> {
        let journal: &Journal = &self.hub.journal;
        let state = &journal.partitions[usize::from(partition)];
        let mut live = restoring.deliveries.remove(&partition).unwrap_or_default();
        state
            .controls
            .iter()
            .chain(&state.retained)
            .chain(&state.groups)
            .for_each(|number| live.push(*number));
        live.sorted()
    }

    fn restore_memberships(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.hub.sessions.get(id) else { return };
        let window = session.window;
        let memberships = session.subscriptions.memberships();
        let memberships: Vec<(Box<str>, Membership)> =
            memberships.map(|(filter, membership)| (filter.into(), *membership)).collect();
        for (filter, Membership { subscription, joined }) in memberships {
            let Ok(filter) = TopicFilter::parse(&filter) else { continue };
            let event = MemberEvent::Join {
                options: subscription.options,
                subscription_identifier: subscription.identifier,
                joined,
                connected: false,
                window,
                durable: true,
                token: SubAckToken::NOBODY,
                // Known when its Client is back.
                policy: None,
            };
            self.tell_group(cx, id, filter, event);
        }
    }

    /// What [`Self::restore_checkpoint`] reads.
    pub(super) fn checkpoint_state(&self, partition: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let journal = &self.hub.journal;
        let state = &journal.partitions[usize::from(partition)];
        let live = Record::Live {
            retained: state.retained.iter().copied().collect(),
            groups: state.groups.iter().copied().collect(),
        };
        put(&mut out, &live);
        for index in self.hub.sessions.in_partition(partition) {
            let id = self.hub.sessions.current(*index);
            if let (Some(session), Some(subscribed)) = (self.hub.sessions.get(id), self.subscribed(id)) {
                session_state(&mut out, session, subscribed);
            }
        }
        for (exchange, records) in &journal.seen {
            for (_, number) in records.iter().filter(|(of, _)| *of == partition) {
                put(&mut out, &Record::Seen { exchange: *exchange, number: *number });
            }
        }
        journal.bequests_in(partition).for_each(|state| out.extend_from_slice(state));
        out
    }
}

fn earlier(at: Time, by: Duration) -> Time {
    Time::from_micros(at.as_micros().saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
}

pub(super) fn put(out: &mut Vec<u8>, record: &Record<'_>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    record.encode(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

fn session_state(out: &mut Vec<u8>, session: &Session, subscribed: Subscribed<'_>) {
    let Session { key, expiry, .. } = *session;
    if key == 0 {
        return;
    }
    put(out, &session.opened_record(session.disconnected_at));
    if session.any_connection().is_none() {
        put(out, &Record::Closed { key, expiry, at: session.disconnected_at, will: session.will.is_some() });
    }
    for (filter, Subscription { options, identifier, .. }) in subscribed.iter() {
        put(out, &Record::Subscribed { key, options: options.to_bits(), identifier, filter: &filter });
    }
}

/// The name of the group that a filter belongs to, as a partition.
pub(crate) fn group_partition(share: &str, filter: &str) -> Partition {
    Partition::of(&[TENANT, share, filter])
}
