//! What clients do with what the Server sends; every byte of it must be of a packet that a Server may send.

use dunlin_codec::{
    Frame, Framing, Packet, Properties, Property, PropertyBuf, ProtocolVersion, Publish, ReasonCode, RuleSet,
    Tolerance,
};

use super::link::Ack;
use super::publish::message_of;
use super::{Phase, World};
use crate::model::{Broken, Delivery, Moment, ensure};
use crate::topics::topic_index;

impl World {
    /// Takes whole packets out of what the client read.
    pub(super) fn receive(&mut self, link: usize) -> Result<(), Broken> {
        let bytes = std::mem::take(&mut self.links[link].inbox);
        let version = self.links[link].version;
        let mut at = 0;
        while at < bytes.len() && !self.links[link].over {
            let framing =
                Frame::split(&bytes[at..], u32::MAX).map_err(|error| self.undecodable(link, &error))?;
            let Framing::Complete { frame, len } = framing else { break };
            let mut broken = RuleSet::default();
            let packet = Packet::decode(frame, version, Tolerance::default(), &mut broken)
                .map_err(|error| self.undecodable(link, &error))?;
            at += len;
            let state = &mut self.links[link];
            state.parsed += len as u64;
            let emitted = state.emitted_at(state.parsed);
            // [MQTT-3.1.2-24]
            ensure(len as u64 <= u64::from(state.speech.packet_max), "Maximum Packet Size exceeded", || {
                format!("link {link}: {} of {len} bytes", packet.name())
            })?;
            self.trace.note(&[23, link, len], || format!("link {link}: client receives {}", brief(&packet)));
            self.receive_packet(link, &packet, emitted)?;
        }
        self.links[link].inbox = bytes[at..].to_vec();
        Ok(())
    }

    fn undecodable(&self, link: usize, error: &dunlin_codec::DecodeError) -> Broken {
        Broken { rule: "the Server sent bytes that are no packet", detail: format!("link {link}: {error}") }
    }

