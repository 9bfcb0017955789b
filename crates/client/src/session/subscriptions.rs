//! What the application wants, and which of it the Server knows.
//!
//! In:    subscriptions and their ends; SUBACK and UNSUBACK; connections.
//! Out:   SUBSCRIBE and UNSUBSCRIBE; which subscriptions a message is for.
//! Never: more than [`MAXIMUM`].
//! Spec:  MQTT 5.0 sections 3.8 to 3.11.

use std::sync::Arc;

use dunlin_codec::{
    FilterBuf, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion, ReasonCode, SubAck,
    Subscribe, SubscribeBuf, SubscriptionOptions, TopicFilter, TopicName, Unsubscribe, VarInt, matches,
};

use super::event::{Action, Effects, Filter, SubscribeError, Token};
use super::outgoing::{Identifiers, OUTPUT_HIGH};
use super::peer::Peer;
use crate::Message;

/// Subscriptions that a session can have; each message is compared with each.
pub(crate) const MAXIMUM: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be sent.
    Wanted,
    /// SUBSCRIBE was sent.
    Asked(PacketId),
    /// SUBACK came.
    Granted,
    /// UNSUBSCRIBE is to be sent.
    Unwanted,
    /// UNSUBSCRIBE was sent.
    Ending(PacketId),
}

struct Entry {
    token: Token,
    filters: Vec<Filter>,
    /// The Subscription Identifier; the same for those with a filter in common, which are one to the Server.
    identifier: u32,
    state: State,
    /// The application knows what became of it.
    told: bool,
}

/// The subscriptions of one session.
pub(crate) struct Subscriptions {
    entries: Vec<Entry>,
    next_identifier: u32,
    /// Something is `Wanted` or `Unwanted`.
    unsent: bool,
    /// What the last message was for; forgotten with every change.
    last: Option<Last>,
}

/// A message for which it is known whom it is for: the next one has the same topic, often.
struct Last {
    topic: Arc<str>,
    named: Vec<u32>,
    to: Vec<Token>,
}

