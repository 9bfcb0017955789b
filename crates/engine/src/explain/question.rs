//! Questions about a Client and a topic, and what one shard knows.
//!
//! Never: more than one look through the rings, the Client's own Subscriptions, and some thousand topics.

use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{QoS, RetainHandling, TopicFilter, TopicName, matches};

use super::entry::{Decision, Entry, What};
use super::near::{Gap, gap};
use super::ring::Ring;
use crate::admission::Identity;
use crate::connection::Pause;
use crate::engine::Engine;
use crate::policy::Subscribing;
use crate::session::{SessionId, Subscribed, Subscription};
use crate::settings::Settings;
use crate::time::Time;

/// Decisions of a kind that are told at most, the newest.
const TOLD: usize = 64;
/// Nearest Subscriptions, topics and Clients that are told.
const NEAREST: usize = 4;
/// Topics and Clients that are looked at for one like the one that was asked for.
const LOOKED_AT: usize = 16 * 1024;
/// What is further away than this is not alike.
const ALIKE: u32 = 4;

/// Why did this Client get, or not get, a message of this topic?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Client Identifier.
    pub client: Box<str>,
    /// Topic Name.
    pub topic: Box<str>,
}

/// What one shard knows.
#[derive(Clone, Debug)]
pub struct Findings {
    /// When it was asked.
    pub now: Time,
    /// From when on each ring knows everything.
    pub reach: Reach,
    /// The Client's Session, where it lives here.
    pub session: Option<SessionFound>,
    /// What became of the Client's Session and Subscriptions, the newest first.
    pub life: Vec<Decision>,
    /// What became of messages of the topic for the Client, and of those whose topic is not known, the newest first.
    pub decisions: Vec<Decision>,
    /// What became of what was published to the topic, by whomever, the newest first.
    pub published: Vec<Decision>,
    /// Whom else messages of the topic went to, the newest first.
    pub others: Vec<Decision>,
    /// Publishers that were refused, slowed or disconnected, whatever the topic, the newest first.
    pub troubles: Vec<Decision>,
    /// Messages of the topic that were published in this shard.
    pub topic: Option<TopicFound>,
    /// Topics like it that were published to.
    pub alike: Vec<TopicFound>,
    /// Were topics let go at a bound, so that one that was published to may not be known?
    pub has_forgotten: bool,
    /// Clients whose identifiers are like that of the question.
    pub clients_alike: Vec<Box<str>>,
    /// Shared groups at home here that get the topic.
    pub groups: Vec<GroupFound>,
    /// The retained message of the topic, where it is kept here.
    pub retained: Option<RetainedFound>,
    /// What the Server is configured with.
    pub settings: Arc<Settings>,
}

/// From when on the ledger knows everything; `None`: since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// About Sessions and Subscriptions.
    pub sessions: Option<Time>,
    /// About losses.
    pub failures: Option<Time>,
    /// About messages that were followed.
    pub followed: Option<Time>,
}

/// A Session as it is now.
#[derive(Clone, Debug)]
pub struct SessionFound {
    /// Since when it is connected; `None`: it is not.
    pub connected_since: Option<Time>,
    /// When the last connection ended; without meaning while connected.
    pub disconnected_at: Time,
    /// Session Expiry Interval in seconds.
    pub expiry: u32,
    /// Protocol version: 3, 4 or 5.
    pub version: u8,
    /// Messages in flight at a time.
    pub window: u16,
    /// Sent and not acknowledged.
    pub in_flight: usize,
    /// In its queue.
    pub queued: usize,
    /// Their bytes.
    pub queue_bytes: u64,
    /// Those of them that are in memory and have the topic.
    pub queued_of_topic: usize,
    /// The first of the queue waits until it is written to disk.
    pub waits_for_disk: bool,
    /// Maximum Packet Size of the Client, in bytes.
    pub maximum_packet_size: u32,
    /// Listener of the connection.
    pub listener: u16,
    /// Subscriptions in total.
    pub subscriptions: usize,
    /// Those that match the topic.
    pub matching: Vec<SubscriptionFound>,
    /// Those that come nearest to it, the nearest first.
    pub nearest: Vec<(Box<str>, Gap)>,
    /// Whom it was recognised as.
    pub identity: Option<Arc<Identity>>,
    /// May it receive the topic now?
    pub may_receive: bool,
    /// May it publish to the topic now, with QoS 0 and without RETAIN?
    pub may_publish: bool,
    /// May it subscribe to the topic now?
    pub may_subscribe: bool,
    /// Why its connection is not read, in words.
    pub paused: Option<&'static str>,
    /// Sessions whose queues it fills, so that its acknowledgements are withheld.
    pub slowed_by: usize,
    /// PUBACKs and PUBRECs that wait for the disk.
    pub unanswered: usize,
    /// Its Will.
    pub will: Option<WillFound>,
}

