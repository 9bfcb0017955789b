//! One shard's engine: its parts, and which part an event concerns.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use dunlin_codec::ReasonCode;

use crate::ceiling::Memory;
use crate::census::{Census, Sums};
use crate::conduct::Conduct;
use crate::connection::{Connection, Connections, Pause, Phase};
use crate::counters::Counters;
use crate::effect::{Effect, Effects};
use crate::ending::Ended;
use crate::event::Event;
use crate::explain::{Ledger, SessionEnd};
use crate::hub::{Cx, Hub};
use crate::interest::Interest;
use crate::journal::Journal;
use crate::partition::{ShardId, ShardMap};
use crate::retained::RetainedStore;
use crate::review::Reviews;
use crate::rivals::Rivals;
use crate::session::Sessions;
use crate::settings::Settings;
use crate::shared::Groups;
use crate::slots::Slots;
use crate::span::Spans;
use crate::subscribe::PendingSubAck;
use crate::tap::Taps;
use crate::time::Time;
use crate::timers::{TimerKey, Timers};
use crate::topic::Router;

/// Letters of a shard to itself that memory is kept for.
const SPARE_LETTERS: usize = 256;

/// The state machine of one shard.
#[derive(Debug)]
pub struct Engine {
    pub(crate) hub: Hub,
    pub(crate) router: Router,
    pub(crate) retained: RetainedStore,
    pub(crate) groups: Groups,
    pub(crate) interest: Interest,
    pub(crate) subacks: Slots<PendingSubAck>,
    pub(crate) secret: Secret,
    pub(crate) next_query: u32,
    pub(crate) next_join: u32,
    pub(crate) reviews: Reviews,
    pub(crate) rivals: Rivals,
    census: Census,
}

/// Numbers that only the seed decides and that tell nothing of each other (SipHash of the seed, a purpose and a count): for
/// identifiers that nobody may guess, and for the seeds of hash tables.
#[derive(Debug)]
pub(crate) struct Secret {
    seed: u64,
    shard: usize,
    count: u64,
}

impl Secret {
    pub(crate) fn next(&mut self) -> u64 {
        self.count += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.shard, self.count).hash(&mut hasher);
        hasher.finish()
    }
}

impl Engine {
    /// An engine without connections. `seed` feeds identifiers and hashes: random in production, fixed in tests.
    #[must_use]
    /// `durable`: what has to outlive the process is given to a log by [`Self::write`]; else nothing outlives it.
    pub fn new(shard: ShardId, map: ShardMap, settings: Arc<Settings>, seed: u64, durable: bool) -> Self {
        let mut secret = Secret { seed, shard: shard.index(), count: 0 };
        let hash_seed = secret.next();
        let writes = settings.writes();
        let explain_bytes = settings.limits.explain_bytes_maximum;
        let mut engine = Self {
            router: Router::new(hash_seed, Arc::clone(&settings)),
            retained: RetainedStore::default(),
            groups: Groups::new(hash_seed),
            interest: Interest::new(map),
            subacks: Slots::default(),
            secret,
            next_query: 0,
            next_join: 0,
            reviews: Reviews::default(),
            rivals: Rivals::default(),
            census: Census::default(),
            hub: Hub {
                shard,
                seed: hash_seed,
                map,
                tolerance: settings.strictness.tolerance(),
                has_mounts: settings.has_mounts(),
                settings,
                counters: Counters::default(),
                connections: Connections::default(),
                sessions: Sessions::new(hash_seed),
                timers: Timers::default(),
                frames: Some(Box::default()),
                to_close: Vec::new(),
                conduct: Conduct::new(hash_seed),
                own_letters: Vec::new(),
                spare_letters: Vec::new(),
                taps: Taps::new(hash_seed),
                spans: Spans::new(shard, hash_seed),
                journal: Journal::new(map, hash_seed, durable, writes),
                ledger: Ledger::new(shard, hash_seed, explain_bytes),
                memory: Memory::Ample,
                output_share: u64::MAX,
            },
        };
        engine.hub.set_output_share();
        engine
    }

