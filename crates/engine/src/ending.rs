//! How connections and Sessions end, and what becomes of the Will.
//!
//! Spec:  MQTT 5.0 sections 3.1.2.5, 3.1.2.11.2, 3.14, 4.1 and 4.13; MQTT 3.1.1 sections 3.1.2.5 and 3.14.

use std::time::Duration;

use dunlin_codec::{
    Disconnect, Packet, Properties, Property, PropertyBuf, ProtocolVersion, ReasonCode, Rule, TopicFilter,
};

use crate::connection::Phase;
use crate::counters::Drop;
use crate::effect::{DisconnectCause, Effect, Notice};
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::{SessionEnd, What};
use crate::hub::{Cx, Hub};
use crate::journal::record::{Exchange, Record};
use crate::journal::{Due, Lane};
use crate::mail::{DealOutcome, MemberEvent};
use crate::partition::ShardSet;
use crate::session::{Link, SessionId};

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// DISCONNECT of the Client.
    ByClient(ReasonCode),
    ByServer {
        reason: ReasonCode,
        detail: &'a str,
    },
    /// The transport ended.
    Lost,
}

impl Ended<'_> {
    /// Only a DISCONNECT with Normal disconnection takes the Will back [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.1.2-10]
    /// [MQTT311-3.14.4-3].
    fn takes_will_back(self) -> bool {
        matches!(self, Self::ByClient(ReasonCode::Success))
    }

    /// The same for the ledger.
    fn what(self) -> What {
        match self {
            Self::ByClient(reason) => What::Left(reason as u8),
            Self::ByServer { reason, .. } => What::Closed(reason as u8),
            Self::Lost => What::Lost,
        }
    }

    fn detail(&self) -> &str {
        if let Self::ByServer { detail, .. } = self { detail } else { "" }
    }

    fn cause(self) -> DisconnectCause {
        match self {
            Self::ByClient(reason) => DisconnectCause::ByClient(reason),
            Self::ByServer { reason, detail } => DisconnectCause::ByServer { reason, detail: detail.into() },
            Self::Lost => DisconnectCause::Lost,
        }
    }
}

