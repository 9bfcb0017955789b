//! SUBSCRIBE and UNSUBSCRIBE.
//!
//! Spec:  MQTT 5.0 sections 3.8 to 3.11 and 4.8; MQTT 3.1.1 sections 3.8 to 3.11.

use dunlin_codec::{
    Packet, PacketId, Properties, Property, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubAck,
    Subscribe, SubscriptionOptions, TopicFilter, UnsubAck, Unsubscribe,
};

use crate::ceiling::Memory;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::What;
use crate::hub::Cx;
use crate::interest::Waiter;
use crate::journal::record::Record;
use crate::journal::{Due, group_partition};
use crate::mail::{Letter, MemberEvent};
use crate::partition::{ShardId, ShardSet};
use crate::session::{Membership, SessionId, Subscribed, Subscription};
use crate::settings::RefusedV31;
use crate::topic::{FilterId, Planted};

/// Snapshots that may wait for one Session, at least: each is about 300 bytes.
const SNAPSHOTS_MAXIMUM: usize = 1024;

/// Without the answer the Client would wait for ever.
const TOO_LARGE: &str = "the answer is larger than the client's maximum packet size";

/// Which SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubAckToken {
    index: u32,
    generation: u32,
}

impl SubAckToken {
    /// Of no SUBACK.
    pub(crate) const NOBODY: Self = Self { index: u32::MAX, generation: 0 };
}

/// A SUBACK that waits until every shard sees the interest.
#[derive(Debug)]
pub(crate) struct PendingSubAck {
    connection: ConnectionId,
    session: SessionId,
    packet_id: PacketId,
    reasons: Vec<u8>,
    /// Parts that are still open.
    waiting: usize,
    /// Retained messages to be fetched afterwards.
    queries: Vec<u32>,
}

