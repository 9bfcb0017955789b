//! Messages from the Server: handed to the application, acknowledged in the order in which they came.
//!
//! In:    PUBLISH and PUBREL; acknowledgements of the application, in any order.
//! Out:   deliveries; PUBACK, PUBREC, PUBCOMP; records.
//! Never: a QoS 2 message twice; an acknowledgement before the application's.
//! Spec:  MQTT 5.0 sections 4.3, 4.6.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use dunlin_codec::{Packet, PacketId, ProtocolVersion, Publish, QoS, ReasonCode, TopicName};

use super::event::{Delivery, DeliveryId, Disconnection, Effects};
use super::outgoing::put_ack;
use super::record::Record;
use crate::Message;

/// A message of QoS 1 or 2 that the application has, or had and that waits for one before it.
struct Held {
    packet_id: PacketId,
    qos: QoS,
    taken: bool,
}

/// What is known of the messages of one session.
pub(crate) struct Incoming {
    receive_maximum: u16,
    /// In the order of arrival; the first is `first`.
    held: VecDeque<Held>,
    first: u64,
    /// Of those in `held`, how many have QoS 1.
    qos1: usize,
    /// Of QoS 2: from PUBLISH to PUBREL, and whether PUBREC was sent.
    exchanges: BTreeMap<u16, bool>,
    aliases: Vec<Option<Arc<str>>>,
    /// The topic of the last message: the next one has it, often.
    last: Option<Arc<str>>,
}

impl Incoming {
    pub(crate) fn new(receive_maximum: u16, aliases: u16, taken: &[PacketId]) -> Self {
        Self {
            receive_maximum,
            held: VecDeque::new(),
            first: 0,
            qos1: 0,
            exchanges: taken.iter().map(|id| (id.get(), true)).collect(),
            aliases: vec![None; usize::from(aliases)],
            last: None,
        }
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, session_present: bool, effects: &mut Effects) {
        self.aliases.iter_mut().for_each(|alias| *alias = None);
        if !session_present {
            // The Server sends what it has under new identifiers. What the application still holds is its own.
            self.first += self.held.len() as u64;
            self.held.clear();
            self.qos1 = 0;
            self.exchanges.clear();
            effects.records.push(Record::NewSession);
        }
    }

    /// Every message that the application has was acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    /// A PUBLISH: the message for the application, unless it has it.
    pub(crate) fn publish(
        &mut self,
        publish: &Publish<'_>,
        version: ProtocolVersion,
        effects: &mut Effects,
    ) -> Result<Option<Delivery>, Disconnection> {
        let topic = self.topic(publish)?;
        let id = match publish.packet_id {
            None => None,
            Some(packet_id) => {
                if self.is_repeated(publish, packet_id, version, effects) {
                    return Ok(None);
                }
                Some(self.hold(publish.qos, packet_id, version)?)
            }
        };
        let payload = Bytes::copy_from_slice(publish.payload);
        let mut message = Message::received(topic, payload, publish.qos, publish.retain);
        message.read_properties(publish.properties);
        Ok(Some(Delivery { id, to: Vec::new(), dup: publish.dup, message }))
    }

    fn topic(&mut self, publish: &Publish<'_>) -> Result<Arc<str>, Disconnection> {
        let invalid = Disconnection::Protocol("a topic alias beyond the maximum, or without a topic");
        let alias = publish.properties.topic_alias().map(|alias| usize::from(alias.get()) - 1);
        if publish.topic.is_empty() {
            let known = alias.and_then(|alias| self.aliases.get(alias)).cloned().flatten();
            return known.ok_or(invalid);
        }
        let topic = match &self.last {
            Some(last) if **last == *publish.topic => last.clone(),
            _ => {
                if TopicName::parse(publish.topic).is_err() {
                    return Err(Disconnection::Protocol("a publish to what is no topic name"));
                }
                let topic: Arc<str> = publish.topic.into();
                self.last = Some(topic.clone());
                topic
            }
        };
        if let Some(alias) = alias {
            // [MQTT-3.1.2-26]
            *self.aliases.get_mut(alias).ok_or(invalid)? = Some(topic.clone());
        }
        Ok(topic)
    }

