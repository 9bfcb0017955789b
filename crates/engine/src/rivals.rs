//! Clients that fight over one Client Identifier: each takes the Session from the other, and comes back for it.
//!
//! In:    takeovers: whose connection ended, how long it had lasted, who came.
//! Out:   how long the next newcomer waits while the other is connected; a notice that names both.
//! Never: a refusal for good: who waits is let in when the time is over, or the other goes, and whoever gives up and
//!        comes again waits no longer for that. More than a thousand fights are remembered.
//! Spec:  MQTT 5.0 section 3.1.4: a Server ends the older connection; when, it does not say.
//!
//! A Client that lost its connection and comes back takes a connection over that had lasted. In a fight they are short, one
//! after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_codec::ReasonCode;

use crate::admission::{Admission, Pledge, SecretBytes};
use crate::admit::with_connect;
use crate::connection::{Pause, Phase};
use crate::effect::{Effect, Notice};
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::Cx;
use crate::session::SessionId;
use crate::time::Time;

/// A connection that had lasted so long was none of a fight; and so long after the last takeover a fight is over.
const WINDOW: Duration = Duration::from_secs(60);
/// Takeovers of connections that had not lasted: as many as a Client with a bad network makes, too.
const TOLERATED: u32 = 3;
/// The first delay; each further one is twice as long as the one before.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Fights that are remembered in a shard; some 200 bytes each, and a CONNECT that waits.
const FIGHTS_MAXIMUM: usize = 1024;
/// Bytes of a CONNECT that waits: a thousand of them are 16 MiB. A larger one is refused.
const HELD_MAXIMUM: usize = 16 * 1024;
/// Notices of one fight come at least this far apart.
const NOTICE_INTERVAL: Duration = Duration::from_secs(10);

/// A CONNECT that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) until: Time,
    admission: Option<Admission>,
    packet: SecretBytes,
}

/// Takeovers of one Client Identifier.
#[derive(Debug)]
struct Fight {
    takeovers: u32,
    last: Time,
    /// Before it, newcomers wait.
    until: Time,
    waiting: Option<ConnectionId>,
    noticed: Option<Time>,
}

/// The fights of a shard.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    fights: BTreeMap<Box<str>, Fight>,
}

impl Rivals {
    /// Notes a takeover; the delay of the next one, where it is one of a fight, and whether that is worth saying.
    fn took_over(
        &mut self,
        now: Time,
        client_id: &str,
        lasted: Duration,
        maximum: Duration,
    ) -> Option<(Duration, u32, bool)> {
        if lasted >= WINDOW || maximum.is_zero() {
            self.fights.remove(client_id);
            return None;
        }
        if !self.fights.contains_key(client_id) {
            self.make_room(now);
        }
        let fight = self.fights.entry(client_id.into()).or_insert(Fight {
            takeovers: 0,
            last: now,
            until: now,
            waiting: None,
            noticed: None,
        });
        if now.since(fight.last) >= WINDOW {
            fight.takeovers = 0;
        }
        (fight.takeovers, fight.last, fight.waiting) = (fight.takeovers.saturating_add(1), now, None);
        let round = fight.takeovers.checked_sub(TOLERATED)?;
        let delay = FIRST_DELAY.saturating_mul(1 << round.min(16)).min(maximum);
        fight.until = now.after(delay);
        let is_worth_saying = fight.noticed.is_none_or(|last| now.since(last) >= NOTICE_INTERVAL);
        if is_worth_saying {
            fight.noticed = Some(now);
        }
        Some((delay, fight.takeovers, is_worth_saying))
    }

    /// Those that are over go, and if none is, the one that has been quiet for the longest time.
    fn make_room(&mut self, now: Time) {
        if self.fights.len() < FIGHTS_MAXIMUM {
            return;
        }
        self.fights.retain(|_, fight| now.since(fight.last) < WINDOW);
        if self.fights.len() >= FIGHTS_MAXIMUM {
            let quiet = self.fights.iter().min_by_key(|(_, fight)| fight.last).map(|(id, _)| id.clone());
            quiet.and_then(|id| self.fights.remove(&id));
        }
    }

    /// Until when a newcomer waits.
    fn until(&self, now: Time, client_id: &str) -> Option<Time> {
        self.fights.get(client_id).map(|fight| fight.until).filter(|until| *until > now)
    }
}

