//! How fast a Client may send: packets and bytes a second, as its listener or the settings say.
//!
//! In:    each packet that has come whole; the time of the event that brought it.
//! Out:   within the rate; or until when it waits, or that it is refused, or that the Client goes.
//! Never: a cost for connections whose rate nobody bounds; a look at a clock; a packet that is never let through: one that
//!        is larger than a second's worth leaves a debt.

use std::num::NonZeroU32;
use std::time::Duration;

use dunlin_codec::{Frame, ProtocolVersion, Publish, ReasonCode};

use crate::connection::{Aliases, Connection, Pause};
use crate::effect::{Effect, Notice};
use crate::engine::Engine;
use crate::event::ConnectionId;
use crate::hub::{Cx, Hub};
use crate::listener::ListenerRules;
use crate::session::SessionId;
use crate::settings::{RateExceeded, Settings};
use crate::time::Time;

/// What may come at once: what may come in so long.
const BURST: Duration = Duration::from_secs(1);
/// Whoever waits goes on when it may send so much of a second's worth at once, so that not each packet costs a timer.
const WORTH_WAKING: Duration = Duration::from_millis(100);
/// Notices about one connection come at least this far apart.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);
const SECOND: u64 = 1_000_000_000;

const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;

/// The bounds at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateRule {
    /// Packets a second, answers not counted.
    messages: Option<NonZeroU32>,
    bytes: Option<NonZeroU32>,
    exceeded: RateExceeded,
}

/// Which bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateKind {
    /// `messages_per_second`
    Messages,
    /// `bytes_per_second`
    Bytes,
}

/// What a connection has used of its bounds.
#[derive(Debug)]
pub(crate) struct Rates {
    rule: RateRule,
    messages: Level,
    bytes: Level,
    /// While it is not read for it: until when.
    pub(crate) resumes_at: Time,
    /// When a notice was last given, and how often a bound was met since.
    noticed: (Option<Time>, u64),
}

/// When all that came would have come at an even pace, in nanoseconds: a bucket that leaks, told by its level.
#[derive(Clone, Copy, Debug, Default)]
struct Level(u64);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    /// It is taken later; the connection is not read until then.
    Wait(RateKind),
    /// It is answered with 0x97 and discarded.
    Refuse(RateKind),
    /// Its Client is disconnected with 0x96.
    Disconnect(RateKind),
}

impl Settings {
    /// How fast Clients of a listener may send; `None` where nothing bounds it.
    pub(crate) fn rate_at(&self, listener: u16) -> Option<RateRule> {
        let (limits, rules) = (&self.limits, self.of_listener(listener));
        let of_listener = |pick: fn(&ListenerRules) -> Option<u32>| rules.and_then(pick);
        let messages = of_listener(|rules| rules.messages_per_second).unwrap_or(limits.messages_per_second);
        let bytes = of_listener(|rules| rules.bytes_per_second).unwrap_or(limits.bytes_per_second);
        let exceeded = rules.and_then(|rules| rules.rate_exceeded).unwrap_or(limits.rate_exceeded);
        let (messages, bytes) = (NonZeroU32::new(messages), NonZeroU32::new(bytes));
        (messages.is_some() || bytes.is_some()).then_some(RateRule { messages, bytes, exceeded })
    }
}

impl Level {
    fn is_full(self, now: Time) -> bool {
        self.0 >= nanos(now).saturating_add(SECOND)
    }

    fn add(&mut self, now: Time, count: u64, a_second: NonZeroU32) {
        let cost = count.saturating_mul(SECOND).div_ceil(u64::from(a_second.get()));
        self.0 = self.0.max(nanos(now)).saturating_add(cost);
    }

    /// When it is worth going on.
    fn has_room_at(self) -> Time {
        let worth = u64::try_from((BURST - WORTH_WAKING).as_nanos()).unwrap_or(SECOND);
        Time::from_micros(self.0.saturating_sub(worth).div_ceil(1_000))
    }
}

fn nanos(time: Time) -> u64 {
    time.as_micros().saturating_mul(1_000)
}

impl Rates {
    fn new(rule: RateRule) -> Self {
        Self {
            rule,
            messages: Level::default(),
            bytes: Level::default(),
            resumes_at: Time::ZERO,
            noticed: (None, 0),
        }
    }

