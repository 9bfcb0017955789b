//! PUBLISH of a Client: checked, routed to everybody who wants it, acknowledged.
//!
//! Spec:  MQTT 5.0 sections 3.3, 4.3 and 4.9; MQTT 3.1.1 sections 3.3 and 4.3.

use std::time::Duration;

use dunlin_codec::{
    Packet, PacketId, Properties, PropertyBuf, ProtocolVersion, Publish, QoS, ReasonCode, Rule,
    TopicNameError,
};

use crate::connect::{is_own, is_refused};
use crate::connection::Aliases;
use crate::counters::Drop;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::What;
use crate::frame::Passing;
use crate::hub::{Cx, Hub};
use crate::journal::{Due, Exchange, Lane, MESSAGE_MAXIMUM};
use crate::mail::{Letter, Publication};
use crate::message::{MessageView, Sent};
use crate::mount::Mount;
use crate::partition::{Partition, ShardSet};
use crate::session::SessionId;
use crate::topic::{RouteError, RouteId};

/// A PUBLISH of a Client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) session: SessionId,
    pub(crate) publish: &'a Publish<'a>,
    /// As it came, for receivers who get the same.
    pub(crate) sent: Option<Sent<'a>>,
    /// Is its topic the one that [`crate::topic::Router::lend_topic`] gave?
    pub(crate) is_recent: bool,
}

impl Engine {
    /// PUBLISH of a Client.
    #[inline]
    pub(crate) fn publish_received(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>) {
        let Incoming { connection: id, session, publish, .. } = *incoming;
        self.hub.counters.published(publish.qos, publish.payload.len());
        if publish.properties.is_empty() {
            if let Some(is_new) = self.admit(cx, id, session, publish) {
                self.publish_if_new(cx, incoming, publish.topic, is_new);
            }
            return;
        }
        if publish.properties.has_subscription_identifier() {
            // [MQTT-3.3.4-6]
            let detail = "a Client's PUBLISH carries no subscription identifier";
            return self.disconnect(cx, id, ReasonCode::ProtocolError, detail);
        }
        let Some(is_new) = self.admit(cx, id, session, publish) else { return };
        match publish.properties.topic_alias() {
            None => self.publish_if_new(cx, incoming, publish.topic, is_new),
            Some(alias) => self.publish_aliased(cx, incoming, alias.get(), is_new),
        }
    }

