//! What has to survive a restart: collected during a tick, written in batches, and who waits for that.
//!
//! In:    what happens to Sessions, retained messages and groups; what the log has stored.
//! Out:   batches of records; how far everything is safe.
//! Never: I/O. A record all of whose targets acknowledged before it is written is left out.
//! Spec:  MQTT 5.0 section 4.1 and 4.3; `docs/durability.md`.
//!
//! What needs to outlive only the process waits for `written`, which runs ahead of `safe`.
//!
//! There are two streams. What happened is written in order, each with a serial number; a serial number below `safe` is
//! stored, or needs not be. How far Sessions have come is written as a whole for each that moved: whichever is written
//! last counts, so it waits for nothing and can be written while the log is full.

mod bequest;
mod describe;
pub(crate) mod record;
mod restore;
mod row;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

pub(crate) use self::bequest::Bequest;
pub use self::describe::describe_record;
pub(crate) use self::record::Exchange;
pub use self::restore::JournalSource;
pub(crate) use self::restore::{Restoring, group_partition};
use self::row::Row;
pub(crate) use self::row::{Due, Lane, Opening};
pub use self::write::{JournalBatch, JournalCheckpoint, JournalRecord};
use crate::ceiling::Memory;
use crate::durability::Durability;
use crate::frame::Passing;
use crate::map::{Map, seeded};
use crate::message::Message;
use crate::partition::{Partition, ShardId, ShardMap, ShardSet};
use crate::session::SessionId;
use crate::session::entry::Home;
use crate::time::Time;

/// How long a message for a Client that is there may wait for its acknowledgement before it is written. A message under full load
/// takes 1 to 3 ms to its receiver and back: what is acknowledged first costs neither the disk nor the log anything.
const HOLD: Duration = Duration::from_millis(4);
/// How long acknowledgements that nobody waits for may stay unwritten. A crash makes the messages be sent again.
const LAZY: Duration = Duration::from_millis(50);
/// Messages that wait to be written or stored. Beyond, connections are not read.
const WAITING_MAXIMUM: usize = 256 * 1024;
/// Bytes of them.
const WAITING_BYTES_MAXIMUM: usize = 32 * 1024 * 1024;
/// Bytes of a message that has to be written. A log takes 16 MiB at once, and one that it does not take holds up all others.
pub(crate) const MESSAGE_MAXIMUM: usize = 14 * 1024 * 1024;
/// The same while memory is tight: some milliseconds of a fast disk.
const WAITING_BYTES_TIGHT: usize = 4 * 1024 * 1024;
/// What happens in a partition goes to the log's partition of the same number; how far its Sessions have come, to this much
/// more, so that it can be written while the other has to wait.
const PROGRESS: u16 = 256;
/// Partitions that the log must have.
pub const JOURNAL_PARTITIONS: u16 = 2 * PROGRESS;

