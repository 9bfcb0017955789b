//! Everything that shards leave for each other, and others for them.
//!
//! In:    bags of mail with credit, connections that move, commands.
//! Out:   the same, in order for each pair of sender and receiver.
//! Never: waits. A bag without credit stays with its sender.
//!
//! It cannot deadlock: no shard ever waits for another. Receiving needs no credit: a shard takes what is in its inbox in
//! every tick, also while its own mail has no credit, so every bag under way is handled and its credit comes back, and
//! whoever brings it back wakes the sender that ran dry. Nor can it grow without bound: bags are bounded by credit, bags
//! that stay behind by the engine (which slows publishers to a congested receiver), connections by their maximum,
//! commands by the hands of an operator, answers by the connections that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;

use dunlin_engine::{
    Authority, ConnectionId, Effects, Engine, MailBag, Outcome, Peer, Pledge, ReadToken, Settings, ShardId,
    ShardMap, Time,
};
use dunlin_net::Transport;
use mio::Waker;

use crate::credit::{Credits, UNDER_WAY_MAX};
use crate::inbox::Inbox;
use crate::input::Input;

/// One thing in an inbox.
#[derive(Debug)]
pub(crate) enum Item {
    /// Mail of another shard, the credit it took, and when the first of it was put in.
    Bag { from: ShardId, bag: MailBag, weight: usize, since: Time },
    /// A connection whose Session lives here.
    Arrival(Box<Arrival>),
    /// Records that the shard asked for.
    Read { token: ReadToken, records: Vec<(u32, Option<Vec<u8>>)> },
    /// A checkpoint of a partition is safe.
    Checkpointed { partition: u16, upto: u64 },
    /// The answer to a question about a connection.
    Authenticated { connection: ConnectionId, outcome: Box<Outcome> },
    /// Somebody looks at the engine, or tells it something.
    Visit(Visit),
    /// The Server says something of itself.
    Publish { topic: String, payload: Vec<u8> },
    /// The rights of some changed.
    Review(Arc<dyn Authority>),
    /// The settings changed.
    Reconfigure(Arc<Settings>),
    /// Played Clients speak.
    #[cfg(feature = "simulated")]
    Speak(std::ops::Range<u32>),
    /// Close every connection in good order, then end.
    ShutDown,
    /// End.
    Stop,
}

/// What is done with an engine between two events; short, for the shard does nothing else meanwhile.
pub(crate) struct Visit(pub(crate) Box<Visiting>);

type Visiting = dyn FnOnce(&mut Engine, Time, &mut Effects) + Send;

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visit")
    }
}

/// A connection on its way to another shard.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) transport: Transport,
    pub(crate) peer: Peer,
    /// It holds a place of its address.
    pub(crate) counted: bool,
    pub(crate) input: Input,
    /// Its Client was admitted.
    pub(crate) pledge: Option<Box<Pledge>>,
}

/// The inboxes of all shards and the credit between them.
#[derive(Debug)]
pub(crate) struct Post {
    map: ShardMap,
    inboxes: Box<[Inbox<Item>]>,
    credits: Credits,
}

impl Post {
    /// `wakers` in the order of the shards.
    pub(crate) fn new(map: ShardMap, wakers: Vec<Waker>) -> Self {
        assert!(wakers.len() == map.count(), "every shard has a waker");
        Self {
            map,
            inboxes: wakers.into_iter().map(Inbox::new).collect(),
            credits: Credits::new(map, UNDER_WAY_MAX),
        }
    }

    /// Puts something into an inbox.
    pub(crate) fn push(&self, to: ShardId, item: Item) {
        self.inbox(to).push(item);
    }

    /// Puts the same into every inbox.
    pub(crate) fn broadcast(&self, mut item: impl FnMut() -> Item) {
        for inbox in &self.inboxes {
            inbox.push(item());
        }
    }

    pub(crate) const fn map(&self) -> ShardMap {
        self.map
    }

    pub(crate) fn inbox(&self, shard: ShardId) -> &Inbox<Item> {
        &self.inboxes[shard.index()]
    }

    /// Hands a connection over.
    pub(crate) fn send_connection(&self, to: ShardId, arrival: Box<Arrival>) {
        self.inbox(to).push(Item::Arrival(arrival));
    }

    /// Answers a question of a shard.
    pub(crate) fn answer(&self, to: ShardId, connection: ConnectionId, outcome: Outcome) {
        self.inbox(to).push(Item::Authenticated { connection, outcome: Box::new(outcome) });
    }

    /// May a bag go? Where not, the sender is woken when it may.
    pub(crate) fn may_send(&self, from: ShardId, to: ShardId) -> bool {
        self.credits.may_send(from, to)
    }

    /// While memory is not ample, less mail may be under way. Every shard is to be woken afterwards.
    pub(crate) fn set_tight(&self, tight: bool) {
        self.credits.set_tight(tight);
    }

    /// Sends a bag, after [`Self::may_send`].
    pub(crate) fn send_bag(&self, from: ShardId, to: ShardId, bag: MailBag, since: Time) {
        let weight = bag.weight();
        self.credits.sent(from, to, weight);
        self.inbox(to).push(Item::Bag { from, bag, weight, since });
    }

    /// Gives back the credit of a bag that was handled.
    pub(crate) fn bag_handled(&self, from: ShardId, to: ShardId, weight: usize) {
        if self.credits.handled(from, to, weight) {
            self.inbox(from).nudge();
        }
    }

    /// Moves what came for a shard to the end of `into`.
    pub(crate) fn drain(&self, shard: ShardId, into: &mut VecDeque<Item>) {
        self.inbox(shard).drain(into);
    }
}