impl Engine {
    /// DISCONNECT of the Client.
    pub(crate) fn disconnect_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        disconnect: &Disconnect<'_>,
    ) {
        let asked = disconnect.properties.iter().find_map(|property| match property {
            Property::SessionExpiryInterval(seconds) => Some(seconds),
            _ => None,
        });
        if let (Some(asked), Some(found)) = (asked, self.hub.sessions.get_mut(session)) {
            if found.expiry == 0 && asked != 0 {
                // [MQTT-3.14.2-2] section 3.14.2.2.2
                let detail = "session expiry interval was 0 and cannot be raised by DISCONNECT";
                return self.disconnect(cx, id, ReasonCode::ProtocolError, detail);
            }
            found.expiry = asked.min(self.hub.settings.limits.session_expiry_interval_maximum);
        }
        self.connection_ended(cx, id, Ended::ByClient(disconnect.reason));
        // [MQTT-3.14.4-1] [MQTT311-3.14.4-1]
        cx.fx.list.push(Effect::Close { connection: id });
    }

    /// Tells a 5.0 Client why it is being disconnected [MQTT-3.14.0-1] [MQTT-3.14.2-3], without User Properties [MQTT-3.14.2-4]; never
    /// before CONNACK.
    pub(crate) fn say_goodbye(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        reason: ReasonCode,
        detail: &str,
    ) {
        let Some(connection) = self.hub.connections.get(id) else { return };
        if connection.session().is_none() || connection.version != ProtocolVersion::V5 {
            return;
        }
        let mut properties = PropertyBuf::new();
        if connection.problem_information && !detail.is_empty() {
            properties.push(Property::ReasonString(detail));
        }
        let full = Disconnect { reason, properties: properties.as_properties() };
        if !self.hub.send(cx, id, &Packet::Disconnect(full)) {
            self.hub.send(cx, id, &Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
        }
    }

    /// A connection is no more. Its Session goes on, or ends with it.
    pub(crate) fn connection_ended(&mut self, cx: &mut Cx<'_>, id: ConnectionId, how: Ended<'_>) {
        let Some(connection) = self.hub.connections.remove(id) else { return };
        if let Phase::Opening(session) = connection.phase {
            self.opening_ended(cx, id, session);
        }
        let Some(session_id) = connection.session() else {
            self.hub.counters.connects_refused += 1;
            return;
        };
        self.hub.note_ended(cx.now, session_id, &connection, how);
        let Some(session) = self.hub.sessions.get_mut(session_id) else { return };
        self.hub.ledger.session(cx.now, &session.client_id, how.detail(), how.what());
        session.link = Link::None;
        session.disconnected_at = cx.now;
        session.received.take_if(|received| received.len() == 0);
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.disconnect();
        }
        let counts =
            session.seldom.rules_broken.iter().flat_map(|counts| Rule::ALL.into_iter().zip(**counts));
        let rules_broken = counts.filter(|(_, count)| *count > 0).collect();
        let notice =
            Notice::Disconnected { client_id: session.client_id.clone(), cause: how.cause(), rules_broken };
        cx.fx.list.push(Effect::Notice(Box::new(notice)));
        if how.takes_will_back() {
            self.hub.ledger.will(cx.now, session, What::WillTakenBack);
            session.will = None;
        } else if let Some(will) = &mut session.will {
            will.due = Some(cx.now.after(will.delay));
            let seconds = u32::try_from(will.delay.as_secs()).unwrap_or(u32::MAX);
            self.hub.ledger.will(cx.now, session, What::WillDelayed(seconds));
        }
        let is_over = session.is_ephemeral();
        let is_due = session.will.as_ref().is_some_and(|will| will.delay.is_zero());
        self.incumbent_ended(cx, session_id);
        self.hub.release_publishers(cx, session_id.index(), false);
        self.tell_groups(cx, session_id, MemberEvent::Offline);
        self.return_deals(cx, session_id);
        if is_over {
            self.end_session(cx, session_id, SessionEnd::WithConnection);
        } else {
            self.hub.record_closed(cx, session_id);
            if is_due {
                self.publish_will(cx, session_id);
            }
            self.hub.arm_session(session_id);
        }
    }

    /// A Session and all its state are deleted, which retained messages are no part of [MQTT311-3.1.2-7]; a Will still to be sent
    /// is sent now [MQTT-3.1.2-8].
    pub(crate) fn end_session(&mut self, cx: &mut Cx<'_>, id: SessionId, why: SessionEnd) {
        let is_connected = self.hub.sessions.get(id).is_none_or(|session| session.any_connection().is_some());
        // [MQTT-4.1.0-1] [MQTT311-4.1.0-2]
        if is_connected {
            return;
        }
        self.publish_will(cx, id);
        self.tell_groups(cx, id, MemberEvent::Leave);
        self.return_deals(cx, id);
        self.hub.note_end(cx.now, id, why);
        let Some(session) = self.hub.sessions.remove(id) else { return };
        if session.key != 0 {
            let record = Record::Ended { key: session.key };
            self.hub.journal.control(cx.now, session.partition, &record);
            self.hub.journal.ends(session.client_id);
            let progress = session.outgoing.as_ref().and_then(|outgoing| outgoing.record);
            self.hub.journal.progress_replaced(session.partition, progress);
            for packet_id in session.received.iter().flat_map(|received| received.iter()) {
                // It will not be released any more.
                let exchange = Exchange { partition: session.partition, key: session.key, packet_id };
                let remote = session.received.as_ref().map_or(ShardSet::EMPTY, |of| of.remote(packet_id));
                self.hub.release_exchange(cx, exchange, remote);
            }
            for exchange in self.hub.journal.before_of(session.partition, session.key) {
                self.hub.release_exchange(cx, exchange, ShardSet::EMPTY);
            }
            for home in session.outgoing.iter().flat_map(|outgoing| outgoing.homes()) {
                self.hub.journal.delivered(session.partition, home);
            }
        }
        for wanted in session.subscriptions.filters() {
            let filter = self.router.tree.text(wanted);
            if let (true, Ok(filter)) =
                (self.router.tree.unsubscribe(wanted, id.index()), TopicFilter::parse(&filter))
            {
                self.announce(cx, filter, false);
            }
        }
        if let Some(outgoing) = session.outgoing {
            let deals = outgoing.deals().count();
            let waiting = outgoing.queue_len() + outgoing.in_flight() - deals;
            self.hub.counters.drop_many(Drop::SessionEnded, waiting as u64);
            for deal in outgoing.deals() {
                // [MQTT-4.8.2-5] QoS 2 that was sent to this member goes to nobody else.
                self.hub.counters.drop(Drop::MemberLost);
                self.hub.end_deal(cx, Some(deal), DealOutcome::Done);
            }
        }
    }

    /// Publishes the Will, if there is one to be published [MQTT-3.1.2-7] [MQTT-3.1.3-9] [MQTT311-3.1.2-8] [MQTT311-3.1.2-12].
    pub(crate) fn publish_will(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.hub.sessions.get_mut(id) else { return };
        if session.will.as_ref().is_none_or(|will| will.due.is_none()) {
            return;
        }
        let Some(will) = session.will.take() else { return };
        if !self.may_publish_will(cx, id, &will) {
            // A restart, which knows no rights before the Client is back, must not find it.
            return self.hub.record_closed(cx, id);
        }
        let mut view = will.message.view();
        view.expires_at = will.expiry.map(|seconds| cx.now.after(Duration::from_secs(seconds.into())));
        view.origin = Some(self.hub.reference(self.hub.owner(id)));
        let route = self.router.route(view.topic, &self.hub.sessions).ok();
        let of_topic = route.and_then(|route| {
            let route = self.router.get_mut(route);
            self.hub.follow(cx.now, route, &mut view);
            route.durability
        });
        view.durability = of_topic.unwrap_or_else(|| self.hub.durability_of(id));
        let durability = view.durability;
        // Its topic was checked at CONNECT; a limit lowered since then makes it disappear.
        let remote = self.publish(cx, &view, route).unwrap_or(ShardSet::EMPTY);
        if !remote.is_empty()
            && let Some(session) = self.hub.sessions.get(id).filter(|session| session.key != 0)
        {
            let bequest = self.hub.journal.bequeath(cx.now, session, &will);
            self.when_safe(cx, (Lane::of(durability), durability), remote, Due::Bequeathed(bequest));
        }
        // Written behind the message, and behind what remembers it.
        self.hub.record_closed(cx, id);
    }

    /// Messages that a shared group dealt to a Session without a connection go back to the group.
    fn return_deals(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(outgoing) = self.hub.sessions.get_mut(id).and_then(|session| session.outgoing.as_mut())
        else {
            return;
        };
        for deal in outgoing.take_returned_deals() {
            self.hub.end_deal(cx, Some(deal), DealOutcome::Returned);
        }
    }
}

impl Hub {
    /// The Session of the Client whose Will it is.
    fn owner(&self, id: SessionId) -> SessionId {
        let bequest = self.sessions.get(id).filter(|session| session.is_bequest());
        bequest.and_then(|session| self.sessions.find(session.owner())).unwrap_or(id)
    }

    /// A Session has no connection any more, or no Will.
    fn record_closed(&mut self, cx: &Cx<'_>, id: SessionId) {
        if let Some(session) = self.sessions.get(id).filter(|session| session.key != 0) {
            self.journal.control(cx.now, session.partition, &session.closed_record());
        }
    }
}