/// Everything about durability in one shard.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Without it nothing outlives the process, and nothing waits.
    pub(crate) enabled: bool,
    /// The log has no room for what was handed over: all but progress waits.
    full: bool,
    /// It has none for anybody's, though nothing of this shard may wait for it.
    short: bool,
    /// Little may wait to be written while it is not ample.
    pub(crate) memory: Memory,
    /// Not written yet; the first has the serial number `first`.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    first: u64,
    reach: Reach,
    /// Somebody waits for what is written only.
    writes: bool,
    /// What is below is to be written at once.
    urgent: u64,
    writing: Option<Writing>,
    /// The batch of progress that is being written by itself, while the log is full, and the records that it replaces.
    relieving: Option<Writing>,
    /// Sessions whose progress is to be written, and since when.
    dirty: Vec<SessionId>,
    dirty_since: Option<Time>,
    /// The batch of progress that is being collected.
    relief: u64,
    row: Row,
    /// Records that are not needed any more.
    releases: Vec<(u16, u64)>,
    /// How many need a record that several share.
    shared: Map<(u8, u64), u32>,
    /// Deliveries that open exchanges of publishers brought and that are not written, by their serial numbers.
    unwritten: Map<Exchange, SmallVec<[u64; 1]>>,
    /// Records that open exchanges of publishers brought here.
    seen: Map<Exchange, SmallVec<[(u8, u64); 1]>>,
    partitions: Box<[PartitionState]>,
    /// Records of messages of groups that are done with since the last batch, and their partitions.
    groups_done: Vec<(u8, u64)>,
    /// Of the messages that were delivered to durable Sessions.
    publications: u64,
    /// The next Session's name in its partition.
    next_key: u64,
    /// What was posted to each other shard that it says when it is safe.
    posted: Vec<u64>,
    /// Clients whose last Session ended, by the serial numbers of the records that say so, until these are safe.
    ending: Map<Box<str>, u64>,
    /// The same of Sessions of which a Subscription ended.
    leaving: Map<SessionId, u64>,
    /// What `safe` was when these were looked through.
    ends_safe: u64,
    /// What came from each other shard, and what it is to be told once a serial number is safe.
    received: Vec<u64>,
    told: Vec<u64>,
    owed: Vec<VecDeque<(u64, u64)>>,
    owed_written: Vec<VecDeque<(u64, u64)>>,
    /// Wills on their way to other shards, as a checkpoint says it.
    bequests: BTreeMap<Bequest, Box<[u8]>>,
    pub(crate) restoring: Option<Box<Restoring>>,
    /// Exchanges of Sessions here that were open at a restart, and the other shards whose records name them: publishers may send
    /// again what came then.
    pub(crate) before: Map<Exchange, ShardSet>,
}

/// How far what was written has come.
#[derive(Debug, Default)]
struct Reach {
    /// Below it everything is safe.
    safe: u64,
    /// Below it everything outlives the process; never less than `safe`.
    written: u64,
    /// Batches of progress: the last that is safe, and the last that outlives the process.
    relief_safe: u64,
    relief_written: u64,
    /// How much is so of what was posted to each other shard.
    confirmed: Vec<u64>,
    confirmed_written: Vec<u64>,
}

/// What is kept for each partition.
#[derive(Debug, Default)]
struct PartitionState {
    /// The number of its next record.
    next: u64,
    /// Records that the next checkpoint makes superfluous.
    controls: Vec<u64>,
    /// The pending delivery of a publication.
    slot: (u64, u64),
    /// Records of retained messages, and of messages of groups, that count.
    retained: BTreeSet<u64>,
    groups: BTreeSet<u64>,
}

/// Something to be written.
#[derive(Debug)]
struct Pending {
    partition: u8,
    body: Body,
    /// 0: nobody needs it any more.
    outstanding: u32,
    since: Time,
}

#[derive(Debug)]
enum Body {
    /// Encoded already.
    Control(Box<[u8]>),
    Deliver {
        message: Message,
        targets: SmallVec<[(SessionId, u32); 1]>,
        exchange: Option<Exchange>,
    },
    Retained {
        message: Message,
    },
    Cleared {
        topic: Box<str>,
    },
    Group {
        group: u32,
        number: u64,
        message: Message,
    },
}

/// What was written and is not stored.
#[derive(Debug, Default)]
struct Writing {
    /// Serial numbers below are in it.
    upto: u64,
    relief: u64,
    /// QoS 2 deliveries that wait for it, and how long.
    exactly_once: Vec<(SessionId, u32, Durability)>,
    /// Sessions that may use the numbers of their deliveries up to these.
    numbered: Vec<(SessionId, u64)>,
    /// Records of progress that it replaces.
    replaced: Vec<(u16, u64)>,
    /// The first delivery in it of each partition that has one.
    first: BTreeMap<u8, u64>,
    /// Sessions that asked for messages of it before the log had them.
    unread: Vec<SessionId>,
}