impl Engine {
    /// A connection is about to end another with the same Client Identifier.
    pub(crate) fn note_takeover(
        &mut self,
        cx: &mut Cx<'_>,
        client_id: &str,
        old: ConnectionId,
        new: ConnectionId,
    ) {
        self.hub.counters.excess.takeovers += 1;
        let maximum = Duration::from_millis(self.hub.settings.limits.takeover_delay_maximum_ms.into());
        let connections = &self.hub.connections;
        let Some(loser) = connections.get(old) else { return };
        let (lasted, incumbent) = (cx.now.since(loser.opened_at), loser.peer.address());
        let newcomer = connections.get(new).and_then(|connection| connection.peer.address());
        let said = self.rivals.took_over(cx.now, client_id, lasted, maximum);
        let Some((delay, takeovers, true)) = said else { return };
        let client_id = client_id.into();
        let notice = Notice::Rivals { client_id, incumbent, newcomer, takeovers, delay };
        cx.fx.list.push(Effect::Notice(Box::new(notice)));
    }

    /// Lets a newcomer wait whose Client Identifier is fought over, while the other is connected. Gives the admission back
    /// where it need not.
    pub(crate) fn hold(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        client_id: &str,
        packet: &[u8],
        admission: Option<Admission>,
    ) -> Result<(), Option<Admission>> {
        let Some(until) = self.rivals.until(cx.now, client_id) else { return Err(admission) };
        let session = self.hub.sessions.find(client_id).and_then(|session| self.hub.sessions.get(session));
        if session.is_none_or(|session| session.any_connection().is_none()) {
            return Err(admission);
        }
        self.hub.counters.excess.takeovers_delayed += 1;
        if packet.len() > HELD_MAXIMUM {
            let detail =
                "another connection uses this client identifier, and the CONNECT is too large to wait";
            self.refuse(cx, id, client_id, ReasonCode::ConnectionRateExceeded, detail);
            return Ok(());
        }
        let Some(connection) = self.hub.connections.get_mut(id) else { return Err(admission) };
        connection.phase = Phase::Asking;
        connection.paused = Some(Pause::Rival);
        connection.seldom.make().held =
            Some(Box::new(Held { until, admission, packet: SecretBytes::of(packet) }));
        self.hub.arm_connection(id);
        let fight = self.rivals.fights.get_mut(client_id);
        let earlier = fight.and_then(|fight| fight.waiting.replace(id)).filter(|earlier| *earlier != id);
        // Its Client has given up on it, or there are three: it has to try again.
        if let Some(earlier) = earlier.filter(|earlier| self.is_held(*earlier)) {
            let detail = "another connection with this client identifier waits";
            self.refuse(cx, earlier, client_id, ReasonCode::ConnectionRateExceeded, detail);
        }
        Ok(())
    }

    fn is_held(&self, id: ConnectionId) -> bool {
        self.hub.connections.get(id).is_some_and(|connection| connection.seldom.held.is_some())
    }

    /// The connection that another one waits for is gone: that one need not wait.
    pub(crate) fn incumbent_ended(&mut self, cx: &Cx<'_>, session: SessionId) {
        if self.rivals.fights.is_empty() {
            return;
        }
        let Some(session) = self.hub.sessions.get(session) else { return };
        let Some(fight) = self.rivals.fights.get_mut(&session.client_id) else { return };
        let Some(waiting) = fight.waiting else { return };
        fight.until = cx.now;
        if let Some(held) =
            self.hub.connections.get_mut(waiting).and_then(|waits| waits.seldom.existing()?.held.as_mut())
        {
            held.until = cx.now;
            self.hub.arm_connection(waiting);
        }
    }

    /// The time of one that waits is over.
    pub(crate) fn let_in(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(connection) = self.hub.connections.get_mut(id) else { return };
        let Some(held) = connection.seldom.existing().and_then(|seldom| seldom.held.take()) else { return };
        connection.phase = Phase::New;
        let Held { admission, packet, .. } = *held;
        let Some(admission) = admission else {
            let tolerance = self.hub.tolerance;
            let seated = with_connect(&packet, tolerance, |connect| {
                self.seat(cx, id, connect, connect.client_id, None, packet.expose());
            });
            if seated.is_none() {
                let detail = "no CONNECT by the settings of now";
                return self.turn_away(cx, id, "", ReasonCode::MalformedPacket, detail);
            }
            return self.end_wait(cx, id);
        };
        // Its rights may be others since it began to wait.
        self.redeem(cx, id, Box::new(Pledge { admission, connect: packet, assigned: None }));
        self.end_wait(cx, id);
    }

    /// Unless it has to wait again.
    fn end_wait(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        if !self.is_held(id) {
            self.read_on(cx, id, Pause::Rival);
        }
    }
}