    fn publish_aliased(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, alias: u16, is_new: bool) {
        let Incoming { connection: id, publish, .. } = *incoming;
        // The aliases are taken out so that a topic can be borrowed from them.
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let maximum = usize::from(connection.announced.topic_alias_maximum);
        let mut aliases =
            connection.seldom.make().aliases.take().unwrap_or_else(|| Box::new(Aliases::new(0, 0)));
        match aliases.resolve(alias, publish.topic, maximum) {
            // Also one that is sent again defines its alias, which is new on this connection.
            Ok(topic) => {
                self.publish_if_new(
                    cx,
                    &Incoming { sent: None, is_recent: false, ..*incoming },
                    topic,
                    is_new,
                );
            }
            Err(error) => {
                let detail = format!("topic alias {alias}: {error}, the maximum is {maximum}");
                if !self.reject(cx, id, Rule::TopicAliasInvalid, error.reason(), &detail) {
                    self.publish_aliased_anyway(cx, incoming, is_new);
                }
            }
        }
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.seldom.make().aliases = Some(aliases);
        }
    }

    /// A Topic Alias that is not allowed, tolerated: a topic beside it counts; without one nobody knows what was meant.
    fn publish_aliased_anyway(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, is_new: bool) {
        let Incoming { connection, publish, .. } = *incoming;
        if is_new && publish.topic.is_empty() {
            self.answer(cx, connection, publish, ReasonCode::TopicNameInvalid);
        } else {
            self.publish_if_new(cx, &Incoming { sent: None, ..*incoming }, publish.topic, is_new);
        }
    }

    /// [MQTT-4.3.3-10] A QoS 2 message that is sent again is answered again and delivered once.
    #[inline]
    fn publish_if_new(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, topic: &str, is_new: bool) {
        if is_new && self.hub.spans.is_on() {
            self.publish_followed(cx, incoming, topic);
        } else if is_new {
            self.publish_to(cx, incoming, topic);
        } else {
            self.answer(cx, incoming.connection, incoming.publish, ReasonCode::Success);
        }
    }

    /// Is there room for it, and is it new? `None` where the connection was closed for it.
    #[inline(always)]
    pub(crate) fn admit(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        publish: &Publish<'_>,
    ) -> Option<bool> {
        match publish.packet_id {
            None => Some(true),
            Some(packet_id) => self.admit_exchange(cx, id, session, publish, packet_id),
        }
    }

    fn admit_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        publish: &Publish<'_>,
        packet_id: PacketId,
    ) -> Option<bool> {
        let connection = self.hub.connections.get(id)?;
        let is_v5 = connection.version == ProtocolVersion::V5;
        let maximum = connection.announced.receive_maximum;
        // Those of an earlier connection do not count [MQTT-4.9.0-1].
        let waiting = usize::from(connection.open_exchanges)
            + connection.unanswered as usize
            + connection.seldom.slowed.as_ref().map_or(0, |slowed| slowed.of_no_exchange);
        let has_received = |hub: &Hub| {
            let received = hub.sessions.get(session).and_then(|session| session.received.as_ref());
            received.is_some_and(|received| received.contains(packet_id))
        };
        let is_repeated = publish.qos == QoS::ExactlyOnce && has_received(&self.hub);
        if waiting >= usize::from(maximum) && !is_repeated && is_v5 {
            // [MQTT-3.3.4-7] [MQTT-3.3.4-9]
            let detail = format!("more than {maximum} unacknowledged messages");
            if self.reject(cx, id, Rule::ReceiveMaximumExceeded, ReasonCode::ReceiveMaximumExceeded, &detail)
            {
                return None;
            }
        }
        if publish.qos != QoS::ExactlyOnce {
            return Some(true);
        }
        if is_repeated && !publish.dup {
            let detail = format!("packet identifier {packet_id:?} is in use");
            if self.reject(cx, id, Rule::PacketIdReused, ReasonCode::ProtocolError, &detail) {
                return None;
            }
        }
        Some(!is_repeated)
    }

    /// With the topic as the Client says it.
    #[inline]
    pub(crate) fn publish_to(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, topic: &str) {
        match self.hub.mount_of(incoming.connection) {
            None => self.publish_whole(cx, incoming, topic),
            Some(mount) => self.publish_mounted(cx, incoming, topic, &mount),
        }
    }

    #[cold]
    fn publish_mounted(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, topic: &str, mount: &Mount) {
        let publish = incoming.publish;
        let properties = mount.incoming(publish.properties);
        let properties = properties.as_ref().map_or(publish.properties, PropertyBuf::as_properties);
        let publish = &Publish { properties, ..*publish };
        let incoming = &Incoming { publish, sent: None, is_recent: false, ..*incoming };
        self.publish_whole(cx, incoming, &mount.topic(topic));
    }

    fn publish_whole(&mut self, cx: &mut Cx<'_>, incoming: &Incoming<'_>, topic: &str) {
        let Incoming { connection: id, session, publish, is_recent, .. } = *incoming;
        if topic.as_bytes().first() == Some(&b'$') && is_refused(topic) {
            self.hub.note_refused(cx, id, topic, What::PublishRefused(ReasonCode::NotAuthorized as u8));
            return self.answer(cx, id, publish, ReasonCode::NotAuthorized);
        }
        let mut forwarded = PropertyBuf::new();
        let (properties, expires_at, is_altered) = self.forwarded(cx, publish.properties, &mut forwarded);
        let mut view = MessageView {
            topic,
            properties: properties.as_bytes(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at,
            origin: Some(self.hub.reference(session)),
            exchange: self.hub.exchange_of(session, publish),
            durability: Durability::Synced,
            number: 0,
            sent: if is_altered { None } else { incoming.sent },
        };
        let route_id = match self.router.route_of(id.index(), topic, is_recent, &self.hub.sessions) {
            Ok(route) => route,
            Err(error) => return self.unroutable(cx, id, publish, error),
        };
        let route = self.router.get_mut(route_id);
        let (number, is_empty, discouraged) = (route.number, route.is_empty(), route.discouraged);
        let of_topic = route.durability;
        if self.hub.connections.get(id).is_some_and(|connection| connection.restricted)
            && !self.hub.may_publish(session, number, topic, publish.qos, publish.retain)
        {
            return self.deny_publish(cx, id, session, publish, topic);
        }
        self.hub.follow(cx.now, route, &mut view);
        let tells = is_empty && self.hub.settings.protocol.no_matching_subscribers;
        let reason = if tells { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
        let detail = "topic holds a control or non-character";
        if discouraged && self.reject(cx, id, Rule::Utf8Discouraged, ReasonCode::MalformedPacket, detail) {
            return;
        }
        if self.is_beyond_memory(cx, publish, topic) {
            return self.no_room(cx, id, publish, Drop::MemoryFull);
        }
        if self.hub.journal.enabled {
            view.durability = of_topic.unwrap_or_else(|| self.hub.durability_of(session));
            let needs_room = (publish.retain || !is_empty) && view.durability != Durability::Memory;
            return self.publish_safely(cx, incoming, (view, route_id), reason, needs_room);
        }
        if publish.qos == QoS::ExactlyOnce {
            // Before the message itself, should it come back to its publisher.
            self.answer(cx, id, publish, reason);
        }
        // It has a route.
        let _ = self.publish(cx, &view, Some(route_id));
        if publish.qos == QoS::AtLeastOnce {
            self.answer(cx, id, publish, reason);
        }
    }

    /// The same where there is a journal: the answer waits until the message is safe.
    fn publish_safely(
        &mut self,
        cx: &mut Cx<'_>,
        incoming: &Incoming<'_>,
        (mut view, route): (MessageView<'_>, RouteId),
        reason: ReasonCode,
        needs_room: bool,
    ) {
        let Incoming { connection: id, session, publish, .. } = *incoming;
        let has_no_room = self.hub.journal.has_no_room() || view.weight() > MESSAGE_MAXIMUM;
        if has_no_room && needs_room && (publish.packet_id.is_some() || publish.retain) {
            return self.no_room(cx, id, publish, Drop::JournalFull);
        }
        if let Some(exchange) =
            view.exchange.filter(|it| !publish.dup && self.hub.journal.before.contains_key(it))
        {
            // The identifier of a message that came before the restart now means another.
            self.hub.release_exchange(cx, exchange, ShardSet::EMPTY);
        }
        let durability = view.durability;
        let in_memory = durability == Durability::Memory;
        view.exchange = view.exchange.filter(|_| !in_memory);
        let serial = self.hub.journal.serial();
        let remote = self.publish(cx, &view, Some(route)).unwrap_or(ShardSet::EMPTY);
        let Some(packet_id) = publish.packet_id else { return };
        let is_rec = publish.qos == QoS::ExactlyOnce;
        if is_rec && !self.begin_exchange(id, session, packet_id, remote, in_memory) {
            return;
        }
        let waits = !in_memory && (!remote.is_empty() || self.hub.journal.serial() != serial);
        self.answer_in_turn(cx, id, packet_id, is_rec, reason, durability, waits.then_some(remote));
    }

    /// There is no room in the journal, or in memory, or the message is too large. 5.0 is told so; to 3.x it could only be said by an
    /// acknowledgement, which would be a lie.
    fn no_room(&mut self, cx: &mut Cx<'_>, id: ConnectionId, publish: &Publish<'_>, full: Drop) {
        self.hub.counters.drop(full);
        self.hub.note_refused(cx, id, publish.topic, What::NoRoom(full));
        if publish.packet_id.is_none() {
            return;
        }
        if self.hub.connections.get(id).is_some_and(|connection| connection.version == ProtocolVersion::V5) {
            return self.answer(cx, id, publish, ReasonCode::QuotaExceeded);
        }
        self.disconnect(cx, id, ReasonCode::QuotaExceeded, "there is no room for the message");
    }

    /// Notes the Packet Identifier of a QoS 2 message. False where the connection is gone.
    fn begin_exchange(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        packet_id: PacketId,
        remote: ShardSet,
        in_memory: bool,
    ) -> bool {
        let Some(connection) = self.hub.connections.get_mut(id) else { return false };
        let Some(session) = self.hub.sessions.get_mut(session) else { return false };
        let received = session.received.get_or_insert_default();
        if received.insert(packet_id) {
            connection.open_exchanges = connection.open_exchanges.saturating_add(1);
        }
        if session.key != 0 && in_memory {
            received.set_memory(packet_id);
        } else if session.key != 0 {
            received.set_unsure(packet_id, remote);
        }
        true
    }

    /// An answer, behind all that came before it. `wait`: when what is pending has come as far as `durability` says, here and in
    /// those shards.
    #[allow(clippy::too_many_arguments, reason = "an answer and what it waits for")]
    fn answer_in_turn(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        packet_id: PacketId,
        is_rec: bool,
        reason: ReasonCode,
        durability: Durability,
        wait: Option<ShardSet>,
    ) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let Some(session) = connection.session() else { return };
        let is_kept = || self.hub.sessions.get(session).is_some_and(|session| session.key != 0);
        if connection.unreceived == 0 && connection.unanswered == 0 {
            connection.lane = Lane::of(durability);
        }
        let waits_for = (connection.lane, durability);
        let (waiting, of_no_exchange) = (&mut connection.unreceived, &mut connection.unanswered);
        let remote = wait.unwrap_or(ShardSet::EMPTY);
        if is_rec && (*waiting > 0 || durability != Durability::Memory && is_kept()) {
            // Everything of a durable Session goes one way, so that the order stays.
            *waiting = waiting.saturating_add(1);
            let due = Due::Received { connection: id, session, packet_id, reason, durability };
            return self.when_safe(cx, waits_for, remote, due);
        }
        if wait.is_none() && (is_rec || *of_no_exchange == 0) {
            return self.answer_now(cx, id, packet_id, is_rec, reason);
        }
        let counter = if is_rec { waiting } else { of_no_exchange };
        *counter = counter.saturating_add(1);
        self.when_safe(cx, waits_for, remote, Due::Answer { connection: id, packet_id, is_rec, reason });
    }

    /// What of the properties goes on to subscribers, when the message expires, and whether these are others [MQTT-3.3.2-4] [MQTT-3.3.2-5]
    /// [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20].
    fn forwarded<'a>(
        &self,
        cx: &Cx<'_>,
        properties: Properties<'a>,
        buf: &'a mut PropertyBuf,
    ) -> (Properties<'a>, Option<crate::time::Time>, bool) {
        if properties.is_empty() {
            return (properties, None, false);
        }
        let expiry = properties.message_expiry_interval();
        if expiry.is_none() && properties.topic_alias().is_none() {
            return (properties, None, false);
        }
        buf.extend_forwarded(properties);
        let expires_at = expiry.map(|seconds| cx.now.after(Duration::from_secs(seconds.into())));
        (buf.as_properties(), expires_at, true)
    }

    /// A message of the Server itself.
    pub(crate) fn publish_own(&mut self, cx: &mut Cx<'_>, topic: &str, payload: &[u8]) {
        if !is_own(topic) {
            return;
        }
        let unmatched = self.hub.counters.unmatched;
        let view = MessageView {
            topic,
            properties: &[],
            payload,
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at: None,
            origin: None,
            exchange: None,
            durability: Durability::Memory,
            number: 0,
            sent: None,
        };
        // Where the topic is beyond a limit of the configuration, nobody could have subscribed to it.
        let _ = self.publish(cx, &view, None);
        // That nobody wants it is no loss.
        self.hub.counters.unmatched = unmatched;
    }

    /// Routes a message that comes from this shard: a Client's, a Will. `known`: its route, where it was looked for already.
    /// The shards that say when their part is safe.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        cx: &mut Cx<'_>,
        view: &MessageView<'_>,
        known: Option<RouteId>,
    ) -> Result<ShardSet, RouteError> {
        let remote = self.route(cx, view, known)?;
        let mut store = None;
        // Without RETAIN the store stays as it is [MQTT311-3.3.1-12].
        if view.retain {
            let home = self.hub.map.home(Partition::of(&[view.topic]));
            if home == self.hub.shard {
                self.retain(cx, *view);
            } else {
                store = Some(home);
            }
        }
        let mut receivers = remote;
        if let Some(home) = store {
            receivers.insert(home);
        }
        for shard in receivers.iter() {
            let publication =
                Publication { message: *view, route: remote.contains(shard), store: store == Some(shard) };
            if let Some(baggage) = self.hub.spans.baggage() {
                cx.fx.mail.post(shard, Letter::Followed(baggage));
            }
            cx.fx.mail.publish(shard, &publication);
            if publication.is_confirmed() {
                self.hub.journal.posted(shard);
            }
        }
        let is_confirmed = view.qos != QoS::AtMostOnce && view.durability != Durability::Memory;
        Ok(if is_confirmed { receivers } else { ShardSet::EMPTY })
    }

    /// Delivers a message to the Sessions and groups of this shard whose Subscriptions match [MQTT-3.3.2-3] [MQTT-4.5.0-1]
    /// [MQTT311-3.3.2-3] [MQTT311-4.5.0-1]; which other shards want it.
    #[inline(always)]
    pub(crate) fn route(
        &mut self,
        cx: &mut Cx<'_>,
        view: &MessageView<'_>,
        known: Option<RouteId>,
    ) -> Result<ShardSet, RouteError> {
        let Self { router, hub, groups, .. } = self;
        let known = known.filter(|known| router.is_current(*known));
        let id = known.map_or_else(|| router.route(view.topic, &hub.sessions), Ok)?;
        let route = router.get(id);
        let frames = if route.targets.len() > 1 { hub.frames.take() } else { None };
        let mut passing = Passing::new(view, frames);
        passing.followed = hub.spans.current();
        for target in &route.targets {
            hub.deliver(cx, target, &mut passing);
        }
        for group in &route.groups {
            groups.publish(cx, hub, *group, &mut passing);
        }
        if let Some(frames) = passing.into_frames() {
            hub.frames = Some(frames);
        }
        hub.counters.unmatched += u64::from(route.is_empty());
        Ok(route.remote)
    }

    /// A topic that is none, or beyond a limit.
    fn unroutable(&mut self, cx: &mut Cx<'_>, id: ConnectionId, publish: &Publish<'_>, error: RouteError) {
        let reason = ReasonCode::TopicNameInvalid as u8;
        self.hub.note_refused(cx, id, publish.topic, What::PublishRefused(reason));
        if let RouteError::Name(TopicNameError::Null { .. }) = error {
            // [MQTT-1.5.4-2] [MQTT311-1.5.3-2]
            return self.disconnect(cx, id, ReasonCode::MalformedPacket, &error.to_string());
        }
        if let RouteError::Name(_) = error {
            // [MQTT-3.3.2-2] [MQTT311-3.3.2-2]
            let reason = ReasonCode::TopicNameInvalid;
            if self.reject(cx, id, Rule::TopicNameInvalid, reason, &error.to_string()) {
                return;
            }
        }
        self.answer(cx, id, publish, ReasonCode::TopicNameInvalid);
    }

    /// PUBACK or PUBREC, after which QoS 2 knows the identifier, unless the publisher is being slowed. A 3.x Client whose message is refused gets a positive
    /// acknowledgement [MQTT311-3.3.5-2]; QoS 0 gets nothing at all [MQTT-3.3.4-1] [MQTT311-3.3.4-1].
    pub(crate) fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        publish: &Publish<'_>,
        reason: ReasonCode,
    ) {
        let Some(packet_id) = publish.packet_id else { return };
        let is_rec = publish.qos == QoS::ExactlyOnce;
        if !is_rec && !self.hub.journal.enabled {
            return self.answer_now(cx, id, packet_id, is_rec, reason);
        }
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        // [MQTT-4.3.3-9]; to 3.x a refusal, too, looks like an exchange that goes on.
        let session_of = connection.session();
        let begins = is_rec && (!reason.is_failure() || connection.version != ProtocolVersion::V5);
        let mut is_repeated = false;
        if begins && let Some(session) = session_of.and_then(|session| self.hub.sessions.get_mut(session)) {
            is_repeated = !session.received.get_or_insert_default().insert(packet_id);
            connection.open_exchanges = connection.open_exchanges.saturating_add(u16::from(!is_repeated));
        }
        if self.hub.journal.enabled {
            let durability = session_of.map_or(Durability::Synced, |session| {
                self.hub.durability_of_answer(session, packet_id, is_rec)
            });
            // The message may have gone to other shards on an earlier connection, which have not said yet that it is safe there.
            let wait = is_repeated.then(|| self.hub.journal.unconfirmed(durability));
            let wait = wait.filter(|shards| !shards.is_empty());
            return self.answer_in_turn(cx, id, packet_id, is_rec, reason, durability, wait);
        }
        self.answer_now(cx, id, packet_id, is_rec, reason);
    }

    /// PUBACK or PUBREC, unless the publisher is being slowed.
    #[inline(always)]
    pub(crate) fn answer_now(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        packet_id: PacketId,
        is_rec: bool,
        reason: ReasonCode,
    ) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        // [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]
        if let Some(slowed) = connection.slowed() {
            slowed.withhold(packet_id, is_rec, reason);
            return self.bound_withheld(cx, id);
        }
        self.write_answer(cx, id, packet_id, is_rec, reason);
    }

    /// [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT311-4.3.2-2]
    #[inline(always)]
    pub(crate) fn write_answer(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        packet_id: PacketId,
        is_rec: bool,
        reason: ReasonCode,
    ) {
        if is_rec {
            self.hub.acknowledge(cx, id, Packet::PubRec, packet_id, reason);
        } else {
            self.hub.acknowledge(cx, id, Packet::PubAck, packet_id, reason);
        }
        if self.hub.spans.is_on() {
            self.hub.spans.answered(cx.now, id, packet_id, reason);
        }
    }
}

