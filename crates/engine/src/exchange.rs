//! The acknowledgements of QoS 1 and 2, in both directions, and publishers that are slowed by withholding theirs.
//!
//! Spec:  MQTT 5.0 sections 3.4 to 3.7, 4.3 and 4.6.

use dunlin_codec::{Ack, Packet, ReasonCode, Rule};

use crate::connection::Slowed;
use crate::effect::Effect;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::Cx;
use crate::mail::{Deal, DealOutcome, SessionRef};
use crate::partition::ShardId;
use crate::session::SessionId;
use crate::session::outgoing::{Acked, Outgoing};
use crate::settings::Strict;

impl Engine {
    /// [MQTT-4.3.2-5]
    pub(crate) fn puback_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        ack: &Ack<'_>,
    ) {
        let acked = self.outgoing(session).map_or(Acked::Unknown, |outgoing| outgoing.puback(ack.packet_id));
        self.acked(cx, id, session, ack, acked, "PUBACK");
    }

    /// PUBREL goes out at once, so that they keep the order of PUBREC [MQTT-4.3.3-4] [MQTT311-4.3.3-1] [MQTT311-4.6.0-4].
    pub(crate) fn pubrec_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        ack: &Ack<'_>,
    ) {
        let failed = ack.reason.is_failure();
        let acked =
            self.outgoing(session).map_or(Acked::Unknown, |outgoing| outgoing.pubrec(ack.packet_id, failed));
        match acked {
            Acked::Release => {
                self.hub.acknowledge(cx, id, Packet::PubRel, ack.packet_id, ReasonCode::Success)
            }
            Acked::Unknown if !failed => {
                // Without an answer the Client would send it for ever.
                let reason = self.unknown_identifier();
                self.hub.acknowledge(cx, id, Packet::PubRel, ack.packet_id, reason);
                self.acked(cx, id, session, ack, acked, "PUBREC");
            }
            _ => self.acked(cx, id, session, ack, acked, "PUBREC"),
        }
    }

    /// [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.3-7]
    pub(crate) fn pubcomp_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        ack: &Ack<'_>,
    ) {
        let acked = self.outgoing(session).map_or(Acked::Unknown, |outgoing| outgoing.pubcomp(ack.packet_id));
        self.acked(cx, id, session, ack, acked, "PUBCOMP");
    }

    /// The Client releases a message that it published with QoS 2 [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT311-4.3.3-2], which may have
    /// expired long ago [MQTT-4.3.3-13].
    pub(crate) fn pubrel_received(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        ack: &Ack<'_>,
    ) {
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        let was_there = found.received.as_mut().is_some_and(|received| received.remove(ack.packet_id));
        let reason = if was_there { ReasonCode::Success } else { self.unknown_identifier() };
        if !was_there
            && self.reject(
                cx,
                id,
                Rule::UnknownPacketId,
                ReasonCode::ProtocolError,
                "PUBREL of no known PUBLISH",
            )
        {
            return;
        }
        self.hub.acknowledge(cx, id, Packet::PubComp, ack.packet_id, reason);
    }

    /// After a lost PUBCOMP or a restart an identifier is unknown although all went well; so by default nothing is said of it.
    fn unknown_identifier(&self) -> ReasonCode {
        match self.hub.settings.strictness.unknown_packet_id {
            Strict::Allow => ReasonCode::Success,
            Strict::Warn | Strict::Reject => ReasonCode::PacketIdentifierNotFound,
        }
    }

    fn acked(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        ack: &Ack<'_>,
        acked: Acked,
        packet: &str,
    ) {
        match acked {
            Acked::Ended(deal) => self.exchange_ended(cx, session, deal),
            Acked::Release => {}
            Acked::Unknown => {
                let detail =
                    format!("{packet} with packet identifier {}, which is not in use", ack.packet_id.get());
                self.reject(cx, id, Rule::UnknownPacketId, ReasonCode::ProtocolError, &detail);
            }
            Acked::Unexpected => {
                let detail = format!("{packet} does not belong to packet identifier {}", ack.packet_id.get());
                self.disconnect(cx, id, ReasonCode::ProtocolError, &detail);
            }
        }
    }

    fn exchange_ended(&mut self, cx: &mut Cx<'_>, session: SessionId, deal: Option<Deal>) {
        // Acknowledged, or refused for good [MQTT-4.8.2-6].
        self.hub.end_deal(cx, deal, DealOutcome::Done);
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        if let Some(pressure) = &mut found.pressure {
            pressure.progress = cx.now;
        }
        let waits = !found.fetches.is_empty()
            || found
                .outgoing
                .as_ref()
                .is_some_and(|outgoing| outgoing.queue_len() > 0 || !outgoing.is_resent());
        if waits {
            self.hub.pump(cx, session.index());
        }
    }

    fn outgoing(&mut self, session: SessionId) -> Option<&mut Outgoing> {
        self.hub.sessions.get_mut(session)?.outgoing.as_deref_mut()
    }

    /// A Session asks to slow a publisher of this shard.
    pub(crate) fn slow(&mut self, session: SessionId, by: SessionRef) {
        let Some(id) = self.hub.sessions.get(session).and_then(|session| session.connection) else { return };
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let slowed = connection.slowed.get_or_insert_default();
        if !slowed.by.contains(&by) {
            slowed.by.push(by);
        }
    }

    /// A Session has room again. The publisher goes on once nobody slows it.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>, session: SessionId, by: SessionRef) {
        let Some(id) = self.hub.sessions.get(session).and_then(|session| session.connection) else { return };
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let Some(slowed) = &mut connection.slowed else { return };
        slowed.by.retain(|other| *other != by);
        if !slowed.by.is_empty() {
            return;
        }
        let Some(slowed) = connection.slowed.take() else { return };
        let was_paused = std::mem::take(&mut connection.paused);
        let Slowed { withheld, .. } = *slowed;
        for (packet_id, is_rec, reason) in withheld {
            self.write_answer(cx, id, packet_id, is_rec, reason);
        }
        if was_paused {
            self.keep_alive(cx, id);
            cx.fx.list.push(Effect::ReadMore { connection: id });
        }
    }

    /// Acknowledgements withheld from a connection.
    pub(crate) fn withheld(&self, id: ConnectionId) -> usize {
        let slowed = self.hub.connections.get(id).and_then(|connection| connection.slowed.as_ref());
        slowed.map_or(0, |slowed| slowed.withheld.len())
    }

    /// Those of them whose message is not also among the QoS 2 exchanges of the Session.
    pub(crate) fn withheld_of_no_exchange(&self, id: ConnectionId) -> usize {
        let slowed = self.hub.connections.get(id).and_then(|connection| connection.slowed.as_ref());
        let is_alone = |is_rec: bool, reason: ReasonCode| !is_rec || reason.is_failure();
        slowed.map_or(0, |slowed| {
            slowed.withheld.iter().filter(|(_, is_rec, reason)| is_alone(*is_rec, *reason)).count()
        })
    }

    /// A slowed publisher that goes on publishing (a 3.x Client knows no Receive Maximum) is not read for a while; but never
    /// one that has messages of its own to acknowledge, which might be what everybody waits for.
    pub(crate) fn pause_if_flooding(&mut self, id: ConnectionId) {
        let maximum = usize::from(self.hub.settings.limits.receive_maximum.get());
        // One that keeps to the Receive Maximum is bounded by that, and read on: it may want to ping.
        if self.withheld(id) <= maximum {
            return;
        }
        let Some(connection) = self.hub.connections.get(id) else { return };
        let has_flight = connection
            .session()
            .and_then(|session| self.hub.sessions.get(session)?.outgoing.as_ref())
            .is_some_and(|outgoing| outgoing.has_flight());
        if let Some(connection) = self.hub.connections.get_mut(id).filter(|_| !has_flight) {
            connection.paused = true;
        }
    }

    /// Mail for a shard piles up: whoever publishes to it waits. It will be taken without anybody's help.
    pub(crate) fn pause_for(&mut self, id: ConnectionId, shard: ShardId) {
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.paused = true;
            self.interest.waiting_for_mail(shard, id);
        }
    }

    /// Mail for a shard was taken: whoever waited for that goes on.
    pub(crate) fn mail_taken(&mut self, cx: &mut Cx<'_>, to: ShardId) {
        for id in self.interest.take_waiting_for_mail(to) {
            let Some(connection) = self.hub.connections.get_mut(id) else { continue };
            connection.paused = false;
            self.keep_alive(cx, id);
            cx.fx.list.push(Effect::ReadMore { connection: id });
        }
    }
}
