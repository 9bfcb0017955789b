//! The session: what a client does, without sockets, clocks or randomness of its own.
//!
//! In:    events, each with the time at which it happened.
//! Out:   bytes for the transport, records for the queue on disk, actions.
//! Never: I/O, clocks, randomness beyond the seed. The same events give the same effects.
//! Spec:  MQTT 5.0 and 3.1.1, chapters 3 and 4.

mod aliases;
mod authentication;
pub(crate) mod backoff;
mod event;
mod handshake;
mod incoming;
mod outgoing;
mod peer;
mod record;
mod settings;
mod subscriptions;
mod unclaimed;

use std::time::Duration;

use dunlin_codec::{
    Disconnect, Frame, Framing, Packet, Properties, Property, PropertyBuf, ProtocolVersion, Publish,
    ReasonCode, Rule, RuleSet, Tolerance,
};

use crate::Time;
use authentication::Authentication;
pub use authentication::{AuthenticationExchange, AuthenticationMethod};
use backoff::{Backoff, Dice};
pub use event::{
    Action, Delivery, DeliveryId, Disconnection, Dropped, Effects, Event, Filter, PublishError,
    ReauthenticateError, Redirection, Status, SubscribeError, Token,
};
pub use handshake::SettingsError;
use incoming::Incoming;
use outgoing::{Identifiers, Outgoing};
use peer::Peer;
pub use record::{Left, Record, Remains};
pub use settings::{Keep, Password, QueueLimits, Retry, Settings, Version, WhenFull, Will};
use subscriptions::Subscriptions;
use unclaimed::Unclaimed;

/// How long the Server may take to close after DISCONNECT.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not wanted, or not any more.
    Idle,
    /// Until the next attempt.
    Waiting { until: Time },
    /// The driver opens a transport.
    Dialling { deadline: Time },
    /// CONNECT is out.
    Greeting { deadline: Time },
    /// CONNACK came, at that time.
    Online { since: Time },
    /// DISCONNECT is out.
    Leaving { deadline: Time },
    /// Nothing will happen any more.
    Stopped,
}

/// A client's session: see the module.
pub struct Session {
    settings: Settings,
    authentication: Authentication,
    /// Redirections that followed one another; the next connection goes home when there are too many.
    hops: u8,
    /// The next address is not the one that the driver began with.
    away: bool,
    phase: Phase,
    peer: Peer,
    ids: Identifiers,
    outgoing: Outgoing,
    incoming: Incoming,
    subscriptions: Subscriptions,
    unclaimed: Unclaimed,
    backoff: Backoff,
    dice: Dice,
    /// Bytes of a packet that is not whole yet.
    input: Vec<u8>,
    /// The application wants to stop: until when to wait, and what to say.
    stopping: Option<(Time, ReasonCode)>,
    /// There has been a connection.
    began: bool,
    paused: bool,
    last_sent: Time,
    last_received: Time,
    /// PINGREQ is out, since then.
    pinged: Option<Time>,
}

