//! Bytes of a connection: cut into packets, and each given to the part of the engine that it concerns.
//!
//! Spec:  MQTT 5.0 sections 2.1, 3.1.0 and 4.13.

use dunlin_codec::{
    Ack, DecodeError, Frame, Framing, Packet, ProtocolVersion, Publish, ReasonCode, Rule, RuleSet,
};

use crate::connection::{Connection, Phase};
use crate::effect::{Effect, Notice};
use crate::ending::Ended;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::Cx;
use crate::message::Sent;
use crate::pace::Verdict;
use crate::publish::Incoming;
use crate::session::SessionId;
use crate::settings::Strict;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
/// Bytes of a CONNECT: more than its strings can come to that anybody uses, little for those who never finish one.
const LARGEST_CONNECT: u32 = 256 * 1024;
/// What Remaining Length can say, and the fixed header.
const LARGEST_PACKET: u32 = 268_435_455 + 5;

impl Engine {
    /// Takes all whole packets: how many bytes they were.
    pub(crate) fn receive(&mut self, cx: &mut Cx<'_>, id: ConnectionId, bytes: &[u8]) -> usize {
        let tolerance = self.hub.tolerance;
        let tolerates_size = tolerance.0.contains(Rule::PacketTooLarge);
        if bytes.first().is_some_and(|first| first >> 4 != CONNECT) && !self.is_connected(id) {
            // [MQTT-3.1.0-1] [MQTT311-3.1.0-1] seen at the first byte: what is no MQTT is not waited for.
            self.turn_away(cx, id, "", ReasonCode::ProtocolError, "first packet is no CONNECT");
            return 0;
        }
        let mut consumed = 0;
        while self.has_room(cx, id)
            && let Some(connection) = self.hub.connections.get_mut(id)
        {
            let configured = connection.announced.maximum_packet_size;
            let limit = largest(connection.phase, configured, tolerates_size);
            let (frame, len) = match Frame::split(&bytes[consumed..], limit) {
                Ok(Framing::Complete { frame, len }) => (frame, len),
                Ok(Framing::Incomplete { .. }) => break,
                Err(error) => {
                    self.undecodable(cx, id, None, error);
                    break;
                }
            };
            connection.received_at = cx.now;
            let (phase, version) = (connection.phase, connection.version);
            let concerns_tap = self.hub.taps.concern(connection);
            let pace = connection.pace(cx.now, frame, len);
            let sampled = pace == Verdict::Within && connection.tally.received(frame.first, len);
            if pace != Verdict::Within && !self.beyond_rate(cx, id, pace) {
                break;
            }
            let mut broken = RuleSet::EMPTY;
            if len > configured as usize {
                broken.insert(Rule::PacketTooLarge);
            }
            self.hub.counters.packets_received += 1;
            let tapped = concerns_tap && !matches!(phase, Phase::Opening(_));
            if tapped {
                self.hub.tap_received(cx.now, id, &bytes[consumed..consumed + len]);
            }
            match phase {
                // Not read before its CONNACK.
                Phase::Opening(_) => break,
                Phase::New => {
                    let packet = &bytes[consumed..consumed + len];
                    if self.first_packet(cx, id, frame, packet, &mut broken) == Taken::HandedOver {
                        self.untap_connect(id);
                        break;
                    }
                }
                Phase::Asking => match Packet::decode(frame, version, tolerance, &mut broken) {
                    Ok(packet) => self.packet_of_stranger(cx, id, &packet),
                    Err(error) => self.undecodable(cx, id, Some(frame), error),
                },
                Phase::Connected(session) => {
                    self.packet_of_client(cx, id, session, (frame, version), (pace, sampled), &mut broken);
                }
            }
            consumed += len;
            if !broken.is_empty() {
                self.tolerated(cx, id, broken);
            }
            // A publisher that fills a queue is slowed before its next message, not after all that it sent at once.
            self.settle(cx);
        }
        cx.fx.paused = self.hub.connections.get(id).is_some_and(|connection| connection.paused.is_some());
        // Where the connection was closed on the way, what is left concerns nobody [MQTT-3.1.4-6].
        consumed
    }

