//! What waits for records to be stored, in order.

use std::collections::VecDeque;

use dunlin_codec::{Packet, PacketId, Properties, PropertyBuf, ReasonCode, UnsubAck};
use smallvec::SmallVec;

use super::{Bequest, Journal};
use crate::connection::Pause;
use crate::counters::Counters;
use crate::durability::Durability;
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::{Cx, Hub};
use crate::mail::Letter;
use crate::partition::{ShardId, ShardSet};
use crate::session::SessionId;
use crate::subscribe::SubAckToken;
use crate::time::Time;

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// By [`Lane`].
    lanes: [Waitings; 2],
    /// Records to be released when a serial number is safe.
    pub(super) replaced: VecDeque<(u64, u16, u64)>,
}

/// What waits in one lane, in order.
#[derive(Debug, Default)]
struct Waitings {
    /// For what happened.
    events: VecDeque<Waiting>,
    /// For the progress of Sessions, by the number of the batch.
    relief: VecDeque<(u64, Durability, Due)>,
}

/// Whose answers wait together. Nobody who waits for a write stands behind somebody who waits for a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Mostly for what is written.
    Written,
    /// For what is synced.
    #[default]
    Synced,
}

#[derive(Debug)]
struct Waiting {
    serial: u64,
    /// What it waits for.
    durability: Durability,
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
        durability: Durability,
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
    /// A Will is safe in other shards.
    Bequeathed(Bequest),
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
        self.lanes.iter().map(|lane| lane.events.len() + lane.relief.len()).sum()
    }
}

impl Lane {
    /// Where something waits that nothing stands before.
    pub(crate) const fn of(durability: Durability) -> Self {
        match durability {
            Durability::Memory | Durability::Written => Self::Written,
            Durability::Synced => Self::Synced,
        }
    }
}

impl Journal {
    /// The first that waits no longer.
    fn next_due(&mut self, now: Time, counters: &mut Counters) -> Option<Due> {
        let Self { row, reach, .. } = self;
        row.lanes.iter_mut().find_map(|Waitings { events, relief }| {
            let has_come =
                |waiting: &mut Waiting| reach.has_come(waiting.serial, &waiting.remote, waiting.durability);
            let next = events.pop_front_if(has_come).map(|Waiting { since, due, .. }| {
                if let Due::Answer { is_rec: false, .. } = due {
                    let micros = now.as_micros().saturating_sub(since.as_micros());
                    counters.acknowledge.record_micros(micros, 1);
                }
                due
            });
            next.or_else(|| {
                let next =
                    relief.pop_front_if(|(batch, durability, _)| reach.has_progress(*batch, *durability));
                next.map(|(.., due)| due)
            })
        })
    }
}

impl Engine {
    /// Does it when what happened so far has come so far, here and in `remote`; at once where nothing is to be waited for.
    pub(crate) fn when_safe(
        &mut self,
        cx: &mut Cx<'_>,
        (lane, durability): (Lane, Durability),
        remote: ShardSet,
        due: Due,
    ) {
        let journal = &mut self.hub.journal;
        let serial = journal.serial();
        let waits = &mut journal.row.lanes[lane as usize].events;
        if !journal.enabled
            || waits.is_empty() && remote.is_empty() && journal.reach.has_come(serial, &[], durability)
        {
            return self.done_waiting(cx, due);
        }
        let remote = match remote {
            ShardSet::EMPTY => SmallVec::new(),
            _ => remote.iter().map(|shard| (shard, journal.posted[shard.index()])).collect(),
        };
        let waiting = Waiting { serial, durability, since: cx.now, remote, due };
        journal.row.lanes[lane as usize].events.push_back(waiting);
    }

    /// What a Session waits for that has to survive itself.
    pub(crate) fn waits_for(&self, session: SessionId) -> (Lane, Durability) {
        // One that began elsewhere and is kept is written, whatever its connection is.
        let durability = self.hub.durability_of(session).max(Durability::Written);
        (Lane::of(durability), durability)
    }

    /// Does it when the progress of a Session is safe.
    pub(crate) fn when_progress_is_safe(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        (lane, durability): (Lane, Durability),
        due: Due,
    ) {
        let found = self.hub.sessions.get_mut(session).filter(|session| session.key != 0);
        let Some(outgoing) = found.map(|session| session.outgoing_mut()) else {
            return self.done_waiting(cx, due);
        };
        self.hub.journal.moved(cx.now, session, &mut outgoing.dirty, true);
        let batch = self.hub.journal.relief;
        self.hub.journal.row.lanes[lane as usize].relief.push_back((batch, durability, due));
    }

    /// Whatever is not waited for any more, in order.
    pub(crate) fn release_row(&mut self, cx: &mut Cx<'_>) {
        if !self.hub.journal.enabled {
            return;
        }
        self.hub.journal.advance();
        self.tell_safe(cx);
        loop {
            let Hub { journal, counters, .. } = &mut self.hub;
            let Some(due) = journal.next_due(cx.now, counters) else { break };
            self.done_waiting(cx, due);
        }
        let journal = &mut self.hub.journal;
        let safe = journal.reach.safe;
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
        let mut tell = |owed: &mut [VecDeque<(u64, u64)>], upto: u64, letter: fn(u64) -> Letter| {
            for (index, owed) in owed.iter_mut().enumerate() {
                let mut last = None;
                while let Some((_, count)) = owed.pop_front_if(|(serial, _)| *serial <= upto) {
                    last = Some(count);
                }
                if let (Some(count), Some(to)) = (last, ShardId::new(index)) {
                    cx.fx.mail.post(to, letter(count));
                }
            }
        };
        if journal.writes {
            tell(&mut journal.owed_written, journal.reach.written, |count| Letter::Written { count });
        }
        tell(&mut journal.owed, journal.reach.safe, |count| Letter::Safe { count });
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
            Due::Received { connection, session, packet_id, reason, durability } => {
                if let Some(received) =
                    self.hub.sessions.get_mut(session).and_then(|session| session.received.as_mut())
                {
                    received.set_sure(packet_id);
                }
                let due = Due::Answer { connection, packet_id, is_rec: true, reason };
                let lane = self.hub.connections.get(connection).map_or(Lane::Synced, |found| found.lane);
                self.when_progress_is_safe(cx, session, (lane, durability), due);
            }
            Due::Released { connection, session, packet_id, reason } => {
                let waits_for = self.waits_for(session);
                let due = Due::PubComp { connection, packet_id, reason };
                self.when_progress_is_safe(cx, session, waits_for, due);
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
                    .is_some_and(|session| session.connection() == Some(connection))
                {
                    self.hub.acknowledge(cx, connection, Packet::PubRel, packet_id, ReasonCode::Success);
                }
            }
            Due::ConnAck(opening) => self.finish_accept(cx, *opening),
            Due::Bequeathed(bequest) => self.hub.journal.bequeathed(cx.now, bequest),
            Due::SubAck(token) => self.suback_part_done(cx, token),
            Due::UnsubAck { connection, packet_id, reasons } => {
                let unsuback = UnsubAck { packet_id, properties: Properties::EMPTY, reasons: &reasons };
                self.send_unsuback(cx, connection, unsuback);
            }
        }
    }
}