    /// Takes one event; what it brings about is added to `effects`.
    pub fn handle(&mut self, now: Time, event: Event<'_>, effects: &mut Effects) {
        effects.paused = false;
        let cx = &mut Cx { now, fx: effects };
        match event {
            Event::Opened { connection, peer, pledge } => {
                self.groups.end_empty(cx, &mut self.hub);
                let limit = self.hub.settings.packet_limit(peer.listener).get();
                self.hub
                    .connections
                    .insert(connection, Connection::new(connection.generation(), peer, now, limit));
                self.hub.arm_connection(connection);
                if let Some(pledge) = pledge {
                    self.redeem(cx, connection, pledge);
                }
            }
            Event::Received { connection, bytes } => cx.fx.consumed = self.receive(cx, connection, bytes),
            Event::Drained { connection } => {
                self.read_on(cx, connection, Pause::Output);
                if let Some(session) = self.hub.connections.get(connection).and_then(Connection::session) {
                    self.hub.pump(cx, session.index());
                }
            }
            // To the protocol every end without DISCONNECT is the same [MQTT-3.1.2-8].
            Event::Closed { connection, cause: _ } => self.connection_ended(cx, connection, Ended::Lost),
            Event::Mail { from, bag } => self.open_mail(cx, from, bag),
            Event::MailTaken { to } => self.mail_taken(cx, to),
            Event::Written => self.batch_written(cx),
            Event::Stored { relief_only } => self.batch_stored(cx, relief_only),
            Event::JournalFull(full) => self.journal_full(full),
            Event::JournalShort(short) => self.hub.journal.set_short(short),
            Event::Read { token, records } => self.hub.read_back(cx, token.0, records),
            Event::Publish { topic, payload } => self.publish_own(cx, topic, payload),
            Event::Memory(memory) => self.memory_measured(cx, memory),
            Event::Timer => self.timer(cx),
            Event::Authenticated { connection, outcome } => self.authenticated(cx, connection, *outcome),
            Event::PolicyChanged(authority) => self.policy_changed(cx, authority),
            Event::Reconfigured(settings) => {
                self.router.configure(Arc::clone(&settings));
                self.hub.tolerance = settings.strictness.tolerance();
                self.hub.has_mounts = settings.has_mounts();
                self.hub.settings = settings;
                self.hub.set_output_share();
                self.rates_changed(cx);
            }
            Event::Shutdown => self.shut_down(cx),
        }
        self.settle(cx);
        if self.hub.journal.enabled {
            self.release_row(cx);
            self.settle(cx);
        }
    }

