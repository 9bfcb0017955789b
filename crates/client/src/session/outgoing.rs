//! Messages to the Server: queued, sent, acknowledged, sent again.
//!
//! In:    messages of the application; acknowledgements; a connection that comes and goes.
//! Out:   PUBLISH and PUBREL; what became of each message; records.
//! Never: more in flight than the Server's Receive Maximum; a message before one that was given earlier.
//! Spec:  MQTT 5.0 sections 4.3, 4.4, 4.9.

use std::collections::{BTreeMap, VecDeque};

use dunlin_codec::{
    Ack, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion, Publish, QoS, ReasonCode,
};

use super::aliases::{Alias, Aliases};
use super::event::{Action, Effects, PublishError, Token};
use super::peer::Peer;
use super::record::{Left, Record};
use super::settings::{QueueLimits, WhenFull};
use crate::{Message, Time};

/// Output is not added to beyond that many bytes, until the transport has taken it.
pub(crate) const OUTPUT_HIGH: usize = 64 << 10;

/// A message that was not sent yet.
struct Waiting {
    key: u64,
    token: Option<Token>,
    message: Message,
    since: Time,
    expires_at: Option<Time>,
}

/// A message that was sent and is not acknowledged.
struct Exchange {
    key: u64,
    token: Option<Token>,
    /// Absent once PUBREC came: only the identifier matters then.
    message: Option<Message>,
    since: Time,
    expires_at: Option<Time>,
    /// PUBLISH was sent on this connection and counts against the Receive Maximum.
    counts: bool,
}

/// The messages of one session.
pub(crate) struct Outgoing {
    limits: QueueLimits,
    inflight_maximum: u16,
    aliases: Aliases,
    waiting: VecDeque<Waiting>,
    flight: BTreeMap<u16, Exchange>,
    /// Of `flight`, what this connection still has to repeat, oldest first.
    repeat: VecDeque<PacketId>,
    bytes: usize,
    next_key: u64,
    /// Exchanges that count against the Receive Maximum.
    counted: u16,
    /// The earliest expiry of what waits, or earlier.
    expires_first: Option<Time>,
}

/// Hands out Packet Identifiers, shared by PUBLISH, SUBSCRIBE and UNSUBSCRIBE [MQTT-2.2.1-3].
pub(crate) struct Identifiers {
    next: PacketId,
}

impl Identifiers {
    pub(crate) fn new(seed: u64) -> Self {
        let [.., high, low] = seed.to_be_bytes();
        Self { next: PacketId::new(u16::from_be_bytes([high, low])).unwrap_or(PacketId::MIN) }
    }

    /// One that is not `used`; `None` if all are.
    pub(crate) fn take(&mut self, used: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let id = self.next;
            self.next = id.next();
            if !used(id) {
                return Some(id);
            }
        }
        None
    }
}

impl Outgoing {
    pub(crate) fn new(limits: QueueLimits, inflight_maximum: u16, aliases: u16) -> Self {
        Self {
            limits,
            inflight_maximum,
            aliases: Aliases::new(aliases),
            waiting: VecDeque::new(),
            flight: BTreeMap::new(),
            repeat: VecDeque::new(),
            bytes: 0,
            next_key: 1,
            counted: 0,
            expires_first: None,
        }
    }

    /// Takes what a former process left.
    pub(crate) fn restore(&mut self, messages: Vec<Left>) {
        for Left { key, expires_at, message, packet_id, released } in messages {
            self.next_key = self.next_key.max(key + 1);
            self.bytes += message.weight();
            // What was left has waited since its expiry was counted down to `expires_at`; the rest follows from that.
            let since = Time::default();
            match packet_id.filter(|_| message.quality() == QoS::ExactlyOnce) {
                Some(id) => {
                    if released {
                        self.bytes -= message.weight();
                    }
                    let message = (!released).then_some(message);
                    let exchange = Exchange { key, token: None, message, since, expires_at, counts: false };
                    self.flight.insert(id.get(), exchange);
                }
                None => {
                    self.note_expiry(expires_at);
                    self.waiting.push_back(Waiting { key, token: None, message, since, expires_at });
                }
            }
        }
    }

