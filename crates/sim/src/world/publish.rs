//! What clients send once they are connected.

use std::num::NonZeroU16;

use dunlin_codec::{
    Ack, FilterBuf, Packet, PacketId, Properties, Property, PropertyBuf, ProtocolVersion, Publish, QoS,
    ReasonCode, RetainHandling, Subscribe, SubscribeBuf, SubscriptionOptions, TopicFilter, Unsubscribe,
    VarInt,
};

use super::World;
use super::actor::Out;
use super::link::Tag;
use crate::model::{Message, Wish, nobody};
use crate::topics::{FILTERS, FIRST_SHARED, TOPICS};

/// The message's number, then bytes that follow from it.
pub(super) fn payload(message: usize, size: usize) -> Vec<u8> {
    let number = (message as u64).to_le_bytes();
    let mut payload = vec![number[0]; size];
    let head = size.min(8);
    payload[..head].copy_from_slice(&number[..head]);
    payload
}

/// The message that a payload names; `None` for an empty one. An error where it is none that was sent.
pub(super) fn message_of(payload_bytes: &[u8]) -> Result<Option<usize>, ()> {
    if payload_bytes.is_empty() {
        return Ok(None);
    }
    let head = payload_bytes.first_chunk::<8>().ok_or(())?;
    let number = usize::try_from(u64::from_le_bytes(*head)).map_err(|_| ())?;
    // Without an early end, many bytes are compared at once.
    let differs = payload_bytes[8..].iter().fold(0, |differs, byte| differs | byte ^ head[0]);
    if differs == 0 { Ok(Some(number)) } else { Err(()) }
}

pub(super) fn packet_id(packet: u16) -> PacketId {
    PacketId::new(packet).unwrap_or(PacketId::MIN)
}

impl World {
    pub(super) fn short_time(&mut self) -> u32 {
        self.rng.pick(&[1, 2, 3, 6, 10])
    }

    /// Publishes something new, if the windows allow it.
    pub(super) fn publish(&mut self, actor: usize, link: usize) {
        let person = &self.actors[actor];
        let window = person.window.min(self.links[link].speech.server_receive_maximum.into());
        let full = person.out.len() >= window;
        let qos = if full { 0 } else { self.rng.pick(&[0, 1, 1, 2, 2]) };
        let message = self.compose(actor, qos, true);
        let packet = if qos > 0 { self.actors[actor].free_packet() } else { 0 };
        if qos > 0 {
            self.actors[actor].out.push_back(Out { packet, message, qos, released: false });
        }
        self.summary.published += 1;
        self.send_publish(link, message, packet, false);
    }

    /// Makes up a message.
    pub(super) fn compose(&mut self, actor: usize, qos: u8, certain: bool) -> usize {
        let person = &self.actors[actor];
        let v5 = person.version == ProtocolVersion::V5;
        let link = person.link.unwrap_or_default();
        let actor = if person.anonymous { nobody(link) } else { actor };
        let heavy = self.scenario.heavy;
        let rng = &mut self.rng;
        let retain = certain && rng.percent(15);
        let size = match rng.below(1000) {
            0..100 if heavy => rng.between(100_000, 250_000),
            0..2 => rng.between(40_000, 100_000),
            2..25 => rng.between(3_900, 9_000),
            25..45 if retain => 0,
            _ => rng.between(8, 60),
        };
        let size = if retain && rng.percent(15) { 0 } else { size.min(self.scenario.payload_maximum) };
        let mut properties = PropertyBuf::new();
        if v5 && rng.percent(25) {
            properties.push(Property::PayloadFormatIndicator(0));
            properties.push(Property::UserProperty("one", "1"));
            properties.push(Property::ContentType("application/x-number"));
            properties.push(Property::UserProperty("one", ""));
            if rng.percent(50) {
                properties.push(Property::ResponseTopic("a/0"));
                properties.push(Property::CorrelationData(&[0, 255, 7]));
            }
        }
        let message = Message {
            actor,
            topic: rng.below(TOPICS.len()),
            qos,
            retain,
            size,
            properties: properties.as_properties().as_bytes().to_vec(),
            expiry: (v5 && rng.percent(8)).then(|| rng.pick(&[1, 2, 3, 6, 10])),
            certain,
            will: false,
            taken: None,
            last_taken: None,
            copies: 0,
            owed: false,
        };
        self.model.new_message(message)
    }