    /// The application has it, or had it.
    fn is_repeated(
        &mut self,
        publish: &Publish<'_>,
        packet_id: PacketId,
        version: ProtocolVersion,
        effects: &mut Effects,
    ) -> bool {
        if publish.qos == QoS::ExactlyOnce {
            return match self.exchanges.get(&packet_id.get()) {
                None => false,
                // [MQTT-4.3.3-10]: answered again, not delivered again.
                Some(true) => {
                    put_ack(Packet::PubRec, packet_id, ReasonCode::Success, version, &mut effects.output);
                    true
                }
                // Its PUBREC follows when the application has taken it.
                Some(false) => true,
            };
        }
        // The Session was resumed while the application had it: one acknowledgement does for both.
        publish.dup
            && self.held.iter().any(|held| held.packet_id == packet_id && held.qos == QoS::AtLeastOnce)
    }

    fn hold(
        &mut self,
        qos: QoS,
        packet_id: PacketId,
        version: ProtocolVersion,
    ) -> Result<DeliveryId, Disconnection> {
        // [MQTT-3.3.4-9]: PUBLISH counts until PUBACK or PUBCOMP. 3.1.1 has no such bound; there, not reading is one.
        let unacknowledged = self.exchanges.len() + self.qos1;
        if version == ProtocolVersion::V5 && unacknowledged >= usize::from(self.receive_maximum) {
            return Err(Disconnection::Protocol("more messages than the receive maximum"));
        }
        if qos == QoS::ExactlyOnce {
            self.exchanges.insert(packet_id.get(), false);
        } else {
            self.qos1 += 1;
        }
        let id = DeliveryId(self.first + self.held.len() as u64);
        self.held.push_back(Held { packet_id, qos, taken: false });
        Ok(id)
    }

    /// The application has taken it. Acknowledgements leave in the order of arrival, so one can wait for those before
    /// it [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    pub(crate) fn acknowledge(
        &mut self,
        id: DeliveryId,
        online: Option<ProtocolVersion>,
        effects: &mut Effects,
    ) {
        let at = id.0.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(held) = at.and_then(|at| self.held.get_mut(at)) else { return };
        if !std::mem::replace(&mut held.taken, true) && held.qos == QoS::ExactlyOnce {
            // At once, though its PUBREC may wait: a process that dies now must not hand it out again.
            effects.records.push(Record::Taken { packet_id: held.packet_id });
        }
        while let Some(Held { taken: true, .. }) = self.held.front() {
            let Some(held) = self.held.pop_front() else { return };
            self.first += 1;
            self.answer(&held, online, effects);
        }
    }

    fn answer(&mut self, held: &Held, online: Option<ProtocolVersion>, effects: &mut Effects) {
        let kind = match held.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => {
                self.qos1 -= 1;
                Packet::PubAck
            }
            QoS::ExactlyOnce => {
                self.exchanges.insert(held.packet_id.get(), true);
                Packet::PubRec
            }
        };
        // Without a connection, the Server repeats it on the next one and is answered then.
        if let Some(version) = online {
            put_ack(kind, held.packet_id, ReasonCode::Success, version, &mut effects.output);
        }
    }

    pub(crate) fn pub_rel(&mut self, packet_id: PacketId, version: ProtocolVersion, effects: &mut Effects) {
        let known = self.exchanges.get(&packet_id.get()).copied();
        if known == Some(false) {
            // It releases what was never acknowledged: the Server has gone on, and so does the exchange.
            return self.release_untaken(packet_id, version, effects);
        }
        if known.is_some() {
            self.exchanges.remove(&packet_id.get());
            effects.records.push(Record::Freed { packet_id });
        }
        let reason = if known.is_some() { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        // [MQTT-4.3.3-11] [MQTT311-4.3.3-2]
        put_ack(Packet::PubComp, packet_id, reason, version, &mut effects.output);
    }

    fn release_untaken(&mut self, packet_id: PacketId, version: ProtocolVersion, effects: &mut Effects) {
        self.exchanges.remove(&packet_id.get());
        let held = self.held.iter_mut().find(|held| held.packet_id == packet_id && !held.taken);
        if let Some(held) = held {
            // Its acknowledgement will be taken and go nowhere.
            held.qos = QoS::AtMostOnce;
        }
        put_ack(Packet::PubComp, packet_id, ReasonCode::Success, version, &mut effects.output);
    }
}