    #[inline(always)]
    fn packet_of_client(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        (frame, version): (Frame<'_>, ProtocolVersion),
        (pace, sampled): (Verdict, bool),
        broken: &mut RuleSet,
    ) {
        let tolerance = self.hub.tolerance;
        if frame.packet_type() != PUBLISH {
            if let Some(ack) = Ack::decode_plain(frame) {
                return self.acknowledgement(cx, id, session, frame.packet_type(), &ack);
            }
            return match Packet::decode(frame, version, tolerance, broken) {
                Ok(packet) => self.packet(cx, id, session, &packet),
                Err(error) => self.undecodable(cx, id, Some(frame), error),
            };
        }
        let likely = self.router.lend_topic(id.index());
        match Publish::decode_like(frame, version, tolerance, broken, &likely) {
            Ok(publish) if pace == Verdict::Within => {
                if sampled {
                    self.hub.note_sample(cx, id, session, &publish);
                }
                let is_recent = !likely.is_empty() && std::ptr::eq(publish.topic, &*likely);
                let (publish, sent) = (&publish, Some(Sent { version, body: frame.body }));
                self.publish_received(cx, &Incoming { connection: id, session, publish, sent, is_recent });
            }
            Ok(publish) => self.refuse_publish(cx, id, session, &publish),
            Err(error) => self.undecodable(cx, id, Some(frame), error),
        }
        self.router.take_back(id.index(), likely);
    }

    #[inline]
    fn acknowledgement(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        packet_type: u8,
        ack: &Ack<'_>,
    ) {
        match packet_type {
            PUBACK => self.puback_received(cx, id, session, ack),
            PUBREC => self.pubrec_received(cx, id, session, ack),
            PUBREL => self.pubrel_received(cx, id, session, ack),
            _ => self.pubcomp_received(cx, id, session, ack),
        }
    }

    fn is_connected(&self, id: ConnectionId) -> bool {
        self.hub.connections.get(id).is_some_and(|connection| connection.phase != Phase::New)
    }

    fn first_packet(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        frame: Frame<'_>,
        packet: &[u8],
        broken: &mut RuleSet,
    ) -> Taken {
        let tolerance = self.hub.tolerance;
        match Packet::decode(frame, ProtocolVersion::V5, tolerance, broken) {
            Ok(Packet::Connect(connect)) => return self.connect_received(cx, id, &connect, packet),
            Ok(_) => unreachable!("the first byte was looked at"),
            Err(error) => self.undecodable(cx, id, Some(frame), error),
        }
        Taken::Yes
    }

    fn packet(&mut self, cx: &mut Cx<'_>, id: ConnectionId, session: SessionId, packet: &Packet<'_>) {
        match packet {
            Packet::PubAck(ack) => self.puback_received(cx, id, session, ack),
            Packet::PubRec(ack) => self.pubrec_received(cx, id, session, ack),
            Packet::PubRel(ack) => self.pubrel_received(cx, id, session, ack),
            Packet::PubComp(ack) => self.pubcomp_received(cx, id, session, ack),
            Packet::Subscribe(subscribe) => self.subscribe_received(cx, id, session, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe_received(cx, id, session, unsubscribe),
            // [MQTT-3.12.4-1] [MQTT311-3.12.4-1]
            Packet::PingReq => {
                self.hub.send(cx, id, &Packet::PingResp);
            }
            Packet::Disconnect(disconnect) => self.disconnect_received(cx, id, session, disconnect),
            Packet::Auth(auth) => self.auth_received(cx, id, auth),
            // [MQTT-3.1.0-2] [MQTT311-3.1.0-2]
            Packet::Connect(_) => self.disconnect(cx, id, ReasonCode::ProtocolError, "a second CONNECT"),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                let detail = format!("a Client sends no {}", packet.name());
                self.disconnect(cx, id, ReasonCode::ProtocolError, &detail);
            }
            Packet::Publish(_) => unreachable!("handled before"),
        }
    }

    /// Malformed Packet and Protocol Error: the connection is closed, a 5.0 Client told why [MQTT-4.13.1-1].
    fn undecodable(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        frame: Option<Frame<'_>>,
        error: DecodeError,
    ) {
        let reason = error.reason_code();
        let phase = self.hub.connections.get(id).map(|connection| connection.phase);
        if phase == Some(Phase::Asking) {
            return self.refuse_stranger(cx, id, reason, &error.to_string());
        }
        if !matches!(phase, Some(Phase::New | Phase::Opening(_))) {
            // A second CONNECT is a Protocol Error whatever is in it [MQTT-3.1.0-2]; what it could be refused for is no reason
            // for DISCONNECT.
            let is_connect = frame.is_some_and(|frame| frame.packet_type() == CONNECT);
            let reason = if is_connect { ReasonCode::ProtocolError } else { reason };
            return self.disconnect(cx, id, reason, &error.to_string());
        }
        // Whoever sends no CONNECT at all gets no answer; whoever asks for what there is not, gets one. 3.1.1 has no answer to
        // what is against its rules [MQTT311-3.1.4-1] [MQTT311-3.2.2-6].
        let version = frame.map_or(ProtocolVersion::V311, |frame| announced_version(frame.body));
        let is_understood = match reason {
            ReasonCode::MalformedPacket => false,
            ReasonCode::ProtocolError => version == ProtocolVersion::V5,
            _ => error != DecodeError::UnknownProtocolName,
        };
        if let (true, Some(connection)) = (is_understood && frame.is_some(), self.hub.connections.get_mut(id))
        {
            connection.version = version;
            return self.refuse(cx, id, "", reason, &error.to_string());
        }
        self.turn_away(cx, id, "", reason, &error.to_string());
    }

    /// Rules that the configuration lets pass: counted, and said where it says so.
    pub(crate) fn tolerated(&mut self, cx: &mut Cx<'_>, id: ConnectionId, broken: RuleSet) {
        let session = self.hub.connections.get(id).and_then(Connection::session);
        for rule in Rule::ALL.into_iter().filter(|rule| broken.contains(*rule)) {
            self.hub.counters.rules_broken[rule as usize] += 1;
            let Some(session) = session.and_then(|session| self.hub.sessions.get_mut(session)) else {
                continue;
            };
            let count = &mut session.seldom.make().rules_broken.get_or_insert_default()[rule as usize];
            *count = count.saturating_add(1);
            if self.hub.settings.strictness.of(rule) == Strict::Warn {
                let notice = Notice::RuleBroken { client_id: session.client_id.clone(), rule, count: *count };
                cx.fx.list.push(Effect::Notice(Box::new(notice)));
            }
        }
    }

    /// A rule that only the engine can judge was broken: true where the connection is closed for it.
    pub(crate) fn reject(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        rule: Rule,
        reason: ReasonCode,
        detail: &str,
    ) -> bool {
        if self.hub.settings.strictness.of(rule) == Strict::Reject {
            self.disconnect(cx, id, reason, detail);
            return true;
        }
        let mut broken = RuleSet::EMPTY;
        broken.insert(rule);
        self.tolerated(cx, id, broken);
        false
    }

    /// Ends a connection that has a Session: a 5.0 Client is told the reason, and in any case it is closed [MQTT-3.14.4-2]
    /// [MQTT-4.13.2-1].
    pub(crate) fn disconnect(&mut self, cx: &mut Cx<'_>, id: ConnectionId, reason: ReasonCode, detail: &str) {
        // Several reasons may come together in one event: the first counts.
        if self.hub.connections.get(id).is_none() {
            return;
        }
        self.say_goodbye(cx, id, reason, detail);
        self.connection_ended(cx, id, Ended::ByServer { reason, detail });
        cx.fx.list.push(Effect::Close { connection: id });
    }
}

/// The largest packet that is taken.
#[inline]
const fn largest(phase: Phase, configured: u32, tolerates_size: bool) -> u32 {
    match phase {
        Phase::New | Phase::Asking | Phase::Opening(_) if configured > LARGEST_CONNECT => LARGEST_CONNECT,
        Phase::Connected(_) if tolerates_size => LARGEST_PACKET,
        _ => configured,
    }
}

/// Was the packet used, or does it go to another shard with its connection?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    HandedOver,
}

/// The version that a CONNECT names, however wrong its rest is: whoever knows 5.0, or one to come, understands its CONNACK.
fn announced_version(body: &[u8]) -> ProtocolVersion {
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] if *level >= 5 => ProtocolVersion::V5,
        _ => ProtocolVersion::V311,
    }
}