impl Session {
    /// A session that has no past.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::restore(settings, Remains::default())
    }

    /// A session that goes on where a former process ended.
    #[must_use]
    pub fn restore(settings: Settings, remains: Remains) -> Self {
        let mut dice = Dice::new(settings.seed);
        let mut outgoing = Outgoing::new(settings.queue, settings.inflight(), settings.topic_aliases);
        outgoing.restore(remains.messages);
        let aliases = settings.topic_alias_maximum;
        let incoming = Incoming::new(settings.receive_maximum.get(), aliases, &remains.taken);
        let unclaimed = Unclaimed::new(settings.receive_maximum.get());
        Self {
            authentication: Authentication::new(settings.authentication.clone()),
            hops: 0,
            away: false,
            phase: Phase::Idle,
            peer: Peer::new(settings.version.into(), 0, None),
            ids: Identifiers::new(dice.roll()),
            outgoing,
            incoming,
            subscriptions: Subscriptions::new(),
            unclaimed,
            backoff: Backoff::new(),
            dice,
            input: Vec::new(),
            stopping: None,
            began: false,
            paused: false,
            last_sent: Time::default(),
            last_received: Time::default(),
            pinged: None,
            settings,
        }
    }

    /// Is there room in the queue? Otherwise [`Event::Publish`] meets the queue's policy.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    /// Should there be an [`Event::Publish`]? With [`WhenFull::Wait`], not while the queue is full: the session takes what
    /// it is given all the same, and whoever gives it holds the bound.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        self.outgoing.has_room() || !self.outgoing.waits()
    }

    /// Messages that are not acknowledged by the Server.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Has CONNACK come?
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online { .. })
    }

    /// Is it over?
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// Takes what happened and adds what to do about it.
    pub fn handle(&mut self, now: Time, event: Event<'_>, effects: &mut Effects) {
        if self.phase == Phase::Stopped {
            return refuse(event, effects);
        }
        let before = effects.output.len();
        match event {
            Event::Start => self.start(now, effects),
            Event::Publish { token, message } => {
                let online = self.is_online();
                self.outgoing.push(now, token, message, online, effects);
            }
            Event::Subscribe { token, filters } => {
                self.subscriptions.add(token, filters, effects);
                self.claim(effects);
            }
            Event::Unsubscribe { token } => self.subscriptions.remove(token, effects),
            Event::Forget { token, filters } => self.subscriptions.forget(token, filters),
            Event::Acknowledge(id) => {
                let online = self.is_online().then_some(self.peer.version);
                self.incoming.acknowledge(id, online, effects);
            }
            Event::Reauthenticate => self.reauthenticate(now, effects),
            Event::Stop { within, reason } => self.stopping = Some((within, reason)),
            Event::Dialled => self.greet(now, effects),
            Event::Received(bytes) => self.receive(now, bytes, effects),
            Event::Lost(why) => self.transport_lost(now, why, effects),
            Event::Closed => self.closed(effects),
            Event::Paused(paused) => self.pause(now, paused),
            // Behind much output a ping leaves late; the transport that takes it is not dead.
            Event::Flushed | Event::Progress => self.pinged = self.pinged.map(|_| now),
            Event::Timer => {}
        }
        self.timers(now, effects);
        self.pump(now, effects);
        self.stop_if_done(now, effects);
        if effects.output.len() > before {
            self.last_sent = now;
        }
    }

    /// When [`Event::Timer`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let phase = match self.phase {
            Phase::Idle | Phase::Stopped => None,
            Phase::Waiting { until } => Some(until),
            Phase::Dialling { deadline } | Phase::Greeting { deadline } | Phase::Leaving { deadline } => {
                Some(deadline)
            }
            Phase::Online { .. } => self.ping_due(),
        };
        let stop = self.stopping.map(|(within, _)| within);
        [phase, stop, self.outgoing.next_expiry(), self.authentication.deadline()].into_iter().flatten().min()
    }

    fn start(&mut self, now: Time, effects: &mut Effects) {
        if self.phase == Phase::Idle {
            self.dial(now, effects);
        }
    }

    fn dial(&mut self, now: Time, effects: &mut Effects) {
        self.phase = Phase::Dialling { deadline: now.after(self.settings.response_timeout) };
        effects.actions.push(Action::Dial);
    }

    /// The transport stands: CONNECT is the first packet [MQTT-3.1.0-1] [MQTT311-3.1.0-1].
    fn greet(&mut self, now: Time, effects: &mut Effects) {
        if !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        self.phase = Phase::Greeting { deadline: now.after(self.settings.response_timeout) };
        self.input.clear();
        self.pinged = None;
        effects.output.clear();
        handshake::put_connect(&self.settings, &mut self.authentication, !self.began, &mut effects.output);
        self.last_sent = now;
        self.last_received = now;
    }

    fn receive(&mut self, now: Time, bytes: &[u8], effects: &mut Effects) {
        if !matches!(self.phase, Phase::Greeting { .. } | Phase::Online { .. } | Phase::Leaving { .. }) {
            return;
        }
        self.last_received = now;
        self.pinged = None;
        let result = if self.input.is_empty() {
            self.packets(now, bytes, effects).map(|used| self.input.extend_from_slice(&bytes[used..]))
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            self.packets(now, &input, effects).map(|used| {
                input.drain(..used);
                self.input = input;
            })
        };
        if let Err(why) = result {
            self.fault(now, why, effects);
        }
    }

    /// Takes whole packets from the front; how many bytes that were.
    fn packets(&mut self, now: Time, bytes: &[u8], effects: &mut Effects) -> Result<usize, Disconnection> {
        let mut tolerance = Tolerance::default();
        for rule in [Rule::ReservedBits, Rule::Utf8Discouraged, Rule::DupAtQoS0] {
            tolerance.0.insert(rule);
        }
        let mut broken = RuleSet::EMPTY;
        let mut used = 0;
        loop {
            match Frame::split(&bytes[used..], self.settings.maximum_packet_size)? {
                Framing::Incomplete { .. } => return Ok(used),
                Framing::Complete { frame, len } => {
                    used += len;
                    let packet = Packet::decode(frame, self.peer.version, tolerance, &mut broken)?;
                    self.packet(now, packet, effects)?;
                    if !matches!(self.phase, Phase::Online { .. } | Phase::Leaving { .. }) {
                        // The connection ended with this packet; what follows it is void.
                        return Ok(bytes.len());
                    }
                }
            }
        }
    }

    fn packet(&mut self, now: Time, packet: Packet<'_>, effects: &mut Effects) -> Result<(), Disconnection> {
        if matches!(self.phase, Phase::Greeting { .. }) {
            return match packet {
                Packet::ConnAck(ack) => self.greeted(now, &ack, effects),
                Packet::Auth(auth) => self.authentication.heard(&auth, &mut effects.output).map(|_| ()),
                // [MQTT-3.2.0-1] [MQTT311-3.2.0-1]
                _ => Err(Disconnection::Protocol("a packet before connack")),
            };
        }
        let version = self.peer.version;
        match packet {
            Packet::Publish(publish) => self.deliver(&publish, effects)?,
            Packet::PubAck(ack) => self.outgoing.pub_ack(&ack, effects),
            Packet::PubRec(ack) => self.outgoing.pub_rec(&ack, version, effects),
            Packet::PubComp(ack) => self.outgoing.pub_comp(&ack, effects),
            Packet::PubRel(ack) => self.incoming.pub_rel(ack.packet_id, version, effects),
            Packet::SubAck(ack) => self.subscriptions.sub_ack(&ack, effects),
            Packet::UnsubAck(ack) => self.subscriptions.unsub_ack(ack.packet_id, effects),
            Packet::PingResp => {}
            Packet::Disconnect(told) if version == ProtocolVersion::V5 => {
                self.told(now, &told, effects);
            }
            Packet::Auth(auth) => {
                if self.authentication.heard(&auth, &mut effects.output)? {
                    effects.actions.push(Action::Reauthenticated(Ok(())));
                }
            }
            _ => return Err(Disconnection::Protocol("a packet that a server does not send")),
        }
        Ok(())
    }

    fn deliver(&mut self, publish: &Publish<'_>, effects: &mut Effects) -> Result<(), Disconnection> {
        let Some(mut delivery) = self.incoming.publish(publish, self.peer.version, effects)? else {
            return Ok(());
        };
        self.subscriptions.of(&delivery.message, &mut delivery.to);
        if !delivery.to.is_empty() {
            effects.actions.push(Action::Deliver(delivery));
            return Ok(());
        }
        let ended = self.subscriptions.has_ended(&delivery.message);
        let dropped = if ended { Some(delivery) } else { self.unclaimed.keep(delivery) };
        if let Some(dropped) = dropped {
            let why = if ended { Dropped::Unsubscribed } else { Dropped::Unclaimed };
            effects.actions.push(Action::Status(Status::Dropped(why)));
            if let Some(id) = dropped.id {
                self.incoming.acknowledge(id, Some(self.peer.version), effects);
            }
        }
        Ok(())
    }

    /// A subscription is new: messages that came before it may be for it.
    fn claim(&mut self, effects: &mut Effects) {
        for mut delivery in self.unclaimed.take() {
            self.subscriptions.of(&delivery.message, &mut delivery.to);
            if delivery.to.is_empty() {
                let again = self.unclaimed.keep(delivery);
                assert!(again.is_none(), "there was room for it before");
            } else {
                effects.actions.push(Action::Deliver(delivery));
            }
        }
    }

    fn pump(&mut self, now: Time, effects: &mut Effects) {
        if !self.is_online() {
            return;
        }
        let Self { subscriptions, outgoing, ids, peer, .. } = self;
        subscriptions.pump(peer, ids, |id| outgoing.uses(id), effects);
        outgoing.pump(now, peer, ids, |id| subscriptions.uses(id), effects);
    }

    fn pause(&mut self, now: Time, paused: bool) {
        self.paused = paused;
        if !paused {
            // What was not read could not be answered.
            self.last_received = now;
            self.pinged = self.pinged.map(|_| now);
        }
    }
}

/// After the end.
fn refuse(event: Event<'_>, effects: &mut Effects) {
    effects.actions.extend(match event {
        Event::Publish { token, .. } => Some(Action::Published(token, Err(PublishError::Stopped))),
        Event::Subscribe { token, .. } => Some(Action::Subscribed(token, Err(SubscribeError::Stopped))),
        Event::Unsubscribe { token } | Event::Forget { token, .. } => Some(Action::Unsubscribed(token)),
        Event::Reauthenticate => Some(Action::Reauthenticated(Err(ReauthenticateError::Offline))),
        _ => None,
    });
}

impl From<Version> for ProtocolVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::V311 => Self::V311,
            Version::V5 => Self::V5,
        }
    }
}

mod life;