impl Hub {
    /// What the listener of a Session's connection says.
    pub(crate) fn durability_of(&self, session: SessionId) -> Durability {
        self.sessions.get(session).map_or(Durability::Synced, |found| found.durability)
    }

    /// How far the journal has to be for an answer that has no record of its own.
    fn durability_of_answer(&self, session: SessionId, packet_id: PacketId, is_rec: bool) -> Durability {
        let received = self.sessions.get(session).and_then(|found| found.received.as_ref());
        if is_rec && received.is_some_and(|received| received.is_memory(packet_id)) {
            return Durability::Memory;
        }
        self.durability_of(session).max(Durability::Written)
    }

    /// The name of a QoS 2 exchange of a Session that outlives the process.
    fn exchange_of(&self, session: SessionId, publish: &Publish<'_>) -> Option<Exchange> {
        let packet_id = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce)?;
        let session = self.sessions.get(session).filter(|session| session.key != 0)?;
        Some(Exchange { partition: session.partition, key: session.key, packet_id })
    }
}

/// Why a Topic Alias means no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum AliasError {
    /// [MQTT-3.3.2-9]
    #[error("too large")]
    TooLarge,
    /// Section 3.3.2.3.4.
    #[error("not defined on this connection")]
    Undefined,
}

impl AliasError {
    const fn reason(self) -> ReasonCode {
        match self {
            Self::TooLarge => ReasonCode::TopicAliasInvalid,
            Self::Undefined => ReasonCode::ProtocolError,
        }
    }
}