    fn receive_packet(&mut self, link: usize, packet: &Packet<'_>, emitted: Moment) -> Result<(), Broken> {
        let actor = self.links[link].actor;
        let version = self.links[link].version;
        let what = || format!("link {link}: {packet:?}");
        let speech = &mut self.links[link].speech;
        ensure(speech.disconnected.is_none(), "a packet after DISCONNECT", what)?;
        let is_connack = matches!(packet, Packet::ConnAck(_));
        let hostile = self.actors[actor].hostile;
        // [MQTT-3.2.0-1]
        ensure(speech.connected || is_connack || hostile, "the first packet is not CONNACK", what)?;
        if let Packet::Disconnect(disconnect) = packet {
            ensure(version == ProtocolVersion::V5, "DISCONNECT to a 3.x client", what)?;
            speech.disconnected = Some(disconnect.reason as u8);
            return Ok(());
        }
        let of_server = !matches!(
            packet,
            Packet::Connect(_)
                | Packet::Subscribe(_)
                | Packet::Unsubscribe(_)
                | Packet::PingReq
                | Packet::Auth(_)
        );
        ensure(of_server, "a packet that no Server may send", what)?;
        if let (true, Packet::Publish(publish)) = (hostile, packet)
            && let Some(topic) = topic_index(publish.topic)
        {
            self.model.heard(link, topic, emitted.step)?;
        }
        if hostile || self.actors[actor].link != Some(link) {
            if let Packet::ConnAck(ack) = packet {
                speech.connected = ack.reason == ReasonCode::Success;
            }
            return Ok(());
        }
        match packet {
            Packet::ConnAck(ack) => self.connected(link, ack),
            Packet::Publish(publish) => self.receive_publish(link, publish, emitted),
            Packet::SubAck(ack) => {
                self.actors[actor].waiting.remove(&ack.packet_id.get());
                self.model.suback(link, ack.packet_id.get(), ack.reasons)
            }
            Packet::UnsubAck(ack) => {
                self.actors[actor].waiting.remove(&ack.packet_id.get());
                let reasons = (version == ProtocolVersion::V5).then_some(ack.reasons);
                self.model.unsuback(link, ack.packet_id.get(), reasons)
            }
            Packet::PingResp => {
                ensure(speech.pings > 0, "PINGRESP without PINGREQ", what)?;
                speech.pings -= 1;
                Ok(())
            }
            _ => self.receive_ack(actor, link, packet),
        }
    }

    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    fn receive_ack(&mut self, actor: usize, link: usize, packet: &Packet<'_>) -> Result<(), Broken> {
        let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) = packet
        else {
            return Ok(());
        };
        let id = ack.packet_id.get();
        let what = || format!("link {link}: {packet:?}");
        if let Packet::PubRel(_) = packet {
            self.actors[actor].received.remove(&id);
            self.model.released(link, id);
            self.queue_ack(link, Ack::PubComp(id));
            return Ok(());
        }
        let out = &mut self.actors[actor].out;
        let at = out.iter().position(|out| out.packet == id);
        let found = at.map(|at| out[at]);
        if ack.reason == ReasonCode::NotAuthorized
            && let Some(at) = at
            && found.is_some_and(|found| self.model.is_unsaid(found.message))
        {
            out.remove(at);
            return Ok(());
        }
        if ack.reason == ReasonCode::QuotaExceeded
            && let Some(at) = at
            && found.is_some_and(|found| self.model.may_be_refused(found.message))
        {
            self.model.refused(out[at].message);
            out.remove(at);
            return Ok(());
        }
        ensure(!ack.reason.is_failure(), "the Server refused a good message", what)?;
        let expected =
            |qos: u8, released: bool| found.is_some_and(|out| out.qos == qos && out.released == released);
        let matched = ack.reason != ReasonCode::NoMatchingSubscribers;
        match packet {
            Packet::PubAck(_) => ensure(expected(1, false), "PUBACK for nothing", what)?,
            Packet::PubRec(_) => ensure(expected(2, false), "PUBREC for nothing", what)?,
            _ => ensure(expected(2, true), "PUBCOMP for nothing", what)?,
        }
        let Some((at, found)) = at.zip(found) else { return Ok(()) };
        if let Packet::PubRec(_) = packet {
            out[at].released = true;
            self.queue_ack(link, Ack::PubRel(id));
        } else {
            out.remove(at);
        }
        if let Packet::PubComp(_) = packet {
            return Ok(());
        }
        self.summary.acknowledged += 1;
        self.model.publish_acked(found.message, matched)
    }

    fn receive_publish(&mut self, link: usize, publish: &Publish<'_>, emitted: Moment) -> Result<(), Broken> {
        let actor = self.links[link].actor;
        let topic = self.resolve_topic(link, publish)?;
        let what = || format!("link {link}: {:?}", Packet::Publish(*publish).name());
        let (Some(topic), Ok(message)) = (topic_index(&topic), message_of(publish.payload)) else {
            return ensure(false, "a message that nobody published", what);
        };
        let known = message.is_none_or(|message| {
            let published = self.model.messages.get(message);
            published.is_some_and(|published| published.size == publish.payload.len())
        });
        ensure(known, "a message that nobody published", what)?;
        self.check_forwarded(link, message, publish.properties)?;
        let identifiers: Vec<u32> = publish
            .properties
            .into_iter()
            .filter_map(|property| match property {
                Property::SubscriptionIdentifier(identifier) => Some(identifier.get()),
                _ => None,
            })
            .collect();
        let packet = publish.packet_id.map(dunlin_codec::PacketId::get);
        let delivery = Delivery {
            link,
            message,
            topic,
            qos: publish.qos as u8,
            dup: publish.dup,
            retain: publish.retain,
            packet,
            identifiers: &identifiers,
            expiry: publish.properties.message_expiry_interval(),
            emitted,
        };
        let fresh = self.model.delivered(&delivery)?;
        self.summary.delivered += u64::from(fresh);
        if self.phase == Phase::Probe && publish.retain && fresh {
            self.probe_saw(actor, topic, message);
        }
        self.acknowledge(actor, link, packet, publish.qos as u8);
        Ok(())
    }

    fn acknowledge(&mut self, actor: usize, link: usize, packet: Option<u16>, qos: u8) {
        let Some(packet) = packet else { return };
        let v5 = self.links[link].version == ProtocolVersion::V5;
        let refuses = v5 && self.phase == Phase::Run && self.rng.percent(2);
        let ack = match (qos, refuses) {
            (1, false) => Ack::PubAck(packet),
            (1, true) => Ack::PubAckFailed(packet),
            (_, true) if !self.actors[actor].received.contains(&packet) => Ack::PubRecFailed(packet),
            _ => {
                self.actors[actor].received.insert(packet);
                Ack::PubRec(packet)
            }
        };
        self.queue_ack(link, ack);
    }

    fn resolve_topic(&mut self, link: usize, publish: &Publish<'_>) -> Result<String, Broken> {
        let speech = &mut self.links[link].speech;
        let Some(alias) = publish.properties.topic_alias() else { return Ok(publish.topic.to_owned()) };
        let alias = alias.get();
        // [MQTT-3.1.2-26] [MQTT-3.1.2-27]
        ensure(alias <= speech.alias_max, "Topic Alias beyond the maximum", || {
            format!("link {link}: {alias}")
        })?;
        if !publish.topic.is_empty() {
            speech.aliases_in.insert(alias, publish.topic.to_owned());
        }
        let topic = speech.aliases_in.get(&alias).cloned();
        ensure(topic.is_some(), "Topic Alias that was never given", || format!("link {link}: {alias}"))?;
        Ok(topic.unwrap_or_default())
    }

    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    fn check_forwarded(
        &self,
        link: usize,
        message: Option<usize>,
        properties: Properties<'_>,
    ) -> Result<(), Broken> {
        let Some(message) = message else { return Ok(()) };
        let mut forwarded = PropertyBuf::new();
        forwarded.extend_forwarded(properties);
        let expected: &[u8] = match self.links[link].version {
            ProtocolVersion::V5 => &self.model.messages[message].properties,
            _ => &[],
        };
        ensure(
            forwarded.as_properties().as_bytes() == expected,
            "properties were not forwarded as they came",
            || format!("link {link}, message {message}: {:?}", properties.iter().collect::<Vec<_>>()),
        )
    }

    /// The client read all that the Server sent before it closed.
    pub(super) fn client_sees_end(&mut self, link: usize) -> Result<(), Broken> {
        let state = &self.links[link];
        let actor = state.actor;
        self.trace.note(&[24, link], || format!("link {link}: client sees the end"));
        let told = state.speech.disconnected == Some(ReasonCode::SessionTakenOver as u8);
        let v5 = state.version == ProtocolVersion::V5;
        let expected = v5 && !state.truncated && state.speech.connected && self.model.was_replaced(link);
        // [MQTT-3.1.4-3]
        ensure(told || !expected || self.actors[actor].hostile, "taken over without 0x8E", || {
            format!("link {link}: {:?}", self.links[link].speech.disconnected)
        })?;
        ensure(
            state.inbox.is_empty() || state.truncated,
            "the Server closed in the middle of a packet",
            || format!("link {link}: {} bytes", self.links[link].inbox.len()),
        )?;
        if self.actors[actor].link == Some(link) {
            self.actors[actor].link = None;
        }
        Ok(())
    }
}

/// Without the payload, which is long and says nothing.
fn brief(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => format!(
            "PUBLISH {:?} of {} bytes, {:?}, packet {:?}, dup {}, retain {}, {:?}, message {:?}",
            publish.topic,
            publish.payload.len(),
            publish.qos,
            publish.packet_id,
            publish.dup,
            publish.retain,
            publish.properties.iter().collect::<Vec<_>>(),
            message_of(publish.payload),
        ),
        _ => format!("{packet:?}"),
    }
}