/// A Will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillFound {
    /// Its topic.
    pub topic: Box<str>,
    /// When it goes out; `None`: while the Client is connected.
    pub due: Option<Time>,
    /// Will Delay Interval.
    pub delay: Duration,
}

/// A Subscription that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFound {
    /// As the Client wrote it, `$share/` included.
    pub filter: Box<str>,
    /// Granted.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain Handling.
    pub retain: RetainHandling,
    /// Each message is asked about.
    pub filtered: bool,
    /// A Shared Subscription.
    pub is_shared: bool,
}

/// A topic that was published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFound {
    /// Topic Name.
    pub topic: Box<str>,
    /// Messages, since its route is kept.
    pub count: u64,
    /// The last.
    pub last: Time,
    /// Who published it; `None`: a Session that has ended.
    pub by: Option<Box<str>>,
}

/// A shared group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFound {
    /// Share name.
    pub share: Box<str>,
    /// Topic Filter.
    pub filter: Box<str>,
    /// Members.
    pub members: usize,
    /// Those with a connection.
    pub connected: usize,
    /// Messages that wait for a member with room.
    pub pending: usize,
}

/// A retained message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedFound {
    /// As published.
    pub qos: QoS,
    /// Its Message Expiry Interval has passed.
    pub is_expired: bool,
    /// Of the payload.
    pub bytes: usize,
}

impl Engine {
    /// What this shard knows about the question.
    #[must_use]
    pub fn explain(&self, now: Time, question: &Question) -> Findings {
        let hub = &self.hub;
        let ledger = &hub.ledger;
        let Question { client, topic } = question;
        let (sessions, failures, followed) = (&ledger.sessions, &ledger.failures, &ledger.followed);
        let reach = Reach {
            sessions: sessions.reaches_back_to(),
            failures: failures.reaches_back_to(),
            followed: followed.reaches_back_to(),
        };
        let decisions = [failures, followed].map(|ring| {
            let concerns = |entry: &Entry| {
                let is_acknowledged = matches!(entry.what, What::Acknowledged { .. });
                entry.client.hash == ring.hash(client)
                    && (entry.topic.hash == ring.hash(topic)
                        || is_acknowledged
                        || entry.topic.hash == ring.hash(""))
            };
            told(ring, concerns, |told| {
                told.client == *client && (told.topic == *topic || told.topic.is_empty())
            })
        });
        let published = [sessions, failures, followed].map(|ring| {
            let concerns =
                |entry: &Entry| entry.topic.hash == ring.hash(topic) && entry.what.is_of_publisher();
            told(ring, concerns, |told| told.topic == *topic)
        });
        let others = [failures, followed].map(|ring| {
            let concerns =
                |entry: &Entry| entry.topic.hash == ring.hash(topic) && !entry.what.is_of_publisher();
            told(ring, concerns, |told| told.topic == *topic && told.client != *client)
        });
        let is_trouble = |entry: &Entry| match entry.what {
            What::Closed(reason) => reason >= 0x80,
            what => matches!(
                what,
                What::PublishRefused(_) | What::NoRoom(_) | What::PublishDenied { .. } | What::Slowed
            ),
        };
        Findings {
            now,
            reach,
            session: hub.sessions.find(client).and_then(|id| self.session_found(id, topic)),
            life: told(
                sessions,
                |entry| entry.client.hash == sessions.hash(client),
                |told| told.client == *client,
            ),
            decisions: joined(decisions),
            published: joined(published),
            others: joined(others),
            troubles: joined([sessions, failures].map(|ring| told(ring, is_trouble, |_| true))),
            topic: self.topic_found(topic),
            alike: self.topics_alike(topic),
            has_forgotten: self.router.has_forgotten(),
            clients_alike: self.clients_alike(client),
            groups: self.groups_found(topic),
            retained: self.retained.get(topic).map(|message| {
                let view = message.view();
                RetainedFound { qos: view.qos, is_expired: view.is_expired(now), bytes: view.payload.len() }
            }),
            settings: Arc::clone(&hub.settings),
        }
    }