impl Subscriptions {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), next_identifier: 1, unsent: false, last: None }
    }

    pub(crate) fn uses(&self, id: PacketId) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry.state, State::Asked(used) | State::Ending(used) if used == id))
    }

    pub(crate) fn add(&mut self, token: Token, filters: Vec<Filter>, effects: &mut Effects) {
        self.last = None;
        if let Err(error) = self.check(&filters) {
            effects.actions.push(Action::Subscribed(token, Err(error)));
            return;
        }
        let shared = self.entries.iter().find(|entry| has_common(&entry.filters, &filters));
        let identifier = match shared {
            Some(entry) => entry.identifier,
            None => {
                let identifier = self.next_identifier;
                self.next_identifier = identifier % VarInt::MAX.get() + 1;
                identifier
            }
        };
        self.entries.push(Entry { token, filters, identifier, state: State::Wanted, told: false });
        self.unsent = true;
    }

    fn check(&self, filters: &[Filter]) -> Result<(), SubscribeError> {
        if filters.is_empty() {
            return Err(SubscribeError::Empty);
        }
        if self.entries.len() >= MAXIMUM {
            return Err(SubscribeError::TooMany(MAXIMUM));
        }
        for Filter { filter, options } in filters {
            let filter = TopicFilter::parse(filter)?;
            if options.no_local && filter.shared().is_some() {
                return Err(SubscribeError::NoLocalOnShared);
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, token: Token, effects: &mut Effects) {
        self.last = None;
        let Some(at) = self.entries.iter().position(|entry| entry.token == token) else { return };
        if self.entries[at].state == State::Wanted {
            self.entries.remove(at);
            effects.actions.push(Action::Unsubscribed(token));
        } else {
            self.entries[at].state = State::Unwanted;
            self.unsent = true;
        }
    }

    /// UNSUBSCRIBE for what this process never subscribed to.
    pub(crate) fn forget(&mut self, token: Token, filters: Vec<String>) {
        self.last = None;
        let options = SubscriptionOptions::default();
        let filters = filters.into_iter().map(|filter| Filter { filter, options }).collect();
        self.entries.push(Entry { token, filters, identifier: 0, state: State::Unwanted, told: true });
        self.unsent = true;
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, session_present: bool, effects: &mut Effects) {
        self.last = None;
        for entry in &mut self.entries {
            entry.state = match entry.state {
                State::Granted if session_present => State::Granted,
                State::Unwanted | State::Ending(_) => State::Unwanted,
                State::Wanted | State::Asked(_) | State::Granted => State::Wanted,
            };
        }
        if !session_present {
            // Nothing to end: the Server does not know of them.
            self.entries.retain(|entry| {
                let gone = entry.state == State::Unwanted;
                if gone {
                    effects.actions.push(Action::Unsubscribed(entry.token));
                }
                !gone
            });
        }
        self.unsent = !self.entries.is_empty();
    }

    /// Sends what is to be sent.
    pub(crate) fn pump(
        &mut self,
        peer: &Peer,
        ids: &mut Identifiers,
        taken: impl Fn(PacketId) -> bool,
        effects: &mut Effects,
    ) {
        if !self.unsent {
            return;
        }
        self.last = None;
        for at in 0..self.entries.len() {
            if effects.output.len() >= OUTPUT_HIGH {
                return;
            }
            let state = self.entries[at].state;
            if !matches!(state, State::Wanted | State::Unwanted) {
                continue;
            }
            let Some(id) = ids.take(|id| taken(id) || self.uses(id)) else { return };
            if state == State::Wanted {
                self.entries[at].put_subscribe(id, peer, &mut effects.output);
                self.entries[at].state = State::Asked(id);
            } else {
                self.put_unsubscribe(at, id, peer, effects);
            }
        }
        self.entries.retain(|entry| entry.state != State::Unwanted);
        self.unsent = false;
    }

    /// Of its filters, those that no other entry wants; if there are none, it has ended.
    fn put_unsubscribe(&mut self, at: usize, packet_id: PacketId, peer: &Peer, effects: &mut Effects) {
        let wanted = |filter: &Filter| {
            self.entries.iter().enumerate().any(|(other, entry)| {
                let ends = matches!(entry.state, State::Unwanted | State::Ending(_));
                other != at && !ends && entry.filters.iter().any(|one| one.filter == filter.filter)
            })
        };
        let mut list = FilterBuf::new();
        let mut any = false;
        for filter in self.entries[at].filters.iter().filter(|filter| !wanted(filter)) {
            if let Ok(filter) = TopicFilter::parse(&filter.filter) {
                list.push(filter);
                any = true;
            }
        }
        if !any {
            effects.actions.push(Action::Unsubscribed(self.entries[at].token));
            return;
        }
        let packet = Unsubscribe { packet_id, properties: Properties::EMPTY, filters: list.as_list() };
        Packet::Unsubscribe(packet).encode(peer.version, &mut effects.output);
        self.entries[at].state = State::Ending(packet_id);
    }

    pub(crate) fn sub_ack(&mut self, ack: &SubAck<'_>, effects: &mut Effects) {
        self.last = None;
        let asked = |entry: &Entry| entry.state == State::Asked(ack.packet_id);
        let Some(at) = self.entries.iter().position(asked) else { return };
        let reasons: Vec<ReasonCode> =
            ack.reasons.iter().filter_map(|&code| ReasonCode::from_u8(code)).collect();
        let entry = &mut self.entries[at];
        entry.state = State::Granted;
        let token = entry.token;
        let told = std::mem::replace(&mut entry.told, true);
        let refused = reasons.iter().all(|reason| reason.is_failure());
        if refused {
            self.entries.remove(at);
        }
        match reasons.first() {
            Some(&first) if refused => {
                effects.actions.push(Action::Subscribed(token, Err(SubscribeError::Refused(first))));
            }
            _ if !told => effects.actions.push(Action::Subscribed(token, Ok(reasons))),
            _ => {}
        }
    }

    pub(crate) fn unsub_ack(&mut self, id: PacketId, effects: &mut Effects) {
        self.last = None;
        self.entries.retain(|entry| {
            let ended = entry.state == State::Ending(id);
            if ended {
                effects.actions.push(Action::Unsubscribed(entry.token));
            }
            !ended
        });
    }

    /// Which of them a message is for. The Server names them by identifier where it can; those it names and that do not
    /// match are of a former process.
    pub(crate) fn of(&mut self, message: &Message, to: &mut Vec<Token>) {
        let named = message.about().map_or(&[][..], |about| &about.subscriptions);
        if let Some(last) = &self.last
            && Arc::ptr_eq(&last.topic, message.shared_topic())
            && last.named == named
        {
            return to.extend_from_slice(&last.to);
        }
        self.find(message, named, to);
        self.last =
            Some(Last { topic: message.shared_topic().clone(), named: named.to_vec(), to: to.clone() });
    }

    fn find(&self, message: &Message, named: &[u32], to: &mut Vec<Token>) {
        let ends = |entry: &Entry| matches!(entry.state, State::Unwanted | State::Ending(_));
        let matching = self.entries.iter().filter(|entry| !ends(entry) && entry.matches(message));
        let both = matching.clone().filter(|entry| named.contains(&entry.identifier));
        to.extend(both.map(|entry| entry.token));
        if to.is_empty() {
            to.extend(matching.map(|entry| entry.token));
        }
    }

    /// Is it for a subscription that is being ended?
    pub(crate) fn has_ended(&self, message: &Message) -> bool {
        let ends = |entry: &Entry| matches!(entry.state, State::Unwanted | State::Ending(_));
        self.entries.iter().any(|entry| ends(entry) && entry.matches(message))
    }

    /// The session ends.
    pub(crate) fn abandon(&mut self, effects: &mut Effects) {
        self.last = None;
        for entry in self.entries.drain(..) {
            if matches!(entry.state, State::Unwanted | State::Ending(_)) {
                effects.actions.push(Action::Unsubscribed(entry.token));
            } else if !entry.told {
                effects.actions.push(Action::Subscribed(entry.token, Err(SubscribeError::Stopped)));
            }
        }
        self.unsent = false;
    }
}

impl Entry {
    fn matches(&self, message: &Message) -> bool {
        let Ok(topic) = TopicName::parse(message.topic()) else { return false };
        let filters = self.filters.iter().filter_map(|one| TopicFilter::parse(&one.filter).ok());
        filters.into_iter().any(|filter| matches(filter, topic))
    }

    fn put_subscribe(&self, packet_id: PacketId, peer: &Peer, out: &mut Vec<u8>) {
        let mut list = SubscribeBuf::new(peer.version);
        for Filter { filter, options } in &self.filters {
            if let Ok(filter) = TopicFilter::parse(filter) {
                list.push(filter, *options);
            }
        }
        let mut properties = PropertyBuf::new();
        let identifier = VarInt::new(self.identifier).filter(|_| peer.subscription_identifiers);
        if let Some(identifier) = identifier.filter(|_| peer.version == ProtocolVersion::V5) {
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        let packet = Subscribe { packet_id, properties: properties.as_properties(), filters: list.as_list() };
        Packet::Subscribe(packet).encode(peer.version, out);
    }
}

fn has_common(one: &[Filter], other: &[Filter]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.filter == b.filter))
}
