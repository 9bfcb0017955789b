//! PUBLISH packets on their way out: encoded once for each kind of receiver, copied or shared from there.
//!
//! Spec:  MQTT 5.0 section 3.3.

use std::num::NonZeroU16;

use bytes::Bytes;
use dunlin_codec::{
    Frame, PacketId, Properties, Property, PropertyBuf, ProtocolVersion, Publish, QoS, VarInt,
};

use crate::connection::Aliases;
use crate::counters::Drop;
use crate::event::ConnectionId;
use crate::message::{Message, MessageView};
use crate::mount::Mount;
use crate::outbox::{Outbox, SHARED_PAYLOAD_MIN};
use crate::span::Followed;
use crate::time::Time;

/// 5.0 or not, three QoS, RETAIN or not.
const KINDS: usize = 12;

/// A message being delivered to many.
#[derive(Debug)]
pub(crate) struct Passing<'a> {
    pub(crate) view: &'a MessageView<'a>,
    stored: Option<Message>,
    /// Where there are several receivers.
    frames: Option<Box<Frames>>,
    /// The journal's number for it.
    pub(crate) publication: Option<u64>,
    /// Where its way is followed.
    pub(crate) followed: Option<Followed>,
}

/// Encoded packets without Packet Identifier, one after another in one buffer that is used again for each message.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    kinds: [Option<Range>; KINDS],
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: usize,
    end: usize,
}

/// Whom it goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    pub(crate) connection: ConnectionId,
    pub(crate) version: ProtocolVersion,
    pub(crate) maximum_packet_size: u32,
}

/// What a PUBLISH has beside the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) identifiers: &'a [u32],
}

impl<'a> Passing<'a> {
    /// `frames` where there are several receivers, so that each kind of packet is encoded once.
    pub(crate) fn new(view: &'a MessageView<'a>, mut frames: Option<Box<Frames>>) -> Self {
        if let Some(frames) = &mut frames {
            frames.bytes.clear();
            frames.kinds = [None; KINDS];
        }
        Self { view, stored: None, frames, publication: None, followed: None }
    }

    /// `view`: that of the message.
    pub(crate) fn of_stored(message: &Message, view: &'a MessageView<'a>) -> Self {
        let followed = message.followed();
        Self { view, stored: Some(message.clone()), frames: None, publication: None, followed }
    }

    pub(crate) fn into_frames(self) -> Option<Box<Frames>> {
        self.frames
    }

    /// The message to keep; copied at the first call.
    pub(crate) fn stored(&mut self) -> Message {
        self.stored.get_or_insert_with(|| self.view.to_followed(self.followed)).clone()
    }

    fn shared_payload(&mut self) -> Option<Bytes> {
        (self.view.payload.len() >= SHARED_PAYLOAD_MIN).then(|| self.stored().payload())
    }

