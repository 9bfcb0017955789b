//! Connections and Sessions of a shard: everything that a delivery touches.

use std::sync::Arc;
use std::time::Duration;

use dunlin_codec::{Packet, ReasonCode, Tolerance};

use crate::conduct::Conduct;
use crate::connection::Connections;
use crate::counters::{Counters, Drop};
use crate::effect::{Effect, Effects, Notice};
use crate::event::ConnectionId;
use crate::explain::Ledger;
use crate::frame::Frames;
use crate::journal::Journal;
use crate::mail::{Letter, SessionRef};
use crate::partition::{ShardId, ShardMap};
use crate::session::{SessionId, Sessions};
use crate::settings::Settings;
use crate::span::Spans;
use crate::tap::Taps;
use crate::time::Time;
use crate::timers::{TimerKey, Timers};

/// A Session's notices of dropped messages come at least this far apart.
const DROP_NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// What every step needs: the time, and where effects go.
pub(crate) struct Cx<'a> {
    pub(crate) now: Time,
    pub(crate) fx: &'a mut Effects,
}

/// Connections, Sessions, and what they share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) shard: ShardId,
    /// For hashes: nobody outside can choose keys that collide.
    pub(crate) seed: u64,
    pub(crate) map: ShardMap,
    pub(crate) settings: Arc<Settings>,
    /// From the settings.
    pub(crate) tolerance: Tolerance,
    /// Has a listener a mount point? From the settings.
    pub(crate) has_mounts: bool,
    pub(crate) counters: Counters,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) timers: Timers,
    pub(crate) frames: Option<Box<Frames>>,
    /// Connections that a delivery found to be beyond a bound; closed when the event is over.
    pub(crate) to_close: Vec<(ConnectionId, ReasonCode, &'static str)>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    /// What is left of what the process may hold.
    pub(crate) memory: crate::ceiling::Memory,
    /// Bytes that the outputs of this shard may hold before they shrink.
    pub(crate) output_share: u64,
    /// How Clients behave.
    pub(crate) conduct: Conduct,
    /// Letters of this shard to itself; read when the event is over.
    pub(crate) own_letters: Vec<Letter>,
    /// Empty, with memory for the next.
    pub(crate) spare_letters: Vec<Letter>,
    /// Who looks at packets.
    pub(crate) taps: Taps,
    /// Whose way is followed.
    pub(crate) spans: Spans,
}

impl Hub {
    /// Writes a packet to a connection, unless it is larger than the Client takes [MQTT-3.1.2-24].
    pub(crate) fn send(&mut self, cx: &mut Cx<'_>, to: ConnectionId, packet: &Packet<'_>) -> bool {
        let Some(connection) = self.connections.get(to) else { return false };
        if packet.encoded_len(connection.version) > connection.maximum_packet_size as usize {
            return false;
        }
        let mark = self.taps.mark(connection, &cx.fx.outbox, to);
        cx.fx.outbox.append(to, |tail| packet.encode(connection.version, tail));
        self.counters.packets_sent += 1;
        if let Some(mark) = mark {
            self.tap_sent(cx.now, &cx.fx.outbox, to, mark, None);
        }
        true
    }

    /// Did an event or a packet leave something to do?
    #[inline]
    pub(crate) fn has_left_to_do(&self) -> bool {
        !self.own_letters.is_empty() || !self.to_close.is_empty()
    }

    /// Tells a shard something; this one too.
    pub(crate) fn post(&mut self, cx: &mut Cx<'_>, to: ShardId, letter: Letter) {
        if to == self.shard {
            self.own_letters.push(letter);
        } else {
            cx.fx.mail.post(to, letter);
        }
    }

    /// The name of a Session of this shard that others may use.
    pub(crate) fn reference(&self, session: SessionId) -> SessionRef {
        SessionRef { shard: self.shard, session }
    }

    pub(crate) fn slow_maximum(&self) -> Duration {
        Duration::from_millis(self.settings.limits.slow_publisher_maximum_ms.into())
    }

    /// Makes sure that the Session is looked at in time.
    pub(crate) fn arm_session(&mut self, session: SessionId) {
        let slow_maximum = self.slow_maximum();
        if let Some(at) = self.sessions.get(session).and_then(|session| session.deadline(slow_maximum)) {
            self.timers.arm(TimerKey::Session(session.index()), at);
        }
    }

    /// Makes sure that the connection is looked at in time.
    pub(crate) fn arm_connection(&mut self, id: ConnectionId) {
        let timeout = Duration::from_millis(self.settings.limits.connect_timeout_ms.into());
        if let Some(at) = self.connections.get(id).and_then(|connection| connection.deadline(timeout)) {
            let index = u32::try_from(id.index()).unwrap_or(u32::MAX);
            self.timers.arm(TimerKey::Connection(index), at);
        }
    }

    /// Counts a message that a Session does not get, and says so now and then. `message`: its topic and its number, as far as they
    /// are known.
    pub(crate) fn drop_message(&mut self, cx: &mut Cx<'_>, session: u32, message: (&str, u32), bound: Drop) {
        self.counters.drop(bound);
        self.note_drop(cx, session, message, bound);
        let Some(session) = self.sessions.slots.get_mut(session) else { return };
        let dropped = &mut session.seldom.make().dropped;
        dropped.1 += 1;
        let is_first = dropped.1 == 1 && dropped.0 == Time::ZERO;
        if is_first || cx.now.since(dropped.0) >= DROP_NOTICE_INTERVAL {
            let notice = Notice::Dropped { client_id: session.client_id.clone(), bound, count: dropped.1 };
            *dropped = (cx.now, 0);
            cx.fx.list.push(Effect::Notice(Box::new(notice)));
        }
    }
}