impl Engine {
    /// SUBSCRIBE of a Client.
    pub(crate) fn subscribe_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        subscribe: &Subscribe<'_>,
    ) {
        let identifier = subscribe.properties.iter().find_map(|property| match property {
            Property::SubscriptionIdentifier(identifier) => Some(identifier.get()),
            _ => None,
        });
        let identifier = identifier.unwrap_or(0);
        let pending = PendingSubAck {
            connection: id,
            session,
            packet_id: subscribe.packet_id,
            reasons: Vec::with_capacity(subscribe.filters.len()),
            waiting: 1,
            queries: Vec::new(),
        };
        let (index, generation) = self.subacks.insert(pending);
        let token = SubAckToken { index, generation };
        let mount = self.hub.mount_of(id);
        let serial = self.hub.journal.serial();
        for (filter, options) in subscribe.filters.iter() {
            let mounted = mount.as_ref().map(|mount| mount.filter(filter));
            let whole = mounted.as_deref().map_or(Ok(filter), TopicFilter::parse);
            let grade = match whole {
                Ok(filter) => self.may_subscribe(session, filter),
                Err(_) => Err(ReasonCode::TopicFilterInvalid),
            };
            let filter = whole.unwrap_or(filter);
            let reason = match grade.and_then(|()| self.grade_new(cx, session, filter, options.qos)) {
                // [MQTT-3.8.4-5] [MQTT-3.8.4-7] [MQTT311-3.8.4-4] every filter by itself, the QoS asked for is granted.
                Ok(filtered) => {
                    self.subscribe_one(cx, session, filter, options, identifier, filtered, token);
                    options.qos as u8
                }
                Err(reason) if self.closes_for_refusal(id) => {
                    self.forget_subscribe(index);
                    return self.disconnect(
                        cx,
                        id,
                        reason,
                        "subscription refused, which 3.1 has no code for",
                    );
                }
                Err(reason) => reason as u8,
            };
            if reason > QoS::ExactlyOnce as u8 {
                self.hub.note_session(cx.now, session, filter.as_str(), What::NotSubscribed(reason));
            }
            if let Some(pending) = self.subacks.get_mut(index) {
                // [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1]
                pending.reasons.push(reason);
            }
        }
        // A refusal promises nothing.
        if self.hub.journal.serial() != serial {
            if let Some(pending) = self.pending(token) {
                pending.waiting += 1;
            }
            let waits_for = self.waits_for(session);
            self.when_safe(cx, waits_for, ShardSet::EMPTY, Due::SubAck(token));
        }
        self.when_seen(cx, Waiter::SubAck(token));
    }

    /// A SUBSCRIBE that will have no answer fetches nothing.
    fn forget_subscribe(&mut self, index: u32) {
        let Some(pending) = self.subacks.remove(index) else { return };
        let session = self.hub.sessions.get_mut(pending.session);
        if let Some(fetches) = session.and_then(|session| session.fetches.as_mut()) {
            pending.queries.into_iter().for_each(|query| fetches.cancel(query));
        }
    }

    fn closes_for_refusal(&self, id: ConnectionId) -> bool {
        self.hub.settings.protocol.refused_subscription_v31 == RefusedV31::Close
            && self
                .hub
                .connections
                .get(id)
                .is_some_and(|connection| connection.version == ProtocolVersion::V31)
    }

    fn may_subscribe(&mut self, session: SessionId, filter: TopicFilter<'_>) -> Result<(), ReasonCode> {
        self.router.check_filter(filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let Some(subscribed) = self.subscribed(session) else { return Err(ReasonCode::UnspecifiedError) };
        let limits = &self.hub.settings.limits;
        let limit = limits.subscriptions_per_client as usize;
        let is_full = subscribed.subscriptions.len() >= limit
            || subscribed.subscriptions.wildcards() >= limits.wildcard_subscriptions_per_client
                && filter.has_wildcard();
        let is_scarce = self.hub.memory >= Memory::Scarce;
        let is_new = (is_full || is_scarce) && subscribed.get(filter).is_none();
        if is_full && is_new {
            return Err(ReasonCode::QuotaExceeded);
        }
        let Some(session) = self.hub.sessions.get(session) else { return Err(ReasonCode::UnspecifiedError) };
        // One Subscription made again and again would have more and more snapshots waiting.
        if session.fetches.as_ref().is_some_and(|fetches| fetches.len() >= limit.max(SNAPSHOTS_MAXIMUM)) {
            return Err(ReasonCode::QuotaExceeded);
        }
        if self.hub.journal.has_no_room() && session.key != 0 {
            return Err(ReasonCode::QuotaExceeded);
        }
        if is_new && self.refuses_growth() {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a checked Subscription")]
    fn subscribe_one(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        filter: TopicFilter<'_>,
        options: SubscriptionOptions,
        identifier: u32,
        filtered: bool,
        token: SubAckToken,
    ) {
        let subscription = Subscription { options, identifier, filtered };
        let is_shared = filter.shared().is_some();
        let wanted = if is_shared { None } else { self.want(cx, id, filter, subscription) };
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        if session.key != 0 {
            let (key, options, filter) = (session.key, options.to_bits(), filter.as_str());
            let record = Record::Subscribed { key, options, identifier, filter };
            self.hub.journal.control(cx.now, session.partition, &record);
        }
        // [MQTT-3.8.4-3] [MQTT311-3.8.4-3] a new one replaces it.
        let is_new = match wanted {
            Some((_, is_new)) => is_new,
            None => self.join_group(cx, id, filter, subscription, token),
        };
        let what = What::subscribed(options, is_new);
        self.hub.note_session(cx.now, id, filter.as_str(), what);
        // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT311-3.3.1-6]
        let fetches = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        // [MQTT-3.8.4-4] No retained messages for a Shared Subscription (section 4.8.2).
        if let Some((wanted, _)) = wanted.filter(|_| fetches && !self.finds_nothing(cx, filter.as_str())) {
            let query = self.plan_fetch(id, filter, wanted);
            if let Some(pending) = self.pending(token) {
                pending.queries.push(query);
            }
        }
    }

    /// The Session becomes a member of a shared group, or is one with other options. True where it was none before.
    fn join_group(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        filter: TopicFilter<'_>,
        subscription: Subscription,
        token: SubAckToken,
    ) -> bool {
        let Subscription { options, identifier, filtered } = subscription;
        let joined = self.new_join();
        let policy = self.policy_where(id, filtered);
        let Some(session) = self.hub.sessions.get_mut(id) else { return false };
        let is_new = session.subscriptions.join(filter, Membership { subscription, joined });
        let (connected, window, durable) = (session.connection().is_some(), session.window, session.key != 0);
        if let Some(pending) = self.pending(token) {
            pending.waiting += 1;
        }
        let event = MemberEvent::Join {
            options,
            subscription_identifier: identifier,
            joined,
            connected,
            window,
            durable,
            token,
            policy,
        };
        self.tell_group(cx, id, filter, event);
        is_new
    }

    /// From now on the Session gets what matches. The filter, and whether the Subscription is new.
    pub(crate) fn want(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        filter: TopicFilter<'_>,
        subscription: Subscription,
    ) -> Option<(FilterId, bool)> {
        let planted = self.plant(id, filter, subscription)?;
        if planted.begins {
            self.announce(cx, filter, true);
        }
        Some((planted.filter, planted.is_new))
    }

    /// Adds or replaces a Subscription in the tree and in its Session; other shards are not told.
    pub(crate) fn plant(
        &mut self,
        id: SessionId,
        filter: TopicFilter<'_>,
        subscription: Subscription,
    ) -> Option<Planted> {
        let session = self.hub.sessions.get_mut(id)?;
        let planted = self.router.tree.subscribe(filter, subscription.of(id.index()));
        if planted.is_new {
            session.subscriptions.add(planted.filter, filter);
        }
        Some(planted)
    }

    /// What a Session subscribed to.
    pub(crate) fn subscribed(&self, id: SessionId) -> Option<Subscribed<'_>> {
        let subscriptions = &self.hub.sessions.get(id)?.subscriptions;
        Some(Subscribed { tree: &self.router.tree, subscriptions, session: id.index() })
    }

    pub(crate) fn new_join(&mut self) -> u32 {
        self.next_join = self.next_join.wrapping_add(1);
        self.next_join
    }

    fn pending(&mut self, token: SubAckToken) -> Option<&mut PendingSubAck> {
        let SubAckToken { index, generation } = token;
        if self.subacks.is_current(index, generation) { self.subacks.get_mut(index) } else { None }
    }

    /// One of the things that a SUBACK waits for has happened.
    pub(crate) fn suback_part_done(&mut self, cx: &mut Cx<'_>, token: SubAckToken) {
        let Some(pending) = self.pending(token) else { return };
        pending.waiting -= 1;
        if pending.waiting > 0 {
            return;
        }
        let Some(pending) = self.subacks.remove(token.index) else { return };
        // The identifiers of connections are used again: only the Session's own gets the answer.
        let session = self.hub.sessions.get(pending.session);
        if session.is_some_and(|session| session.connection() == Some(pending.connection)) {
            // [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-2.3.1-7]; without
            // properties that could be too much [MQTT-3.9.2-1] [MQTT-3.9.2-2].
            let suback = SubAck {
                packet_id: pending.packet_id,
                properties: Properties::EMPTY,
                reasons: &self.reasons_for(pending.connection, pending.reasons),
            };
            if !self.hub.send(cx, pending.connection, &Packet::SubAck(suback)) {
                self.disconnect(cx, pending.connection, ReasonCode::PacketTooLarge, TOO_LARGE);
            }
        }
        for query in pending.queries {
            self.start_fetch(cx, pending.session, query);
        }
    }

    /// 3.1 Clients cannot be told of a refusal: where they are not disconnected for it, they are told QoS 0.
    fn reasons_for(&self, id: ConnectionId, mut reasons: Vec<u8>) -> Vec<u8> {
        let is_v31 =
            self.hub.connections.get(id).is_some_and(|connection| connection.version == ProtocolVersion::V31);
        if is_v31 {
            reasons
                .iter_mut()
                .filter(|reason| **reason > QoS::ExactlyOnce as u8)
                .for_each(|reason| *reason = 0);
        }
        reasons
    }

    /// UNSUBSCRIBE of a Client [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT311-3.10.4-4] [MQTT311-3.10.4-5].
    pub(crate) fn unsubscribe_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        unsubscribe: &Unsubscribe<'_>,
    ) {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        let mount = self.hub.mount_of(id);
        for filter in unsubscribe.filters.iter() {
            let mounted = mount.as_ref().map(|mount| mount.filter(filter));
            let filter = mounted.as_deref().map_or(Ok(filter), TopicFilter::parse).unwrap_or(filter);
            let was_there = self.unsubscribe_one(cx, session, filter);
            if was_there {
                self.hub.note_session(cx.now, session, filter.as_str(), What::Unsubscribed);
            }
            let reason = if was_there { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
            // [MQTT-3.11.3-1]
            reasons.push(reason as u8);
        }
        // One for all filters [MQTT-3.10.4-6] [MQTT311-3.10.4-6] [MQTT-2.2.1-6] [MQTT311-2.3.1-7], without properties that could be too
        // much [MQTT-3.11.2-1] [MQTT-3.11.2-2].
        let packet_id = unsubscribe.packet_id;
        if self.hub.journal.is_leaving(session) {
            if self.hub.journal.has_no_room() && !reasons.contains(&(ReasonCode::Success as u8)) {
                // Of those that end nothing there is no end.
                let detail = "the log has no room for what its earlier unsubscribe says";
                return self.disconnect(cx, id, ReasonCode::QuotaExceeded, detail);
            }
            let due = Due::UnsubAck { connection: id, packet_id, reasons: reasons.into() };
            let waits_for = self.waits_for(session);
            return self.when_safe(cx, waits_for, ShardSet::EMPTY, due);
        }
        self.send_unsuback(cx, id, UnsubAck { packet_id, properties: Properties::EMPTY, reasons: &reasons });
    }

    pub(crate) fn send_unsuback(&mut self, cx: &mut Cx<'_>, id: ConnectionId, unsuback: UnsubAck<'_>) {
        if !self.hub.send(cx, id, &Packet::UnsubAck(unsuback)) {
            self.disconnect(cx, id, ReasonCode::PacketTooLarge, TOO_LARGE);
        }
    }

    /// Takes a Subscription away; false where there is none.
    pub(crate) fn unsubscribe_one(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        filter: TopicFilter<'_>,
    ) -> bool {
        let Some(found) = self.hub.sessions.get_mut(session) else { return false };
        // [MQTT-3.10.4-1] [MQTT311-3.10.4-1] compared character by character.
        let wanted = if filter.shared().is_some() {
            if !found.subscriptions.leave(filter) {
                return false;
            }
            None
        } else {
            let wanted = self.router.tree.find(filter);
            let wanted = wanted.filter(|wanted| found.subscriptions.remove(*wanted, filter));
            let Some(wanted) = wanted else { return false };
            if let Some(fetches) = &mut found.fetches {
                fetches.subscription_ended(wanted);
            }
            Some(wanted)
        };
        if found.key != 0 {
            let record = Record::Unsubscribed { key: found.key, filter: filter.as_str() };
            self.hub.journal.control(cx.now, found.partition, &record);
            self.hub.journal.leaves(session);
        }
        // [MQTT-3.10.4-2] [MQTT311-3.10.4-2]; what is in flight is completed [MQTT-3.10.4-3] [MQTT311-3.10.4-3].
        match wanted {
            None => self.tell_group(cx, session, filter, MemberEvent::Leave),
            Some(wanted) => {
                if self.router.tree.unsubscribe(wanted, session.index()) {
                    self.announce(cx, filter, false);
                }
            }
        }
        true
    }

    /// Tells the home of every shared group that a Session is a member of.
    pub(crate) fn tell_groups(&mut self, cx: &mut Cx<'_>, id: SessionId, event: MemberEvent) {
        let Some(session) = self.hub.sessions.get(id) else { return };
        let memberships = session.subscriptions.memberships();
        let shared: Vec<Box<str>> = memberships.map(|(filter, _)| filter.into()).collect();
        for filter in shared {
            if let Ok(filter) = TopicFilter::parse(&filter) {
                self.tell_group(cx, id, filter, event.clone());
            }
        }
    }

    pub(crate) fn tell_group(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        filter: TopicFilter<'_>,
        event: MemberEvent,
    ) {
        let Some(shared) = filter.shared() else { return };
        let (share, filter) = (shared.share_name.as_str(), shared.filter.as_str());
        let member = self.hub.reference(session);
        let home = self.group_home(share, filter);
        self.hub.post(cx, home, Letter::Group { share: share.into(), filter: filter.into(), member, event });
    }

    fn group_home(&self, share: &str, filter: &str) -> ShardId {
        self.hub.map.home(group_partition(share, filter))
    }
}