    /// Whom a Client of this shard was recognised as.
    #[must_use]
    pub fn identity_of(&self, client: &str) -> Option<Arc<Identity>> {
        let session = self.hub.sessions.get(self.hub.sessions.find(client)?)?;
        session.access.as_ref().map(|access| Arc::clone(&access.identity))
    }

    fn session_found(&self, id: SessionId, topic: &str) -> Option<SessionFound> {
        let session = self.hub.sessions.get(id)?;
        let connection = session.connection().and_then(|id| self.hub.connections.get(id));
        let outgoing = session.outgoing.as_deref();
        let policy = session.access.as_ref().and_then(|access| access.policy.as_ref());
        let (matching, nearest) = subscriptions(self.subscribed(id)?, topic);
        let withheld = connection.and_then(|connection| connection.seldom.slowed.as_ref());
        Some(SessionFound {
            connected_since: connection.map(|connection| connection.opened_at),
            disconnected_at: session.disconnected_at,
            expiry: session.expiry,
            version: session.version as u8,
            window: session.window,
            in_flight: outgoing.map_or(0, |outgoing| outgoing.in_flight()),
            queued: outgoing.map_or(0, |outgoing| outgoing.queue_len()),
            queue_bytes: outgoing.map_or(0, |outgoing| outgoing.queue_bytes()),
            queued_of_topic: outgoing.map_or(0, |outgoing| outgoing.queued_of(topic)),
            waits_for_disk: outgoing.is_some_and(|outgoing| outgoing.waits_for_journal()),
            maximum_packet_size: connection.map_or(u32::MAX, |connection| connection.maximum_packet_size),
            listener: connection.map_or(0, |connection| connection.peer.listener()),
            subscriptions: session.subscriptions.len(),
            matching,
            nearest,
            identity: session.access.as_ref().map(|access| Arc::clone(&access.identity)),
            may_receive: policy.is_none_or(|policy| policy.may_receive(topic)),
            may_publish: policy.is_none_or(|policy| policy.may_publish(topic, QoS::AtMostOnce, false)),
            may_subscribe: policy
                .is_none_or(|policy| policy.may_subscribe(topic, QoS::AtMostOnce) != Subscribing::Refused),
            paused: connection.and_then(|connection| connection.paused).map(in_words),
            slowed_by: session.seldom.slowed_by.len(),
            unanswered: connection
                .map_or(0, |connection| connection.unanswered as usize + connection.unreceived as usize)
                + withheld.map_or(0, |slowed| slowed.withheld.len()),
            will: session.will.as_ref().map(|will| WillFound {
                topic: will.message.view().topic.into(),
                due: will.due,
                delay: will.delay,
            }),
        })
    }

    fn topic_found(&self, topic: &str) -> Option<TopicFound> {
        let seen = self.router.seen_of(topic).filter(|seen| seen.count > 0)?;
        let by = seen.by.and_then(|by| self.hub.sessions.get(by.session));
        Some(TopicFound {
            topic: topic.into(),
            count: seen.count,
            last: seen.last,
            by: by.map(|session| session.client_id.clone()).or_else(|| self.published_by(topic)),
        })
    }

    /// Who published the last message of a topic that was followed.
    fn published_by(&self, topic: &str) -> Option<Box<str>> {
        let ring = &self.hub.ledger.followed;
        let hash = ring.hash(topic);
        let told = ring.newest_first().find_map(|entry| {
            let is_it = entry.topic.hash == hash && matches!(entry.what, What::Published { .. });
            ring.told(entry).filter(|told| is_it && *told.topic == *topic)
        });
        told.map(|told| told.client).filter(|client| !client.is_empty())
    }