impl Journal {
    pub(crate) fn new(map: ShardMap, seed: u64, enabled: bool, writes: bool) -> Self {
        Self {
            enabled,
            full: false,
            short: false,
            memory: Memory::Ample,
            pending: VecDeque::new(),
            pending_bytes: 0,
            first: 0,
            reach: Reach {
                confirmed: vec![0; map.count()],
                confirmed_written: vec![0; map.count()],
                ..Reach::default()
            },
            writes,
            urgent: 0,
            writing: None,
            relieving: None,
            dirty: Vec::new(),
            dirty_since: None,
            relief: 1,
            row: Row::default(),
            releases: Vec::new(),
            shared: seeded(seed),
            unwritten: seeded(seed),
            seen: seeded(seed),
            partitions: if enabled {
                (0..JOURNAL_PARTITIONS).map(|_| PartitionState::default()).collect()
            } else {
                Box::default()
            },
            groups_done: Vec::new(),
            publications: 0,
            next_key: 1,
            posted: vec![0; map.count()],
            ending: seeded(seed),
            leaving: seeded(seed),
            ends_safe: 0,
            received: vec![0; map.count()],
            told: vec![0; map.count()],
            owed: vec![VecDeque::new(); map.count()],
            owed_written: vec![VecDeque::new(); map.count()],
            bequests: BTreeMap::new(),
            restoring: None,
            before: seeded(seed),
        }
    }

    /// A message could not be read back. True where the log may not have taken it yet: then the Session goes on when it has.
    pub(crate) fn is_to_come(&mut self, session: SessionId, partition: u8, number: u64) -> bool {
        let Some(writing) = &mut self.writing else { return false };
        let is_to_come = writing.first.get(&partition).is_some_and(|first| *first <= number);
        if is_to_come && writing.unread.last() != Some(&session) {
            writing.unread.push(session);
        }
        is_to_come
    }

    /// A Session's progress does not count any more once all that is pending is stored.
    pub(crate) fn progress_replaced(&mut self, partition: u8, number: Option<u64>) {
        self.replaced(u16::from(partition) + PROGRESS, number);
    }

