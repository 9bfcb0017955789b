//! Session state: what the Server remembers of a Client between its connections (section 4.1).

pub(crate) mod entry;
mod extras;
pub(crate) mod fetch;
pub(crate) mod outgoing;
pub(crate) mod received;
mod subscriptions;

use std::hash::BuildHasher;
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, Rule};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub(crate) use self::fetch::Fetches;
pub(crate) use self::outgoing::Outgoing;
pub(crate) use self::received::ReceivedIds;
pub(crate) use self::subscriptions::{Membership, Subscribed, Subscription, Subscriptions};
use crate::access::Access;
use crate::conduct::Losses;
use crate::connect::TENANT;
use crate::durability::Durability;
use crate::event::ConnectionId;
use crate::journal::record::{Record, WillView};
use crate::mail::SessionRef;
use crate::message::Message;
use crate::partition::{Partition, ShardId};
use crate::rarely::{Empty, Rarely};
use crate::slots::Slots;
use crate::time::Time;

/// A Session Expiry Interval that never ends.
pub(crate) const NEVER_EXPIRES: u32 = u32::MAX;

/// A Session of this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId {
    index: u32,
    generation: u32,
}

/// What is remembered, as long as the Session lasts [MQTT311-4.1.0-1]. What most Sessions lack is behind a pointer, so that an idle one stays small.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Box<str>,
    /// Its name in the journal, in its partition; 0 where it does not outlive the process.
    pub(crate) key: u64,
    pub(crate) partition: u8,
    /// A Client was told of it, so that the journal has it where it has a key.
    pub(crate) is_known: bool,
    pub(crate) link: Link,
    pub(crate) version: ProtocolVersion,
    /// Session Expiry Interval in seconds.
    pub(crate) expiry: u32,
    /// Most exchanges in flight at a time.
    pub(crate) window: u16,
    /// When the last connection ended; meaningless while connected.
    pub(crate) disconnected_at: Time,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) outgoing: Option<Box<Outgoing>>,
    pub(crate) received: Option<Box<ReceivedIds>>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) fetches: Option<Box<Fetches>>,
    /// Who may do what in it; `None` where nobody was asked.
    pub(crate) access: Option<Box<Access>>,
    /// What the listener of its last connection says.
    pub(crate) durability: Durability,
    /// Times that a connection took it up again.
    pub(crate) resumed: u16,
    pub(crate) seldom: Rarely<Seldom>,
}

/// What few Sessions have.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// Shared groups that were refused a deal because the queue was full, to be told when it is not.
    pub(crate) refused: Vec<(ShardId, u32)>,
    pub(crate) pressure: Option<Box<Pressure>>,
    /// Sessions whose queues this one fills by publishing: its acknowledgements are withheld.
    pub(crate) slowed_by: Vec<SessionRef>,
    /// Rules that its Client broke and that were let pass: how often each.
    pub(crate) rules_broken: Option<Box<[u32; Rule::ALL.len()]>>,
    /// When a notice of dropped messages was last given, and how many were dropped since.
    pub(crate) dropped: (Time, u64),
    /// QoS 0 messages that did not get through.
    pub(crate) losses: Losses,
    /// Everything about its Client is noted.
    pub(crate) watched: bool,
}

impl Empty for Seldom {
    const EMPTY: &'static Self = &Self {
        refused: Vec::new(),
        pressure: None,
        slowed_by: Vec::new(),
        rules_broken: None,
        dropped: (Time::ZERO, 0),
        losses: Losses { away: 0, slow: 0, by_subscription: 0 },
        watched: false,
    };
}

/// The connection of a Session: one at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    None,
    /// Its CONNACK waits until the Session is safe.
    Opening(ConnectionId),
    Open(ConnectionId),
}

/// The Will Message and when it goes out.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) message: Message,
    /// Message Expiry Interval in seconds; counts from publication.
    pub(crate) expiry: Option<u32>,
    /// Will Delay Interval.
    pub(crate) delay: Duration,
    /// Set when the connection is lost.
    pub(crate) due: Option<Time>,
}

/// Publishers that this Session's queue slows.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    pub(crate) slowed: Vec<SessionRef>,
    /// When it began to slow somebody.
    pub(crate) since: Time,
    /// It did so for too long: it slows nobody until its queue has drained.
    pub(crate) barred: bool,
}

impl SessionId {
    /// For where it is kept packed.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.index) << 32 | u64::from(self.generation)).to_le_bytes()
    }

    /// The reverse.
    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [low @ .., _, _, _, _] = bytes;
        let [_, _, _, _, high @ ..] = bytes;
        Self { index: u32::from_le_bytes(high), generation: u32::from_le_bytes(low) }
    }

    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    pub(crate) const fn index(self) -> u32 {
        self.index
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }
}

impl Session {
    /// One that has nothing yet.
    pub(crate) fn new(client_id: &str, now: Time) -> Self {
        Self {
            client_id: client_id.into(),
            key: 0,
            partition: Partition::of_session(TENANT, client_id).index(),
            is_known: false,
            link: Link::None,
            version: ProtocolVersion::V311,
            expiry: 0,
            window: 1,
            disconnected_at: now,
            subscriptions: Subscriptions::default(),
            outgoing: None,
            received: None,
            will: None,
            fetches: None,
            access: None,
            durability: Durability::Synced,
            resumed: 0,
            seldom: Rarely::default(),
        }
    }