    fn topics_alike(&self, topic: &str) -> Vec<TopicFound> {
        let published = self.router.seen().take(LOOKED_AT).filter(|(other, seen)| {
            seen.count > 0 && *other != topic && other.len().abs_diff(topic.len()) <= ALIKE as usize
        });
        let alike: Vec<(u32, &str)> = published
            .map(|(other, _)| (gap(other, topic).distance, other))
            .filter(|(distance, _)| *distance <= ALIKE)
            .collect();
        nearest(alike).into_iter().filter_map(|other| self.topic_found(other)).collect()
    }

    fn clients_alike(&self, client: &str) -> Vec<Box<str>> {
        let sessions = &self.hub.sessions.slots;
        let names = (0..sessions.span()).take(LOOKED_AT).filter_map(|index| sessions.get(index));
        let alike: Vec<(u32, &str)> = names
            .map(|session| &*session.client_id)
            .filter(|name| *name != client && name.len().abs_diff(client.len()) <= ALIKE as usize)
            .map(|name| (gap(name, client).distance, name))
            .filter(|(distance, _)| *distance <= ALIKE)
            .collect();
        nearest(alike).into_iter().map(Box::from).collect()
    }

    fn groups_found(&self, topic: &str) -> Vec<GroupFound> {
        let Ok(name) = TopicName::parse(topic) else { return Vec::new() };
        let mut groups = Vec::new();
        self.router.tree.matches(name, |wants| groups.extend_from_slice(wants.groups));
        groups.into_iter().take(TOLD).filter_map(|group| self.groups.found(group)).collect()
    }
}

/// The decisions of a ring for which both hold, the newest first.
fn told(ring: &Ring, may: impl Fn(&Entry) -> bool, does: impl Fn(&Decision) -> bool) -> Vec<Decision> {
    let told = ring.newest_first().filter(|entry| may(entry)).filter_map(|entry| ring.told(entry));
    told.filter(|told| does(told)).take(TOLD).collect()
}

fn joined<const N: usize>(parts: [Vec<Decision>; N]) -> Vec<Decision> {
    let mut joined = parts.concat();
    joined.sort_by_key(|told| std::cmp::Reverse(told.until));
    joined
}

fn nearest<T>(mut alike: Vec<(u32, T)>) -> Vec<T> {
    alike.sort_by_key(|(distance, _)| *distance);
    alike.into_iter().take(NEAREST).map(|(_, one)| one).collect()
}

/// Those of a Session that match a topic, and those that nearly do.
fn subscriptions(subscribed: Subscribed<'_>, topic: &str) -> (Vec<SubscriptionFound>, Vec<(Box<str>, Gap)>) {
    let name = TopicName::parse(topic).ok();
    let mut matching = Vec::new();
    let mut others = Vec::new();
    for (text, subscription) in subscribed.iter() {
        let Ok(filter) = TopicFilter::parse(&text) else { continue };
        if name.is_some_and(|name| matches(filter, name)) {
            matching.push(found(&text, &subscription, filter.shared().is_some()));
        } else {
            let filter = filter.shared().map_or(filter, |shared| shared.filter);
            let gap = gap(filter.as_str(), topic);
            others.push((gap.distance, (text.into(), gap)));
        }
    }
    (matching, nearest(others))
}

fn found(filter: &str, subscription: &Subscription, is_shared: bool) -> SubscriptionFound {
    let options = subscription.options;
    SubscriptionFound {
        filter: filter.into(),
        qos: options.qos,
        no_local: options.no_local,
        retain: options.retain_handling,
        filtered: subscription.filtered,
        is_shared,
    }
}

const fn in_words(pause: Pause) -> &'static str {
    match pause {
        Pause::Slowed => "it goes on publishing although it is being slowed",
        Pause::Opening => "its Session is being written to disk",
        Pause::Journal => "the disk does not keep up",
        Pause::Mail => "another thread of the broker does not keep up",
        Pause::Output => "it does not take its own answers",
        Pause::Authentication => "nobody knows yet who it is",
        Pause::Rate => "it sends more than it may",
        Pause::Rival => "two Clients fight over its Client Identifier",
    }
}
