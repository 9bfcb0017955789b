//! A connection that publishes: its streams, its exchanges, what it owes.

use dunlin_codec::{Ack, Packet, PacketId, Properties, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::clock::Nanos;
use crate::packet_ids::{PacketIds, Unexpected};
use crate::payload::Stamp;

/// One topic of one publisher.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) topic: String,
    /// Messages sent; the next one's sequence number.
    pub(crate) sent: u64,
}

/// How every message of a run is written.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) run: u32,
    pub(crate) version: ProtocolVersion,
    pub(crate) qos: QoS,
    /// Overwritten at its front for each message.
    pub(crate) payload: Vec<u8>,
}

/// A connection that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) streams: Vec<Stream>,
    cursor: usize,
    ids: PacketIds,
    qos: QoS,
    /// Messages it may still send.
    quota: u64,
    /// Messages that were due so far; in a closed loop there is no such thing.
    due: Option<u64>,
    /// Messages sent.
    sent: u64,
    /// It waits for its turn.
    pub(crate) is_queued: bool,
}

/// What an acknowledgement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The exchange is complete.
    Done,
    /// The exchange is over, and the broker did not take the message.
    Refused(ReasonCode),
    /// PUBREL was written.
    Half,
}

impl Publisher {
    pub(crate) fn new(streams: Vec<Stream>, qos: QoS, window: u16, quota: u64, is_open_loop: bool) -> Self {
        let due = is_open_loop.then_some(0);
        Self { streams, cursor: 0, ids: PacketIds::new(window), qos, quota, due, sent: 0, is_queued: false }
    }

    /// The broker allows less than the window (Receive Maximum); nothing is open yet.
    pub(crate) fn limit(&mut self, window: u16) {
        self.ids = PacketIds::new(window);
    }

    /// Messages that it could send now, as far as it knows.
    pub(crate) fn room(&self) -> u64 {
        let owed = self.due.map_or(u64::MAX, |due| due - self.sent);
        let window = if self.qos == QoS::AtMostOnce { u64::MAX } else { self.ids.room().into() };
        owed.min(window).min(self.quota)
    }

    /// Open loop: one more is due.
    pub(crate) const fn release(&mut self) {
        if let Some(due) = &mut self.due {
            *due += 1;
        }
    }

    /// Which of its messages is the next, from 0.
    pub(crate) const fn next(&self) -> u64 {
        self.sent
    }

    /// Writes the next message; false where it may not.
    #[inline]
    pub(crate) fn push(&mut self, due: Nanos, template: &mut Template, out: &mut Vec<u8>) -> bool {
        let packet_id = match template.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => match self.ids.take() {
                Some(id) => Some(id),
                None => return false,
            },
        };
        let stream = &mut self.streams[self.cursor];
        Stamp { run: template.run, stream: stream.id, sequence: stream.sent, due }
            .write(&mut template.payload);
        let publish = Publish {
            dup: false,
            qos: template.qos,
            retain: false,
            topic: &stream.topic,
            packet_id,
            properties: Properties::EMPTY,
            payload: &template.payload,
        };
        publish.encode(template.version, out);
        stream.sent += 1;
        self.cursor += 1;
        if self.cursor == self.streams.len() {
            self.cursor = 0;
        }
        self.sent += 1;
        self.quota -= 1;
        true
    }

    /// PUBACK.
    pub(crate) fn pub_ack(&mut self, ack: Ack<'_>) -> Result<Progress, Unexpected> {
        self.ids.acknowledged(ack.packet_id)?;
        Ok(judged(ack.reason))
    }

    /// PUBREC.
    pub(crate) fn pub_rec(
        &mut self,
        ack: Ack<'_>,
        version: ProtocolVersion,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Unexpected> {
        if ack.reason.is_failure() {
            return self.pub_ack(ack);
        }
        self.ids.release(ack.packet_id)?;
        Packet::PubRel(bare(ack.packet_id)).encode(version, out);
        Ok(Progress::Half)
    }

    /// PUBCOMP.
    pub(crate) fn pub_comp(&mut self, ack: Ack<'_>) -> Result<Progress, Unexpected> {
        self.ids.completed(ack.packet_id)?;
        Ok(judged(ack.reason))
    }
}

fn judged(reason: ReasonCode) -> Progress {
    if reason.is_failure() { Progress::Refused(reason) } else { Progress::Done }
}

/// An acknowledgement without a reason.
pub(crate) const fn bare(packet_id: PacketId) -> Ack<'static> {
    Ack { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY }
}