impl Aliases {
    /// Only what a PUBLISH says of its alias, whatever becomes of the message.
    pub(crate) fn define(
        &mut self,
        alias: u16,
        topic: &str,
        maximum: usize,
    ) -> Result<(), (ReasonCode, String)> {
        let said = |error: AliasError| {
            (error.reason(), format!("topic alias {alias}: {error}, the maximum is {maximum}"))
        };
        self.resolve(alias, topic, maximum).map(drop).map_err(said)
    }

    /// The topic that a PUBLISH means; a topic beside an alias defines it [MQTT-3.3.2-7]. Any alias up to the maximum will do
    /// [MQTT-3.3.2-12], and none beyond it [MQTT-3.2.2-17] [MQTT-3.2.2-18].
    fn resolve<'a>(&'a mut self, alias: u16, topic: &str, maximum: usize) -> Result<&'a str, AliasError> {
        if usize::from(alias) > maximum {
            return Err(AliasError::TooLarge);
        }
        if self.received.len() < usize::from(alias) {
            self.received.resize(alias.into(), None);
        }
        let slot = &mut self.received[usize::from(alias) - 1];
        if !topic.is_empty() && slot.as_deref() != Some(topic) {
            *slot = Some(topic.into());
        }
        slot.as_deref().ok_or(AliasError::Undefined)
    }
}