    /// Writes it to a connection. False, and nothing written, where the packet would be larger than the Client takes
    /// [MQTT-3.1.2-24].
    pub(crate) fn send(
        &mut self,
        outbox: &mut Outbox,
        to: &Receiver,
        envelope: &Envelope<'_>,
        now: Time,
    ) -> bool {
        if let Some(body) = self.body_for(to, envelope) {
            return self.send_on(outbox, to, envelope, body);
        }
        if envelope.dup || !envelope.identifiers.is_empty() {
            return self.send_alone(outbox, to, envelope, now, None);
        }
        let shared = self.shared_payload();
        let view = self.view;
        let Some(frames) = &mut self.frames else {
            return self.send_alone(outbox, to, envelope, now, None);
        };
        let bytes = frames.get(view, to.version, envelope, now);
        if bytes.len() + shared.as_ref().map_or(0, Bytes::len) > to.maximum_packet_size as usize {
            return false;
        }
        outbox.append(to.connection, |tail| {
            let start = tail.len();
            tail.extend_from_slice(bytes);
            if let Some(packet_id) = envelope.packet_id {
                let at = start + packet_id_offset(bytes) + view.topic.len();
                tail[at..at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
            }
        });
        if let Some(payload) = shared {
            outbox.push_shared(to.connection, payload);
        }
        true
    }

    /// What came, where it is what the receiver gets, but for flags and the Packet Identifier.
    #[inline]
    fn body_for(&self, to: &Receiver, envelope: &Envelope<'_>) -> Option<&'a [u8]> {
        let is_v5 = |version| version == ProtocolVersion::V5;
        let sent = self.view.sent?;
        let is_alike = is_v5(sent.version) == is_v5(to.version)
            && (self.view.qos == QoS::AtMostOnce) == envelope.packet_id.is_none()
            && envelope.identifiers.is_empty()
            && self.view.payload.len() < SHARED_PAYLOAD_MIN;
        if is_alike { Some(sent.body) } else { None }
    }

    #[inline]
    fn send_on(&self, outbox: &mut Outbox, to: &Receiver, envelope: &Envelope<'_>, body: &[u8]) -> bool {
        let frame = Frame::of_publish(envelope.dup, envelope.qos, envelope.retain, body);
        if frame.encoded_len() > to.maximum_packet_size as usize {
            return false;
        }
        outbox.append(to.connection, |tail| {
            frame.encode(tail);
            if let Some(packet_id) = envelope.packet_id {
                // Behind the topic and its length.
                let at = tail.len() - body.len() + 2 + self.view.topic.len();
                tail[at..at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
            }
        });
        true
    }

    /// The same for a Client of a listener with a mount point.
    ///
    /// # Errors
    /// The Client has no name for the topic.
    pub(crate) fn send_mounted(
        &mut self,
        mount: &Mount,
        outbox: &mut Outbox,
        to: &Receiver,
        envelope: &Envelope<'_>,
        now: Time,
        aliases: Option<&mut Aliases>,
    ) -> Result<bool, Drop> {
        let topic = mount.strip(self.view.topic).ok_or(Drop::Denied)?;
        // What is shared is the payload, which is the same.
        let stored = self.shared_payload().is_some().then(|| self.stored());
        let properties = mount.outgoing(Properties::from_trusted(self.view.properties));
        let properties =
            properties.as_ref().map_or(self.view.properties, |own| own.as_properties().as_bytes());
        let view = &MessageView { topic, properties, sent: None, ..*self.view };
        let mut stripped = Passing { view, stored, frames: None, publication: None, followed: None };
        Ok(stripped.send_alone(outbox, to, envelope, now, aliases))
    }

    /// The same for a packet that nobody else gets like this.
    pub(crate) fn send_alone(
        &mut self,
        outbox: &mut Outbox,
        to: &Receiver,
        envelope: &Envelope<'_>,
        now: Time,
        aliases: Option<&mut Aliases>,
    ) -> bool {
        let mut buf = PropertyBuf::new();
        let mut publish = publish(self.view, to.version, envelope, now, &mut buf);
        if publish.encoded_len(to.version) > to.maximum_packet_size as usize {
            return false;
        }
        let mut with_alias = PropertyBuf::new();
        if let Some(aliases) = aliases
            && let Some((number, is_known)) = aliases.for_topic(self.view.topic)
        {
            with_alias.extend(publish.properties);
            with_alias.push(Property::TopicAlias(number));
            let topic = if is_known { "" } else { publish.topic };
            let aliased = Publish { topic, properties: with_alias.as_properties(), ..publish };
            // Told for the first time, an alias makes the packet longer.
            if aliased.encoded_len(to.version) <= to.maximum_packet_size as usize {
                publish = aliased;
            } else if !is_known {
                aliases.sent.remove(self.view.topic);
            }
        }
        if let Some(payload) = self.shared_payload() {
            outbox.append(to.connection, |tail| publish.encode_head(to.version, tail));
            outbox.push_shared(to.connection, payload);
        } else {
            outbox.append(to.connection, |tail| publish.encode(to.version, tail));
        }
        true
    }
}

impl Frames {
    /// The packet for one kind of receiver, without a shared payload, its Packet Identifier to be filled in.
    fn get(
        &mut self,
        view: &MessageView<'_>,
        version: ProtocolVersion,
        envelope: &Envelope<'_>,
        now: Time,
    ) -> &[u8] {
        let is_v5 = version == ProtocolVersion::V5;
        let kind = usize::from(is_v5) * 6 + envelope.qos as usize * 2 + usize::from(envelope.retain);
        let Range { start, end } = match self.kinds[kind] {
            Some(range) => range,
            None => {
                let range = self.encode(view, version, envelope, now);
                self.kinds[kind] = Some(range);
                range
            }
        };
        &self.bytes[start..end]
    }

    fn encode(
        &mut self,
        view: &MessageView<'_>,
        version: ProtocolVersion,
        envelope: &Envelope<'_>,
        now: Time,
    ) -> Range {
        let mut buf = PropertyBuf::new();
        let packet_id = (envelope.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let publish = publish(view, version, &Envelope { packet_id, ..*envelope }, now, &mut buf);
        let start = self.bytes.len();
        if view.payload.len() >= SHARED_PAYLOAD_MIN {
            publish.encode_head(version, &mut self.bytes);
        } else {
            publish.encode(version, &mut self.bytes);
        }
        Range { start, end: self.bytes.len() }
    }
}

impl Aliases {
    /// The alias for a topic and whether the Client knows it already; `None` once all are given. Never more than the Client
    /// announced [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-9] [MQTT-3.3.2-11].
    fn for_topic(&mut self, topic: &str) -> Option<(NonZeroU16, bool)> {
        if let Some(known) = self.sent.get(topic) {
            return NonZeroU16::new(*known).map(|number| (number, true));
        }
        let next = u16::try_from(self.sent.len()).ok()?.checked_add(1)?;
        if next > self.sent_maximum {
            return None;
        }
        self.sent.insert(topic.into(), next);
        NonZeroU16::new(next).map(|number| (number, false))
    }
}

/// Where the Packet Identifier would be if the topic were empty: after the fixed header and the topic's length.
fn packet_id_offset(frame: &[u8]) -> usize {
    let remaining_length = frame[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    1 + remaining_length + 2
}

fn publish<'b>(
    view: &MessageView<'b>,
    version: ProtocolVersion,
    envelope: &Envelope<'_>,
    now: Time,
    buf: &'b mut PropertyBuf,
) -> Publish<'b> {
    let forwarded = Properties::from_trusted(view.properties);
    let mut properties = forwarded;
    let expiry = view.expiry_left(now);
    if version == ProtocolVersion::V5 && (expiry.is_some() || !envelope.identifiers.is_empty()) {
        buf.extend(forwarded);
        if let Some(expiry) = expiry {
            buf.push(Property::MessageExpiryInterval(expiry));
        }
        for identifier in envelope.identifiers.iter().filter_map(|identifier| VarInt::new(*identifier)) {
            buf.push(Property::SubscriptionIdentifier(identifier));
        }
        properties = buf.as_properties();
    }
    Publish {
        dup: envelope.dup,
        qos: envelope.qos,
        retain: envelope.retain,
        topic: view.topic,
        packet_id: envelope.packet_id,
        properties,
        payload: view.payload,
    }
}
