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
    /// It came on this connection and counts against the Receive Maximum; of QoS 2, its exchange does.
    counts: bool,
}

/// A QoS 2 message from PUBLISH to PUBREL.
#[derive(Default)]
struct Exchange {
    /// PUBREC was sent.
    answered: bool,
    /// PUBLISH came on this connection and counts against the Receive Maximum.
    counts: bool,
}

/// What is known of the messages of one session.
pub(crate) struct Incoming {
    receive_maximum: u16,
    /// In the order of arrival; the first is `first`.
    held: VecDeque<Held>,
    first: u64,
    /// Of QoS 2, by Packet Identifier.
    exchanges: BTreeMap<u16, Exchange>,
    /// What counts against the Receive Maximum.
    counted: u16,
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
            exchanges: taken
                .iter()
                .map(|id| (id.get(), Exchange { answered: true, counts: false }))
                .collect(),
            counted: 0,
            aliases: vec![None; usize::from(aliases)],
            last: None,
        }
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, session_present: bool, effects: &mut Effects) {
        self.aliases.iter_mut().for_each(|alias| *alias = None);
        // Each connection begins with the whole Receive Maximum [MQTT-4.9.0-1].
        self.counted = 0;
        self.held.iter_mut().for_each(|held| held.counts = false);
        self.exchanges.values_mut().for_each(|exchange| exchange.counts = false);
        if !session_present {
            // The Server sends what it has under new identifiers. What the application still holds is its own.
            self.first += self.held.len() as u64;
            self.held.clear();
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
                if self.is_repeated(publish, packet_id, version, effects)? {
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
    ) -> Result<bool, Disconnection> {
        let counts = if publish.qos == QoS::ExactlyOnce {
            let Some(exchange) = self.exchanges.get_mut(&packet_id.get()) else { return Ok(false) };
            if exchange.answered {
                // [MQTT-4.3.3-10]: answered again, not delivered again. Otherwise PUBREC follows when the application
                // has taken it.
                put_ack(Packet::PubRec, packet_id, ReasonCode::Success, version, &mut effects.output);
            }
            &mut exchange.counts
        } else {
            // The Session was resumed while the application had it: one acknowledgement does for both.
            let same = |held: &&mut Held| held.packet_id == packet_id && held.qos == QoS::AtLeastOnce;
            if !publish.dup {
                return Ok(false);
            }
            let Some(held) = self.held.iter_mut().find(same) else { return Ok(false) };
            &mut held.counts
        };
        if !std::mem::replace(counts, true) {
            self.count(version)?;
        }
        Ok(true)
    }

    /// PUBLISH counts until PUBACK or PUBCOMP [MQTT-3.3.4-9]. 3.1.1 has no such bound; there, not reading is one.
    fn count(&mut self, version: ProtocolVersion) -> Result<(), Disconnection> {
        self.counted = self.counted.saturating_add(1);
        if version == ProtocolVersion::V5 && self.counted > self.receive_maximum {
            return Err(Disconnection::Protocol("more messages than the receive maximum"));
        }
        Ok(())
    }

    fn hold(
        &mut self,
        qos: QoS,
        packet_id: PacketId,
        version: ProtocolVersion,
    ) -> Result<DeliveryId, Disconnection> {
        self.count(version)?;
        if qos == QoS::ExactlyOnce {
            self.exchanges.insert(packet_id.get(), Exchange { answered: false, counts: true });
        }
        let id = DeliveryId(self.first + self.held.len() as u64);
        self.held.push_back(Held { packet_id, qos, taken: false, counts: qos == QoS::AtLeastOnce });
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
                self.counted -= u16::from(held.counts);
                Packet::PubAck
            }
            QoS::ExactlyOnce => {
                self.exchanges.entry(held.packet_id.get()).or_default().answered = true;
                Packet::PubRec
            }
        };
        // Without a connection, the Server repeats it on the next one and is answered then.
        if let Some(version) = online {
            put_ack(kind, held.packet_id, ReasonCode::Success, version, &mut effects.output);
        }
    }

    pub(crate) fn pub_rel(&mut self, packet_id: PacketId, version: ProtocolVersion, effects: &mut Effects) {
        let known = self.exchanges.remove(&packet_id.get());
        if let Some(exchange) = &known {
            self.counted -= u16::from(exchange.counts);
            effects.records.push(Record::Freed { packet_id });
            if !exchange.answered {
                // It releases what was never acknowledged: the Server has gone on, and so does the exchange.
                self.release_untaken(packet_id);
            }
        }
        let reason = if known.is_some() { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        // [MQTT-4.3.3-11] [MQTT311-4.3.3-2]
        put_ack(Packet::PubComp, packet_id, reason, version, &mut effects.output);
    }

    /// Its acknowledgement will be taken and go nowhere.
    fn release_untaken(&mut self, packet_id: PacketId) {
        let same = |held: &&mut Held| held.packet_id == packet_id && held.qos == QoS::ExactlyOnce;
        if let Some(held) = self.held.iter_mut().find(same) {
            held.qos = QoS::AtMostOnce;
        }
    }
}