    /// When [`Event::Timer`] is due, unless an event comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.hub.timers.next()
    }

    /// What was counted. Each call looks at some thousand Sessions for what they hold; see [`Self::is_counting`].
    pub fn counters(&mut self) -> &Counters {
        self.census.step(&self.hub.sessions);
        let Sums { disconnected, subscriptions, queued_messages, queued_bytes, in_flight } = self.census.last;
        let counters = &mut self.hub.counters;
        counters.connections = self.hub.connections.len() as u64;
        counters.sessions = self.hub.sessions.slots.len() as u64;
        counters.sessions_disconnected = disconnected;
        counters.subscriptions = subscriptions;
        counters.queued_messages = queued_messages;
        counters.queued_bytes = queued_bytes;
        counters.in_flight = in_flight;
        counters.filters = self.router.tree.len() as u64;
        counters.route_bytes = self.router.kept_bytes();
        counters.retained_messages = self.retained.len() as u64;
        counters.retained_bytes = self.retained.bytes();
        counters
    }

    /// Have some Sessions not been looked at since the last round through them began?
    #[must_use]
    pub const fn is_counting(&self) -> bool {
        self.census.is_under_way()
    }

    /// PUBLISH packets written to connections so far.
    #[must_use]
    pub const fn publish_sent(&self) -> u64 {
        self.hub.counters.publish_sent
    }

    /// What an event or a packet left to do: letters of this shard to itself, connections beyond a bound.
    #[inline]
    pub(crate) fn settle(&mut self, cx: &mut Cx<'_>) {
        if self.hub.has_left_to_do() {
            self.settle_all(cx);
        }
    }

    fn settle_all(&mut self, cx: &mut Cx<'_>) {
        loop {
            if !self.hub.own_letters.is_empty() {
                let from = self.hub.shard;
                let spare = std::mem::take(&mut self.hub.spare_letters);
                let mut letters = std::mem::replace(&mut self.hub.own_letters, spare);
                for letter in letters.drain(..) {
                    self.letter(cx, from, letter);
                }
                letters.shrink_to(SPARE_LETTERS);
                self.hub.spare_letters = letters;
            } else if let Some((connection, reason, detail)) = self.hub.to_close.pop() {
                self.disconnect(cx, connection, reason, detail);
            } else {
                return;
            }
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>) {
        while let Some(key) = self.hub.timers.pop(cx.now) {
            match key {
                TimerKey::Connection(index) => self.connection_timer(cx, index),
                TimerKey::Session(index) => self.session_timer(cx, index),
            }
        }
    }

    fn connection_timer(&mut self, cx: &mut Cx<'_>, index: u32) {
        let Some((id, connection)) = self.hub.connections.at(index) else { return };
        let timeout = std::time::Duration::from_millis(self.hub.settings.limits.connect_timeout_ms.into());
        let is_due = connection.deadline(timeout).is_some_and(|at| at <= cx.now);
        if !is_due {
            return self.hub.arm_connection(id);
        }
        if connection.seldom.held.is_some() {
            return self.let_in(cx, id);
        }
        if connection.paused == Some(Pause::Rate) {
            return self.read_on(cx, id, Pause::Rate);
        }
        if let Phase::Opening(session) = connection.phase {
            // It has said all that it had to say.
            let client_id = self.hub.sessions.get(session).map(|session| session.client_id.clone());
            let detail = "the log did not take its session in time";
            return self.refuse(
                cx,
                id,
                &client_id.unwrap_or_default(),
                ReasonCode::ServerUnavailable,
                detail,
            );
        }
        let asked = connection.seldom.authentication.as_deref();
        if connection.session().is_none() && asked.is_some_and(|asked| asked.asking) {
            // So has this one; who it is, nobody has said.
            return self.refuse_stranger(
                cx,
                id,
                ReasonCode::ServerUnavailable,
                "nobody said in time who it is",
            );
        }
        if connection.session().is_none() {
            return self.turn_away(cx, id, "", ReasonCode::MaximumConnectTime, "not connected in time");
        }
        if connection.paused == Some(Pause::Output) && cx.fx.outbox.has_moved(id) {
            // It takes its answers, though slowly, and what it says meanwhile is not read.
            return self.keep_alive(cx, id);
        }
        if matches!(connection.paused, Some(Pause::Slowed | Pause::Mail | Pause::Journal)) {
            // The Server does not read from it, so its silence says nothing.
            return self.keep_alive(cx, id);
        }
        // [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
        self.disconnect(
            cx,
            id,
            ReasonCode::KeepAliveTimeout,
            "nothing received for one and a half times the keep alive",
        );
    }

    /// Its Keep Alive begins anew.
    pub(crate) fn keep_alive(&mut self, cx: &mut Cx<'_>, id: crate::event::ConnectionId) {
        if let Some(connection) = self.hub.connections.get_mut(id) {
            connection.received_at = cx.now;
        }
        self.hub.arm_connection(id);
    }

    fn session_timer(&mut self, cx: &mut Cx<'_>, index: u32) {
        let Some(session) = self.hub.sessions.slots.get(index) else { return };
        let id = self.hub.sessions.current(index);
        let slow_maximum = self.hub.slow_maximum();
        // [MQTT-3.1.2-23] [MQTT-4.1.0-2]
        if session.expires_at().is_some_and(|at| at <= cx.now) {
            return self.end_session(cx, id, SessionEnd::Expired);
        }
        if session.will.as_ref().and_then(|will| will.due).is_some_and(|due| due <= cx.now) {
            self.publish_will(cx, id);
        } else if session.deadline(slow_maximum).is_some_and(|at| at <= cx.now) {
            // It has taken nothing for so long that slowing others for it makes no sense.
            self.hub.release_publishers(cx, index, true);
        }
        self.hub.arm_session(id);
    }

    fn shut_down(&mut self, cx: &mut Cx<'_>) {
        for id in self.hub.connections.ids() {
            self.say_goodbye(cx, id, ReasonCode::ServerShuttingDown, "");
            self.hub.connections.remove(id);
            cx.fx.list.push(Effect::Close { connection: id });
        }
    }
}
