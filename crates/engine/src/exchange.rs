//! The acknowledgements of QoS 1 and 2, in both directions, and publishers that are slowed by withholding theirs.
//!
//! Spec:  MQTT 5.0 sections 3.4 to 3.7, 4.3 and 4.6.

use dunlin_codec::{Ack, Packet, ReasonCode, Rule};

use crate::connection::{Pause, Slowed};
use crate::effect::Effect;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::explain::What;
use crate::hub::{Cx, Hub};
use crate::journal::{Due, Exchange};
use crate::mail::{DealOutcome, Letter, SessionRef};
use crate::partition::{ShardId, ShardSet};
use crate::session::SessionId;
use crate::session::outgoing::{Acked, Gone, Outgoing};
use crate::settings::Strict;
use crate::time::Time;

/// A connection is read whatever the configuration says while less than this waits for it: more than what counts as drained.
const PAUSING_OUTPUT_MIN: usize = 256 * 1024;

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
            Acked::Release { .. } => {
                // A crash must not make it be sent again. Also one without a record waits, for those before it.
                let due = Due::PubRel { connection: id, session, packet_id: ack.packet_id };
                let waits_for = self.waits_for(session);
                self.when_progress_is_safe(cx, session, waits_for, due);
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
        let (key, partition) = (found.key, found.partition);
        let was_there = found.received.as_mut().is_some_and(|received| received.remove(ack.packet_id));
        // No restart knows of it, so nobody else has to forget it.
        let in_memory = found.received.as_mut().is_some_and(|received| received.take_memory(ack.packet_id));
        if was_there && let Some(connection) = self.hub.connections.get_mut(id) {
            connection.open_exchanges = connection.open_exchanges.saturating_sub(1);
        }
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
        if was_there && key != 0 && !in_memory {
            let exchange = Exchange { partition, key, packet_id: ack.packet_id };
            return self.forget_exchange(cx, id, session, exchange, reason);
        }
        self.hub.acknowledge(cx, id, Packet::PubComp, ack.packet_id, reason);
    }

    /// Everybody forgets the exchange before PUBCOMP allows its identifier to be used again.
    fn forget_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        exchange: Exchange,
        reason: ReasonCode,
    ) {
        let packet_id = exchange.packet_id;
        let received = self.hub.sessions.get_mut(session).and_then(|session| session.received.as_mut());
        let remote = received.map_or(ShardSet::EMPTY, |received| received.take_remote(packet_id));
        let remote = self.hub.release_exchange(cx, exchange, remote);
        let waits_for = self.waits_for(session);
        self.when_safe(cx, waits_for, remote, Due::Released { connection: id, session, packet_id, reason });
    }

    /// After a lost PUBCOMP or a restart an identifier is unknown although all went well; so by default nothing is said of it.
    fn unknown_identifier(&self) -> ReasonCode {
        match self.hub.settings.strictness.unknown_packet_id {
            Strict::Allow => ReasonCode::Success,
            Strict::Warn | Strict::Reject => ReasonCode::PacketIdentifierNotFound,
        }
    }

    #[inline]
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
            Acked::Ended(gone) => {
                self.exchange_ended(cx, session, gone);
                self.hub.spans.acknowledged(cx.now, id, ack.packet_id, ack.reason);
            }
            Acked::Release { .. } => {}
            Acked::Unknown => self.acked_nothing(cx, id, ack, packet),
            Acked::Unexpected => {
                let detail = format!("{packet} does not belong to packet identifier {}", ack.packet_id.get());
                self.disconnect(cx, id, ReasonCode::ProtocolError, &detail);
            }
        }
    }

    #[cold]
    fn acked_nothing(&mut self, cx: &mut Cx<'_>, id: ConnectionId, ack: &Ack<'_>, packet: &str) {
        let detail = format!("{packet} with packet identifier {}, which is not in use", ack.packet_id.get());
        self.reject(cx, id, Rule::UnknownPacketId, ReasonCode::ProtocolError, &detail);
    }

    fn exchange_ended(&mut self, cx: &mut Cx<'_>, session: SessionId, mut gone: Gone) {
        if let Some(delivery) = gone.noted {
            self.hub.note_acknowledged(cx, session.index(), delivery);
        }
        // A group that is at home here is told without a letter, when all else is done.
        let deal = gone.deal.take_if(|deal| deal.home == self.hub.shard);
        // Acknowledged, or refused for good [MQTT-4.8.2-6].
        if gone.concerns_others() {
            self.hub.forget(cx, session.index(), gone, DealOutcome::Done);
        }
        self.send_on(cx, session);
        if let Some(deal) = deal {
            let Self { groups, hub, .. } = self;
            groups.deal_ended(cx, hub, deal, DealOutcome::Done);
        }
    }

    /// An exchange that is over makes room for what waits.
    #[inline]
    fn send_on(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        let Some(found) = self.hub.sessions.get_mut(session) else { return };
        let waits = found.fetches.is_some()
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
    pub(crate) fn slow(&mut self, now: Time, session: SessionId, by: SessionRef) {
        self.hub.note_failure(now, session, "", What::Slowed);
        let Some(session) = self.hub.sessions.get_mut(session) else { return };
        let slowed_by = &mut session.seldom.make().slowed_by;
        if !slowed_by.contains(&by) {
            slowed_by.push(by);
        }
        if let Some(connection) = session.connection().and_then(|id| self.hub.connections.get_mut(id)) {
            connection.seldom.make().slowed.get_or_insert_default();
        }
    }

    /// A Session has room again. The publisher goes on once nobody slows it.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>, session: SessionId, by: SessionRef) {
        let Some(session) = self.hub.sessions.get_mut(session) else { return };
        if let Some(seldom) = session.seldom.existing() {
            seldom.slowed_by.retain(|other| *other != by);
            if !seldom.slowed_by.is_empty() {
                return;
            }
            seldom.slowed_by = Vec::new();
        }
        let Some(id) = session.connection() else { return };
        let Some(slowed) = self
            .hub
            .connections
            .get_mut(id)
            .and_then(|connection| connection.seldom.existing()?.slowed.take())
        else {
            return;
        };
        let Slowed { withheld, .. } = *slowed;
        // Before what waits for the journal, which came later.
        for (packet_id, is_rec, reason) in withheld {
            self.write_answer(cx, id, packet_id, is_rec, reason);
        }
        self.read_on(cx, id, Pause::Slowed);
    }

    /// A connection that was not read for this reason is read on.
    pub(crate) fn read_on(&mut self, cx: &mut Cx<'_>, id: ConnectionId, pause: Pause) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        if connection.paused == Some(pause) {
            connection.paused = None;
            self.keep_alive(cx, id);
            cx.fx.list.push(Effect::ReadMore { connection: id });
        }
    }

    /// A slowed publisher that goes on publishing (a 3.x Client knows no Receive Maximum) is not read for a while. But never one
    /// that has messages of its own to acknowledge, which might be what everybody waits for: its oldest answers are let go.
    pub(crate) fn bound_withheld(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(connection) = self.hub.connections.get(id) else { return };
        let maximum = usize::from(self.hub.settings.limits.receive_maximum.get());
        // One that keeps to the Receive Maximum is bounded by that, and read on: it may want to ping.
        if connection.seldom.slowed.as_ref().is_none_or(|slowed| slowed.withheld.len() <= maximum) {
            return;
        }
        let has_flight = connection
            .session()
            .and_then(|session| self.hub.sessions.get(session)?.outgoing.as_ref())
            .is_some_and(|outgoing| outgoing.has_flight());
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        if !has_flight {
            connection.paused = Some(Pause::Slowed);
        } else if let Some(answer) = connection.slowed().and_then(Slowed::let_go) {
            let (packet_id, is_rec, reason) = answer;
            self.write_answer(cx, id, packet_id, is_rec, reason);
        }
    }

    /// Is there room for what another packet of the connection may bring about? Else it is not read until there is.
    #[inline]
    pub(crate) fn has_room(&mut self, cx: &mut Cx<'_>, id: ConnectionId) -> bool {
        if cx.fx.mail.congested().is_some()
            || self.hub.journal.is_too_busy()
            || cx.fx.outbox.len(id) >= PAUSING_OUTPUT_MIN
        {
            self.pause_where_full(cx, id);
        }
        self.hub.connections.get(id).is_none_or(|connection| connection.paused.is_none())
    }

    fn pause_where_full(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let limit = self.hub.output_maximum(cx).max(PAUSING_OUTPUT_MIN);
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        if connection.paused.is_none() {
            if let Some(shard) = cx.fx.mail.congested() {
                // It will be taken without anybody's help.
                connection.paused = Some(Pause::Mail);
                self.interest.waiting_for_mail(shard, id);
            } else if self.hub.journal.is_too_busy() {
                // The disk will take it without anybody's help.
                connection.paused = Some(Pause::Journal);
                self.interest.waiting_for_journal(id);
            } else if cx.fx.outbox.len(id) >= limit {
                // QoS 0 keeps below the bound, QoS 1 and 2 far below: these are answers that the Client does not take.
                connection.paused = Some(Pause::Output);
                cx.fx.outbox.want_drained(id);
            }
        }
    }

    /// Mail for a shard was taken: whoever waited for that goes on.
    pub(crate) fn mail_taken(&mut self, cx: &mut Cx<'_>, to: ShardId) {
        for id in self.interest.take_waiting_for_mail(to) {
            self.read_on(cx, id, Pause::Mail);
        }
        let Self { groups, hub, .. } = self;
        groups.mail_taken(cx, hub, to);
    }
}

impl Hub {
    /// Forgets a publisher's exchange, here and in other shards: those that its message went to, in this life of the process and in
    /// those before.
    pub(crate) fn release_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        remote: ShardSet,
    ) -> ShardSet {
        let mut receivers = remote;
        if let Some(before) = self.journal.before.remove(&exchange) {
            before.iter().for_each(|shard| receivers.insert(shard));
        }
        self.journal.exchange_released(cx.now, exchange);
        for shard in receivers.iter() {
            self.journal.posted(shard);
            cx.fx.mail.post(shard, Letter::Released { exchange });
        }
        receivers
    }
}
