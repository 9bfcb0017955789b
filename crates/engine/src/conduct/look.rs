//! The facts, as whoever visits an engine gets them: a part of the Clients at a time.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_codec::{ProtocolVersion, QoS, TopicName};

use super::dossier::{Dossier, Past};
use super::{History, Losses, OriginConduct, Sample};
use crate::connection::Connection;
use crate::engine::Engine;
use crate::session::{SessionId, Subscribed};
use crate::time::Time;

/// Topic Filters of a Client that are shown.
const FILTERS: usize = 16;

/// What a Client sent and got, as long as the Server remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// PUBLISH packets of the Client, by QoS.
    pub published: [u64; 3],
    /// Those with RETAIN.
    pub retained: u64,
    /// Bytes of them all, whole packets.
    pub bytes: u64,
    /// PUBLISH packets for the Client.
    pub delivered: u64,
    /// PINGREQ packets.
    pub pings: u64,
    /// How long its connections lasted.
    pub connected: Duration,
}

/// What is known of a Client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConduct {
    /// Client Identifier.
    pub client_id: Box<str>,
    /// The name it was let in with; `None` where nobody was asked.
    pub user: Option<Box<str>>,
    /// Where it comes from, or came from last.
    pub address: Option<SocketAddr>,
    /// Where the connection before came from, that this one took over.
    pub rival: Option<SocketAddr>,
    /// Index into the listeners of the configuration, of its connection or of the last one.
    pub listener: Option<u16>,
    /// Of its Session.
    pub version: Option<ProtocolVersion>,
    /// Is it connected?
    pub is_connected: bool,
    /// How long its Session has been without a connection; `None` where it has one, or there is no Session.
    pub away: Option<Duration>,
    /// One and a half times of it are waited for; zero: off. Where it is not connected, zero too.
    pub keep_alive: Duration,
    /// Session Expiry Interval in seconds.
    pub expiry: u32,
    /// Does it have a Will? Where it is not connected: did it?
    pub has_will: bool,
    /// Of this connection, and of those before as far as they are remembered.
    pub traffic: Traffic,
    /// QoS 0 messages that it did not get.
    pub losses: Losses,
    /// Messages that wait for it.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Times that its Session was resumed since the Server began.
    pub resumed: u16,
    /// The first Topic Filters of its Subscriptions.
    pub filters: Vec<(Box<str>, QoS)>,
    /// `None` where it is not remembered.
    pub history: Option<History>,
    /// A few messages that it published.
    pub samples: Vec<Sample>,
}

/// Some Clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConductPage {
    /// In no particular order.
    pub clients: Vec<ClientConduct>,
    /// Where to go on; `None` after the last.
    pub next: Option<u32>,
}

/// Who of this shard gets messages of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Sessions, and members of shared groups homed here.
    pub receivers: u32,
    /// The highest QoS that one of them was granted.
    pub best: Option<QoS>,
}

impl Engine {
    /// Clients with a Session, from the one in slot `from` on: those in the next `slots` slots.
    #[must_use]
    pub fn conduct(&self, now: Time, from: u32, slots: u32) -> ConductPage {
        let span = self.hub.sessions.slots.span();
        let end = span.min(from.saturating_add(slots));
        let ids = (from..end).map(|index| self.hub.sessions.current(index));
        let clients = ids.filter_map(|id| self.conduct_in(now, id)).collect();
        ConductPage { clients, next: (end < span).then_some(end) }
    }

    /// One Client, with or without a Session; `None` where nothing is known of it here.
    #[must_use]
    pub fn conduct_of(&self, now: Time, client_id: &str) -> Option<ClientConduct> {
        if let Some(id) = self.hub.sessions.find(client_id) {
            return self.conduct_in(now, id);
        }
        let hash = self.hub.conduct.hash(client_id);
        let dossier = self.hub.conduct.dossiers.find(hash, |kept| *kept.client_id == *client_id)?;
        Some(self.conduct_without(now, dossier))
    }

    /// Clients that have no Session, as far as they are remembered: a thousand at most.
    #[must_use]
    pub fn departed(&self, now: Time) -> Vec<ClientConduct> {
        let dossiers = self.hub.conduct.dossiers.iter();
        let departed = dossiers.filter(|dossier| self.hub.sessions.find(&dossier.client_id).is_none());
        departed.map(|dossier| self.conduct_without(now, dossier)).collect()
    }