    /// A packet with this first byte, of `len` bytes, of a Client that speaks `version`.
    pub(crate) fn take(&mut self, now: Time, first: u8, len: usize, version: ProtocolVersion) -> Verdict {
        let kind = first >> 4;
        // What answers the Server is bounded by what the Server sends.
        let counts = !matches!(kind, 4..=7 | DISCONNECT);
        let over = if counts && self.rule.messages.is_some() && self.messages.is_full(now) {
            Some((RateKind::Messages, self.messages))
        } else if self.rule.bytes.is_some() && self.bytes.is_full(now) {
            Some((RateKind::Bytes, self.bytes))
        } else {
            None
        };
        let Some((rate, level)) = over else {
            if let Some(a_second) = self.rule.messages.filter(|_| counts) {
                self.messages.add(now, 1, a_second);
            }
            if let Some(a_second) = self.rule.bytes {
                self.bytes.add(now, len as u64, a_second);
            }
            return Verdict::Within;
        };
        let has_answer = kind == PUBLISH && first & 0b110 != 0 && version == ProtocolVersion::V5;
        match self.rule.exceeded {
            RateExceeded::Disconnect => Verdict::Disconnect(rate),
            RateExceeded::Refuse if has_answer => Verdict::Refuse(rate),
            // What has no answer that could say so waits.
            RateExceeded::Refuse | RateExceeded::Slow => {
                self.resumes_at = level.has_room_at();
                Verdict::Wait(rate)
            }
        }
    }

    fn allowed(&self, rate: RateKind) -> u32 {
        let allowed = match rate {
            RateKind::Messages => self.rule.messages,
            RateKind::Bytes => self.rule.bytes,
        };
        allowed.map_or(0, NonZeroU32::get)
    }

    /// How often a bound was met since the last notice, where another is due.
    fn notice(&mut self, now: Time) -> Option<u64> {
        self.noticed.1 += 1;
        let is_due = self.noticed.0.is_none_or(|last| now.since(last) >= NOTICE_INTERVAL);
        is_due.then(|| std::mem::replace(&mut self.noticed, (Some(now), 0)).1)
    }
}

impl Connection {
    /// What becomes of its next packet, of `len` bytes.
    #[inline]
    pub(crate) fn pace(&mut self, now: Time, frame: Frame<'_>, len: usize) -> Verdict {
        match self.seldom.existing().and_then(|seldom| seldom.rates.as_mut()) {
            None => Verdict::Within,
            Some(rates) => rates.take(now, frame.first, len, self.version),
        }
    }
}

impl Hub {
    /// A connection begins to be held to what its listener says.
    pub(crate) fn set_rates(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let rule = self.settings.rate_at(connection.peer.listener());
        if connection.seldom.rates.as_ref().map(|rates| rates.rule) != rule {
            connection.seldom.make().rates = rule.map(|rule| Box::new(Rates::new(rule)));
        }
    }
}

impl Engine {
    /// The settings changed: what holds for newcomers holds for all.
    pub(crate) fn rates_changed(&mut self, cx: &mut Cx<'_>) {
        for id in self.hub.connections.ids() {
            if self.hub.connections.get(id).and_then(Connection::session).is_some() {
                self.hub.set_rates(id);
                // Who still has too much to its account finds out at its next packet.
                self.read_on(cx, id, Pause::Rate);
            }
        }
    }

    /// A packet beyond a rate: true where the next one may be looked at.
    pub(crate) fn beyond_rate(&mut self, cx: &mut Cx<'_>, id: ConnectionId, verdict: Verdict) -> bool {
        let Some(connection) = self.hub.connections.get_mut(id) else { return false };
        let Some(rates) = connection.seldom.existing().and_then(|seldom| seldom.rates.as_mut()) else {
            return true;
        };
        let (rate, action) = match verdict {
            Verdict::Within => return true,
            Verdict::Wait(rate) => (rate, RateExceeded::Slow),
            Verdict::Refuse(rate) => (rate, RateExceeded::Refuse),
            Verdict::Disconnect(rate) => (rate, RateExceeded::Disconnect),
        };
        self.hub.counters.excess.rates[action as usize] += 1;
        let (allowed, noticed) = (rates.allowed(rate), rates.notice(cx.now));
        let (address, session) = (connection.peer.address(), connection.session());
        if action == RateExceeded::Slow {
            connection.paused = Some(Pause::Rate);
        }
        let session = session.and_then(|session| self.hub.sessions.get(session));
        if let (Some(count), Some(session)) = (noticed, session) {
            let client_id = session.client_id.clone();
            let notice = Notice::TooFast { client_id, address, rate, allowed, action, count };
            cx.fx.list.push(Effect::Notice(Box::new(notice)));
        }
        match action {
            RateExceeded::Refuse => return true,
            RateExceeded::Slow => self.hub.arm_connection(id),
            RateExceeded::Disconnect => {
                let what = if rate == RateKind::Messages { "messages" } else { "bytes" };
                let detail = format!("more than {allowed} {what} a second");
                self.disconnect(cx, id, ReasonCode::MessageRateTooHigh, &detail);
            }
        }
        false
    }