    /// Its connection, once that has its CONNACK.
    #[inline]
    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Open(id) => Some(id),
            Link::None | Link::Opening(_) => None,
        }
    }

    /// The connection whose CONNACK waits until the Session is safe.
    pub(crate) const fn opening(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Opening(id) => Some(id),
            Link::None | Link::Open(_) => None,
        }
    }

    /// Either.
    pub(crate) const fn any_connection(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Opening(id) | Link::Open(id) => Some(id),
            Link::None => None,
        }
    }

    /// Everything about its Client is noted, or no more.
    pub(crate) fn set_watched(&mut self, watched: bool) {
        if watched {
            self.seldom.make().watched = true;
        } else if let Some(seldom) = self.seldom.existing() {
            seldom.watched = false;
        }
    }

    /// The sending half, made where there is none yet.
    pub(crate) fn outgoing_mut(&mut self) -> &mut Outgoing {
        self.outgoing.get_or_insert_with(|| Box::new(Outgoing::new(self.window)))
    }

    /// What the journal says when a connection takes it up.
    pub(crate) fn opened_record(&self, at: Time) -> Record<'_> {
        let will = self.will.as_ref().map(|will| will.view());
        Record::Opened { key: self.key, client_id: &self.client_id, expiry: self.expiry, at, will }
    }

    /// What the journal says when its connection ended, or its Will went out.
    pub(crate) fn closed_record(&self) -> Record<'static> {
        Record::Closed {
            key: self.key,
            expiry: self.expiry,
            at: self.disconnected_at,
            will: self.will.is_some(),
        }
    }

    /// When it ends, if nobody connects; `None` while connected or where it lasts for ever.
    pub(crate) fn expires_at(&self) -> Option<Time> {
        (self.any_connection().is_none() && self.expiry != NEVER_EXPIRES)
            .then(|| self.disconnected_at.after(Duration::from_secs(self.expiry.into())))
    }

    /// Does it end with its connection?
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.expiry == 0
    }

    /// When it wants to be looked at.
    pub(crate) fn deadline(&self, slow_maximum: Duration) -> Option<Time> {
        let will = self.will.as_ref().and_then(|will| will.due);
        let stalled = self
            .seldom
            .pressure
            .as_ref()
            .filter(|pressure| !pressure.slowed.is_empty())
            .map(|pressure| pressure.since.after(slow_maximum));
        [will, self.expires_at(), stalled].into_iter().flatten().min()
    }
}

impl Will {
    /// What the journal says of it.
    pub(crate) fn view(&self) -> WillView<'_> {
        WillView {
            message: self.message.view(),
            expiry: self.expiry.map_or(0, |seconds| u64::from(seconds) + 1),
            delay: self.delay.as_secs(),
        }
    }
}

/// All Sessions of a shard.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) slots: Slots<Session>,
    /// Slots, by the hash of the Client Identifier, which the Session has: so it is not kept twice.
    by_client_id: HashTable<u32>,
    hasher: FixedState,
    /// Those of each partition, in no order.
    by_partition: Vec<Vec<u32>>,
    /// Where each slot's Session is in that list.
    places: Vec<u32>,
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slots::default(),
            by_client_id: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            by_partition: vec![Vec::new(); Partition::COUNT],
            places: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, session: Session) -> SessionId {
        let hash = (!session.is_bequest()).then(|| self.hasher.hash_one(&*session.client_id));
        let partition = &mut self.by_partition[usize::from(session.partition)];
        let place = u32::try_from(partition.len()).unwrap_or(u32::MAX);
        let (index, generation) = self.slots.insert(session);
        partition.push(index);
        if self.places.len() <= index as usize {
            self.places.resize(index as usize + 1, 0);
        }
        self.places[index as usize] = place;
        if let Some(hash) = hash {
            let Self { slots, by_client_id, hasher, .. } = self;
            let rehash =
                |index: &u32| slots.get(*index).map_or(0, |session| hasher.hash_one(&*session.client_id));
            by_client_id.insert_unique(hash, index, rehash);
        }
        SessionId::new(index, generation)
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.slots.remove(id.index)?;
        let hash = self.hasher.hash_one(&*session.client_id);
        if let Ok(entry) = self.by_client_id.find_entry(hash, |index| *index == id.index) {
            entry.remove();
        }
        let place = self.places[id.index as usize];
        let partition = &mut self.by_partition[usize::from(session.partition)];
        partition.swap_remove(place as usize);
        if let Some(moved) = partition.get(place as usize) {
            self.places[*moved as usize] = place;
        }
        Some(session)
    }

    pub(crate) fn find(&self, client_id: &str) -> Option<SessionId> {
        let is_it = |index: &u32| self.slots.get(*index).is_some_and(|found| *found.client_id == *client_id);
        let index = self.by_client_id.find(self.hasher.hash_one(client_id), is_it)?;
        Some(self.current(*index))
    }

    /// The slots of a partition's Sessions.
    pub(crate) fn in_partition(&self, partition: u8) -> &[u32] {
        &self.by_partition[usize::from(partition)]
    }

    /// The identifier of whoever has the slot now.
    pub(crate) fn current(&self, index: u32) -> SessionId {
        SessionId::new(index, self.slots.generation(index))
    }

    #[inline]
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.slots.get(id.index).filter(|_| self.slots.is_current(id.index, id.generation))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        if self.slots.is_current(id.index, id.generation) { self.slots.get_mut(id.index) } else { None }
    }
}