    /// Addresses and users: some hundred at most.
    #[must_use]
    pub fn origins(&self, now: Time) -> Vec<OriginConduct> {
        self.hub.conduct.origins.iter().map(|origin| origin.conduct(now)).collect()
    }

    /// Who gets messages of each of these topics, as Subscriptions are now.
    #[must_use]
    pub fn audiences(&self, topics: &[String]) -> Vec<Audience> {
        topics.iter().map(|topic| self.audience(topic)).collect()
    }

    fn audience(&self, topic: &str) -> Audience {
        let mut audience = Audience::default();
        let Ok(topic) = TopicName::parse(topic) else { return audience };
        let mut add = |qos: QoS| {
            audience.receivers += 1;
            audience.best = audience.best.max(Some(qos));
        };
        self.router.tree.matches(topic, |wants| {
            wants.local.iter().for_each(|subscriber| add(subscriber.options.qos));
            for group in wants.groups {
                self.groups.members_qos(*group).for_each(&mut add);
            }
        });
        audience
    }

    fn conduct_in(&self, now: Time, id: SessionId) -> Option<ClientConduct> {
        let session = self.hub.sessions.get(id)?;
        let connection = session.connection().and_then(|id| self.hub.connections.get(id));
        let hash = self.hub.conduct.hash(&session.client_id);
        let dossier = self.hub.conduct.dossiers.find(hash, |kept| kept.client_id == session.client_id);
        let outgoing = session.outgoing.as_ref();
        let is_away = connection.is_none() && session.opening().is_none();
        let mut losses = session.seldom.losses;
        losses.join(dossier.map_or_else(Losses::default, |dossier| dossier.losses));
        Some(ClientConduct {
            client_id: session.client_id.clone(),
            user: session.user().map(Box::from),
            address: match connection {
                Some(connection) => connection.peer.address(),
                None => dossier.and_then(|dossier| dossier.address),
            },
            rival: dossier.and_then(|dossier| dossier.rival),
            listener: connection
                .map(|connection| connection.peer.listener())
                .or(dossier.map(|dossier| dossier.listener)),
            version: Some(session.version),
            is_connected: connection.is_some(),
            away: is_away.then(|| now.since(session.disconnected_at)),
            keep_alive: connection
                .map_or(Duration::ZERO, |connection| Duration::from_secs(connection.keep_alive.into())),
            expiry: session.expiry,
            has_will: if connection.is_some() {
                session.will.is_some()
            } else {
                dossier.is_some_and(|dossier| dossier.history.had_will)
            },
            traffic: traffic(now, connection, dossier),
            losses,
            waiting: outgoing.map_or(0, |outgoing| outgoing.queue_len() as u64),
            waiting_bytes: outgoing.map_or(0, |outgoing| outgoing.queue_bytes()),
            resumed: session.resumed,
            filters: self.subscribed(id).map_or_else(Vec::new, filters),
            history: dossier.map(|dossier| dossier.history(now)),
            samples: self.hub.conduct.samples.of(&session.client_id, hash).to_vec(),
        })
    }

    fn conduct_without(&self, now: Time, dossier: &Dossier) -> ClientConduct {
        ClientConduct {
            client_id: dossier.client_id.clone(),
            user: None,
            address: dossier.address,
            rival: dossier.rival,
            listener: Some(dossier.listener),
            version: None,
            is_connected: false,
            away: None,
            keep_alive: Duration::ZERO,
            expiry: 0,
            has_will: dossier.history.had_will,
            traffic: traffic(now, None, Some(dossier)),
            losses: dossier.losses,
            waiting: 0,
            waiting_bytes: 0,
            resumed: 0,
            filters: Vec::new(),
            history: Some(dossier.history(now)),
            samples: self.hub.conduct.samples.of(&dossier.client_id, dossier.hash).to_vec(),
        }
    }
}

fn filters(subscribed: Subscribed<'_>) -> Vec<(Box<str>, QoS)> {
    let some = subscribed.iter().take(FILTERS);
    some.map(|(filter, subscription)| (filter.into(), subscription.options.qos)).collect()
}

fn traffic(now: Time, connection: Option<&Connection>, dossier: Option<&Dossier>) -> Traffic {
    let mut sum = dossier.map_or_else(Past::default, |dossier| dossier.past);
    if let Some(connection) = connection {
        sum.add(&connection.tally, now.since(connection.opened_at));
    }
    let Past { published, retained, bytes, delivered, pings, connected } = sum;
    Traffic { published, retained, bytes, delivered, pings, connected }
}
