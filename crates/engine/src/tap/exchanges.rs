//! Which acknowledgements belong to what was tapped for its topic.

use dunlin_codec::{Frame, Packet};

use super::filter::TapFilter;
use super::{Seen, decode};
use crate::event::ConnectionId;
use crate::map::{Map, seeded};

/// Exchanges under way; beyond, those there are are forgotten, and what ends them is not shown.
const MAXIMUM: usize = 16 * 1024;

/// What an identifier is of: both ends choose theirs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    PublishReceived,
    PublishSent,
    Subscribe,
}

impl Of {
    fn publish(sent: bool) -> Self {
        if sent { Self::PublishSent } else { Self::PublishReceived }
    }
}

/// Packet Identifiers of packets that were tapped.
#[derive(Debug)]
pub(super) struct Exchanges(Map<(ConnectionId, Of, u16), ()>);

impl Exchanges {
    pub(super) fn new(seed: u64) -> Self {
        Self(seeded(seed))
    }

    /// Is the packet about one of the topics, or does it belong to one that was?
    pub(super) fn wants(
        &mut self,
        filter: &TapFilter,
        id: ConnectionId,
        sent: bool,
        frame: Frame<'_>,
        seen: &Seen<'_>,
    ) -> bool {
        if let Some(topic) = seen.topic {
            let wanted = filter.wants_topic(topic);
            if wanted && let Some(Packet::Publish(publish)) = decode(frame, seen.version) {
                self.begin(id, Of::publish(sent), publish.packet_id.map(dunlin_codec::PacketId::get));
            }
            return wanted;
        }
        match decode(frame, seen.version) {
            Some(Packet::Connect(connect)) => {
                connect.will.is_some_and(|will| filter.wants_topic(&seen.whole_topic(will.topic)))
            }
            Some(Packet::PubAck(ack) | Packet::PubComp(ack)) => {
                self.0.remove(&(id, Of::publish(!sent), ack.packet_id.get())).is_some()
            }
            Some(Packet::PubRec(ack)) => self.0.contains_key(&(id, Of::publish(!sent), ack.packet_id.get())),
            Some(Packet::PubRel(ack)) => self.0.contains_key(&(id, Of::publish(sent), ack.packet_id.get())),
            Some(Packet::Subscribe(subscribe)) => {
                let mut filters =
                    subscribe.filters.iter().map(|(subscribed, _)| seen.whole_filter(subscribed));
                let wanted = filters.any(|subscribed| filter.wants_filter(&subscribed));
                self.begin(id, Of::Subscribe, wanted.then_some(subscribe.packet_id.get()));
                wanted
            }
            Some(Packet::Unsubscribe(unsubscribe)) => {
                let mut filters = unsubscribe.filters.iter().map(|subscribed| seen.whole_filter(subscribed));
                let wanted = filters.any(|subscribed| filter.wants_filter(&subscribed));
                self.begin(id, Of::Subscribe, wanted.then_some(unsubscribe.packet_id.get()));
                wanted
            }
            Some(Packet::SubAck(ack)) => self.0.remove(&(id, Of::Subscribe, ack.packet_id.get())).is_some(),
            Some(Packet::UnsubAck(ack)) => self.0.remove(&(id, Of::Subscribe, ack.packet_id.get())).is_some(),
            _ => false,
        }
    }

    fn begin(&mut self, id: ConnectionId, of: Of, packet_id: Option<u16>) {
        let Some(packet_id) = packet_id else { return };
        if self.0.len() >= MAXIMUM {
            self.0.clear();
        }
        self.0.insert((id, of, packet_id), ());
    }
}