    /// Sends a PUBLISH; `packet` is 0 for QoS 0.
    pub(super) fn send_publish(&mut self, link: usize, number: usize, packet: u16, dup: bool) {
        let version = self.links[link].version;
        let message = &self.model.messages[number];
        let mut properties = PropertyBuf::new();
        let mut topic = TOPICS[message.topic];
        if version == ProtocolVersion::V5 {
            let speech = &mut self.links[link].speech;
            let alias_max = speech.server_alias_max.min(4);
            if alias_max > 0 && !dup && self.rng.percent(40) {
                let alias = u16::try_from(self.rng.between(1, alias_max.into())).unwrap_or(1);
                if speech.aliases_out.insert(alias, message.topic) == Some(message.topic) {
                    topic = "";
                }
                properties.push(Property::TopicAlias(NonZeroU16::new(alias).unwrap_or(NonZeroU16::MIN)));
            }
            properties.extend(Properties::from_trusted(&message.properties));
            if let Some(expiry) = message.expiry {
                properties.push(Property::MessageExpiryInterval(expiry));
            }
        }
        let qos = QoS::from_u8(message.qos).unwrap_or_default();
        let publish = Publish {
            dup,
            qos,
            retain: message.retain,
            topic,
            packet_id: (message.qos > 0).then(|| packet_id(packet)),
            properties: properties.as_properties(),
            payload: &payload(number, message.size),
        };
        let mut bytes = Vec::new();
        publish.encode(version, &mut bytes);
        // Only of the hostile nobody follows what becomes of it.
        let is_followed = !self.actors[self.links[link].actor].hostile;
        let tag = if is_followed { Tag::Publish(number) } else { Tag::Other };
        self.trace.note(&[21, link, number, packet.into()], || {
            format!("link {link}: client sends message {number}, packet {packet}, dup {dup}, {message:?}")
        });
        self.send(link, &bytes, tag);
    }

    /// [MQTT-4.4.0-1] After a reconnect: what was not acknowledged, in order.
    pub(super) fn send_again(&mut self, link: usize) {
        let actor = self.links[link].actor;
        for out in self.actors[actor].out.clone() {
            if out.released {
                self.send_ack(link, &Packet::PubRel(success(out.packet)), Tag::Other);
            } else {
                self.send_publish(link, out.message, out.packet, true);
            }
        }
    }

    pub(super) fn send_ack(&mut self, link: usize, packet: &Packet<'_>, tag: Tag) {
        let mut bytes = Vec::new();
        packet.encode(self.links[link].version, &mut bytes);
        self.trace.note(&[22, link], || format!("link {link}: client sends {packet:?}"));
        self.send(link, &bytes, tag);
    }

    /// Subscribes with options of all kinds.
    pub(super) fn subscribe(&mut self, actor: usize, link: usize, filters: &[usize]) {
        let v5 = self.links[link].version == ProtocolVersion::V5;
        let identifier = if v5 && self.rng.percent(50) { self.identifier(actor) } else { 0 };
        let rng = &mut self.rng;
        let wish = |filter: &usize| {
            let shared = *filter >= FIRST_SHARED;
            Wish {
                filter: *filter,
                qos: if shared && rng.percent(90) { rng.pick(&[1, 2]) } else { rng.pick(&[0, 1, 2, 2]) },
                no_local: v5 && !shared && rng.percent(20),
                retain_as_published: v5 && !shared && rng.percent(30),
                handling: if v5 { rng.pick(&[0, 0, 1, 2]) } else { 0 },
                identifier,
            }
        };
        let wishes: Vec<Wish> = filters.iter().map(wish).collect();
        self.send_subscribe(actor, link, wishes);
    }

    /// `wishes` have one Subscription Identifier.
    pub(super) fn send_subscribe(&mut self, actor: usize, link: usize, wishes: Vec<Wish>) {
        let version = self.links[link].version;
        let identifier = wishes.first().map_or(0, |wish| wish.identifier);
        let mut list = SubscribeBuf::new(version);
        for wish in &wishes {
            let options = SubscriptionOptions {
                qos: QoS::from_u8(wish.qos).unwrap_or_default(),
                no_local: wish.no_local,
                retain_as_published: wish.retain_as_published,
                retain_handling: RetainHandling::from_u8(wish.handling).unwrap_or_default(),
            };
            if let Ok(filter) = TopicFilter::parse(FILTERS[wish.filter]) {
                list.push(filter, options);
            }
        }
        let packet = self.actors[actor].free_packet();
        self.actors[actor].waiting.insert(packet);
        let mut properties = PropertyBuf::new();
        if let Some(identifier) = VarInt::new(identifier).filter(|identifier| identifier.get() > 0) {
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: packet_id(packet),
            properties: properties.as_properties(),
            filters: list.as_list(),
        });
        self.send_ack(link, &subscribe, Tag::Subscribe(packet, wishes));
    }

    /// A Subscription Identifier that the client has not used; now and then one of several bytes.
    fn identifier(&mut self, actor: usize) -> u32 {
        let person = &mut self.actors[actor];
        person.next_identifier += 1;
        person.next_identifier + self.rng.pick(&[0, 0, 1000, 100_000, 200_000_000])
    }

    pub(super) fn unsubscribe(&mut self, actor: usize, link: usize, filters: &[usize]) {
        let mut list = FilterBuf::new();
        for filter in filters {
            if let Ok(filter) = TopicFilter::parse(FILTERS[*filter]) {
                list.push(filter);
            }
        }
        let packet = self.actors[actor].free_packet();
        self.actors[actor].waiting.insert(packet);
        let unsubscribe = Packet::Unsubscribe(Unsubscribe {
            packet_id: packet_id(packet),
            properties: Properties::EMPTY,
            filters: list.as_list(),
        });
        self.send_ack(link, &unsubscribe, Tag::Unsubscribe(packet, filters.to_vec()));
    }
}

/// An acknowledgement without complaint.
pub(super) fn success(packet: u16) -> Ack<'static> {
    Ack { packet_id: packet_id(packet), reason: ReasonCode::Success, properties: Properties::EMPTY }
}