    /// Is there room for one more message?
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.limits.messages && self.bytes < self.limits.bytes
    }

    /// Whoever publishes waits when there is no room.
    pub(crate) fn waits(&self) -> bool {
        self.limits.when_full == WhenFull::Wait
    }

    /// Messages that are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.flight.len()
    }

    pub(crate) fn uses(&self, id: PacketId) -> bool {
        self.flight.contains_key(&id.get())
    }

    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.expires_first
    }

    fn note_expiry(&mut self, expires_at: Option<Time>) {
        let Some(at) = expires_at else { return };
        self.expires_first = Some(self.expires_first.map_or(at, |first| first.min(at)));
    }

    /// Takes a message, or says at once why not.
    pub(crate) fn push(
        &mut self,
        now: Time,
        token: Token,
        message: Message,
        online: bool,
        effects: &mut Effects,
    ) {
        if let Err(error) = self.admit(now, &message, online, effects) {
            effects.actions.push(Action::Published(token, Err(error)));
            return;
        }
        let key = self.next_key;
        self.next_key += 1;
        self.bytes += message.weight();
        let expiry = message.about().and_then(|about| about.expiry);
        let expires_at = expiry.map(|seconds| now.after(std::time::Duration::from_secs(seconds.into())));
        self.note_expiry(expires_at);
        if message.quality() != QoS::AtMostOnce {
            effects.records.push(Record::Queued { key, expires_at, message: message.clone() });
        }
        self.waiting.push_back(Waiting { key, token: Some(token), message, since: now, expires_at });
    }

    fn admit(
        &mut self,
        now: Time,
        message: &Message,
        online: bool,
        effects: &mut Effects,
    ) -> Result<(), PublishError> {
        message.check()?;
        if message.quality() == QoS::AtMostOnce && !online && !self.limits.qos0_while_offline {
            return Err(PublishError::Offline);
        }
        if self.has_room() || self.waits() {
            return Ok(());
        }
        self.expire(now, effects);
        while !self.has_room() && self.limits.when_full == WhenFull::DropOldest {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.end_waiting(oldest, Err(PublishError::QueueFull), effects);
        }
        if self.has_room() { Ok(()) } else { Err(PublishError::QueueFull) }
    }

    fn end_waiting(
        &mut self,
        waiting: Waiting,
        result: Result<ReasonCode, PublishError>,
        effects: &mut Effects,
    ) {
        self.bytes -= waiting.message.weight();
        if waiting.message.quality() != QoS::AtMostOnce {
            effects.records.push(Record::Done { key: waiting.key });
        }
        effects.actions.extend(waiting.token.map(|token| Action::Published(token, result)));
    }

    /// Drops what waits and has expired.
    pub(crate) fn expire(&mut self, now: Time, effects: &mut Effects) {
        if self.expires_first.is_none_or(|at| at > now) {
            return;
        }
        self.expires_first = None;
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.expires_at.is_some_and(|at| at <= now) {
                self.end_waiting(waiting, Err(PublishError::Expired), effects);
            } else {
                self.note_expiry(waiting.expires_at);
                self.waiting.push_back(waiting);
            }
        }
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, session_present: bool, alias_maximum: u16, effects: &mut Effects) {
        self.aliases.connected(alias_maximum);
        self.counted = 0;
        if session_present {
            let mut flight: Vec<(u64, PacketId)> =
                self.flight.iter().filter_map(|(id, e)| Some((e.key, PacketId::new(*id)?))).collect();
            flight.sort_unstable();
            self.repeat = flight.into_iter().map(|(_, id)| id).collect();
            return;
        }
        // The Server has forgotten the identifiers. What it has not acknowledged is sent as new; what it acknowledged
        // with PUBREC is its own.
        self.repeat.clear();
        for exchange in std::mem::take(&mut self.flight).into_values() {
            let Exchange { key, token, message, since, expires_at, .. } = exchange;
            match message {
                Some(message) => {
                    self.note_expiry(expires_at);
                    self.waiting.push_front(Waiting { key, token, message, since, expires_at });
                }
                None => {
                    effects.records.push(Record::Done { key });
                    let done = token.map(|token| Action::Published(token, Ok(ReasonCode::Success)));
                    effects.actions.extend(done);
                }
            }
        }
        self.waiting.make_contiguous().sort_unstable_by_key(|waiting| waiting.key);
    }

    /// The connection is gone.
    pub(crate) fn lost(&mut self) {
        self.repeat.clear();
        self.counted = 0;
        self.flight.values_mut().for_each(|exchange| exchange.counts = false);
    }

    /// Sends what may be sent now.
    pub(crate) fn pump(
        &mut self,
        now: Time,
        peer: &Peer,
        ids: &mut Identifiers,
        taken: impl Fn(PacketId) -> bool,
        effects: &mut Effects,
    ) {
        while effects.output.len() < OUTPUT_HIGH {
            let quota = self.counted < peer.receive_maximum.min(self.inflight_maximum);
            if let Some(&id) = self.repeat.front() {
                // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.4-7]
                let waits = self.flight.get(&id.get()).is_some_and(|exchange| exchange.message.is_some());
                if waits && !quota {
                    return;
                }
                self.repeat.pop_front();
                self.send_again(id, now, peer, effects);
                continue;
            }
            let Some(first) = self.waiting.front() else { return };
            let qos0 = first.message.quality() == QoS::AtMostOnce;
            if !qos0 && (!quota || self.flight.len() >= usize::from(self.inflight_maximum)) {
                return;
            }
            let id = if qos0 { None } else { ids.take(|id| self.uses(id) || taken(id)) };
            let Some(waiting) = self.waiting.pop_front() else { return };
            self.send(waiting, id, now, peer, effects);
        }
    }

    /// For the first time.
    fn send(
        &mut self,
        waiting: Waiting,
        id: Option<PacketId>,
        now: Time,
        peer: &Peer,
        effects: &mut Effects,
    ) {
        let expired = waiting.expires_at.is_some_and(|at| at <= now);
        let written = if expired {
            Err(PublishError::Expired)
        } else {
            self.put(&waiting.message, id, false, left(&waiting, now), peer, &mut effects.output)
        };
        let Waiting { key, token, message, since, expires_at } = waiting;
        match (written, id) {
            (Err(error), _) => {
                let waiting = Waiting { key, token, message, since, expires_at };
                self.end_waiting(waiting, Err(error), effects);
            }
            (Ok(()), None) => {
                self.bytes -= message.weight();
                effects.actions.extend(token.map(|token| Action::Published(token, Ok(ReasonCode::Success))));
            }
            (Ok(()), Some(packet_id)) => {
                if message.quality() == QoS::ExactlyOnce {
                    effects.records.push(Record::Sent { key, packet_id });
                }
                self.counted += 1;
                let exchange =
                    Exchange { key, token, message: Some(message), since, expires_at, counts: true };
                self.flight.insert(packet_id.get(), exchange);
            }
        }
    }

    /// PUBLISH or PUBREL, whichever was not acknowledged.
    fn send_again(&mut self, id: PacketId, now: Time, peer: &Peer, effects: &mut Effects) {
        let Some(exchange) = self.flight.get(&id.get()) else { return };
        let Some(message) = exchange.message.clone() else {
            return put_ack(Packet::PubRel, id, ReasonCode::Success, peer.version, &mut effects.output);
        };
        // It is under way: it may have arrived before it expired, so it is completed whether or not it has by now.
        let expiry = message.about().and_then(|about| about.expiry);
        let expiry = expiry.map(|all| {
            let left = exchange.expires_at.map_or(u64::from(all), |at| at.seconds_since(now));
            u32::try_from(left).unwrap_or(all).clamp(1, all.max(1))
        });
        // [MQTT-3.3.1-1]
        match self.put(&message, Some(id), true, expiry, peer, &mut effects.output) {
            Ok(()) => {
                self.flight.get_mut(&id.get()).iter_mut().for_each(|exchange| exchange.counts = true);
                self.counted += 1;
            }
            Err(error) => self.end(id, Err(error), effects),
        }
    }

    /// Appends PUBLISH, with a Topic Alias where the Server takes them.
    fn put(
        &mut self,
        message: &Message,
        packet_id: Option<PacketId>,
        dup: bool,
        expiry: Option<u32>,
        peer: &Peer,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishError> {
        let alias = self.aliases.of(message.shared_topic());
        put_publish(message, packet_id, dup, expiry, alias, peer, out)?;
        self.aliases.sent(message.shared_topic(), alias);
        Ok(())
    }

    fn end(&mut self, id: PacketId, result: Result<ReasonCode, PublishError>, effects: &mut Effects) {
        let Some(exchange) = self.flight.remove(&id.get()) else { return };
        self.bytes -= exchange.message.as_ref().map_or(0, Message::weight);
        self.counted -= u16::from(exchange.counts);
        effects.records.push(Record::Done { key: exchange.key });
        effects.actions.extend(exchange.token.map(|token| Action::Published(token, result)));
    }

    pub(crate) fn pub_ack(&mut self, ack: &Ack<'_>, effects: &mut Effects) {
        let expected = self.awaits(ack.packet_id, QoS::AtLeastOnce);
        if expected {
            self.end(ack.packet_id, outcome(ack.reason), effects);
        }
    }

    pub(crate) fn pub_rec(&mut self, ack: &Ack<'_>, version: ProtocolVersion, effects: &mut Effects) {
        let id = ack.packet_id;
        let Some(exchange) = self.flight.get_mut(&id.get()) else {
            let reason = ReasonCode::PacketIdentifierNotFound;
            return put_ack(Packet::PubRel, id, reason, version, &mut effects.output);
        };
        match &exchange.message {
            // A PUBREC to what was sent with QoS 1 means nothing.
            Some(message) if message.quality() != QoS::ExactlyOnce => return,
            Some(_) if ack.reason.is_failure() => return self.end(id, outcome(ack.reason), effects),
            Some(message) => {
                self.bytes -= message.weight();
                effects.records.push(Record::Released { key: exchange.key });
                exchange.message = None;
            }
            None => {}
        }
        // [MQTT-4.3.3-4] [MQTT311-4.3.3-1]; the message is never sent again [MQTT-4.3.3-6].
        put_ack(Packet::PubRel, id, ReasonCode::Success, version, &mut effects.output);
    }

    pub(crate) fn pub_comp(&mut self, ack: &Ack<'_>, effects: &mut Effects) {
        let released = self.flight.get(&ack.packet_id.get()).is_some_and(|e| e.message.is_none());
        if released {
            // 0x92 says that the Server had completed it before.
            self.end(ack.packet_id, Ok(ReasonCode::Success), effects);
        }
    }

    fn awaits(&self, id: PacketId, qos: QoS) -> bool {
        let message = self.flight.get(&id.get()).and_then(|exchange| exchange.message.as_ref());
        message.is_some_and(|message| message.quality() == qos)
    }

    /// The session ends: nobody waits any more. Records stay: what is on disk is for the next process.
    pub(crate) fn abandon(&mut self, effects: &mut Effects) {
        let waiting = self.waiting.drain(..).filter_map(|waiting| waiting.token);
        let flight = std::mem::take(&mut self.flight).into_values().filter_map(|exchange| exchange.token);
        let tokens: Vec<Token> = flight.chain(waiting).collect();
        effects
            .actions
            .extend(tokens.into_iter().map(|token| Action::Published(token, Err(PublishError::Stopped))));
        self.bytes = 0;
        self.expires_first = None;
    }
}