    /// A name for a new Session.
    pub(crate) fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key - 1
    }

    /// The serial number that comes next: what is pending now is safe when it is.
    pub(crate) fn serial(&self) -> u64 {
        self.first + self.pending.len() as u64
    }

    /// A Session of that Client ended, and the log does not know it yet.
    pub(crate) fn is_ending(&self, client_id: &str) -> bool {
        self.ending.get(client_id).is_some_and(|serial| *serial >= self.reach.safe)
    }

    /// A Session ended whose end was just recorded.
    pub(crate) fn ends(&mut self, client_id: Box<str>) {
        if self.enabled {
            self.ending.insert(client_id, self.serial() - 1);
        }
    }

    /// A Subscription of that Session ended, and the log does not know it yet.
    pub(crate) fn is_leaving(&self, session: SessionId) -> bool {
        self.leaving.get(&session).is_some_and(|serial| *serial >= self.reach.safe)
    }

    /// A Subscription ended whose end was just recorded.
    pub(crate) fn leaves(&mut self, session: SessionId) {
        if self.enabled {
            self.leaving.insert(session, self.serial() - 1);
        }
    }

    /// Has the log no room, so that what would need it is to be refused?
    pub(crate) const fn has_no_room(&self) -> bool {
        self.full || self.short
    }

    /// Has the log no room for what some shard hands over?
    pub(crate) const fn set_short(&mut self, short: bool) {
        self.short = short;
    }

    /// Is there so much to be written or waited for that nothing more should be read? Never while the log is full: then what
    /// needs room is refused, and what is read makes room.
    #[inline]
    pub(crate) fn is_too_busy(&self) -> bool {
        self.enabled && !self.has_no_room() && self.is_crowded()
    }

    /// Does the log have no room for so long that twice the bound waits to be written? What makes room has to be let in while it is
    /// full; but each CONNECT adds what is to be written.
    pub(crate) fn is_overcrowded(&self) -> bool {
        self.has_no_room()
            && (self.pending.len() > 2 * WAITING_MAXIMUM || self.pending_bytes > 2 * WAITING_BYTES_MAXIMUM)
    }

    fn is_crowded(&self) -> bool {
        self.pending.len() + self.row.len() > WAITING_MAXIMUM
            || self.pending_bytes > self.waiting_bytes_maximum()
    }

    pub(super) fn waiting_bytes_maximum(&self) -> usize {
        if self.memory == Memory::Ample { WAITING_BYTES_MAXIMUM } else { WAITING_BYTES_TIGHT }
    }

    fn push(&mut self, now: Time, partition: u8, body: Body, outstanding: u32, urgent: bool) -> u64 {
        let serial = self.serial();
        self.pending_bytes += body.weight();
        self.pending.push_back(Pending { partition, body, outstanding, since: now });
        if urgent {
            self.urgent = serial + 1;
        }
        serial
    }

    /// Something that happened.
    pub(crate) fn control(&mut self, now: Time, partition: u8, record: &record::Record<'_>) {
        if !self.enabled {
            return;
        }
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.push(now, partition, Body::Control(bytes.into()), 1, true);
    }

    /// A message for a durable Session. `urgent` where nobody will acknowledge it soon. Its serial number.
    pub(crate) fn deliver(
        &mut self,
        now: Time,
        partition: u8,
        target: (SessionId, u32),
        passing: &mut Passing<'_>,
        urgent: bool,
    ) -> u64 {
        let publication = *passing.publication.get_or_insert_with(|| {
            self.publications += 1;
            self.publications
        });
        let slot = &mut self.partitions[usize::from(partition)].slot;
        if slot.0 == publication && slot.1 >= self.first {
            let serial = slot.1;
            let at = usize::try_from(serial - self.first).unwrap_or(usize::MAX);
            if let Some(Pending { body: Body::Deliver { targets, .. }, outstanding, .. }) =
                self.pending.get_mut(at)
            {
                targets.push(target);
                *outstanding += 1;
                if urgent {
                    self.urgent = self.urgent.max(serial + 1);
                }
                return serial;
            }
        }
        let exchange = passing.view.exchange;
        let body =
            Body::Deliver { message: passing.stored(), targets: smallvec::smallvec![target], exchange };
        let serial = self.push(now, partition, body, 1 + u32::from(exchange.is_some()), urgent);
        self.partitions[usize::from(partition)].slot = (publication, serial);
        if let Some(exchange) = exchange {
            self.unwritten.entry(exchange).or_default().push(serial);
        }
        serial
    }

    /// Takes the first of what is to be written.
    fn pop(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front()?;
        let serial = self.first;
        self.pending_bytes -= pending.body.weight();
        self.first += 1;
        if let Body::Deliver { exchange: Some(exchange), .. } = &pending.body
            && let Some(serials) = self.unwritten.get_mut(exchange)
        {
            serials.retain(|other| *other != serial);
            if serials.is_empty() {
                self.unwritten.remove(exchange);
            }
        }
        Some(pending)
    }

    /// Exchanges of a Session that were open at a restart.
    pub(crate) fn before_of(&self, partition: u8, key: u64) -> Vec<Exchange> {
        let is_its = |exchange: &&Exchange| (exchange.partition, exchange.key) == (partition, key);
        let mut exchanges: Vec<Exchange> = self.before.keys().filter(is_its).copied().collect();
        exchanges.sort_unstable();
        exchanges
    }

    /// Did this exchange bring its message to the partition before a restart?
    pub(crate) fn has_seen(&self, partition: u8, exchange: Option<Exchange>) -> bool {
        !self.seen.is_empty()
            && exchange
                .and_then(|exchange| self.seen.get(&exchange))
                .is_some_and(|records| records.iter().any(|(of, _)| *of == partition))
    }

    /// A publisher's exchange is over: another message may have its identifier.
    pub(crate) fn exchange_released(&mut self, now: Time, exchange: Exchange) {
        for (partition, number) in self.seen.remove(&exchange).unwrap_or_default() {
            self.control(now, partition, &record::Record::Released { exchange });
            self.release(partition, number, true);
        }
        // What was never written needs no mark either; but it is known by its exchange no more.
        for serial in self.unwritten.remove(&exchange).unwrap_or_default() {
            let at = usize::try_from(serial - self.first).unwrap_or(usize::MAX);
            if let Some(Pending { body: Body::Deliver { exchange, .. }, outstanding, .. }) =
                self.pending.get_mut(at)
            {
                *exchange = None;
                *outstanding = outstanding.saturating_sub(1);
            }
        }
    }

    /// A retained message was set. Its serial number.
    pub(crate) fn retained(
        &mut self,
        now: Time,
        topic: &str,
        message: Option<Message>,
        old: Option<u64>,
    ) -> u64 {
        if !self.enabled {
            return 0;
        }
        let partition = Partition::of(&[topic]).index();
        let body = match message {
            Some(message) => Body::Retained { message },
            None => Body::Cleared { topic: topic.into() },
        };
        let serial = self.push(now, partition, body, 1, true);
        if let Some(old) = old {
            self.retained_replaced(partition, old);
        }
        serial
    }

    /// The record of a retained message does not count any more once all that is pending is stored.
    fn retained_replaced(&mut self, partition: u8, number: u64) {
        self.partitions[usize::from(partition)].retained.remove(&number);
        self.replaced(partition.into(), Some(number));
    }

    /// A record does not count any more once all that is pending is stored.
    pub(crate) fn replaced(&mut self, partition: u16, number: Option<u64>) {
        let serial = self.serial();
        self.row.replaced.extend(number.map(|number| (serial, partition, number)));
    }

    /// A message for a group with durable members.
    pub(crate) fn group_message(
        &mut self,
        now: Time,
        partition: u8,
        group: u32,
        number: u64,
        message: Message,
    ) -> Home {
        Home::Pending(self.push(now, partition, Body::Group { group, number, message }, 1, false))
    }

    /// A message of a group is done with.
    pub(crate) fn group_done(&mut self, now: Time, partition: u8, home: Home) {
        match home {
            Home::None => {}
            Home::Pending(serial) => self.acknowledged(serial),
            Home::Record { number, .. } => {
                let state = &mut self.partitions[usize::from(partition)];
                if state.groups.remove(&number) {
                    self.groups_done.push((partition, number));
                    self.dirty_since.get_or_insert(now);
                    self.releases.push((partition.into(), number));
                }
            }
        }
    }

    /// One who needed what is pending does not need it any more.
    fn acknowledged(&mut self, serial: u64) {
        let at = usize::try_from(serial.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(pending) = self.pending.get_mut(at) {
            pending.outstanding = pending.outstanding.saturating_sub(1);
        }
    }

    /// A delivery is over. True where the Session's progress has to say so.
    pub(crate) fn delivered(&mut self, partition: u8, home: Home) -> bool {
        match home {
            Home::None => false,
            Home::Pending(serial) => {
                self.acknowledged(serial);
                false
            }
            Home::Record { number, shared } => {
                self.release(partition, number, shared);
                true
            }
        }
    }

    fn release(&mut self, partition: u8, number: u64, shared: bool) {
        if shared {
            let Some(count) = self.shared.get_mut(&(partition, number)) else { return };
            *count -= 1;
            if *count > 0 {
                return;
            }
            self.shared.remove(&(partition, number));
        }
        self.releases.push((partition.into(), number));
    }

    /// The Session's progress is to be written: soon, or some time.
    pub(crate) fn moved(&mut self, now: Time, session: SessionId, dirty: &mut bool, soon: bool) {
        if !std::mem::replace(dirty, true) {
            self.dirty.push(session);
        }
        let since = if soon { Time::ZERO } else { now };
        self.dirty_since = Some(self.dirty_since.map_or(since, |old| old.min(since)));
    }

    /// Something that will be said to be safe went to another shard.
    pub(crate) fn posted(&mut self, to: ShardId) -> u64 {
        self.posted[to.index()] += 1;
        self.posted[to.index()]
    }

    /// Shards that have not said of all that was posted to them that it has come so far.
    pub(crate) fn unconfirmed(&self, durability: Durability) -> ShardSet {
        let confirmed = match durability {
            Durability::Synced => &self.reach.confirmed,
            Durability::Written => &self.reach.confirmed_written,
            Durability::Memory => return ShardSet::EMPTY,
        };
        let behind = |index: &usize| self.posted[*index] > confirmed[*index];
        let shards = (0..self.posted.len()).filter(behind).filter_map(ShardId::new);
        shards.fold(ShardSet::EMPTY, |mut set, shard| {
            set.insert(shard);
            set
        })
    }

    /// Something that is to be said to be safe came from another shard.
    pub(crate) fn received(&mut self, from: ShardId) {
        self.received[from.index()] += 1;
    }

    /// What came from that shard so far is safe when what is pending now is.
    pub(crate) fn owe(&mut self, from: ShardId) {
        let (serial, count) = (self.serial(), self.received[from.index()]);
        if std::mem::replace(&mut self.told[from.index()], count) != count {
            self.owed[from.index()].push_back((serial, count));
            if self.writes {
                self.owed_written[from.index()].push_back((serial, count));
            }
        }
    }

    /// A shard says how much of what was posted to it is safe, or written.
    pub(crate) fn confirmed(&mut self, from: ShardId, count: u64, durability: Durability) {
        if durability == Durability::Synced {
            self.reach.confirmed[from.index()] = count;
        }
        let written = &mut self.reach.confirmed_written[from.index()];
        *written = (*written).max(count);
    }

    /// Moves `safe` over what nobody needs any more.
    fn advance(&mut self) {
        if self.writing.is_none() {
            while let Some(pending) = self.pending.pop_front_if(|pending| pending.outstanding == 0) {
                self.pending_bytes -= pending.body.weight();
                self.first += 1;
            }
            self.reach.safe = self.first;
        }
        let Reach { safe, written, relief_safe, relief_written, .. } = &mut self.reach;
        if *safe > self.ends_safe {
            self.ends_safe = *safe;
            self.ending.retain(|_, serial| *serial >= *safe);
            self.leaving.retain(|_, serial| *serial >= *safe);
        }
        *written = (*written).max(*safe);
        *relief_written = (*relief_written).max(*relief_safe);
    }

    /// When a batch should be written, unless one is being written.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if !self.enabled || self.writing.is_some() && (!self.full || self.relieving.is_some()) {
            return None;
        }
        let pending = self.pending.front().filter(|_| self.writing.is_none()).map(|front| {
            if self.urgent > self.first || self.pending_bytes > self.waiting_bytes_maximum() / 2 {
                Time::ZERO
            } else {
                front.since.after(HOLD)
            }
        });
        let dirty = self.dirty_since.map(|since| if since == Time::ZERO { since } else { since.after(LAZY) });
        let released = (self.releases.len() > 4096).then_some(Time::ZERO);
        [pending, dirty, released].into_iter().flatten().min()
    }
}

impl Reach {
    /// Has what happened before this serial number come so far, here and in those shards?
    fn has_come(&self, serial: u64, remote: &[(ShardId, u64)], durability: Durability) -> bool {
        let (here, there) = match durability {
            Durability::Synced => (self.safe, &self.confirmed),
            Durability::Written => (self.written, &self.confirmed_written),
            Durability::Memory => return true,
        };
        serial <= here && remote.iter().all(|(shard, count)| there[shard.index()] >= *count)
    }

    /// The same for a batch of progress.
    fn has_progress(&self, batch: u64, durability: Durability) -> bool {
        batch <= if durability == Durability::Synced { self.relief_safe } else { self.relief_written }
    }
}

impl Body {
    fn weight(&self) -> usize {
        64 + match self {
            Self::Control(bytes) => bytes.len(),
            Self::Deliver { message, .. } | Self::Retained { message } | Self::Group { message, .. } => {
                message.weight()
            }
            Self::Cleared { topic } => topic.len(),
        }
    }
}
