//! What waits for records to be stored, in order.

use std::collections::VecDeque;

use dunlin_codec::{Packet, PacketId, Properties, PropertyBuf, ReasonCode, UnsubAck};
use smallvec::SmallVec;

use crate::connection::Pause;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::Cx;
use crate::mail::Letter;
use crate::partition::{ShardId, ShardSet};
use crate::session::SessionId;
use crate::subscribe::SubAckToken;
use crate::time::Time;

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// For what happened.
    events: VecDeque<Waiting>,
    /// For the progress of Sessions, by the number of the batch.
    relief: VecDeque<(u64, Due)>,
    /// Records to be released when a serial number is safe.
    pub(super) replaced: VecDeque<(u64, u16, u64)>,
}

#[derive(Debug)]
struct Waiting {
    serial: u64,
    since: Time,
    /// What else has to be safe: so much of what was posted to these shards.
    remote: SmallVec<[(ShardId, u64); 1]>,
    due: Due,
}

/// What to do then.
#[derive(Debug)]
pub(crate) enum Due {
    /// PUBACK or PUBREC.
    Answer {
        connection: ConnectionId,
        packet_id: PacketId,
        is_rec: bool,
        reason: ReasonCode,
    },
    /// The message of a QoS 2 exchange is safe: now the identifier is to be remembered, and PUBREC follows.
    Received {
        connection: ConnectionId,
        session: SessionId,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    /// Everybody has forgotten the exchange: now the Session may, and PUBCOMP follows.
    Released {
        connection: ConnectionId,
        session: SessionId,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    PubComp {
        connection: ConnectionId,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    PubRel {
        connection: ConnectionId,
        session: SessionId,
        packet_id: PacketId,
    },
    ConnAck(Box<Opening>),
    SubAck(SubAckToken),
    /// A Will went out.
    WillSent(SessionId),
    UnsubAck {
        connection: ConnectionId,
        packet_id: PacketId,
        reasons: Box<[u8]>,
    },
}

/// A connection whose CONNACK waits.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) connection: ConnectionId,
    pub(crate) session: SessionId,
    pub(crate) resumed: bool,
    pub(crate) properties: PropertyBuf,
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.relief.len()
    }
}

impl Engine {
    /// Does it when what happened so far is safe, here and in `remote`; at once where nothing is to be waited for.
    pub(crate) fn when_safe(&mut self, cx: &mut Cx<'_>, remote: ShardSet, due: Due) {
        let journal = &mut self.hub.journal;
        let serial = journal.serial();
        if !journal.enabled || journal.row.events.is_empty() && journal.safe >= serial && remote.is_empty() {
            return self.done_waiting(cx, due);
        }
        let remote = remote.iter().map(|shard| (shard, journal.posted[shard.index()])).collect();
        journal.row.events.push_back(Waiting { serial, since: cx.now, remote, due });
    }

    /// Does it when the progress of a Session is safe.
    pub(crate) fn when_progress_is_safe(&mut self, cx: &mut Cx<'_>, session: SessionId, due: Due) {
        let found = self.hub.sessions.get_mut(session).filter(|session| session.key != 0);
        let Some(outgoing) = found.map(|session| session.outgoing_mut()) else {
            return self.done_waiting(cx, due);
        };
        self.hub.journal.moved(cx.now, session, &mut outgoing.dirty, true);
        let batch = self.hub.journal.relief;
        self.hub.journal.row.relief.push_back((batch, due));
    }

    /// Whatever is not waited for any more, in order.
    pub(crate) fn release_row(&mut self, cx: &mut Cx<'_>) {
        if !self.hub.journal.enabled {
            return;
        }
        self.hub.journal.advance();
        self.tell_safe(cx);
        loop {
            let journal = &mut self.hub.journal;
            let (safe, confirmed) = (journal.safe, &journal.confirmed);
            let is_safe = |waiting: &mut Waiting| {
                waiting.serial <= safe
                    && waiting.remote.iter().all(|(shard, count)| confirmed[shard.index()] >= *count)
            };
            let relief_safe = journal.relief_safe;
            let counters = &mut self.hub.counters;
            let waited = |Waiting { since, due, .. }: Waiting| {
                if let Due::Answer { is_rec: false, .. } = due {
                    counters.acknowledge.record(cx.now.since(since));
                }
                due
            };
            let next = journal.row.events.pop_front_if(is_safe).map(waited).or_else(|| {
                journal.row.relief.pop_front_if(|(batch, _)| *batch <= relief_safe).map(|(_, due)| due)
            });
            let Some(due) = next else { break };
            self.done_waiting(cx, due);
        }
        let journal = &mut self.hub.journal;
        let safe = journal.safe;
        while let Some((_, partition, number)) =
            journal.row.replaced.pop_front_if(|(serial, ..)| *serial <= safe)
        {
            journal.releases.push((partition, number));
        }
        if !journal.is_too_busy() {
            for id in self.interest.take_waiting_for_journal() {
                self.read_on(cx, id, Pause::Journal);
            }
        }
    }

    /// Tells other shards what of theirs is safe.
    fn tell_safe(&mut self, cx: &mut Cx<'_>) {
        let journal = &mut self.hub.journal;
        let safe = journal.safe;
        for (index, owed) in journal.owed.iter_mut().enumerate() {
            let mut last = None;
            while let Some((_, count)) = owed.pop_front_if(|(serial, _)| *serial <= safe) {
                last = Some(count);
            }
            if let (Some(count), Some(to)) = (last, ShardId::new(index)) {
                cx.fx.mail.post(to, Letter::Safe { count });
            }
        }
    }

    fn done_waiting(&mut self, cx: &mut Cx<'_>, due: Due) {
        match due {
            Due::Answer { connection, packet_id, is_rec, reason } => {
                if let Some(found) = self.hub.connections.get_mut(connection) {
                    let waiting = if is_rec { &mut found.unreceived } else { &mut found.unanswered };
                    *waiting = waiting.saturating_sub(1);
                    self.answer_now(cx, connection, packet_id, is_rec, reason);
                }
            }
            Due::Received { connection, session, packet_id, reason } => {
                if let Some(received) =
                    self.hub.sessions.get_mut(session).and_then(|session| session.received.as_mut())
                {
                    received.set_sure(packet_id);
                }
                let due = Due::Answer { connection, packet_id, is_rec: true, reason };
                self.when_progress_is_safe(cx, session, due);
            }
            Due::Released { connection, session, packet_id, reason } => {
                self.when_progress_is_safe(cx, session, Due::PubComp { connection, packet_id, reason });
            }
            Due::PubComp { connection, packet_id, reason } => {
                self.hub.acknowledge(cx, connection, Packet::PubComp, packet_id, reason);
            }
            Due::PubRel { connection, session, packet_id } => {
                // The exchange may have ended since, and its identifier may be another's.
                if self
                    .hub
                    .sessions
                    .get(session)
                    .is_some_and(|session| session.connection == Some(connection))
                {
                    self.hub.acknowledge(cx, connection, Packet::PubRel, packet_id, ReasonCode::Success);
                }
            }
            Due::ConnAck(opening) => self.finish_accept(cx, *opening),
            Due::WillSent(session) => self.will_sent(cx, session),
            Due::SubAck(token) => self.suback_part_done(cx, token),
            Due::UnsubAck { connection, packet_id, reasons } => {
                let unsuback = UnsubAck { packet_id, properties: Properties::EMPTY, reasons: &reasons };
                self.send_unsuback(cx, connection, unsuback);
            }
        }
    }
}