    /// A PUBLISH of a 5.0 Client beyond its rate: 0x97, and a Topic Alias that it defines is defined.
    pub(crate) fn refuse_publish(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        session: SessionId,
        publish: &Publish<'_>,
    ) {
        self.hub.counters.published(publish.qos, publish.payload.len());
        let Some(is_new) = self.admit(cx, id, session, publish) else { return };
        if let Some(alias) = publish.properties.topic_alias()
            && let Some(connection) = self.hub.connections.get_mut(id)
        {
            let maximum = usize::from(connection.announced.topic_alias_maximum);
            let aliases =
                connection.seldom.make().aliases.get_or_insert_with(|| Box::new(Aliases::new(0, 0)));
            if let Err((reason, detail)) = aliases.define(alias.get(), publish.topic, maximum) {
                return self.disconnect(cx, id, reason, &detail);
            }
        }
        let reason = if is_new { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
        self.answer(cx, id, publish, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V5: ProtocolVersion = ProtocolVersion::V5;
    /// First bytes of packets.
    const QOS0: u8 = 0x30;
    const QOS1: u8 = 0x32;
    const PUBACK: u8 = 0x40;

    fn rates(messages: u32, bytes: u32, exceeded: RateExceeded) -> Rates {
        let (messages, bytes) = (NonZeroU32::new(messages), NonZeroU32::new(bytes));
        Rates::new(RateRule { messages, bytes, exceeded })
    }

    fn taken(rates: &mut Rates, now: Time, first: u8, len: usize) -> usize {
        (0..1_000).take_while(|_| rates.take(now, first, len, V5) == Verdict::Within).count()
    }

    #[test]
    fn a_second_of_packets_comes_at_once_and_then_as_many_a_second() {
        let start = Time::from_micros(7);
        let mut rates = rates(100, 0, RateExceeded::Slow);
        assert_eq!(taken(&mut rates, start, QOS0, 10), 100);
        assert_eq!(rates.take(start, PUBACK, 10, V5), Verdict::Within, "an answer is not counted");
        let at = rates.resumes_at;
        assert_eq!(taken(&mut rates, at, QOS0, 10), 10, "it goes on when it is worth it");
        assert_eq!(taken(&mut rates, start.after(Duration::from_secs(60)), QOS0, 10), 100);
    }

    #[test]
    fn a_packet_larger_than_a_seconds_worth_leaves_a_debt() {
        let start = Time::from_micros(7);
        let mut rates = rates(0, 1_000, RateExceeded::Slow);
        assert_eq!(rates.take(start, QOS0, 5_000, V5), Verdict::Within);
        assert_eq!(rates.take(start, QOS0, 1, V5), Verdict::Wait(RateKind::Bytes));
        assert_eq!(
            rates.take(start.after(Duration::from_secs(4)), QOS0, 1, V5),
            Verdict::Wait(RateKind::Bytes)
        );
        let at = rates.resumes_at;
        assert_eq!(at, start.after(Duration::from_millis(4_100)));
        assert_eq!(rates.take(at, QOS0, 1, V5), Verdict::Within);
    }

    #[test]
    fn what_has_no_answer_waits_where_others_are_refused() {
        let start = Time::from_micros(7);
        let mut refusing = rates(1, 0, RateExceeded::Refuse);
        assert_eq!(refusing.take(start, QOS1, 9, V5), Verdict::Within);
        assert_eq!(refusing.take(start, QOS1, 9, V5), Verdict::Refuse(RateKind::Messages));
        assert_eq!(refusing.take(start, QOS0, 9, V5), Verdict::Wait(RateKind::Messages));
        assert_eq!(refusing.take(start, QOS1, 9, ProtocolVersion::V311), Verdict::Wait(RateKind::Messages));
        let mut closing = rates(1, 0, RateExceeded::Disconnect);
        assert_eq!(taken(&mut closing, start, QOS0, 9), 1);
        assert_eq!(closing.take(start, QOS0, 9, V5), Verdict::Disconnect(RateKind::Messages));
    }
}