fn outcome(reason: ReasonCode) -> Result<ReasonCode, PublishError> {
    if reason.is_failure() { Err(PublishError::Refused(reason)) } else { Ok(reason) }
}

/// Seconds of its Message Expiry Interval that are left.
fn left(waiting: &Waiting, now: Time) -> Option<u32> {
    let all = waiting.message.about()?.expiry?;
    let left = match waiting.expires_at {
        // Of a message that did not wait a second, what the application said.
        Some(_) if now.seconds_since(waiting.since) == 0 => return Some(all),
        Some(at) => at.seconds_since(now),
        None => u64::from(all),
    };
    Some(u32::try_from(left).unwrap_or(all).clamp(1, all.max(1)))
}

fn put_publish(
    message: &Message,
    packet_id: Option<PacketId>,
    dup: bool,
    expiry: Option<u32>,
    alias: Alias,
    peer: &Peer,
    out: &mut Vec<u8>,
) -> Result<(), PublishError> {
    // [MQTT-3.2.2-11] [MQTT-3.2.2-14]
    if message.quality() > peer.maximum_qos {
        let qos = if message.quality() == QoS::ExactlyOnce { "qos 2" } else { "qos 1" };
        return Err(PublishError::Unsupported(qos));
    }
    if message.is_retained() && !peer.retain_available {
        return Err(PublishError::Unsupported("retained messages"));
    }
    let mut properties = PropertyBuf::new();
    if peer.version == ProtocolVersion::V5 {
        message.put_properties(expiry, &mut properties);
        if let Some(number) = alias.number() {
            properties.push(Property::TopicAlias(number));
        }
    }
    let publish = Publish {
        dup,
        qos: message.quality(),
        retain: message.is_retained(),
        topic: if matches!(alias, Alias::Known(_)) { "" } else { message.topic() },
        packet_id,
        properties: if properties.is_empty() { Properties::EMPTY } else { properties.as_properties() },
        payload: message.payload(),
    };
    // Topic, Packet Identifier, lengths and Properties: bounded; so only the payload can make it too long to encode.
    let most = 5 + 2 + message.topic().len() + 2 + 4 + properties.len() + message.payload().len();
    let limit = peer.maximum_packet_size.min(268_435_455);
    if most > limit as usize {
        let size = if most > 268_435_455 { most } else { publish.encoded_len(peer.version) };
        // [MQTT-3.2.2-15]
        if size > limit as usize {
            return Err(PublishError::TooLarge { size, limit });
        }
    }
    publish.encode(peer.version, out);
    Ok(())
}

/// An acknowledgement without Properties.
pub(crate) fn put_ack(
    kind: fn(Ack<'static>) -> Packet<'static>,
    packet_id: PacketId,
    reason: ReasonCode,
    version: ProtocolVersion,
    out: &mut Vec<u8>,
) {
    kind(Ack { packet_id, reason, properties: Properties::EMPTY }).encode(version, out);
}
